//! The walls of a run: which places its agent, its critics and its checks may write. `process/` raises them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::caches;
use crate::config::{GitDirs, Project};
use crate::core::{Guard, Plan};
use crate::process::{Copied, Means, Walls};

/// Where everybody may write temporary files, besides the directory that `TMPDIR` names.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp", "/dev/shm"];
/// The devices that hold nothing. Disks are not among them.
const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"];
/// What in git's directory makes git run programs, or look for its configuration elsewhere.
const OF_GIT: &[&str] = &["hooks", "config", "config.worktree"];
/// The beginning of the names of the directories that keep what critics have changed in their copies of the tree.
const COPY: &str = "critic-tree-";

/// Where a run's files are.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The user's home directory.
    pub home: &'a Path,
    /// ccc's state.
    pub state: &'a Path,
    /// The run's own directory.
    pub run: &'a Path,
    /// The directory of the agent's CLI.
    pub agent: &'a Path,
    /// The environment of the processes.
    pub env: &'a [(OsString, OsString)],
}

/// The walls of a run, as they are in force.
#[derive(Debug, Clone, Default)]
pub struct RunWalls {
    agent: Option<Arc<Walls>>,
    critic: Option<Arc<Walls>>,
    /// The tree that critics get copies of, and where the copies are kept.
    copies: Option<(PathBuf, PathBuf)>,
    /// What of git's is not kept from being written.
    git_is_open: bool,
    means: Means,
}

/// There is no Landlock, and the user has asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("guard.mode is landlock, and {NO_LANDLOCK}")]
pub struct NoWalls;

/// Why there are no walls.
const NO_LANDLOCK: &str =
    "this system has no Landlock that can be used (Linux 5.19 or newer, and not switched off at boot)";

impl RunWalls {
    /// What this system has for the walls of a run that asks for them so.
    ///
    /// # Errors
    /// When it insists on walls, and there is nothing.
    pub fn means(guard: Guard) -> Result<Means, NoWalls> {
        match guard {
            Guard::Off => Ok(Means::default()),
            Guard::Auto => Ok(Means::find()),
            Guard::Landlock => Some(Means::find()).filter(|means| means.landlock.is_some()).ok_or(NoWalls),
        }
    }

    /// The walls of a run with this plan. Makes the caches that the agent could not make behind them, and the files of the agent's
    /// CLI that it could not.
    #[must_use]
    pub fn with(means: Means, plan: &Plan, places: &Places<'_>) -> RunWalls {
        if means.landlock.is_none() || plan.walls.guard == Guard::Off {
            return RunWalls::default();
        }
        let cwd = real(Path::new(&plan.cwd));
        let tree = tree_of(&cwd, places.home);
        let beside = beside_the_tree(plan, places);
        let git = GitOfTree::find(&tree, means.mounts);
        let state = real(places.state);
        let mut write = vec![tree.clone()];
        write.extend(git.dirs.iter().cloned());
        write.extend(beside.iter().cloned());
        let state_is_open = write.iter().any(|open| state.starts_with(open));
        let mut agent = Walls { write, ..Walls::default() };
        let tree_can_move = beside.iter().any(|open| tree.starts_with(open));
        if means.mounts {
            agent.pinned.extend((tree_can_move || (state_is_open && tree.starts_with(&state))).then(|| tree.clone()));
            agent.pinned.extend(git.dirs.iter().cloned());
            agent.read_only.extend(git.protected.iter().cloned());
            agent.read_only.extend(state_is_open.then(|| state.clone()));
        }
        // What the tree lies in would open it again.
        let around = |open: &PathBuf| tree.starts_with(open);
        let mut critic = Walls { write: beside.clone(), ..Walls::default() };
        let copied = Copied { tree: tree.clone(), changes: places.run.join(format!("{COPY}trial")) };
        let tried = Walls { copied: Some(copied.clone()), ..Walls::default() };
        let copies = means.mounts && copied.make().is_ok() && tried.stand(&cwd);
        if let Err(error) = copied.remove() {
            tracing::warn!(%error, "a directory of the run cannot be removed");
        }
        if means.mounts {
            critic.read_only.extend((!copies && beside.iter().any(around)).then(|| tree.clone()));
            critic.read_only.extend(state_is_open.then_some(state));
        } else {
            critic.write.retain(|open| !around(open));
        }
        RunWalls {
            agent: Some(Arc::new(agent)),
            critic: Some(Arc::new(critic)),
            copies: copies.then(|| (tree, places.run.to_owned())),
            git_is_open: !means.mounts && !git.protected.is_empty(),
            means,
        }
    }

    /// The walls around the agent, and around checks.
    #[must_use]
    pub fn around_agent(&self) -> Option<Arc<Walls>> {
        self.agent.clone()
    }

    /// The walls around a critic, whose process has this name, and its copy of the tree. A critic whose copy cannot be made works on
    /// the tree, which it cannot write.
    #[must_use]
    pub fn around_critic(&self, name: &str) -> Option<(Arc<Walls>, Option<Copied>)> {
        let critic = self.critic.clone()?;
        let Some((tree, dir)) = &self.copies else { return Some((critic, None)) };
        let copied = Copied { tree: tree.clone(), changes: dir.join(format!("{COPY}{name}")) };
        if let Err(error) = copied.remove().and_then(|()| copied.make()) {
            tracing::warn!(%error, "a critic gets no copy of the tree");
            let read_only = [tree.clone()].into_iter().chain(critic.read_only.iter().cloned()).collect();
            return Some((Arc::new(Walls { read_only, ..Walls::clone(&critic) }), None));
        }
        Some((Arc::new(Walls { copied: Some(copied.clone()), ..Walls::clone(&critic) }), Some(copied)))
    }

