//! The target of a journal's bytes: a file with its blobs beside it, or memory in tests.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, DiskFile, SystemDisk};
use super::disk_thread::{self, DiskThread, Piece};
use super::sync::{Durable, Syncer};

/// How long [`Sink::close`] waits for the last bytes to reach the disk.
pub const CLOSE_WAIT_MS: u64 = 2_000;
/// How many payloads are remembered as written. A forgotten one is only written again.
const BLOBS_REMEMBERED: usize = 4_096;
/// How many directories above a journal are synced at its beginning, because any of them may have been created with the run. In
/// practice this covers all of them.
const DIRS_SYNCED: usize = 64;

/// The target of a journal's bytes. Tests use one that fails.
pub trait Sink {
    /// Appends some of `bytes`; like `write(2)`, it may accept fewer.
    ///
    /// # Errors
    /// The disk's error; `TimedOut` when it does not respond. Some of the bytes may then be written later.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the journal back to its first `len_bytes` bytes, after an incomplete write.
    ///
    /// # Errors
    /// The disk's error.
    fn truncate(&mut self, len_bytes: u64) -> io::Result<()>;

    /// Stores a big payload under its hash. Except for a power cut, the file is either complete or absent.
    ///
    /// # Errors
    /// The disk's error.
    fn put_blob(&mut self, sha256: &str, bytes: &[u8]) -> io::Result<()>;

    /// Requests a sync of everything written, without waiting. `up_to` is the number of the last entry. The returned value lets
    /// another thread wait for it.
    fn sync_soon(&mut self, up_to: u64) -> Option<Durable>;

    /// Whether [`Sink::synced`] of this sink reports progress.
    fn tells_synced(&self) -> bool {
        false
    }

    /// The number of the last entry that has reached the disk, with all before it; 0 if unknown.
    fn synced(&self) -> u64 {
        0
    }

    /// Requests the atomic replacement of a file beside the journal, after everything written has reached the disk. False if
    /// this sink cannot do that.
    fn replace_soon(&mut self, path: &Path, bytes: &[u8]) -> bool {
        let _ = (path, bytes);
        false
    }

    /// The error of a sync; returned once.
    fn take_sync_error(&mut self) -> Option<String>;

    /// Waits, for [`CLOSE_WAIT_MS`] at most, for a disk that has not responded yet.
    fn wait(&mut self) {}

    /// Waits, for [`CLOSE_WAIT_MS`] at most, until everything written has reached the disk.
    fn close(self);
}

/// The sink of a real run: `journal.jsonl` and `blobs/`.
#[derive(Debug)]
pub struct FileSink {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    blobs: PathBuf,
    written_blobs: HashSet<String>,
    syncer: Option<Syncer>,
    /// `None` if there is no thread; the loop then waits for the disk itself.
    thread: Option<DiskThread>,
}

impl FileSink {
    /// Opens `journal` for appending (created with mode 0600 if it does not exist); payloads go to `blobs`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(journal: &Path, blobs: &Path) -> io::Result<FileSink> {
        FileSink::open_on(Arc::new(SystemDisk), journal, blobs)
    }

    /// The same on another disk.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_on(disk: Arc<dyn Disk>, journal: &Path, blobs: &Path) -> io::Result<FileSink> {
        let file: Arc<dyn DiskFile> = Arc::from(disk.append(journal)?);
        let dirs = journal.ancestors().skip(1).take(DIRS_SYNCED).filter(|dir| !dir.as_os_str().is_empty());
        let dirs = dirs.map(Path::to_owned).collect();
        // Without a thread the journal is still written, but a power cut can take its end.
        let syncer = Syncer::start(Arc::clone(&disk), Arc::clone(&file), blobs.to_owned(), dirs).ok();
        let thread = DiskThread::start(Arc::clone(&disk), Arc::clone(&file)).ok();
        Ok(FileSink { disk, file, blobs: blobs.to_owned(), written_blobs: HashSet::new(), syncer, thread })
    }

    fn hand_over(&self, piece: Piece) -> io::Result<usize> {
        match &self.thread {
            Some(thread) => thread.hand_over(piece),
            None => disk_thread::write(piece, self.disk.as_ref(), self.file.as_ref()),
        }
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hand_over(Piece::Lines(bytes.to_owned()))
    }

    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.hand_over(Piece::Length(len_bytes)).map(drop)
    }

    fn put_blob(&mut self, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        // Payloads of an earlier ccc are written again, because a power cut may have left a name without content.
        if self.written_blobs.contains(sha256) {
            return Ok(());
        }
        let path = self.blobs.join(sha256);
        let next = self.blobs.join(format!(".{sha256}.next"));
        self.hand_over(Piece::Payload { next, path: path.clone(), bytes: bytes.to_owned() })?;
        if let Some(syncer) = &self.syncer {
            syncer.owes(path);
        }
        if self.written_blobs.len() >= BLOBS_REMEMBERED {
            self.written_blobs.clear();
        }
        self.written_blobs.insert(sha256.to_owned());
        Ok(())
    }

    fn sync_soon(&mut self, up_to: u64) -> Option<Durable> {
        self.syncer.as_ref().map(|syncer| syncer.ask(up_to))
    }

    fn tells_synced(&self) -> bool {
        self.syncer.is_some()
    }

    fn synced(&self) -> u64 {
        self.syncer.as_ref().map_or(0, Syncer::synced)
    }

    fn replace_soon(&mut self, path: &Path, bytes: &[u8]) -> bool {
        self.syncer.as_ref().is_some_and(|syncer| syncer.replace(path, bytes))
    }

    fn take_sync_error(&mut self) -> Option<String> {
        self.syncer.as_ref()?.take_error()
    }

    fn wait(&mut self) {
        if let Some(thread) = &self.thread {
            thread.wait(Duration::from_millis(CLOSE_WAIT_MS));
        }
    }

    fn close(self) {
        if let Some(syncer) = self.syncer {
            syncer.finish(Duration::from_millis(CLOSE_WAIT_MS));
        }
    }
}
