//! Opens and reads a file that somebody else may have written.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::FileKind;
use super::kind::Size;

/// Why a file was not read. The text of `Display` follows the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// It does not exist.
    #[error("does not exist")]
    Missing,
    /// It is a link whose target does not exist.
    #[error("is a link to a file that does not exist")]
    Dangling,
    /// It is a directory, a FIFO, a device or a socket.
    #[error("is {found}, not a regular file")]
    NotAFile {
        /// What it is, with its article.
        found: &'static str,
    },
    /// It exceeds the limit of its kind.
    #[error("is larger than {}, the limit for a {}", Size(.kind.limit_bytes), .kind.name)]
    TooLarge {
        /// The kind.
        kind: FileKind,
    },
    /// It is a link that leads out of its directory.
    #[error("is a link to a file outside of the project")]
    LeadsOut,
    /// The system refuses to read it.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

impl ReadFault {
    /// What the user can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            ReadFault::Missing => "correct the name",
            ReadFault::Dangling => "correct the link, or remove it",
            ReadFault::NotAFile { .. } => "put a regular file in its place, or remove it",
            ReadFault::TooLarge { .. } => "shorten the file, or use another one",
            ReadFault::LeadsOut => "replace the link by the file itself",
            ReadFault::Unreadable(_) => "make the file readable, or remove it",
        }
    }

    /// The corresponding kind of system error.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            ReadFault::Missing => io::ErrorKind::NotFound,
            ReadFault::Unreadable(error) => error.kind(),
            ReadFault::Dangling | ReadFault::NotAFile { .. } | ReadFault::TooLarge { .. } | ReadFault::LeadsOut => {
                io::ErrorKind::InvalidInput
            }
        }
    }
}

impl From<ReadFault> for io::Error {
    fn from(fault: ReadFault) -> io::Error {
        match fault {
            ReadFault::Unreadable(error) => error,
            other @ (ReadFault::Missing
            | ReadFault::Dangling
            | ReadFault::NotAFile { .. }
            | ReadFault::TooLarge { .. }
            | ReadFault::LeadsOut) => io::Error::new(other.io_kind(), other.to_string()),
        }
    }
}

/// Reads a whole regular file.
///
/// # Errors
/// When it does not exist, is no regular file, exceeds the limit of its kind, or cannot be read.
pub fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>, ReadFault> {
    bounded(open_regular(path)?, kind)
}

/// As [`read`]; `None` when there is no such file. A link without a target is still a fault, because a file was
/// intended.
///
/// # Errors
/// As [`read`].
pub fn read_if_there(path: &Path, kind: FileKind) -> Result<Option<Vec<u8>>, ReadFault> {
    match read(path, kind) {
        Err(ReadFault::Missing) => Ok(None),
        other => other.map(Some),
    }
}

/// As [`read`], with the file's permission bits.
///
/// # Errors
/// As [`read`].
pub fn read_with_mode(path: &Path, kind: FileKind) -> Result<(Vec<u8>, u32), ReadFault> {
    let file = open_regular(path)?;
    let mode = file.metadata().map_err(ReadFault::Unreadable)?.mode();
    Ok((bounded(file, kind)?, mode))
}

/// Reads a file in a directory that others can write to; `None` when there is none. A link that leads out of the
/// directory is refused.
///
/// # Errors
/// As [`read`], and for such a link.
pub fn read_within(dir: &Path, path: &Path, kind: FileKind) -> Result<Option<Vec<u8>>, ReadFault> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if is_missing(&error) => return missing(path).map_or(Ok(None), Err),
        Err(error) => return Err(ReadFault::Unreadable(error)),
    };
    only_regular(fs::metadata(&real).map_err(ReadFault::Unreadable)?.file_type())?;
    let dir = dir.canonicalize().map_err(ReadFault::Unreadable)?;
    if !real.starts_with(&dir) {
        return Err(ReadFault::LeadsOut);
    }
    // Open the same name that was checked, without following links any more.
    bounded(open(&real, OFlags::NOFOLLOW)?, kind).map(Some)
}

