//! The working trees of agents, for the commands: made, removed, and what is different in them.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{CliError, Context};
use crate::checkpoint::{self, FILE_LIMIT_BYTES};
use crate::config::{GitDirs, Project, WorktreeSettings};
use crate::core::shell;
use crate::driver;
use crate::files::make_private_dir;
use crate::fleet::{AgentRecord, AgentTree, Role};
use crate::git::{Call, Git, Repository, contains, records};
use crate::journal::Holder;
use crate::process::Cancel;
use crate::worktree::{
    self, AddRequest, BranchFate, BranchWish, CloneWish, DEFAULT_RANGE, MergeOutcome, MergeRequest, PortError, Ports,
    RemoveRequest, Removed, SALVAGE, Strategy, TreeFate, Unlanded, Unshared, Work, WorktreeError, Worktrees, add,
    remove,
};

/// Why git must not prune an agent's working tree, for `git worktree list`.
const REASON: &str = "an agent of ccc works here";

/// With less room than this, a working tree that could not be made may have needed more.
const LITTLE_BYTES: u64 = 256 * 1024 * 1024;

/// Git of ours, for this command.
///
/// # Errors
/// When the process has no descriptors left.
pub(super) fn git(run_id: &str, context: &Context) -> Result<Git, CliError> {
    let env: Vec<_> = context.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let cancel = Cancel::new().map_err(|error| {
        CliError::environment(format!("no more files can be opened: {error}")).hint("raise the limit: ulimit -n 4096")
    })?;
    Ok(Git::new(&env, run_id, cancel))
}

fn holder(run_id: &str) -> Holder {
    Holder::of_process(run_id, driver::unix_ms())
}

/// Makes the working tree of an agent. Returns it with the directory in it that corresponds to the current one.
///
/// # Errors
/// When it cannot be made. Then nothing of it is left.
pub(super) fn make(
    record: &AgentRecord,
    base: Option<&str>,
    settings: &WorktreeSettings,
    context: &Context,
) -> Result<(AgentTree, PathBuf), CliError> {
    let cwd = context.cwd()?;
    let request = AddRequest {
        state_dir: &context.dirs()?.state,
        repository: cwd,
        id: &record.id,
        branch: BranchWish::Of(&record.name),
        base,
        include: Some(settings.include.as_slice()).filter(|patterns| !patterns.is_empty()),
        clone: CloneWish { patterns: &settings.clone, by_bytes: false },
        reason: REASON,
        holder: &holder(&record.id),
    };
    let added = add(&git(&record.id, context)?, &request);
    let added = added.map_err(|error| where_room_is_short(error_of(&error), request.state_dir))?;
    for note in &added.notes {
        context.printer.warn(note);
    }
    let made = added.worktree;
    let real = cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned());
    let below = made.source.as_deref().and_then(|top| real.strip_prefix(top.canonicalize().ok()?).ok());
    // The directory may be new, and so not in the commit.
    let below = below.filter(|below| !below.as_os_str().is_empty());
    let dir = below.map(|below| made.path.join(below)).filter(|dir| dir.is_dir());
    let dir = dir.unwrap_or_else(|| made.path.clone());
    let tree = AgentTree {
        path: made.path,
        branch: made.branch,
        base: made.base,
        onto: made.base_branch.map(|branch| branch.strip_prefix("refs/heads/").map(str::to_owned).unwrap_or(branch)),
        repository: made.source.unwrap_or_else(|| made.common.clone()),
        common_dir: made.common,
    };
    Ok((tree, dir))
}

/// The path as the agent gets it.
///
/// # Errors
/// When it is not valid UTF-8.
pub(super) fn in_utf8(dir: &Path) -> Result<String, CliError> {
    dir.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::environment(format!("the path {} is not valid UTF-8", dir.display()))
            .hint("set CCC_STATE_DIR to another directory, or use --no-worktree")
    })
}

/// Whether a working tree for the agent can be made now, as far as that is known without making it.
///
/// # Errors
/// As [`make`], for what is wrong with the repository or the base.
pub(super) fn can_be_made(record: &AgentRecord, base: Option<&str>, context: &Context) -> Result<(), CliError> {
    worktree::check_base(&git(&record.id, context)?, context.cwd()?, base).map_err(|error| error_of(&error))
}

