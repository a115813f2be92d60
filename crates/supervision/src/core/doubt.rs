//! What the two measurements around a review say about its verdict.
//!
//! A critic may run tools but must not change files. Only an approval is doubted, because a critic that finds faults gains
//! nothing by changing files. Only a critic that ran a tool that can write is suspected.

use std::collections::BTreeSet;

use super::TreeFact;

/// The path that represents a change of a repository's head or index.
pub const HEAD_OR_INDEX: &str = "(the repository's head or index)";
/// The most paths that a sentence names.
const NAMED: usize = 5;
/// The most paths that are kept as possibly changed by a critic.
const MAX_ALTERED: usize = 1_000;

/// What changed during the reviews of this run, although a critic must not change files. The approval of such a critic does not
/// count, but its changes stay in the tree, where a later critic may approve them. If another process could have written, too,
/// the two cannot be told apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Altered {
    /// Paths that only a critic can have changed.
    by_critics: BTreeSet<String>,
    /// Paths that processes left running by the agent may have changed.
    with_others: BTreeSet<String>,
    /// Those processes.
    others: BTreeSet<String>,
    /// The tree before the first such review. When it is the same again, all changes were reverted.
    untouched: Option<String>,
}

impl Altered {
    /// Records the changes around a critic that could write.
    pub(super) fn note(&mut self, around: &ReviewContext<'_>) {
        let measured = around.before.is_some_and(|tree| tree.fingerprint.is_some());
        if !measured || !around.could_write || around.after.changed.is_empty() {
            return;
        }
        if self.by_critics.is_empty() && self.with_others.is_empty() {
            self.untouched = around.before.and_then(|tree| tree.fingerprint.clone());
        }
        let others = around.other_writers();
        let paths = if others.is_some() { &mut self.with_others } else { &mut self.by_critics };
        let left = MAX_ALTERED.saturating_sub(paths.len());
        paths.extend(around.after.changed.iter().take(left).cloned());
        self.others.extend(others.filter(|_| self.others.len() < MAX_ALTERED));
    }

    /// The current fingerprint of the tree.
    pub(super) fn measured(&mut self, fingerprint: Option<&str>) {
        if fingerprint.is_some() && self.untouched.as_deref() == fingerprint {
            *self = Self::default();
        }
    }

    /// Paths that only a critic can have changed, sorted.
    pub(super) fn paths(&self) -> Vec<String> {
        self.by_critics.iter().cloned().collect()
    }

    /// What the reason of an outcome adds about them; empty if there are none.
    pub(super) fn proviso(&self) -> String {
        let all = |texts: &BTreeSet<String>| named(&texts.iter().cloned().collect::<Vec<_>>());
        let mut text = String::new();
        if !self.by_critics.is_empty() {
            text.push_str(&format!(
                "; these files changed while an earlier critic ran commands, look at them: {}",
                all(&self.by_critics)
            ));
        }
        if !self.with_others.is_empty() {
            text.push_str(&format!(
                "; these files changed while a critic ran commands, which was taken for the work of {}, look at them: {}",
                all(&self.others),
                all(&self.with_others)
            ));
        }
        text
    }
}

/// The observations around a review.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReviewContext<'a> {
    pub(super) before: Option<&'a TreeFact>,
    pub(super) after: &'a TreeFact,
    /// The critic ran a command, or another tool that can write.
    pub(super) could_write: bool,
    /// The number of open background tasks that the agent reported.
    pub(super) open_tasks: usize,
    /// The critic says that the task is done.
    pub(super) approves: bool,
}

/// The conclusion for the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing changed.
    Still,
    /// Something changed and the verdict counts; the text says why.
    Excused(String),
    /// Something changed, by the critic or by processes that the agent left running. The verdict counts, and the user must be
    /// told the text.
    Shared(String),
    /// Something changed, and the critic may have done it: its approval does not count.
    Doubtful(Doubt),
    /// It is unknown whether something changed; the reason.
    Unmeasured(String),
}

/// Why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    what: String,
    /// Git's own files changed, as by a commit. A .gitignore does not cover them.
    of_git: bool,
}

impl Doubt {
    /// The text for the journal. The advice does not depend on what changed, so that recorded runs replay the same.
    pub(super) fn recorded(&self) -> String {
        let Doubt { what, .. } = self;
        format!(
            "{what}. If something else writes there (a server, a cache of a test), stop it or add the path to .gitignore"
        )
    }

    /// The text for the user, with advice.
    pub(super) fn told(&self, run_id: &str) -> String {
        let Doubt { what, of_git } = self;
        if !of_git {
            return self.recorded();
        }
        format!(
            "{what}. If the critic makes commits, say in SUPERVISOR.md that it must not (`ccc init` writes one, `ccc prompt` \
             shows the one in force); if another program changes the repository, stop it. Then: ccc resume {run_id} --reload"
        )
    }
}

