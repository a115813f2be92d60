//! Reserves ports for the agents, so that the servers that they start do not meet.
//!
//! A reservation is a file, `<state>/ports/<id>.json`; no process holds it. A port is given only if nobody has reserved it
//! and nothing listens on it at that moment. Whether a server uses its port is up to the project, which learns it from
//! `CCC_PORT`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::check_id;
use crate::config::env::CCC_PORT;
use crate::files::{PathError, WORKTREE_RECORD, make_private_dir, read_private, replace_json};
use crate::journal::{FileLock, Holder, LockError};
use crate::json::from_json;

/// The directory of the reservations in the state directory.
const DIR: &str = "ports";
/// How long the lock is waited for.
const WAIT: Duration = Duration::from_secs(60);
/// The ports that are given when the user has set no range: above those of usual servers, below those that systems use for
/// outgoing connections.
pub const DEFAULT_RANGE: RangeInclusive<u16> = 20_000..=29_999;

/// Why no ports were reserved.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// There are not enough free ports.
    #[error("no {count} free ports between {} and {}; free some, or set a larger range", range.start(), range.end())]
    NotEnough {
        /// How many were wanted.
        count: usize,
        /// Where.
        range: RangeInclusive<u16>,
    },
    /// The id cannot name a file.
    #[error("{id:?} cannot be the name of an agent")]
    WrongId {
        /// The id.
        id: String,
    },
    /// Another ccc holds the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The system refuses a file.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// A reservation, format 1.
#[derive(Debug, Serialize, Deserialize)]
struct Reserved {
    version: u32,
    id: String,
    ports: Vec<u16>,
}

/// The ports of agents.
#[derive(Debug, Clone)]
pub struct Ports {
    dir: PathBuf,
}

impl Ports {
    /// Those of this state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join(DIR) }
    }

    /// Reserves ports for an agent. An agent that has enough of them keeps its own.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn reserve(
        &self,
        id: &str,
        count: usize,
        range: &RangeInclusive<u16>,
        holder: &Holder,
    ) -> Result<Vec<u16>, PortError> {
        check_id(id).map_err(|_| PortError::WrongId { id: id.to_owned() })?;
        let _lock = self.lock(holder)?;
        let mut own = self.of(id);
        let taken: BTreeSet<u16> =
            self.all()?.into_iter().filter(|other| other.id != id).flat_map(|other| other.ports).collect();
        let before = own.len();
        for port in range.clone() {
            if own.len() >= count {
                break;
            }
            if !taken.contains(&port) && !own.contains(&port) && is_free(port) {
                own.push(port);
            }
        }
        if own.len() < count {
            return Err(PortError::NotEnough { count, range: range.clone() });
        }
        if own.len() > before {
            let path = self.path(id);
            let reserved = Reserved { version: 1, id: id.to_owned(), ports: own.clone() };
            replace_json(&path, &reserved, false).map_err(PathError::of(path))?;
        }
        own.truncate(count);
        Ok(own)
    }

    /// The ports of an agent.
    #[must_use]
    pub fn of(&self, id: &str) -> Vec<u16> {
        let is_id = check_id(id).is_ok();
        is_id.then(|| read(&self.path(id))).flatten().map(|reserved| reserved.ports).unwrap_or_default()
    }

    /// Frees the ports of an agent.
    ///
    /// # Errors
    /// When the lock is held, or the reservation cannot be removed.
    pub fn free(&self, id: &str, holder: &Holder) -> Result<(), PortError> {
        check_id(id).map_err(|_| PortError::WrongId { id: id.to_owned() })?;
        let _lock = self.lock(holder)?;
        self.remove(id)
    }

    /// Frees the ports of all agents for which `is_known` is false, and returns their ids.
    ///
    /// # Errors
    /// As [`Ports::free`].
    pub fn free_unknown(&self, is_known: impl Fn(&str) -> bool, holder: &Holder) -> Result<Vec<String>, PortError> {
        let _lock = self.lock(holder)?;
        let unknown: Vec<String> = self.all()?.into_iter().map(|one| one.id).filter(|id| !is_known(id)).collect();
        for id in &unknown {
            self.remove(id)?;
        }
        Ok(unknown)
    }

    fn lock(&self, holder: &Holder) -> Result<FileLock, PortError> {
        make_private_dir(&self.dir).map_err(PathError::of(self.dir.clone()))?;
        Ok(FileLock::wait(&self.dir.join("lock"), "the list of reserved ports", holder, WAIT)?)
    }

    fn all(&self) -> Result<Vec<Reserved>, PortError> {
        let entries = fs::read_dir(&self.dir).map_err(PathError::of(self.dir.clone()))?;
        Ok(entries.flatten().filter_map(|entry| read(&entry.path())).collect())
    }

    fn remove(&self, id: &str) -> Result<(), PortError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PortError::Io(PathError { path, source })),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}

/// The variables that tell an agent its ports.
#[must_use]
pub fn port_variables(ports: &[u16]) -> Vec<(OsString, OsString)> {
    let name = |at: usize| if at == 0 { CCC_PORT.to_owned() } else { format!("{CCC_PORT}_{at}") };
    ports.iter().enumerate().map(|(at, port)| (name(at).into(), port.to_string().into())).collect()
}

fn read(path: &Path) -> Option<Reserved> {
    let found: Reserved = from_json(&read_private(path, WORKTREE_RECORD).ok()??).ok()?;
    (found.version == 1 && path.file_stem().is_some_and(|stem| stem == found.id.as_str())).then_some(found)
}

/// Whether nothing listens on the port, on any address of this machine.
fn is_free(port: u16) -> bool {
    let addresses: [IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    addresses.into_iter().all(|address| match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => true,
        // A machine may have no IPv6.
        Err(error) => address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse,
    })
}
