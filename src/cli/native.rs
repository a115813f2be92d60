//! `--native`: the requirements of the agent's own interface, and the options that cannot be combined with it.

use std::ffi::OsString;

use rustix::termios::isatty;

use super::{CliError, ErrorKind};
use crate::agent::AgentKind;
use crate::config::{Layer, OutputFormat};
use crate::control::Server;
use crate::core::Plan;
use crate::process::UserTerminal;

/// The longest task with which an interface is started, in bytes: the system limits an argument to 128 KiB.
const MAX_WORDS_BYTES: usize = 96 * 1024;
/// The variables by which a hook finds the run: the socket, the key that identifies the agent's hooks, and the program to run.
pub(super) const CONTROL: &str = "CCC_CONTROL";
pub(super) const HOOK_KEY: &str = "CCC_HOOK_KEY";
const PROGRAM: &str = "CCC_PROGRAM";

/// The terminal for the interface, if one is requested. `detach`: the run is to leave the terminal; `layer`: the settings that
/// were typed.
///
/// # Errors
/// When there is no terminal, or an option is given that an interface does not support.
pub(super) fn terminal(is_asked_for: bool, detach: bool, layer: &Layer) -> Result<Option<UserTerminal>, CliError> {
    if !is_asked_for {
        return Ok(None);
    }
    let refused = |message: &str, hint: &str| Err(CliError::new(ErrorKind::Usage, message).hint(hint));
    if detach {
        return refused(
            "--native shows the agent's interface on this terminal, and --detach leaves it",
            "leave out one of the two; a run in the background is seen by: ccc attach",
        );
    }
    if layer.output_format.is_some_and(|form| form != OutputFormat::Text) {
        return refused(
            "--native gives stdout to the agent's interface, so there is no room for --output-format",
            "leave it out, and in another terminal type: ccc follow RUN --json",
        );
    }
    if layer.transport.is_some() {
        return refused(
            "--native gives the agent the terminal itself, and --transport has no use then",
            "leave it out",
        );
    }
    if layer.interactive == Some(true) {
        return refused(
            "--native has no place where --interactive could ask: the terminal is the agent's",
            "leave it out: at a limit another token is taken, or the reset is waited for",
        );
    }
    if layer.budgets.max_cost_usd.is_some() {
        return refused(
            "the agent's interface does not tell what it costs, so --max-cost-usd cannot be kept",
            "leave it out; other bounds, such as --max-duration, are kept",
        );
    }
    at_terminal().map(Some)
}

/// The terminal, which must be both stdin and stdout.
///
/// # Errors
/// When it is not.
pub(super) fn at_terminal() -> Result<UserTerminal, CliError> {
    let found = if isatty(rustix::stdio::stdin()) { UserTerminal::find() } else { None };
    found.ok_or_else(|| {
        CliError::new(ErrorKind::Usage, "--native needs a terminal: stdin and stdout have to be one")
            .hint("start it at a terminal, without a pipe; without a terminal: ccc --supervisor -p \"TASK\"")
    })
}

/// The agent of a run without its interface.
///
/// # Errors
/// When the setting names the interface.
pub(super) fn kind_without(agent: AgentKind) -> Result<AgentKind, CliError> {
    if !agent.caps("").own_interface {
        return Ok(agent);
    }
    Err(CliError::new(
        ErrorKind::Usage,
        format!("the setting agent.kind is {}, which is the agent's own interface", agent.name()),
    )
    .hint("leave agent.kind out, and type: ccc --supervisor --native"))
}

/// The agent with its own interface.
///
/// # Errors
/// When ccc cannot supervise the interface.
pub(super) fn kind(agent: AgentKind) -> Result<AgentKind, CliError> {
    if let Some(interface) = agent.interface() {
        return Ok(interface);
    }
    Err(CliError::new(
        ErrorKind::Usage,
        format!("ccc cannot supervise the own interface of the agent {}", agent.name()),
    )
    .hint("leave out --native, or choose another agent by agent.kind"))
}

/// Refuses a task that is too long for the start of an interface.
///
/// # Errors
/// When the task is too long.
pub(super) fn refuse_long(task: &str) -> Result<(), CliError> {
    if task.len() <= MAX_WORDS_BYTES {
        return Ok(());
    }
    let message = format!(
        "the agent's interface is started with the task as an argument, which may have {MAX_WORDS_BYTES} bytes"
    );
    Err(CliError::new(ErrorKind::Usage, message)
        .hint("put it into a file of the project, and give as the task: -p \"Do what FILE says\""))
}

/// Whether the run supervises an interface.
pub(super) fn is_native(plan: &Plan) -> bool {
    plan.agent.caps(&plan.agent_version).own_interface
}

/// The variables by which the interface's hooks reach this server.
pub(super) fn hook_env(server: &Server, key: &str) -> Option<Vec<(OsString, OsString)>> {
    let program = std::env::current_exe().ok()?;
    Some(vec![(CONTROL.into(), server.place().into()), (HOOK_KEY.into(), key.into()), (PROGRAM.into(), program.into())])
}
