//! What a user has agreed to for a project, by the hash of its content.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record_name;
use crate::config::{Consents, GitDirs, Wish};
use crate::files::{PROJECT_RECORD, make_private_dir, private_dir_fault, read_private, replace_json};
use crate::json::from_json;
use crate::order::sort_by;

/// The version that this ccc writes. A newer major counts as no agreement.
const VERSION: Version = Version { major: 1, minor: 0 };
/// How many agreements of a project are kept. When there are more, the oldest are removed.
const KEPT: usize = 256;

/// The agreements of all projects: `trust/` in the state directory, one file a project.
///
/// # Format 1.0
///
/// ```json
/// {"version": {"major": 1, "minor": 0}, "project": "/home/me/thing",
///  "agreed": [{"sha256": "…", "file": ".ccc.json", "key": "checks", "at_unix_ms": 1795190000000}]}
/// ```
///
/// The content that was agreed to is stored only as a hash, because a value may be secret.
#[derive(Debug, Clone)]
pub struct ConsentStore {
    dir: PathBuf,
}

/// What the user has agreed to in one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consented {
    version: Version,
    /// The project's real path.
    pub project: PathBuf,
    /// The agreements, the oldest first.
    pub agreed: Vec<Agreement>,
}

/// One agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// See [`Wish::sha256`].
    pub sha256: String,
    /// The file's name in the project.
    pub file: String,
    /// The setting.
    pub key: String,
    /// When the user agreed, unix milliseconds.
    pub at_unix_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    major: u64,
    minor: u64,
}

/// Why an agreement cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct StoreError {
    /// The file or directory.
    pub path: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

impl ConsentStore {
    /// The store of this state directory. Nothing is opened or created yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("trust") }
    }

    /// What the user has agreed to in this project. A file that cannot be read or understood counts as no agreement.
    #[must_use]
    pub fn of(&self, project: &Path) -> Consents {
        Consents::to(self.all(project).into_iter().map(|one| one.sha256))
    }

    /// The agreements in this project, and in the main working tree of its repository.
    fn all(&self, project: &Path) -> Vec<Agreement> {
        let found = [real(project), whole(project)].into_iter().collect::<BTreeSet<PathBuf>>();
        found.iter().filter_map(|real| self.read(real)).flat_map(|consented| consented.agreed).collect()
    }

    /// Whether the user has agreed to another content of the same setting of the same file.
    #[must_use]
    pub fn agreed_to_another(&self, project: &Path, wish: &Wish) -> bool {
        let found = self.all(project);
        found.iter().any(|one| one.file == wish.name && one.key == wish.key && one.sha256 != wish.sha256)
    }

    fn path(&self, real: &Path) -> PathBuf {
        self.dir.join(record_name(real))
    }

    fn read(&self, real: &Path) -> Option<Consented> {
        let found = parse(&read_private(&self.path(real), PROJECT_RECORD).ok()??)?;
        (found.project == real).then_some(found)
    }

    /// Stores the user's agreement to these wishes.
    ///
    /// # Errors
    /// When it cannot be written. Then there is no agreement.
    pub fn agree(&self, project: &Path, wishes: &[Wish], at_unix_ms: i64) -> Result<(), StoreError> {
        let real = whole(project);
        let found = self.read(&real);
        let mut new =
            found.unwrap_or_else(|| Consented { version: VERSION, project: real.clone(), agreed: Vec::new() });
        for wish in wishes {
            new.agreed.retain(|old| old.sha256 != wish.sha256);
            new.agreed.push(Agreement {
                sha256: wish.sha256.clone(),
                file: wish.name.clone(),
                key: wish.key.clone(),
                at_unix_ms,
            });
        }
        let too_many = new.agreed.len().saturating_sub(KEPT);
        new.agreed.drain(..too_many);
        new.version = VERSION;
        let path = self.path(&real);
        let write = || -> io::Result<()> {
            if let Some(state) = self.dir.parent() {
                make_private_dir(state)?;
            }
            replace_json(&path, &new, true)
        };
        write().map_err(|source| StoreError { path: path.clone(), source })
    }

    /// Removes all agreements for this project, and returns whether there were any.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn revoke(&self, project: &Path) -> Result<bool, StoreError> {
        let mut any = false;
        for project in [real(project), whole(project)] {
            let path = self.path(&project);
            match std::fs::remove_file(&path) {
                Ok(()) => any = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError { path, source }),
            }
        }
        Ok(any)
    }

    /// All projects with an agreement, by their paths.
    ///
    /// # Errors
    /// When the directory exists but cannot be read.
    pub fn list(&self) -> Result<Vec<Consented>, StoreError> {
        let error = |source| StoreError { path: self.dir.clone(), source };
        if let Some(fault) = private_dir_fault(&self.dir).map_err(error)? {
            return Err(error(fault.into()));
        }
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(error(source)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry.map_err(error)?.file_name();
            let Ok(Some(bytes)) = read_private(&self.dir.join(name), PROJECT_RECORD) else { continue };
            all.extend(parse(&bytes).filter(|consented| !consented.agreed.is_empty()));
        }
        sort_by(&mut all, |a, b| a.project.cmp(&b.project));
        Ok(all)
    }
}

fn parse(bytes: &[u8]) -> Option<Consented> {
    let found: Consented = from_json(bytes).ok()?;
    (found.version.major == VERSION.major).then_some(found)
}

/// The project that an agreement counts for: that of the main working tree, for all working trees of a repository. So the
/// worktree of an agent needs no agreement of its own while its files ask for the same.
fn whole(project: &Path) -> PathBuf {
    GitDirs::main_tree(project).unwrap_or_else(|| real(project))
}

