//! The branch of an agent.

use std::collections::BTreeSet;

use super::error::WorktreeError;
use crate::git::{Call, Git, GitError, Place};

/// How many names are tried.
const TRIES: u32 = 1_000;

/// Whether a branch has the name that ccc gives to those of its agents, such as `agent/fox`.
#[must_use]
pub fn is_branch_of_agent(branch: &str) -> bool {
    branch.strip_prefix("agent").is_some_and(|rest| rest.starts_with(['/', '-']))
}

/// Checks that a branch can have this name and does not exist.
pub(super) fn named(git: &Git, place: &Place, branch: &str) -> Result<String, WorktreeError> {
    if !is_valid(git, place, branch)? {
        return Err(WorktreeError::WrongBranch { branch: branch.to_owned() });
    }
    if is_taken(git, place, branch)? {
        return Err(WorktreeError::BranchExists { branch: branch.to_owned() });
    }
    Ok(branch.to_owned())
}

/// A free branch for an agent of this name: `agent/<name>`, `agent/<name>-2`, and so on; where a branch `agent` exists, so
/// that none can lie below it, `agent-<name>`.
pub(super) fn for_agent(git: &Git, place: &Place, name: &str) -> Result<String, WorktreeError> {
    let patterns = ["refs/heads/agent", "refs/heads/agent-*", "refs/heads/agent-*/**"];
    let list = git.text(place, &Call::new(["for-each-ref", "--format=%(refname:lstrip=2)"]).args(patterns))?;
    let taken: BTreeSet<&str> = list.lines().collect();
    let separator = if taken.contains("agent") { '-' } else { '/' };
    let first = format!("agent{separator}{name}");
    if !is_valid(git, place, &first)? {
        return Err(WorktreeError::WrongBranch { branch: first });
    }
    let is_free = |branch: &String| {
        let above = branch.match_indices('/').any(|(at, _)| taken.contains(&branch[..at]));
        let below = format!("{branch}/");
        !above && !taken.contains(branch.as_str()) && !taken.iter().any(|taken| taken.starts_with(&below))
    };
    let mut names = (1..=TRIES).map(|number| if number == 1 { first.clone() } else { format!("{first}-{number}") });
    names.find(is_free).ok_or(WorktreeError::BranchExists { branch: first.clone() })
}

fn is_valid(git: &Git, place: &Place, branch: &str) -> Result<bool, GitError> {
    let checked = git.ask(place, &Call::new(["check-ref-format", &format!("refs/heads/{branch}")]))?;
    Ok(checked.code == 0 && !branch.starts_with('-'))
}

/// Whether the branch, one above it or one below it exists.
fn is_taken(git: &Git, place: &Place, branch: &str) -> Result<bool, GitError> {
    let reference = format!("refs/heads/{branch}");
    let above = branch.match_indices('/').map(|(at, _)| format!("refs/heads/{}", &branch[..at]));
    for reference in above.chain([reference.clone()]) {
        if exists(git, place, &reference)? {
            return Ok(true);
        }
    }
    let below = git.run(place, &Call::new(["for-each-ref", "--count=1", &format!("{reference}/")]))?;
    Ok(!below.is_empty())
}

fn exists(git: &Git, place: &Place, reference: &str) -> Result<bool, GitError> {
    Ok(git.ask(place, &Call::new(["show-ref", "--verify", "-q", reference]))?.code == 0)
}
