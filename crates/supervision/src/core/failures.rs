//! Consecutive transient failures: how long to wait after each, and how many are too many.

use super::id::jitter_unit;

/// Consecutive failures of the provider, in addition to the CLI's own retries, before the run ends as failed. With the pauses
/// below that is about an hour and a half of retries.
const MAX_PROVIDER_FAILURES: u32 = 12;
/// The first pause after a failure of the provider.
const PROVIDER_PAUSE_MS: u64 = 10_000;
/// The longest such pause.
const PROVIDER_LONGEST_PAUSE_MS: u64 = 600_000;
/// The pause after the first turn that failed by itself; doubled with each further one.
const TURN_FAILURE_PAUSE_MS: u64 = 1_000;
/// Consecutive turns that may fail by themselves (refusal, output limit, unknown).
const MAX_TURN_FAILURES: u32 = 3;
/// The pause before the one retry of a refused credential: one that has worked before, and one that has not.
const REFUSAL_PAUSE_MS: u64 = 20_000;
const NEW_REFUSAL_PAUSE_MS: u64 = 2_000;

/// The failures since the model's last answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    /// Failures of the provider, for agent and critic together.
    provider: u32,
    /// Turns that failed by themselves.
    turns: u32,
    /// Refusals of the credential after which it was retried.
    refusals: u32,
}

impl Failures {
    /// The provider failed. Gives the pause; `None` after too many failures.
    pub(super) fn provider_failed(&mut self, retry_after_ms: Option<u64>, seed: &str) -> Option<u64> {
        self.provider += 1;
        if self.provider > MAX_PROVIDER_FAILURES {
            return None;
        }
        let doubled = PROVIDER_PAUSE_MS.saturating_mul(1 << (self.provider - 1).min(16)).min(PROVIDER_LONGEST_PAUSE_MS);
        let jitter = 1.0 + 0.25 * jitter_unit(seed, "provider", self.provider);
        Some(((doubled as f64 * jitter) as u64).max(retry_after_ms.unwrap_or(0)))
    }

    /// Whether the provider has failed since the model's last answer.
    pub(super) fn has_provider_failed(&self) -> bool {
        self.provider > 0
    }

    /// A turn failed by itself. Gives the pause, or the number of consecutive failures if there are too many.
    pub(super) fn turn_failed(&mut self) -> Result<u64, u32> {
        self.turns += 1;
        if self.turns > MAX_TURN_FAILURES {
            return Err(self.turns);
        }
        Ok(TURN_FAILURE_PAUSE_MS << (self.turns - 1).min(16))
    }

    /// The only credential was refused. Gives the pause before its one retry; `None` if it has been retried.
    pub(super) fn refused(&mut self, has_worked: bool) -> Option<u64> {
        if self.refusals > 0 {
            return None;
        }
        self.refusals += 1;
        Some(if has_worked { REFUSAL_PAUSE_MS } else { NEW_REFUSAL_PAUSE_MS })
    }

    /// A critic answered. Failures of the agent's turns still count.
    pub(super) fn critic_answered(&mut self) {
        (self.provider, self.refusals) = (0, 0);
    }

    /// The agent answered, or the user resumed the run: resets all counts.
    pub(super) fn forget(&mut self) {
        *self = Failures::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Failures, MAX_PROVIDER_FAILURES};

    #[test]
    fn a_provider_that_keeps_failing_is_asked_after_longer_and_longer_pauses_and_then_given_up() {
        let mut failures = Failures::default();
        assert!(!failures.has_provider_failed());
        let pauses: Vec<u64> = std::iter::from_fn(|| failures.provider_failed(None, "s")).collect();
        assert_eq!(pauses.len(), MAX_PROVIDER_FAILURES as usize);
        for (base, pause) in [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000].iter().zip(&pauses) {
            assert!((*base..=base + base / 4).contains(pause), "{pauses:?}");
        }
        assert!(failures.has_provider_failed());
        failures.critic_answered();
        assert!(!failures.has_provider_failed(), "agent and critic have one provider");
        assert_eq!(failures.provider_failed(Some(900_000), "s"), Some(900_000), "what it asks for is kept");
    }

    #[test]
    fn turns_that_fail_by_themselves_are_continued_three_times() {
        let mut failures = Failures::default();
        let turns: Vec<Result<u64, u32>> = (0..4).map(|_| failures.turn_failed()).collect();
        assert_eq!(turns, [Ok(1_000), Ok(2_000), Ok(4_000), Err(4)]);
        failures.critic_answered();
        assert_eq!(failures.turn_failed(), Err(5), "a critic's answer says nothing of the agent's turns");
        failures.forget();
        assert_eq!(failures.turn_failed(), Ok(1_000));
    }

    #[test]
    fn a_refused_credential_is_tried_once_more_until_the_model_answers() {
        for (has_worked, pause_ms) in [(true, 20_000), (false, 2_000)] {
            let mut failures = Failures::default();
            assert_eq!([(); 2].map(|()| failures.refused(has_worked)), [Some(pause_ms), None]);
            failures.critic_answered();
            assert_eq!(failures.refused(has_worked), Some(pause_ms));
        }
    }
}