impl ReviewContext<'_> {
    /// Other possible writers: the agent's background work, and processes that it left running and that have written since. A
    /// process that only runs explains nothing.
    fn other_writers(&self) -> Option<String> {
        if self.open_tasks > 0 {
            return Some("the agent's background work".to_owned());
        }
        let running = &self.after.running;
        (!running.is_empty()).then(|| format!("what the agent had left running ({})", named(running)))
    }

    pub(super) fn finding(self) -> Finding {
        let measured = |tree: &TreeFact| tree.fingerprint.is_some();
        if self.approves && !(self.before.is_some_and(measured) && measured(self.after)) {
            let trouble = [Some(self.after), self.before].into_iter().flatten().find_map(|tree| tree.trouble.clone());
            return Finding::Unmeasured(trouble.unwrap_or_else(|| "the reason is not known".to_owned()));
        }
        if self.after.changed.is_empty() {
            return Finding::Still;
        }
        let paths = named(&self.after.changed);
        if !self.could_write {
            return Finding::Excused(format!(
                "during the review, but not by the critic, which ran no command: {paths}"
            ));
        }
        if let Some(others) = self.other_writers() {
            return Finding::Shared(format!(
                "files changed during the review, and that is taken for the work of {others}: {paths}"
            ));
        }
        if !self.approves {
            return Finding::Excused(format!("during the review; no approval depends on it: {paths}"));
        }
        let idle = match self.after.idle.as_slice() {
            [] => String::new(),
            idle => format!(" ({}, left running by the agent, had written nothing meanwhile)", named(idle)),
        };
        let what = format!(
            "files changed during the review, and the critic had run commands, so its approval does not count: {paths}{idle}"
        );
        Finding::Doubtful(Doubt { what, of_git: self.after.changed.iter().any(|path| is_of_git(path)) })
    }
}

/// Whether a changed path is git's own: in a repository's directory, or [`HEAD_OR_INDEX`].
fn is_of_git(path: &str) -> bool {
    path.split('/').any(|part| part == ".git") || path.ends_with(HEAD_OR_INDEX)
}

fn named(paths: &[String]) -> String {
    // A newline in a name would begin a new line of the message.
    let mut text = paths.iter().take(NAMED).map(|path| path.replace('\n', "\\n")).collect::<Vec<_>>().join(", ");
    if paths.len() > NAMED {
        text.push_str(&format!(" and {} more", paths.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Finding, ReviewContext};
    use crate::core::TreeFact;

    fn tree(fingerprint: Option<&str>, changed: &[&str], running: &[&str]) -> TreeFact {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let trouble = fingerprint.is_none().then(|| "git took too long".to_owned());
        TreeFact {
            fingerprint: fingerprint.map(str::to_owned),
            changed: owned(changed),
            trouble,
            running: owned(running),
            ..TreeFact::default()
        }
    }

    #[test]
    fn only_an_approval_of_a_critic_that_could_write_is_doubted() {
        let (still, none) = (tree(Some("t"), &[], &[]), tree(None, &[], &[]));
        let moved = tree(Some("u"), &["a.txt"], &[]);
        let served = tree(Some("u"), &["a.txt"], &["node (pid 7)"]);
        let slept = TreeFact { idle: vec!["sleep (pid 8)".to_owned()], ..moved.clone() };
        // before, after, could write, open tasks, approves; what it is
        let table: &[(&TreeFact, &TreeFact, bool, usize, bool, &str)] = &[
            (&still, &still, true, 0, true, "still"),
            (&still, &moved, true, 0, true, "doubtful"),
            (&still, &moved, false, 0, true, "excused"),
            (&still, &moved, true, 1, true, "shared"),
            (&still, &served, true, 0, true, "shared"),
            (&still, &served, false, 0, true, "excused"),
            (&still, &slept, true, 0, true, "doubtful"),
            (&still, &moved, true, 0, false, "excused"),
            (&none, &still, false, 0, true, "unmeasured"),
            (&still, &none, false, 0, true, "unmeasured"),
            (&none, &none, true, 0, false, "still"),
        ];
        for (row, (before, after, could_write, open_tasks, approves, expected)) in table.iter().enumerate() {
            let around = ReviewContext {
                before: Some(before),
                after,
                could_write: *could_write,
                open_tasks: *open_tasks,
                approves: *approves,
            };
            let found = match around.finding() {
                Finding::Still => "still",
                Finding::Excused(_) => "excused",
                Finding::Shared(text) => {
                    assert!(
                        text.contains("a.txt") && (text.contains("pid 7") || text.contains("background")),
                        "{text}"
                    );
                    "shared"
                }
                Finding::Doubtful(doubt) => {
                    let text = doubt.told("r1");
                    assert!(text.contains("a.txt") && text.contains(".gitignore"), "{text}");
                    assert_eq!(text, doubt.recorded());
                    assert_eq!(text.contains("sleep (pid 8)"), !after.idle.is_empty(), "{text}");
                    "doubtful"
                }
                Finding::Unmeasured(why) => {
                    assert_eq!(why, "git took too long");
                    "unmeasured"
                }
            };
            assert_eq!(found, *expected, "row {row}");
        }
    }

    #[test]
    fn a_commit_is_not_answered_with_gitignore() {
        let still = tree(Some("t"), &[], &[]);
        for (path, of_git) in [
            (".git/refs/heads/main", true),
            ("/home/u/p/.git/worktrees/tree/HEAD", true),
            ("(the repository's head or index)", true),
            ("lib (the repository's head or index)", true),
            (".gitignore", false),
            ("docs/.github/x", false),
        ] {
            let moved = tree(Some("u"), &[path], &[]);
            let around =
                ReviewContext { before: Some(&still), after: &moved, could_write: true, open_tasks: 0, approves: true };
            let Finding::Doubtful(doubt) = around.finding() else { panic!("{path}") };
            let told = doubt.told("r1");
            assert_eq!(told.ends_with("Then: ccc resume r1 --reload"), of_git, "{told}");
            assert_eq!(told.contains("add the path to .gitignore"), !of_git, "{told}");
        }
    }
}
