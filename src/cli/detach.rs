//! `--detach`: starts a run in a process of its own, which outlives this one.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{CliError, Context, ExitCode, logout};
use crate::config::OutputFormat;
use crate::core::Plan;
use crate::files::open_private;
use crate::journal::{RunDir, RunSummary, SUMMARY_VERSION};
use crate::process::{self, Detached, Host};
use crate::ui::{Limits, Screen};
use redaction::Redactor;

/// The message of a host when its run can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    /// The run.
    pub(super) run_id: String,
    /// Whether it has a control socket.
    pub(super) reachable: bool,
    /// Why clients cannot find it, so that a conversation ends at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
    /// What the agent waits for, which was not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) queued: Option<String>,
}

/// Starts the same command in a process of its own, prints the run's id and returns.
///
/// # Errors
/// When the host cannot be started. A host that ends before its run begins has printed the reason.
pub(super) fn start(
    typed: &[OsString],
    command: Option<&str>,
    form: Option<OutputFormat>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let ready = match host(typed, command, false)? {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    let id = &ready.run_id;
    match form.unwrap_or(OutputFormat::Text) {
        OutputFormat::Text => context.printer.line(id),
        OutputFormat::Json | OutputFormat::StreamJson => {
            context.printer.json(serde_json::json!({"run_id": id, "reachable": ready.reachable}));
        }
    }
    if let Some(why) = &ready.queued {
        context.printer.talk(waits(id, why));
        return Ok(ExitCode::COMPLETED);
    }
    context.printer.talk(format_args!(
        "the run continues in the background; to see it: ccc attach {id}; to end it: ccc stop {id}"
    ));
    warn_of_logout(context);
    Ok(ExitCode::COMPLETED)
}

/// What is said of an agent that waits in the queue.
pub(super) fn waits(name: &str, why: &str) -> String {
    format!(
        "agent {name} waits in the queue: {why}; the keeper starts it when there is room; to start it at once: ccc resume {name}"
    )
}

/// Warns if the system ends a run in the background at the user's logout.
pub(super) fn warn_of_logout(context: &Context) {
    if let Some(file) = logout::ends_runs(context) {
        context.printer.warn(format_args!(
            "the run ends when you log out: systemd ends what a session has started (KillUserProcesses in {}); to prevent this, type \
             {}",
            file.display(),
            logout::ADVICE
        ));
    }
}

/// Starts the same command in a process of its own, as a conversation or not. Returns its exit code if it ends before its run
/// begins.
///
/// # Errors
/// When it cannot be started.
pub(super) fn host(
    typed: &[OsString],
    command: Option<&str>,
    conversation: bool,
) -> Result<Result<Ready, ExitCode>, CliError> {
    let failed = |error: io::Error| {
        CliError::failed(format!("the run cannot be started in the background: {error}"))
            .hint("to run it in this terminal, leave out --detach")
    };
    let said = Host::start(&as_host(typed, command, conversation)).and_then(Host::ready).map_err(failed)?;
    match said {
        Ok(line) => serde_json::from_str(&line).map(Ok).map_err(|error| failed(error.into())),
        Err(code) => Ok(Err(ExitCode::of_command(u8::try_from(code).unwrap_or(1)))),
    }
}

/// The typed arguments with the options that make the process a host. These are inserted before the agent's arguments.
fn as_host(typed: &[OsString], command: Option<&str>, conversation: bool) -> Vec<OsString> {
    let mut args: Vec<OsString> = typed.iter().skip(1).cloned().collect();
    let at = command.and_then(|command| args.iter().position(|arg| arg == OsStr::new(command)));
    let at = at.map_or(0, |at| at + 1);
    let words = ["--hosted"].into_iter().chain(conversation.then_some("--conversation"));
    args.splice(at..at, words.map(OsString::from));
    args
}

/// Leaves the terminal. From here on errors go only to the log in the run's directory.
pub(super) fn leave_terminal(run_dir: &RunDir) -> Result<Detached, CliError> {
    let path = run_dir.path().join("host.log");
    let log = open_private(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND);
    log.and_then(|log| process::detach(&log)).map_err(|error| {
        CliError::failed(format!("{}: the run cannot detach from the terminal: {error}", path.display()))
    })
}

/// A screen that shows nothing: the output of a detached run is in its journal and is sent to clients.
///
/// # Errors
/// When its thread cannot be started.
pub(super) fn no_screen() -> Result<Screen, CliError> {
    // stdout has led nowhere since the process left the terminal.
    let null = || io::stdout().as_fd().try_clone_to_owned();
    let screen = null().and_then(|out| Screen::new(out, null()?, Limits::default()));
    screen.map_err(|error| CliError::io(format!("the output cannot be set up: {error}")))
}

/// Writes a line to the run's `host.log`: stderr leads there after the process has left the terminal.
pub(super) fn log(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells the starter that the run begins, and why clients cannot find it, if they cannot.
pub(super) fn ready(host: Detached, run_dir: &RunDir, reachable: bool, fault: Option<String>) {
    let ready = Ready { run_id: run_dir.id().to_owned(), reachable, fault, queued: None };
    host.ready(&serde_json::to_string(&ready).unwrap_or_default());
}

/// Tells the starter that the agent waits, and for what.
pub(super) fn queued(host: Detached, run_dir: &RunDir, why: String) {
    let ready = Ready { run_id: run_dir.id().to_owned(), reachable: false, fault: None, queued: Some(why) };
    host.ready(&serde_json::to_string(&ready).unwrap_or_default());
}

/// Writes the summary before the starter is told, because clients look for the run at once, while its first step still starts a
/// process. That of an earlier life has its end no more. Returns why it cannot be written.
pub(super) fn keep_beginning(run_dir: &RunDir, beginning: &RunSummary, redactor: &Redactor) -> Option<String> {
    let path = run_dir.summary();
    let present = match RunSummary::read(&path) {
        Ok(ended @ RunSummary { outcome: Some(_), .. }) => RunSummary {
            pid: beginning.pid,
            updated_unix_ms: crate::driver::unix_ms(),
            ended_unix_ms: None,
            phase: beginning.phase.clone(),
            outcome: None,
            reason: None,
            result: None,
            journal_missing: None,
            resume: beginning.resume.clone(),
            ..ended
        },
        Ok(RunSummary { outcome: None, .. }) => return None,
        Err(_) if path.exists() => return None,
        Err(_) => beginning.clone(),
    };
    present.write(&path, redactor).err().map(|error| error.to_string())
}

/// The summary of a run before its first step.
pub(super) fn beginning(plan: &Plan, started_unix_ms: i64, redactor: &Redactor) -> RunSummary {
    RunSummary {
        version: SUMMARY_VERSION,
        id: plan.run_id.clone(),
        task: RunSummary::task_of(&plan.task, redactor),
        cwd: plan.cwd.clone(),
        agent_version: Some(plan.agent_version.clone()).filter(|version| !version.is_empty()),
        pid: std::process::id(),
        started_unix_ms,
        updated_unix_ms: started_unix_ms,
        phase: "starting".to_owned(),
        resume: Some(format!("ccc resume {}", plan.run_id)),
        ..RunSummary::default()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use redaction::Redactor;

    use super::{as_host, beginning, keep_beginning};
    use crate::core::{Outcome, Plan, SessionStart};
    use crate::journal::{RunDir, RunSummary};

    #[test]
    fn a_run_that_clients_cannot_find_says_why() {
        let state = tempfile::tempdir().expect("a directory");
        let run_dir = RunDir::create(state.path(), "20261128-030405-abcd").expect("a run");
        let plan = Plan::new("", "/project", SessionStart::New("s".to_owned()));
        let (beginning, redactor) = (beginning(&plan, 0, &Redactor::default()), Redactor::default());
        assert_eq!(keep_beginning(&run_dir, &beginning, &redactor), None);
        assert_eq!(keep_beginning(&run_dir, &beginning, &redactor), None, "it is there");
        let read = || RunSummary::read(&run_dir.summary()).expect("a summary");
        let (outcome, iteration) = (Some(Outcome::Completed.into()), 3);
        let ended = RunSummary { outcome, iteration, ended_unix_ms: Some(5), pid: 1, ..read() };
        ended.write(&run_dir.summary(), &redactor).expect("written");
        assert_eq!(keep_beginning(&run_dir, &beginning, &redactor), None);
        let resumed = read();
        assert_eq!(
            (resumed.outcome, resumed.ended_unix_ms, resumed.iteration),
            (None, None, 3),
            "it has not ended yet"
        );
        assert_eq!((resumed.phase.as_str(), resumed.pid), ("starting", std::process::id()));
        std::fs::remove_dir_all(run_dir.path()).expect("removed");
        let fault = keep_beginning(&run_dir, &beginning, &redactor).expect("a fault");
        assert!(fault.contains("run.json: ") && fault.contains("No such file"), "{fault}");
    }

    #[test]
    fn the_host_gets_what_was_typed_and_a_word_before_it() {
        let typed = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let args = typed(&["ccc", "--supervisor", "-p", "resume", "--detach", "--", "--hosted"]);
        assert_eq!(
            as_host(&args, None, false),
            typed(&["--hosted", "--supervisor", "-p", "resume", "--detach", "--", "--hosted"])
        );
        let args = typed(&["ccc", "resume", "last", "--detach"]);
        assert_eq!(as_host(&args, Some("resume"), false), typed(&["resume", "--hosted", "last", "--detach"]));
        let args = typed(&["ccc", "resume", "last"]);
        assert_eq!(as_host(&args, Some("resume"), true), typed(&["resume", "--hosted", "--conversation", "last"]));
    }
}
