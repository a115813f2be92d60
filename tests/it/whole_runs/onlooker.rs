//! What any user of the machine sees of a run's processes in `ps`, their argument lists, and what each was given in its
//! environment, which only their own user sees.
//!
//! An [`Onlooker`] looks when it is told to, at moments when what it is to see certainly lives: while a request waits for
//! its answer, or while a command waits for a file.
//!
//! Must not: look by the clock.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::harness::{Ground, look_until};

/// One process at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// The argument list, as `ps` shows it.
    pub(crate) args: String,
    pub(crate) env: Vec<(String, String)>,
    /// It is ccc itself, which has the environment of its user.
    pub(crate) is_ccc: bool,
}

impl Process {
    /// The variables that hold one of these values.
    pub(crate) fn credentials(&self, values: &[String]) -> Vec<(&str, &str)> {
        let holds = |value: &str| values.iter().any(|secret| value.contains(secret.as_str()));
        let found = self.env.iter().filter(|(_, value)| holds(value));
        found.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// All processes of a run at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    /// What went on then.
    pub(crate) at: String,
    pub(crate) processes: Vec<Process>,
}

/// Sees the processes of one [`Ground`].
#[derive(Debug, Clone)]
pub(crate) struct Onlooker {
    home: PathBuf,
    seen: Arc<Mutex<Vec<Sighting>>>,
}

impl Onlooker {
    pub(crate) fn of(ground: &Ground) -> Self {
        Self { home: ground.home(), seen: Arc::default() }
    }

    /// Looks now.
    pub(crate) fn look(&self, at: impl Into<String>) {
        let sighting = Sighting { at: at.into(), processes: processes(&self.home) };
        self.seen.lock().unwrap().push(sighting);
    }

    /// A shell command that goes on when it has been looked at: [`Onlooker::look_at`] is its other half.
    pub(crate) fn waits_for_a_look(&self, name: &str) -> String {
        let (ready, seen) = (self.file(name, "ready"), self.file(name, "seen"));
        format!("touch '{}'; until [ -e '{}' ]; do sleep 0.02; done", ready.display(), seen.display())
    }

    /// Waits for that command, looks, and lets it go on.
    #[track_caller]
    pub(crate) fn look_at(&self, name: &str) {
        let ready = self.file(name, "ready");
        look_until(&format!("the command {name}"), || ready.exists().then_some(()));
        self.look(name);
        fs::write(self.file(name, "seen"), "").expect("write");
    }

    fn file(&self, name: &str, what: &str) -> PathBuf {
        self.home.join(format!("{name}.{what}"))
    }

    pub(crate) fn sightings(&self) -> Vec<Sighting> {
        self.seen.lock().unwrap().clone()
    }

    /// Asserts of everything seen: no argument list holds a value, and each process but ccc itself has one credential at
    /// most, whole and in a variable of its own.
    #[track_caller]
    pub(crate) fn assert_no_secret_in_arguments(&self, values: &[String]) {
        let sightings = self.sightings();
        assert!(!sightings.is_empty(), "nothing was seen");
        for Sighting { at, processes } in &sightings {
            assert!(processes.iter().any(|process| process.is_ccc), "{at}: ccc was not seen: {processes:#?}");
            assert!(processes.iter().any(|process| !process.is_ccc), "{at}: no child of ccc was seen: {processes:#?}");
            for process in processes {
                for value in values {
                    assert!(!process.args.contains(value), "{at}: {value} stands in: {}", process.args);
                }
                if !process.is_ccc {
                    let credentials = process.credentials(values);
                    assert!(credentials.len() <= 1, "{at}: {} has {credentials:?}", process.args);
                    assert!(
                        credentials.iter().all(|(_, value)| values.iter().any(|whole| whole == value)),
                        "{at}: {} has {credentials:?}",
                        process.args
                    );
                }
            }
        }
    }
}

/// Live processes whose environment names this home, and everything below them, whatever its environment.
fn processes(home: &Path) -> Vec<Process> {
    let pids: Vec<u32> = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != std::process::id())
        .collect();
    let parents: HashMap<u32, u32> = pids.iter().filter_map(|&pid| Some((pid, parent(pid)?))).collect();
    let home = home.display().to_string();
    let marked: Vec<u32> = pids
        .iter()
        .copied()
        .filter(|&pid| environment(pid).iter().any(|(name, value)| name == "HOME" && *value == home))
        .collect();
    let is_below = |pid: u32| {
        let line = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
        // A process may end and its pid come again while this is read: no walk is endless.
        line.take(pids.len()).any(|pid| marked.contains(&pid))
    };
    let ccc = Path::new(crate::program::ccc()).canonicalize().expect("ccc is built");
    pids.iter()
        .copied()
        .filter(|&pid| is_below(pid))
        .map(|pid| {
            // Looked at before the rest: what ccc is just about to start is still a copy of ccc, with its environment.
            let is_ccc = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == ccc);
            let args = parts(&format!("/proc/{pid}/cmdline")).join(" ");
            Process { args, env: environment(pid), is_ccc }
        })
        .collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn environment(pid: u32) -> Vec<(String, String)> {
    let named = |part: String| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts(&format!("/proc/{pid}/environ")).into_iter().filter_map(named).collect()
}

/// What stands between zero bytes; nothing of a process that is gone.
fn parts(path: &str) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}
