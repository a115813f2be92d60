//! The plan as it is shown at the end of a run.

use crate::core::Plan;
use redaction::{Redactor, mark_in};

/// The plan to show at the end, and the agent options that were removed from it because they hold a secret: the output may be
/// copied or kept in a log.
#[must_use]
pub fn shown_plan(plan: &Plan, redactor: &Redactor) -> (Plan, Vec<String>) {
    let holds_one = |arg: &str| mark_in(&redactor.text(arg)).is_some();
    let (agent_args, left_out) = plan.agent.args_apart(&plan.agent_args, &holds_one);
    let given_args = plan.agent.args_apart(&plan.given_agent_args(), &holds_one).0;
    let mut plan = Plan { agent_args, ..plan.clone() };
    if let Some(given) = plan.given.as_mut().and_then(|given| given.get_mut("agent_args")) {
        *given = given_args.into();
    }
    (plan, left_out)
}

#[cfg(test)]
mod tests {
    use super::shown_plan;
    use crate::core::Plan;
    use crate::driver;
    use redaction::Redactor;

    #[test]
    fn what_is_told_at_the_end_leaves_out_options_that_hold_a_secret() {
        let journal = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/compat/1.1/journal.jsonl");
        let rebuilt = driver::rebuild(std::path::Path::new(journal), |_, _| {}).expect("a run");
        let secret = format!("staging token is ghp_{}", "a1".repeat(18));
        let all = ["--effort", "high", "--model", "opus", "--append-system-prompt", &secret].map(str::to_owned);
        let given = Some(serde_json::json!({"agent_args": all[2..]}));
        let plan = Plan { agent_args: all.to_vec(), given, ..rebuilt.core.plan().clone() };
        let (told, left_out) = shown_plan(&plan, &Redactor::new());
        assert_eq!(told.agent_args, ["--effort", "high", "--model", "opus"]);
        assert_eq!(told.configured_agent_args(), plan.configured_agent_args(), "what is whose stays known");
        assert_eq!(left_out, ["--append-system-prompt"]);
    }
}
