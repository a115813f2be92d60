//! `ccc send RUN TEXT`.

use clap::Args;

use crate::cli::{CliError, Context, ErrorKind, ExitCode, steer};
use crate::control::protocol::Request;

/// The longest text that is sent, in bytes.
const TEXT_BYTES: u64 = 1024 * 1024;

/// Say something to the agent of a run.
///
/// It is the agent's next turn: while the agent works, is checked or is judged, the text waits, and it goes before the
/// critic's feedback. The command returns as soon as the run has taken it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SendArgs {
    /// The run's id, the beginning of it, or `last` for the newest that is going on in this directory.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// What to say; `-` reads it from stdin.
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub text: String,

    /// Say it once, however often the command is repeated with the same key.
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
        return Err(CliError::new(ErrorKind::Usage, "there is nothing to say")
            .hint("give the text: ccc send RUN \"TEXT\", or - to read it from stdin"));
    }
    let key = args.key.or_else(|| Some(uuid::Uuid::new_v4().simple().to_string()));
    steer::order(&args.run, "send", &Request::Say { key, text, images: Vec::new() }, context)
}

fn from_stdin(context: &Context) -> Result<String, CliError> {
    let unread = |why: String| {
        CliError::new(ErrorKind::Usage, format!("the text cannot be read from stdin: {why}"))
            .hint("put long material into files and let the text name them")
    };
    let bytes = context.stdin.read_up_to(TEXT_BYTES + 1).map_err(|error| unread(error.to_string()))?;
    if bytes.len() as u64 > TEXT_BYTES {
        return Err(unread(format!("it is longer than {TEXT_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| unread("it is not valid UTF-8".to_owned()))
}
