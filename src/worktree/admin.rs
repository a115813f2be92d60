//! Git's own directory of a linked working tree: `<common>/worktrees/<name>`.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::WorktreeError;
use crate::core::shell::quoted;
use crate::files::{self, GIT_STATE};

/// How many names are tried for what is moved away.
const NAMES: usize = 100;

/// The directory that git keeps for the working tree at `path`, which may be gone.
pub(super) fn of(common: &Path, path: &Path) -> Option<PathBuf> {
    let link = path.join(".git");
    all(common).into_iter().find(|admin| place(admin).is_some_and(|place| place == link))
}

/// The file `.git` of the working tree that this directory belongs to, as git knows it.
pub(super) fn place(admin: &Path) -> Option<PathBuf> {
    let text = files::read(&admin.join("gitdir"), GIT_STATE).ok()?;
    let text = String::from_utf8(text).ok()?;
    let path = Path::new(text.trim_end_matches('\n'));
    // With `worktree.useRelativePaths` the path is relative.
    Some(if path.is_absolute() { path.to_owned() } else { admin.join(path).canonicalize().ok()? })
}

/// The directories of all linked working trees.
fn all(common: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Checks what git reads about the working tree at `path` before anything else: the agent can write these files, and git's own
/// errors do not say which one is wrong. A tree that git has forgotten has none.
///
/// # Errors
/// [`WorktreeError::Damaged`] when one of them is not as git writes it.
pub fn check(common: &Path, path: &Path, branch: &str) -> Result<(), WorktreeError> {
    let Some(admin) = of(common, path) else { return Ok(()) };
    let read = |file: &Path| files::read(file, GIT_STATE).ok().map(|text| String::from_utf8_lossy(&text).into_owned());
    let real = |path: PathBuf| path.canonicalize().ok();
    let (link, shared, head) = (path.join(".git"), admin.join("commondir"), admin.join("HEAD"));
    let leads = read(&link).and_then(|text| real(path.join(text.strip_prefix("gitdir:")?.trim())));
    let shares = read(&shared).and_then(|text| real(admin.join(text.trim_end_matches('\n'))));
    let is_commit = |text: &str| text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_head = |text: &str| text.strip_prefix("ref: refs/").is_some_and(|name| !name.is_empty()) || is_commit(text);
    let mut damaged = Vec::new();
    if leads.is_none() || leads != real(admin.clone()) {
        damaged.push((mending(&format!("gitdir: {}", admin.display()), &link, path), link));
    }
    if shares.is_none() || shares != real(common.to_owned()) {
        damaged.push((mending("../..", &shared, &shared), shared));
    }
    if !read(&head).is_some_and(|text| is_head(text.trim_end())) {
        damaged.push((mending(&format!("ref: refs/heads/{branch}"), &head, &head), head));
    }
    let Some((_, file)) = damaged.first().cloned() else { return Ok(()) };
    let commands: Vec<String> = damaged.into_iter().map(|(command, _)| command).collect();
    Err(WorktreeError::Damaged { dir: path.to_owned(), file, command: commands.join(" && ") })
}

/// The command that makes this file one with this text, whatever stands there. A directory, which may be a repository that the agent
/// has made, is kept beside `at`.
fn mending(text: &str, file: &Path, at: &Path) -> String {
    let [text, name] = [text.to_owned(), file.display().to_string()].map(|word| quoted(&word));
    let before = match fs::symlink_metadata(file) {
        Ok(meta) if meta.is_dir() => format!("mv {name} {} && ", quoted(&free_beside(at).display().to_string())),
        // What is written to a link is written elsewhere.
        Ok(_) => format!("rm -f {name} && "),
        Err(_) => String::new(),
    };
    format!("{before}echo {text} > {name}")
}

/// A path beside this one at which nothing stands.
fn free_beside(at: &Path) -> PathBuf {
    let named = |n: usize| PathBuf::from(format!("{}.replaced-{n}", at.display()));
    (1..NAMES).map(named).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| named(NAMES))
}

/// Whether the working tree is locked.
pub(super) fn is_locked(admin: &Path) -> bool {
    fs::symlink_metadata(admin.join("locked")).is_ok()
}

/// The branches that are checked out in any working tree of the repository, as `refs/heads/main`.
#[must_use]
pub fn checked_out(common: &Path) -> Vec<String> {
    let heads = all(common).into_iter().chain([common.to_owned()]).map(|dir| dir.join("HEAD"));
    let branch = |head: PathBuf| {
        let text = String::from_utf8(files::read(&head, GIT_STATE).ok()?).ok()?;
        Some(text.trim().strip_prefix("ref:")?.trim().to_owned())
    };
    heads.filter_map(branch).collect()
}
