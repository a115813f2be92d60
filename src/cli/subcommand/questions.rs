//! `ccc questions`.

use clap::Args;
use serde::Serialize;

use crate::cli::agent::roster;
use crate::cli::answering::Offered;
use crate::cli::standing::{self, Standing};
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ExitCode};
use crate::core::Outcome;
use crate::driver;
use crate::fleet::{Agent, AgentRecord, State};
use crate::journal::{RunDir, RunSummary, Word};
use crate::order::sort_by_key;
use crate::ui::{clean, format};

/// List everything that waits for you, over all agents and other active runs, the oldest first.
///
/// Agents that are stuck, or have ended because they need you, are listed too, with the command that continues them. `ccc answer RUN
/// NUMBER ANSWER` answers a request. A request that nobody answers is denied after `approvals.unattended`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct QuestionsArgs {
    /// Print one JSON array instead.
    #[arg(long)]
    pub json: bool,
}

/// Something that waits for the user.
#[derive(Debug, Serialize)]
struct Waiting {
    /// The run.
    run: String,
    /// The agent's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The number of the request in the run; `None` for an agent that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// The outcome of an agent that needs its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// What it is about.
    about: String,
    /// The answers that are offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<Offered>,
    /// Since when the run waits for its user, unix milliseconds.
    since_unix_ms: i64,
    /// The command that answers, or continues the agent.
    command: String,
}

/// Lists the questions.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: QuestionsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let active: Vec<(RunDir, RunSummary)> = RunDir::list(state)
        .map_err(|error| state_error(&error))?
        .runs
        .into_iter()
        .filter(|(dir, run)| run.outcome.is_none() && State::of(dir, Some(run)).is_active())
        .collect();
    let asked = standing::ask_all(active.iter().map(|(dir, _)| dir));
    let mut waiting: Vec<Waiting> = active
        .iter()
        .filter_map(|(dir, run)| Some((dir, run, asked.get(dir.id())?)))
        .flat_map(|(dir, run, standing)| of_run(dir, run, standing))
        .collect();
    waiting.extend(roster(context)?.agents.iter().filter_map(of_ended));
    sort_by_key(&mut waiting, |one| (one.since_unix_ms, one.run.clone(), one.number));
    if args.json {
        return context.printer.only_json(&waiting);
    }
    if waiting.is_empty() {
        context.printer.talk("nothing waits for you");
    }
    let now_unix_ms = driver::unix_ms();
    for one in &waiting {
        let age_ms = u64::try_from(now_unix_ms.saturating_sub(one.since_unix_ms)).unwrap_or(0);
        let who = one.name.as_deref().unwrap_or(&one.run);
        let what = match (one.number, one.outcome.and_then(Outcome::named)) {
            (Some(number), _) => number.to_string(),
            (None, outcome) => outcome.map_or_else(String::new, |outcome| outcome.in_words().to_owned()),
        };
        context.printer.line(format_args!("{who}: {what}: {} ({} ago)", one.about, format::seconds(age_ms)));
        for row in Offered::rows(&one.options) {
            context.printer.line(row);
        }
        context.printer.line(format_args!("    {}", one.command));
    }
    Ok(ExitCode::COMPLETED)
}

fn of_run(dir: &RunDir, run: &RunSummary, standing: &Standing) -> Vec<Waiting> {
    let name = AgentRecord::read(dir).ok().flatten().map(|record| record.name);
    let one = |open: &standing::OpenRequest| Waiting {
        run: dir.id().to_owned(),
        name: name.clone(),
        number: Some(open.number),
        outcome: None,
        about: open.about.clone(),
        options: open.options.clone(),
        since_unix_ms: run.updated_unix_ms,
        command: open.command(name.as_deref().unwrap_or(dir.id())),
    };
    standing.open.iter().map(one).collect()
}

/// An agent that has ended because only its user can help.
fn of_ended(agent: &Agent) -> Option<Waiting> {
    let State::Ended(Word::Known(outcome @ (Outcome::NeedsUser | Outcome::Stuck))) = agent.state else { return None };
    if agent.record.removed_unix_ms.is_some() {
        return None;
    }
    let summary = agent.summary.as_ref()?;
    let name = &agent.record.name;
    Some(Waiting {
        run: agent.record.id.clone(),
        name: Some(name.clone()),
        number: None,
        outcome: Some(outcome.as_str()),
        about: clean::one_line(summary.reason.as_deref().unwrap_or_default(), REASON_CHARS),
        options: Vec::new(),
        since_unix_ms: summary.ended_unix_ms.unwrap_or(summary.updated_unix_ms),
        command: summary.resume.clone().unwrap_or_else(|| format!("ccc resume {name}")),
    })
}

/// How many characters of a reason are shown.
const REASON_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;
    use crate::fleet::Role;

    #[test]
    fn agents_that_only_their_user_can_help_are_listed_until_they_are_removed() {
        let state = tempfile::tempdir().expect("a directory");
        let ended = |number: u32, outcome: &str, removed: bool| {
            let id = format!("20261128-10000{number}-aaaa");
            let dir = RunDir::create(state.path(), &id).or_else(|_| RunDir::at(state.path(), &id)).expect("a run");
            let record = AgentRecord::new(dir.id(), outcome, Role::Worker, 1, std::path::Path::new("/p"));
            let record = AgentRecord { removed_unix_ms: removed.then_some(2), ..record };
            record.write(&dir).expect("written");
            let json = format!(
                r#"{{"version":1,"id":"{}","task":"t","cwd":"/t","pid":1,"started_unix_ms":0,"updated_unix_ms":0,"ended_unix_ms":{number},
                "phase":"finished","iteration":2,"restarts":0,"rotations":0,"waited_ms":0,"outcome":"{outcome}",
                "reason":"the same again","resume":"ccc resume {outcome} -p \"TEXT\""}}"#,
                dir.id()
            );
            std::fs::write(dir.summary(), json).expect("written");
        };
        ended(1, "stuck", false);
        ended(2, "needs_user", false);
        ended(3, "completed", false);
        let seen = Captured::default();
        run(QuestionsArgs { json: false }, &seen.context(state.path(), None)).expect("listed");
        let text = seen.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("stuck: stuck: the same again (") && lines.len() == 4, "{text}");
        assert_eq!(lines[1], "    ccc resume stuck -p \"TEXT\"");
        assert!(lines[2].starts_with("needs_user: needs you: the same again ("), "{text}");
        ended(1, "stuck", true);
        let seen = Captured::default();
        run(QuestionsArgs { json: true }, &seen.context(state.path(), None)).expect("listed");
        let listed: serde_json::Value = serde_json::from_str(&seen.text()).expect("JSON");
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!((&listed[0]["outcome"], &listed[0]["number"]), (&"needs_user".into(), &serde_json::Value::Null));
    }
}
