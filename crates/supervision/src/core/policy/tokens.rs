//! The tokens of a run: the state of each, the current one, the choice of the next, and the wait for one.

use std::collections::BTreeSet;

use super::choice::{Choice, announced_reset, choose, is_limited, is_reset, learn, utilization};
use super::clock::Clock;
use super::limit_ends::LimitEnds;
use super::retries::{Again, Retries};
use super::wait::Pause;
use crate::core::{SpentToken, Tick, TokenFact, TokenId, TokenKind, TokenReport, WindowFact};

/// How long a token is not used, while there are others, if its value is not available or it is rejected again and again.
pub(in crate::core) const SET_ASIDE_MS: u64 = 300_000;
/// A smaller change of a window is not reported to the other ccc processes.
const TOLD_UTILIZATION: f64 = 0.005;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(in crate::core) struct Tokens {
    known: Vec<TokenFact>,
    /// When the limits end.
    ends: LimitEnds,
    retries: Retries,
    current: Option<TokenId>,
    /// Refused since the run was started or resumed, whatever the shared state says: a login has no fingerprint under which the
    /// refusal could be shared.
    refused: BTreeSet<TokenId>,
    /// Refusals in the shared state are ignored, since all tokens were refused when the run was started or resumed.
    tries_refused: bool,
    /// The user said to continue with this one as it is.
    kept: Option<TokenId>,
    /// The user said to use this one despite its limit. Cleared by its next answer, which shows that it is ready.
    in_spite_of_limit: Option<TokenId>,
    /// The tokens that have worked in this run; `None` is the one that the agent's CLI finds by itself.
    worked: BTreeSet<Option<TokenId>>,
}

impl Tokens {
    /// The run is started or resumed with these tokens. If all are refused, they are tried once more, because a key may have
    /// been allowed again since.
    pub(in crate::core) fn begin(&mut self, known: Vec<TokenFact>, clock: Clock) {
        let Tokens { current, worked, ends, retries, .. } = std::mem::take(self);
        let current = current.filter(|current| known.iter().any(|token| token.id == *current));
        let tries_refused = known.iter().all(|token| token.refused);
        *self = Tokens { current, tries_refused, worked, ends, retries, ..Tokens::default() };
        self.know(known, clock);
    }

    /// Takes the shared state. Refusals since the start or resume stay.
    pub(in crate::core) fn know(&mut self, known: Vec<TokenFact>, clock: Clock) {
        self.known = known;
        for token in &mut self.known {
            let here = self.refused.contains(&token.id);
            token.refused = here || (token.refused && !self.tries_refused);
        }
        self.ends.see(&self.known, clock.now(), clock.unix_ms());
    }

    /// Applies a report of this run about a token.
    pub(in crate::core) fn learn(&mut self, id: &TokenId, report: &TokenReport, clock: Clock) {
        if matches!(report, TokenReport::Refused) {
            self.refused.insert(id.clone());
        }
        if let Some(token) = self.known.iter_mut().find(|token| token.id == *id) {
            learn(token, report);
        }
        if matches!(report, TokenReport::Limited { .. }) {
            self.ends.forget(id);
            self.ends.see(&self.known, clock.now(), clock.unix_ms());
        }
    }

    /// A request with this token was answered. True if the other ccc processes should know.
    pub(in crate::core) fn works(&mut self, token: Option<&TokenId>) -> bool {
        self.worked.insert(token.cloned());
        let Some(id) = token else { return false };
        let in_spite_of_limit = self.in_spite_of_limit.take_if(|wanted| wanted == id).is_some();
        let Some(token) = self.known.iter_mut().find(|token| token.id == *id) else { return false };
        let news = token.limited_until_unix_ms.is_some() || in_spite_of_limit || token.refused || self.tries_refused;
        learn(token, &TokenReport::Works);
        self.refused.remove(id);
        news
    }

    /// Whether the model has answered with this token in this run.
    pub(in crate::core) fn has_worked(&self, token: Option<&TokenId>) -> bool {
        self.worked.contains(&token.cloned())
    }

    /// The provider reported a token's windows. Gives what the other ccc processes should know.
    pub(in crate::core) fn windows_told(&mut self, id: &TokenId, windows: Vec<WindowFact>) -> Option<TokenReport> {
        let token = self.known.iter_mut().find(|token| token.id == *id)?;
        let is_news = |window: &WindowFact| {
            !token.windows.iter().any(|known| {
                known.name == window.name
                    && known.resets_at_unix_s == window.resets_at_unix_s
                    && match (known.utilization, window.utilization) {
                        (Some(known), Some(now)) => (known - now).abs() < TOLD_UTILIZATION,
                        (None, Some(_)) => false,
                        (_, None) => true,
                    }
            })
        };
        let news: Vec<WindowFact> = windows.into_iter().filter(is_news).collect();
        let report = (!news.is_empty()).then_some(TokenReport::Windows(news))?;
        learn(token, &report);
        Some(report)
    }

