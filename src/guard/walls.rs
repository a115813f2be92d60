//! The walls of a run: which places its agent, its critics and its checks may write. `process/` raises them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::agent_sandbox::NoSandbox;
use super::caches;
use super::git_programs::{ChangedProgram, GitPrograms};
use crate::config::{GitDirs, Project};
use crate::core::{Guard, Plan};
use crate::process::{Copied, Means, Wall, Walls};
use crate::words::SandboxPlaces;

/// Where everybody may write temporary files, besides the directory that `TMPDIR` names.
pub const TEMPORARY: &[&str] = &["/tmp", "/var/tmp", "/dev/shm"];
/// The devices that hold nothing. Disks are not among them.
const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"];
/// What in git's directory makes git run programs, or look for its configuration elsewhere.
const OF_GIT: &[&str] = &["hooks", "config", "config.worktree"];
/// The settings files of a project in the directory of its CLI.
const SETTINGS_OF_CLI: [&str; 2] = ["settings.json", "settings.local.json"];
/// Where an agent writes what it remembers, and its plans, in the CLI's own directory.
const MEMORY_OF_CLI: [&str; 2] = ["projects", "plans"];
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
    /// The directory of ccc's configuration.
    pub config: &'a Path,
    /// Where the working trees of an agent's workers are, if it may have workers: `ccc merge` writes there.
    pub workers: Option<&'a Path>,
    /// The environment of the processes.
    pub env: &'a [(OsString, OsString)],
}

/// The sandbox of the agent's CLI, which is switched on. It needs mounts, which the walls forbid, so there is one or the other. A
/// project's file cannot take the walls down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSandbox {
    /// The settings file.
    pub place: String,
    /// It is a file of the project.
    pub of_project: bool,
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
    git_programs: GitPrograms,
    means: Means,
    /// The CLI's own sandbox is in place of the walls around agent and critics, with these places.
    sandbox: Option<SandboxPlaces>,
}

/// There are no walls, and the user has asked for them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWalls {
    /// This system has none.
    #[error("guard.mode is landlock, and {NOTHING}")]
    Nothing,
    /// The agent's own sandbox cannot work.
    #[error("guard.mode is agent-sandbox, and {0}")]
    NoSandbox(#[from] NoSandbox),
    /// The agent's own sandbox needs mounts, which Landlock forbids.
    #[error(
        "guard.mode is landlock, and {place} switches the agent's own sandbox on, which does not work behind walls"
    )]
    OwnSandbox {
        /// The settings file.
        place: String,
    },
}

/// Why there are no walls.
const NOTHING: &str = if cfg!(target_os = "macos") {
    "`sandbox-exec` applies no profile here"
} else {
    "this system has no Landlock that can be used (Linux 5.19 or newer, and not switched off at boot)"
};

impl RunWalls {
    /// What this system has for the walls of a run that asks for them so.
    ///
    /// # Errors
    /// When it insists on walls, and there is nothing.
    pub fn means(guard: Guard, sandbox: Option<&OwnSandbox>) -> Result<Means, NoWalls> {
        let of_user = sandbox.filter(|sandbox| !sandbox.of_project);
        match (guard, of_user) {
            (Guard::Off, _) | (Guard::Auto, Some(_)) => Ok(Means::default()),
            // For the checks.
            (Guard::Auto, None) | (Guard::AgentSandbox, _) => Ok(Means::find()),
            (Guard::Landlock, Some(sandbox)) => Err(NoWalls::OwnSandbox { place: sandbox.place.clone() }),
            (Guard::Landlock, None) => Some(Means::find()).filter(|means| means.wall.is_some()).ok_or(NoWalls::Nothing),
        }
    }

