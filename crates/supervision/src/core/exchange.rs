//! Changes a live process to the current token: *hot*, by exchanging its credential, if the CLI supports that; else *cold*, by
//! ending it and resuming the session. Only the model's next answer proves that a hot exchange worked.

use super::credential::Proof;
use super::process::Process;
use super::{Action, Core, ProcId, Tick, TokenId};
use crate::agent::{FailureCause, Role};

/// The most that two announcements of one window's reset differ by.
const SAME_RESET_MS: u64 = 2_000;

impl Core {
    /// Changes an idle process to the current token; true if it has that token and may get a turn.
    pub(super) fn has_token(&mut self, proc: ProcId) -> bool {
        // Another ccc may have reached the limit of the token meanwhile.
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

    /// Changes a process to this token, hot or cold.
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

    /// Ends a process, so that the next one starts with the current token.
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

    /// The CLI reports whether it accepted the exchanged credential.
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

    /// The model has answered this process since the exchange, if only in part: the exchange worked.
    pub(super) fn exchange_bears_out(&mut self, proc: ProcId) {
        if self.process_mut(proc).is_some_and(|process| process.credential_mut().borne_out()) {
            let label = self.tokens.label(self.token_of(proc).as_ref());
            self.note("rotation", &format!("the live process is answered with {label}"));
        }
    }

    /// The earliest timeout of an exchange.
    pub(super) fn exchange_deadline(&self) -> Option<Tick> {
        self.processes.iter().filter_map(|process| process.credential().due()).min()
    }

    /// Ends an exchange that the CLI does not answer in time.
    pub(super) fn exchanges_elapsed(&mut self) {
        let now = self.now();
        let overdue = |process: &&Process| process.credential().due().is_some_and(|due| now >= due);
        let overdue = self.processes.iter().find(overdue).map(|process| process.id);
        if let Some(proc) = overdue {
            self.credential_answered(proc, false);
        }
    }

    /// A turn failed. True if an unproven exchange may be the cause; then the failure has been handled.
    pub(super) fn failed_unproven(
        &mut self,
        proc: ProcId,
        cause: &FailureCause,
        about_token: bool,
        message: &str,
    ) -> bool {
        let Some(proof) = self.processes.get(proc).map(|process| process.credential().proof()) else { return false };
        match proof {
            Proof::AwaitedAtWork { before_unix_ms } if about_token => {
                if let Some(process) = self.process_mut(proc) {
                    process.credential_mut().failed_at_work(before_unix_ms);
                }
                self.decide("say it again with the other token", "the failure may have been about the one before");
                true
            }
            // A reset at another time belongs to another token's window: the exchange worked.
            Proof::Awaited { before_unix_ms: Some(before) }
                if matches!(cause, FailureCause::Quota { resets_at_unix_s: Some(reset) }
                    if reset.saturating_mul(1_000).abs_diff(before) > SAME_RESET_MS) =>
            {
                false
            }
            Proof::Awaited { .. } if about_token => {
                // The token is blamed only if a process that was started with it fails.
                self.leave_for_token(proc, &format!("the exchange is not borne out by an answer: {message}"));
                true
            }
            Proof::Proven | Proof::Awaited { .. } | Proof::AwaitedAtWork { .. } => false,
        }
    }
}
