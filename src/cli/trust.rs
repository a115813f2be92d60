//! The user's agreement to what a project's files ask for: which commands need it, and how the user is asked.

use std::io::IsTerminal;
use std::path::Path;

use super::{CliError, Context, Paint};
use crate::agent::AgentKind;
use crate::config::env::CCC_RUN_ID;
use crate::config::{Flags, Project, Resolved, Settings, Wish};
use crate::core::shell::quoted;
use crate::driver;
use crate::guard::{AskedFor, ConsentStore, SettingsOfAgent, named, unreadable};
use crate::tokens::UnsafeFile;
use crate::ui::clean;

/// The command that shows what a project asks for, and asks the user to agree.
pub(super) const COMMAND: &str = "ccc trust";
/// The longest answer, in bytes.
const ANSWER_LIMIT_BYTES: u64 = 1_024;

/// Everything that the project's files ask for: its configuration, as far as flags do not override it, and its settings
/// for the agent.
///
/// # Errors
/// When the agent's arguments cannot be used.
pub(super) fn of_project(resolved: &Resolved, project: &Project, context: &Context) -> Result<AskedFor, CliError> {
    let agent = &resolved.settings.agent;
    let mut asked = settings_of_agent(agent.kind.0, &agent.args, project, context)?.look();
    asked.agreed.splice(0..0, resolved.agreed.iter().cloned());
    asked.not_agreed.splice(0..0, resolved.not_agreed.iter().cloned());
    Ok(asked)
}

/// The project's settings for the agent when it starts with these arguments.
///
/// # Errors
/// When the arguments cannot be used.
pub(super) fn settings_of_agent(
    agent: AgentKind,
    agent_args: &[String],
    project: &Project,
    context: &Context,
) -> Result<SettingsOfAgent, CliError> {
    let args = agent.read_user_args(agent_args)?;
    Ok(SettingsOfAgent::new(agent, project, context.dirs()?, &context.env, args.settings, args.setting_sources))
}

/// Refuses files that cannot be read: they may ask for anything, so no user can agree to them.
///
/// # Errors
/// When there is such a file.
pub(super) fn refuse_unreadable(files: &[UnsafeFile], project: &Project) -> Result<(), CliError> {
    let Some(file) = files.first() else { return Ok(()) };
    Err(CliError::configuration(clean::one_line(&unreadable(file, project.root()), usize::MAX)).hint(file.advice))
}

/// Requires the user's agreement to these wishes, and asks for it at a terminal. True when the user agreed just now, so
/// that the settings must be read again.
///
/// # Errors
/// When there is no user to ask, or the user does not agree.
pub(super) fn require(wishes: &[Wish], project: &Project, context: &Context) -> Result<bool, CliError> {
    if wishes.is_empty() {
        return Ok(false);
    }
    if somebody_is_there(context) {
        let talk = |line: &str| context.printer.talk(line);
        show(wishes, project.root(), &talk, &|text| context.printer.paint_err(Paint::Bold, text));
        if ask(context)? {
            agree(wishes, project, context)?;
            return Ok(true);
        }
    }
    Err(refusal(wishes, project, context))
}

/// As [`require`], for a command that uses only the tokens of the project's configuration, resolved with these flags. Returns the
/// settings.
///
/// # Errors
/// As [`require`].
pub(super) fn require_tokens(
    resolved: Resolved,
    flags: Flags,
    tokens_are_used: bool,
    project: &Project,
    context: &Context,
) -> Result<Settings, CliError> {
    let wishes: Vec<Wish> = resolved.not_agreed.iter().filter(|wish| wish.key == "tokens").cloned().collect();
    if tokens_are_used && require(&wishes, project, context)? {
        return Ok(context.settings_of(project, flags)?.settings);
    }
    Ok(resolved.settings)
}

/// As [`require`], for what the project's settings for the agent ask for. Returns those settings, which are checked
/// again before each start.
///
/// # Errors
/// As [`require`].
pub(super) fn require_agent_settings(
    agent: AgentKind,
    agent_args: &[String],
    project: &Project,
    context: &Context,
) -> Result<SettingsOfAgent, CliError> {
    let settings = settings_of_agent(agent, agent_args, project, context)?;
    let asked = settings.look();
    refuse_unreadable(&asked.unreadable, project)?;
    if require(&asked.not_agreed, project, context)? {
        return settings_of_agent(agent, agent_args, project, context);
    }
    Ok(settings)
}