    /// The provider has rejected this token at a limit. Holds it for a pause that grows with each rejection; gives its
    /// announced reset, if that lies ahead.
    pub(in crate::core) fn rejected(
        &mut self,
        id: &TokenId,
        resets_at_unix_s: Option<i64>,
        clock: Clock,
    ) -> Option<i64> {
        let pause_ms = self.retries.rejection_pause_ms(Some(id));
        self.hold(id, pause_ms, clock);
        announced_reset(resets_at_unix_s, clock.unix_ms())
    }

    /// The provider has just rejected this token: its known limit is counted from now on.
    pub(in crate::core) fn limit_confirmed(&mut self, id: &TokenId) {
        self.ends.forget(id);
    }

    /// Holds a token for this long. Other runs are not affected.
    pub(in crate::core) fn hold(&mut self, id: &TokenId, ms: u64, clock: Clock) {
        self.retries.hold(id.clone(), clock.now().plus_ms(ms));
    }

    /// The requests and failures with each token.
    pub(in crate::core) fn retries(&self) -> &Retries {
        &self.retries
    }

    pub(in crate::core) fn retries_mut(&mut self) -> &mut Retries {
        &mut self.retries
    }

    /// Whether a request may be sent with the current token now.
    pub(in crate::core) fn may_ask_again(&self, max_restarts: u32, clock: Clock) -> Again {
        self.retries.again(self.current.as_ref(), max_restarts, clock)
    }

    /// All tokens, in the order in which they were found.
    pub(in crate::core) fn all(&self) -> &[TokenFact] {
        &self.known
    }

    pub(in crate::core) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The current token.
    pub(in crate::core) fn current(&self) -> Option<&TokenId> {
        self.current.as_ref()
    }

    /// Whether this is the model of a token's service.
    pub(in crate::core) fn is_model_of_a_token(&self, model: &str) -> bool {
        self.known.iter().any(|token| token.model.as_deref() == Some(model))
    }

    pub(in crate::core) fn fact(&self, id: Option<&TokenId>) -> Option<&TokenFact> {
        self.known.iter().find(|token| Some(&token.id) == id)
    }

    pub(in crate::core) fn current_fact(&self) -> Option<&TokenFact> {
        self.fact(self.current.as_ref())
    }

    pub(in crate::core) fn kind(&self, id: Option<&TokenId>) -> Option<TokenKind> {
        self.fact(id).map(|token| token.kind)
    }

    /// A token's label, empty for an unknown one.
    pub(in crate::core) fn label(&self, id: Option<&TokenId>) -> String {
        self.fact(id).map(|token| token.label.clone()).unwrap_or_default()
    }

    pub(in crate::core) fn labels(&self) -> Vec<&str> {
        self.known.iter().map(|token| token.label.as_str()).collect()
    }

    /// Until when a token is held.
    fn held(&self, token: &TokenFact, clock: Clock) -> Option<Tick> {
        self.retries.held(&token.id, clock.now())
    }

    /// Whether a token may be used now.
    pub(in crate::core) fn is_usable(&self, token: &TokenFact, clock: Clock) -> bool {
        self.is_free(token, clock) && self.held(token, clock).is_none()
    }

    /// Whether a token is neither refused nor limited; it may be held.
    fn is_free(&self, token: &TokenFact, clock: Clock) -> bool {
        !token.refused && !is_limited(self.limited_until(token, clock), clock.unix_ms())
    }

    /// The wall time at which a limited token is ready again.
    fn limited_until(&self, token: &TokenFact, clock: Clock) -> Option<i64> {
        self.ends.until(token, clock.now(), clock.unix_ms())
    }

    /// The usable tokens.
    pub(in crate::core) fn usable(&self, clock: Clock) -> impl Iterator<Item = &TokenFact> {
        self.known.iter().filter(move |token| self.is_usable(token, clock))
    }

    /// Whether another token is usable.
    pub(in crate::core) fn has_other_than(&self, id: Option<&TokenId>, clock: Clock) -> bool {
        self.usable(clock).any(|token| Some(&token.id) != id)
    }

