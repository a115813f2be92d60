//! Claude Code, driven as a subprocess over its stream-json protocol. What it does was measured on 2.1.197, 2.1.329 and 2.1.332 (the
//! facts); where the two differ the code says so. Nothing here reads prose: what an answer or a tool says never decides
//! anything, however much it looks like a limit or an error.

mod adapter;
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
mod shell_syntax;
mod spoken;
mod target;
mod tasks;
#[cfg(test)]
mod tests;
mod transcript;
mod usage;
mod vocabulary;
mod wording;

pub(super) use adapter::Claude;

/// The program's name.
const PROGRAM: &str = "claude";

/// Where it makes working trees of its own, below the directory that it is started in.
const OWN_TREES: [&str; 1] = [".claude/worktrees"];

/// The permission mode in which nothing may be changed. The tool that leaves it exists only where somebody can be asked.
const PLAN_MODE: &str = "plan";
