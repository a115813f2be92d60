//! The steps after the provider rejects a request as invalid. The cause may be a filter that blocked the answer, the account,
//! the length of the history, or the history itself, so the steps are tried in this order:
//!
//! | step | helps against |
//! |---|---|
//! | a few retries, each after a longer pause | a filter that blocked one answer |
//! | each other token that is ready, once | a spend limit, missing credits of an account |
//! | `/compact`, once | a request that is too long |
//! | a new session, once: the user's messages, the last feedback, a remark that the work is on disk | a rejected history |
//! | the end | a cause outside the session: the task's text, the agent's arguments, the account |
//!
//! For an unknown model, see `Core::model_not_found`.

use std::collections::BTreeSet;

use super::conversation::CutOff;
use super::machine::Stage;
use super::process::Process;
use super::{Core, Outcome, ProcId, TokenId};
use crate::agent::{FailureCause, Role, StartedBy, TurnKind};

/// Pauses before the retries.
const PAUSES_MS: [u64; 3] = [1_000, 5_000, 15_000];
/// How long a token is not used after a request with it was rejected as invalid, while there are others.
const TOKEN_ASIDE_MS: u64 = 3_600_000;
/// The command of the CLI that shortens the history.
const COMPACT: &str = "/compact";

/// The steps taken for the agent and for the critic.
#[derive(Debug, Clone, Default)]
pub(super) struct Remedies {
    agent: Tried,
    critic: Tried,
    /// The role whose request the session is being compacted for.
    compacts_for: Option<Role>,
}

/// The steps taken since the model's last answer.
#[derive(Debug, Clone, Default)]
struct Tried {
    tries: usize,
    tokens: BTreeSet<TokenId>,
    compacted: bool,
    renewed: bool,
    /// The model was not found although it has answered before, and the run has waited once for that.
    model_awaited: bool,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    Again { pause_ms: u64 },
    OtherToken(TokenId),
    Compact,
    NewSession,
    Nothing,
}

impl Tried {
    /// The next step; `other` is an untried token. A request that is too long is retried only once, and not with another token.
    /// The history does not affect credits, so it is not changed for them.
    fn next(&mut self, cause: &FailureCause, other: Option<TokenId>) -> Remedy {
        let too_long = *cause == FailureCause::PromptTooLong;
        let credits = *cause == FailureCause::CreditsRequired;
        let pauses = if too_long { &PAUSES_MS[..1] } else { &PAUSES_MS[..] };
        if let Some(&pause_ms) = pauses.get(self.tries).filter(|_| !self.compacted && !self.renewed) {
            self.tries += 1;
            return Remedy::Again { pause_ms };
        }
        match other.filter(|_| !too_long) {
            Some(token) => Remedy::OtherToken(token),
            None if credits => Remedy::Nothing,
            None if !self.compacted && !self.renewed => {
                self.compacted = true;
                Remedy::Compact
            }
            None if !self.renewed => {
                self.renewed = true;
                Remedy::NewSession
            }
            None => Remedy::Nothing,
        }
    }
}

impl Remedies {
    fn of(&mut self, role: Role) -> &mut Tried {
        match role {
            Role::Agent => &mut self.agent,
            Role::Critic => &mut self.critic,
        }
    }

    /// A request of this role was accepted: resets its steps.
    pub(super) fn accepted(&mut self, role: Role) {
        *self.of(role) = Tried::default();
    }

    /// The user resumed the run: resets all steps.
    pub(super) fn forget(&mut self) {
        (self.agent, self.critic) = (Tried::default(), Tried::default());
    }

    /// A request of this role with the token `used` was rejected as invalid. Gives the next step; `usable` are the tokens that
    /// may be used.
    fn rejected(&mut self, role: Role, cause: &FailureCause, used: Option<&TokenId>, usable: &[TokenId]) -> Remedy {
        let other = self.untried(role, used, usable);
        let remedy = self.of(role).next(cause, other);
        if remedy == Remedy::Compact {
            self.compacts_for = Some(role);
        }
        remedy
    }

    /// The model of this role was not found, although it has answered before; true if the run should wait for that.
    fn model_is_awaited(&mut self, role: Role) -> bool {
        !std::mem::replace(&mut self.of(role).model_awaited, true)
    }

