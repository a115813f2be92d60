//! A PTY pair whose slave can be a child's stdout.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use portable_pty::{PtyPair, PtySize, native_pty_system};
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr};

use super::error::SpawnError;

/// The source of PTYs. It is a parameter, so that a test can simulate a machine without PTYs.
pub trait Ptys {
    /// Opens a pair of this size.
    ///
    /// # Errors
    /// The system's error when there is none.
    fn open(&self, size: PtySize) -> Result<PtyPair, String>;
}

/// The system's own PTYs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemPtys;

impl Ptys for SystemPtys {
    fn open(&self, size: PtySize) -> Result<PtyPair, String> {
        native_pty_system().openpty(size).map_err(|error| error.to_string())
    }
}

/// Both ends, close-on-exec.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) master: OwnedFd,
    pub(super) slave: OwnedFd,
    /// The slave's name, which identifies a process that still holds it.
    pub(super) name: PathBuf,
}

/// Opens a pair through `system`, sets its size and puts it into raw mode, so that lines arrive unchanged (no `\r`, no echo, no
/// signals from control characters).
pub(super) fn open(system: &dyn Ptys, cols: u16, rows: u16) -> Result<Pair, SpawnError> {
    let pair = open_pair(system, PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })?;
    match make_raw(&pair.slave) {
        Ok(()) => Ok(pair),
        Err(error) => Err(SpawnError::NoPty { reason: format!("{}: {error}", pair.name.display()) }),
    }
}

/// Opens a pair through `system` with these modes and this size.
pub(super) fn open_like(system: &dyn Ptys, modes: &Termios, size: Winsize) -> Result<Pair, SpawnError> {
    let size =
        PtySize { rows: size.ws_row, cols: size.ws_col, pixel_width: size.ws_xpixel, pixel_height: size.ws_ypixel };
    let pair = open_pair(system, size)?;
    match tcsetattr(&pair.slave, OptionalActions::Now, modes) {
        Ok(()) => Ok(pair),
        Err(errno) => Err(SpawnError::NoPty { reason: format!("{}: {errno}", pair.name.display()) }),
    }
}

fn open_pair(system: &dyn Ptys, size: PtySize) -> Result<Pair, SpawnError> {
    let no_pty = |reason: String| SpawnError::NoPty { reason };
    let pair = system.open(size).map_err(no_pty)?;
    let name = pair.master.tty_name().ok_or_else(|| no_pty("the slave has no name".to_owned()))?;
    let master = own_master(pair.master.as_ref()).map_err(|error| no_pty(error.to_string()))?;
    // NOCTTY: the terminal must become the child's controlling terminal, not ccc's.
    let slave: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(&name)
        .map_err(|error| no_pty(format!("{}: {error}", name.display())))?
        .into();
    Ok(Pair { master, slave, name })
}

fn make_raw(slave: &OwnedFd) -> io::Result<()> {
    let mut modes = tcgetattr(slave)?;
    modes.make_raw();
    tcsetattr(slave, OptionalActions::Now, &modes)?;
    Ok(())
}

/// A separate descriptor for the master: portable-pty's reader and writer hide what `poll` needs.
fn own_master(master: &(dyn portable_pty::MasterPty + Send)) -> io::Result<OwnedFd> {
    let raw = master.as_raw_fd().ok_or_else(|| io::Error::other("the master has no descriptor"))?;
    #[allow(unsafe_code, reason = "portable-pty gives the master only as a number")]
    // SAFETY: `master` owns `raw` and is borrowed for as long as this borrow lives, so it stays open.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) };
    borrowed.try_clone_to_owned()
}
