//! `ccc follow RUN`.

use std::io;
use std::os::fd::AsFd as _;

use clap::Args;

use crate::cli::event_printer::EventPrinter;
use crate::cli::{CliError, Context, ExitCode, inside, steer};
use crate::control::protocol::{Event, Hello};
use crate::control::{Client, ClientError};
use crate::journal::RunDir;

/// Show what happens in a run, as it happens, until it ends.
///
/// Prints one line or a few for each event, or with --json one object, as `--output-format stream-json` does. It only watches:
/// any number of readers may connect and disconnect.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct FollowArgs {
    /// Its name, its id, the beginning of either, or `last` for the newest active run of this directory.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// Print one JSON object for each event.
    #[arg(long)]
    pub json: bool,

    /// Print the texts of the agent and the critic while they are written, not only when they are complete.
    ///
    /// As text: each line as soon as it is complete. With --json: events of the type `words` with a few words each; the complete
    /// text follows in its usual event.
    #[arg(long)]
    pub words: bool,

    /// First print all events since the journal's entry with this number; 0 is the beginning.
    #[arg(long, value_name = "N")]
    pub since: Option<u64>,
}

/// How often a dropped reader reconnects without having received anything in between.
const RETURNS: u32 = 3;

/// Follows the run; the exit code is the run's.
///
/// # Errors
/// When the run cannot be reached, or its ccc dies.
pub fn run(args: FollowArgs, context: &Context) -> Result<ExitCode, CliError> {
    let run = steer::find(&args.run, context)?;
    inside::may_read(&run, "follow", context)?;
    let mut client = steer::connect(&run, "follow", false)?;
    let mut printer = EventPrinter::new(&run, args.json, context);
    printer.in_directory(&client.welcome().cwd);
    if args.words {
        printer.word_by_word();
    }
    let from = client.follow(None, args.since, args.words).map_err(|error| steer::unreachable(&error))?;
    watch_reader(&mut client);
    if let Some(since) = args.since {
        printer.history(Some(since), Some(from))?;
    }
    let mut returns = 0;
    loop {
        let event = client.next_event().map_err(|error| steer::unreachable(&error))?;
        match event {
            Some(Event::End { finish }) => return Ok(printer.end(finish.map(|finish| *finish))),
            // A reader that was slow may be faster now; one that is dropped at once is not.
            Some(Event::Gone { .. }) if returns < RETURNS => {
                returns += 1;
                let since = printer.told_until().saturating_sub(1);
                client = match Client::connect(&run, &Hello::new("follow", false)) {
                    Ok(client) => client,
                    Err(ClientError::NotRunning { .. }) => return rest(&run, &mut printer),
                    Err(error) => return Err(steer::unreachable(&error)),
                };
                let from = client.follow(None, Some(since), args.words).map_err(|error| steer::unreachable(&error))?;
                watch_reader(&mut client);
                printer.history(Some(since), Some(from))?;
            }
            Some(Event::Gone { why }) => {
                return Err(CliError::failed(format!("the run disconnected this reader: {why}"))
                    .hint(format!("to see all of it: ccc follow {} --since 0", run.id())));
            }
            Some(event @ (Event::Show(_) | Event::Words { .. } | Event::Unknown(_))) => {
                returns = 0;
                printer.event(&event);
            }
            None if client.reader_has_gone() => return Ok(ExitCode::COMPLETED),
            None => return rest(&run, &mut printer),
        }
        if context.printer.reader_has_gone() {
            return Ok(ExitCode::COMPLETED);
        }
    }
}

/// Ends the events when nobody reads stdout any more, as in `ccc follow RUN | head`: a run at rest has no event for hours.
fn watch_reader(client: &mut Client) {
    if let Ok(output) = io::stdout().as_fd().try_clone_to_owned() {
        client.stops_without_reader_of(output);
    }
}

/// Prints what the journal of an ended run has in addition: a run does not wait for a slow reader before it ends.
fn rest(run: &RunDir, printer: &mut EventPrinter<'_>) -> Result<ExitCode, CliError> {
    printer.history(Some(printer.told_until().saturating_sub(1)), None)?;
    if printer.has_finish() { Ok(printer.end(None)) } else { Err(steer::died(run)) }
}
