//! The location of a run's socket.
//!
//! A socket's path must be short, and its directory must belong only to the user and last as long as the run. The state
//! directory is known to belong to the user and lasts, but may be deep. `XDG_RUNTIME_DIR` is short, but logind removes it at
//! the last logout, when a detached run is still running. A directory in `/tmp` is short, but may be cleaned up. They are tried
//! in this order. `control.json` in the run's directory records the socket's path, and the server binds again when the path is
//! gone.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::protocol::{PROTOCOL, Protocol};
use crate::files::{CONTROL, make_private_dir, private_subdir_fault, read_private, replace_json};
use crate::journal::RunDir;
use crate::json::from_json;
use crate::process::watch_names;

/// The longest socket path on every system, in bytes: macOS has room for 104 with the NUL.
const PATH_BYTES: usize = 103;
/// The directory of sockets in the state directory.
pub const SOCKETS_DIR: &str = "sock";
/// How many old sockets are examined at one start.
const SWEPT: usize = 64;
/// The age at which a socket without a listener is removed.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// `control.json`: the location of a run's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The version of this file's format.
    version: u32,
    /// The socket's path.
    pub(super) path: PathBuf,
    /// The process that listens.
    pub(super) pid: u32,
    /// The protocol that it speaks.
    protocol: Protocol,
}

/// The file in a run's directory that records its socket.
#[must_use]
pub(super) fn record_file(run_dir: &RunDir) -> PathBuf {
    run_dir.path().join("control.json")
}

/// The recorded socket of a run; `None` when there is none, or the record is unreadable.
#[must_use]
pub(super) fn recorded(run_dir: &RunDir) -> Option<Record> {
    let bytes = read_private(&record_file(run_dir), CONTROL).ok()??;
    from_json(&bytes).ok()
}

/// The candidate locations of a run's socket.
#[derive(Debug, Clone)]
pub struct Places {
    run_dir: RunDir,
    candidates: Vec<PathBuf>,
}

/// A bound socket. Its path is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    path: PathBuf,
    /// Device and inode of the path.
    id: (u64, u64),
}

impl Places {
    /// For this run; `runtime_dir` is `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn new(state_dir: &Path, run_dir: &RunDir, runtime_dir: Option<&Path>) -> Places {
        let uid = rustix::process::geteuid().as_raw();
        let dirs = [
            Some(state_dir.join(SOCKETS_DIR)),
            runtime_dir.filter(|dir| dir.is_absolute()).map(|dir| dir.join("ccc")),
            Some(PathBuf::from(format!("/tmp/ccc-{uid}"))),
        ];
        let name = name(state_dir, run_dir.id());
        let candidates = dirs.into_iter().flatten().map(|dir| dir.join(&name)).collect();
        Places { run_dir: run_dir.clone(), candidates }
    }

    /// Listens at the first location that works, and records it.
    ///
    /// # Errors
    /// When none works: the error of the last one.
    pub(super) fn bind(self) -> io::Result<(UnixListener, Place)> {
        let mut fault = io::Error::from(io::ErrorKind::NotFound);
        for path in &self.candidates {
            match bind_at(path) {
                Ok(listener) => {
                    let meta = std::fs::symlink_metadata(path)?;
                    let path = path.clone();
                    let record = Record { version: 1, path: path.clone(), pid: std::process::id(), protocol: PROTOCOL };
                    replace_json(&record_file(&self.run_dir), &record, false)?;
                    return Ok((listener, Place { places: self, path, id: (meta.dev(), meta.ino()) }));
                }
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "no socket here");
                    fault = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                }
            }
        }
        Err(fault)
    }
}

impl Place {
    /// The socket's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this socket.
    pub(super) fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id)
    }

    /// Whether clients can find the socket: its path exists and is recorded.
    pub(super) fn is_found(&self) -> bool {
        self.is_there() && record_file(&self.places.run_dir).exists()
    }

    /// A descriptor that becomes readable when clients may no longer find the socket, if the system supports it.
    pub(super) fn watch(&self) -> Option<OwnedFd> {
        let without = |error: &io::Error| tracing::debug!(%error, "the socket's name is looked at from time to time");
        watch_names(&[&self.path, &record_file(&self.places.run_dir)]).inspect_err(without).ok()
    }

    /// Binds again after the present path is gone.
    pub(super) fn again(&self) -> io::Result<(UnixListener, Place)> {
        self.places.clone().bind()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A newer socket at this path is not removed.
        if self.is_there() {
            let _ = std::fs::remove_file(&self.path);
            let _ = std::fs::remove_file(record_file(&self.places.run_dir));
        }
    }
}

/// The file name of a run's socket: short, and distinct for each run of each state directory.
fn name(state_dir: &Path, run_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(state_dir.as_os_str().as_bytes());
    hash.update([0]);
    hash.update(run_id.as_bytes());
    let digits: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}.s")
}

/// Listens at this path. The caller holds the run's lock, so an existing socket belongs to a dead run. It is replaced
/// atomically: a client finds either the old socket or one with a listener.
fn bind_at(path: &Path) -> io::Result<UnixListener> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut fresh = OsString::from(".");
    fresh.push(name);
    fresh.push(format!(".{}", std::process::id()));
    let fresh = dir.join(fresh);
    if fresh.as_os_str().len() > PATH_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket would be too long"));
    }
    make_private_dir(dir)?;
    if let Some(fault) = private_subdir_fault(dir)? {
        return Err(fault.into());
    }
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

