//! Claude Code, driven as a subprocess over its stream-json protocol. Its behaviour was measured on 2.1.197, 2.1.329
//! and 2.1.332 (the facts); where versions differ the code says so. Nothing here interprets prose: the text of an
//! answer or a tool never decides anything, however much it looks like a limit or an error.

mod adapter;
mod amend;
mod branch;
mod context;
mod cost;
mod denials;
mod exit;
mod failure;
mod hooks;
mod interface;
mod launch;
mod noise;
mod options;
mod partial;
mod protocol;
mod questions;
mod rules;
mod sandbox;
mod schedules;
mod shell_syntax;
mod spoken;
mod target;
mod tasks;
#[cfg(test)]
mod tests;
mod todo;
mod transcript;
mod usage;
mod vocabulary;
mod wording;

pub(super) use adapter::Claude;
pub(super) use launch::{ENV_UNSET, MOVING_TOOL};
pub(super) use options::for_interface_without;
pub(super) use rules::exact as exact_rules;
pub(super) use target::{can_write, edit, error_of, first_line, hunks, output_of, target, timeout_ms};

/// The program's name.
const PROGRAM: &str = "claude";

/// The name of the family that supervises its own interface.
pub(super) const INTERFACE_NAME: &str = "claude_native";

/// Where it creates its own working trees, below its start directory.
const OWN_TREES: [&str; 1] = [".claude/worktrees"];

/// The permission mode in which nothing may be changed. The tool that leaves it exists only if somebody can be asked.
const PLAN_MODE: &str = "plan";
