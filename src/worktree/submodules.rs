//! The submodules of a working tree. In a new one they are cloned from those of the user's tree: git itself would use the
//! network and the configuration. What a submodule holds that is nowhere else stops a removal and a merge.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::WorktreeError;
use super::record::Worktree;
use crate::checkpoint::{TreeRequest, write_tree};
use crate::config::GitDirs;
use crate::core::shell::quoted;
use crate::git::{Call, Git, GitError, Place, Repository, records, settings_without_programs};

/// The most submodules that are cloned.
const MAX_SUBMODULES: usize = 200;

/// A submodule of a tree.
struct Submodule {
    path: PathBuf,
    commit: String,
}

/// Checks out the submodules, and returns those that cannot be had without the network.
pub(super) fn check_out(git: &Git, record: &Worktree) -> Result<Vec<PathBuf>, WorktreeError> {
    let place = Place::tree(&record.path);
    let output = git.run(&place, &Call::new(["ls-files", "-s", "-z"]))?;
    let found = listed(&output);
    let mut missing = Vec::new();
    for (count, submodule) in found.into_iter().enumerate() {
        let source = record.source.as_deref().and_then(|top| git_dir(&record.common, &top.join(&submodule.path)));
        let cloned = match source.filter(|_| count < MAX_SUBMODULES) {
            Some(source) => clone(git, record, &submodule, &source)?,
            None => false,
        };
        if !cloned {
            missing.push(submodule.path);
            continue;
        }
        // Those of the submodule itself.
        let top = record.path.join(&submodule.path);
        let output = git.run(&Place::tree(&top), &Call::new(["ls-files", "-s", "-z"]))?;
        missing.extend(listed(&output).into_iter().map(|inner| submodule.path.join(inner.path)));
    }
    Ok(missing)
}

/// The submodules among the entries `160000 OBJECT STAGE TAB PATH`.
fn listed(output: &[u8]) -> Vec<Submodule> {
    let entry = |entry: &[u8]| {
        let rest = entry.strip_prefix(b"160000 ")?;
        let (words, path) = rest.split_at(memchr::memchr(b'\t', rest)?);
        let commit = words.split(|byte| *byte == b' ').find(|word| word.len() >= 40)?;
        let path = PathBuf::from(OsStr::from_bytes(&path[1..]));
        Some(Submodule { path, commit: String::from_utf8_lossy(commit).into_owned() })
    };
    records(output).filter_map(entry).collect()
}

/// The git directory of a submodule in the user's tree, if it has been checked out there.
fn git_dir(common: &Path, top: &Path) -> Option<PathBuf> {
    fs::symlink_metadata(top.join(".git")).ok()?;
    let own = GitDirs::of(top).own.canonicalize().ok()?;
    // Not one that the file `.git` names somewhere else.
    let is_own = own.starts_with(common) || own == top.canonicalize().ok()?.join(".git");
    is_own.then_some(own)
}

/// Clones one; `false` when the commit is not there.
fn clone(git: &Git, record: &Worktree, submodule: &Submodule, source: &Path) -> Result<bool, WorktreeError> {
    let from = Place::repository(source);
    let commit = format!("{}^{{commit}}", submodule.commit);
    let has_commit = git.ask(&from, &Call::new(["cat-file", "-e", &commit]))?.code == 0;
    let is_plain = submodule.path.components().all(|part| matches!(part, Component::Normal(_)));
    let (Some(admin), true) = (&record.admin, has_commit && is_plain) else { return Ok(false) };
    // Where git itself would put it, if the submodule has the name of its path.
    let own = admin.join("modules").join(&submodule.path);
    fs::create_dir_all(own.parent().unwrap_or(admin)).map_err(WorktreeError::io(&own))?;
    let top = record.path.join(&submodule.path);
    let mut separate = std::ffi::OsString::from("--separate-git-dir=");
    separate.push(&own);
    let options = ["-c", "protocol.file.allow=always", "clone", "-q", "--local", "--no-checkout", "--template="];
    let call = Call::new(options).arg(separate).arg("--").arg(source).arg(&top);
    git.run(&from, &call.env("GIT_ALLOW_PROTOCOL", "file"))?;
    let place = Place { git_dir: own, work_tree: Some(top) };
    // The clone is ccc's own, so its configuration may say where it comes from, as that of the user's does.
    let url = git.ask(&from, &Call::new(["config", "--get", "remote.origin.url"]))?;
    if url.code == 0 {
        git.run(&place, &Call::new(["config", "remote.origin.url", &url.text()]))?;
    }
    let settings = settings_without_programs(git, &place)?;
    let call = Call::new(["checkout", "-q", "--no-recurse-submodules", "--detach", &submodule.commit]);
    git.run(&place, &call.settings(&settings))?;
    Ok(true)
}

