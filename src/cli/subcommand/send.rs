//! `ccc send RUN TEXT`.

use clap::Args;

use crate::cli::steer::{self, Ordered};
use crate::cli::{CliError, Context, ExitCode};
use crate::control::protocol::{Reply, Request, Welcome};
use crate::core::{RestKind, Show};

/// The longest text that is sent, in bytes.
const TEXT_BYTES: u64 = 1024 * 1024;

/// Send a message to the agent of a run.
///
/// It becomes the agent's next turn, before the critic's feedback. While the agent works, or its work is checked or reviewed,
/// the message is queued. The command returns as soon as the run has accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SendArgs {
    /// The run.
    #[command(flatten)]
    pub ordered: Ordered,

    /// The message; `-` reads it from stdin.
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub text: String,

    /// Send it only once, even if the command is repeated with the same key.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// Sends the text.
///
/// # Errors
/// When the run cannot be reached, or refuses the text.
pub fn run(args: SendArgs, context: &Context) -> Result<ExitCode, CliError> {
    let text = if args.text == "-" { from_stdin(context)? } else { args.text };
    if text.trim().is_empty() {
        return Err(CliError::usage("the message is empty")
            .hint("give a text, or - to read it from stdin: ccc send RUN \"TEXT\""));
    }
    let key = args.key.or_else(|| Some(uuid::Uuid::new_v4().simple().to_string()));
    let run = steer::find(&args.ordered.run, context)?;
    let mut client = steer::connect(&run, "send", false)?;
    let reply = client.call(&Request::Say { key, text, images: Vec::new() });
    let reply = reply.map_err(|error| steer::unreachable(&error))?;
    steer::said(&reply)?;
    let heard = || steer::has_interface(&run).then(|| when_heard(client.welcome(), run.id())).flatten();
    let (done, says) = match &reply {
        Reply::Queued { .. } => {
            let next = || "queued: the agent gets it as its next turn".to_owned();
            ("queued", heard().or_else(|| steer::queued_in_words(&reply)).unwrap_or_else(next))
        }
        Reply::Already => ("already", steer::queued_in_words(&reply).unwrap_or_default()),
        Reply::Done
        | Reply::Following { .. }
        | Reply::Status(_)
        | Reply::Output(_)
        | Reply::Started { .. }
        | Reply::Fault(_) => ("sent", format!("sent; to see the answer: ccc attach {}", run.id())),
    };
    Ok(steer::done(&run, done, &says, args.ordered.json, context))
}

/// When the agent hears a text whose interface takes none now.
fn when_heard(welcome: &Welcome, run: &str) -> Option<String> {
    let phase = |show| if let Show::Phase { phase, detail, .. } = show { Some((phase, detail)) } else { None };
    let (phase, detail) = welcome.standing().find_map(phase)?;
    if phase == RestKind::Paused.in_words() {
        return Some(format!("the run is paused; the agent hears it after: ccc continue {run}"));
    }
    RestKind::is_rest(&phase, &detail).then(|| {
        format!(
            "the interface waits for its user, and the agent hears this at its next stop; to say it now, for which the \
             interface is started again: ccc interrupt {run}"
        )
    })
}

fn from_stdin(context: &Context) -> Result<String, CliError> {
    let unread = |why: String| {
        CliError::usage(format!("the message cannot be read from stdin: {why}"))
            .hint("put the content into files, and name the files in the message")
    };
    let bytes = context.stdin.read_up_to(TEXT_BYTES + 1).map_err(|error| unread(error.to_string()))?;
    if bytes.len() as u64 > TEXT_BYTES {
        return Err(unread(format!("it is longer than {TEXT_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| unread("it is not valid UTF-8".to_owned()))
}
