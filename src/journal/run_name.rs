//! Names of runs: `<state>/names/<name>` holds the id of the run with that name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::run_dir::RunDir;
use crate::files::{PathError, RUN_NAME, TimedLock, make_private_dir, open_private, read_private};
use crate::order::sort_by;

/// The directory of names, in the state directory.
const NAMES_DIR: &str = "names";
/// The lock around a change of a name. No name of a run begins with a dot.
const LOCK_FILE: &str = ".lock";
/// How long another ccc may take to change a name.
const WAIT: Duration = Duration::from_secs(10);
/// The longest name, in bytes.
const NAME_BYTES: usize = 40;
/// A free name is looked for with at most this number at its end.
const LAST_NUMBER: u32 = 10_000;

/// Why a run does not get a name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// The text cannot be a name.
    #[error(
        "`{name}` is not a valid name: it begins with a letter, has letters, digits, `-` and `_`, and at most {NAME_BYTES} of them"
    )]
    Bad {
        /// The text.
        name: String,
    },
    /// Another run has it.
    #[error("the name `{name}` belongs to run {run}")]
    Taken {
        /// The name.
        name: String,
        /// The id of the run.
        run: String,
    },
    /// The file of the name cannot be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// Whether the text can be a name of a run. A run's id begins with a digit, so it is never one.
#[must_use]
pub fn is_run_name(text: &str) -> bool {
    text.len() <= NAME_BYTES
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && text != "last"
}

