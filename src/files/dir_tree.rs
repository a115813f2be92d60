//! The files below a directory that others write to at the same time. Each path is opened from that directory, name by name, and no
//! link is followed, neither in the path nor at its end.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// A directory and what lies below it.
#[derive(Debug)]
pub struct DirTree {
    top: OwnedFd,
}

/// What lies at a path.
#[derive(Debug)]
pub enum AtPath {
    /// Nothing.
    Missing,
    /// A file, open for reading.
    File(File, Metadata),
    /// A symbolic link with this target, and the time of its last change, in seconds and nanoseconds.
    Link(PathBuf, (i64, i64)),
    /// Something else, with its article.
    Other(&'static str),
}

/// What a written file has besides its content.
#[derive(Debug, Clone, Copy)]
pub enum FileRights {
    /// Those of a new file, as the user's mask says.
    New {
        /// Whether it can be executed.
        executable: bool,
    },
    /// These bits, and this time of its last change, in seconds and nanoseconds. The file is on the disk when it is written.
    Exact {
        /// The permission bits.
        mode: u32,
        /// The time.
        modified: (i64, i64),
    },
}

impl DirTree {
    /// Opens the directory.
    ///
    /// # Errors
    /// When it is a link, no directory, or missing.
    pub fn open(top: &Path) -> io::Result<Self> {
        Ok(Self { top: open_dir(rustix::fs::CWD, top.as_os_str())? })
    }

