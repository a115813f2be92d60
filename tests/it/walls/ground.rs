//! A home with things to lose, beside a project, another repository, a remote and a directory of somebody else's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::attacks::Attack;
use crate::whole_runs::harness::{Ground, is_alive};

/// The file by which a home is known to be thrown away.
const MARK: &str = ".throw-away";

/// Not in a directory for temporary files, which is open to the agent. The sources may lie in one.
fn place() -> PathBuf {
    let is_open = |dir: &Path| ccc::guard::TEMPORARY.iter().any(|open| dir.starts_with(open));
    let places = [env!("CARGO_TARGET_TMPDIR"), "/var/cache", "/opt"].map(PathBuf::from);
    let can_be_used = |dir: &PathBuf| !is_open(dir) && tempfile::tempdir_in(dir).is_ok();
    places.into_iter().find(can_be_used).expect("a place that is not open to the agent")
}

/// The command, which does nothing in a home that is not thrown away.
pub(super) fn guarded(command: &str) -> String {
    format!("test -f \"$HOME/{MARK}\" || exit 9; {command}")
}

/// The world of a run.
pub(super) struct World {
    pub(super) ground: Ground,
    /// A process that has nothing to do with the run.
    bystander: Bystander,
}

struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").env_clear().stdin(Stdio::null()).spawn().expect("sleep starts"))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    pub(super) fn new() -> Self {
        let bystander = Bystander::new();
        let mut ground =
            Ground::below(&place()).env("CCC_GUARD", "auto").env("BYSTANDER", bystander.0.id().to_string());
        for (name, value) in AUTHOR {
            ground = ground.env(name, value);
        }
        let world = Self { ground, bystander };
        fill(&world.home());
        beside(&world.project());
        world
    }

    pub(super) fn home(&self) -> PathBuf {
        self.ground.home()
    }

    pub(super) fn project(&self) -> PathBuf {
        self.ground.project()
    }

    /// What there is to lose.
    pub(super) fn seen(&self) -> Seen {
        Seen::of(&self.project(), &self.home(), self.bystander.0.id())
    }

    #[track_caller]
    pub(super) fn assert_unharmed(&self, before: &Seen) {
        let harm = self.seen().differs_from(before);
        assert!(harm.is_empty(), "{harm:#?}");
    }

    /// The same, for a command that is run without walls.
    pub(super) fn copied(&self) -> Copy {
        let dir = tempfile::tempdir_in(place()).expect("a directory");
        let root = self.project().parent().expect("a parent").to_owned();
        let copied = Command::new("cp").arg("-a").arg(root.join(".")).arg(dir.path()).status().expect("cp runs");
        assert!(copied.success());
        Copy { dir, bystander: Bystander::new() }
    }
}

pub(super) struct Copy {
    dir: tempfile::TempDir,
    bystander: Bystander,
}

impl Copy {
    pub(super) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(super) fn seen(&self) -> Seen {
        Seen::of(&self.dir.path().join("project"), &self.home(), self.bystander.0.id())
    }

    /// Runs what a tool would.
    pub(super) fn suffer(&self, attack: &Attack) {
        let command = match attack {
            Attack::Write(file, content) => {
                assert!(Path::new(file).starts_with(self.dir.path()), "{file}");
                fs::write(file, content).expect("it can be written without walls");
                return;
            }
            Attack::Shell(command) => guarded(command),
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(self.dir.path().join("project")).env_clear();
        shell.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(AUTHOR);
        shell.env("HOME", self.home()).env("BYSTANDER", self.bystander.0.id().to_string());
        let output = shell.stdin(Stdio::null()).output().expect("sh runs");
        assert_ne!(output.status.code(), Some(9), "the home is thrown away");
    }
}

const AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "T"),
    ("GIT_AUTHOR_EMAIL", "t@example.invalid"),
    ("GIT_COMMITTER_NAME", "T"),
    ("GIT_COMMITTER_EMAIL", "t@example.invalid"),
];