/// Removes what a start of the agent has left that was killed before its run began.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn clear_unstarted(record: &AgentRecord, context: &Context) -> Result<(), CliError> {
    let request = RemoveRequest {
        state_dir: &context.dirs()?.state,
        id: &record.id,
        holder: &holder(&record.id),
        file_limit_bytes: FILE_LIMIT_BYTES,
        discard: false,
    };
    match remove(&git(&record.id, context)?, &request) {
        Ok(_) | Err(WorktreeError::Unknown { .. }) => Ok(()),
        Err(error) => Err(error_of(&error)),
    }
}

/// The same error; where little room is left, it says so. Git does not always say why it could not write a file.
fn where_room_is_short(error: CliError, dir: &Path) -> CliError {
    let free_bytes = rustix::fs::statvfs(dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free_bytes {
        Ok(free_bytes) if error.hint.is_none() && free_bytes < LITTLE_BYTES => error.hint(format!(
            "free some disk space, or set CCC_STATE_DIR to another directory: {} MiB are left at {}",
            free_bytes / (1024 * 1024),
            dir.display()
        )),
        Ok(_) | Err(_) => error,
    }
}

/// Reserves the ports of an agent.
///
/// # Errors
/// When there are not enough free ones, or they cannot be recorded.
pub(super) fn ports(
    record: &AgentRecord,
    settings: &WorktreeSettings,
    context: &Context,
) -> Result<Vec<u16>, CliError> {
    if settings.ports == 0 {
        return Ok(Vec::new());
    }
    let ports = Ports::new(&context.dirs()?.state);
    ports.reserve(&record.id, settings.ports as usize, &DEFAULT_RANGE, &holder(&record.id)).map_err(|error| {
        let text = error.to_string();
        match error {
            PortError::NotEnough { .. } => CliError::environment(text)
                .hint("remove agents that are needed no more: ccc gc; or set `worktree.ports` to 0"),
            PortError::WrongId { .. } | PortError::Lock(_) => CliError::failed(text),
            PortError::Io(_) => {
                CliError::io(text).hint("free some disk space, or set CCC_STATE_DIR to another directory")
            }
        }
    })
}

/// What became of the working tree of an agent.
#[derive(Debug, Default)]
pub(super) struct Unmade {
    /// What was kept of it and where, for the user.
    pub(super) notes: Vec<String>,
    /// The branch that was deleted with it.
    pub(super) deleted_branch: Option<String>,
}

/// Removes the working tree of an agent, if it has one, frees its ports, and says what was kept of it and where.
///
/// # Errors
/// When something in it cannot be kept. The removal can be repeated.
pub(super) fn unmake(record: &AgentRecord, discard: bool, context: &Context) -> Result<Unmade, CliError> {
    let request = RemoveRequest {
        state_dir: &context.dirs()?.state,
        id: &record.id,
        holder: &holder(&record.id),
        file_limit_bytes: FILE_LIMIT_BYTES,
        discard,
    };
    if let Err(error) = Ports::new(request.state_dir).free(&record.id, request.holder) {
        context.printer.warn(error);
    }
    // The record of an agent that was killed at its start may not name the tree that was being made.
    match remove(&git(&record.id, context)?, &request) {
        Ok(removed) => {
            let is_deleted = removed.branch == BranchFate::Deleted;
            let deleted_branch = is_deleted.then(|| removed.worktree.branch.clone());
            Ok(Unmade { notes: told(&removed), deleted_branch })
        }
        // It was removed before, or never had one.
        Err(WorktreeError::Unknown { .. }) => Ok(Unmade::default()),
        Err(error @ WorktreeError::NotSaved { .. }) => {
            Err(error_of(&error).hint(format!("to remove it with them: ccc kill {} --discard", record.name)))
        }
        Err(error) => Err(error_of(&error)),
    }
}

/// Where the working trees of an agent's workers are, if it may have workers. The directory is there when this returns.
pub(super) fn of_workers(record: &AgentRecord, cwd: &Path, state: &Path) -> Option<PathBuf> {
    if !record.role.is(&Role::Manager) {
        return None;
    }
    let of_tree = record.tree.as_ref().map(|tree| tree.common_dir.clone());
    // Without a working tree of its own, its workers get theirs from the repository in which it works.
    let common = of_tree.or_else(|| GitDirs::of(Project::find(cwd).root()).common.canonicalize().ok())?;
    let dir = Worktrees::new(state).ok()?.dir_of(&common);
    make_private_dir(&dir).ok()?;
    Some(dir)
}

/// Whether the working tree of an agent is there, or half removed.
///
/// # Errors
/// When the records of working trees cannot be read.
pub(super) fn is_known(record: &AgentRecord, context: &Context) -> Result<bool, CliError> {
    match Worktrees::new(&context.dirs()?.state).and_then(|trees| trees.find(&record.id)) {
        Ok(_) => Ok(true),
        Err(WorktreeError::Unknown { .. }) => Ok(false),
        Err(error) => Err(error_of(&error)),
    }
}

/// Whether the agent has work, and all of it is in the branch that it is to be merged into, and nothing is uncommitted.
///
/// # Errors
/// When git fails.
pub(super) fn is_merged(record: &AgentRecord, tree: &AgentTree, context: &Context) -> Result<bool, CliError> {
    let git = git(&record.id, context)?;
    let Some(repository) = Repository::find(&tree.repository) else { return Ok(false) };
    let branch = format!("refs/heads/{}", tree.branch);
    let Some(tip) = repository.commit(&git, &branch).map_err(CliError::failed)? else { return Ok(false) };
    // An agent without a commit of its own has nothing that could have been merged.
    if tip == tree.base {
        return Ok(false);
    }
    let Some(onto) = tree.onto.as_ref().map(|onto| format!("refs/heads/{onto}")) else { return Ok(false) };
    if !contains(&git, &repository.place(), &onto, &tip).map_err(CliError::failed)? {
        return Ok(false);
    }
    Ok(!tree.path.is_dir() || uncommitted(record, context)?.is_empty())
}

/// The branch of an agent whose work is merged, if it would be deleted with the working tree: no other tree has it checked out.
///
/// # Errors
/// When git fails.
pub(super) fn branch_that_would_go(
    record: &AgentRecord,
    tree: &AgentTree,
    context: &Context,
) -> Result<Option<String>, CliError> {
    let Some(repository) = Repository::find(&tree.repository) else { return Ok(None) };
    let list = Call::new(["worktree", "list", "--porcelain", "-z"]);
    let list = git(&record.id, context)?.run(&repository.place(), &list).map_err(CliError::failed)?;
    let branch = format!("branch refs/heads/{}", tree.branch);
    let own = tree.path.as_os_str().as_bytes();
    let mut top: &[u8] = &[];
    for line in records(&list) {
        if let Some(path) = line.strip_prefix(b"worktree ") {
            top = path;
        } else if line == branch.as_bytes() && top != own {
            return Ok(None);
        }
    }
    Ok(Some(tree.branch.clone()))
}

/// What was kept, and where.
fn told(removed: &Removed) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(salvage) = &removed.salvage {
        notes.push(format!(
            "what no branch has is kept as {}; to see it: git log -p {}..{}",
            salvage.reference,
            removed.worktree.base.get(..12).unwrap_or(&removed.worktree.base),
            salvage.reference
        ));
    }
    let branch = &removed.worktree.branch;
    match &removed.branch {
        BranchFate::NotMerged { commits } => notes.push(format!(
            "the branch {branch} is kept: {} not merged; to see: git log {}..{branch}",
            if *commits == 1 { "1 of its commits is".to_owned() } else { format!("{commits} of its commits are") },
            removed.worktree.base.get(..12).unwrap_or(&removed.worktree.base)
        )),
        BranchFate::InUse => notes.push(format!("the branch {branch} is kept: another worktree has it checked out")),
        BranchFate::Deleted | BranchFate::Gone => {}
    }
    if let TreeFate::Moved { to } = &removed.tree {
        notes.push(format!("the worktree was moved to {} and is kept there", to.display()));
    }
    notes
}

