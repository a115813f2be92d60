//! The walls around a child as a description, which every system understands. See [`crate::process::walls`] for what they do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What raises walls on this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// Linux: the version of Landlock's interface.
    Landlock(u32),
    /// macOS.
    Seatbelt,
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Landlock(version) => write!(f, "Landlock {version}"),
            Self::Seatbelt => f.write_str("Seatbelt"),
        }
    }
}

/// The walls around a child.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walls {
    /// The files and directories that may be written, with all below them. Those that do not exist are left out.
    pub write: Vec<PathBuf>,
    /// Directories that can be neither renamed nor removed, the outer ones first. Needs [`crate::process::Means::take_out`].
    pub pinned: Vec<PathBuf>,
    /// Files and directories that cannot be written although they are below one that may, the inner ones first. What is pinned
    /// below one of them stays as it is. Needs [`crate::process::Means::take_out`].
    pub read_only: Vec<PathBuf>,
    /// A directory of which the child sees a copy, made of the directory itself and of what the child changes. Needs mounts.
    pub copied: Option<Copied>,
    /// The processes behind them are counted by themselves: in a user namespace of their own, also where nothing is mounted. Only
    /// asked for where that was tried.
    pub counted_apart: bool,
}

/// A directory that a child may change without a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The directory.
    pub tree: PathBuf,
    /// The child's changes are kept here, in two directories that [`Copied::make`] makes.
    pub changes: PathBuf,
}

impl Copied {
    /// Where the changed files are.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.changes.join("changed")
    }

    /// What the system needs beside them.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.changes.join("work")
    }

    /// Makes the empty directories for the changes.
    ///
    /// # Errors
    /// When they cannot be made, or exist.
    pub fn make(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        for dir in [&self.changes, &self.upper(), &self.work()] {
            builder.create(dir)?;
        }
        Ok(())
    }

    /// Removes the changes. The child and all that it has started must have ended.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        remove_all(&self.changes)
    }
}

/// Removes a directory also where the child, or the system, has taken the owner's rights on it away.
fn remove_all(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(dir)
}
