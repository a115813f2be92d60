//! The restart policy: what to do after the agent's process is gone without having been asked to go.
//!
//! | the end | within the limit | beyond it |
//! |---|---|---|
//! | clean, crash, hung, not started for want of something | restart after a pause | give up |
//! | the session is in use | resume it | give up |
//! | the session is unknown, and it is ours | begin it | give up |
//! | the session is unknown, and the user named it | give up | give up |
//! | bad usage, refused to start, no program, no agent | give up | give up |
//!
//! The limit is one of intensity: so many ends within [`WINDOW_MS`] without a finished turn between them. A spent
//! limit of the provider and a refused credential are no ends of a process: they are the failures of a turn.

use std::collections::VecDeque;

use super::Tick;
use super::id::jitter_unit;
use crate::agent::ExitCause;

/// Ends of the agent that lie further back do not count: one crash a day never adds up to a failure.
pub(super) const WINDOW_MS: u64 = 3_600_000;
/// The first pause before a restart that is not the first in a row.
const FIRST_PAUSE_MS: u64 = 1_000;
/// The longest pause. With it a window holds about 70 ends.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// Why the agent's process is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Death {
    /// It ended by itself.
    Exited(ExitCause),
    /// It hung and was ended for that.
    Hung,
    /// The system had not the means to start it at this moment.
    NotStarted,
    /// It cannot be started at all: no such program, not executable, no such directory.
    NoProgram,
    /// It is a program, and no agent: it has not said one line of the protocol.
    NoAgent,
}

/// What to do then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restart {
    /// Start again.
    Again,
    /// Start again; the session exists after all: resume it.
    Resuming,
    /// Start again; the session does not exist after all: begin it.
    Beginning,
    /// Never start this again.
    GiveUp { reason: String },
}

/// What else the decision depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    /// Ends within the window, this one included.
    pub(super) ends: u32,
    /// How many of them are restarted after.
    pub(super) max_restarts: u32,
    /// We chose the session's id.
    pub(super) session_is_ours: bool,
    /// The agent's program, for messages.
    pub(super) program: &'a str,
    /// What became of the process, in words that follow «it».
    pub(super) how: &'a str,
}

/// The table.
pub(super) fn policy(death: &Death, standing: Standing<'_>) -> Restart {
    let Standing { ends, max_restarts, session_is_ours, program, how } = standing;
    let give_up = |reason: String| Restart::GiveUp { reason };
    match death {
        Death::Exited(ExitCause::BadUsage { message }) => {
            give_up(format!("the agent's CLI refused its arguments: {message}"))
        }
        Death::Exited(ExitCause::RefusedToStart { message }) => {
            give_up(format!("the agent's CLI refused to start: {message}"))
        }
        Death::NoProgram => give_up(format!("the agent {how}")),
        Death::NoAgent => give_up(format!(
            "`{program}` is no agent that ccc can drive: it {how}, and has not said one line of the agent's protocol; name \
             the agent's program with --agent PATH"
        )),
        Death::Exited(ExitCause::SessionUnknown) if !session_is_ours => {
            give_up("the session to resume does not exist in this directory".to_owned())
        }
        Death::Exited(ExitCause::SessionInUse | ExitCause::SessionUnknown | ExitCause::Clean | ExitCause::Crash)
        | Death::Hung
        | Death::NotStarted
            if ends > max_restarts =>
        {
            let minutes = WINDOW_MS / 60_000;
            give_up(format!(
                "the agent's process ended {ends} times in a row without finishing a turn, all within {minutes} min, \
                 and --max-restarts is {max_restarts}; the last time it {how}"
            ))
        }
        Death::Exited(ExitCause::SessionInUse) => Restart::Resuming,
        Death::Exited(ExitCause::SessionUnknown) => Restart::Beginning,
        Death::Exited(ExitCause::Clean | ExitCause::Crash) | Death::Hung | Death::NotStarted => Restart::Again,
    }
}

/// The ends of the agent since the last finished turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Intensity {
    ends: VecDeque<Tick>,
}

