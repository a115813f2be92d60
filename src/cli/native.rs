//! `--native`: the requirements of the agent's own interface, and the options that cannot be combined with it.

use std::ffi::OsString;

use rustix::termios::isatty;

use super::CliError;
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
    let refused = |message: &str, hint: &str| Err(CliError::usage(message).hint(hint));
    if detach {
        return refused(
            "--native and --detach exclude each other: --native needs this terminal, --detach leaves it",
            "leave out one of them; to see a run in the background: ccc attach",
        );
    }
    if layer.output_format.is_some_and(|form| form != OutputFormat::Text) {
        return refused(
            "--native and --output-format exclude each other: the agent's interface uses stdout",
            "leave out --output-format, and in another terminal type: ccc follow last --json",
        );
    }
    if layer.transport.is_some() {
        return refused(
            "--transport has no effect with --native: the agent uses the terminal itself",
            "leave out --transport",
        );
    }
    if layer.interactive == Some(true) {
        return refused(
            "--interactive cannot ask with --native: the agent uses the terminal",
            "leave out --interactive: at a limit ccc takes another token, or waits for the reset",
        );
    }
    if layer.budgets.max_cost_usd.is_some() {
        return refused(
            "--max-cost-usd does not work with --native: the agent's interface does not report its cost",
            "leave out --max-cost-usd; other bounds, such as --max-duration, work",
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
        CliError::usage("--native needs a terminal as stdin and stdout")
            .hint("type it in a terminal, without a pipe; to run without a terminal: ccc --supervisor -p \"TASK\"")
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
    Err(CliError::usage(format!("the setting agent.kind is {}, which only --native can start", agent.name()))
        .hint("remove agent.kind from the configuration, and type: ccc --supervisor --native"))
}

/// The agent with its own interface.
///
/// # Errors
/// When ccc cannot supervise the interface.
pub(super) fn kind(agent: AgentKind) -> Result<AgentKind, CliError> {
    if let Some(interface) = agent.interface() {
        return Ok(interface);
    }
    Err(CliError::usage(format!(
        "--native does not support the agent {}: ccc cannot supervise its interface",
        agent.name()
    ))
    .hint("leave out --native, or set agent.kind to another agent"))
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
        "with --native the task can have at most {MAX_WORDS_BYTES} bytes, because it is an argument of the agent"
    );
    Err(CliError::usage(message).hint("write the task into a file of the project, and give: -p \"Do what FILE says\""))
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