/// Checks that git can read the working tree of an agent, which is there.
///
/// # Errors
/// When the agent has overwritten what git keeps about it.
pub(super) fn check(tree: &AgentTree) -> Result<(), CliError> {
    worktree::check(&tree.common_dir, &tree.path, &tree.branch).map_err(|error| error_of(&error))
}

/// The files in which an agent has uncommitted changes.
///
/// # Errors
/// When git fails.
pub(super) fn uncommitted(record: &AgentRecord, context: &Context) -> Result<Vec<PathBuf>, CliError> {
    match record.tree.as_ref().filter(|tree| tree.path.is_dir()) {
        Some(tree) => {
            check(tree)?;
            worktree::uncommitted(&git(&record.id, context)?, &tree.path).map_err(|error| error_of(&error))
        }
        None => Ok(Vec::new()),
    }
}

/// The commit at which an agent's working tree stands, if its branch does not have it: the work is on another branch, or on none.
///
/// # Errors
/// When git fails.
pub(super) fn stands_elsewhere(record: &AgentRecord, context: &Context) -> Result<Option<String>, CliError> {
    let Some(tree) = &record.tree else { return Ok(None) };
    if tree.path.is_dir() {
        check(tree)?;
    }
    let Some(repository) = Repository::find(&tree.path) else { return Ok(None) };
    let git = git(&record.id, context)?;
    let commit = |name: &str| repository.commit(&git, name).map_err(CliError::failed);
    let Some(head) = commit("HEAD")?.filter(|head| *head != tree.base) else { return Ok(None) };
    let is_on_branch = match commit(&format!("refs/heads/{}", tree.branch))? {
        Some(branch) => contains(&git, &repository.place(), &branch, &head).map_err(CliError::failed)?,
        None => false,
    };
    Ok((!is_on_branch).then_some(head))
}

