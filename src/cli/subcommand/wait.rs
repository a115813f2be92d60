//! `ccc wait RUN…`.

use std::time::Duration;

use clap::Args;

use crate::cli::keeper_world::ensure_keeper;
use crate::cli::{CliError, Context, ExitCode, continued, steer};
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
/// How many connections in a row may break off before a run that lives is said to do that.
const LOST_LIMIT: u32 = 5;

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
    let (mut looks, mut lost) = (0_u32, 0_u32);
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
                return Err(CliError::failed(format!(
                    "run {} ended as `{outcome}`, which this ccc does not know",
                    run.id()
                ))
                .hint("use a newer ccc"));
            }
            State::Died => return Err(steer::died(run)),
            State::Queued | State::Active(_) | State::Ready => {}
        }
        match listen_to_end(run) {
            Ok(()) => lost = 0,
            Err(error) if may_have_ended(&error, lost) => {
                lost += 1;
                std::thread::park_timeout(LOOK);
            }
            Err(error) => return Err(steer::unreachable(&error)),
        }
    }
}

/// Listens to a run until it has no more to say.
fn listen_to_end(run: &RunDir) -> Result<(), ClientError> {
    let mut client = steer::client_of(run, &Hello::new("wait", false))?;
    client.follow(Some(0), None, false)?;
    while !matches!(client.next_event()?, Some(Event::End { .. } | Event::Gone { .. }) | None) {}
    Ok(())
}

/// Whether this error is that of a run that has ended, or whose ccc was killed: then another look tells which, and whether the keeper
/// continues it. `lost` connections before this one were lost in a row; a run that lives and breaks off each time is an error.
fn may_have_ended(error: &ClientError, lost: u32) -> bool {
    match error {
        ClientError::NotRunning { .. } => true,
        ClientError::Lost { .. } => lost < LOST_LIMIT,
        ClientError::Unreachable { .. } | ClientError::Refused { .. } | ClientError::OtherVersion { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{LOST_LIMIT, may_have_ended};
    use crate::control::ClientError;

    #[test]
    fn a_connection_that_breaks_off_is_a_run_that_was_killed_until_it_breaks_off_again_and_again() {
        let lost = ClientError::Lost { run: "fox".to_owned(), why: "its ccc process closed the connection".to_owned() };
        assert!(
            may_have_ended(&lost, 0) && may_have_ended(&lost, LOST_LIMIT - 1) && !may_have_ended(&lost, LOST_LIMIT)
        );
        assert!(may_have_ended(&ClientError::NotRunning { run: "fox".to_owned() }, LOST_LIMIT));
        let hangs = ClientError::Unreachable { run: "fox".to_owned(), pid: 1, why: "it hangs".to_owned() };
        assert!(!may_have_ended(&hangs, 0));
    }
}
