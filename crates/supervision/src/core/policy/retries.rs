//! How often an unanswered request is retried, and after which pause.
//!
//! Each cause of a failed turn has its own rule. The bound here holds for all causes, even if such a rule is wrong: with one
//! token a turn is retried only a few times without progress, each time after a longer pause. Pauses are counted in ticks, so
//! setting the wall clock does not shorten them.
//!
//! A token whose rejection names no future reset is *held* for such a pause. A hold is this run's own guess, so it is neither
//! shared with other ccc processes nor shown as a reset.

use std::collections::BTreeMap;

use super::clock::Clock;
use super::wait::Pause;
use crate::core::{Tick, TokenId};

/// The first pause; doubled each time.
const FIRST_PAUSE_MS: u64 = 2_000;
/// The longest pause. With it, [`MAX_ASKED`] requests span more than a window of five hours.
const LONGEST_PAUSE_MS: u64 = 3_600_000;
/// How often a turn may be sent without a pause: the first time, and to continue it after a restart or an exchange of the
/// credential.
const AT_ONCE: u32 = 3;
/// How often a turn may be sent in all. Failures of a known kind have their own, lower limits.
const MAX_ASKED: u32 = 16;

/// The requests with each token since its last progress, and the held tokens.
#[derive(Debug, Clone, Default)]
pub(in crate::core) struct Retries {
    asked: BTreeMap<Option<TokenId>, Asked>,
    held: BTreeMap<TokenId, Tick>,
    /// Whether the last turn failed by a limit, and its message.
    failure: Option<(bool, String)>,
}

/// Whether a request may be sent to the model now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) enum Again {
    Now,
    /// After this pause.
    After(Pause),
    /// There were too many requests.
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    times: u32,
    last: Tick,
}

impl Retries {
    /// A request was sent with this token.
    pub(in crate::core) fn asked(&mut self, token: Option<&TokenId>, now: Tick) {
        let times = self.times(token).saturating_add(1);
        self.asked.insert(token.cloned(), Asked { times, last: now });
    }

    /// The model has answered, if only in part.
    pub(in crate::core) fn progress(&mut self, token: Option<&TokenId>) {
        self.asked.remove(&token.cloned());
        if let Some(token) = token {
            self.held.remove(token);
        }
    }

    /// The number of requests since the last progress.
    pub(in crate::core) fn times(&self, token: Option<&TokenId>) -> u32 {
        self.asked.get(&token.cloned()).map_or(0, |asked| asked.times)
    }

    /// No request may be sent before this tick.
    fn not_before(&self, token: Option<&TokenId>) -> Option<Tick> {
        let asked = self.asked.get(&token.cloned())?;
        let pauses = asked.times.checked_sub(AT_ONCE)?;
        Some(asked.last.plus_ms(pause_ms(pauses)))
    }

    /// Whether a request may be sent with this token now. Each allowed restart may send a turn again.
    pub(in crate::core) fn again(&self, token: Option<&TokenId>, max_restarts: u32, clock: Clock) -> Again {
        if self.times(token) >= MAX_ASKED.max(max_restarts.saturating_add(AT_ONCE)) {
            return Again::Never;
        }
        match self.not_before(token).filter(|due| *due > clock.now()) {
            Some(due) => Again::After(Pause::to(due, clock)),
            None => Again::Now,
        }
    }

    /// The pause after a rejection with this token that names no reset; it grows with each one.
    pub(in crate::core) fn rejection_pause_ms(&self, token: Option<&TokenId>) -> u64 {
        pause_ms(self.times(token).saturating_sub(1))
    }

    /// Whether the last turn failed by a limit, and its message.
    pub(in crate::core) fn failure(&self) -> Option<&(bool, String)> {
        self.failure.as_ref()
    }

    /// A turn failed.
    pub(in crate::core) fn failed(&mut self, by_limit: bool, why: &str) {
        self.failure = Some((by_limit, why.to_owned()));
    }

    /// Holds a token until then.
    pub(in crate::core) fn hold(&mut self, token: TokenId, until: Tick) {
        self.held.insert(token, until);
    }

    /// Until when a token is held.
    pub(in crate::core) fn held(&self, token: &TokenId, now: Tick) -> Option<Tick> {
        self.held.get(token).copied().filter(|until| *until > now)
    }

    /// The user resumed the run, perhaps with another account behind the same credential: resets everything.
    pub(in crate::core) fn forget(&mut self) {
        *self = Retries::default();
    }
}

/// 2 s, 4 s, 8 s … up to an hour.
fn pause_ms(doublings: u32) -> u64 {
    FIRST_PAUSE_MS.saturating_mul(1 << doublings.min(32)).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PAUSE_MS, MAX_ASKED, Retries, pause_ms};
    use crate::core::{Tick, TokenId};

    #[test]
    fn the_same_token_is_asked_again_after_longer_and_longer_pauses() {
        let mut retries = Retries::default();
        let token = TokenId("a".to_owned());
        let mut now = Tick::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..MAX_ASKED {
            retries.asked(Some(&token), now);
            let due = retries.not_before(Some(&token)).unwrap_or(now);
            pauses.push(due.ms_since(now));
            now = due.max(now);
        }
        assert_eq!(pauses[..6], [0, 0, 2_000, 4_000, 8_000, 16_000]);
        assert!(pauses.windows(2).all(|two| two[0] <= two[1]), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE_MS));
        assert_eq!(retries.not_before(None), None, "another credential is another matter");
        retries.progress(Some(&token));
        assert_eq!((retries.times(Some(&token)), retries.not_before(Some(&token))), (0, None));
    }

    #[test]
    fn the_last_failure_is_told() {
        let mut retries = Retries::default();
        assert_eq!(retries.failure(), None);
        retries.failed(true, "a limit");
        retries.failed(false, "overloaded");
        assert_eq!(retries.failure(), Some(&(false, "overloaded".to_owned())));
        retries.asked(None, Tick::ZERO);
        retries.forget();
        assert_eq!((retries.failure(), retries.times(None)), (None, 0), "the user wants the run again");
    }

    #[test]
    fn a_window_of_five_hours_is_outlasted() {
        let all_ms: u64 = (0..MAX_ASKED - 1).map(pause_ms).sum();
        assert!(all_ms > 5 * 3_600_000, "{all_ms} ms");
    }

    #[test]
    fn a_hold_ends_with_its_time_or_with_an_answer() {
        let mut retries = Retries::default();
        let token = TokenId("a".to_owned());
        retries.hold(token.clone(), Tick::ZERO.plus_ms(5));
        assert_eq!(retries.held(&token, Tick::ZERO.plus_ms(4)), Some(Tick::ZERO.plus_ms(5)));
        assert_eq!(retries.held(&token, Tick::ZERO.plus_ms(5)), None);
        retries.progress(Some(&token));
        assert_eq!(retries.held(&token, Tick::ZERO), None);
    }
}