    /// A request of this role was tried with the token `used`. Gives an untried token.
    fn untried(&mut self, role: Role, used: Option<&TokenId>, usable: &[TokenId]) -> Option<TokenId> {
        let tried = &mut self.of(role).tokens;
        tried.extend(used.cloned());
        usable.iter().find(|token| !tried.contains(token)).cloned()
    }

    /// The `/compact` turn has ended. Gives the role that it was for.
    fn compacted(&mut self) -> Option<Role> {
        self.compacts_for.take()
    }
}

impl Core {
    /// The model has answered an agent or a critic: resets its steps.
    pub(super) fn request_is_accepted(&mut self, role: Role) {
        self.remedies.accepted(role);
        self.session.accepted();
    }

    /// A request of this process was rejected as invalid.
    pub(super) fn request_rejected(
        &mut self,
        proc: ProcId,
        role: Role,
        cause: &FailureCause,
        message: &str,
        started_by: &StartedBy,
    ) {
        let used = self.token_of(proc);
        let usable = self.usable_tokens();
        match self.remedies.rejected(role, cause, used.as_ref(), &usable) {
            Remedy::Again { pause_ms } => {
                let pause = self.pause_of(pause_ms);
                let why = format!("the provider rejected the request: {message}");
                match role {
                    Role::Agent => {
                        self.cut_off(started_by);
                        self.decide(&format!("wait {:.0} s and continue", pause_ms as f64 / 1_000.0), &why);
                        self.phase_waits(message, &pause);
                        self.begin_wait(pause);
                    }
                    Role::Critic => self.retry_critic_after(pause, "wait and ask the critic again", &why),
                }
            }
            Remedy::OtherToken(token) => self.take_untried(role, token, used, message, started_by),
            Remedy::Compact => {
                self.back_to_work();
                self.decide("compact the session", &format!("the provider keeps rejecting the request: {message}"));
                self.tell_user(format!(
                    "the provider keeps rejecting the request ({message}); the session is compacted"
                ));
                self.turns.begin_compact(COMPACT.to_owned());
            }
            Remedy::NewSession => {
                self.back_to_work();
                self.begin_new_session(message);
            }
            Remedy::Nothing if *cause == FailureCause::CreditsRequired => {
                self.close(Outcome::Failed, message);
            }
            Remedy::Nothing => {
                self.session.rejected();
                self.close(
                    Outcome::Failed,
                    &format!(
                        "the provider rejected the request, in a new session too: {message}; what it rejects is not the \
                         session but the task, the agent's arguments or the account: change that and start a new run"
                    ),
                );
            }
        }
    }

    /// The provider does not know the model. If the model has answered in this run, the provider or something on the way is
    /// probably failing for a while, so the run waits once. If the error comes again, or the model has never answered, each
    /// other token is tried once: accounts do not have the same models.
    pub(super) fn model_not_found(&mut self, proc: ProcId, role: Role, started_by: &StartedBy) {
        let used = self.token_of(proc);
        let of_critic = role == Role::Critic && self.plan.critic.model.is_some();
        let asked = if of_critic { Role::Critic } else { Role::Agent };
        let has_answered = self.session.has_answered(asked);
        let model = if of_critic { self.plan.critic.model.as_deref() } else { self.session.model() };
        let model = model.map_or_else(|| "the model".to_owned(), |model| format!("the model {model}"));
        let message = format!("the provider does not know {model}, or the credential may not use it");
        if has_answered && self.remedies.model_is_awaited(role) {
            self.wait_for_provider(role, None, &message, started_by);
            return;
        }
        let usable = self.usable_tokens();
        match self.remedies.untried(role, used.as_ref(), &usable) {
            Some(token) => self.take_untried(role, token, used, &message, started_by),
            None if has_answered => self.wait_for_provider(role, None, &message, started_by),
            None => {
                let option = if of_critic { "--critic-model MODEL" } else { "-- --model MODEL" };
                let run = &self.plan.run_id;
                self.close(Outcome::Failed, &format!("{message}; choose another one: ccc resume {run} {option}"));
            }
        }
    }

    fn usable_tokens(&self) -> Vec<TokenId> {
        self.tokens.usable(self.clock()).map(|token| token.id.clone()).collect()
    }

