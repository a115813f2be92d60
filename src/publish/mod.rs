//! Brings a branch to a remote, and opens a pull request for it: with the user's own `git push` and `gh`.
//!
//! This is the only place where git uses the network, and where it runs what the repository and the user have configured for a
//! push: hooks, ssh, credential helpers. The user has typed the command that does it; an agent may not. Where a branch is pushed
//! ([`upstream`], [`remote_for`]) is read by git of ours ([`crate::git`]), which runs nothing.
//!
//! # Promises
//! - One branch is pushed, to one branch of one remote: no tags, no other branch, no commit of a submodule.
//! - `--force` is never used. A remote that has moved rejects the push.
//! - Nothing prompts, and everything has a timeout.
//! - What git or `gh` say is returned without control characters, passwords in URLs and known kinds of secrets.

mod pull_request;
mod push;
mod said;
mod target;

pub use pull_request::{Gh, GhError, PullRequest};
pub use push::{Pushed, Pusher, Rejected};
pub use target::{NoTarget, Target, head_of, remote_for, upstream};

#[cfg(test)]
mod tests;
