//! `ccc watch`.

use std::sync::Arc;

use clap::{Args, Command};

use super::answer::{self, AnswerArgs};
use crate::cli::agent::roster;
use crate::cli::answering::Open;
use crate::cli::steer::Ordered;
use crate::cli::{CliError, Context, ExitCode, agent_tree, inside, keeper_world, queue, zone};
use crate::config::Flags;
use crate::control::protocol::Request;
use crate::core::Show;
use crate::driver::unix_ms;
use crate::process::UserTerminal;
use crate::ui::dashboard::Thresholds;
use crate::watch::{WatchEnd, WatchSetup, watch};

/// Show all agents on one screen, and steer them.
///
/// The agents stand as a tree, each with its state, age, iteration, cost and last action; below them what the selected one does at
/// this moment, and what the agents ask. Keys send a message, answer, pause, continue, stop, attach, and more; `?` lists them. The
/// agents do not depend on the dashboard: when it is left, they continue.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WatchArgs {}

/// Shows the dashboard. `root` has the commands of this ccc.
///
/// # Errors
/// When there is no terminal, or the configuration cannot be understood.
pub fn run(_: WatchArgs, root: &Command, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("watch", context)?;
    let is_dumb = context.env.get("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let Some(terminal) = UserTerminal::find().filter(|_| !is_dumb) else {
        return Err(CliError::usage("the dashboard needs a terminal on which the cursor can be moved")
            .hint("to see the agents without one: ccc runs --live, or ccc status-line"));
    };
    let usage = context.settings(Flags::default())?.settings.usage;
    // A keeper that was killed is started again while agents wait for it.
    queue::waiting(&roster(context)?.agents, context);
    let elsewhere = context.at(context.cwd()?);
    let setup = WatchSetup {
        state: context.dirs()?.state.clone(),
        colour: context.style(&std::io::stdout()).colour,
        terminal,
        zone: zone::of_process(),
        thresholds: Thresholds {
            warn: usage.warn_threshold.share() * 100.0,
            critical: usage.critical_threshold.share() * 100.0,
        },
        rules: keeper_world::rules(context, unix_ms()),
        seed: uuid::Uuid::new_v4().simple().to_string(),
        answers: request_of,
        changed_files: Arc::new(move |record| agent_tree::changed_files(record, &elsewhere).ok()),
        commands: root.get_subcommands().map(|command| command.get_name().to_owned()).collect(),
    };
    match watch(setup) {
        Ok(WatchEnd::Left) => Ok(ExitCode::COMPLETED),
        Ok(WatchEnd::Cut) => Ok(ExitCode::INTERRUPTED),
        Err(error) => Err(CliError::environment(format!("the dashboard cannot be shown: {error}"))),
    }
}

/// The request that gives the typed answer, as `ccc answer` reads it.
fn request_of(asked: &Show, text: &str) -> Result<Request, String> {
    let Some(open) = Open::of(asked.clone()) else { return Err("this asks nothing".to_owned()) };
    let args = AnswerArgs {
        ordered: Ordered { run: String::new(), json: false },
        request: open.number().to_string(),
        answer: text.to_owned(),
        why: None,
        session: false,
        reason: None,
    };
    answer::request(&open, &args)
}
