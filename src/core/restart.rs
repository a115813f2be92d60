//! The restart policy: what to do after the agent's process has ended without being asked to.

use super::id::jitter_unit;
use crate::agent::ExitCause;

/// The first pause before a restart that is not the first in a row.
const FIRST_PAUSE_MS: u64 = 1_000;
/// The longest pause.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// What to do after an end that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restart {
    /// Start again after this pause.
    After { pause_ms: u64 },
    /// Start again at once; the session exists after all: resume it.
    Resuming,
    /// Start again at once; the session does not exist after all: begin it.
    Beginning,
    /// Never start this again.
    GiveUp { reason: String },
}

/// The table: cause × how often in a row (1 for the first) → what to do.
pub(super) fn policy(
    cause: &ExitCause,
    in_a_row: u32,
    max_in_a_row: u32,
    session_is_ours: bool,
    seed: &str,
) -> Restart {
    match cause {
        ExitCause::BadUsage { message } => {
            Restart::GiveUp { reason: format!("the agent's CLI refused its arguments: {message}") }
        }
        ExitCause::RefusedToStart { message } => {
            Restart::GiveUp { reason: format!("the agent's CLI refused to start: {message}") }
        }
        ExitCause::SessionUnknown if !session_is_ours => {
            Restart::GiveUp { reason: "the session to resume does not exist in this directory".to_owned() }
        }
        ExitCause::SessionInUse | ExitCause::SessionUnknown | ExitCause::Clean | ExitCause::Crash
            if in_a_row > max_in_a_row =>
        {
            Restart::GiveUp {
                reason: format!("the agent's process ended {in_a_row} times in a row without finishing a turn"),
            }
        }
        ExitCause::SessionInUse => Restart::Resuming,
        ExitCause::SessionUnknown => Restart::Beginning,
        ExitCause::Clean | ExitCause::Crash => Restart::After { pause_ms: pause_ms(in_a_row, seed) },
    }
}

/// No pause before the first restart, then 1 s, 2 s, 4 s … up to a minute, each with up to a quarter of jitter so that
/// a fleet does not start in step.
pub(super) fn pause_ms(in_a_row: u32, seed: &str) -> u64 {
    if in_a_row <= 1 {
        return 0;
    }
    let doubled = FIRST_PAUSE_MS.saturating_mul(1u64 << (in_a_row - 2).min(16));
    let base = doubled.min(LONGEST_PAUSE_MS);
    base + (base as f64 * 0.25 * jitter_unit(seed, "restart", in_a_row)) as u64
}

#[cfg(test)]
mod tests {
    use super::{Restart, pause_ms, policy};
    use crate::agent::ExitCause;

    #[test]
    fn the_first_restart_does_not_wait_and_later_ones_back_off_with_a_bound() {
        assert_eq!(pause_ms(1, "s"), 0);
        let pauses: Vec<u64> = (2..12).map(|n| pause_ms(n, "s")).collect();
        assert!((1_000..=1_250).contains(&pauses[0]), "{pauses:?}");
        assert!((2_000..=2_500).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses.iter().all(|&pause| pause <= 75_000), "{pauses:?}");
        assert_ne!(pause_ms(5, "a"), pause_ms(5, "b"), "two runs do not restart in step");
    }

    #[test]
    fn every_cause_has_its_row() {
        let gives_up = |restart: &Restart| matches!(restart, Restart::GiveUp { .. });
        let bad = ExitCause::BadUsage { message: "unknown option".to_owned() };
        assert!(gives_up(&policy(&bad, 1, 5, true, "s")), "bad usage is never restarted");
        let refused = ExitCause::RefusedToStart { message: "no".to_owned() };
        assert!(gives_up(&policy(&refused, 1, 5, true, "s")));
        assert_eq!(policy(&ExitCause::Crash, 1, 5, true, "s"), Restart::After { pause_ms: 0 });
        assert_eq!(policy(&ExitCause::Clean, 1, 5, true, "s"), Restart::After { pause_ms: 0 });
        assert_eq!(policy(&ExitCause::SessionInUse, 1, 5, true, "s"), Restart::Resuming);
        assert_eq!(policy(&ExitCause::SessionUnknown, 1, 5, true, "s"), Restart::Beginning);
        assert!(
            gives_up(&policy(&ExitCause::SessionUnknown, 1, 5, false, "s")),
            "a session the user named is not invented"
        );
        for cause in [ExitCause::Crash, ExitCause::Clean, ExitCause::SessionInUse, ExitCause::SessionUnknown] {
            assert!(!gives_up(&policy(&cause, 5, 5, true, "s")), "{cause:?} at the limit");
            assert!(gives_up(&policy(&cause, 6, 5, true, "s")), "{cause:?} beyond the limit");
        }
    }
}
