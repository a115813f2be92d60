use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;

use crate::files::open_private;

/// How long [`Sink::close`] waits for the last bytes to reach the disk.
pub const CLOSE_WAIT_MS: u64 = 2_000;

/// Where a journal's bytes go. Tests put a failing one in its place.
pub trait Sink {
    /// Appends some of `bytes`; like `write(2)`, it may take fewer.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the journal back to its first `len_bytes` bytes, after a write that went half through.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn truncate(&mut self, len_bytes: u64) -> io::Result<()>;

    /// Keeps a big payload under its hash. It is whole or not there at all.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn put_blob(&mut self, sha256: &str, bytes: &[u8]) -> io::Result<()>;

    /// Asks that what was written reaches the disk soon; does not wait.
    fn sync_soon(&mut self);

    /// What went wrong when it should have reached the disk, once.
    fn take_sync_error(&mut self) -> Option<String>;

    /// Waits, for [`CLOSE_WAIT_MS`] at most, until what was written has reached the disk.
    fn close(self);
}

/// The sink of a real run: `journal.jsonl` and `blobs/`.
#[derive(Debug)]
pub struct FileSink {
    file: File,
    blobs: PathBuf,
    syncer: Option<Syncer>,
}

impl FileSink {
    /// Opens `journal` for appending (made with mode 0600 when it is not there); payloads go to `blobs`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(journal: &Path, blobs: &Path) -> io::Result<FileSink> {
        let file = open_private(journal, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
        // Without a thread the journal is still written; only a power cut can then take its end.
        let syncer = file.try_clone().and_then(Syncer::start).ok();
        Ok(FileSink { file, blobs: blobs.to_owned(), syncer })
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn put_blob(&mut self, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.blobs.join(sha256);
        // A blob's file is moved into place whole, so one that is there is right.
        if path.exists() {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.blobs)?;
        file.write_all(bytes)?;
        file.persist(&path).map_err(|failed| failed.error)?;
        Ok(())
    }

    fn sync_soon(&mut self) {
        if let Some(syncer) = &self.syncer {
            syncer.ask();
        }
    }

    fn take_sync_error(&mut self) -> Option<String> {
        let syncer = self.syncer.as_ref()?;
        lock(&syncer.error).take()
    }

    fn close(self) {
        if let Some(syncer) = self.syncer {
            syncer.finish(Duration::from_millis(CLOSE_WAIT_MS));
        }
    }
}

/// The thread that calls `fdatasync`, which can take seconds on a busy disk.
#[derive(Debug)]
struct Syncer {
    ask: SyncSender<()>,
    done: Receiver<()>,
    error: Arc<Mutex<Option<String>>>,
}

impl Syncer {
    fn start(file: File) -> io::Result<Syncer> {
        // One request waits at most: it covers everything written before the thread takes it.
        let (ask, asked) = sync_channel::<()>(1);
        let (finished, done) = sync_channel::<()>(1);
        let error = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&error);
        std::thread::Builder::new().name("journal-sync".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                note(&shared, sync(&file));
            }
            note(&shared, sync(&file));
            drop(finished);
        })?;
        Ok(Syncer { ask, done, error })
    }

    fn ask(&self) {
        match self.ask.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    fn finish(self, wait: Duration) {
        let Syncer { ask, done, .. } = self;
        drop(ask);
        // Ends by the thread's drop of its sender, or by the deadline: a hanging disk must not hang ccc.
        let _ = done.recv_timeout(wait);
    }
}

fn sync(file: &File) -> io::Result<()> {
    file.sync_data()?;
    if file.metadata()?.nlink() == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the journal was deleted while the run goes on"));
    }
    Ok(())
}

fn note(slot: &Mutex<Option<String>>, result: io::Result<()>) {
    if let Err(error) = result {
        lock(slot).get_or_insert_with(|| error.to_string());
    }
}

fn lock(slot: &Mutex<Option<String>>) -> std::sync::MutexGuard<'_, Option<String>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
