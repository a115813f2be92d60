//! Brings a live process to the token in use: *hot*, by exchanging its credential, if the CLI can do that; else *cold*, by
//! ending it and resuming the session. Only the next answer of the model shows that a hot exchange has worked.

use super::process::Process;
use super::{Action, Core, ProcId, Tick, TokenId};
use crate::agent::{FailureCause, Role};

/// How long the CLI may take to take an exchanged credential. It answers within a few milliseconds (measured).
const SWAP_LIMIT_MS: u64 = 3_000;
/// Two announcements of one window's reset differ by no more than this.
const SAME_RESET_MS: u64 = 2_000;

/// The token of a process, and an exchange of it under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Credential {
    /// `None` where the CLI finds one by itself.
    token: Option<TokenId>,
    /// The token that it was given while it runs, and until when its CLI may take to take it.
    swap: Option<(TokenId, Tick)>,
    proof: Proof,
}

/// Whether the process is known to use the token that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Proof {
    /// It was started with it, or has been answered since the exchange.
    #[default]
    Proven,
    /// Exchanged while idle: the next answer tells. The token before is spent until then, unix milliseconds.
    Awaited { before_unix_ms: Option<i64> },
    /// Exchanged while at work: a failure may still be about the one before.
    AwaitedAtWork { before_unix_ms: Option<i64> },
}

impl Credential {
    pub(super) fn of(token: Option<TokenId>) -> Credential {
        Credential { token, ..Credential::default() }
    }

    pub(super) fn token(&self) -> Option<&TokenId> {
        self.token.as_ref()
    }

    /// An exchange is under way.
    pub(super) fn is_exchanged(&self) -> bool {
        self.swap.is_some()
    }

    /// The process is known to use it.
    pub(super) fn is_proven(&self) -> bool {
        self.proof == Proof::Proven
    }

    /// When the exchange is given up.
    fn due(&self) -> Option<Tick> {
        self.swap.as_ref().map(|(_, due)| *due)
    }

    fn exchange(&mut self, token: TokenId, now: Tick) {
        self.swap = Some((token, now.plus_ms(SWAP_LIMIT_MS)));
    }

    fn give_up(&mut self) {
        self.swap = None;
    }

    /// The CLI took the token that it was given, or did not; the one before is spent until then. False when none was given.
    fn answered(&mut self, applied: bool, idle: bool, before_unix_ms: Option<i64>) -> bool {
        let Some((token, _)) = self.swap.take() else { return false };
        if applied {
            self.proof = match idle {
                true => Proof::Awaited { before_unix_ms },
                false => Proof::AwaitedAtWork { before_unix_ms },
            };
            self.token = Some(token);
        }
        true
    }

    /// The model has answered. True when that shows that the exchange has worked.
    fn borne_out(&mut self) -> bool {
        let shows = !self.is_exchanged() && !self.is_proven();
        if shows {
            self.proof = Proof::Proven;
        }
        shows
    }

    /// A turn failed that may have been about the token before: the next one tells.
    fn failed_at_work(&mut self, before_unix_ms: Option<i64>) {
        self.proof = Proof::Awaited { before_unix_ms };
    }
}

impl Core {
    /// Brings an idle process to the token in use; true when it has it and may be asked.
    pub(super) fn has_token(&mut self, proc: ProcId) -> bool {
        // Another ccc may have spent it meanwhile.
        if !self.token_for_start() {
            return false;
        }
        let Some(wanted) = self.tokens.current().cloned() else { return true };
        let Some(process) = self.process_mut(proc) else { return false };
        if process.credential().is_exchanged() {
            return false;
        }
        if process.credential().token() == Some(&wanted) {
            return true;
        }
        self.bring_to(proc, wanted);
        false
    }

