//! `ccc list`, and the rows that it shares with `ccc tree`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::agent::roster;
use crate::cli::overlap::{Overlap, overlaps};
use crate::cli::standing::{self, Standing};
use crate::cli::{CliError, Context, ExitCode, keeper_world, queue, zone};
use crate::driver;
use crate::fleet::{Agent, AgentRecord, State};
use crate::journal::RunSummary;
use crate::keeper::Notes;
use crate::order::map_of;
use crate::order::sort_by_key;
use crate::tokens::usage::{TopWindow, UsageCache};
use crate::ui::{clean, columns, format};

/// How many files that two agents change are named.
const FILES_SHOWN: usize = 5;
/// How many characters of a task are shown.
const TASK_CHARS: usize = 60;

/// List the agents, the oldest first: name, state or outcome, how long it has worked, iterations, cost, branch and task.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListArgs {
    /// Print one JSON array instead.
    #[arg(long)]
    pub json: bool,

    /// Only the agents whose ccc is running.
    #[arg(long)]
    pub active: bool,

    /// Begin with how much of the usage windows is used; with --json, print one object with `usage` and `agents`.
    #[arg(long)]
    pub usage: bool,
}

/// Lists the agents.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: ListArgs, context: &Context) -> Result<ExitCode, CliError> {
    let mut agents = roster(context)?.agents;
    if args.active {
        agents.retain(|agent| agent.state.is_active());
    }
    let rows: Vec<(usize, &Agent)> = agents.iter().map(|agent| (0, agent)).collect();
    if !args.usage {
        return print(&rows, args.json, context);
    }
    let usage = UsageCache::new(&context.dirs()?.state).read();
    if args.json {
        let object = serde_json::json!({
            "usage": {"five_hour": usage.five_hour, "seven_day": usage.seven_day},
            "agents": listed(&rows, context)?,
        });
        context.printer.json(object);
        return Ok(ExitCode::COMPLETED);
    }
    context.printer.line(heading(usage.five_hour.as_ref(), usage.seven_day.as_ref(), driver::unix_ms()));
    print(&rows, false, context)
}

/// `AGENTS (Session: 45% | Weekly: 62% | resets in 2h 15m / 3d 12h)`. What is not known, or was reset since, is `–`.
fn heading(session: Option<&TopWindow>, weekly: Option<&TopWindow>, now_unix_ms: i64) -> String {
    let now_unix_s = now_unix_ms.div_euclid(1_000);
    let is_present = |window: &&TopWindow| window.resets_at_epoch.is_none_or(|at| at > now_unix_s);
    let (session, weekly) = (session.filter(is_present), weekly.filter(is_present));
    let used = |window: Option<&TopWindow>| {
        let used = window.and_then(|window| window.utilization);
        used.map_or_else(|| "–".to_owned(), |used| format!("{:.0}%", used.floor()))
    };
    let reset = |window: Option<&TopWindow>| {
        let at = window.and_then(|window| window.resets_at_epoch);
        at.map_or_else(|| "–".to_owned(), |at| format::away(at.saturating_mul(1_000), now_unix_ms))
    };
    format!(
        "AGENTS (Session: {} | Weekly: {} | resets in {} / {})",
        used(session),
        used(weekly),
        reset(session),
        reset(weekly)
    )
}

/// The agents as JSON.
fn listed(rows: &[(usize, &Agent)], context: &Context) -> Result<serde_json::Value, CliError> {
    let live = live_of(rows);
    let waiting = waiting(rows, context);
    let overlaps = overlaps(rows.iter().map(|(_, agent)| *agent), context);
    let others = |id: &str| {
        let other = |overlap: &Overlap| overlap.ids.iter().position(|one| one == id).map(|at| 1 - at);
        map_of(
            overlaps
                .iter()
                .filter_map(|overlap| Some((overlap.names.get(other(overlap)?)?.as_str(), overlap.files.as_slice()))),
        )
    };
    let listed: Vec<Listed<'_>> = rows
        .iter()
        .map(|(level, agent)| Listed {
            record: &agent.record,
            state: agent.state.in_words(),
            active: agent.state.is_active(),
            level: *level,
            live: live.get(agent.dir.id()),
            waits_for: waiting.get(agent.dir.id()).map(String::as_str),
            run: agent.summary.as_ref(),
            also_changed_by: others(agent.dir.id()),
        })
        .collect();
    serde_json::to_value(&listed).map_err(CliError::failed)
}

