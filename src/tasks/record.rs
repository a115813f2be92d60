//! The directory of a list in the state directory: `nights/KEY/`, with `lock`, `night.json`, the text of the task at work and the
//! report.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agenda::Agenda;
use crate::files::{NIGHT, PathError, VersionedError, make_private_dir, open_private, read_versioned, replace_json};
use crate::journal::{FileLock, Holder, LockError, sha256_hex};

/// The directory of all lists in the state directory.
pub const NIGHTS_DIR: &str = "nights";
/// The version of `night.json`. A reader refuses a higher one. A field added without raising it needs a default.
const VERSION: u32 = 1;
/// How many characters of the hash name the directory.
const KEY_CHARS: usize = 16;

/// What is remembered about a list: `night.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NightRecord {
    version: u32,
    /// The list's file; `None` if it came from stdin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<PathBuf>,
    /// The directory in which its tasks are worked.
    pub cwd: PathBuf,
    /// What was typed to begin or to continue it, with its bounds and the options of its runs, without `--again` and with an absolute
    /// time for a span; empty in records of an older ccc.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub typed: Vec<String>,
    /// When this was written.
    #[serde(default)]
    pub updated_unix_ms: i64,
    /// The tasks and what became of them.
    pub agenda: Agenda,
}

impl NightRecord {
    /// Of a list that is worked for the first time.
    #[must_use]
    pub fn new(list: Option<PathBuf>, cwd: PathBuf) -> NightRecord {
        NightRecord { version: VERSION, list, cwd, typed: Vec::new(), updated_unix_ms: 0, agenda: Agenda::default() }
    }
}

/// The directory of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NightDir(PathBuf);

impl NightDir {
    /// Of the list with this real path.
    #[must_use]
    pub fn of_file(state_dir: &Path, list: &Path) -> NightDir {
        NightDir::named(state_dir, list.as_os_str().as_encoded_bytes())
    }

    /// Of a list from stdin, by its content and the directory in which it is worked.
    #[must_use]
    pub fn of_text(state_dir: &Path, cwd: &Path, text: &[u8]) -> NightDir {
        let cwd = cwd.as_os_str().as_encoded_bytes();
        NightDir::named(state_dir, &[cwd, b"\0", text].concat())
    }

    fn named(state_dir: &Path, what: &[u8]) -> NightDir {
        let hash = sha256_hex(what);
        NightDir(state_dir.join(NIGHTS_DIR).join(hash.get(..KEY_CHARS).unwrap_or(&hash)))
    }

    /// The directories of all lists, in no order.
    ///
    /// # Errors
    /// When the directory exists but cannot be read.
    pub fn all(state_dir: &Path) -> io::Result<Vec<NightDir>> {
        let entries = match std::fs::read_dir(state_dir.join(NIGHTS_DIR)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut dirs = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(NightDir(entry.path()));
            }
        }
        Ok(dirs)
    }

    /// Where the report is written.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// Which warnings about the settings its runs have given, one hash a line.
    #[must_use]
    pub fn warned(&self) -> PathBuf {
        self.0.join("warned")
    }

    fn record(&self) -> PathBuf {
        self.0.join("night.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Locks the list for this process.
    ///
    /// # Errors
    /// When another ccc works on it, or the lock's file cannot be used.
    pub fn take_lock(&self, now_unix_ms: i64) -> Result<FileLock, LockError> {
        make_private_dir(&self.0).map_err(|source| LockError::Io { path: self.0.clone(), source })?;
        FileLock::take(&self.lock_file(), "the list", &Holder::of_process("night", now_unix_ms))
    }

    /// The ccc that works on the list, if one does.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub fn holder(&self) -> Result<Option<Holder>, LockError> {
        FileLock::holder(&self.lock_file())
    }

    /// What is remembered; `None` if nothing is.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or too new.
    pub fn read(&self) -> Result<Option<NightRecord>, VersionedError> {
        read_versioned(&self.record(), NIGHT, VERSION)
    }

    /// Writes what is to be remembered; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, record: &NightRecord) -> Result<(), VersionedError> {
        let path = self.record();
        replace_json(&path, record, true).map_err(|source| VersionedError::Io(PathError { path, source }))
    }

    /// Moves a record aside that cannot be read, or is not wanted any more. Returns where it is now.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn put_aside(&self) -> io::Result<PathBuf> {
        let aside = self.0.join("night.json.old");
        std::fs::rename(self.record(), &aside).map(|()| aside)
    }

    /// Writes the text of a task, for the run that is being started. Returns the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_task(&self, text: &str) -> io::Result<PathBuf> {
        use std::io::Write as _;
        let path = self.0.join("task");
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE | rustix::fs::OFlags::TRUNC;
        open_private(&path, flags)?.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// Removes the text of the task, which may contain secrets.
    pub fn remove_task(&self) {
        let _ = std::fs::remove_file(self.0.join("task"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_about_a_list_is_read_by_the_next_and_a_newer_format_is_refused() {
        let state = tempfile::tempdir().expect("a directory");
        let night = NightDir::of_file(state.path(), Path::new("/project/tasks.md"));
        assert_eq!(night.read().expect("read"), None);
        let record = NightRecord::new(Some("/project/tasks.md".into()), "/project".into());
        night.write(&record).expect("written");
        assert_eq!(night.read().expect("read"), Some(record));
        assert_eq!(NightDir::all(state.path()).expect("read"), std::slice::from_ref(&night));
        let newer = r#"{"version":2}"#;
        std::fs::write(night.record(), newer).expect("written");
        assert!(night.read().expect_err("newer").to_string().contains("use a newer ccc"));
        let aside = night.put_aside().expect("moved");
        assert_eq!((night.read().expect("read"), aside.exists()), (None, true));
    }

    #[test]
    fn one_ccc_at_a_time_works_on_a_list() {
        let state = tempfile::tempdir().expect("a directory");
        let night = NightDir::of_text(state.path(), Path::new("/project"), b"a\n");
        assert_eq!(night, NightDir::of_text(state.path(), Path::new("/project"), b"a\n"));
        assert_ne!(night, NightDir::of_text(state.path(), Path::new("/other"), b"a\n"));
        let lock = night.take_lock(5).expect("a lock");
        assert!(matches!(night.take_lock(6), Err(LockError::Held { .. })));
        assert_eq!(night.holder().expect("read").map(|holder| holder.since_unix_ms), Some(5));
        drop(lock);
        assert_eq!(night.holder().expect("read"), None);
    }

    #[test]
    fn the_text_of_a_task_is_the_users_alone_and_is_removed() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().expect("a directory");
        let night = NightDir::of_text(state.path(), Path::new("/project"), b"a\n");
        drop(night.take_lock(5).expect("a lock"));
        night.write_task("a longer one").expect("written");
        let path = night.write_task("short").expect("written");
        assert_eq!(path.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "short");
        night.remove_task();
        assert!(!path.exists());
    }
}