    /// What lies at this path, which is relative to the directory.
    ///
    /// # Errors
    /// When a part of the path before its end is a link or a file, and when it cannot be read.
    pub fn look(&self, path: &Path) -> io::Result<AtPath> {
        let (dir, name) = match self.parent(path, None) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(AtPath::Missing),
            Err(error) => return Err(error),
        };
        let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(AtPath::Missing),
            Err(error) => return Err(error.into()),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = File::from(rustix::fs::openat(&dir, name, flags, Mode::empty())?);
                let meta = file.metadata()?;
                if meta.is_file() { AtPath::File(file, meta) } else { AtPath::Other("something that is no file") }
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&dir, name, Vec::new())?;
                // The types of the times are the system's.
                let modified = (stat.st_mtime as _, stat.st_mtime_nsec as _);
                AtPath::Link(PathBuf::from(OsStr::from_bytes(target.as_bytes())), modified)
            }
            FileType::Directory => AtPath::Other("a directory"),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => AtPath::Other("something that is no file"),
        })
    }

    /// The directories on the way to this path that do not exist, the uppermost first.
    ///
    /// # Errors
    /// When a part of the path before its end is a link or a file.
    pub fn missing_dirs(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut missing = Vec::new();
        for dir in path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
            match self.parent(&dir.join("x"), None) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(dir.to_owned()),
                Err(error) => return Err(error),
            }
        }
        missing.reverse();
        Ok(missing)
    }

    /// Writes a file in the place of what lies at the path: first as `temporary` in the same directory, then with its name, so that
    /// it is never there in part. Directories that are missing are made.
    ///
    /// # Errors
    /// When a part of the path before its end is a link or a file, a directory lies at its end, or it cannot be written.
    pub fn replace(&self, path: &Path, temporary: &str, content: &mut dyn Read, rights: FileRights) -> io::Result<()> {
        let (dir, name) = self.parent(path, Some(Mode::from_raw_mode(0o777)))?;
        self.clear(path, temporary)?;
        let mode = match rights {
            FileRights::New { executable: true } => 0o777,
            FileRights::New { executable: false } => 0o666,
            FileRights::Exact { .. } => 0o600,
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&dir, temporary, flags, Mode::from_raw_mode(mode))?);
        let written = (|| {
            io::copy(content, &mut file)?;
            file.flush()?;
            if let FileRights::Exact { mode, modified: (tv_sec, tv_nsec) } = rights {
                rustix::fs::fchmod(&file, Mode::from_raw_mode((mode & 0o7777) as _))?;
                let time = Timespec { tv_sec, tv_nsec };
                rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
                file.sync_all()?;
            }
            Ok(rustix::fs::renameat(&dir, temporary, &dir, name)?)
        })();
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&dir, temporary, AtFlags::empty());
        }
        written
    }

    /// The same for a symbolic link, with this time of its last change, or now.
    ///
    /// # Errors
    /// As [`DirTree::replace`].
    pub fn replace_by_link(
        &self,
        path: &Path,
        temporary: &str,
        target: &Path,
        modified: Option<(i64, i64)>,
    ) -> io::Result<()> {
        let (dir, name) = self.parent(path, Some(Mode::from_raw_mode(0o777)))?;
        self.clear(path, temporary)?;
        rustix::fs::symlinkat(target, &dir, temporary)?;
        if let Some((tv_sec, tv_nsec)) = modified {
            let time = Timespec { tv_sec, tv_nsec };
            let times = Timestamps { last_access: time, last_modification: time };
            // Some file systems keep no time of a link.
            let _ = rustix::fs::utimensat(&dir, temporary, &times, AtFlags::SYMLINK_NOFOLLOW);
        }
        let renamed = rustix::fs::renameat(&dir, temporary, &dir, name);
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(&dir, temporary, AtFlags::empty());
        }
        Ok(renamed?)
    }

    /// Removes the temporary file that an interrupted replacement of this path may have left.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(&self, path: &Path, temporary: &str) -> io::Result<()> {
        self.remove(&path.with_file_name(temporary))
    }

    /// Removes a file or link, if it is there.
    ///
    /// # Errors
    /// When a part of the path before its end is a link or a file, a directory lies at its end, or it cannot be removed.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let removed =
            self.parent(path, None).and_then(|(dir, name)| Ok(rustix::fs::unlinkat(&dir, name, AtFlags::empty())?));
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    /// Removes a directory if it is empty.
    pub fn remove_empty_dir(&self, path: &Path) {
        if let Ok((dir, name)) = self.parent(path, None) {
            let _ = rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR);
        }
    }

    /// The directory in which the path's last name stands, and that name. With `make`, missing directories are made with this mode.
    fn parent<'a>(&self, path: &'a Path, make: Option<Mode>) -> io::Result<(OwnedFd, &'a OsStr)> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} leads elsewhere", path.display()));
        let mut names = Vec::new();
        for part in path.components() {
            let Component::Normal(name) = part else { return Err(invalid()) };
            names.push(name);
        }
        let name = names.pop().ok_or_else(invalid)?;
        let mut dir = self.top.try_clone()?;
        let mut at = PathBuf::new();
        for name in names {
            at.push(name);
            let opened = match (open_dir(&dir, name), make) {
                (Err(error), Some(mode)) if error.kind() == io::ErrorKind::NotFound => {
                    match rustix::fs::mkdirat(&dir, name, mode) {
                        Ok(()) | Err(Errno::EXIST) => open_dir(&dir, name),
                        Err(error) => Err(error.into()),
                    }
                }
                (opened, _) => opened,
            };
            dir = opened.map_err(|error| {
                if matches!(Errno::from_io_error(&error), Some(Errno::NOTDIR | Errno::LOOP)) {
                    let text = format!("{} is a link or a file, and was a directory", at.display());
                    io::Error::new(io::ErrorKind::InvalidInput, text)
                } else {
                    error
                }
            })?;
        }
        Ok((dir, name))
    }
}

