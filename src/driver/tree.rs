//! The working tree, measured twice around a critic that must not change it, and compared between stops.
//!
//! A full measurement asks git which files there are and which differ from the last commit, and hashes the contents of
//! those. The second one, after the critic, is on the way between a verdict and its feedback; it first looks only at
//! the files' metadata (a write always moves `ctime`), and asks git again only when something moved.
//! Outside of git all files are looked at by their metadata.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::real::ChildEnv;
use crate::core::TreeFact;

/// More files than this are not looked at one by one: the tree is measured by git alone, or not at all outside of git.
const MAX_FILES: usize = 50_000;
/// Contents of changed files are hashed up to this sum; beyond it their metadata must do.
const MAX_HASHED_BYTES: u64 = 64 * 1024 * 1024;
/// How many changed paths are named.
const NAMED_PATHS: usize = 20;

/// What ccc itself brings to the tree. Files that it writes there while it runs (what its output goes to when the user
/// logs it there, and its state directory) are nobody's change. And the environment of the git that it looks with: a
/// repository may name programs that git runs, which are not to find credentials.
#[derive(Debug, Clone, Default)]
pub struct Ours {
    files: Vec<(u64, u64)>,
    state_dir: PathBuf,
    git_env: Option<ChildEnv>,
}

impl Ours {
    /// Those of this process.
    #[must_use]
    pub fn of_process(state_dir: &Path, git_env: &ChildEnv) -> Ours {
        let streams = [rustix::fs::fstat(rustix::stdio::stdout()), rustix::fs::fstat(rustix::stdio::stderr())];
        let regular = |mode| rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile;
        let logs = streams.into_iter().flatten().filter(|stat| regular(stat.st_mode));
        let files = logs.map(|stat| (stat.st_dev, stat.st_ino)).collect();
        let state_dir = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
        Ours { files, state_dir, git_env: Some(git_env.clone()) }
    }

    fn has(&self, path: &Path) -> bool {
        (self.state_dir.is_absolute() && path.starts_with(&self.state_dir))
            || !self.files.is_empty()
                && fs::metadata(path).is_ok_and(|meta| self.files.contains(&(meta.dev(), meta.ino())))
    }
}

/// The tree at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    root: PathBuf,
    fingerprint: Option<String>,
    trouble: Option<String>,
    /// Each path with a hash over what `stat` says; empty when there are too many files.
    stats: BTreeMap<PathBuf, u64>,
    /// Each path that differs from the last commit, with a hash over its state and content.
    changes: BTreeMap<PathBuf, String>,
    is_git: bool,
    ours: Arc<Ours>,
}

impl Snapshot {
    /// Measures the tree that `dir` belongs to.
    #[must_use]
    pub fn take(dir: &Path, ours: &Arc<Ours>) -> Snapshot {
        match git_root(dir) {
            Some(root) => Snapshot::of_git(&root, ours),
            None => Snapshot::of_directory(dir, ours),
        }
    }

    /// What the core is told of a measurement.
    #[must_use]
    pub fn fact(&self) -> TreeFact {
        TreeFact { fingerprint: self.fingerprint.clone(), changed: Vec::new(), trouble: self.trouble.clone() }
    }

    /// Measures again and says what changed since this one.
    #[must_use]
    pub fn compare_now(&self) -> TreeFact {
        if !self.stats.is_empty() && self.stats.iter().all(|(path, hash)| stat_hash(&self.root.join(path)) == *hash) {
            return self.fact();
        }
        let now = if self.is_git {
            Snapshot::of_git(&self.root, &self.ours)
        } else {
            Snapshot::of_directory(&self.root, &self.ours)
        };
        let mut fact = now.fact();
        if self.fingerprint.is_some() && now.fingerprint.is_some() && self.fingerprint != now.fingerprint {
            let (before, after) = if self.is_git {
                (named(&self.changes), named(&now.changes))
            } else {
                (self.stats.iter().map(text_pair).collect(), now.stats.iter().map(text_pair).collect())
            };
            fact.changed = differing(&before, &after);
            if fact.changed.is_empty() {
                fact.changed.push("(the repository's head or index)".to_owned());
            }
        }
        fact
    }

