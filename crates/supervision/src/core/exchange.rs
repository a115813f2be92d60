//! Bringing a live process to the token in use: *hot*, by exchanging its credential, where the CLI can, else *cold*, by
//! ending it and resuming the session. And what shows that an exchange has worked: only the next answer does.

use super::process::Process;
use super::{Action, Core, ProcId, Tick, TokenId};
use crate::agent::{FailureCause, Role};

/// How long the CLI may take to take an exchanged credential. It answers within a few milliseconds (measured).
const SWAP_LIMIT_MS: u64 = 3_000;
/// Two announcements of one window's reset differ by no more than this.
const SAME_RESET_MS: u64 = 2_000;

/// An exchange of a live process's credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Swap {
    token: TokenId,
    due: Tick,
}

/// Whether the process is known to use the token that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Proof {
    /// It was started with it, or has been answered since the exchange.
    #[default]
    Proven,
    /// Exchanged while idle: the next answer tells. The token before is spent until then, unix milliseconds.
    Awaited { before_unix_ms: Option<i64> },
    /// Exchanged while at work: a failure may still be about the one before.
    AwaitedAtWork { before_unix_ms: Option<i64> },
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
        if process.swap.is_some() {
            return false;
        }
        if process.token.as_ref() == Some(&wanted) {
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
            exchangeable(process.token.as_ref())
                .zip(exchangeable(Some(&wanted)))
                .is_some_and(|(before, wanted)| before.hot_group == wanted.hot_group)
        };
        if self.processes.get(proc).is_some_and(|process| can(process) && !process.is_ending()) {
            let due = self.now.plus_ms(SWAP_LIMIT_MS);
            if let Some(process) = self.process_mut(proc) {
                process.swap = Some(Swap { token: wanted.clone(), due });
            }
            self.act(Action::SetCredential { proc, token: wanted });
        } else {
            self.leave_for_token(proc, "its credential cannot be exchanged while it runs");
        }
    }

    /// Ends a process so that its successor has the token in use.
    fn leave_for_token(&mut self, proc: ProcId, why: &str) {
        let (now, grace_ms) = (self.now, self.plan.timeouts.grace_ms);
        let Some(process) = self.process_mut(proc) else { return };
        match process.role {
            Role::Agent => {
                process.swap = None;
                let action = process.leave(now, grace_ms);
                self.decide("restart the agent with the other token", why);
                self.out_extend(action);
            }
            Role::Critic => self.ask_critic_anew(why),
        }
    }

    /// The CLI said whether it took the exchanged credential.
    pub(super) fn credential_answered(&mut self, proc: ProcId, applied: bool) {
        let before = self.process_mut(proc).and_then(|process| process.token.clone());
        let before_unix_ms = self.tokens.fact(before.as_ref()).and_then(|token| token.limited_until_unix_ms);
        let Some(process) = self.process_mut(proc) else { return };
        let Some(swap) = process.swap.take() else {
            self.ignored("an answer about a credential that was not exchanged");
            return;
        };
        if applied {
            process.proof = match process.protocol.is_idle() {
                true => Proof::Awaited { before_unix_ms },
                false => Proof::AwaitedAtWork { before_unix_ms },
            };
            process.token = Some(swap.token);
        } else {
            self.leave_for_token(proc, "the live process did not take the other credential");
        }
    }

    /// The model has answered this process since the exchange, if only in part: it has worked.
    pub(super) fn exchange_bears_out(&mut self, proc: ProcId) {
        let Some(process) = self.process_mut(proc) else { return };
        if process.swap.is_some() || process.proof == Proof::Proven {
            return;
        }
        process.proof = Proof::Proven;
        let token = process.token.clone();
        let label = self.tokens.label(token.as_ref());
        self.note("rotation", &format!("the live process is answered with {label}"));
    }

    /// When an exchange is given up.
    pub(super) fn exchange_deadline(&self) -> Option<Tick> {
        self.processes.iter().filter_map(|process| process.swap.as_ref()).map(|swap| swap.due).min()
    }

    /// An exchange that the CLI does not answer is given up.
    pub(super) fn exchanges_elapsed(&mut self) {
        let now = self.now;
        let overdue = |process: &&Process| process.swap.as_ref().is_some_and(|swap| now >= swap.due);
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
        let Some(proof) = self.process_mut(proc).map(|process| process.proof) else { return false };
        match proof {
            Proof::AwaitedAtWork { before_unix_ms } if about_token => {
                if let Some(process) = self.process_mut(proc) {
                    process.proof = Proof::Awaited { before_unix_ms };
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