fn open_dir(at: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

/// Passes the content of an open file to `take`, piece by piece.
///
/// # Errors
/// When it cannot be read, and the errors of `take`.
pub fn read_pieces(from: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    const EXACT: FileRights = FileRights::Exact { mode: 0o640, modified: (1_000, 5) };

    #[test]
    fn a_file_is_replaced_with_its_rights_and_its_time_and_directories_are_made() {
        let dir = tempfile::tempdir().expect("tempdir");
        let tree = DirTree::open(dir.path()).expect("opened");
        assert_eq!(tree.missing_dirs(Path::new("a/b/c")).expect("looked"), [Path::new("a"), Path::new("a/b")]);
        tree.replace(Path::new("a/b/c"), ".t", &mut b"one".as_slice(), EXACT).expect("written");
        assert_eq!(tree.missing_dirs(Path::new("a/b/c")).expect("looked"), Vec::<PathBuf>::new());
        let file = dir.path().join("a/b/c");
        let meta = fs::metadata(&file).expect("metadata");
        assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()), (0o640, 1_000, 5));
        // One that was left is no obstacle, and none stays.
        fs::write(dir.path().join("a/b/.t"), "left").expect("written");
        tree.replace(Path::new("a/b/c"), ".t", &mut b"two".as_slice(), FileRights::New { executable: true })
            .expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"two");
        assert!(fs::metadata(&file).expect("metadata").permissions().mode() & 0o100 != 0);
        assert_eq!(fs::read_dir(dir.path().join("a/b")).expect("listed").count(), 1);
        tree.remove_empty_dir(Path::new("a/b"));
        tree.remove(Path::new("a/b/c")).expect("removed");
        tree.remove(Path::new("a/b/c")).expect("removed before");
        tree.remove(Path::new("x/y")).expect("never there");
        tree.remove_empty_dir(Path::new("a/b"));
        assert!(!dir.path().join("a/b").exists());
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let outside = tempfile::tempdir().expect("tempdir");
        fs::write(outside.path().join("f"), "untouched").expect("written");
        symlink(outside.path(), dir.path().join("d")).expect("link");
        symlink(outside.path().join("f"), dir.path().join("l")).expect("link");
        let tree = DirTree::open(dir.path()).expect("opened");
        for path in ["d/f", "d/new", "l/x", "../f", "/etc/passwd", ""] {
            let path = Path::new(path);
            assert!(tree.replace(path, ".t", &mut b"x".as_slice(), EXACT).is_err(), "{}", path.display());
            assert!(tree.replace_by_link(path, ".t", Path::new("x"), None).is_err(), "{}", path.display());
            assert!(tree.remove(path).is_err(), "{}", path.display());
            assert!(tree.look(path).is_err(), "{}", path.display());
        }
        assert!(matches!(tree.look(Path::new("l")), Ok(AtPath::Link(..))));
        assert!(matches!(tree.look(Path::new("none/f")), Ok(AtPath::Missing)));
        // The link itself is replaced.
        tree.replace(Path::new("l"), ".t", &mut b"x".as_slice(), EXACT).expect("written");
        assert_eq!(fs::read(outside.path().join("f")).expect("read"), b"untouched");
        assert_eq!(fs::read_dir(outside.path()).expect("listed").count(), 1);
        tree.replace_by_link(Path::new("l"), ".t", Path::new("f"), None).expect("written");
        assert_eq!(fs::read_link(dir.path().join("l")).expect("a link"), Path::new("f"));
        assert!(DirTree::open(&dir.path().join("d")).is_err());
    }

    #[test]
    fn what_is_no_file_is_named_and_never_opened() {
        let dir = tempfile::tempdir().expect("tempdir");
        let tree = DirTree::open(dir.path()).expect("opened");
        crate::files::make_fifo(&dir.path().join("fifo"));
        fs::create_dir(dir.path().join("dir")).expect("mkdir");
        assert!(matches!(tree.look(Path::new("fifo")), Ok(AtPath::Other(_))));
        assert!(matches!(tree.look(Path::new("dir")), Ok(AtPath::Other("a directory"))));
        assert!(tree.replace(Path::new("dir"), ".t", &mut b"x".as_slice(), EXACT).is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2, "nothing is left");
    }
}