    fn of_git(root: &Path, ours: &Arc<Ours>) -> Snapshot {
        let mut snapshot = Snapshot {
            root: root.to_owned(),
            fingerprint: None,
            trouble: None,
            stats: BTreeMap::new(),
            changes: BTreeMap::new(),
            is_git: true,
            ours: Arc::clone(ours),
        };
        let listing = git(ours, root, &["ls-files", "-z", "--cached", "--others", "--directory", "--exclude-standard"]);
        let status = git(ours, root, &["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"]);
        let (listing, status) = match (listing.and_then(Running::output), status.and_then(Running::output)) {
            (Ok(listing), Ok(status)) => (listing, status),
            (Err(trouble), _) | (_, Err(trouble)) => {
                snapshot.trouble = Some(trouble);
                return snapshot;
            }
        };
        let mut budget_bytes = MAX_HASHED_BYTES;
        let mut whole = Sha256::new();
        let mut fields = status.split(|byte| *byte == 0).filter(|field| !field.is_empty());
        while let Some(field) = fields.next() {
            if field.starts_with(b"# branch.oid") {
                whole.update(field);
            }
            let Some(path) = changed_path(field).filter(|path| !ours.has(&root.join(path))) else { continue };
            let mut one = Sha256::new();
            one.update(field);
            if field.starts_with(b"2 ") {
                // A rename: the old name is the next field.
                one.update(fields.next().unwrap_or_default());
            }
            hash_content(&root.join(&path), &mut budget_bytes, &mut one);
            let hash = hex(&one.finalize());
            whole.update(path.as_os_str().as_bytes());
            whole.update(hash.as_bytes());
            snapshot.changes.insert(path, hash);
        }
        snapshot.fingerprint = Some(hex(&whole.finalize()));
        let mut paths: Vec<PathBuf> = snapshot.changes.keys().cloned().collect();
        for name in listing.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let path = bytes_path(name);
            if name.ends_with(b"/") {
                // An untracked directory, perhaps an empty one, in which a file may appear.
                add_directories(root, path, &mut paths);
            } else {
                paths.push(path);
            }
        }
        let state = git_state(root);
        paths.extend(["HEAD", "index", "logs/HEAD", "packed-refs"].map(|name| state.join(name)));
        if paths.len() <= MAX_FILES {
            paths.retain(|path| !ours.has(&root.join(path)));
            snapshot.stats = stats_with_parents(root, paths);
        }
        snapshot
    }

    fn of_directory(root: &Path, ours: &Arc<Ours>) -> Snapshot {
        let mut stats = BTreeMap::new();
        let mut open = vec![PathBuf::new()];
        let mut trouble = None;
        while let Some(dir) = open.pop() {
            let Ok(entries) = fs::read_dir(root.join(&dir)) else { continue };
            for entry in entries.flatten() {
                let path = dir.join(entry.file_name());
                if ours.has(&root.join(&path)) {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push(path.clone());
                }
                stats.insert(path.clone(), stat_hash(&root.join(&path)));
            }
            if stats.len() > MAX_FILES {
                trouble = Some(format!("more than {MAX_FILES} files and no git repository: the tree is not watched"));
                stats.clear();
                break;
            }
        }
        let fingerprint = trouble.is_none().then(|| {
            let mut whole = Sha256::new();
            for (path, hash) in &stats {
                whole.update(path.as_os_str().as_bytes());
                whole.update(hash.to_be_bytes());
            }
            hex(&whole.finalize())
        });
        if trouble.is_none() {
            stats.insert(PathBuf::new(), stat_hash(root));
        }
        Snapshot {
            root: root.to_owned(),
            fingerprint,
            trouble,
            stats,
            changes: BTreeMap::new(),
            is_git: false,
            ours: Arc::clone(ours),
        }
    }
}

/// The top of the git repository that `dir` lies in.
#[must_use]
pub fn git_root(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|ancestor| ancestor.join(".git").exists()).map(Path::to_owned)
}

/// Where git keeps the head and the index of this tree: `.git`, or what the file of that name points to in a worktree and
/// in a submodule.
fn git_state(root: &Path) -> PathBuf {
    let pointer = fs::read_to_string(root.join(".git")).ok();
    let named = pointer.as_deref().and_then(|text| text.strip_prefix("gitdir:")).map(str::trim);
    // A path that is not absolute is meant from the root, as all paths of a snapshot are.
    PathBuf::from(named.unwrap_or(".git"))
}

/// The path of a status entry (`git help status`, "Porcelain Format Version 2"); `None` for headers.
fn changed_path(field: &[u8]) -> Option<PathBuf> {
    let spaces_before_path = match field.first()? {
        b'1' => 8,
        b'2' => 9,
        b'u' => 10,
        b'?' | b'!' => 1,
        _ => return None,
    };
    let mut rest = field;
    for _ in 0..spaces_before_path {
        let at = memchr::memchr(b' ', rest)?;
        rest = &rest[at + 1..];
    }
    Some(bytes_path(rest))
}

fn bytes_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// The directory and all directories below it.
fn add_directories(root: &Path, dir: PathBuf, paths: &mut Vec<PathBuf>) {
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        if paths.len() > MAX_FILES {
            return;
        }
        if let Ok(entries) = fs::read_dir(root.join(&dir)) {
            let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            open.extend(below.map(|entry| dir.join(entry.file_name())));
        }
        paths.push(dir);
    }
}