/// Merges an agent's branch. `check` gets the directory with the result, and says why it is not good.
///
/// # Errors
/// When the agent has no worktree, or git fails.
pub(super) fn merge(
    record: &AgentRecord,
    into: Option<&str>,
    strategy: Strategy,
    check: &mut dyn FnMut(&Unlanded<'_>) -> Result<(), String>,
    context: &Context,
) -> Result<MergeOutcome, CliError> {
    if record.tree.is_none() {
        return Err(without_tree(record));
    }
    let request = MergeRequest {
        state_dir: &context.dirs()?.state,
        id: &record.id,
        into,
        strategy,
        message: &format!("Merge the work of {}", record.name),
        holder: &holder(&record.id),
    };
    worktree::merge(&git(&record.id, context)?, &request, check).map_err(|error| error_of(&error))
}

/// The submodules of an agent's commit whose commits only its working tree has.
///
/// # Errors
/// When git fails.
pub(super) fn unshared(
    record: &AgentRecord,
    base: &str,
    commit: &str,
    context: &Context,
) -> Result<Vec<Unshared>, CliError> {
    let found = match Worktrees::new(&context.dirs()?.state).and_then(|trees| trees.find(&record.id)) {
        Ok(tree) => worktree::unshared(&git(&record.id, context)?, &tree, base, commit),
        // It is removed, and what it had was looked at then.
        Err(WorktreeError::Unknown { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    found.map_err(|error| error_of(&error))
}

/// The error for an agent that works in the project's tree.
pub(super) fn without_tree(record: &AgentRecord) -> CliError {
    let project = record.project.display();
    CliError::usage(format!("{} works in {project}, not in a worktree of its own", record.name))
        .hint(format!("to see all changes there: git -C {project} diff"))
}

/// What an agent has changed since its base, committed or not, as a patch.
///
/// # Errors
/// When its tree is gone and its branch too, or git fails.
pub(super) fn patch(record: &AgentRecord, paths: &[&Path], context: &Context) -> Result<Vec<u8>, CliError> {
    let (git, work) = work_of(record, context)?;
    checkpoint::diff(&git, &work.place, &work.from, &work.to, paths).map_err(CliError::failed)
}

/// The same, for the run with this journal; `None` when it cannot be known.
pub(super) fn patch_in(record: &AgentRecord, git: &Git, journal: &Path) -> Option<Vec<u8>> {
    let state = journal.parent()?.parent()?.parent()?;
    let tree = Worktrees::new(state).and_then(|trees| trees.find(&record.id)).ok()?;
    let work = worktree::work(git, &tree).ok()?;
    checkpoint::diff(git, &work.place, &work.from, &work.to, &[]).ok()
}

/// The sums of what an agent has changed since its base.
///
/// # Errors
/// As [`patch`].
pub(super) fn sums(record: &AgentRecord, context: &Context) -> Result<checkpoint::Summary, CliError> {
    let (git, work) = work_of(record, context)?;
    checkpoint::summary(&git, &work.place, &work.from, &work.to).map_err(CliError::failed)
}

/// The files that an agent has changed since its base, also without a commit.
///
/// # Errors
/// As [`patch`].
pub(super) fn changed_files(record: &AgentRecord, context: &Context) -> Result<BTreeSet<PathBuf>, CliError> {
    let (git, work) = work_of(record, context)?;
    let paths = checkpoint::changed_paths(&git, &work.place, &work.from, &work.to);
    paths.map(|paths| paths.into_iter().collect()).map_err(CliError::failed)
}

/// What an agent has done.
fn work_of(record: &AgentRecord, context: &Context) -> Result<(Git, Work), CliError> {
    if record.tree.is_none() {
        return Err(without_tree(record));
    }
    let git = git(&record.id, context)?;
    let found = Worktrees::new(&context.dirs()?.state).and_then(|trees| trees.find(&record.id));
    let work = found.and_then(|tree| worktree::work(&git, &tree)).map_err(|error| match (&error, &record.tree) {
        (WorktreeError::Unknown { .. }, Some(tree)) => error_of(&error).hint(where_work_is(record, tree, &git)),
        _ => error_of(&error),
    })?;
    for left in &work.left_out {
        context.printer.warn(left);
    }
    Ok((git, work))
}

/// Where the work of an agent is whose working tree was removed, with the command that shows it.
fn where_work_is(record: &AgentRecord, tree: &AgentTree, git: &Git) -> String {
    let Some(repository) = Repository::find(&tree.repository) else {
        return format!("the repository {} is gone", tree.repository.display());
    };
    let base = tree.base.get(..12).unwrap_or(&tree.base);
    let in_repository = format!("git -C {}", shell::quoted(&tree.repository.display().to_string()));
    // What was saved has also the commits of the branch.
    let list = Call::new(["for-each-ref", "--sort=-creatordate", "--format=%(refname)"]);
    let list = git.text(&repository.place(), &list.arg(format!("{SALVAGE}/{}/", record.id))).unwrap_or_default();
    if let Some(saved) = list.lines().next() {
        return format!("the agent was removed, and its work is kept; to see it: {in_repository} diff {base} {saved}");
    }
    let branch = &tree.branch;
    if matches!(repository.commit(git, &format!("refs/heads/{branch}")), Ok(Some(_))) {
        return format!(
            "the agent was removed, and its commits are on the branch {branch}; to see them: {in_repository} diff {base}...{}",
            shell::quoted(branch)
        );
    }
    format!(
        "the agent was removed, and its branch {branch} with it; to see what came since it began: {in_repository} log -p {base}.."
    )
}

/// The error of a working tree, for the user.
pub(super) fn error_of(error: &WorktreeError) -> CliError {
    let text = error.to_string();
    match error {
        WorktreeError::Damaged { command, .. } => {
            CliError::failed(text).hint(format!("to mend it, type this, and then the same command again: {command}"))
        }
        WorktreeError::Forgotten { .. } => CliError::failed(text)
            .hint("to keep the files that are not committed, copy them away before the agent is removed"),
        WorktreeError::NoRepository { .. }
        | WorktreeError::NoCommits { .. }
        | WorktreeError::NoSuchBase { .. }
        | WorktreeError::BranchExists { .. }
        | WorktreeError::WrongBranch { .. }
        | WorktreeError::WrongId { .. }
        | WorktreeError::Taken { .. }
        | WorktreeError::Unknown { .. } => CliError::usage(text),
        WorktreeError::PartialClone { .. }
        | WorktreeError::Replaced { .. }
        | WorktreeError::RepositoryGone { .. }
        | WorktreeError::NotSaved { .. } => CliError::failed(text),
        WorktreeError::Lock(_) => CliError::failed(text).hint("type the same command again"),
        WorktreeError::Io(_) => {
            CliError::io(text).hint("free some disk space, or set CCC_STATE_DIR to another directory")
        }
        WorktreeError::Checkpoint(_) | WorktreeError::Git(_) => CliError::failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_of_a_manager_have_their_trees_beside_its_own_or_those_of_the_repository_it_works_in() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().canonicalize().expect("a real path");
        let (state, project) = (dir.join("state"), dir.join("shop/src"));
        std::fs::create_dir_all(dir.join("shop/.git")).expect("made");
        std::fs::create_dir_all(&project).expect("made");
        let record = |role| AgentRecord::new("20261128-100000-aaaa", "lead", role, 1, &project);
        let common = dir.join("shop/.git");
        let expected = Worktrees::new(&state).expect("made").dir_of(&common);

        assert_eq!(of_workers(&record(Role::Worker), &project, &state), None);
        assert!(!expected.exists());
        assert_eq!(of_workers(&record(Role::Manager), &project, &state), Some(expected.clone()));
        assert!(expected.is_dir());

        let path = expected.join("20261128-100000-aaaa");
        let (branch, base) = ("agent/lead".to_owned(), String::new());
        let tree =
            AgentTree { path: path.clone(), branch, base, onto: None, repository: project.clone(), common_dir: common };
        let with_a_tree = AgentRecord { tree: Some(tree), ..record(Role::Manager) };
        assert_eq!(of_workers(&with_a_tree, &path, &state), Some(expected));
        // Not in a repository, it can have no workers with trees.
        assert_eq!(of_workers(&record(Role::Manager), &dir, &state), None);
    }
}
