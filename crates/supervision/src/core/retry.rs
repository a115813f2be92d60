//! Asking again what was not answered: how often, and after which pause.
//!
//! Every cause of a failed turn has a rule of its own. This is what holds whatever the cause, and where a rule is wrong:
//! with the same token a turn is said again only a few times without progress, each time after a longer pause. Pauses are
//! counted in ticks, so no clock that is set makes them shorter.
//!
//! A token whose rejection names no reset that lies ahead is *held* for such a pause. A hold is this run's own guess: no
//! other ccc process is told, and no reset is invented from it.

use std::collections::BTreeMap;

use super::machine::Pause;
use super::pool;
use super::{Core, Outcome, ProcId, Tick, TokenFact, TokenId};

/// The first pause; doubled with each time.
const FIRST_PAUSE_MS: u64 = 2_000;
/// The longest pause: a window of five hours is outlasted by [`MAX_ASKED`] requests.
const LONGEST_PAUSE_MS: u64 = 3_600_000;
/// So many times a turn may be said at once: first, then continued after a restart or an exchange of the credential.
const AT_ONCE: u32 = 3;
/// So many times in all. Failures of a known kind have lower limits of their own.
pub(super) const MAX_ASKED: u32 = 16;

/// What was asked with each token since it last brought progress, and which token is held.
#[derive(Debug, Clone, Default)]
pub(super) struct Retries {
    asked: BTreeMap<Option<TokenId>, Asked>,
    held: BTreeMap<TokenId, Tick>,
    /// How the last turn failed, and whether by a limit.
    failure: Option<(bool, String)>,
}

/// Whether something may be asked of the model now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    Now,
    /// When this is over.
    After(Pause),
    /// It was asked too often.
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    times: u32,
    last: Tick,
}

impl Retries {
    /// Something was asked with this token.
    pub(super) fn asked(&mut self, token: Option<&TokenId>, now: Tick) {
        let times = self.times(token).saturating_add(1);
        self.asked.insert(token.cloned(), Asked { times, last: now });
    }

    /// The model has answered, if only in part.
    pub(super) fn progress(&mut self, token: Option<&TokenId>) {
        self.asked.remove(&token.cloned());
        if let Some(token) = token {
            self.held.remove(token);
        }
    }

    /// How often something was asked since the last progress.
    pub(super) fn times(&self, token: Option<&TokenId>) -> u32 {
        self.asked.get(&token.cloned()).map_or(0, |asked| asked.times)
    }

    /// Nothing may be asked before this tick.
    pub(super) fn not_before(&self, token: Option<&TokenId>) -> Option<Tick> {
        let asked = self.asked.get(&token.cloned())?;
        let pauses = asked.times.checked_sub(AT_ONCE)?;
        Some(asked.last.plus_ms(pause_ms(pauses)))
    }

    /// A turn failed.
    pub(super) fn failed(&mut self, by_limit: bool, why: &str) {
        self.failure = Some((by_limit, why.to_owned()));
    }

    /// Leaves a token alone until then.
    pub(super) fn hold(&mut self, token: TokenId, until: Tick) {
        self.held.insert(token, until);
    }

    /// Until when a token is left alone.
    pub(super) fn held(&self, token: &TokenId, now: Tick) -> Option<Tick> {
        self.held.get(token).copied().filter(|until| *until > now)
    }

    /// The user wants the run again, perhaps with another account behind the same credential.
    pub(super) fn forget(&mut self) {
        *self = Retries::default();
    }
}

/// A failed request of the agent's, by the status of its answer: a refusal and a limit are no failures of the provider.
pub(super) fn what_failed(status: Option<u16>) -> String {
    match status {
        None => "the provider gives no answer".to_owned(),
        Some(401) => "the provider refuses the credential (status 401)".to_owned(),
        Some(status @ (403 | 407)) => {
            format!("the provider, or something on the way to it, refuses the request (status {status})")
        }
        Some(429) => "the provider limits the requests (status 429)".to_owned(),
        Some(529) => "the provider is overloaded (status 529)".to_owned(),
        Some(status) => format!("the provider fails (status {status})"),
    }
}

/// 2 s, 4 s, 8 s … up to an hour.
pub(super) fn pause_ms(doublings: u32) -> u64 {
    FIRST_PAUSE_MS.saturating_mul(1 << doublings.min(32)).min(LONGEST_PAUSE_MS)
}

