//! What is remembered about an exchange until it is undone.

use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::error::ProtectError;
use crate::files::{self, AtPath, FileKind, PathError, VersionedError, read_pieces};

/// The directory of the record and of the copies, in the run's directory.
const DIR: &str = "protected";
const RECORD: &str = "record.json";
/// The record's version.
const VERSION: u32 = 1;
/// A record of 10,000 files, each with a long path.
const KIND: FileKind = FileKind { name: "record of protected files", limit_bytes: 64 * 1024 * 1024 };

/// What was exchanged for a check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    pub(super) run: String,
    /// The top of the working tree.
    pub(super) top: Bytes,
    /// Directories that the exchange makes, the uppermost first.
    pub(super) dirs: Vec<Bytes>,
    pub(super) files: Vec<Entry>,
}

/// One file of an exchange.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Relative to the top.
    pub(super) path: Bytes,
    /// What was there before.
    pub(super) before: Version,
    /// What is there for the check.
    pub(super) base: Version,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Version {
    Missing,
    File {
        sha256: String,
        executable: bool,
        /// Of a copy: the permission bits, and the time of the last change in seconds and nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exact: Option<(u32, i64, i64)>,
    },
    Link {
        target: Bytes,
        /// As of a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modified: Option<(i64, i64)>,
    },
}

/// A path as a text in which every byte that is no UTF-8 is written as `%XX`, and `%` as `%25`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) PathBuf);

impl Record {
    pub(super) fn new(run: &str, top: &Path) -> Self {
        Self { version: VERSION, run: run.to_owned(), top: Bytes(top.to_owned()), dirs: Vec::new(), files: Vec::new() }
    }

    /// The record in this run's directory, if there is one.
    pub(super) fn read(run_dir: &Path) -> Result<Option<Self>, VersionedError> {
        files::read_versioned(&file(run_dir), KIND, VERSION)
    }

    /// Writes the record; it is on the disk when this returns.
    pub(super) fn write(&self, run_dir: &Path) -> Result<(), ProtectError> {
        let path = file(run_dir);
        files::replace_json(&path, self, true).map_err(|source| ProtectError::Io(PathError { path, source }))
    }
}

/// The directory of the record and the copies.
pub(super) fn dir(run_dir: &Path) -> PathBuf {
    run_dir.join(DIR)
}

pub(super) fn file(run_dir: &Path) -> PathBuf {
    dir(run_dir).join(RECORD)
}

/// The copy of the file with this number.
pub(super) fn copy(run_dir: &Path, number: usize) -> PathBuf {
    dir(run_dir).join(number.to_string())
}

/// The name under which a file is written before it gets its own.
pub(super) fn temporary(run: &str, number: usize) -> String {
    format!(".ccc-protect-{run}-{number}")
}

impl Version {
    /// What lies there, which is read to its end; `None` for what is no file. `take` gets the content of a file.
    pub(super) fn of(found: &mut AtPath, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<Option<Self>> {
        Ok(Some(match found {
            AtPath::Missing => Self::Missing,
            AtPath::Link(target, modified) => Self::Link { target: Bytes(target.clone()), modified: Some(*modified) },
            AtPath::Other(_) => return Ok(None),
            AtPath::File(file, meta) => {
                let mut hasher = Sha256::new();
                read_pieces(file, &mut |piece| {
                    hasher.update(piece);
                    take(piece)
                })?;
                Self::File {
                    sha256: hex(hasher),
                    executable: is_executable(meta.mode()),
                    exact: Some((meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec())),
                }
            }
        }))
    }

    /// A file with this content.
    pub(super) fn with_content(content: &[u8], executable: bool) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(content);
        Self::File { sha256: hex(hasher), executable, exact: None }
    }

    /// Whether both have the same content, and the same rights as far as they are known. A time is no difference.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { sha256, executable, exact }, Self::File { sha256: a, executable: b, exact: c }) => {
                let modes = exact.zip(*c).is_none_or(|((one, ..), (other, ..))| one == other);
                sha256 == a && executable == b && modes
            }
            (Self::Link { target, .. }, Self::Link { target: other, .. }) => target == other,
            (one, other) => one == other,
        }
    }
}

pub(super) fn is_executable(mode: u32) -> bool {
    mode & 0o100 != 0
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            text.push_str(&chunk.valid().replace('%', "%25"));
            for byte in chunk.invalid() {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = Vec::new();
        let mut parts = text.split('%');
        bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
        for part in parts {
            let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            bytes.push(byte.ok_or_else(|| serde::de::Error::custom("a path has a wrong `%`"))?);
            bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
        }
        Ok(Self(PathBuf::from(std::ffi::OsString::from_vec(bytes))))
    }
}
