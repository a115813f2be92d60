//! After a completed run, its session may continue in the agent's own interface on the user's terminal.

use std::process::Command;

use super::{CliError, Context, trust};
use crate::config::{Flags, Project};
use crate::core::Plan;
use crate::driver::ChildEnv;
use crate::journal::{JournalReader, RunDir, RunSummary};
use crate::process::SavedModes;
use crate::ui::ScreenModes;

/// After the user has left a conversation with a completed run: with the setting `hand_over`, the session continues here, in this
/// terminal's own environment. The host's environment has a token that may not be the user's.
///
/// # Errors
/// When the settings cannot be read.
pub(super) fn after_conversation(run: &RunDir, flags: Flags, context: &Context) -> Result<(), CliError> {
    if context.settings(flags)?.settings.hand_over != Some(true) {
        return Ok(());
    }
    let plan = JournalReader::open(&run.journal()).ok().and_then(|journal| journal.plan().ok());
    let session = RunSummary::read(&run.summary()).ok().and_then(|summary| summary.session_id);
    let (Some(plan), Some(session)) = (plan, session) else {
        context.printer.warn("the session is not handed over: the run's directory cannot be read");
        return Ok(());
    };
    let project = Project::find(std::path::Path::new(&plan.cwd));
    let settings = trust::settings_of_agent(plan.agent, &plan.agent_args, &project, context)?;
    if let Some(objection) = settings.objection() {
        context.printer.warn(format_args!("{objection}: the session is not handed over; to review it: ccc trust"));
        return Ok(());
    }
    let env = ChildEnv(context.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    continue_interactively(&plan, Some(&session), &env, context);
    Ok(())
}

/// Continues the finished session in the agent's own interface, until the user leaves it. The run stays completed.
pub(super) fn continue_interactively(plan: &Plan, session: Option<&String>, env: &ChildEnv, context: &Context) {
    let args = |id: &String| plan.agent.interface_args(id, &plan.agent_args);
    let Some(args) = session.and_then(args) else { return };
    let interface = plan.agent.program();
    context.printer.talk(format_args!(
        "the session continues in the interface of {interface}; ccc ends when you exit it (--no-hand-over skips it)"
    ));
    let lent = SavedModes::of_stdin();
    let left = Command::new(&plan.agent_program)
        .args(args)
        .current_dir(&plan.cwd)
        .env_clear()
        .envs(env.0.iter().map(|(name, value)| (name, value)))
        .status();
    drop(lent);
    let trouble = match left {
        Ok(status) if status.success() => return,
        Ok(status) => {
            // The interface failed, so the terminal's modes may still be changed.
            context.printer.talk_raw(ScreenModes::ALL_OFF);
            status.to_string()
        }
        Err(error) => format!("it could not be started: {error}"),
    };
    context.printer.warn(format_args!("the interface of {interface}: {trouble}; the run itself is completed"));
}
