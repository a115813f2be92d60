//! Shared code of the commands that control a run: finding it, connecting, and reporting the result of an order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::native::is_native;
use super::queue::not_started;
use super::start::state_error;
use super::{CliError, Context, ExitCode};
use crate::control::protocol::{Hello, Reply, Request};
use crate::control::{Client, ClientError};
use crate::core::{Outcome, Plan};
use crate::driver::unix_ms;
use crate::fleet::{AgentRecord, Queued, State};
use crate::journal::{FileLock, JournalReader, RunDir, RunDirError, RunSummary};
use crate::ui::clean;

/// The phase of a run whose ccc makes what it needs, and has no control socket yet.
const STARTING: &str = "starting";
/// How long a ccc that has just taken over a run may take until it has a socket: it reads the journal first.
const SOCKET_MS: i64 = 10_000;
/// The pause between two looks at such a run, and how often one is looked at: a large working tree takes minutes.
const LOOK: Duration = Duration::from_millis(100);
const MOST_LOOKS: u32 = 6_000;

/// The run that is meant. `last` is the newest running one of this directory, else the one that was active last.
///
/// # Errors
/// When there is no such run.
pub(super) fn find(wanted: &str, context: &Context) -> Result<RunDir, CliError> {
    if wanted == "last"
        && let Ok(living) = newest_living("", context)
    {
        return Ok(living);
    }
    RunDir::resolve(&context.dirs()?.state, Some(wanted)).map_err(|error| no_such_run(&error))
}

/// How to start the first run.
pub(super) const START: &str = "to start a run: ccc --supervisor -p \"TASK\"";

/// The error for a run that does not exist. Without any run, it says how to start one.
pub(super) fn no_such_run(error: &RunDirError) -> CliError {
    let has_none = matches!(error, RunDirError::NoRuns { .. });
    CliError::usage(error).hint(if has_none { START } else { "to list the runs: ccc runs" })
}

/// Whether there is any run.
pub(super) fn has_runs(context: &Context) -> bool {
    let found = context.dirs().map(|dirs| RunDir::resolve(&dirs.state, None));
    !matches!(found, Ok(Err(RunDirError::NoRuns { .. })))
}

/// The newest running run of this directory.
///
/// # Errors
/// When there is no such run.
pub(super) fn newest_living(command: &str, context: &Context) -> Result<RunDir, CliError> {
    let here = context.cwd()?.canonicalize().unwrap_or_default();
    let list = RunDir::list(&context.dirs()?.state).map_err(|error| state_error(&error))?;
    let has_none = list.runs.is_empty();
    let is_here = |cwd: &str| Path::new(cwd) == here || Path::new(cwd).canonicalize().is_ok_and(|real| real == here);
    let mut living = list.runs.into_iter().filter(|(dir, _)| matches!(FileLock::holder(&dir.lock()), Ok(Some(_))));
    living.find(|(_, run)| is_here(&run.cwd)).map(|(dir, _)| dir).ok_or_else(|| {
        let hint =
            if has_none { START.to_owned() } else { format!("to list the runs: ccc runs; then: ccc {command} RUN") };
        CliError::usage("no run is active in this directory").hint(hint)
    })
}

/// The plan with which a run began, if its journal has it.
pub(super) fn plan(run: &RunDir) -> Option<Plan> {
    JournalReader::open(&run.journal()).ok()?.plan().ok()
}

/// The directory in which a run began.
///
/// # Errors
/// When its journal cannot be read.
pub(super) fn cwd_of(run: &RunDir) -> Result<PathBuf, CliError> {
    let plan = plan(run)
        .ok_or_else(|| CliError::failed(format!("the journal of run {} does not say where it worked", run.id())))?;
    Ok(PathBuf::from(plan.cwd))
}

/// Whether a run is a conversation of ccc, which continues with a message.
pub(super) fn is_conversation(run: &RunDir) -> bool {
    plan(run).is_some_and(|plan| plan.conversation && !is_native(&plan))
}