/// A name made of the first words of a task: `fix-the-login`. Never empty.
#[must_use]
pub fn name_of_task(task: &str) -> String {
    const WORDS: usize = 4;
    const BYTES: usize = 24;
    let words = task.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = String::new();
    for word in words.skip_while(|word| !word.starts_with(|c: char| c.is_ascii_alphabetic())).take(WORDS) {
        if !name.is_empty() && name.len() + 1 + word.len() > BYTES {
            break;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.extend(word.chars().take(BYTES).map(|c| c.to_ascii_lowercase()));
    }
    if is_run_name(&name) { name } else { "agent".to_owned() }
}

/// The names of a state directory.
#[derive(Debug, Clone)]
pub struct RunNames {
    state_dir: PathBuf,
}

impl RunNames {
    /// The names of this state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> RunNames {
        RunNames { state_dir: state_dir.to_owned() }
    }

    /// Gives the run this name. A name whose run has no directory any more is free.
    ///
    /// # Errors
    /// When the text is not a name, another run has it, or its file cannot be written.
    pub fn claim(&self, name: &str, run_id: &str) -> Result<(), NameError> {
        self.checked(name)?;
        let _lock = self.lock()?;
        self.give(name, run_id)
    }

    /// Gives the run this name, or the first free one of `name-2`, `name-3`, …; returns it.
    ///
    /// # Errors
    /// When the text is not a name, or the file cannot be written.
    pub fn claim_free(&self, name: &str, run_id: &str) -> Result<String, NameError> {
        self.checked(name)?;
        let _lock = self.lock()?;
        let mut candidate = name.to_owned();
        let mut number = 1;
        loop {
            match self.give(&candidate, run_id) {
                Ok(()) => return Ok(candidate),
                Err(NameError::Taken { .. }) if number < LAST_NUMBER => {
                    number += 1;
                    let end = format!("-{number}");
                    let kept = name.get(..name.len().min(NAME_BYTES - end.len())).unwrap_or("agent");
                    candidate = format!("{kept}{end}");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The id of the run with this name, if its directory exists.
    #[must_use]
    pub fn run_of(&self, name: &str) -> Option<RunDir> {
        if !is_run_name(name) {
            return None;
        }
        let bytes = read_private(&self.path(name), RUN_NAME).ok()??;
        let id = String::from_utf8(bytes).ok()?;
        RunDir::at(&self.state_dir, id.trim()).ok().filter(|dir| dir.path().is_dir())
    }

    /// All names that begin with this text, with their runs.
    #[must_use]
    pub fn beginning_with(&self, prefix: &str) -> Vec<(String, RunDir)> {
        let Ok(entries) = std::fs::read_dir(self.state_dir.join(NAMES_DIR)) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut found: Vec<(String, RunDir)> = names
            .filter(|name| name.starts_with(prefix))
            .filter_map(|name| self.run_of(&name).map(|dir| (name, dir)))
            .collect();
        sort_by(&mut found, |(a, _), (b, _)| a.cmp(b));
        found
    }

    /// Frees the name, if this run has it.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn release(&self, name: &str, run_id: &str) -> Result<(), NameError> {
        self.checked(name)?;
        let _lock = self.lock()?;
        if self.run_of(name).is_some_and(|dir| dir.id() != run_id) {
            return Ok(());
        }
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(name, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn checked(&self, name: &str) -> Result<(), NameError> {
        if is_run_name(name) { Ok(()) } else { Err(NameError::Bad { name: name.to_owned() }) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state_dir.join(NAMES_DIR).join(name)
    }

    fn io(&self, name: &str, source: io::Error) -> NameError {
        NameError::Io(PathError { path: self.path(name), source })
    }

    fn lock(&self) -> Result<TimedLock, NameError> {
        let taken = make_private_dir(&self.state_dir.join(NAMES_DIR)).and_then(|()| {
            TimedLock::take(&self.path(LOCK_FILE), WAIT)?
                .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "another ccc holds this lock for too long"))
        });
        taken.map_err(|error| self.io(LOCK_FILE, error))
    }

    /// Requires the lock.
    fn give(&self, name: &str, run_id: &str) -> Result<(), NameError> {
        match self.run_of(name) {
            Some(dir) if dir.id() != run_id => {
                return Err(NameError::Taken { name: name.to_owned(), run: dir.id().to_owned() });
            }
            Some(_) | None => {}
        }
        let file = open_private(&self.path(name), OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC);
        file.and_then(|mut file| file.write_all(format!("{run_id}\n").as_bytes())).map_err(|error| self.io(name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: &Path, id: &str) -> RunDir {
        RunDir::create(state, id).expect("a run")
    }

    #[test]
    fn a_name_belongs_to_one_run_for_as_long_as_the_run_is_there() {
        let state = tempfile::tempdir().expect("a directory");
        let names = RunNames::new(state.path());
        let (first, second) = (run(state.path(), "20261128-100000-aaaa"), run(state.path(), "20261128-100000-bbbb"));
        names.claim("login", first.id()).expect("free");
        names.claim("login", first.id()).expect("its own");
        let taken = names.claim("login", second.id()).expect_err("taken");
        assert_eq!(taken.to_string(), "the name `login` belongs to run 20261128-100000-aaaa");
        assert_eq!(names.claim_free("login", second.id()).expect("another"), "login-2");
        assert_eq!(names.run_of("login").as_ref(), Some(&first));
        assert_eq!(names.beginning_with("log").len(), 2);
        names.release("login", second.id()).expect("not its own");
        assert!(names.run_of("login").is_some());
        std::fs::remove_dir_all(first.path()).expect("removed");
        assert_eq!(names.run_of("login"), None);
        names.claim("login", second.id()).expect("free again");
        names.release("login", second.id()).expect("released");
        assert_eq!(names.run_of("login"), None);
    }

    #[test]
    fn of_many_who_want_one_name_at_once_one_gets_it() {
        let state = tempfile::tempdir().expect("a directory");
        let ids: Vec<String> = (0..8).map(|n| format!("20261128-10000{n}-aaaa")).collect();
        let got: Vec<bool> = std::thread::scope(|scope| {
            let claim = |id: &String| {
                let dir = run(state.path(), id);
                let names = RunNames::new(state.path());
                scope.spawn(move || names.claim("login", dir.id()).is_ok())
            };
            let all: Vec<_> = ids.iter().map(claim).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        assert_eq!(got.iter().filter(|got| **got).count(), 1);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "last", "2fast", "../x", "a b", "-x", ".lock", &"a".repeat(41)] {
            assert!(!is_run_name(text), "{text}");
        }
        for (task, name) in [
            ("Fix the login of the shop, please", "fix-the-login-of"),
            ("20261128-100000-aaaa: why?", "aaaa-why"),
            ("…", "agent"),
            ("last", "agent"),
            ("supercalifragilisticexpialidocious word", "supercalifragilisticexpi"),
        ] {
            assert_eq!(name_of_task(task), name);
            assert!(is_run_name(name));
        }
    }
}