/// Stores the user's agreement.
///
/// # Errors
/// When it cannot be written, or an agent runs the command.
pub(super) fn agree(wishes: &[Wish], project: &Project, context: &Context) -> Result<(), CliError> {
    // This is no protection, because an agent can remove the variable. It prevents an accidental agreement.
    if context.env.get(CCC_RUN_ID).is_some() {
        return Err(CliError::usage("an agent cannot agree to a project's settings for the user")
            .hint(format!("the user can agree in another terminal: {COMMAND}")));
    }
    ConsentStore::new(&context.dirs()?.state)
        .agree(project.root(), wishes, driver::unix_ms())
        .map_err(|error| CliError::io(error).hint("make it writable, or set CCC_STATE_DIR to another directory"))
}

/// Warns about settings that are not used without agreement.
pub(super) fn tell(wishes: &[Wish], context: &Context) {
    if !wishes.is_empty() {
        context.printer.warn(format_args!(
            "{}, so it is not used; to review it and agree: {COMMAND}",
            context.project().map_or_else(
                |_| format!("you have not agreed to {}", named(wishes)),
                |project| lacks(wishes, &project, context)
            )
        ));
    }
}

/// The settings, after a warning about those that are not used.
///
/// # Errors
/// When the configuration cannot be understood.
pub(super) fn settings_told(context: &Context) -> Result<Settings, CliError> {
    let resolved = context.settings(Flags::default())?;
    tell(&resolved.not_agreed, context);
    Ok(resolved.settings)
}

/// Asks whether the user agrees. Anything but a yes counts as no.
///
/// # Errors
/// None at present.
pub(super) fn ask(context: &Context) -> Result<bool, CliError> {
    Ok(says_yes("Do you agree?", context))
}

/// Asks for a yes. Anything else counts as no.
pub(super) fn says_yes(question: &str, context: &Context) -> bool {
    context.printer.talk_raw(&format!("{question} [y/N] "));
    let answer = context.stdin.read_line(ANSWER_LIMIT_BYTES).to_ascii_lowercase();
    answer == "y" || answer == "yes"
}

/// Whether a user can see and answer a question.
pub(super) fn somebody_is_there(context: &Context) -> bool {
    context.stdin.is_terminal() && std::io::stderr().is_terminal() && context.env.get(CCC_RUN_ID).is_none()
}

/// A sentence about what the user has not agreed to, and about what has changed since an agreement.
pub(super) fn lacks(wishes: &[Wish], project: &Project, context: &Context) -> String {
    let store = context.dirs().map(|dirs| ConsentStore::new(&dirs.state)).ok();
    let changed = |wish: &&Wish| store.as_ref().is_some_and(|store| store.agreed_to_another(project.root(), wish));
    let (changed, new): (Vec<Wish>, Vec<Wish>) = wishes.iter().cloned().partition(|wish| changed(&wish));
    let of_new = (!new.is_empty()).then(|| format!("you have not agreed to {}", named(&new)));
    let of_changed = (!changed.is_empty()).then(|| format!("changed since you agreed: {}", named(&changed)));
    of_new.into_iter().chain(of_changed).collect::<Vec<_>>().join("; ")
}

/// Shows each wish with its effect and its whole value. Nothing is cut, because the end may be what matters.
pub(super) fn show(wishes: &[Wish], root: &Path, line: &dyn Fn(&str), bold: &dyn Fn(&str) -> String) {
    let whole = |text: &str| clean::one_line(text, usize::MAX);
    line(&format!("These settings in the files of {} need your agreement:", whole(&root.display().to_string())));
    let mut file = None;
    for wish in wishes {
        if file != Some(&wish.name) {
            line("");
            line(&bold(&whole(&wish.name)));
            file = Some(&wish.name);
        }
        line(&format!("  {}: {}", wish.key, wish.effect));
        for value in &wish.shown {
            line(&format!("      {}", whole(value)));
        }
    }
    line("");
}

fn refusal(wishes: &[Wish], project: &Project, context: &Context) -> CliError {
    let message = lacks(wishes, project, context);
    let here = context.project().is_ok_and(|here| here.root() == project.root() && here.cwd == project.cwd);
    let command =
        if here { COMMAND.to_owned() } else { format!("cd {} && {COMMAND}", quoted(&project.cwd.to_string_lossy())) };
    CliError::configuration(message).hint(format!("to review it and agree: {command}"))
}