impl Intensity {
    /// The agent ended. Gives the number of ends within the window, this one included.
    pub(super) fn ended(&mut self, now: Tick) -> u32 {
        self.ends.retain(|end| now.ms_since(*end) < WINDOW_MS);
        self.ends.push_back(now);
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// A turn was finished, or the user wants the run again: the count begins anew.
    pub(super) fn forget(&mut self) {
        self.ends.clear();
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
    use super::{Death, Intensity, Restart, Standing, pause_ms, policy};
    use crate::agent::ExitCause;
    use crate::core::Tick;

    #[test]
    fn the_first_restart_does_not_wait_and_later_ones_back_off_with_a_bound() {
        assert_eq!(pause_ms(1, "s"), 0);
        let pauses: Vec<u64> = (2..12).map(|n| pause_ms(n, "s")).collect();
        assert!((1_000..=1_250).contains(&pauses[0]), "{pauses:?}");
        assert!((2_000..=2_500).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses.iter().all(|&pause| pause <= 75_000), "{pauses:?}");
        assert_ne!(pause_ms(5, "a"), pause_ms(5, "b"), "two runs do not restart in step");
    }

    /// What a cell of the table says.
    #[derive(Debug, PartialEq, Eq, Clone, Copy)]
    enum Cell {
        Again,
        Resume,
        Begin,
        /// And its reason contains this.
        GiveUp(&'static str),
    }
    use Cell::{Again, Begin, GiveUp, Resume};

    #[test]
    fn every_cell_of_the_table() {
        let exited = Death::Exited;
        let bad = || exited(ExitCause::BadUsage { message: "unknown option".to_owned() });
        let refused = || exited(ExitCause::RefusedToStart { message: "not as root".to_owned() });
        const BEYOND: Cell = GiveUp(
            "ended 6 times in a row without finishing a turn, all within 60 min, and --max-restarts is 5; the last time it ended so",
        );
        const NAMED: Cell = GiveUp("the session to resume does not exist");
        // The end; within the limit with a session of ours and of the user's; beyond the limit, the same.
        let rows = [
            (exited(ExitCause::Clean), [Again, Again, BEYOND, BEYOND]),
            (exited(ExitCause::Crash), [Again, Again, BEYOND, BEYOND]),
            (Death::Hung, [Again, Again, BEYOND, BEYOND]),
            (Death::NotStarted, [Again, Again, BEYOND, BEYOND]),
            (exited(ExitCause::SessionInUse), [Resume, Resume, BEYOND, BEYOND]),
            (exited(ExitCause::SessionUnknown), [Begin, NAMED, BEYOND, NAMED]),
            (bad(), [GiveUp("refused its arguments: unknown option"); 4]),
            (refused(), [GiveUp("refused to start: not as root"); 4]),
            (Death::NoProgram, [GiveUp("the agent ended so"); 4]),
            (Death::NoAgent, [GiveUp("`/bin/ls` is no agent"); 4]),
        ];
        for (death, cells) in rows {
            let at = [(5, true), (5, false), (6, true), (6, false)];
            for ((ends, session_is_ours), cell) in at.into_iter().zip(cells) {
                let standing = Standing { ends, max_restarts: 5, session_is_ours, program: "/bin/ls", how: "ended so" };
                let place = format!("{death:?}, end {ends}, session ours: {session_is_ours}");
                match (policy(&death, standing), cell) {
                    (Restart::Again, Again) | (Restart::Resuming, Resume) | (Restart::Beginning, Begin) => {}
                    (Restart::GiveUp { reason }, GiveUp(part)) => assert!(reason.contains(part), "{place}: {reason}"),
                    (restart, cell) => panic!("{place}: {restart:?} instead of {cell:?}"),
                }
            }
        }
    }

    #[test]
    fn ends_count_within_the_window_and_a_finished_turn_forgets_them() {
        let mut intensity = Intensity::default();
        let at = |minute: u64| Tick::ZERO.plus_ms(minute * 60_000);
        assert_eq!([0, 20, 40].map(|minute| intensity.ended(at(minute))), [1, 2, 3]);
        assert_eq!(intensity.ended(at(60)), 3, "the first one is an hour old");
        intensity.forget();
        assert_eq!(intensity.ended(at(61)), 1);
        let mut daily = Intensity::default();
        for day in 0..365 {
            assert_eq!(daily.ended(at(day * 24 * 60)), 1, "one crash a day never adds up");
        }
    }
}
