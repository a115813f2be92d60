//! Claude Code, driven as a subprocess over its stream-json protocol. What it does was measured on 2.1.197, 2.1.329 and 2.1.332 (the
//! facts); where the two differ the code says so. Nothing here reads prose: what an answer or a tool says never decides
//! anything, however much it looks like a limit or an error.

mod amend;
mod cost;
mod denials;
mod exit;
mod failure;
mod hooks;
mod launch;
mod noise;
mod options;
mod partial;
mod protocol;
mod rules;
mod schedules;
mod spoken;
mod target;
mod tasks;
#[cfg(test)]
mod tests;
mod transcript;
mod vocabulary;
mod wording;

pub(super) use amend::{amended, apart, merged};
pub(super) use cost::COST_REQUEST;
pub(super) use exit::cause as exit_cause;
pub(super) use launch::{has_prompt_snapshot, hookless_settings, launch, user_args};
pub(super) use noise::says_nothing;
pub(super) use options::for_interface;
pub(super) use partial::partial_text;
pub(super) use protocol::{CREDENTIAL_REQUEST, ClaudeProtocol, partial_is_progress};
pub(super) use transcript::{has_turn, user_turns};
pub(super) use vocabulary::vocabulary;
pub(super) use wording::wording;

/// The program's name.
pub(super) const PROGRAM: &str = "claude";

/// The permission mode in which nothing may be changed. The tool that leaves it exists only where somebody can be asked.
pub(super) const PLAN_MODE: &str = "plan";

/// The versions that the facts were measured on. The tests drive the first and the last, and replay recordings of all three.
pub(super) const KNOWN_VERSIONS: &[&str] = &["2.1.197", "2.1.329", "2.1.332"];