/// What the submodules of a tree hold that would be lost with it, in words.
pub(super) fn own_work(
    git: &Git,
    repository: &Repository,
    record: &Worktree,
    tree: &str,
) -> Result<Vec<String>, WorktreeError> {
    let Some(top) = &repository.top else { return Ok(Vec::new()) };
    let of = |tree: &str| git.run(&repository.place(), &Call::new(["ls-tree", "-r", "-z", tree]));
    let submodules = listed(&of(tree)?);
    if submodules.is_empty() {
        return Ok(Vec::new());
    }
    let recorded = listed(&of(&record.base)?);
    let mut work = Vec::new();
    for submodule in submodules {
        let inner = top.join(&submodule.path);
        if fs::symlink_metadata(inner.join(".git")).is_err() {
            continue;
        }
        let name = submodule.path.display();
        let request = TreeRequest::of(git, &inner)?;
        let written = write_tree(git, &request)?;
        let committed = match &request.head {
            Some(head) => request.repository.tree_of(git, head)?,
            None => None,
        };
        if committed.as_ref() != Some(&written.tree) || written.left_out.iter().any(|left| left.why.has_content()) {
            work.push(format!("{name} (a submodule with uncommitted changes)"));
            continue;
        }
        let recorded = recorded.iter().find(|recorded| recorded.path == submodule.path);
        let recorded = recorded.map(|recorded| recorded.commit.as_str());
        let tips = ["HEAD", "--branches", "--tags"];
        if has_own_commits(git, &request.repository, &tips, recorded)?
            && !are_the_users(git, &request.repository, record, &submodule.path)?
        {
            work.push(format!("{name} (a submodule with commits of its own)"));
        }
    }
    Ok(work)
}

/// Whether these have commits that no remote has, besides the one that the user's tree had recorded.
fn has_own_commits(
    git: &Git,
    repository: &Repository,
    tips: &[&str],
    recorded: Option<&str>,
) -> Result<bool, GitError> {
    let call = Call::new(["rev-list", "--max-count=1"]).args(tips).args(["--not", "--remotes"]);
    Ok(!git.run(&repository.place(), &call.args(recorded))?.is_empty())
}

