//! `ccc events`.

use std::collections::BTreeSet;

use clap::Args;

use crate::cli::agent::roster;
use crate::cli::{CliError, Context, ExitCode};
use crate::driver;
use crate::fleet::{Agent, Queued, State};
use crate::ui::{clean, format};
use crate::watch::follow_states;

/// In the place of a time that is not known, as wide as one.
const UNKNOWN: &str = "--:--:--";

/// Print how each agent stands, and with --follow each change of a state as it happens.
///
/// The changes are those that `ccc list` shows: started, working, checking, reviewing, asking, and the outcome. What happens
/// within an agent is shown by `ccc follow NAME`. The time before each is when the agent came to stand so, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EventsArgs {
    /// Go on with each change, until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,

    /// Print one JSON object for each event.
    #[arg(long)]
    pub json: bool,
}

/// Prints the events.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: EventsArgs, context: &Context) -> Result<ExitCode, CliError> {
    if !args.follow {
        for agent in &roster(context)?.agents {
            tell(agent, None, args.json, context);
        }
        return Ok(ExitCode::COMPLETED);
    }
    let began_unix_ms = driver::unix_ms();
    let mut told: BTreeSet<String> = BTreeSet::new();
    follow_states(&context.dirs()?.state, &mut |agent| {
        // An agent that was there before is first told as it stands.
        let is_change = !told.insert(agent.record.id.clone()) || agent.record.created_unix_ms >= began_unix_ms;
        tell(agent, is_change.then(driver::unix_ms), args.json, context);
        !context.printer.reader_has_gone()
    })
    .map_err(|error| CliError::io(format!("the agents cannot be followed: {error}")))?;
    Ok(ExitCode::COMPLETED)
}

/// When the agent came to stand as it does: its end, or since when it waits. `changed_unix_ms` is when a change was seen, which
/// is the only time that is known of any other state.
fn since(agent: &Agent, changed_unix_ms: Option<i64>) -> Option<i64> {
    let known = match agent.state {
        State::Ended(_) => agent.summary.as_ref().and_then(|run| run.ended_unix_ms),
        State::Queued => Queued::read(&agent.dir).ok().flatten().map(|queued| queued.since_unix_ms),
        State::Active(_) | State::Ready | State::Died => None,
    };
    known.or(changed_unix_ms)
}

fn tell(agent: &Agent, changed_unix_ms: Option<i64>, json: bool, context: &Context) {
    let (record, at_unix_ms) = (&agent.record, since(agent, changed_unix_ms));
    let summary = agent.summary.as_ref();
    let iteration = summary.map_or(0, |run| run.iteration);
    if json {
        context.printer.json(serde_json::json!({
            "version": 1,
            "at_unix_ms": at_unix_ms,
            "id": record.id,
            "name": record.name,
            "manager": record.manager,
            "state": agent.state.in_words(),
            "active": agent.state.is_active(),
            "iteration": iteration,
            "cost_usd": summary.and_then(|run| run.cost_usd),
            "reason": summary.and_then(|run| run.reason.as_deref()),
        }));
        return;
    }
    let (now_unix_ms, zone) = (driver::unix_ms(), crate::cli::zone::of_process());
    let time = at_unix_ms.map_or_else(
        || UNKNOWN.to_owned(),
        |at| {
            let is_today = format::date(at, &zone) == format::date(now_unix_ms, &zone);
            if is_today { format::time_of_day(at, &zone) } else { format::moment(at, now_unix_ms, &zone) }
        },
    );
    let reason = summary.and_then(|run| run.reason.as_deref());
    let reason = reason.map(|reason| format!(": {}", clean::one_line(reason, 200))).unwrap_or_default();
    let state = clean::one_line(agent.state.in_words(), 20);
    context.printer.line(format_args!("{time} {} {state}{reason}", clean::one_line(&record.name, 40)));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::captured::Captured;
    use crate::cli::zone;
    use crate::fleet::{AgentRecord, Role};
    use crate::journal::RunDir;

    #[test]
    fn each_agent_is_told_with_the_time_of_its_own_event_or_with_none() {
        let state = tempfile::tempdir().expect("a directory");
        let ended_unix_ms = driver::unix_ms() - 3 * 24 * 3_600_000;
        for (number, name, end) in [
            (1, "done", format!(r#","outcome":"completed","ended_unix_ms":{ended_unix_ms}"#)),
            (2, "dead", String::new()),
        ] {
            let id = format!("20261128-10000{number}-aaaa");
            let dir = RunDir::create(state.path(), &id).expect("a run");
            AgentRecord::new(&id, name, Role::Worker, 1, Path::new("/p")).write(&dir).expect("written");
            let json = format!(
                r#"{{"version":1,"id":"{id}","task":"t","cwd":"/t","pid":1,"started_unix_ms":0,"updated_unix_ms":0,
                "phase":"working","iteration":2,"restarts":0,"rotations":0,"waited_ms":0{end}}}"#
            );
            std::fs::write(dir.summary(), json).expect("written");
        }
        let told = |json| {
            let seen = Captured::default();
            run(EventsArgs { follow: false, json }, &seen.context(state.path(), None)).expect("told");
            seen.text()
        };
        let ended = format::moment(ended_unix_ms, driver::unix_ms(), &zone::of_process());
        let text = told(false);
        assert!(text.lines().any(|line| line == format!("{ended} done completed")), "{text}");
        assert!(text.lines().any(|line| line == "--:--:-- dead died"), "{text}");
        let events: Vec<serde_json::Value> =
            told(true).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let time_of = |name: &str| &events.iter().find(|event| event["name"] == name).expect("told")["at_unix_ms"];
        assert_eq!((time_of("done"), time_of("dead")), (&ended_unix_ms.into(), &serde_json::Value::Null));
    }
}