    /// Brings a process to this token, hot or cold.
    pub(super) fn bring_to(&mut self, proc: ProcId, wanted: TokenId) {
        let hot = self.plan.agent.caps(&self.plan.agent_version).hot_tokens;
        let exchangeable = |id: Option<&TokenId>| self.tokens.fact(id).filter(|fact| hot.contains(&fact.kind));
        let can = |process: &Process| {
            exchangeable(process.credential().token())
                .zip(exchangeable(Some(&wanted)))
                .is_some_and(|(before, wanted)| before.hot_group == wanted.hot_group)
        };
        if self.processes.get(proc).is_some_and(|process| can(process) && !process.is_ending()) {
            let now = self.now();
            if let Some(process) = self.process_mut(proc) {
                process.credential_mut().exchange(wanted.clone(), now);
            }
            self.act(Action::SetCredential { proc, token: wanted });
        } else {
            self.leave_for_token(proc, "its credential cannot be exchanged while it runs");
        }
    }

    /// Ends a process so that its successor has the token in use.
    fn leave_for_token(&mut self, proc: ProcId, why: &str) {
        let Some(process) = self.process_mut(proc) else { return };
        match process.role {
            Role::Agent => {
                process.credential_mut().give_up();
                self.decide("restart the agent with the other token", why);
                self.order(proc, Process::leave);
            }
            Role::Critic => self.ask_critic_anew(why),
        }
    }

    /// The CLI said whether it took the exchanged credential.
    pub(super) fn credential_answered(&mut self, proc: ProcId, applied: bool) {
        let before = self.token_of(proc);
        let before_unix_ms = self.tokens.fact(before.as_ref()).and_then(|token| token.limited_until_unix_ms);
        let Some(process) = self.process_mut(proc) else { return };
        let idle = process.is_idle();
        if !process.credential_mut().answered(applied, idle, before_unix_ms) {
            self.ignored("an answer about a credential that was not exchanged");
        } else if !applied {
            self.leave_for_token(proc, "the live process did not take the other credential");
        }
    }

    /// The model has answered this process since the exchange, if only in part: it has worked.
    pub(super) fn exchange_bears_out(&mut self, proc: ProcId) {
        if self.process_mut(proc).is_some_and(|process| process.credential_mut().borne_out()) {
            let label = self.tokens.label(self.token_of(proc).as_ref());
            self.note("rotation", &format!("the live process is answered with {label}"));
        }
    }

    /// When an exchange is given up.
    pub(super) fn exchange_deadline(&self) -> Option<Tick> {
        self.processes.iter().filter_map(|process| process.credential().due()).min()
    }

    /// An exchange that the CLI does not answer is given up.
    pub(super) fn exchanges_elapsed(&mut self) {
        let now = self.now();
        let overdue = |process: &&Process| process.credential().due().is_some_and(|due| now >= due);
        let overdue = self.processes.iter().find(overdue).map(|process| process.id);
        if let Some(proc) = overdue {
            self.credential_answered(proc, false);
        }
    }

    /// A turn failed; true when that may lie with an exchange that no answer has borne out yet, and has been dealt with so.
    pub(super) fn failed_unproven(
        &mut self,
        proc: ProcId,
        cause: &FailureCause,
        about_token: bool,
        message: &str,
    ) -> bool {
        let Some(proof) = self.processes.get(proc).map(|process| process.credential().proof) else { return false };
        match proof {
            Proof::AwaitedAtWork { before_unix_ms } if about_token => {
                if let Some(process) = self.process_mut(proc) {
                    process.credential_mut().failed_at_work(before_unix_ms);
                }
                self.decide("say it again with the other token", "the failure may have been about the one before");
                true
            }
            // A window that begins anew at another time is another token's: the exchange has worked.
            Proof::Awaited { before_unix_ms: Some(before) }
                if matches!(cause, FailureCause::Quota { resets_at_unix_s: Some(reset) }
                    if reset.saturating_mul(1_000).abs_diff(before) > SAME_RESET_MS) =>
            {
                false
            }
            Proof::Awaited { .. } if about_token => {
                // Not the token's fault before a process of its own says so.
                self.leave_for_token(proc, &format!("the exchange is not borne out by an answer: {message}"));
                true
            }
            Proof::Proven | Proof::Awaited { .. } | Proof::AwaitedAtWork { .. } => false,
        }
    }
}
