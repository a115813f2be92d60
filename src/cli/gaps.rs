//! What a run's journal does not hold: where a text of the user's had a secret in it, there is a mark. A run that went on with
//! the mark would do something else than it was asked for, so the user has to give such a text again.

use crate::cli::{CliError, ErrorKind};
use crate::core::Plan;
use crate::core::shell::{quoted, words};
use crate::ui::clean::one_line;
use redaction::mark_in;

/// How much of a text is shown, in characters.
const SHOWN_CHARS: usize = 60;

/// Whether a secret was taken out of this text.
pub(super) fn has_gap(text: &str) -> bool {
    mark_in(text).is_some()
}

/// What is missing of a run that is to go on.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Options for the agent that were given on the command line.
    options: Vec<String>,
    /// What the configuration holds, in words.
    configured: Vec<String>,
    /// Commands of checks that were given on the command line, and those of all checks, of which these are some.
    checks: Vec<String>,
    all_checks: Vec<String>,
    /// What the user has said and the agent has yet to hear.
    said: Vec<String>,
}

impl Gaps {
    /// Those of a plan. `given` are the arguments for the agent that come from the command line, `configured` says whether what
    /// the configuration holds is taken from the plan, and `checks_given` whether the checks come from the command line.
    pub(super) fn of(plan: &Plan, given: &[String], configured: bool, checks_given: bool) -> Gaps {
        let apart = |args: &[String]| plan.agent.args_apart(args, &has_gap).1;
        let all_checks: Vec<String> = plan.checks.iter().map(|check| check.command.clone()).collect();
        let checks: Vec<String> = all_checks.iter().filter(|command| has_gap(command)).cloned().collect();
        let mut gaps = Gaps { options: apart(given), ..Gaps::default() };
        if checks_given {
            (gaps.checks, gaps.all_checks) = (checks, all_checks);
        } else if configured {
            gaps.configured.extend(checks.iter().map(|command| check_in_words(command)));
        }
        if configured {
            let options = apart(plan.configured_agent_args());
            gaps.configured.extend(options.iter().map(|option| option_in_words(option)));
            let critic = &plan.critic;
            if critic.allow.iter().chain(&critic.model).any(|text| has_gap(text)) {
                gaps.configured.push("the critic's settings".to_owned());
            }
            if has_gap(&critic.prompt) {
                gaps.configured.push("the critic's prompt (SUPERVISOR.md)".to_owned());
            }
        }
        gaps
    }

    /// And of these words of the user's, which nobody has said anew.
    pub(super) fn and_said(mut self, said: Vec<String>) -> Gaps {
        self.said = said;
        self
    }

    /// The refusal to go on, unless nothing is missing.
    pub(super) fn refusal(&self, run_id: &str) -> Option<CliError> {
        let options = self.options.iter().map(|option| option_in_words(option));
        let checks = self.checks.iter().map(|command| check_in_words(command));
        let said = self.said.iter().map(|text| format!("what you said (\"{}\")", one_line(text, SHOWN_CHARS)));
        let missing: Vec<String> = options.chain(checks).chain(self.configured.iter().cloned()).chain(said).collect();
        if missing.is_empty() {
            return None;
        }
        let mut command = format!("ccc resume {run_id}");
        if !self.configured.is_empty() {
            command.push_str(" --reload");
        }
        for check in self.all_checks.iter().filter(|_| !self.checks.is_empty()) {
            command.push_str(&if has_gap(check) {
                " --check CMD".to_owned()
            } else {
                format!(" --check{}", words([check]))
            });
        }
        if !self.said.is_empty() {
            command.push_str(" -p \"TEXT\"");
        }
        if !self.options.is_empty() {
            command.push_str(" --");
            self.options.iter().for_each(|option| command.push_str(&format!(" {} VALUE", quoted(option))));
        }
        let message = format!("the journal keeps no secrets, and these held one: {}", missing.join(", "));
        Some(CliError::new(ErrorKind::Usage, message).hint(format!("give them again: {command}")))
    }
}

fn option_in_words(option: &str) -> String {
    format!("the agent's option {option}")
}

fn check_in_words(command: &str) -> String {
    format!("the check `{}`", one_line(command, SHOWN_CHARS))
}

#[cfg(test)]
mod tests {
    use super::Gaps;
    use crate::core::{CheckPlan, Plan};
    use crate::driver;

    fn plan(agent_args: &[&str], checks: &[&str]) -> Plan {
        let journal = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/compat/1.1/journal.jsonl");
        let rebuilt = driver::rebuild(std::path::Path::new(journal), |_, _| {}).expect("a run");
        Plan {
            agent_args: agent_args.iter().map(|&arg| arg.to_owned()).collect(),
            checks: checks.iter().map(|&command| CheckPlan { command: command.to_owned(), timeout_ms: 1 }).collect(),
            ..rebuilt.core.plan().clone()
        }
    }

    #[test]
    fn what_the_journal_has_a_mark_for_is_named_with_the_command_that_gives_it_again() {
        let args = ["--model", "opus", "--mcp-config", "{\"TOK\":\"[redacted:github]\"}"];
        let checks = ["make test", "curl -H [redacted:bearer] x"];
        let said = || vec!["Deploy with [redacted:value]\nnow".to_owned()];
        let rows: [(Gaps, &[&str], &str); 5] = [
            (
                Gaps::of(&plan(&args, &[]), &plan(&args, &[]).agent_args, true, false),
                &["the agent's option --mcp-config"],
                "ccc resume r1 -- --mcp-config VALUE",
            ),
            (
                Gaps::of(&plan(&[], &checks), &[], true, true),
                &["the check `curl"],
                "ccc resume r1 --check \"make test\" --check CMD",
            ),
            (Gaps::of(&plan(&[], &checks), &[], true, false), &["the check `curl"], "ccc resume r1 --reload"),
            (
                Gaps::of(&plan(&[], &[]), &[], true, false).and_said(said()),
                &["what you said (\"Deploy with [redacted:value]"],
                "ccc resume r1 -p \"TEXT\"",
            ),
            (
                Gaps::of(&plan(&args, &checks), &plan(&args, &[]).agent_args, true, false).and_said(said()),
                &["--mcp-config", "the check", "what you said"],
                "ccc resume r1 --reload -p \"TEXT\" -- --mcp-config VALUE",
            ),
        ];
        for (gaps, named, command) in rows {
            let refusal = format!("{:?}", gaps.refusal("r1").expect("a refusal"));
            for part in named.iter().chain([&command]) {
                assert!(refusal.contains(&part.replace('"', "\\\"")), "{part}: {refusal}");
            }
        }
        // What the present configuration holds instead, and what has no mark, is not missing.
        assert!(Gaps::of(&plan(&[], &checks), &[], false, false).refusal("r1").is_none());
        assert!(Gaps::of(&plan(&["--model", "opus"], &["make"]), &[], true, true).refusal("r1").is_none());
    }
}
