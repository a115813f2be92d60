//! `ccc wait RUN…`.

use std::time::Duration;

use clap::Args;

use crate::cli::keeper_world::ensure_keeper;
use crate::cli::{CliError, Context, ErrorKind, ExitCode, continued, steer};
use crate::control::ClientError;
use crate::control::protocol::{Event, Hello};
use crate::core::Outcome;
use crate::fleet::{AgentRecord, State};
use crate::journal::{RunDir, RunSummary, Word};

/// The pause between two looks at an agent that the keeper starts or continues.
const LOOK: Duration = Duration::from_millis(200);
/// The same at one that it continues when the usage is reset.
const RESET_LOOK: Duration = Duration::from_secs(5);
/// After so many looks it is made sure that a keeper works.
const KEEPER_LOOKS: u32 = 50;

/// Wait until agents or other runs have ended.
///
/// An agent that goes on by itself has not ended: one whose ccc has died and is continued by the keeper, and one that the keeper has
/// stopped until the usage is reset.
///
/// The exit code is that of the outcome; of several runs, that of the first in the order of the arguments whose outcome is not
/// `completed`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WaitArgs {
    /// Names, ids, or the beginnings of either.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Print one JSON object for each run when it has ended: its id, outcome and reason.
    #[arg(long)]
    pub json: bool,
}

/// Waits.
///
/// # Errors
/// When there is no such run, or its ccc dies.
pub fn run(args: WaitArgs, context: &Context) -> Result<ExitCode, CliError> {
    let runs = args.runs.iter().map(|wanted| steer::find(wanted, context)).collect::<Result<Vec<_>, _>>()?;
    let mut code = ExitCode::COMPLETED;
    for run in &runs {
        let (outcome, reason) = end_of(run, context)?;
        if args.json {
            context.printer.json(serde_json::json!({
                "id": run.id(),
                "outcome": outcome.as_str(),
                "reason": reason,
            }));
        } else {
            let record = AgentRecord::read(run).ok().flatten();
            let name = record.as_ref().map_or(run.id(), |record| record.name.as_str());
            context.printer.line(format_args!("{name}: {}", outcome.in_words()));
        }
        if code == ExitCode::COMPLETED {
            code = outcome.into();
        }
    }
    Ok(code)
}

/// Waits for the end of one run.
fn end_of(run: &RunDir, context: &Context) -> Result<(Outcome, Option<String>), CliError> {
    let mut looks = 0_u32;
    loop {
        let summary = RunSummary::read(&run.summary()).ok();
        let state = State::of(run, summary.as_ref());
        if state == State::Queued || continued::by_keeper(run, context) {
            if looks == 0 {
                ensure_keeper(context);
            }
            looks = (looks + 1) % KEEPER_LOOKS;
            // Nothing reports a start to a process that has no part in it. A reset may be hours away.
            std::thread::park_timeout(if matches!(state, State::Ended(_)) { RESET_LOOK } else { LOOK });
            continue;
        }
        match state {
            State::Ended(Word::Known(outcome)) => return Ok((outcome, summary.and_then(|run| run.reason))),
            State::Ended(Word::Other(outcome)) => {
                return Err(CliError::new(
                    ErrorKind::Failed,
                    format!("run {} ended as `{outcome}`, which this ccc does not know", run.id()),
                )
                .hint("use a newer ccc"));
            }
            State::Died => return Err(steer::died(run)),
            State::Queued | State::Active(_) | State::Ready => {}
        }
        let mut client = match steer::client_of(run, &Hello::new("wait", false)) {
            Ok(client) => client,
            // It has ended between the two looks.
            Err(ClientError::NotRunning { .. }) => continue,
            Err(error) => return Err(steer::unreachable(&error)),
        };
        client.follow(Some(0), None, false).map_err(|error| steer::unreachable(&error))?;
        loop {
            match client.next_event().map_err(|error| steer::unreachable(&error))? {
                Some(Event::End { .. } | Event::Gone { .. }) | None => break,
                Some(Event::Show(_) | Event::Words { .. } | Event::Unknown(_)) => {}
            }
        }
    }
}