    /// Whether there are walls.
    #[must_use]
    pub fn stand(&self) -> bool {
        self.agent.is_some()
    }

    /// Whether critics get copies of the tree.
    #[must_use]
    pub fn copy_the_tree(&self) -> bool {
        self.copies.is_some()
    }

    /// What the user should know, if there is less than could be.
    #[must_use]
    pub fn warning(&self, plan: &Plan, home: &Path) -> Option<String> {
        let Some(agent) = &self.agent else {
            let wanted = plan.walls.guard != Guard::Off;
            return wanted.then(|| {
                format!(
                    "there are no walls around the agent: {NO_LANDLOCK}; it can write whatever you can (docs/walls.md)"
                )
            });
        };
        let home = real(home);
        if agent.write.iter().take(1).any(|tree| home.starts_with(tree)) {
            return Some(format!(
                "the working directory holds your home directory {}, so the walls keep nothing in it from being written",
                home.display()
            ));
        }
        None
    }
}

/// What is in force, in one line.
impl fmt::Display for RunWalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(version) = self.means.landlock.filter(|_| self.stand()) else { return f.write_str("none") };
        write!(f, "Landlock {version}, {}", self.means)?;
        if self.git_is_open {
            f.write_str("; git's hooks and configuration can be written")?;
        }
        f.write_str("; the critic ")?;
        f.write_str(if self.copy_the_tree() { "gets a copy of the tree" } else { "cannot write the tree" })
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.mounts { "with mounts" } else { "without mounts" })
    }
}

/// Git's directories of a working tree.
struct GitOfTree {
    /// They may be written.
    dirs: Vec<PathBuf>,
    /// These may not.
    protected: Vec<PathBuf>,
}

impl GitOfTree {
    /// With `complete`, makes the directory of the hooks, because what is not there cannot be protected.
    fn find(tree: &Path, complete: bool) -> Self {
        let dot_git = tree.join(".git");
        if !dot_git.exists() {
            return Self { dirs: Vec::new(), protected: Vec::new() };
        }
        let GitDirs { own, common } = GitDirs::of(tree);
        let mut dirs = vec![real(&common)];
        if complete && common.join("config").is_file() {
            // It is there already as a rule: git makes it with the repository.
            let _ = std::fs::create_dir(common.join("hooks"));
        }
        let own = real(&own);
        if !own.starts_with(&dirs[0]) {
            dirs.push(own.clone());
        }
        // A file `.git` names the directory: whoever writes it chooses the configuration.
        let pointer = [dot_git].into_iter().filter(|dot_git| dot_git.is_file());
        let named = dirs.iter().chain([&own]).flat_map(|dir| OF_GIT.iter().map(|name| dir.join(name)));
        let mut protected: Vec<PathBuf> = pointer.chain(named).filter(|path| path.exists()).collect();
        protected.sort();
        protected.dedup();
        Self { dirs, protected }
    }
}

/// What agent, critic and checks may write besides the tree and git's directory.
fn beside_the_tree(plan: &Plan, places: &Places<'_>) -> Vec<PathBuf> {
    let value = |name: &str| places.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str());
    let mut open: Vec<PathBuf> = DEVICES.iter().chain(TEMPORARY).map(PathBuf::from).collect();
    open.extend(value("TMPDIR").map(PathBuf::from).filter(|dir| dir.is_absolute()));
    // It may not be there, and the CLI could not make it.
    let _ = crate::files::make_private_dir(places.agent);
    open.push(places.agent.to_owned());
    let files = plan.agent.installation().files.iter().map(|file| places.home.join(file));
    open.extend(files.inspect(|file| make_empty_object(file)));
    open.extend(caches::of(places.env, places.home));
    open.extend(plan.walls.write.iter().map(|path| below_home(path, places.home)));
    open.into_iter().filter(|path| path.exists()).map(|path| real(&path)).collect()
}

/// A file of the CLI's that is not there cannot be made behind the walls, because that would be writing the home directory. The CLI
/// reads an empty object as it reads no file.
fn make_empty_object(file: &Path) {
    use io::Write as _;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    // It is there already, or the home directory cannot be written by anybody.
    let _ = made.and_then(|mut file| file.write_all(b"{}\n"));
}

/// The directory that the work is in: the top of its repository, unless that is the home directory or above it.
fn tree_of(cwd: &Path, home: &Path) -> PathBuf {
    let project = Project::find(cwd);
    if real(home).starts_with(project.root()) { cwd.to_owned() } else { project.root().to_owned() }
}

/// A path as the user writes it.
fn below_home(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~').map(|rest| rest.strip_prefix('/').unwrap_or(rest)) {
        Some(rest) => home.join(rest),
        None => home.join(OsStr::new(path)),
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Removes the copies that a dead ccc has left in the directory of its run.
pub fn remove_copies(run: &Path) {
    for entry in std::fs::read_dir(run).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(COPY) {
            let changes = entry.path();
            if let Err(error) = (Copied { tree: PathBuf::new(), changes }).remove() {
                tracing::warn!(%error, "a critic's copy of the tree cannot be removed");
            }
        }
    }
}
