//! `ccc attach [RUN]`.

use std::ffi::OsString;
use std::io;

use clap::Args;

use crate::attach::{self, AttachEnd, AttachSetup, EndReason};
use crate::cli::event_printer::EventPrinter;
use crate::cli::{CliError, Context, ExitCode, continue_interactively, detach, inside, lines, notifying, steer};
use crate::config::Flags;
use crate::config::env::CCC_PLAIN;
use crate::core::{Outcome, WhenLeft};
use crate::driver::ChildEnv;
use crate::journal::{FileLock, RunDir};
use crate::process::UserTerminal;

/// Shown first in a conversation in lines.
const GREETING: &str = "supervised conversation: type the task and Enter; a critic reviews each stop (/supervisor off stops that); \
                        /help lists commands; Ctrl-D leaves";

/// Attach this terminal to a run: see its history and what happens now, and send it messages.
///
/// What you type is sent to the agent as its next turn; a number answers what is asked. Several terminals may be attached at once.
/// The run does not depend on them: Ctrl-D on an empty draft leaves it, and it continues. Esc interrupts the turn; Ctrl-C clears the
/// draft or interrupts, and ends the run when it is pressed twice. With --plain, Ctrl-C leaves as Ctrl-D does. Of a run that has
/// ended, its history is shown.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AttachArgs {
    /// Its name, its id, the beginning of either, or `last` [the newest active run of this directory].
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Only watch.
    #[arg(long)]
    pub read_only: bool,

    /// One line or a few for each event, and no cursor movement: for screen readers and pipes.
    #[arg(long)]
    pub plain: bool,
}

/// Shown first by a terminal that is attached to a run whose agent shows its own interface on another one.
const OF_INTERFACE: &str = "attached to a run whose agent shows its own interface on another terminal: requests are answered there; what you \
     type here is said at the agent's next stop; Ctrl-D leaves";

/// Attaches; the exit code is the run's, if the run ends meanwhile.
///
/// # Errors
/// When there is no such run, or it drops this terminal.
pub fn run(args: AttachArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("attach", context)?;
    let run = match &args.run {
        Some(wanted) => steer::find_begun(wanted, context)?,
        None => steer::newest_living("attach", context)?,
    };
    if matches!(FileLock::holder(&run.lock()), Ok(None)) {
        return over(&run, args.plain, context);
    }
    join(run, ConversationMode::of(args.plain, context), args.read_only, context)
}

/// Attaches to this active run.
///
/// # Errors
/// When it drops this terminal.
pub(in crate::cli) fn join(
    run: RunDir,
    mode: Option<ConversationMode>,
    read_only: bool,
    context: &Context,
) -> Result<ExitCode, CliError> {
    match mode {
        Some(ConversationMode::Screen(terminal)) => at_terminal(run, read_only, terminal, Flags::default(), context),
        Some(ConversationMode::Lines) | None => {
            let greeting = steer::has_interface(&run).then_some(OF_INTERFACE);
            lines::converse(&run, read_only, greeting, context)
        }
    }
}

/// How a conversation is shown on this terminal.
pub(in crate::cli) enum ConversationMode {
    /// With a drawn view.
    Screen(UserTerminal),
    /// In lines.
    Lines,
}

impl ConversationMode {
    /// `None` if no user can type here.
    pub(in crate::cli) fn of(plain: bool, context: &Context) -> Option<ConversationMode> {
        let is_plain = plain || context.env.get(CCC_PLAIN).is_some_and(|value| !value.is_empty());
        let is_dumb = context.env.get("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if !is_plain && !is_dumb {
            return UserTerminal::find().map(ConversationMode::Screen);
        }
        context.stdin.is_terminal().then_some(ConversationMode::Lines)
    }
}

/// Starts a run in the background with the typed arguments, and opens the conversation with it. `flags` are the typed settings.
///
/// # Errors
/// When it cannot be started, or cannot be reached.
pub(in crate::cli) fn converse(
    typed: &[OsString],
    command: Option<&str>,
    mode: ConversationMode,
    flags: Flags,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let ready = match detach::host(typed, command, true)? {
        Ok(ready) => ready,
        Err(code) => return Ok(code),
    };
    if let Some(fault) = ready.fault {
        return Err(CliError::io(format!("the conversation cannot begin: {fault}"))
            .hint("free some disk space, or set CCC_STATE_DIR to another directory"));
    }
    let run = RunDir::at(&context.dirs()?.state, &ready.run_id).map_err(CliError::failed)?;
    match mode {
        ConversationMode::Screen(terminal) => at_terminal(run, false, terminal, flags, context),
        ConversationMode::Lines => lines::converse(&run, false, command.is_none().then_some(GREETING), context),
    }
}

/// Runs the conversation with a run. `flags` are the typed settings.
fn at_terminal(
    run: RunDir,
    read_only: bool,
    terminal: UserTerminal,
    flags: Flags,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let id = run.id().to_owned();
    let has_interface = steer::has_interface(&run);
    if has_interface && !read_only {
        context.printer.talk(OF_INTERFACE);
    }
    let setup = AttachSetup {
        run: run.clone(),
        terminal,
        is_conversation: steer::is_conversation(&run),
        read_only,
        colour: context.style(&io::stdout()).colour,
        state: context.dirs()?.state.clone(),
        home: context.env.get("HOME").map(std::path::PathBuf::from),
        env: ChildEnv(context.bare_env()),
        seed: uuid::Uuid::new_v4().simple().to_string(),
        ring: notifying::ring(&run, context),
    };
    let AttachEnd { left, terminal_is_blocked } = attach::attach(setup).map_err(|error| steer::unreachable(&error))?;
    let then = match left {
        // Its user attends a run with the agent's own interface.
        EndReason::Detached(_) | EndReason::Cut(_) if has_interface => Some(WhenLeft::GoesOn),
        EndReason::Detached(then) | EndReason::Cut(then) => Some(then),
        EndReason::Ended { .. } | EndReason::Lost => None,
    };
    if let Some(then) = then.filter(|_| !terminal_is_blocked) {
        context.printer.talk(lines::left(&id, then));
    }
    match left {
        EndReason::Detached(_) => Ok(ExitCode::COMPLETED),
        EndReason::Ended { outcome: Some(Outcome::Completed), by_user: true } => {
            continue_interactively::after_conversation(&run, flags, context)?;
            Ok(ExitCode::COMPLETED)
        }
        EndReason::Ended { outcome, .. } => Ok(outcome.map_or(ExitCode::FAILED, ExitCode::from)),
        EndReason::Lost => Ok(ExitCode::FAILED),
        EndReason::Cut(_) => Ok(ExitCode::INTERRUPTED),
    }
}

/// Shows a run that has ended.
fn over(run: &RunDir, is_plain: bool, context: &Context) -> Result<ExitCode, CliError> {
    let mut printer = EventPrinter::new(run, false, context);
    if let Some(ConversationMode::Screen(terminal)) = ConversationMode::of(is_plain, context)
        && let Some(size) = terminal.size()
    {
        printer.end_first(size);
    }
    printer.history(None, None)?;
    if !printer.has_finish() {
        return Err(steer::died(run));
    }
    let code = printer.end(None);
    if steer::is_conversation(run) && !printer.says_how_to_continue() {
        context.printer.talk(format_args!("the conversation has ended; to continue it: ccc resume {}", run.id()));
    }
    Ok(code)
}