/// Removes sockets of runs whose ccc died long ago.
pub(super) fn sweep(state_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(state_dir.join(SOCKETS_DIR)) else { return };
    for entry in entries.flatten().take(SWEPT) {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        let path = entry.path();
        let dead = || UnixStream::connect(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if age.is_some_and(|age| age > OLD) && dead() {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn run(state: &Path, id: &str) -> RunDir {
        RunDir::create(state, id).expect("a run")
    }

    fn bound(places: Places) -> PathBuf {
        places.bind().map(|(_, place)| place.path.clone()).expect("a socket")
    }

    #[test]
    fn a_socket_stands_in_the_state_directory_and_is_the_users_alone() {
        let state = tempfile::tempdir().expect("a directory");
        let run = run(state.path(), "20261120-191822-aaaa");
        let (listener, place) = Places::new(state.path(), &run, None).bind().expect("a socket");
        let recorded = recorded(&run).expect("a record");
        assert_eq!((recorded.path.clone(), recorded.pid), (place.path.clone(), std::process::id()));
        assert!(place.path.starts_with(state.path().join(SOCKETS_DIR)));
        let mode = |path: &Path| path.symlink_metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!((mode(&place.path), mode(place.path.parent().expect("a directory"))), (0o600, 0o700));
        UnixStream::connect(&place.path).expect("it is listened to");
        // A dead run's socket at that path is replaced; the path is removed at the end.
        drop(listener);
        let (_listener, second) = Places::new(state.path(), &run, None).bind().expect("a socket");
        assert!(!place.is_there() && second.is_there());
        drop(place);
        assert!(second.is_there(), "the later one's name stays");
        let path = second.path.clone();
        drop(second);
        assert!(!path.exists() && super::recorded(&run).is_none());
    }

    #[test]
    fn a_path_that_is_too_long_or_a_directory_of_others_is_passed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("d".repeat(100));
        let runtime = dir.path().join("r");
        std::fs::create_dir(&runtime).expect("mkdir");
        let deep_run = run(&deep, "20261120-191822-aaaa");
        assert!(bound(Places::new(&deep, &deep_run, Some(&runtime))).starts_with(runtime.join("ccc")));
        // Without a runtime directory, or with a relative one: /tmp.
        for runtime in [None, Some(Path::new("run"))] {
            assert!(bound(Places::new(&deep, &deep_run, runtime)).starts_with("/tmp"), "{runtime:?}");
        }
        let state = dir.path().join("s");
        let run = run(&state, "20261120-191822-bbbb");
        std::fs::create_dir(dir.path().join("elsewhere")).expect("mkdir");
        symlink(dir.path().join("elsewhere"), state.join(SOCKETS_DIR)).expect("a link");
        assert!(bound(Places::new(&state, &run, Some(&runtime))).starts_with(&runtime), "a link is not followed");
        std::fs::remove_file(state.join(SOCKETS_DIR)).expect("removed");
        std::fs::create_dir(state.join(SOCKETS_DIR)).expect("mkdir");
        std::fs::set_permissions(state.join(SOCKETS_DIR), std::fs::Permissions::from_mode(0o777)).expect("chmod");
        assert!(bound(Places::new(&state, &run, Some(&runtime))).starts_with(&runtime), "open to others");
    }

    #[test]
    fn a_socket_whose_name_was_cleaned_away_is_bound_anew() {
        let state = tempfile::tempdir().expect("a directory");
        let run = run(state.path(), "20261120-191822-aaaa");
        let (_first, place) = Places::new(state.path(), &run, None).bind().expect("a socket");
        let watch = place.watch();
        assert!(place.is_found());
        let is_told = || {
            let mut told = [0; 4_096];
            watch.as_ref().is_none_or(|watch| rustix::io::read(watch, &mut told).is_ok_and(|count| count > 0))
        };
        assert_eq!(is_told(), watch.is_none(), "nothing has happened");
        std::fs::remove_file(&place.path).expect("removed");
        assert!(!place.is_found() && is_told());
        std::fs::remove_file(record_file(&run)).expect("removed");
        assert!(is_told());
        #[cfg(target_os = "linux")]
        assert!(watch.is_some());
        let (_listener, place) = place.again().expect("bound anew");
        UnixStream::connect(recorded(&run).expect("a record").path).expect("it is listened to");
        // The record is needed as much as the path.
        std::fs::remove_file(record_file(&run)).expect("removed");
        assert!(place.is_there() && !place.is_found());
        let (_listener, place) = place.again().expect("bound anew");
        assert!(place.is_found());
    }

    #[test]
    fn only_old_sockets_that_nobody_listens_to_are_swept() {
        let state = tempfile::tempdir().expect("a directory");
        let dir = state.path().join(SOCKETS_DIR);
        make_private_dir(&dir).expect("made");
        let at = |name: &str| dir.join(name);
        drop(UnixListener::bind(at("dead.s")).expect("a socket"));
        drop(UnixListener::bind(at("fresh.s")).expect("a socket"));
        let _live = UnixListener::bind(at("live.s")).expect("a socket");
        let old = rustix::fs::Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
        for name in ["dead.s", "live.s"] {
            let times = rustix::fs::Timestamps { last_access: old, last_modification: old };
            rustix::fs::utimensat(rustix::fs::CWD, at(name), &times, rustix::fs::AtFlags::empty()).expect("touched");
        }
        sweep(state.path());
        assert_eq!(["dead.s", "fresh.s", "live.s"].map(|name| at(name).exists()), [false, true, true]);
    }
}
