//! Retries unanswered requests (the policy says how often), and names the failure.

use super::policy::Again;
use super::{Core, Outcome, ProcId};

/// Names a failed request of the agent by its status. A refusal and a limit are not failures of the provider.
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

impl Core {
    /// This process sends a request to the model.
    pub(super) fn is_asked(&mut self, proc: ProcId) {
        let now = self.now();
        let token = self.token_of(proc);
        self.tokens.retries_mut().asked(token.as_ref(), now);
    }

    /// The model has answered this process, if only in part.
    pub(super) fn brings_progress(&mut self, proc: ProcId) {
        let token = self.token_of(proc);
        self.tokens.retries_mut().progress(token.as_ref());
    }

    /// Whether a request may be sent with the current token now.
    pub(super) fn may_ask_again(&self) -> Again {
        self.tokens.may_ask_again(self.plan.budgets.max_restarts, self.clock())
    }

    /// Ends the run: the model did not answer after the last retry.
    pub(super) fn close_unanswered(&mut self) {
        let times = self.tokens.retries().times(self.tokens.current());
        let (by_limit, why) = self.tokens.retries().failure().cloned().unwrap_or_default();
        let because = if why.is_empty() { String::new() } else { format!("; the last time: {why}") };
        let reason = format!(
            "the model was asked {times} times in a row, after longer and longer pauses, and did not answer{because}"
        );
        self.close(if by_limit { Outcome::Limits } else { Outcome::Failed }, &reason);
    }
}

#[cfg(test)]
mod tests {
    use super::what_failed;

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
}