/// What those wait for that have not started yet.
fn waiting(rows: &[(usize, &Agent)], context: &Context) -> BTreeMap<String, String> {
    // The oldest is the next, wherever it stands in the tree.
    let mut agents: Vec<&Agent> = rows.iter().map(|(_, agent)| *agent).collect();
    sort_by_key(&mut agents, |agent| (agent.record.created_unix_ms, agent.dir.id()));
    queue::waiting(agents, context)
}

/// What the active ones say.
fn live_of(rows: &[(usize, &Agent)]) -> BTreeMap<String, Standing> {
    let active = rows.iter().filter(|(_, agent)| agent.state.is_active()).map(|(_, agent)| &agent.dir);
    standing::ask_all(active)
}

/// An agent in JSON.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    record: &'a AgentRecord,
    /// How it stands.
    state: &'a str,
    /// Whether a ccc works on it.
    active: bool,
    /// How many agents of the list are its managers.
    level: usize,
    /// What it asks; absent when it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Standing>,
    /// What it waits for, if it has not started yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunSummary>,
    /// The files that it and other running agents change, by the name of the other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    also_changed_by: BTreeMap<&'a str, &'a [PathBuf]>,
}

/// Prints the agents, each with its level in the tree.
///
/// # Errors
/// When they cannot be written as JSON.
pub(super) fn print(rows: &[(usize, &Agent)], json: bool, context: &Context) -> Result<ExitCode, CliError> {
    if json {
        return context.printer.only_json(&listed(rows, context)?);
    }
    if rows.is_empty() {
        context.printer.talk("there are no agents; to start one: ccc new \"TASK\"");
        return Ok(ExitCode::COMPLETED);
    }
    let live = live_of(rows);
    let overlaps = overlaps(rows.iter().map(|(_, agent)| *agent), context);
    let waiting = waiting(rows, context);
    let now_unix_ms = driver::unix_ms();
    let waits = |(_, agent): &(usize, &Agent)| {
        let reason = waiting.get(agent.dir.id())?;
        Some(format!("{} waits in the queue: {reason}", clean::one_line(&agent.record.name, 40)))
    };
    let notes: Vec<String> = rows.iter().filter_map(waits).chain(dead(rows, now_unix_ms, context)).collect();
    let rows: Vec<[String; 7]> =
        rows.iter().map(|(level, agent)| cells(*level, agent, live.get(agent.dir.id()), now_unix_ms)).collect();
    let table = table(&rows, context.printer.columns());
    context.printer.lines(table.into_iter().chain(notes).chain(overlaps.iter().map(told)));
    Ok(ExitCode::COMPLETED)
}

/// What becomes of the agents whose ccc has died.
fn dead(rows: &[(usize, &Agent)], now_unix_ms: i64, context: &Context) -> Vec<String> {
    let dead: Vec<&Agent> = rows.iter().map(|(_, agent)| *agent).filter(|agent| agent.state == State::Died).collect();
    let Ok(dirs) = context.dirs() else { return Vec::new() };
    if dead.is_empty() {
        return Vec::new();
    }
    let notes = Notes::read(&dirs.state).unwrap_or_default();
    let (rules, zone) = (keeper_world::rules(context, now_unix_ms), zone::of_process());
    let told = |agent: &&Agent| {
        let name = clean::one_line(&agent.record.name, 40);
        let next = match (notes.continued_at(agent, &rules, now_unix_ms), notes.given_up(&agent.record.id)) {
            (Some(at), _) if at > now_unix_ms => {
                format!("the keeper continues it at {}", format::due(at, now_unix_ms, &zone))
            }
            (Some(_), _) => "the keeper continues it now".to_owned(),
            (None, _) if notes.continues(agent, &rules, now_unix_ms) => {
                "the keeper continues it when the usage allows it".to_owned()
            }
            (None, Some(why)) => format!("the keeper has given up: {why}; to continue it: ccc resume {name}"),
            (None, None) => format!("nothing continues it by itself; to continue it: ccc resume {name}"),
        };
        format!("{name} has lost its ccc: {next}")
    };
    dead.iter().map(told).collect()
}