/// Whether a run shows the agent's own interface on a terminal.
pub(super) fn has_interface(run: &RunDir) -> bool {
    plan(run).is_some_and(|plan| is_native(&plan))
}

/// The run that is meant, which has begun.
///
/// # Errors
/// When there is no such run, or it is an agent that waits in the queue.
pub(super) fn find_begun(wanted: &str, context: &Context) -> Result<RunDir, CliError> {
    let run = find(wanted, context)?;
    if Queued::is_there(&run) { Err(not_started(&run)) } else { Ok(run) }
}

/// As [`find_begun`]; without a name as [`find_or_last`].
///
/// # Errors
/// As [`find_begun`].
pub(super) fn find_begun_or_last(wanted: Option<&str>, context: &Context) -> Result<RunDir, CliError> {
    match wanted {
        Some(wanted) => find_begun(wanted, context),
        None => {
            let run = find_begun("last", context)?;
            name_last(&run, context);
            Ok(run)
        }
    }
}

/// The run that is meant; without a name the one that was active last, which is then named on stderr.
///
/// # Errors
/// When there is no such run.
pub(super) fn find_or_last(wanted: Option<&str>, context: &Context) -> Result<RunDir, CliError> {
    let run = find(wanted.unwrap_or("last"), context)?;
    if wanted.is_none() {
        name_last(&run, context);
    }
    Ok(run)
}

fn name_last(run: &RunDir, context: &Context) {
    let name = AgentRecord::read(run).ok().flatten().map(|record| format!(" ({})", record.name));
    let task = RunSummary::read(&run.summary()).map(|run| format!(": {}", clean::one_line(&run.task, TASK_CHARS)));
    let (name, task) = (name.unwrap_or_default(), task.unwrap_or_default());
    context.printer.talk(format_args!("the last run, {}{name}{task}", run.id()));
}

/// How many characters of a task are shown.
const TASK_CHARS: usize = 60;

/// Connects to a run.
///
/// # Errors
/// When it is not running, cannot be reached, or refuses.
pub(super) fn connect(run: &RunDir, client: &str, attends: bool) -> Result<Client, CliError> {
    client_of(run, &Hello::new(client, attends)).map_err(|error| {
        if matches!(error, ClientError::NotRunning { .. }) && Queued::is_there(run) {
            not_started(run)
        } else if matches!(error, ClientError::Unreachable { .. }) && is_starting(run) {
            let id = run.id();
            CliError::environment(format!("run {id} is still starting: it cannot be reached yet"))
                .hint(format!("to see how it stands: ccc status {id}"))
        } else {
            of_run(run, &error)
        }
    })
}

/// The command that continues a run that has ended, with what it needs: the run has written it down at its end.
pub(super) fn going_on(run: &RunDir) -> String {
    let written = RunSummary::read(&run.summary()).ok().and_then(|summary| summary.going_on().map(str::to_owned));
    written.unwrap_or_else(|| format!("ccc resume {}", run.id()))
}

/// As [`going_on`], with this as the next message.
pub(super) fn going_on_with(run: &RunDir, text: &str) -> String {
    // The placeholder of a run that waits for words, before what belongs to the agent.
    let command = going_on(run).replacen(" -p \"TEXT\"", "", 1);
    let (ours, agents) = command.split_once(" -- ").map_or((command.as_str(), ""), |(ours, agents)| (ours, agents));
    let agents = if agents.is_empty() { String::new() } else { format!(" -- {agents}") };
    format!("{ours} -p {}{agents}", crate::core::shell::quoted(text))
}

/// Whether a ccc works on this run now.
pub(super) fn is_alive(run: &RunDir) -> bool {
    matches!(FileLock::holder(&run.lock()), Ok(Some(_)))
}

