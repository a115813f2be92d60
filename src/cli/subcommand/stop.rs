//! `ccc stop RUN`.

use clap::Args;

use crate::cli::steer::{self, Ordered};
use crate::cli::{CliError, Context, ExitCode, continued, dead_run, inside, queue};
use crate::control::ClientError;
use crate::control::protocol::{Event, Hello, Reply, Request};
use crate::driver;
use crate::fleet::{AgentRecord, KeptDown, Queued, State};
use crate::journal::{RunDir, RunKind, RunSummary, run_kind};

/// End a run in an orderly way.
///
/// The run ends as with Ctrl-C in its own terminal: the agent's turn is interrupted in good order, and the session is kept. `ccc resume`
/// continues the run.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StopArgs {
    /// The run.
    #[command(flatten)]
    pub ordered: Ordered,

    /// Kill the processes of the run, without waiting for the agent.
    #[arg(long)]
    pub now: bool,

    /// Wait until the run has ended.
    #[arg(long)]
    pub wait: bool,
}

/// An agent that the user stops is not revived or taken up by the keeper.
fn keep_down(run: &RunDir) -> Result<(), CliError> {
    if !matches!(AgentRecord::read(run), Ok(Some(_))) {
        return Ok(());
    }
    KeptDown::write(run, "ccc stop", driver::unix_ms()).map_err(|error| {
        CliError::io(format!("{}: {error}", run.path().display()))
            .hint("free some disk space: otherwise the agent would be continued by itself")
    })
}

/// Ends the run.
///
/// # Errors
/// When the run cannot be reached, or does not end.
pub fn run(args: StopArgs, context: &Context) -> Result<ExitCode, CliError> {
    let run = steer::find(&args.ordered.run, context)?;
    // A run refuses an agent; where none is there, nobody else would.
    if Queued::is_there(&run) {
        inside::refuse("stop", context)?;
    }
    // The keeper has stopped it because of the usage, and would take it up.
    let was_to_go_on = continued::by_keeper(&run, context);
    let is_users = inside::run(context).is_none();
    if is_users {
        keep_down(&run)?;
    }
    let id = run.id();
    let done = |done: &str, says: String| Ok(steer::done(&run, done, &says, args.ordered.json, context));
    let mut client = loop {
        if queue::leave(&run, "ccc stop", context)? {
            return done("not_started", format!("the agent does not start; to start it later: ccc resume {id}"));
        }
        match steer::client_of(&run, &Hello::new("stop", false)) {
            Ok(client) => break client,
            // It was just leaving the queue, and is back in it because it is to be stopped.
            Err(ClientError::NotRunning { .. }) if Queued::is_there(&run) => {}
            // Nobody else ends a run whose ccc has died.
            Err(ClientError::NotRunning { .. })
                if is_dead(&run, context)? && dead_run::stop(&run, "ccc stop", context)? =>
            {
                // A command of `ccc supervise` cannot be continued.
                let is_command = run_kind(&run.journal()).is_ok_and(|kind| kind == RunKind::Command);
                let then = if is_command { String::new() } else { format!("; to continue it: ccc resume {id}") };
                return done("was_dead", format!("its ccc had died, and nothing continues it now{then}"));
            }
            Err(ClientError::NotRunning { .. }) if was_to_go_on && is_users => {
                return done("kept_down", format!("nothing continues it now; to continue it: ccc resume {id}"));
            }
            Err(error) => return Err(steer::of_run(&run, &error)),
        }
    };
    if args.wait {
        client.follow(None, None, false).map_err(|error| steer::unreachable(&error))?;
    }
    for _ in 0..=u8::from(args.now) {
        let reply = client.call(&Request::Stop { reason: Some("ccc stop".to_owned()) });
        let reply = reply.map_err(|error| steer::unreachable(&error))?;
        // The run is already ending by the first order.
        if matches!(&reply, Reply::Fault(fault) if fault.is_ending()) {
            break;
        }
        steer::said(&reply)?;
    }
    if !args.wait {
        let ends = if args.now { "the run ends now" } else { "the agent is interrupted, and the run ends" };
        return done("ending", format!("{ends}; to continue it later: ccc resume {id}"));
    }
    while let Some(event) = client.next_event().map_err(|error| steer::unreachable(&error))? {
        if let Event::End { .. } = event {
            return done("ended", format!("the run has ended; to continue it: {}", steer::going_on(&run)));
        }
    }
    Err(steer::died(&run))
}

/// Whether the run's ccc has died, and the user asks.
///
/// # Errors
/// When an agent asks.
fn is_dead(run: &RunDir, context: &Context) -> Result<bool, CliError> {
    let is_dead = State::of(run, RunSummary::read(&run.summary()).ok().as_ref()) == State::Died;
    if is_dead {
        inside::refuse("stop", context)?;
    }
    Ok(is_dead)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::captured::Captured;
    use crate::fleet::Role;

    #[test]
    fn an_agent_that_the_keeper_would_take_up_is_kept_down_and_one_that_has_ended_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let context = Captured::default().context(dir.path(), None);
        let state = &context.dirs().expect("directories").state;
        let agent = |id: &str| {
            let run = RunDir::create(state, id).expect("a run");
            AgentRecord::new(id, id, Role::Worker, 1, Path::new("/p")).write(&run).expect("written");
            let now = driver::unix_ms();
            let summary = serde_json::json!({
                "version": 1, "id": id, "task": "", "cwd": "/", "pid": 1, "started_unix_ms": now, "updated_unix_ms": now,
                "ended_unix_ms": now, "phase": "finished", "iteration": 0, "restarts": 0, "rotations": 0,
                "waited_ms": 0, "outcome": "interrupted",
            });
            std::fs::write(run.summary(), summary.to_string()).expect("written");
            run
        };
        let (stopped, over) = (agent("20261128-100000-aaaa"), agent("20261128-100001-bbbb"));
        let episode = serde_json::json!({"episode": 1, "since_unix_ms": 1, "has_ended": true});
        let kept = serde_json::json!({"version": 1, "upkeep": {"stopped": {stopped.id(): episode}}});
        crate::files::make_private_dir(&state.join("keeper")).expect("made");
        std::fs::write(state.join("keeper/state.json"), kept.to_string()).expect("written");
        let stop = |run: &RunDir| {
            let seen = Captured::default();
            let ordered = Ordered { run: run.id().to_owned(), json: false };
            let ended = super::run(StopArgs { ordered, now: false, wait: false }, &seen.context(dir.path(), None));
            ended.map(|_| seen.text()).map_err(|error| error.message)
        };
        let said = stop(&stopped).expect("it is stopped");
        assert!(said.starts_with("nothing continues it now"), "{said}");
        assert!(KeptDown::read(&stopped).is_some());
        assert!(stop(&over).expect_err("nothing is to be stopped").contains("is not running"));
    }
}