/// Which files two agents change.
fn told(overlap: &Overlap) -> String {
    let [one, other] = &overlap.names;
    let mut files: Vec<String> =
        overlap.files.iter().take(FILES_SHOWN).map(|file| clean::one_line(&file.display().to_string(), 200)).collect();
    if overlap.files.len() > FILES_SHOWN {
        files.push(format!("and {} more", overlap.files.len() - FILES_SHOWN));
    }
    format!("{one} and {other} change the same files: {}", files.join(", "))
}

/// The cells of an agent: name, state, time, iterations, cost, branch, task.
fn cells(level: usize, agent: &Agent, live: Option<&Standing>, now_unix_ms: i64) -> [String; 7] {
    let record = &agent.record;
    // Of one that has ended, how long it has worked, and not how long ago it was started.
    let time_ms = match &agent.summary {
        Some(run) if agent.state != State::Queued => run.took_ms(agent.state.is_active().then_some(now_unix_ms)),
        Some(_) | None => u64::try_from(now_unix_ms.saturating_sub(record.created_unix_ms)).unwrap_or(0),
    };
    let state = match live {
        Some(live) if !live.open.is_empty() => "asks".to_owned(),
        Some(live) if live.rests => "ready".to_owned(),
        Some(_) | None => clean::one_line(agent.state.in_words(), 20),
    };
    let summary = agent.summary.as_ref();
    [
        format!("{}{}", "  ".repeat(level), clean::one_line(&record.name, 40)),
        state,
        format::seconds(time_ms),
        summary.map_or_else(|| "0".to_owned(), |run| run.iteration.to_string()),
        format::money(summary.and_then(|run| run.cost_usd)),
        record.tree.as_ref().map_or_else(|| "-".to_owned(), |tree| clean::one_line(&tree.branch, 60)),
        summary.map_or_else(String::new, |run| clean::one_line(&run.task, TASK_CHARS)),
    ]
}

/// The column of the branch, and that of the task.
const BRANCH: usize = 5;
const TASK: usize = 6;
/// A narrower task says nothing: then the branch is left out.
const TASK_LEAST: usize = 20;
/// Between two columns.
const GAP: &str = "  ";

