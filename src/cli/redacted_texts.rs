//! Texts that a run's journal does not hold in full, because it has a mark in place of each secret. A run that continued with the
//! mark would not do what the user asked for, so the user must give such a text again.

use crate::cli::CliError;
use crate::core::Plan;
use crate::core::shell::{quoted, words};
use crate::ui::clean::one_line;
use redaction::mark_in;

/// How many characters of a text are shown.
const SHOWN_CHARS: usize = 60;

/// Whether a secret was removed from this text.
pub(super) fn is_redacted(text: &str) -> bool {
    mark_in(text).is_some()
}

/// What the user must give again before a run continues.
#[derive(Debug, Default)]
pub(super) struct RedactedTexts {
    /// Options for the agent that were given on the command line.
    options: Vec<String>,
    /// Settings of the configuration, in words.
    configured: Vec<String>,
    /// Commands of checks that were given on the command line and have a redacted part; `all_checks` also has the others.
    checks: Vec<String>,
    all_checks: Vec<String>,
    /// What the user has said and the agent has not received yet.
    said: Vec<String>,
}

impl RedactedTexts {
    /// The redacted texts of a plan. `given` are the agent's arguments from the command line. `configured` tells whether the
    /// plan's values are used for the settings of the configuration, and `checks_given` whether the checks come from the command
    /// line.
    pub(super) fn of(plan: &Plan, given: &[String], configured: bool, checks_given: bool) -> RedactedTexts {
        let apart = |args: &[String]| plan.agent.args_apart(args, &is_redacted).1;
        let all_checks: Vec<String> = plan.checks.iter().map(|check| check.command.clone()).collect();
        let checks: Vec<String> = all_checks.iter().filter(|command| is_redacted(command)).cloned().collect();
        let mut gaps = RedactedTexts { options: apart(given), ..RedactedTexts::default() };
        if checks_given {
            (gaps.checks, gaps.all_checks) = (checks, all_checks);
        } else if configured {
            gaps.configured.extend(checks.iter().map(|command| check_in_words(command)));
        }
        if configured {
            let setup = plan.setup.iter().map(|setup| &setup.command).filter(|command| is_redacted(command));
            gaps.configured.extend(setup.map(|command| setup_in_words(command)));
            let options = apart(plan.configured_agent_args());
            gaps.configured.extend(options.iter().map(|option| option_in_words(option)));
            let critic = &plan.critic;
            if critic.allow.iter().chain(&critic.model).any(|text| is_redacted(text)) {
                gaps.configured.push("the critic's settings".to_owned());
            }
            if is_redacted(&critic.prompt) {
                gaps.configured.push("the critic's prompt (SUPERVISOR.md)".to_owned());
            }
        }
        gaps
    }

    /// Adds these messages of the user, which were not given again.
    pub(super) fn and_said(mut self, said: Vec<String>) -> RedactedTexts {
        self.said = said;
        self
    }

    /// The error that refuses to continue; `None` when nothing is missing.
    pub(super) fn refusal(&self, run_id: &str) -> Option<CliError> {
        let options = self.options.iter().map(|option| option_in_words(option));
        let checks = self.checks.iter().map(|command| check_in_words(command));
        let said = self.said.iter().map(|text| format!("your message (\"{}\")", one_line(text, SHOWN_CHARS)));
        let missing: Vec<String> = options.chain(checks).chain(self.configured.iter().cloned()).chain(said).collect();
        if missing.is_empty() {
            return None;
        }
        let mut command = format!("ccc resume {run_id}");
        if !self.configured.is_empty() {
            command.push_str(" --reload");
        }
        for check in self.all_checks.iter().filter(|_| !self.checks.is_empty()) {
            command.push_str(&if is_redacted(check) {
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
        let message =
            format!("the journal does not store secrets, so these have to be given again: {}", missing.join(", "));
        Some(CliError::usage(message).hint(format!("type: {command}")))
    }
}

fn option_in_words(option: &str) -> String {
    format!("the agent's option {option}")
}

fn setup_in_words(command: &str) -> String {
    format!("the setup command `{}`", one_line(command, SHOWN_CHARS))
}

fn check_in_words(command: &str) -> String {
    format!("the check `{}`", one_line(command, SHOWN_CHARS))
}

#[cfg(test)]
mod tests {
    use super::RedactedTexts;
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
        let rows: [(RedactedTexts, &[&str], &str); 5] = [
            (
                RedactedTexts::of(&plan(&args, &[]), &plan(&args, &[]).agent_args, true, false),
                &["the agent's option --mcp-config"],
                "ccc resume r1 -- --mcp-config VALUE",
            ),
            (
                RedactedTexts::of(&plan(&[], &checks), &[], true, true),
                &["the check `curl"],
                "ccc resume r1 --check \"make test\" --check CMD",
            ),
            (RedactedTexts::of(&plan(&[], &checks), &[], true, false), &["the check `curl"], "ccc resume r1 --reload"),
            (
                RedactedTexts::of(&plan(&[], &[]), &[], true, false).and_said(said()),
                &["your message (\"Deploy with [redacted:value]"],
                "ccc resume r1 -p \"TEXT\"",
            ),
            (
                RedactedTexts::of(&plan(&args, &checks), &plan(&args, &[]).agent_args, true, false).and_said(said()),
                &["--mcp-config", "the check", "your message"],
                "ccc resume r1 --reload -p \"TEXT\" -- --mcp-config VALUE",
            ),
        ];
        for (gaps, named, command) in rows {
            let refusal = format!("{:?}", gaps.refusal("r1").expect("a refusal"));
            for part in named.iter().chain([&command]) {
                assert!(refusal.contains(&part.replace('"', "\\\"")), "{part}: {refusal}");
            }
        }
        // A setting that the present configuration replaces is not missing, nor is a text without a mark.
        assert!(RedactedTexts::of(&plan(&[], &checks), &[], false, false).refusal("r1").is_none());
        assert!(RedactedTexts::of(&plan(&["--model", "opus"], &["make"]), &[], true, true).refusal("r1").is_none());
    }
}