    /// Changes to an untried token; the one before is not used for a while.
    fn take_untried(
        &mut self,
        role: Role,
        token: TokenId,
        used: Option<TokenId>,
        message: &str,
        started_by: &StartedBy,
    ) {
        if let Some(used) = used {
            self.hold_token(&used, TOKEN_ASIDE_MS);
        }
        if role == Role::Agent {
            self.cut_off(started_by);
        }
        self.take_token(token, &format!("the request was rejected: {message}"));
        if role == Role::Critic {
            self.ask_critic_anew(message);
        }
    }

    /// Abandons a running review: the stop is judged later.
    fn back_to_work(&mut self) {
        if matches!(self.stage(), Stage::Reviewing(_)) {
            self.abandon_review();
            self.leave_unjudged();
            self.enter(Stage::Working);
        }
    }

    /// Continues the work in a new session.
    pub(super) fn begin_new_session(&mut self, why: &str) {
        self.decide("begin a new session", &format!("the provider rejects this one: {why}"));
        self.tell_user(
            "the provider rejects the session; the work continues in a new one, which is told what you have said and the last \
             feedback",
        );
        self.session.renew(&self.plan.seed);
        self.turns.session_rejected(self.stops.last_feedback());
        if let Some(proc) = self.agent_proc() {
            self.order(proc, Process::leave);
        }
    }

    /// A resume of the session would lose turns: the agent continues in a copy of it.
    pub(super) fn branch_lost(&mut self, is_cut: bool) {
        if self.session_after(None).is_none() {
            self.ignored("what a resume of a session loads that is not resumed");
            return;
        }
        self.session.continues_in_copy(&self.plan.seed, is_cut);
        let (why, told) = if is_cut {
            self.turns.session_cut();
            (
                "a resume of this one would not have its latest turns",
                "the agent's CLI would resume the session without its latest turns, because it was ended during a tool \
                 call; the work continues in a copy of the session, which is told again what you have said",
            )
        } else {
            (
                "what follows a resume of this one would be lost at the next resume",
                "the agent's process was ended during a tool call; the work continues in a copy of the session, because this \
                 version of the CLI would forget what follows in the old one",
            )
        };
        self.decide("continue in a copy of the session", why);
        self.tell_user(told);
    }

    /// Handles the end of a `/compact` turn, whatever its outcome; true if the turn was one.
    pub(super) fn compacted(&mut self) -> bool {
        if self.turns.current().is_none_or(|turn| turn.kind != TurnKind::Compact) {
            return false;
        }
        match self.remedies.compacted() {
            // The agent's turn was answered before: judge its stop again.
            Some(Role::Critic) => self.turns.answered(),
            Some(Role::Agent) | None => self.turns.cut_off(CutOff::Failure),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSES_MS, Remedies, Remedy};
    use crate::agent::{FailureCause, Role};
    use crate::core::TokenId;

    fn steps(cause: &FailureCause, tokens: &[&str]) -> Vec<Remedy> {
        let mut remedies = Remedies::default();
        let usable = tokens.iter().map(|id| TokenId((*id).to_owned())).collect::<Vec<_>>();
        let mut used = TokenId("a".to_owned());
        let mut steps = Vec::new();
        while steps.last() != Some(&Remedy::Nothing) {
            let step = remedies.rejected(Role::Agent, cause, Some(&used), &usable);
            if let Remedy::OtherToken(token) = &step {
                used.clone_from(token);
            }
            steps.push(step);
        }
        steps
    }

    #[test]
    fn tries_then_other_tokens_then_a_shorter_and_then_a_new_session() {
        let [one, two, three] = PAUSES_MS.map(|pause_ms| Remedy::Again { pause_ms });
        let other = |id: &str| Remedy::OtherToken(TokenId(id.to_owned()));
        let (compact, new, nothing) = (Remedy::Compact, Remedy::NewSession, Remedy::Nothing);
        assert_eq!(
            steps(&FailureCause::InvalidRequest, &["b", "c"]),
            [
                one.clone(),
                two.clone(),
                three.clone(),
                other("b"),
                other("c"),
                compact.clone(),
                new.clone(),
                nothing.clone()
            ]
        );
        assert_eq!(
            steps(&FailureCause::PromptTooLong, &["b"]),
            [one.clone(), compact, new, nothing.clone()],
            "another account has no other limit"
        );
        assert_eq!(steps(&FailureCause::CreditsRequired, &["b"]), [one, two, three, other("b"), nothing]);
    }
}