/// The heading and one line for each agent. Columns are as wide as their widest value, and the task gets the rest. On a narrow
/// terminal the branch makes room for it: mostly it is the agent's name again.
fn table(rows: &[[String; 7]], columns: Option<u16>) -> Vec<String> {
    let heading = ["NAME", "STATE", "TIME", "ITER", "COST", "BRANCH", "TASK"].map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let width = |at: usize| all().map(|cells| cells.get(at).map_or(0, |cell| columns::of(cell))).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let before_task: usize = widths.iter().take(TASK).map(|width| width + GAP.len()).sum();
    let task_least = widths[TASK].min(TASK_LEAST);
    let has_branch = columns.is_none_or(|columns| usize::from(columns) >= before_task + task_least);
    let line = |cells: &[String; 7]| {
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate().filter(|(at, _)| has_branch || *at != BRANCH) {
            let gap = " ".repeat(width.saturating_sub(columns::of(cell)));
            // Numbers end below each other.
            let (before, after) = if (2..=4).contains(&at) { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(after);
            line.push_str(GAP);
        }
        let line = line.trim_end().to_owned();
        columns.map_or_else(|| line.clone(), |columns| columns::cut(&line, usize::from(columns)))
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;
    use crate::journal::RunDir;

    fn agent(state: &std::path::Path, id: &str, name: &str, fields: &str, run: Option<&str>) {
        let dir = RunDir::create(state, id).expect("a run");
        let record = format!(
            r#"{{"version":1,"id":"{id}","name":"{name}","role":"worker","created_unix_ms":1,"project":"/home/u/shop"{fields}}}"#
        );
        std::fs::write(dir.path().join("agent.json"), record).expect("written");
        if let Some(end) = run {
            let json = format!(
                r#"{{"version":1,"id":"{id}","task":"do a lot of it","cwd":"/t","pid":1,"started_unix_ms":0,"updated_unix_ms":0,
                "phase":"working","iteration":2,"restarts":0,"rotations":0,"waited_ms":0,"cost_usd":0.5{end}}}"#
            );
            std::fs::write(dir.summary(), json).expect("written");
        }
    }

    #[test]
    fn the_list_names_each_agent_with_how_it_stands_and_fits_the_terminal() {
        let state = tempfile::tempdir().expect("a directory");
        let seen = Captured::default();
        run(ListArgs { json: false, active: false, usage: false }, &seen.context(state.path(), Some(80)))
            .expect("listed");
        assert!(seen.messages().contains("ccc new \"TASK\""), "{}", seen.messages());
        let tree =
            r#","tree":{"path":"/w/a","branch":"agent/login","base":"abc","repository":"/r","common_dir":"/r/.git"}"#;
        let end = r#","outcome":"completed","ended_unix_ms":9000000,"elapsed_ms":65000"#;
        agent(state.path(), "20261128-100000-aaaa", "login", tree, Some(end));
        agent(state.path(), "20261128-100001-bbbb", "other", r#","manager":"20261128-100000-aaaa""#, None);
        for columns in [Some(40), Some(80), None] {
            let seen = Captured::default();
            run(ListArgs { json: false, active: false, usage: false }, &seen.context(state.path(), columns))
                .expect("listed");
            let text = seen.text();
            let lines: Vec<&str> = text.lines().collect();
            assert!(
                lines.iter().all(|line| columns.is_none_or(|most| columns::of(line) <= usize::from(most))),
                "{text}"
            );
            // Its own time, and neither that since its start nor that in which no ccc worked on it.
            assert!(lines[0].contains("TIME") && lines[1].contains("1m 05s"), "{text}");
            assert!(lines[0].starts_with("NAME   STATE"), "{text}");
            assert!(lines[1].starts_with("login  completed"), "{text}");
            assert!(lines[2].starts_with("other  died"), "{text}");
            // It died long ago.
            let note = "other has lost its ccc: nothing continues it by itself; to continue it: ccc resume other";
            assert!(columns.is_some() || lines[3] == note, "{text}");
            assert!(columns == Some(40) || lines[1].contains("$0.50  agent/login"), "{text}");
        }
        let seen = Captured::default();
        run(ListArgs { json: true, active: false, usage: false }, &seen.context(state.path(), None)).expect("listed");
        let listed: serde_json::Value = serde_json::from_str(&seen.text()).expect("JSON");
        assert_eq!(listed[0]["state"], "completed");
        assert_eq!(listed[0]["tree"]["branch"], "agent/login");
        assert_eq!(listed[1]["active"], false);
        let seen = Captured::default();
        run(ListArgs { json: true, active: true, usage: false }, &seen.context(state.path(), None)).expect("listed");
        assert_eq!(seen.text().trim(), "[]");
    }

    #[test]
    fn the_branch_makes_room_for_the_task_on_a_narrow_terminal() {
        let row = |name: &str, task: &str| {
            let branch = format!("agent/{name}");
            [name, "completed", "1h 02m", "12", "$10.50", &branch, task].map(str::to_owned)
        };
        let rows = [row("a-name-of-some-length", "Make the login tests pass, and commit"), row("short", "Do it.")];
        let wide = table(&rows, Some(120));
        assert!(wide[1].contains("agent/a-name-of-some-length  Make the login tests") && wide[0].contains("BRANCH"));
        let narrow = table(&rows, Some(80));
        assert!(!narrow[0].contains("BRANCH") && narrow[1].contains("$10.50  Make the login tests"), "{narrow:#?}");
        // Short tasks need no more room than they have.
        let few = table(&[row("login", "Do it.")], Some(60));
        assert!(few[1].ends_with("agent/login  Do it."), "{few:#?}");
    }

    #[test]
    fn the_heading_says_what_is_known_of_the_usage_and_invents_nothing() {
        let window = |used, at| TopWindow { utilization: Some(used), resets_at: None, resets_at_epoch: Some(at) };
        let now_unix_ms = 1_800_000_000_000;
        let (session, weekly) = (window(45.9, 1_800_008_100), window(62.0, 1_800_302_400));
        assert_eq!(
            heading(Some(&session), Some(&weekly), now_unix_ms),
            "AGENTS (Session: 45% | Weekly: 62% | resets in 2h 15m / 3d 12h)"
        );
        let past = window(99.0, 1_799_999_999);
        assert_eq!(heading(Some(&past), None, now_unix_ms), "AGENTS (Session: – | Weekly: – | resets in – / –)");
    }
}
