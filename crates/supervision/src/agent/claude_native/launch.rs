//! How the interface is started.

use super::super::claude::{Claude, ENV_UNSET, MOVING_TOOL, exact_rules, for_interface_without};
use super::settings;
use crate::agent::{Adapter as _, LaunchRequest, SessionOpen};
use crate::words::Launch;

const SETTINGS: &str = "--settings";
const MODEL: &str = "--model";

/// The longest message that the interface is started with, in bytes: one process argument may have 128 KiB.
const WORDS_BYTES: usize = 96 * 1024;
/// Replaces the part that is left out.
const CUT: &str = "\n\n[The rest of this message is left out: it was too long.]";

/// The first message as the interface gets it. The interface treats text that begins with a slash as its own command
/// and answers an unknown one itself; with a leading blank the text reaches the model (both versions).
pub(super) fn said(words: &str) -> String {
    let kept = words.get(..words.floor_char_boundary(WORDS_BYTES)).unwrap_or_default();
    let blank = if kept.starts_with('/') { " " } else { "" };
    let cut = if kept.len() < words.len() { CUT } else { "" };
    // No argument can hold a NUL.
    format!("{blank}{kept}{cut}").replace('\0', " ")
}

/// What to start for this request. The driver adds the run's address and key to the environment.
pub(super) fn launch(request: &LaunchRequest<'_>) -> Launch {
    let mut args: Vec<String> = Vec::new();
    let mut push = |parts: &[&str]| args.extend(parts.iter().map(|&part| part.to_owned()));
    match &request.open {
        SessionOpen::New(id) => push(&["--session-id", id]),
        SessionOpen::Resume(id) => push(&["--resume", id]),
        SessionOpen::Copy(from, id) => push(&["--resume", from, "--fork-session", "--session-id", id]),
        SessionOpen::Latest => push(&["--continue"]),
        SessionOpen::Fork(id) => push(&["--resume", id, "--fork-session"]),
    }
    let theirs = for_interface_without(request.user_args, &[]);
    let chooses_model = theirs.iter().any(|arg| arg == MODEL || arg.starts_with("--model="));
    let model = request.model.filter(|_| request.model_is_chosen || !chooses_model);
    if let Some(model) = model {
        push(&[MODEL, model]);
    }
    if request.one_tree {
        push(&["--disallowedTools", MOVING_TOOL]);
    }
    let mut rules: Vec<String> = request.allowed_commands.iter().flat_map(|command| exact_rules(command)).collect();
    rules.dedup();
    if !rules.is_empty() {
        push(&["--allowedTools"]);
        push(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let ours: &[&str] = if model.is_some() { &[SETTINGS, MODEL] } else { &[SETTINGS] };
    args.extend(for_interface_without(request.user_args, ours));
    args.extend([SETTINGS.to_owned(), settings_of(request)]);
    // Without `--` an option with many values would consume the message.
    args.extend(request.words.into_iter().flat_map(|words| ["--".to_owned(), said(words)]));
    Launch {
        args,
        env_set: [
            ("CCC_RUN_ID", request.run_id),
            ("CCC_ATTEMPT", &request.proc.to_string()),
            // Otherwise the CLI ignores the hook's answer at the ninth blocked stop in a row.
            ("CLAUDE_CODE_STOP_HOOK_BLOCK_CAP", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        env_unset: ENV_UNSET.iter().map(|&name| name.to_owned()).collect(),
        cwd: request.cwd.to_owned(),
    }
}

/// The user's settings with ccc's hooks: JSON in the arguments, or the file that was made from the user's file.
fn settings_of(request: &LaunchRequest<'_>) -> String {
    let named = Claude.read_user_args(request.user_args).ok().and_then(|meaning| meaning.settings);
    match named {
        None => settings::hooks_only(),
        Some(text) if text.trim_start().starts_with('{') => {
            settings::with_hooks(&text).unwrap_or_else(|_| settings::hooks_only())
        }
        Some(_) => request.interface_settings.map_or_else(settings::hooks_only, str::to_owned),
    }
}
