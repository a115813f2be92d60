//! Commands that are typed inside an agent: which are refused, and `ccc new`, which the agent's run carries out.

use std::ffi::OsString;
use std::time::Duration;

use super::family::kin;
use super::{CliError, Context, ExitCode, steer};
use crate::control::protocol::{Reply, Request};
use crate::fleet::{AgentRecord, Queued, Role};
use crate::journal::RunDir;
use crate::process::{RUN_ID_VARIABLE, marks_above};

/// How long the start of an agent may take: the checkout of a large repository.
const START: Duration = Duration::from_secs(600);

/// The run inside which this command was typed; `None` if there is none in this state directory. It is read from the environment
/// of this process and its ancestors.
pub(super) fn run(context: &Context) -> Option<RunDir> {
    let state = &context.dirs().ok()?.state;
    let own = context.env.get(RUN_ID_VARIABLE).map(|mark| mark.to_string_lossy().into_owned());
    let marks = own.into_iter().chain(marks_above());
    marks.filter_map(|mark| RunDir::at(state, &mark).ok()).find(|run| run.path().is_dir())
}

/// Refuses a command that is the user's when it was typed inside an agent.
///
/// # Errors
/// Inside an agent.
pub(super) fn refuse(command: &str, context: &Context) -> Result<(), CliError> {
    match run(context) {
        Some(run) => Err(CliError::usage(format!(
            "`ccc {command}` was typed inside the run {}: an agent may not use it",
            run.id()
        ))
        .hint("type it in a terminal of your own; an agent may watch runs: ccc list, ccc look NAME, ccc wait NAME")),
        None => Ok(()),
    }
}

/// Refuses to read a run that is neither the agent's own nor its manager's nor one of its workers', when the command was typed inside
/// an agent: what others have said and done may hold what this agent is not to know.
///
/// # Errors
/// Inside an agent that is no relative.
pub(super) fn may_read(wanted: &RunDir, command: &str, context: &Context) -> Result<(), CliError> {
    let (Some(own), Ok(dirs)) = (run(context), context.dirs()) else { return Ok(()) };
    if own.id() == wanted.id() || kin(&dirs.state, own.id(), wanted.id()).is_some() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "`ccc {command}` was typed inside the run {}: an agent may read its own run, its manager's and those of its workers, and \
         not the run {}",
        own.id(),
        wanted.id()
    ))
    .hint(format!("type it in a terminal of your own; to see how that run stands: ccc status {}", wanted.id())))
}

/// The manager inside which a command was typed that only the user and managers may use; `None` for the user.
///
/// # Errors
/// Inside an agent that is no manager.
pub(super) fn manager(command: &str, context: &Context) -> Result<Option<RunDir>, CliError> {
    let is_manager = |run: &RunDir| {
        AgentRecord::read(run).is_ok_and(|record| record.is_some_and(|record| record.role.is(&Role::Manager)))
    };
    match run(context).filter(is_manager) {
        Some(manager) => Ok(Some(manager)),
        None => refuse(command, context).map(|()| None),
    }
}

/// Starts an agent whose manager is the agent of this run. `typed` is what follows `ccc new`, without `--json`, `--prompt-file` and
/// its value; `stdin` is the task from a file or from stdin.
///
/// # Errors
/// When the run cannot be reached, or refuses.
pub(super) fn new(
    run: &RunDir,
    typed: &[OsString],
    stdin: Option<String>,
    json: bool,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let words = typed.iter().map(|word| word.clone().into_string());
    let args: Result<Vec<String>, OsString> = words.collect();
    let args = args.map_err(|word| CliError::usage(format!("this argument is not valid UTF-8: {}", word.display())))?;
    let cwd = context.cwd()?.display().to_string();
    let mut client = steer::connect(run, "new", false)?;
    let request = Request::New { args, cwd, stdin };
    let reply = client.call_within(&request, START).map_err(|error| steer::unreachable(&error))?;
    match reply {
        Reply::Started { id, name } => {
            let dir = context.dirs().ok().and_then(|dirs| RunDir::at(&dirs.state, &id).ok());
            let queued = dir.filter(Queued::is_there).and_then(|dir| Queued::read(&dir).ok().flatten());
            if json {
                let waits_for = queued.map(|queued| queued.why);
                context.printer.json(serde_json::json!({"id": id, "name": name, "waits_for": waits_for}));
            } else if let Some(queued) = queued {
                context.printer.line(&id);
                context.printer.talk(format_args!(
                    "agent {name} waits in the queue and starts by itself: {}; you are told when it ends, so end your turn instead of \
                     waiting",
                    queued.why
                ));
            } else {
                context.printer.line(&id);
                context.printer.talk(format_args!(
                    "agent {name} works in the background; you are told when it ends, so end your turn instead of waiting"
                ));
            }
            Ok(ExitCode::COMPLETED)
        }
        Reply::Fault(fault) => Err(CliError::failed(fault.message)),
        Reply::Done
        | Reply::Queued { .. }
        | Reply::Already
        | Reply::Following { .. }
        | Reply::Status(_)
        | Reply::Output(_) => Err(CliError::failed("the run's answer does not match the request")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::Printer;
    use crate::cli::captured::Captured;
    use crate::config::{Dirs, Env};

    #[test]
    fn an_agent_reads_its_own_run_its_managers_and_its_workers_and_the_user_reads_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let users = Captured::default().context(dir.path(), None);
        let state = users.dirs().expect("directories").state.clone();
        let [lead, own, worker, other, plain] = ["aaaa", "bbbb", "cccc", "dddd", "ffff"]
            .map(|end| RunDir::create(&state, &format!("20261128-100000-{end}")).expect("a run"));
        for (run, manager) in [(&lead, None), (&own, Some(&lead)), (&worker, Some(&own)), (&other, Some(&lead))] {
            let record = AgentRecord {
                manager: manager.map(|manager| manager.id().to_owned()),
                ..AgentRecord::new(run.id(), run.id(), Role::Manager, 1, Path::new("/p"))
            };
            record.write(run).expect("written");
        }
        let env = Env::from_pairs([(RUN_ID_VARIABLE, own.id())]);
        let dirs = Dirs::new(dir.path(), dir.path(), dir.path(), &Env::default());
        let printer = Printer::to(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let stdin = crate::cli::Stdin::of(std::io::empty());
        let agents = Context::new(env, dirs, dir.path().to_owned(), printer, stdin);
        for (run, may) in [(&lead, true), (&own, true), (&worker, true), (&other, false), (&plain, false)] {
            assert_eq!(may_read(run, "logs", &agents).is_ok(), may, "{}", run.id());
            assert!(may_read(run, "logs", &users).is_ok());
        }
        let refused = may_read(&other, "logs", &agents).expect_err("no relative");
        assert!(refused.message.contains(own.id()) && refused.message.contains(other.id()), "{}", refused.message);
    }
}