/// The project's path without links; the path as it is if the project does not exist any more.
fn real(project: &Path) -> PathBuf {
    project.canonicalize().unwrap_or_else(|_| project.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use serde_json::json;

    use super::*;
    use crate::git::tests::Ground;

    fn wish(key: &str) -> Wish {
        Wish::new(Path::new("/p"), Path::new("/p/.ccc.json"), key, "runs", &json!("a secret"))
    }

    #[test]
    fn agreement_is_kept_for_the_projects_real_path_and_taken_back_whole() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (project, other) = (dir.path().join("project"), dir.path().join("other"));
        fs::create_dir(&project).expect("mkdir");
        fs::create_dir(&other).expect("mkdir");
        symlink("project", dir.path().join("link")).expect("link");
        let store = ConsentStore::new(&dir.path().join("state"));
        assert_eq!(store.of(&project), Consents::default());
        assert!(!store.revoke(&project).expect("nothing to take back"));
        store.agree(&project, &[wish("checks")], 1).expect("kept");
        store.agree(&dir.path().join("link"), &[wish("agent.path"), wish("checks")], 2).expect("kept");
        for place in [&project, &dir.path().join("link")] {
            assert!(store.of(place).cover(&wish("checks")) && store.of(place).cover(&wish("agent.path")));
        }
        assert!(!store.of(&project).cover(&wish("tokens")) && !store.of(&other).cover(&wish("checks")));
        let listed = store.list().expect("listed");
        assert_eq!(listed.len(), 1);
        let keys: Vec<(&str, i64)> = listed[0].agreed.iter().map(|one| (one.key.as_str(), one.at_unix_ms)).collect();
        assert_eq!(keys, [("agent.path", 2), ("checks", 2)]);
        let file = store.path(&project.canonicalize().expect("real"));
        assert!(!fs::read_to_string(&file).expect("read").contains("a secret"));
        assert_eq!(file.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
        assert!(store.revoke(&project).expect("taken back"));
        assert_eq!(store.of(&project), Consents::default());
        assert_eq!(store.list().expect("listed"), []);
    }

    #[test]
    fn agreement_counts_in_all_working_trees_of_the_repository_and_only_where_git_knows_them() {
        let ground = Ground::new();
        let (tree, fake) = (ground.at("tree"), ground.at("fake"));
        ground.git(&["worktree", "add", "-q", "-b", "agent/fox", &tree.display().to_string()]);
        ground.git_in(&ground.at(""), &["clone", "-q", "--bare", "project", "bare.git"]);
        let (first, second) = (ground.at("first"), ground.at("second"));
        for (tree, branch) in [(&first, "one"), (&second, "two")] {
            let tree = tree.display().to_string();
            ground.git_in(&ground.at("bare.git"), &["worktree", "add", "-q", "-b", branch, &tree, "main"]);
        }
        let store = ConsentStore::new(&ground.at("state"));
        let covers = |place: &Path, key: &str| store.of(place).cover(&wish(key));
        store.agree(&ground.project(), &[wish("checks")], 1).expect("kept");
        store.agree(&first, &[wish("agent.path")], 1).expect("kept");
        assert!(covers(&tree, "checks") && !covers(&tree, "agent.path"));
        assert!(covers(&second, "agent.path") && !covers(&second, "checks"));
        // Directories that only say that they belong to the repository.
        fs::create_dir_all(fake.join("git/worktrees/tree")).expect("mkdir");
        let common = ground.project().join(".git");
        for (own, told) in [
            (common.join("worktrees/tree"), "the place of another tree"),
            (fake.join("git/worktrees/tree"), "a place of its own"),
        ] {
            fs::write(fake.join(".git"), format!("gitdir: {}\n", own.display())).expect("write");
            fs::write(fake.join("git/worktrees/tree/commondir"), common.display().to_string()).expect("write");
            fs::write(fake.join("git/worktrees/tree/gitdir"), fake.join(".git").display().to_string()).expect("write");
            assert!(!covers(&fake, "checks"), "{told}");
        }
        // Given or taken back in any of them, it is so in all.
        store.agree(&tree, &[wish("tokens")], 2).expect("kept");
        assert!(covers(&ground.project(), "tokens"));
        assert!(store.revoke(&tree).expect("taken back"));
        assert!(!covers(&ground.project(), "checks") && !covers(&tree, "tokens"));
    }

    #[test]
    fn a_record_that_is_no_record_of_this_project_is_no_agreement() {
        let dir = tempfile::tempdir().expect("tempdir");
        let project = dir.path().canonicalize().expect("real");
        let store = ConsentStore::new(&dir.path().join("state"));
        store.agree(&project, &[wish("checks")], 1).expect("kept");
        let file = store.path(&project);
        let good = fs::read_to_string(&file).expect("read");
        let elsewhere = project.display().to_string();
        for bad in [
            String::new(),
            "{".to_owned(),
            good.replace("\"major\": 1", "\"major\": 2"),
            good.replace(&elsewhere, "/elsewhere"),
        ] {
            fs::write(&file, &bad).expect("write");
            assert_eq!(store.of(&project), Consents::default(), "{bad}");
        }
        fs::write(&file, &good).expect("write");
        assert!(store.of(&project).cover(&wish("checks")));
        fs::set_permissions(dir.path().join("state/trust"), fs::Permissions::from_mode(0o777)).expect("chmod");
        assert_eq!(store.of(&project), Consents::default(), "anybody could have written it");
    }
}