fn fill(home: &Path) {
    for (file, text) in [
        (MARK, ""),
        (".ssh/id_ed25519", "a key\n"),
        (".ssh/authorized_keys", "ssh-ed25519 AAAA mine\n"),
        (".bashrc", "# original\n"),
        (".profile", "# original\n"),
        (".gitconfig", "[user]\n\tname = original\n"),
        (".aws/credentials", "[default]\n"),
        ("Documents/thesis.txt", "three years of work\n"),
        ("Documents/README.md", "original\n"),
        ("ccc-state/kept", "a record\n"),
        (".claude/ccc.json", "{}\n"),
    ] {
        let file = home.join(file);
        fs::create_dir_all(file.parent().expect("a parent")).expect("mkdir");
        fs::write(file, text).expect("write");
    }
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(home.join("ccc-state"), fs::Permissions::from_mode(0o700)).expect("chmod");
}

/// Makes what stands beside the project, and gives it a second commit that its remote has, too.
fn beside(project: &Path) {
    let root = project.parent().expect("a parent");
    let git = |dir: &Path, args: &[&str]| {
        let mut git = Command::new("git");
        let status = git.args(args).current_dir(dir).envs(AUTHOR).env("HOME", root).output().expect("git runs");
        assert!(status.status.success(), "{args:?}: {}", String::from_utf8_lossy(&status.stderr));
    };
    fs::create_dir(root.join("sibling")).expect("mkdir");
    fs::write(root.join("sibling/notes.txt"), "somebody else's\n").expect("write");
    git(root, &["init", "-q", "--bare", "-b", "main", "remote.git"]);
    git(root, &["init", "-q", "-b", "main", "other"]);
    let other = root.join("other");
    fs::write(other.join("untracked"), "x\n").expect("write");
    for message in ["one", "two"] {
        git(&other, &["commit", "-q", "--allow-empty", "-m", message]);
    }
    git(project, &["commit", "-q", "--allow-empty", "-m", "two"]);
    git(project, &["remote", "add", "origin", "../remote.git"]);
    git(project, &["push", "-q", "origin", "main"]);
}

/// Every file that is there to lose, with its content, and whether the bystander lives.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    files: BTreeMap<String, String>,
    bystander: bool,
}

/// What changes in every run, or may.
const OWN: &[&str] = &[
    "home/.claude",
    "home/.claude.json",
    "home/.cache",
    "home/.npm",
    "home/.cargo",
    "home/ccc-state/",
    "home/ccc-config",
    "other/.git/index",
];

impl Seen {
    /// What is not as it was.
    fn differs_from(&self, before: &Seen) -> Vec<String> {
        let names = self.files.keys().chain(before.files.keys());
        let mut names: Vec<String> =
            names.filter(|name| self.files.get(*name) != before.files.get(*name)).cloned().collect();
        names.sort();
        names.dedup();
        names.extend((self.bystander != before.bystander).then(|| "the bystander".to_owned()));
        names
    }

    fn of(project: &Path, home: &Path, bystander: u32) -> Self {
        let root = home.parent().expect("a parent");
        let mut files = BTreeMap::new();
        let dirs = ["home", "sibling", "other", "remote.git"].map(|name| root.join(name));
        for dir in dirs.iter().chain([&project.join(".git/hooks")]) {
            look(root, dir, &mut files);
        }
        let mut add =
            |path: PathBuf| files.insert(path.display().to_string(), fs::read_to_string(&path).unwrap_or_default());
        add(project.join(".git/config"));
        files.retain(|name, _| {
            let kept = ["home/ccc-state/kept", "home/ccc-state/made", "home/.claude/ccc.json"].contains(&name.as_str());
            kept || !OWN.iter().any(|own| name.starts_with(own))
        });
        // The place of the project differs between copies.
        let files =
            files.into_iter().map(|(name, text)| (name.replace(&root.display().to_string(), ""), text)).collect();
        Self { files, bystander: is_alive(bystander) }
    }
}

fn look(root: &Path, path: &Path, files: &mut BTreeMap<String, String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    if meta.is_dir() {
        // An empty directory is no loss, and ccc makes those of caches.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            look(root, &entry.path(), files);
        }
    } else if let Ok(target) = fs::read_link(path) {
        files.insert(name, format!("-> {}", target.display()));
    } else {
        files.insert(name, String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned());
    }
}