/// Hashes of all paths and of the directories they lie in: a new file shows in its directory.
fn stats_with_parents(root: &Path, paths: Vec<PathBuf>) -> BTreeMap<PathBuf, u64> {
    let mut stats = BTreeMap::from([(PathBuf::new(), stat_hash(root))]);
    for path in paths {
        for parent in path.ancestors().skip(1) {
            if parent.starts_with(".git") || parent.is_absolute() || stats.contains_key(parent) {
                break;
            }
            stats.insert(parent.to_owned(), stat_hash(&root.join(parent)));
        }
        let hash = stat_hash(&root.join(&path));
        stats.insert(path, hash);
    }
    stats
}

/// A hash over what `lstat` says; a missing file has one, too.
fn stat_hash(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    let numbers = [
        meta.ino(),
        meta.size(),
        u64::from(meta.mode()),
        meta.mtime().unsigned_abs(),
        meta.mtime_nsec().unsigned_abs(),
        meta.ctime().unsigned_abs(),
        meta.ctime_nsec().unsigned_abs(),
    ];
    // FNV-1a over the words; never 0, which means missing.
    let hash = numbers.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, number| {
        (hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    });
    hash | 1
}

fn hash_content(path: &Path, budget_bytes: &mut u64, hasher: &mut Sha256) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if meta.is_symlink() {
        if let Ok(target) = fs::read_link(path) {
            hasher.update(target.as_os_str().as_bytes());
        }
        return;
    }
    if !meta.is_file() || meta.size() > *budget_bytes {
        hasher.update(stat_hash(path).to_be_bytes());
        return;
    }
    *budget_bytes -= meta.size();
    let Ok(mut file) = fs::File::open(path) else { return };
    let mut buffer = [0u8; 16 * 1024];
    while let Ok(count) = file.read(&mut buffer) {
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
}

fn named(changes: &BTreeMap<PathBuf, String>) -> BTreeMap<String, String> {
    changes.iter().map(|(path, hash)| (path.display().to_string(), hash.clone())).collect()
}

fn text_pair((path, hash): (&PathBuf, &u64)) -> (String, String) {
    (path.display().to_string(), hash.to_string())
}

fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let new_or_changed = after.iter().filter(|(path, hash)| before.get(*path) != Some(*hash)).map(|(path, _)| path);
    let mut paths: Vec<String> = gone.chain(new_or_changed).filter(|path| !path.is_empty()).cloned().collect();
    paths.sort();
    paths.dedup();
    if paths.len() > NAMED_PATHS {
        let more = paths.len() - NAMED_PATHS;
        paths.truncate(NAMED_PATHS);
        paths.push(format!("and {more} more"));
    }
    paths
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Running(std::process::Child);

/// Starts git without taking locks the agent's own git could trip over, and without anybody's pager, colours or hooks.
fn git(ours: &Ours, root: &Path, args: &[&str]) -> Result<Running, String> {
    let mut command = Command::new("git");
    if let Some(ChildEnv(env)) = &ours.git_env {
        command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    }
    command
        .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .args(args)
        .current_dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .map_err(|error| format!("git cannot be run: {error}"))
}