/// Whether the repository at this path of the user's own tree has all that `HEAD`, branches and tags of this one have: a merge has
/// named the command that brings it there.
fn are_the_users(git: &Git, nested: &Repository, record: &Worktree, path: &Path) -> Result<bool, GitError> {
    let at_user = record.source.as_ref().and_then(|top| git_dir(&record.common, &top.join(path)));
    let Some(of_user) = at_user else { return Ok(false) };
    let place = nested.place();
    let named = git.text(&place, &Call::new(["for-each-ref", "--format=%(objectname)", "refs/heads", "refs/tags"]))?;
    let head = git.ask(&place, &Call::new(["rev-parse", "-q", "--verify", "HEAD"]))?.text();
    let of_user = Place::repository(&of_user);
    for tip in named.lines().chain([head.as_str()]).filter(|tip| !tip.is_empty()) {
        if !has(git, &of_user, tip)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A submodule or nested repository whose commit nobody but the agent has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unshared {
    /// Where it is, from the top of the tree.
    pub path: PathBuf,
    /// Its commit.
    pub commit: String,
    /// The command that gives the commit to the user; `None` when the agent has it no more.
    pub command: Option<String>,
}

/// The submodules of a commit that differ from those of the commit before, and whose commits would be lost with the agent's
/// working tree: neither a remote nor the user's own tree has them.
///
/// # Errors
/// When git fails.
pub fn unshared(git: &Git, worktree: &Worktree, before: &str, commit: &str) -> Result<Vec<Unshared>, WorktreeError> {
    let shared = Place::repository(&worktree.common);
    let of = |commit: &str| git.run(&shared, &Call::new(["ls-tree", "-r", "-z", commit]));
    let submodules = listed(&of(commit)?);
    if submodules.is_empty() {
        return Ok(Vec::new());
    }
    let recorded = listed(&of(before)?);
    let mut found = Vec::new();
    for Submodule { path, commit: wanted } in submodules {
        if recorded.iter().any(|recorded| recorded.commit == wanted) {
            continue;
        }
        let at_user = worktree.source.as_ref().map(|top| top.join(&path));
        let of_user = at_user.as_deref().and_then(|top| git_dir(&worktree.common, top));
        if let Some(git_dir) = &of_user
            && has(git, &Place::repository(git_dir), &wanted)?
        {
            continue;
        }
        let at_agent = worktree.path.join(&path);
        let nested = match fs::symlink_metadata(at_agent.join(".git")) {
            Ok(_) => Repository::find(&at_agent),
            Err(_) => None,
        };
        let command = match nested {
            Some(nested) if has(git, &nested.place(), &wanted)? => {
                let known = recorded.iter().find(|recorded| recorded.path == path);
                let known = known.map(|known| known.commit.as_str());
                // The recorded commit may be one that the nested repository never had.
                let known = match known {
                    Some(known) if has(git, &nested.place(), known)? => Some(known),
                    Some(_) | None => None,
                };
                if !has_own_commits(git, &nested, &[&wanted], known)? {
                    continue;
                }
                let branch = quoted(&format!("{wanted}:{}", worktree.branch_reference()));
                let remotes = git.text(&nested.place(), &Call::new(["remote"]))?;
                let words = |path: &Path| quoted(&path.display().to_string());
                match (of_user.and(at_user.as_deref()), remotes.lines().next(), at_user.as_deref()) {
                    (Some(user), _, _) => Some(format!("git -C {} fetch {} {branch}", words(user), words(&at_agent))),
                    (None, Some(remote), _) => {
                        Some(format!("git -C {} push {} {branch}", words(&at_agent), quoted(remote)))
                    }
                    (None, None, Some(user)) => Some(format!("git clone {} {}", words(&at_agent), words(user))),
                    (None, None, None) => None,
                }
            }
            Some(_) => None,
            // Where it comes from is known, so it can be fetched.
            None if is_listed(git, &shared, commit, &path)? => continue,
            None => None,
        };
        found.push(Unshared { path, commit: wanted, command });
    }
    Ok(found)
}

/// Whether this commit is there.
fn has(git: &Git, place: &Place, commit: &str) -> Result<bool, GitError> {
    Ok(git.ask(place, &Call::new(["cat-file", "-e", &format!("{commit}^{{commit}}")]))?.code == 0)
}

/// Whether `.gitmodules` of the commit says where the submodule at this path comes from.
fn is_listed(git: &Git, place: &Place, commit: &str, path: &Path) -> Result<bool, GitError> {
    let blob = format!("--blob={commit}:.gitmodules");
    let call = Call::new(["config", &blob, "-z", "--get-regexp", r"^submodule\..*\.path$"]);
    let output = git.ask(place, &call)?.output;
    let path = path.as_os_str().as_bytes();
    let is_its = |entry: &[u8]| entry.splitn(2, |byte| *byte == b'\n').nth(1) == Some(path);
    Ok(records(&output).any(is_its))
}