/// Opens a regular file for reading, without waiting: a FIFO without a writer is refused, not opened.
///
/// # Errors
/// When it does not exist, is no regular file, or cannot be opened.
pub fn open_regular(path: &Path) -> Result<File, ReadFault> {
    open(path, OFlags::empty())
}

/// As [`open_regular`], and refuses a link.
///
/// # Errors
/// As [`open_regular`], and for a link.
pub fn open_no_link(path: &Path) -> Result<File, ReadFault> {
    open(path, OFlags::NOFOLLOW)
}

/// Reads a file in a directory that ccc itself has written. Neither the directory nor the file may be a link.
///
/// # Errors
/// As [`read`], and for a link.
pub fn read_no_link(dir: &Path, name: &str, kind: FileKind) -> Result<Vec<u8>, ReadFault> {
    if fs::symlink_metadata(dir).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
        return Err(ReadFault::NotAFile { found: "in a directory that is a link" });
    }
    bounded(open(&dir.join(name), OFlags::NOFOLLOW)?, kind)
}

fn open(path: &Path, more: OFlags) -> Result<File, ReadFault> {
    // Check the type first, because opening a device can have effects.
    let looked = if more.contains(OFlags::NOFOLLOW) { fs::symlink_metadata(path) } else { fs::metadata(path) };
    match looked {
        Ok(metadata) => only_regular(metadata.file_type())?,
        Err(error) if is_missing(&error) => return Err(missing(path).unwrap_or(ReadFault::Missing)),
        Err(error) => return Err(ReadFault::Unreadable(error)),
    }
    // The file may have been replaced since the check. NONBLOCK does not wait for a FIFO's writer, and has no effect on
    // a regular file.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file =
        opened.map_err(|error| if is_missing(&error) { ReadFault::Missing } else { ReadFault::Unreadable(error) })?;
    only_regular(file.metadata().map_err(ReadFault::Unreadable)?.file_type())?;
    Ok(file)
}

/// Reads at most one byte more than the limit, so that a file of exactly that size differs from a longer one.
pub(super) fn bounded(file: File, kind: FileKind) -> Result<Vec<u8>, ReadFault> {
    let too_large = || ReadFault::TooLarge { kind };
    let length = file.metadata().map_err(ReadFault::Unreadable)?.len();
    if length > kind.limit_bytes {
        return Err(too_large());
    }
    // One read takes it all. The length is not known beforehand for a file that is growing, and for files in /proc.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(kind.limit_bytes + 1).read_to_end(&mut bytes).map_err(ReadFault::Unreadable)?;
    if bytes.len() as u64 > kind.limit_bytes { Err(too_large()) } else { Ok(bytes) }
}

pub(super) fn only_regular(found: FileType) -> Result<(), ReadFault> {
    if found.is_file() {
        return Ok(());
    }
    let found = if found.is_dir() {
        "a directory"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else if found.is_symlink() {
        "a link"
    } else {
        "a device"
    };
    Err(ReadFault::NotAFile { found })
}

/// `NotADirectory` means that a part of the path is a file, so the file itself does not exist either.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory
}