    /// Whether the current token is usable, or the user has said to use it despite its limit.
    pub(in crate::core) fn may_use_current(&self, clock: Clock) -> bool {
        self.is_used_in_spite_of_limit() || self.current_fact().is_some_and(|token| self.is_usable(token, clock))
    }

    /// Whether the user has said to use the current token despite its limit, and it has not answered since.
    pub(in crate::core) fn is_used_in_spite_of_limit(&self) -> bool {
        self.in_spite_of_limit.is_some() && self.in_spite_of_limit == self.current
    }

    /// Whether the user has said to continue with the current token as it is.
    pub(in crate::core) fn is_kept(&self) -> bool {
        self.kept.is_some() && self.kept == self.current
    }

    /// Chooses the next token.
    pub(in crate::core) fn choose(&self, rotate_at: f64, clock: Clock) -> Choice {
        let mut known = self.known.clone();
        for token in &mut known {
            let until_unix_ms = self.limited_until(token, clock);
            let held = self.held(token, clock).filter(|_| self.is_free(token, clock));
            token.limited_until_unix_ms = held.map(|until| clock.unix_ms_at(until)).or(until_unix_ms);
        }
        choose(&known, self.current.as_ref(), rotate_at, clock.unix_ms())
    }

    /// Changes to this token; gives the previous one.
    pub(in crate::core) fn take(&mut self, id: TokenId) -> Option<TokenId> {
        let before = self.current.replace(id);
        if before.is_some() {
            (self.kept, self.in_spite_of_limit) = (None, None);
        }
        before
    }

    /// The user says to use the current token despite its limit.
    pub(in crate::core) fn keep_going(&mut self) {
        self.kept.clone_from(&self.current);
        self.in_spite_of_limit.clone_from(&self.current);
        if let Some(token) = self.known.iter_mut().find(|token| Some(&token.id) == self.current.as_ref()) {
            token.limited_until_unix_ms = None;
        }
    }

    /// The user chose to wait.
    pub(in crate::core) fn respect_limit(&mut self) {
        self.in_spite_of_limit = None;
    }

    /// The wait for the first token, which is ready again at this time by [`Tokens::choose`].
    pub(in crate::core) fn wait(&self, until_unix_ms: i64, jitter_ms: i64, clock: Clock) -> Pause {
        match self.held_until(until_unix_ms, clock) {
            Some(due) => Pause::to(due, clock),
            None => Pause::until(until_unix_ms.saturating_add(jitter_ms), clock),
        }
        .for_limit()
    }

    /// The end of the hold, if the first token is ready again by the end of a hold and not by a reset.
    pub(in crate::core) fn held_until(&self, until_unix_ms: i64, clock: Clock) -> Option<Tick> {
        let free = self.known.iter().filter(|token| self.is_free(token, clock));
        let until = free.filter_map(|token| self.held(token, clock)).min()?;
        (clock.unix_ms_at(until) <= until_unix_ms).then_some(until)
    }

    /// When the current token is ready again: the end of its limit, or the reset of its fullest window.
    pub(in crate::core) fn free_again(&self, clock: Clock) -> Option<i64> {
        let token = self.current_fact()?;
        let used = |window: &&WindowFact| window.utilization.filter(|used| used.is_finite()).unwrap_or(0.0);
        let fullest = || token.windows.iter().max_by(|one, other| used(one).total_cmp(&used(other)));
        let reset = || fullest()?.resets_at_unix_s.map(|reset| reset.saturating_mul(1_000));
        let until_unix_ms = token.limited_until_unix_ms.or_else(reset)?;
        // A time that no window can have is no reset; waiting for it would be arbitrary.
        is_reset(until_unix_ms, clock.unix_ms()).then_some(until_unix_ms)
    }

    /// Whether a window of the current token has reached this utilization.
    pub(in crate::core) fn is_near_limit(&self, rotate_at: f64, clock: Clock) -> bool {
        self.current_fact().is_some_and(|token| utilization(token, clock.unix_ms()) >= rotate_at)
    }

    /// All tokens with the ends of their limits, for the user when no token is usable.
    pub(in crate::core) fn spent(&self, clock: Clock) -> Vec<SpentToken> {
        let told = |token: &TokenFact| SpentToken {
            label: token.label.clone(),
            until_unix_ms: self.limited_until(token, clock).filter(|&until| until > clock.unix_ms()),
            refused: token.refused,
            held: self.held(token, clock).is_some(),
        };
        self.known.iter().map(told).collect()
    }
}