    /// The walls of a run with this plan. Makes the caches that the agent could not make behind them, and the files of the agent's
    /// CLI that it could not.
    #[must_use]
    pub fn with(means: Means, plan: &Plan, places: &Places<'_>) -> RunWalls {
        let in_sandbox = plan.walls.guard == Guard::AgentSandbox;
        let cwd = real(Path::new(&plan.cwd));
        let tree = tree_of(&cwd, places.home);
        if plan.walls.guard == Guard::Off || (means.wall.is_none() && !in_sandbox) {
            let git = GitOfTree::find(&tree, false);
            return RunWalls { git_programs: GitPrograms::of(&git.dirs), ..RunWalls::default() };
        }
        let beside = beside_the_tree(plan, places);
        let git = GitOfTree::find(&tree, means.take_out() || in_sandbox);
        let sandbox = in_sandbox.then(|| in_sandbox_of_cli(plan, places, (&cwd, &tree), &git));
        if means.wall.is_none() {
            return RunWalls { git_programs: GitPrograms::of(&git.dirs), sandbox, ..RunWalls::default() };
        }
        let state = real(places.state);
        let mut write = vec![tree.clone()];
        write.extend(git.dirs.iter().cloned());
        write.extend(beside.iter().cloned());
        write.extend(places.workers.map(real));
        let state_is_open = write.iter().any(|open| state.starts_with(open));
        let mut agent = Walls { write, ..Walls::default() };
        let tree_can_move = beside.iter().any(|open| tree.starts_with(open));
        let own = files_of_ccc(plan, places, &tree, &agent.write);
        if means.take_out() {
            agent.read_only.extend(own.iter().cloned());
            // What is pinned stays writable where the state around it becomes read-only.
            agent.pinned.extend(places.workers.map(real).filter(|_| state_is_open));
            agent.pinned.extend((tree_can_move || (state_is_open && tree.starts_with(&state))).then(|| tree.clone()));
            agent.pinned.extend(git.dirs.iter().cloned());
            agent.read_only.extend(git.protected.iter().cloned());
            agent.read_only.extend(state_is_open.then(|| state.clone()));
        }
        // What the tree lies in would open it again.
        let around = |open: &PathBuf| tree.starts_with(open);
        let mut critic = Walls { write: beside.clone(), ..Walls::default() };
        let mut copies = false;
        if means.take_out() {
            critic.read_only.extend(own);
            critic.read_only.extend(state_is_open.then_some(state));
            copies = !in_sandbox && means.mounts && can_copy(&tree, &critic, &cwd, places.run);
            critic.read_only.extend((!copies && beside.iter().any(around)).then(|| tree.clone()));
        } else {
            critic.write.retain(|open| !around(open));
        }
        RunWalls {
            agent: Some(Arc::new(agent)),
            critic: Some(Arc::new(critic)),
            copies: copies.then(|| (tree, places.run.to_owned())),
            git_is_open: !means.take_out() && !git.protected.is_empty(),
            git_programs: GitPrograms::of(&git.dirs),
            means,
            sandbox,
        }
    }

    /// The walls around the agent.
    #[must_use]
    pub fn around_agent(&self) -> Option<Arc<Walls>> {
        self.agent.clone().filter(|_| self.sandbox.is_none())
    }

    /// The walls around checks.
    #[must_use]
    pub fn around_checks(&self) -> Option<Arc<Walls>> {
        self.agent.clone()
    }

    /// What the sandbox of the agent's CLI lets be written, if that is in place of the walls.
    #[must_use]
    pub fn sandbox(&self) -> Option<&SandboxPlaces> {
        self.sandbox.as_ref()
    }

    /// The walls around a critic, whose process has this name, and its copy of the tree. A critic whose copy cannot be made works on
    /// the tree, which it cannot write.
    #[must_use]
    pub fn around_critic(&self, name: &str) -> Option<(Arc<Walls>, Option<Copied>)> {
        let critic = self.critic.clone().filter(|_| self.sandbox.is_none())?;
        let Some((tree, dir)) = &self.copies else { return Some((critic, None)) };
        let copied = Copied { tree: tree.clone(), changes: dir.join(format!("{COPY}{name}")) };
        if let Err(error) = copied.remove().and_then(|()| copied.make()) {
            tracing::warn!(%error, "a critic gets no copy of the tree");
            let read_only = [tree.clone()].into_iter().chain(critic.read_only.iter().cloned()).collect();
            return Some((Arc::new(Walls { read_only, ..Walls::clone(&critic) }), None));
        }
        Some((Arc::new(Walls { copied: Some(copied.clone()), ..Walls::clone(&critic) }), Some(copied)))
    }

