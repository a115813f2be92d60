//! The effect of the user's hooks on a turn: they can block a prompt, or block the end of a turn so that the model
//! continues.
//!
//! Measured on 2.1.332 and 2.1.197: when a `UserPromptSubmit` hook blocks (exit 2, `decision: block`,
//! `continue: false`), the CLI sends `system/informational` with `prevent_continuation`, then a result without a model
//! turn that counts as a success. When a `Stop` hook blocks, it sends a synthetic user message and makes another request; the
//! CLI overrides the ninth block in a row. Only command hooks have a `hook_response`; for hooks that ask a model
//! there is only the synthetic message.

use crate::agent::{FailureCause, TurnOutcome};
use crate::stream::Raw;
use crate::stream::message::{Block, Hook, User};

/// The event before a prompt reaches the model.
const PROMPT_EVENT: &str = "UserPromptSubmit";
/// The event at the end of a turn.
const STOP_EVENT: &str = "Stop";
/// A command's exit code that blocks.
const BLOCKING_EXIT_CODE: i64 = 2;
/// Precedes the prompt that the CLI repeats after a hook's message.
pub(super) const REPEATED_PROMPT: &str = "\n\nOriginal prompt:";
/// How many characters of a hook's message are kept.
const SAID_CHARS: usize = 300;

/// The hooks of the current turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Hooks {
    /// What the CLI said when a hook prevented it from continuing.
    stopped: Option<String>,
    /// The name of the last hook that was reported to block.
    blocking: Option<String>,
    /// The model's last message ended with text and not with a tool call, so it wanted to end its turn.
    wants_to_end: bool,
}

impl Hooks {
    /// A result was read, or a new turn sent.
    pub(super) fn next_turn(&mut self) {
        *self = Self::default();
    }

    /// A `hook_response`.
    pub(super) fn ended(&mut self, hook: &Hook<'_>) {
        let of_the_turn = matches!(hook.hook_event.as_deref(), Some(PROMPT_EVENT | STOP_EVENT));
        if of_the_turn && blocks(hook) {
            self.blocking = hook.hook_name.as_deref().or(hook.hook_event.as_deref()).map(str::to_owned);
        }
    }

    /// A block of the model's own message; `words`: it is text or thinking.
    pub(super) fn model_said(&mut self, words: bool) {
        self.wants_to_end = words;
    }

    /// `informational` with `prevent_continuation`.
    pub(super) fn stopped(&mut self, said: &str) {
        self.stopped = Some(shortened(said.split(REPEATED_PROMPT).next().unwrap_or_default()));
    }

    /// The outcome of a turn without a request, if a hook blocked it.
    pub(super) fn blocked(&self) -> Option<TurnOutcome> {
        let message = self.stopped.clone()?;
        let hook = self.blocking.clone().unwrap_or_else(|| PROMPT_EVENT.to_owned());
        Some(TurnOutcome::Failed { cause: FailureCause::Blocked { hook }, message })
    }

    /// A synthetic user message: returns the hook that made the model continue, and its message.
    pub(super) fn sent_back(&mut self, user: &User<'_>) -> Option<(String, String)> {
        if !std::mem::take(&mut self.wants_to_end) {
            return None;
        }
        let mut said = None;
        for block in user.blocks() {
            match block {
                Block::Text(text) => said = Some(shortened(text)),
                Block::ToolResult(_) => return None,
                Block::Thinking(_) | Block::ToolUse(_) | Block::Other(_) => {}
            }
        }
        Some((self.blocking.take().unwrap_or_else(|| STOP_EVENT.to_owned()), said?))
    }
}

/// Whether this hook blocks, by its exit code or by its JSON output.
fn blocks(hook: &Hook<'_>) -> bool {
    if hook.exit_code == Some(BLOCKING_EXIT_CODE) {
        return true;
    }
    let said = hook.stdout.as_deref().unwrap_or_default().trim();
    let Some(said) = Raw::parse(said) else { return false };
    let decided = said.member("decision").and_then(Raw::text);
    decided.as_deref() == Some("block") || said.member("continue").and_then(|go_on| go_on.read()) == Some(false)
}

/// One line, truncated.
fn shortened(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SAID_CHARS).collect()
}
