//! `ccc stop RUN`.

use std::io;

use clap::Args;

use crate::cli::{CliError, Context, ErrorKind, ExitCode, continued, inside, queue, steer};
use crate::control::ClientError;
use crate::control::protocol::{Event, Hello, Reply, Request};
use crate::driver;
use crate::fleet::{AgentRecord, KeptDown, Queued};
use crate::journal::RunDir;

/// End a run in an orderly way.
///
/// The run ends as with Ctrl-C in its own terminal: the agent may finish its turn, and the session is kept. `ccc resume`
/// continues the run.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StopArgs {
    /// The run's id, the beginning of it, or `last` for the newest active run of this directory.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// Kill the processes of the run, without waiting for the agent.
    #[arg(long)]
    pub now: bool,

    /// Wait until the run has ended.
    #[arg(long)]
    pub wait: bool,
}

/// An agent that the user stops is not revived or taken up by the keeper. False if that cannot be noted: behind the walls of its
/// own run a manager cannot write here; the worker that it stops ends in good order, and is continued by nobody then.
fn keep_down(run: &RunDir, context: &Context) -> Result<bool, CliError> {
    if !matches!(AgentRecord::read(run), Ok(Some(_))) {
        return Ok(true);
    }
    let is_refused =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
    match KeptDown::write(run, "ccc stop", driver::unix_ms()) {
        Ok(()) => Ok(true),
        Err(error) if is_refused(&error) && inside::run(context).is_some() => Ok(false),
        Err(error) => Err(CliError::new(ErrorKind::Io, format!("{}: {error}", run.path().display()))
            .hint("free some disk space: otherwise the agent would be continued by itself")),
    }
}

/// Ends the run.
///
/// # Errors
/// When the run cannot be reached, or does not end.
pub fn run(args: StopArgs, context: &Context) -> Result<ExitCode, CliError> {
    let run = steer::find(&args.run, context)?;
    if Queued::is_there(&run) {
        // No run is there that could refuse an agent.
        inside::refuse("stop", context)?;
    }
    // Its ccc has died, and the keeper would continue it.
    let was_to_go_on = continued::by_keeper(&run, context);
    let is_kept_down = keep_down(&run, context)?;
    let mut client = loop {
        if queue::leave(&run, "ccc stop", context)? {
            steer::tell(format_args!("the agent does not start; to start it later: ccc resume {}", run.id()), context);
            return Ok(ExitCode::COMPLETED);
        }
        match steer::client_of(&run, &Hello::new("stop", false)) {
            Ok(client) => break client,
            // It was just leaving the queue, and is back in it because it is to be stopped.
            Err(ClientError::NotRunning { .. }) if Queued::is_there(&run) => {}
            Err(ClientError::NotRunning { .. }) if was_to_go_on && is_kept_down => {
                let id = run.id();
                steer::tell(
                    format_args!("its ccc has died, and nothing continues it now; to continue it: ccc resume {id}"),
                    context,
                );
                return Ok(ExitCode::COMPLETED);
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
        steer::said(&reply, context)?;
    }
    if !args.wait {
        let ends = if args.now { "the run ends now" } else { "the run ends as soon as its turn is over" };
        steer::tell(format_args!("{ends}; to continue it later: ccc resume {}", run.id()), context);
        return Ok(ExitCode::COMPLETED);
    }
    while let Some(event) = client.next_event().map_err(|error| steer::unreachable(&error))? {
        if let Event::End { .. } = event {
            steer::tell(format_args!("the run has ended; to continue it: ccc resume {}", run.id()), context);
            return Ok(ExitCode::COMPLETED);
        }
    }
    Err(steer::died(&run))
}
