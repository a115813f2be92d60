//! Copies files into a new working tree.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::files;

/// Makes a file that shares the content of another one, where the file system can. The new file must not exist.
pub(super) type Reflink = fn(&Path, &Path) -> io::Result<()>;

/// How a file may be copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copier {
    pub(super) reflink: Reflink,
    /// How many bytes may still be copied where the file system cannot share them.
    pub(super) left_bytes: u64,
}

/// Why a file was not copied.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// The file system cannot share contents, and the limit of bytes does not allow a copy.
    CannotShare,
    /// Something is there already.
    Exists,
    /// A part of the path is a link in the new tree.
    ThroughLink,
    /// The system refuses it.
    Io(io::Error),
}

impl From<io::Error> for CopyFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for CopyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CannotShare => f.write_str("the file system cannot clone files"),
            Self::Exists => f.write_str("it is there already"),
            Self::ThroughLink => f.write_str("a part of its path is a link"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Copier {
    /// A copier of the system's, which may copy this many bytes.
    pub(super) fn new(left_bytes: u64) -> Self {
        Self { reflink: |from, to| reflink_copy::reflink(from, to), left_bytes }
    }

    /// Copies the regular file, with its permissions and its time. The directories above `to` must exist.
    pub(super) fn file(&mut self, from: &Path, to: &Path, meta: &fs::Metadata) -> Result<(), CopyFault> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(CopyFault::Exists);
        }
        if (self.reflink)(from, to).is_err() {
            let Some(left) = self.left_bytes.checked_sub(meta.len()) else { return Err(CopyFault::CannotShare) };
            let mut source = files::open_no_link(from).map_err(io::Error::from)?;
            let mut copy = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
            io::copy(&mut source, &mut copy)?;
            self.left_bytes = left;
        }
        // Build tools compare times: what was built must not look older than it is.
        let copy = fs::OpenOptions::new().write(true).open(to)?;
        copy.set_times(fs::FileTimes::new().set_modified(meta.modified()?))?;
        copy.set_permissions(permissions(meta))?;
        Ok(())
    }
}

/// The permissions of the copy: without the bits that give it the rights of its owner.
pub(super) fn permissions(meta: &fs::Metadata) -> fs::Permissions {
    fs::Permissions::from_mode(meta.permissions().mode() & 0o777)
}

/// Creates the directories above `relative` in `top`. No link is followed.
pub(super) fn make_parents(top: &Path, relative: &Path) -> Result<(), CopyFault> {
    let mut dir = top.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(name) = part else { return Err(CopyFault::ThroughLink) };
        dir.push(name);
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(CopyFault::ThroughLink),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&dir)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether a link at `relative` with this target stays inside the directory that the path is relative to.
pub(super) fn stays_inside(relative: &Path, target: &Path) -> bool {
    let mut at = PathBuf::new();
    for part in relative.parent().into_iter().flat_map(Path::components).chain(target.components()) {
        match part {
            Component::Normal(name) => at.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !at.pop() {
                    return false;
                }
            }
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}