/// As [`unreachable`], for this run: one that has completed is continued only with more to do.
pub(super) fn of_run(run: &RunDir, error: &ClientError) -> CliError {
    let is_completed =
        || RunSummary::read(&run.summary()).is_ok_and(|run| run.outcome == Some(Outcome::Completed.into()));
    if matches!(error, ClientError::NotRunning { .. }) && is_completed() {
        let id = run.id();
        return CliError::usage(format!("run {id} is not running: it has completed"))
            .hint(format!("to give it more to do: ccc resume {id} -p \"TEXT\""));
    }
    match error {
        ClientError::NotRunning { run: id } => not_running(error, id, &going_on(run)),
        ClientError::Unreachable { .. }
        | ClientError::Refused { .. }
        | ClientError::OtherVersion { .. }
        | ClientError::Lost { .. } => unreachable(error),
    }
}

fn not_running(error: &ClientError, run: &str, going_on: &str) -> CliError {
    CliError::usage(error).hint(format!("to continue it: {going_on}; to see why it ended: ccc explain {run}"))
}

/// Connects to a run. One that is just starting is waited for: it can be reached as soon as its working tree is made.
///
/// # Errors
/// See [`ClientError`]; an agent that waits in the queue is not running.
pub(super) fn client_of(run: &RunDir, hello: &Hello) -> Result<Client, ClientError> {
    for _ in 0..MOST_LOOKS {
        match Client::connect(run, hello) {
            // Nothing reports a start to a process that has no part in it.
            Err(ClientError::Unreachable { .. }) if is_starting(run) => std::thread::park_timeout(LOOK),
            connected => return connected,
        }
    }
    Client::connect(run, hello)
}

/// Whether the run's ccc works, and may have no control socket yet.
fn is_starting(run: &RunDir) -> bool {
    let Ok(Some(holder)) = FileLock::holder(&run.lock()) else { return false };
    let summary = RunSummary::read(&run.summary()).ok();
    matches!(State::of(run, summary.as_ref()), State::Active(phase) if phase == STARTING)
        || unix_ms().saturating_sub(holder.since_unix_ms) < SOCKET_MS
}

/// The error for a run that cannot be reached, with a hint.
pub(super) fn unreachable(error: &ClientError) -> CliError {
    match error {
        ClientError::NotRunning { run } => not_running(error, run, &format!("ccc resume {run}")),
        ClientError::Unreachable { pid, .. } => CliError::environment(error)
            .hint(format!("a run that an older ccc started has no control socket; to end it: kill {pid}")),
        ClientError::Refused { fault, .. } => CliError::environment(fault.message.clone()),
        ClientError::OtherVersion { .. } => {
            CliError::environment(error).hint("to see the version of this ccc: ccc --version")
        }
        ClientError::Lost { run, .. } => CliError::failed(error).hint(format!(
            "to see whether it is still running: ccc runs --live; if not, continue it: ccc resume {run}"
        )),
    }
}

/// The error for a connection that ended before the run's last message.
pub(super) fn died(run: &RunDir) -> CliError {
    CliError::failed(format!("the ccc process of run {} ended before it reported an outcome", run.id()))
        .hint(format!("to continue it: ccc resume {}", run.id()))
}

/// A run that gets an order, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Ordered {
    /// Its name, its id, the beginning of either, or `last` for the newest active run of this directory.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// Print one JSON object instead: the id, the name, what was done, and the same in a sentence.
    #[arg(long)]
    pub json: bool,
}

/// Sends a run an order, and says what it does then: in a word, and in a sentence for the run of this id.
///
/// # Errors
/// When the run cannot be reached, or refuses.
pub(super) fn order(
    ordered: &Ordered,
    command: &str,
    request: &Request,
    done: &str,
    then: impl Fn(&str) -> String,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let run = find(&ordered.run, context)?;
    let mut client = connect(&run, command, false)?;
    let reply = client.call(request).map_err(|error| unreachable(&error))?;
    said(&reply)?;
    Ok(self::done(&run, done, &then(run.id()), ordered.json, context))
}

