//! The identity of a file, for comparisons: its `lstat` data and its content.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

/// A larger file is compared by its `lstat` data only.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The most content that one measurement reads; files beyond it are compared by their `lstat` data.
const MAX_READ_BYTES: u64 = 512 * 1024 * 1024;
/// A larger ignored file is compared by its size only.
pub(super) const MAX_ROUGH_BYTES: u64 = 16 * 1024;
/// A file whose last change is more recent than this may change again without new timestamps.
const RACY_NS: i128 = 20_000_000;

/// Hash of the `lstat` data. 0: the path does not exist.
pub(super) type Stat = u64;
/// Hash of the kind, the executable bit and the content.
pub(super) type Identity = u128;

/// One path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    pub(super) stat: Stat,
    pub(super) identity: Identity,
    /// It had changed so shortly before the measurement that a later change may leave `stat` equal.
    pub(super) racy: bool,
}

/// Files whose content hash is known, to avoid reading them again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<PathBuf, File>,
}

/// Reads files during one measurement.
pub(super) struct Reader<'m> {
    memory: &'m mut Memory,
    seen: HashMap<PathBuf, File>,
    left_bytes: u64,
    now_ns: i128,
}

impl Memory {
    pub(super) fn reader(&mut self) -> Reader<'_> {
        Reader { memory: self, seen: HashMap::new(), left_bytes: MAX_READ_BYTES, now_ns: now_ns() }
    }
}

impl Reader<'_> {
    /// The present state of this path.
    pub(super) fn look(&mut self, path: &Path) -> File {
        let meta = fs::symlink_metadata(path).ok();
        let stat = meta.as_ref().map_or(0, stat_of);
        let racy = meta.as_ref().is_some_and(|meta| self.now_ns - changed_ns(meta) < RACY_NS);
        let known = self.memory.known.get(path).filter(|known| known.stat == stat && !known.racy);
        let identity = match (known, &meta) {
            (Some(known), _) => known.identity,
            (None, None) => 0,
            (None, Some(meta)) => self.identity(path, meta, stat),
        };
        let file = File { stat, identity, racy };
        self.seen.insert(path.to_owned(), file);
        file
    }

    fn identity(&mut self, path: &Path, meta: &fs::Metadata, stat: Stat) -> Identity {
        let mut hasher = Sha256::new();
        let kind = meta.file_type();
        if kind.is_symlink() {
            hasher.update(b"link");
            if let Ok(target) = fs::read_link(path) {
                hasher.update(target.as_os_str().as_bytes());
            }
        } else if kind.is_file() && meta.size() <= MAX_FILE_BYTES.min(self.left_bytes) {
            self.left_bytes -= meta.size();
            hasher.update(if meta.mode() & 0o111 == 0 { b"file" } else { b"tool" });
            if hash_content(path, &mut hasher).is_none() {
                hasher.update(stat.to_be_bytes());
            }
        } else if kind.is_dir() {
            hasher.update(b"directory");
        } else if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
            hasher.update(b"special");
            hasher.update(meta.rdev().to_be_bytes());
        } else {
            hasher.update(b"large");
            hasher.update(stat.to_be_bytes());
        }
        short(&hasher.finalize())
    }

    /// Keeps only what this measurement saw, for the next one.
    pub(super) fn remember(self) {
        self.memory.known = self.seen;
    }
}

/// The first 16 bytes of a hash.
pub(super) fn short(hash: &[u8]) -> u128 {
    hash.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// Reads only a regular file. If something else has taken its place, the open neither blocks nor follows a link.
fn hash_content(path: &Path, hasher: &mut Sha256) -> Option<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = fs::File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let mut left_bytes = file.metadata().ok().filter(fs::Metadata::is_file)?.size().min(MAX_FILE_BYTES);
    let mut buffer = [0u8; 16 * 1024];
    while left_bytes > 0 {
        match file.read(&mut buffer).ok()? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                left_bytes = left_bytes.saturating_sub(count as u64);
            }
        }
    }
    Some(())
}

/// Adds the content of a file, as far as it is readable.
pub(super) fn rough(path: &Path, hasher: &mut Sha256) {
    let _ = hash_content(path, hasher);
}

/// Reads a small file from `.git`.
pub(super) fn read_small(path: &Path) -> Option<String> {
    let bytes = crate::files::read(path, crate::files::GIT_STATE).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The hash of the present `lstat` data of this path.
pub(super) fn stat(path: &Path) -> Stat {
    fs::symlink_metadata(path).map_or(0, |meta| stat_of(&meta))
}

fn stat_of(meta: &fs::Metadata) -> Stat {
    let numbers = [
        meta.ino(),
        meta.size(),
        u64::from(meta.mode()),
        meta.mtime().unsigned_abs(),
        meta.mtime_nsec().unsigned_abs(),
        meta.ctime().unsigned_abs(),
        meta.ctime_nsec().unsigned_abs(),
    ];
    // FNV-1a over the words; never 0, which means missing.
    let hash = numbers.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, number| {
        (hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    });
    hash | 1
}

fn changed_ns(meta: &fs::Metadata) -> i128 {
    i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec())
}

#[allow(clippy::disallowed_methods, reason = "driver/tree is an edge: compared with the times of real files")]
fn now_ns() -> i128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}