impl Running {
    fn output(self) -> Result<Vec<u8>, String> {
        let output = self.0.wait_with_output().map_err(|error| format!("git cannot be read: {error}"))?;
        if output.status.success() { Ok(output.stdout) } else { Err(format!("git failed: {}", output.status)) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::{Ours, Snapshot};
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    fn nobody() -> Arc<Ours> {
        Arc::default()
    }

    fn run_git(dir: &Path, args: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
            .args(args)
            .current_dir(dir)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .expect("git runs");
        assert!(status.success(), "git {args:?}");
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        run_git(dir.path(), &["init", "-q"]);
        fs::create_dir(dir.path().join("src")).expect("mkdir");
        fs::write(dir.path().join("src/a.rs"), "one").expect("write");
        fs::write(dir.path().join(".gitignore"), "target\n").expect("write");
        run_git(dir.path(), &["add", "-A"]);
        run_git(dir.path(), &["commit", "-qm", "first"]);
        dir
    }

    #[test]
    fn an_untouched_repository_is_unchanged_and_has_a_stable_fingerprint() {
        let dir = repository();
        let first = Snapshot::take(dir.path(), &nobody());
        assert!(first.fact().fingerprint.is_some());
        assert_eq!(first.compare_now(), first.fact());
        assert_eq!(Snapshot::take(dir.path(), &nobody()).fact(), first.fact());
    }

    #[test]
    fn every_kind_of_change_is_seen_and_named() {
        type Change = fn(&Path);
        let table: &[(&str, Change, &str)] = &[
            ("an edit", |dir| fs::write(dir.join("src/a.rs"), "two").expect("write"), "src/a.rs"),
            ("a new file in a known directory", |dir| fs::write(dir.join("src/b.rs"), "x").expect("write"), "src/b.rs"),
            (
                "a new directory",
                |dir| {
                    fs::create_dir(dir.join("docs")).expect("mkdir");
                    fs::write(dir.join("docs/c.md"), "x").expect("write");
                },
                "docs/c.md",
            ),
            ("a removal", |dir| fs::remove_file(dir.join("src/a.rs")).expect("remove"), "src/a.rs"),
            ("a rename", |dir| fs::rename(dir.join("src/a.rs"), dir.join("src/z.rs")).expect("rename"), "src/z.rs"),
            (
                "a mode",
                |dir| {
                    use std::os::unix::fs::PermissionsExt;
                    fs::set_permissions(dir.join("src/a.rs"), fs::Permissions::from_mode(0o755)).expect("chmod");
                },
                "src/a.rs",
            ),
            (
                "a commit of what was there",
                |dir| run_git(dir, &["commit", "-q", "--allow-empty", "-m", "second"]),
                "(the repository's head or index)",
            ),
        ];
        for (what, change, path) in table {
            let dir = repository();
            let before = Snapshot::take(dir.path(), &nobody());
            change(dir.path());
            let fact = before.compare_now();
            assert!(fact.changed.iter().any(|changed| changed == path), "{what}: {:?}", fact.changed);
            assert_ne!(fact.fingerprint, before.fact().fingerprint, "{what}");
        }
    }

    #[test]
    fn a_second_edit_of_an_already_edited_file_is_seen() {
        let dir = repository();
        fs::write(dir.path().join("src/a.rs"), "two").expect("write");
        let before = Snapshot::take(dir.path(), &nobody());
        fs::write(dir.path().join("src/a.rs"), "six").expect("write");
        assert_eq!(before.compare_now().changed, ["src/a.rs"]);
    }

    #[test]
    fn ignored_files_and_touches_are_no_change() {
        let dir = repository();
        let before = Snapshot::take(dir.path(), &nobody());
        fs::create_dir(dir.path().join("target")).expect("mkdir");
        fs::write(dir.path().join("target/out"), "x").expect("write");
        let text = fs::read(dir.path().join("src/a.rs")).expect("read");
        fs::write(dir.path().join("src/a.rs"), text).expect("write");
        let fact = before.compare_now();
        assert_eq!(fact.changed, Vec::<String>::new());
        assert_eq!(fact.fingerprint, before.fact().fingerprint);
    }

    #[test]
    fn a_repository_without_a_commit_and_a_subdirectory_of_one_are_measured() {
        let dir = tempfile::tempdir().expect("a directory");
        run_git(dir.path(), &["init", "-q"]);
        fs::create_dir_all(dir.path().join("sub/empty")).expect("mkdir");
        let before = Snapshot::take(&dir.path().join("sub"), &nobody());
        assert!(before.fact().fingerprint.is_some());
        fs::write(dir.path().join("sub/empty/deep"), "x").expect("write");
        assert_eq!(before.compare_now().changed, ["sub/empty/deep"]);
        fs::remove_file(dir.path().join("sub/empty/deep")).expect("remove");
        fs::write(dir.path().join("top"), "x").expect("write");
        assert_eq!(before.compare_now().changed, ["top"], "the whole repository counts, not the subdirectory alone");
    }

    #[test]
    fn outside_of_git_all_files_are_watched() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("a"), "1").expect("write");
        let before = Snapshot::take(dir.path(), &nobody());
        assert!(before.fact().fingerprint.is_some());
        assert_eq!(before.compare_now(), before.fact());
        fs::write(dir.path().join("b"), "2").expect("write");
        assert_eq!(before.compare_now().changed, ["b"]);
    }

    #[test]
    fn what_ccc_itself_writes_is_nobodys_change() {
        for dir in [repository(), tempfile::tempdir().expect("a directory")] {
            let (log, state) = (dir.path().join("ccc.log"), dir.path().join("state"));
            fs::write(&log, "Supervisor").expect("write");
            fs::create_dir(&state).expect("mkdir");
            let meta = fs::metadata(&log).expect("stat");
            let ours =
                Arc::new(Ours { files: vec![(meta.dev(), meta.ino())], state_dir: state.clone(), git_env: None });
            let before = Snapshot::take(dir.path(), &ours);
            fs::write(&log, "Supervisor mode enabled").expect("write");
            fs::write(state.join("journal.jsonl"), "{}").expect("write");
            assert_eq!(before.compare_now(), before.fact());
            fs::write(dir.path().join("other.log"), "x").expect("write");
            assert!(
                before.compare_now().changed.iter().any(|path| path == "other.log"),
                "what others write is still seen"
            );
        }
    }
}
