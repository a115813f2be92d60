//! Computes what a merge or a rebase comes to, without touching a branch or files of the user's.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::WorktreeError;
use crate::checkpoint::changed_paths;
use crate::git::{Call, Git, GitError, Place, contains, programs, records, settings_without_programs};

/// The most commits that are repeated.
const MAX_COMMITS: usize = 2_000;

/// How the branch is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By a commit with two parents, unless the base has nothing new.
    Merge,
    /// By repeating each commit on top of the base. Merges in the branch are not repeated.
    Rebase,
}

/// What it comes to.
pub(super) enum Computed {
    /// This commit.
    Commit(String),
    /// Both sides have changed these files.
    Conflict(Vec<PathBuf>),
}

/// Merges `branch` into `before`. The attributes of the files are those in the tree of `place`.
pub(super) fn compute(
    git: &Git,
    place: &Place,
    [before, branch]: [&str; 2],
    strategy: Strategy,
    message: &str,
) -> Result<Computed, WorktreeError> {
    let side = Side { git, place, settings: settings_without_programs(git, place)? };
    match strategy {
        Strategy::Merge => {
            if contains(git, place, branch, before)? {
                return Ok(Computed::Commit(branch.to_owned()));
            }
            let tree = match side.merged(before, branch, None)? {
                Computed::Commit(tree) => tree,
                conflict @ Computed::Conflict(_) => return Ok(conflict),
            };
            side.commit(&tree, &[before, branch], message.as_bytes(), &[]).map(Computed::Commit)
        }
        Strategy::Rebase => side.repeated(before, branch),
    }
}

struct Side<'a> {
    git: &'a Git,
    place: &'a Place,
    settings: Vec<(OsString, OsString)>,
}

impl Side<'_> {
    /// The tree of both, or the conflicts.
    fn merged(&self, ours: &str, theirs: &str, base: Option<&str>) -> Result<Computed, WorktreeError> {
        let options = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"];
        let call = Call::new(options).args(base.map(|base| format!("--merge-base={base}"))).args([ours, theirs]);
        let answer = self.git.ask(self.place, &call.settings(&self.settings))?;
        let mut found = records(&answer.output);
        let tree = found.next().map(|tree| String::from_utf8_lossy(tree).into_owned());
        match (answer.code, tree) {
            (0, Some(tree)) => Ok(Computed::Commit(tree)),
            (1, Some(_)) => {
                let files: BTreeSet<PathBuf> = found.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
                Ok(Computed::Conflict(files.into_iter().collect()))
            }
            (_, _) => Err(GitError::failed(format!("`git merge-tree` failed: {}", answer.why())).into()),
        }
    }

    /// Repeats the commits that `branch` has and `before` has not.
    fn repeated(&self, before: &str, branch: &str) -> Result<Computed, WorktreeError> {
        let call = Call::new(["rev-list", "--reverse", "--topo-order", "--no-merges", branch, &format!("^{before}")]);
        let list = self.git.text(self.place, &call)?;
        let commits: Vec<&str> = list.lines().collect();
        if commits.len() > MAX_COMMITS {
            let text = format!("more than {MAX_COMMITS} commits to repeat; merge instead of rebasing");
            return Err(GitError::too_large(text).into());
        }
        let mut onto = before.to_owned();
        for commit in commits {
            let parent = format!("{commit}^");
            let tree = match self.merged(&onto, commit, Some(&parent))? {
                Computed::Commit(tree) => tree,
                conflict @ Computed::Conflict(_) => return Ok(conflict),
            };
            // The base has this change already.
            if self.git.text(self.place, &Call::new(["rev-parse", &format!("{onto}^{{tree}}")]))? == tree {
                continue;
            }
            let original = self.git.run(self.place, &Call::new(["cat-file", "commit", commit]))?;
            let Original { author, encoding, message } = Original::parse(&original);
            let mut env = author;
            env.extend(encoding.map(|encoding| ("encoding", encoding)));
            onto = self.commit(&tree, &[&onto], message, &env)?;
        }
        Ok(Computed::Commit(onto))
    }

    /// Makes a commit in the user's name, or in ccc's if git knows none.
    fn commit(
        &self,
        tree: &str,
        parents: &[&str],
        message: &[u8],
        author: &[(&str, OsString)],
    ) -> Result<String, WorktreeError> {
        let mut file = tempfile::NamedTempFile::new().map_err(WorktreeError::io(std::env::temp_dir()))?;
        file.write_all(message).map_err(WorktreeError::io(file.path().to_owned()))?;
        let mut call = Call::new(["commit-tree", tree, "-F"]).arg(file.path());
        for parent in parents {
            call = call.args(["-p", parent]);
        }
        for (name, value) in author {
            call = if *name == "encoding" {
                call.settings(&[("i18n.commitEncoding".into(), value.clone())])
            } else {
                call.env(name, value)
            };
        }
        let answer = self.git.ask(self.place, &call)?;
        if answer.code == 0 {
            return Ok(answer.text());
        }
        for (name, value) in [("NAME", "ccc"), ("EMAIL", "ccc@localhost")] {
            call = call.env(&format!("GIT_COMMITTER_{name}"), value);
            if author.is_empty() {
                call = call.env(&format!("GIT_AUTHOR_{name}"), value);
            }
        }
        Ok(self.git.text(self.place, &call)?)
    }
}

/// What stays of a commit that is repeated.
struct Original<'a> {
    /// The variables that give it its author.
    author: Vec<(&'static str, OsString)>,
    encoding: Option<OsString>,
    message: &'a [u8],
}

impl<'a> Original<'a> {
    /// The lines of the header end with an empty one; that of the author is `author NAME <EMAIL> SECONDS ZONE`.
    fn parse(text: &'a [u8]) -> Self {
        let end = memchr::memmem::find(text, b"\n\n").unwrap_or(text.len());
        let (header, message) = (&text[..end], text.get(end + 2..).unwrap_or_default());
        let value = |key: &[u8]| header.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key));
        let author = value(b"author ").and_then(|line| {
            let (open, close) = (memchr::memchr(b'<', line)?, memchr::memrchr(b'>', line)?);
            let name = line[..open].strip_suffix(b" ").unwrap_or(&line[..open]);
            let email = line.get(open + 1..close)?;
            let mut date = b"@".to_vec();
            date.extend_from_slice(line.get(close + 2..)?);
            let to_text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
            Some(vec![
                ("GIT_AUTHOR_NAME", to_text(name)),
                ("GIT_AUTHOR_EMAIL", to_text(email)),
                ("GIT_AUTHOR_DATE", to_text(&date)),
            ])
        });
        let encoding = value(b"encoding ").map(|name| OsStr::from_bytes(name).to_owned());
        Self { author: author.unwrap_or_default(), encoding, message }
    }
}

/// The filters of the files that differ between two commits, in the tree at `top`. `place` has the later commit checked out.
pub(super) fn filters_between(
    git: &Git,
    place: &Place,
    top: &Path,
    from: &str,
    to: &str,
) -> Result<Vec<String>, WorktreeError> {
    let names = programs(git, &Place::tree(top))?.filters;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let changed: BTreeSet<PathBuf> = changed_paths(git, place, from, to)?.into_iter().collect();
    let mut found = Vec::new();
    for name in names {
        let Some(name) =
            name.to_str().filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        else {
            continue;
        };
        let pathspec = format!(":(top,attr:filter={name})");
        let output = git.run(place, &Call::new(["ls-files", "-z", "--", &pathspec]))?;
        if records(&output).any(|path| changed.contains(Path::new(OsStr::from_bytes(path)))) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}