/// The fault of a name without a readable target; `None` when there is nothing with this name.
fn missing(path: &Path) -> Option<ReadFault> {
    fs::symlink_metadata(path).is_ok().then_some(ReadFault::Dangling)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    const SMALL: FileKind = FileKind { name: "test file", limit_bytes: 8 };

    /// A directory with one file of each odd kind.
    fn odd() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("right"), "12345678").expect("write");
        fs::write(at("long"), "123456789").expect("write");
        fs::create_dir(at("directory")).expect("mkdir");
        crate::files::make_fifo(&at("fifo"));
        std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        symlink("/dev/zero", at("zero")).expect("link");
        symlink("nowhere", at("dangling")).expect("link");
        symlink("right", at("link")).expect("link");
        symlink("circle", at("circle")).expect("link");
        File::create(at("sparse")).expect("create").set_len(3 * 1024 * 1024 * 1024).expect("a sparse file");
        dir
    }

    #[test]
    fn only_regular_files_within_their_limit_are_read_and_nothing_is_waited_for() {
        let dir = odd();
        for (name, says) in [
            ("right", None),
            ("link", None),
            ("long", Some("is larger than 8 bytes, the limit for a test file")),
            ("sparse", Some("is larger than 8 bytes")),
            ("directory", Some("is a directory, not a regular file")),
            ("fifo", Some("is a FIFO, not a regular file")),
            ("socket", Some("is a socket, not a regular file")),
            ("zero", Some("is a device, not a regular file")),
            ("dangling", Some("is a link to a file that does not exist")),
            ("circle", Some("cannot be read: ")),
            ("none", Some("does not exist")),
            ("right/below", Some("does not exist")),
        ] {
            let read = read(&dir.path().join(name), SMALL);
            match (read, says) {
                (Ok(bytes), None) => assert_eq!(bytes, b"12345678", "{name}"),
                (Err(fault), Some(says)) => {
                    assert!(fault.to_string().contains(says), "{name}: {fault}");
                    assert!(!fault.advice().is_empty());
                }
                (read, says) => panic!("{name}: {read:?}, expected {says:?}"),
            }
        }
    }

    #[test]
    fn a_file_that_says_no_length_is_read_up_to_the_limit() {
        let proc = PathBuf::from("/proc/self/maps");
        if proc.exists() {
            assert!(matches!(read(&proc, SMALL), Err(ReadFault::TooLarge { .. })));
        }
    }

    #[test]
    fn what_is_not_there_is_none_but_a_link_to_nothing_is_a_fault() {
        let dir = odd();
        assert!(read_if_there(&dir.path().join("none"), SMALL).expect("no fault").is_none());
        assert!(matches!(read_if_there(&dir.path().join("dangling"), SMALL), Err(ReadFault::Dangling)));
    }

    #[test]
    fn a_link_that_leads_out_is_refused_and_one_that_stays_is_not() {
        let dir = odd();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join("docs")).expect("mkdir");
        fs::write(project.join("docs/real"), "inside").expect("write");
        symlink("docs/real", project.join("inside")).expect("link");
        symlink("../right", project.join("outside")).expect("link");
        symlink("..", project.join("up")).expect("link");
        symlink("../none", project.join("nothing")).expect("link");
        let read = |name: &str| read_within(&project, &project.join(name), SMALL);
        assert_eq!(read("inside").expect("inside").as_deref(), Some(&b"inside"[..]));
        assert_eq!(read("docs/real").expect("plain").as_deref(), Some(&b"inside"[..]));
        assert!(read("none").expect("no fault").is_none());
        for name in ["outside", "up/right"] {
            assert!(matches!(read(name), Err(ReadFault::LeadsOut)), "{name}");
        }
        assert!(matches!(read("nothing"), Err(ReadFault::Dangling)));
    }

    #[test]
    fn in_a_directory_of_our_own_no_link_is_followed() {
        let dir = odd();
        symlink(".", dir.path().join("here")).expect("link");
        for (name, says) in [
            ("right", None),
            ("link", Some("is a link, not a regular file")),
            ("dangling", Some("is a link, not a regular file")),
            ("zero", Some("is a link, not a regular file")),
            ("fifo", Some("is a FIFO, not a regular file")),
            ("long", Some("is larger than 8 bytes")),
            ("none", Some("does not exist")),
        ] {
            let found = read_no_link(dir.path(), name, SMALL).map_err(|fault| fault.to_string());
            match says {
                None => assert_eq!(found.as_deref(), Ok(&b"12345678"[..]), "{name}"),
                Some(says) => assert!(found.as_ref().is_err_and(|fault| fault.contains(says)), "{name}: {found:?}"),
            }
            assert_eq!(open_no_link(&dir.path().join(name)).is_ok(), ["right", "long"].contains(&name), "{name}");
        }
        let through = read_no_link(&dir.path().join("here"), "right", SMALL);
        assert!(matches!(through, Err(ReadFault::NotAFile { .. })), "{through:?}");
    }
}
