//! The settings by which the interface reports to ccc: hooks, added to those of the user.
//!
//! Hooks from `--settings` run in addition to those from settings files, all hooks of one event at the same time
//! (both versions). A second `--settings` would replace the user's own, so ccc's hooks are merged into it.

use serde_json::{Map, Value, json};

/// The events that are reported to ccc. A version silently ignores an event that it does not know (both versions).
const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "Notification",
    "StopFailure",
    "PreCompact",
    "PostCompact",
    "SessionEnd",
];

/// The event whose hook is held until the stop is judged.
const HELD: &str = "Stop";

/// How long the CLI waits for a hook that only reports, in seconds.
const TELLING_S: u64 = 10;
/// How long it waits for the held hook, in seconds: longer than any review and than a user would wait. 2.1.197 treats more
/// than 2^31 milliseconds as zero and ends such a hook at once.
const HELD_S: u64 = 7 * 24 * 3_600;

/// The user's settings with ccc's hooks added; an error message when the text holds no settings.
pub(super) fn with_hooks(text: &str) -> Result<String, String> {
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(settings)) => Ok(merged(settings)),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The settings with ccc's hooks only.
pub(super) fn hooks_only() -> String {
    merged(Map::new())
}

fn merged(mut settings: Map<String, Value>) -> String {
    let hooks = settings.entry("hooks").or_insert_with(|| json!({}));
    // The CLI would refuse the file if `hooks` were no object.
    if !hooks.is_object() {
        *hooks = json!({});
    }
    let telling = EVENTS.iter().map(|event| (*event, "hook", TELLING_S));
    for (event, command, timeout_s) in telling.chain([(HELD, "hook --wait", HELD_S)]) {
        // `exec` replaces the shell, so that a signal from the CLI reaches the program. A missing program counts as
        // no hook.
        let command = format!("test -x \"$CCC_PROGRAM\" || exit 0; exec \"$CCC_PROGRAM\" {command}");
        let ours = json!({"hooks": [{"type": "command", "command": command, "timeout": timeout_s}]});
        let Some(hooks) = hooks.as_object_mut() else { continue };
        match hooks.get_mut(event).and_then(Value::as_array_mut) {
            Some(theirs) => theirs.push(ours),
            None => drop(hooks.insert(event.to_owned(), json!([ours]))),
        }
    }
    Value::Object(settings).to_string()
}
