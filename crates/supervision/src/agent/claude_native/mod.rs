//! Claude Code's own interface on the user's terminal, followed by its hooks. The user works in it as usual; hooks
//! that ccc adds with `--settings` report what happens. Each line that the protocol reads is the stdin of one hook.
//!
//! The hooks' behaviour was measured on 2.1.197 and 2.1.332 (`docs/claude-cli-native.md`). A `Stop` hook is held
//! until the stop is judged: its answer sends the agent back to work or lets it stop. The critic is a fork without an
//! interface, as in every other run.

mod adapter;
mod failure;
mod launch;
mod protocol;
mod settings;
#[cfg(test)]
mod tests;

pub(super) use adapter::ClaudeNative;

/// Replaces a hook's input: the held hook ended, because the user did not want to wait for its answer.
pub const HOOK_GONE: &str = r#"{"hook_event_name":"HookGone"}"#;