impl Core {
    /// The pause after a rejection with this token that names no reset: longer with each.
    pub(super) fn rejection_pause_ms(&self, token: Option<&TokenId>) -> u64 {
        pause_ms(self.retries.times(token).saturating_sub(1))
    }

    /// Leaves a token alone for so long. Only this run does so.
    pub(super) fn hold_token(&mut self, token: &TokenId, ms: u64) {
        let until = self.now.plus_ms(ms);
        self.retries.hold(token.clone(), until);
    }

    /// Whether a token may be used now.
    pub(super) fn is_usable(&self, token: &TokenFact) -> bool {
        self.is_free(token) && self.retries.held(&token.id, self.now).is_none()
    }

    /// Whether a token is neither refused nor limited; it may be held.
    fn is_free(&self, token: &TokenFact) -> bool {
        !token.refused && !pool::is_limited(self.limited_until(token), self.unix_ms())
    }

    /// The wall time at which a limited token is free again.
    pub(super) fn limited_until(&self, token: &TokenFact) -> Option<i64> {
        self.tokens.ends.until(token, self.now, self.unix_ms())
    }

    /// What is known about the tokens, with those that are held as limited.
    pub(super) fn tokens_with_holds(&self) -> Vec<TokenFact> {
        let mut known = self.tokens.known.clone();
        for token in &mut known {
            let until_unix_ms = self.limited_until(token);
            let held = self.retries.held(&token.id, self.now).filter(|_| self.is_free(token));
            token.limited_until_unix_ms = held.map(|until| self.unix_ms_at(until)).or(until_unix_ms);
        }
        known
    }

    /// A wait until a token is tried again that is held until this wall time; `None` when the time is an announced reset.
    pub(super) fn hold_pause(&self, until_unix_ms: i64) -> Option<Pause> {
        let held = self.tokens.known.iter().filter(|token| self.is_free(token));
        let until = held.filter_map(|token| self.retries.held(&token.id, self.now)).min()?;
        (self.unix_ms_at(until) <= until_unix_ms).then_some(Pause {
            since: self.now,
            due: until,
            until_unix_ms: None,
            for_limit: true,
        })
    }

    /// Something is asked of the model by this process.
    pub(super) fn is_asked(&mut self, proc: ProcId) {
        let now = self.now;
        let token = self.process_mut(proc).and_then(|process| process.token.clone());
        self.retries.asked(token.as_ref(), now);
    }

    /// The model has answered this process, if only in part.
    pub(super) fn brings_progress(&mut self, proc: ProcId) {
        let token = self.process_mut(proc).and_then(|process| process.token.clone());
        self.retries.progress(token.as_ref());
    }

    /// Whether something may be asked with the token in use now.
    pub(super) fn may_ask_again(&self) -> Again {
        let token = self.tokens.current.as_ref();
        if self.retries.times(token) >= MAX_ASKED.max(self.plan.budgets.max_restarts.saturating_add(AT_ONCE)) {
            return Again::Never;
        }
        match self.retries.not_before(token).filter(|due| *due > self.now) {
            Some(due) => Again::After(Pause { since: self.now, due, until_unix_ms: None, for_limit: false }),
            None => Again::Now,
        }
    }

    /// The run ends: the model was asked too often and answered nothing.
    pub(super) fn close_unanswered(&mut self) {
        let times = self.retries.times(self.tokens.current.as_ref());
        let (by_limit, why) = self.retries.failure.clone().unwrap_or_default();
        let because = if why.is_empty() { String::new() } else { format!("; the last time: {why}") };
        let reason = format!(
            "the model was asked {times} times in a row, after longer and longer pauses, and did not answer{because}"
        );
        self.close(if by_limit { Outcome::Limits } else { Outcome::Failed }, &reason);
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PAUSE_MS, MAX_ASKED, Retries, pause_ms, what_failed};
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
    fn a_refusal_and_a_limit_are_not_called_failures_of_the_provider() {
        for (status, word) in [
            (Some(401), "refuses"),
            (Some(403), "refuses"),
            (Some(429), "limits"),
            (Some(500), "fails"),
            (None, "no answer"),
        ] {
            let said = what_failed(status);
            assert!(said.contains(word) && said.contains("fails") == (word == "fails"), "{said}");
        }
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
