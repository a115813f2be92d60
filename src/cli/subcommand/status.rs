//! `ccc status`.

use clap::Args;
use serde::Serialize;

use crate::cli::agent::roster;
use crate::cli::standing::{self, Standing};
use crate::cli::{CliError, Context, ExitCode, notifying, queue, steer};
use crate::driver;
use crate::fleet::{AgentRecord, State};
use crate::journal::RunSummary;
use crate::ui::{clean, format};

/// Show how one agent or run stands: state, iterations, cost, place, and what it asks.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// Its name, its id, or the beginning of either; without it, the one that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Print one JSON object instead.
    #[arg(long)]
    pub json: bool,
}

/// A run in JSON.
#[derive(Serialize)]
struct Stands<'a> {
    id: &'a str,
    state: &'a str,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a AgentRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Standing>,
    /// What it waits for, if it has not started yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'a str>,
}

/// Shows the run.
///
/// # Errors
/// When there is no such run.
pub fn run(args: StatusArgs, context: &Context) -> Result<ExitCode, CliError> {
    let dir = steer::find_or_last(args.run.as_deref(), context)?;
    notifying::deliver_left_of_ended(&dir, context);
    let agent = AgentRecord::read(&dir).ok().flatten();
    let summary = RunSummary::read(&dir.summary()).ok();
    let state = State::of(&dir, summary.as_ref());
    let live = state.is_active().then(|| standing::ask(&dir));
    let waits_for = if agent.is_some() && !state.is_active() {
        queue::waiting(&roster(context)?.agents, context).remove(dir.id())
    } else {
        None
    };
    if args.json {
        let stands = Stands {
            id: dir.id(),
            state: state.in_words(),
            active: state.is_active(),
            agent: agent.as_ref(),
            run: summary.as_ref(),
            live: live.as_ref(),
            waits_for: waits_for.as_deref(),
        };
        return context.printer.only_json(&stands);
    }
    let row =
        |label: &str, value: &str| context.printer.line(format_args!("{label:<11}{}", clean::one_line(value, 400)));
    if let Some(agent) = &agent {
        row("name", &agent.name);
    }
    row("run", dir.id());
    row("state", state.in_words());
    if let Some(reason) = &waits_for {
        row("waits for", reason);
        context.printer.talk(format_args!("to start it at once: ccc resume {}", dir.id()));
    }
    if let Some(run) = &summary {
        row("task", &run.task);
        if let Some(reason) = &run.reason {
            row("reason", reason);
        }
        row("iterations", &run.iteration.to_string());
        row("restarts", &run.restarts.to_string());
        row("cost", &format::money(run.cost_usd));
        if let Some(used) = run.context() {
            row("context", &format::context_with_tokens(&used));
        }
        row("elapsed", &format::seconds(run.took_ms(state.is_active().then(driver::unix_ms))));
        row("directory", &run.cwd);
    }
    if let Some(tree) = agent.as_ref().and_then(|agent| agent.tree.as_ref()) {
        row("branch", &tree.branch);
    }
    for open in live.iter().flat_map(|live| &live.open) {
        row("asks", &format!("{}: {}", open.number, open.about));
        for row in open.rows(dir.id()) {
            context.printer.line(row);
        }
    }
    Ok(ExitCode::COMPLETED)
}
