//! What an ended run needs before it can continue. The `ccc resume` command is made from it.

use serde::{Deserialize, Serialize};

use super::outcome::Denied;
use super::policy::Pause;
use super::shell::words;
use super::{Core, Guard, Outcome};
use crate::agent::{AllowedBy, Denial};

/// The most permission rules in one command.
const MAX_RULES: usize = 8;

/// What a run needs in addition to what its outcome always needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Needs {
    /// Other arguments: the agent's CLI rejected the present ones. `proven` need not be given again. `falls_back`: a plain
    /// resume uses `proven`, since the CLI has accepted those before.
    Arguments { proven: Vec<String>, falls_back: bool },
    /// A permission, which these arguments of the agent give.
    Permission { arguments: Vec<String> },
    /// The end of a limit, at `at_unix_ms` by the clock that showed `now_unix_ms` at the end of the run. `announced`: the
    /// provider named that moment; otherwise it is when the run would have retried.
    Reset { at_unix_ms: i64, announced: bool, now_unix_ms: i64 },
    /// A command that can be run, in place of each of these checks.
    Checks { commands: Vec<String> },
    /// The user's agreement to what the project's files ask for (`ccc trust`).
    Agreement,
    /// A setup that passes (`ccc setup`).
    Setup,
}

impl Core {
    /// Ends the run and records what it needs to continue.
    pub(super) fn close_needing(&mut self, outcome: Outcome, reason: &str, needs: Needs) {
        self.close_with(outcome, reason, Some(needs));
    }

    /// Ends the run at a limit instead of waiting; `pause` is the wait that is not begun.
    pub(super) fn close_at_limit(&mut self, pause: &Pause, reason: &str) {
        let now_unix_ms = self.unix_ms();
        let announced = pause.until_unix_ms().map(|until| until.saturating_sub(self.reset_jitter_ms()));
        let at_unix_ms = announced.unwrap_or_else(|| self.unix_ms_at(pause.due()));
        self.close_needing(
            Outcome::Limits,
            reason,
            Needs::Reset { at_unix_ms, announced: announced.is_some(), now_unix_ms },
        );
    }

    /// Ends the run at a usage limit that it is not to wait for. `message` is what the CLI said of the limit.
    pub(super) fn close_not_waiting(&mut self, pause: &Pause, message: Option<&str>) {
        let reason = "the usage limit is reached and waiting was not wanted";
        let reason = message.map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"));
        self.close_at_limit(pause, &reason);
    }

    /// The denied permissions that may block the work.
    pub(super) fn needs_permission(&self, outcome: Outcome) -> Option<Needs> {
        let arguments = match outcome.row().denied {
            Denied::Ever => self.permission_arguments(self.tally.denied_most_first()),
            Denied::Lately => self.permission_arguments(self.tally.denied_lately()),
            Denied::Nothing => Vec::new(),
        };
        (!arguments.is_empty()).then_some(Needs::Permission { arguments })
    }

    /// The arguments that allow these calls, except those that are given already.
    fn permission_arguments<'a>(&self, denials: impl IntoIterator<Item = &'a Denial>) -> Vec<String> {
        let (mut mode, mut rules) = (Vec::new(), Vec::new());
        for denial in denials {
            if self.is_in_force(denial) {
                continue;
            }
            match &denial.allowed_by {
                AllowedBy::Nothing => {}
                AllowedBy::Mode { option, mode: name } => mode = vec![option.clone(), name.clone()],
                AllowedBy::Rules { option, rules: needed } => {
                    let new: Vec<&String> = needed.iter().filter(|rule| !rules.contains(*rule)).collect();
                    if rules.is_empty() {
                        rules.push(option.clone());
                    } else if rules.len() + new.len() > MAX_RULES + 1 {
                        // A call needs all of its rules, so a part of them is useless.
                        continue;
                    }
                    rules.extend(new.into_iter().cloned());
                }
            }
        }
        mode.into_iter().chain(rules).collect()
    }

    /// Whether the rule or mode that would allow this call is given already.
    pub(super) fn is_in_force(&self, denial: &Denial) -> bool {
        let given = |argument: &String| self.plan.agent_args.iter().any(|given| given.contains(argument.as_str()));
        match &denial.allowed_by {
            AllowedBy::Nothing => false,
            AllowedBy::Mode { mode, .. } => self.session.permission_mode() == Some(mode),
            AllowedBy::Rules { rules, .. } => rules.iter().all(given),
        }
    }

    /// How the user allows this call; `None` if no rule or mode does.
    pub(super) fn permission_advice(&self, denial: &Denial) -> Option<String> {
        let (option, values) = match &denial.allowed_by {
            AllowedBy::Nothing => return self.advice_without_rule(denial),
            AllowedBy::Mode { option, mode } => (option, std::slice::from_ref(mode)),
            AllowedBy::Rules { option, rules } => (option, rules.as_slice()),
        };
        if self.is_in_force(denial) {
            let given = values.join(" and ");
            let are = if values.len() > 1 { "are" } else { "is" };
            return Some(format!(
                "it is denied although {given} {are} given: look for a deny rule or a hook in the agent's settings"
            ));
        }
        let allow = self.allow_by(std::iter::once(option).chain(values));
        if self.plan.walls.guard == Guard::AgentSandbox {
            // Its own rules deny what lies outside, and no rule of the user's outranks them.
            let run = &self.plan.run_id;
            return Some(format!(
                "{allow}; or, if that lies outside of the project, add its directory to guard.write in your ccc.json: ccc resume {run} --reload"
            ));
        }
        Some(allow)
    }

    /// How to continue when no rule allows the command; `None` if the call is not a command.
    fn advice_without_rule(&self, denial: &Denial) -> Option<String> {
        let every = self.plan.agent.allowing_all_commands();
        if denial.class.is_empty() || every.is_empty() {
            return None;
        }
        let run = &self.plan.run_id;
        let given = |value: &String| self.plan.agent_args.contains(value);
        if every.iter().all(given) {
            return Some("look for a deny rule or a hook in the agent's settings".to_owned());
        }
        Some(format!(
            "no permission rule fits this command; have the agent put it into a script file: ccc resume {run} -p \"Put \
             the command into a script file and run that.\"; or allow every command, in a container: ccc resume {run} --{}",
            words(&every)
        ))
    }

    fn allow_by<'a>(&self, arguments: impl IntoIterator<Item = &'a String>) -> String {
        format!("allow it: ccc resume {} --{}", self.plan.run_id, words(arguments))
    }

    /// What the reason of an outcome adds about missing permissions.
    pub(super) fn missing_permissions(&self, outcome: Outcome, needs: Option<&Needs>) -> Option<String> {
        let missing = self.tally.missing_permissions()?;
        let advice = match (needs, outcome.row().denied) {
            (Some(Needs::Permission { arguments }), Denied::Ever) => Some(self.allow_by(arguments)),
            // The command that resumes the run needs more than the permission.
            (Some(Needs::Permission { arguments }), _) => {
                Some(format!("what allows it, after `--` at `ccc resume`:{}", words(arguments)))
            }
            (_, Denied::Ever) => self.tally.most_denied().and_then(|denial| self.permission_advice(denial)),
            _ => None,
        };
        Some(advice.map_or_else(|| missing.clone(), |advice| format!("{missing}; {advice}")))
    }
}