/// Says on stdout what an order has done: in a sentence, or with `json` as an object with a word for it.
pub(super) fn done(run: &RunDir, done: &str, says: &str, json: bool, context: &Context) -> ExitCode {
    if json {
        let name = AgentRecord::read(run).ok().flatten().map(|record| record.name);
        context.printer.json(serde_json::json!({"id": run.id(), "name": name, "outcome": done, "says": says}));
    } else {
        context.printer.line(says);
    }
    ExitCode::COMPLETED
}

/// Whether an order was carried out.
///
/// # Errors
/// When it was not.
pub(super) fn said(reply: &Reply) -> Result<(), CliError> {
    if let Reply::Fault(fault) = reply { Err(CliError::failed(&fault.message)) } else { Ok(()) }
}

/// What becomes of a message that is not sent at once.
pub(super) fn queued_in_words(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Queued { ahead: 0 }
        | Reply::Done
        | Reply::Following { .. }
        | Reply::Status(_)
        | Reply::Output(_)
        | Reply::Started { .. }
        | Reply::Fault(_) => None,
        Reply::Queued { ahead: 1 } => Some("queued: one other message is sent before it".to_owned()),
        Reply::Queued { ahead } => Some(format!("queued: {ahead} other messages are sent before it")),
        Reply::Already => Some("a message with this key was sent before; it is not sent again".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;
    use crate::ui::columns;

    #[test]
    fn what_an_order_does_is_one_line_on_stdout_or_one_object() {
        let state = tempfile::tempdir().expect("a directory");
        let run = RunDir::create(state.path(), "20261127-084409-q3px").expect("a run");
        let told = |json, columns| {
            let seen = Captured::default();
            let says = "the run pauses; to let it continue: ccc continue 20261127-084409-q3px";
            let code = done(&run, "pausing", says, json, &seen.context(state.path(), columns));
            assert_eq!((code, seen.messages()), (ExitCode::COMPLETED, String::new()));
            seen.text()
        };
        assert_eq!(told(false, None), "the run pauses; to let it continue: ccc continue 20261127-084409-q3px\n");
        assert_eq!(
            told(false, Some(40)),
            "the run pauses; to let it continue:\n    ccc continue 20261127-084409-q3px\n"
        );
        let unnamed: serde_json::Value = serde_json::from_str(&told(true, Some(40))).expect("JSON");
        assert_eq!((unnamed["outcome"].as_str(), unnamed["name"].as_str()), (Some("pausing"), None));
        let record = AgentRecord::new(run.id(), "lead", crate::fleet::Role::Worker, 1, Path::new("/p"));
        record.write(&run).expect("written");
        let named: serde_json::Value = serde_json::from_str(&told(true, None)).expect("JSON");
        assert_eq!((named["id"].as_str(), named["name"].as_str()), (Some(run.id()), Some("lead")));
    }

    #[test]
    fn a_run_that_cannot_be_reached_is_told_with_what_can_be_done() {
        let state = tempfile::tempdir().expect("a directory");
        let seen = Captured::default();
        let context = seen.context(state.path(), Some(80));
        for error in [find("last", &context), newest_living("attach", &context)] {
            assert_eq!(error.expect_err("no run").hint.as_deref(), Some(START));
        }
        let run = RunDir::create(&context.dirs().expect("directories").state, "20261127-084409-q3px").expect("a run");
        assert_eq!(
            find("nope", &context).expect_err("no such run").hint.as_deref(),
            Some("to list the runs: ccc runs")
        );
        let error = connect(&run, "follow", false).expect_err("it has ended");
        context.printer.error(&error.message, error.hint.as_deref());
        let rows: Vec<String> = seen.messages().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(
            rows,
            [
                "  hint: to continue it: ccc resume 20261127-084409-q3px",
                "        to see why it ended: ccc explain 20261127-084409-q3px"
            ]
        );
        assert!(rows.iter().all(|row| columns::of(row) <= 80));
    }
}