    /// What git would run, or read its settings from, and was changed since the walls were found.
    #[must_use]
    pub fn changed_programs_of_git(&self) -> Vec<ChangedProgram> {
        self.git_programs.changed()
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
    pub fn warning(&self, plan: &Plan, home: &Path, sandbox: Option<&OwnSandbox>) -> Option<String> {
        let Some(agent) = &self.agent else {
            if self.sandbox.is_some() {
                return Some(format!("there are no walls around checks: {NOTHING}; they can write whatever you can"));
            }
            let why = match sandbox.filter(|sandbox| !sandbox.of_project) {
                Some(sandbox) => {
                    format!("{} switches the agent's own sandbox on, which works behind none", sandbox.place)
                }
                None => format!("{NOTHING}; it can write whatever you can"),
            };
            return (plan.walls.guard != Guard::Off).then(|| format!("there are no walls around the agent: {why}"));
        };
        if let Some(sandbox) = sandbox {
            return Some(format!(
                "{} switches the agent's own sandbox on, which does not work behind walls, so commands of the agent may fail; to \
                 use it in place of the walls: --guard off",
                sandbox.place
            ));
        }
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
        if self.sandbox.is_some() {
            return write!(f, "the sandbox of the agent's CLI; around checks: {}", self.means);
        }
        if !self.stand() {
            return f.write_str("none");
        }
        self.means.fmt(f)?;
        if self.git_is_open {
            f.write_str("; git's hooks and configuration can be written")?;
        }
        f.write_str("; the critic ")?;
        f.write_str(if self.copy_the_tree() { "gets a copy of the tree" } else { "cannot write the tree" })
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wall {
            None => f.write_str("none"),
            Some(wall @ Wall::Seatbelt) => wall.fmt(f),
            Some(wall @ Wall::Landlock(_)) => {
                write!(f, "{wall}, {} mounts", if self.mounts { "with" } else { "without" })
            }
        }
    }
}

/// Whether a critic with these walls can have a copy of the tree, found out by making one.
fn can_copy(tree: &Path, critic: &Walls, cwd: &Path, run: &Path) -> bool {
    let copied = Copied { tree: tree.to_owned(), changes: run.join(format!("{COPY}trial")) };
    let trial = Walls { copied: Some(copied.clone()), ..critic.clone() };
    let can = copied.make().is_ok() && trial.stand(cwd);
    if let Err(error) = copied.remove() {
        tracing::warn!(%error, "a directory of the run cannot be removed");
    }
    can
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

/// What the sandbox of the agent's CLI lets be written. It opens the working directory by itself, and the CLI writes its own files
/// outside of it.
fn in_sandbox_of_cli(plan: &Plan, places: &Places<'_>, (cwd, tree): (&Path, &Path), git: &GitOfTree) -> SandboxPlaces {
    let cli = plan.agent.installation();
    let listed = listed(plan, places);
    let mut commands = vec![tree.to_owned()];
    commands.extend(git.dirs.iter().cloned());
    commands.extend(listed.iter().cloned());
    commands.extend(caches::of(places.env, places.home));
    // The CLI's settings could switch the sandbox off in its next process.
    let mut read_only = git.protected.clone();
    read_only.extend(SETTINGS_OF_CLI.map(|file| cwd.join(cli.dir).join(file)));
    read_only.extend(files_of_ccc(plan, places, tree, &commands));
    let state = real(places.state);
    read_only.extend(commands.iter().any(|open| state.starts_with(open)).then_some(state));
    let mut edits = vec![tree.to_owned()];
    edits.extend(listed);
    edits.extend(MEMORY_OF_CLI.map(|dir| places.agent.join(dir)));
    let texts = |paths: Vec<PathBuf>| {
        let mut texts: Vec<String> = paths.iter().map(|path| real(path).display().to_string()).collect();
        let mut known = std::collections::BTreeSet::new();
        texts.retain(|text| known.insert(text.clone()));
        texts
    };
    let there = |paths: Vec<PathBuf>| paths.into_iter().filter(|path| path.exists()).collect();
    SandboxPlaces { commands: texts(there(commands)), edits: texts(edits), read_only: texts(read_only) }
}

/// What ccc itself reads or runs outside of the walls, and that lies in a place which they open: its configuration, the critic's
/// prompt, and the agent's program. The file of the older ccc is made, because what is not there cannot be protected. A program in the
/// tree is the project's.
fn files_of_ccc(plan: &Plan, places: &Places<'_>, tree: &Path, open: &[PathBuf]) -> Vec<PathBuf> {
    let is_open = |path: &Path| open.iter().any(|open| path.starts_with(open)) && !path.starts_with(tree);
    let older = places.home.join(".claude");
    if is_open(&real(&older)) {
        make_empty_object(&older.join("ccc.json"));
    }
    let prompts = [places.agent, &older, places.config].map(|dir| dir.join("SUPERVISOR.md"));
    let program = PathBuf::from(&plan.agent_program);
    let files = [older.join("ccc.json"), places.config.join("ccc.json"), program].into_iter().chain(prompts);
    let mut files: Vec<PathBuf> = files.filter(|file| file.is_file()).map(|file| real(&file)).collect();
    files.retain(|file| is_open(file));
    files.sort();
    files.dedup();
    files
}

/// Temporary files, the working trees of workers, and what the user has listed.
fn listed(plan: &Plan, places: &Places<'_>) -> Vec<PathBuf> {
    let mut listed: Vec<PathBuf> = TEMPORARY.iter().map(PathBuf::from).collect();
    let temporary = places.env.iter().find(|(name, _)| name == "TMPDIR").map(|(_, dir)| PathBuf::from(dir));
    listed.extend(temporary.filter(|dir| dir.is_absolute()));
    listed.extend(places.workers.map(Path::to_owned));
    listed.extend(plan.walls.write.iter().map(|path| below_home(path, places.home)));
    listed
}

/// What agent, critic and checks may write besides the tree and git's directory.
fn beside_the_tree(plan: &Plan, places: &Places<'_>) -> Vec<PathBuf> {
    let value = |name: &str| places.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str());
    let mut open: Vec<PathBuf> = DEVICES.iter().chain(TEMPORARY).map(PathBuf::from).collect();
    open.extend(value("TMPDIR").map(PathBuf::from).filter(|dir| dir.is_absolute()));
    // It may not be there, and the CLI could not make it.
    let _ = crate::files::make_private_dir(places.agent);
    open.push(places.agent.to_owned());
    let cli = plan.agent.installation();
    // With a directory elsewhere, the CLI keeps these files there.
    if places.agent == places.home.join(cli.dir) {
        let files = cli.files.iter().map(|file| places.home.join(file));
        open.extend(files.inspect(|file| make_empty_object(file)));
    }
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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{OwnSandbox, Places, RunWalls};
    use crate::core::{Guard, Plan, SessionStart, WallsPlan};
    use crate::process::{Means, Wall};

    /// A home directory with a project in a repository, elsewhere than all temporary files.
    struct Ground(tempfile::TempDir);

    impl Ground {
        fn new() -> Self {
            let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
            // The sources may lie in a directory for temporary files.
            let is_open = |dir: &Path| super::TEMPORARY.iter().any(|open| dir.starts_with(open));
            let places = [target, "/var/cache".into(), "/opt".into()];
            let mut places = places.into_iter().filter(|dir| !is_open(dir) && std::fs::create_dir_all(dir).is_ok());
            let ground = Self(places.find_map(|dir| tempfile::tempdir_in(dir).ok()).expect("a place that is not open"));
            std::fs::create_dir_all(ground.at("project/.git/hooks")).unwrap();
            std::fs::create_dir_all(ground.at("project/part")).unwrap();
            std::fs::create_dir_all(ground.at("state/runs/run")).unwrap();
            std::fs::create_dir_all(ground.at("builds")).unwrap();
            std::fs::write(ground.at("project/.git/config"), "").unwrap();
            ground
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        fn walls(&self, cwd: &str, means: Means) -> RunWalls {
            let mut plan = Plan::new("x", &self.at(cwd).display().to_string(), SessionStart::Latest);
            plan.walls = WallsPlan { guard: Guard::Auto, write: vec!["~/builds".to_owned()], ..WallsPlan::default() };
            let (home, state, run, agent) =
                (self.at(""), self.at("state"), self.at("state/runs/run"), self.at(".claude"));
            let places =
                Places { home: &home, state: &state, run: &run, agent: &agent, config: &home, workers: None, env: &[] };
            RunWalls::with(means, &plan, &places)
        }
    }

    const ALL: Means = Means { wall: Some(Wall::Landlock(7)), mounts: true };
    const NO_MOUNTS: Means = Means { wall: Some(Wall::Landlock(7)), mounts: false };

    #[test]
    fn seatbelt_takes_out_what_must_not_be_written_and_has_no_copies() {
        let ground = Ground::new();
        let walls = ground.walls("project", Means { wall: Some(Wall::Seatbelt), mounts: false });
        let agent = walls.around_agent().unwrap();
        let read_only = [".claude/ccc.json", "project/.git/config", "project/.git/hooks"].map(|name| ground.at(name));
        assert_eq!(agent.read_only, read_only);
        let (critic, copy) = walls.around_critic("1").unwrap();
        assert!(copy.is_none() && critic.copied.is_none());
        assert!(!critic.write.iter().any(|open| ground.at("project").starts_with(open)), "{critic:?}");
        assert_eq!(walls.to_string(), "Seatbelt; the critic cannot write the tree");
    }

    #[test]
    fn the_agent_may_write_the_tree_git_its_own_files_and_what_the_user_has_listed() {
        let ground = Ground::new();
        let agent = ground.walls("project/part", ALL).around_agent().unwrap();
        for open in ["project", "project/.git", ".claude", ".claude.json", "builds", ".cache"] {
            assert!(agent.write.contains(&ground.at(open)), "{open}: {agent:?}");
        }
        for shut in ["", "state", "state/runs/run", ".ssh"] {
            assert!(!agent.write.contains(&ground.at(shut)), "{shut}");
        }
        let read_only = [".claude/ccc.json", "project/.git/config", "project/.git/hooks"].map(|name| ground.at(name));
        assert_eq!(agent.read_only, read_only);
        assert_eq!(agent.pinned, [ground.at("project/.git")]);
    }

    #[test]
    fn what_ccc_reads_or_runs_itself_is_read_only_where_the_agents_own_files_are_open() {
        let ground = Ground::new();
        std::fs::create_dir(ground.at(".claude")).unwrap();
        for file in [".claude/SUPERVISOR.md", ".claude/claude", "project/claude"] {
            std::fs::write(ground.at(file), "x").unwrap();
        }
        let mut plan = Plan::new("x", &ground.at("project").display().to_string(), SessionStart::Latest);
        plan.walls = WallsPlan { guard: Guard::Auto, ..WallsPlan::default() };
        let (home, state, agent) = (ground.at(""), ground.at("state"), ground.at(".claude"));
        let places =
            Places { home: &home, state: &state, run: &state, agent: &agent, config: &home, workers: None, env: &[] };
        for (program, is_pinned) in [(".claude/claude", true), ("project/claude", false)] {
            plan.agent_program = ground.at(program).display().to_string();
            let walls = RunWalls::with(ALL, &plan, &places);
            for walls in [walls.around_agent().unwrap(), walls.around_critic("1").unwrap().0] {
                let has = |file: &str| walls.read_only.contains(&ground.at(file));
                assert!(has(".claude/ccc.json") && has(".claude/SUPERVISOR.md"), "{walls:?}");
                assert_eq!(has(program), is_pinned, "{walls:?}");
            }
        }
        assert_eq!(std::fs::read_to_string(ground.at(".claude/ccc.json")).unwrap(), "{}\n", "made, so it is protected");
    }

    #[test]
    fn without_mounts_nothing_needs_them_and_what_is_open_is_said() {
        let ground = Ground::new();
        let walls = ground.walls("project", NO_MOUNTS);
        for walls in [walls.around_agent().unwrap(), walls.around_critic("2").unwrap().0] {
            assert!(walls.pinned.is_empty() && walls.read_only.is_empty() && walls.copied.is_none());
        }
        assert!(!walls.around_critic("2").unwrap().0.write.contains(&ground.at("project")));
        let said = walls.to_string();
        assert!(
            said.contains("git's hooks and configuration can be written") && said.contains("cannot write the tree"),
            "{said}"
        );
    }

    #[test]
    fn a_state_directory_that_would_be_open_is_read_only_and_the_tree_in_it_stays_where_it_is() {
        let ground = Ground::new();
        std::fs::rename(ground.at("project"), ground.at("state/tree")).unwrap();
        std::fs::rename(ground.at("state"), ground.at("builds/state")).unwrap();
        let mut plan = Plan::new("x", &ground.at("builds/state/tree").display().to_string(), SessionStart::Latest);
        plan.walls = WallsPlan { guard: Guard::Auto, write: vec!["~/builds".to_owned()], ..WallsPlan::default() };
        let (home, state, run) = (ground.at(""), ground.at("builds/state"), ground.at("builds/state/runs/run"));
        let places = Places {
            home: &home,
            state: &state,
            run: &run,
            agent: &ground.at(".agent"),
            config: &home,
            workers: None,
            env: &[],
        };
        let agent = RunWalls::with(ALL, &plan, &places).around_agent().unwrap();
        assert_eq!(agent.pinned, ["builds/state/tree", "builds/state/tree/.git"].map(|name| ground.at(name)));
        assert_eq!(agent.read_only.last(), Some(&ground.at("builds/state")));
    }

    #[test]
    fn a_directory_that_holds_the_home_directory_is_said_to_hold_nothing_back() {
        let ground = Ground::new();
        let walls = ground.walls("", ALL);
        let plan = Plan { walls: WallsPlan { guard: Guard::Auto, ..WallsPlan::default() }, ..plan() };
        let warning = walls.warning(&plan, &ground.at(""), None).unwrap();
        assert!(warning.contains("holds your home directory"), "{warning}");
        assert_eq!(ground.walls("project", ALL).warning(&plan, &ground.at(""), None), None);
    }

    fn plan() -> Plan {
        Plan::new("x", "/project", SessionStart::Latest)
    }

    #[test]
    fn the_sandbox_of_the_cli_is_in_place_of_the_walls_around_agent_and_critic_and_checks_keep_theirs() {
        let ground = Ground::new();
        assert_eq!(RunWalls::means(Guard::AgentSandbox, None), Ok(Means::find()), "for the checks");
        let mut plan = Plan::new("x", &ground.at("project/part").display().to_string(), SessionStart::Latest);
        let write = vec!["~/builds".to_owned()];
        plan.walls = WallsPlan { guard: Guard::AgentSandbox, write, ..WallsPlan::default() };
        let (home, state, agent) = (ground.at(""), ground.at("builds/state"), ground.at(".claude"));
        std::fs::create_dir_all(&state).unwrap();
        let places =
            Places { home: &home, state: &state, run: &state, agent: &agent, config: &home, workers: None, env: &[] };
        let walls = RunWalls::with(ALL, &plan, &places);
        assert!(walls.around_agent().is_none() && walls.around_critic("1").is_none() && !walls.copy_the_tree());
        let checks = walls.around_checks().expect("walls around checks");
        assert!(checks.write.contains(&ground.at("project")), "{checks:?}");
        assert_eq!(walls.to_string(), "the sandbox of the agent's CLI; around checks: Landlock 7, with mounts");
        assert_eq!(walls.warning(&plan, Path::new("/home/me"), None), None);

        let sandbox = walls.sandbox().expect("places");
        let text = |name: &str| ground.at(name).display().to_string();
        for open in ["project", "builds"].map(text) {
            assert!(sandbox.commands.contains(&open) && sandbox.edits.contains(&open), "{open}: {sandbox:?}");
        }
        assert!(sandbox.edits.contains(&text(".claude/projects")) && !sandbox.edits.contains(&text(".claude")));
        assert!(!sandbox.commands.iter().any(|open| open.contains(".claude") || open == "/dev/null"), "{sandbox:?}");
        let shut = ["project/.git/config", "project/part/.claude/settings.json", "builds/state"].map(text);
        assert!(shut.iter().all(|path| sandbox.read_only.contains(path)), "{sandbox:?}");

        let none = RunWalls::with(Means::default(), &plan, &places);
        assert!(none.around_checks().is_none() && none.sandbox() == Some(sandbox));
        assert_eq!(none.to_string(), "the sandbox of the agent's CLI; around checks: none");
        let warning = none.warning(&plan, Path::new("/home/me"), None).expect("a warning");
        assert!(warning.starts_with("there are no walls around checks"), "{warning}");
    }

    #[test]
    fn the_users_own_sandbox_takes_the_place_of_the_walls_and_a_projects_does_not() {
        let sandbox = |of_project| OwnSandbox { place: "settings.json".to_owned(), of_project };
        assert_eq!(RunWalls::means(Guard::Auto, Some(&sandbox(false))), Ok(Means::default()));
        assert!(RunWalls::means(Guard::Landlock, Some(&sandbox(false))).is_err());
        assert_eq!(RunWalls::means(Guard::Auto, Some(&sandbox(true))), Ok(Means::find()));
        let plan = Plan { walls: WallsPlan { guard: Guard::Auto, ..WallsPlan::default() }, ..plan() };
        let warning = RunWalls::default().warning(&plan, Path::new("/home/me"), Some(&sandbox(false))).unwrap();
        assert!(warning.contains("no walls around the agent: settings.json switches"), "{warning}");
    }
}
