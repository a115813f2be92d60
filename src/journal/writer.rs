//! Writes a journal ahead of what it describes: an entry is handed to the disk before its fact is handled or its act performed.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::reader::{JournalReader, ReadError, Tail};
use super::record::{BLOB_THRESHOLD_BYTES, BlobRef, Gap, Header, JournalAction, JournalInput, sha256_hex};
use super::sink::{FileSink, Sink};
use super::sync::Durable;
use crate::core::Tick;
use redaction::Redactor;

/// How many bytes of entries are kept while the disk takes none. Beyond it they are given up and leave a gap.
pub const BACKLOG_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// How long a writer in trouble waits before it tries the disk again.
pub const TRY_AGAIN_MS: u64 = 1_000;
/// How long a disk may keep silent before the user hears of it.
const SILENCE_MS: u64 = 2_000;

/// Writes a run's journal: entries are encoded into a buffer, and [`JournalWriter::commit`] hands the buffer to the
/// system in one `write(2)`. The driver commits before it performs actions, so whatever was done stands in the journal.
///
/// Nothing here fails the run. While the disk takes nothing, entries are kept (up to [`BACKLOG_LIMIT_BYTES`]) and
/// written when it does again; beyond the limit they are lost, and a gap entry says which. A write that went half
/// through is cut off before the next, so the file is always whole lines and at most one torn last line. A disk that
/// hangs is no different: the sink waits for it for a moment only.
///
/// For `EFBIG` to arrive as an error the process must ignore or handle `SIGXFSZ`, which by default kills it.
#[derive(Debug)]
pub struct JournalWriter<S: Sink = FileSink> {
    sink: S,
    redactor: Redactor,
    /// Bytes of the file that are whole lines of ours.
    written_bytes: u64,
    /// The file may be longer than that.
    half_written: bool,
    /// The header, until it is written.
    header: Option<Vec<u8>>,
    /// Encoded entries, numbered from `pending_from`, that are not written yet.
    pending: Vec<u8>,
    pending_from: u64,
    pending_blobs: Vec<(String, Vec<u8>)>,
    pending_blob_bytes: usize,
    next_n: u64,
    last_tick: Tick,
    scratch: Vec<u8>,
    backlog_limit_bytes: usize,
    trouble: Option<Trouble>,
    /// The last entry that the journal itself says to be on the disk.
    synced_told: u64,
    /// Entries before this one were asked to reach the disk.
    asked_from: u64,
    has_replaced: bool,
}

#[derive(Debug)]
struct Trouble {
    first_error: String,
    since: Tick,
    try_again_at: Tick,
    /// The disk has said nothing, for a moment only.
    is_brief: bool,
    lost: Option<Gap>,
    told_behind: bool,
    told_losing: bool,
}

/// Entries that the journal has given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The number of the first.
    pub since_n: u64,
    /// How many.
    pub entries: u64,
    /// What the disk said first.
    pub first_error: String,
}

/// What the user should hear about the journal; each change once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalNews {
    /// The disk takes nothing at the moment; entries are kept in memory.
    Behind {
        /// What it said.
        error: String,
    },
    /// Too much was kept: entries from here on are lost, and the run cannot be resumed past them.
    Losing {
        /// The number of the first lost entry.
        since_n: u64,
        /// What the disk said first.
        error: String,
    },
    /// The disk takes entries again.
    Recovered {
        /// Entries that were lost meanwhile; 0 when the journal is whole.
        lost_entries: u64,
    },
    /// Entries were written but may not survive a power cut.
    NotSynced {
        /// What the disk said.
        error: String,
    },
}

impl JournalWriter<FileSink> {
    /// Begins a journal at `journal`, with big payloads in `blobs`. The header is written by the first commit.
    ///
    /// # Errors
    /// When the file cannot be opened, or the header cannot be written as JSON.
    pub fn create(journal: &Path, blobs: &Path, header: &Header, redactor: Redactor) -> io::Result<Self> {
        let sink = FileSink::open(journal, blobs)?;
        JournalWriter::with_sink(sink, header, redactor).map_err(io::Error::from)
    }

    /// Goes on with the journal of a run whose ccc has died: cuts off a torn last line and continues the numbers.
    /// `tail` is what [`JournalReader::tail`] gave after the last entry.
    ///
    /// # Errors
    /// When the file cannot be opened or cut.
    pub fn append_at(journal: &Path, blobs: &Path, tail: &Tail, redactor: Redactor) -> io::Result<Self> {
        Self::append_on(FileSink::open(journal, blobs)?, tail, redactor)
    }

    /// [`JournalWriter::append_at`] in a sink that is open.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn append_on(mut sink: FileSink, tail: &Tail, redactor: Redactor) -> io::Result<Self> {
        if tail.torn.is_some() {
            sink.truncate(tail.good_bytes)?;
        }
        Ok(JournalWriter::resumed(sink, tail, redactor))
    }

    /// Like [`JournalWriter::append_at`], but reads the journal through first to find its end.
    ///
    /// # Errors
    /// When the journal is damaged, or cannot be opened or cut.
    pub fn append_to(journal: &Path, blobs: &Path, redactor: Redactor) -> Result<Self, ReadError> {
        let mut reader = JournalReader::open(journal)?;
        for entry in &mut reader {
            entry?;
        }
        let tail = reader.tail();
        Self::append_at(journal, blobs, &tail, redactor).map_err(|source| ReadError::io(journal, source))
    }
}

impl<S: Sink> JournalWriter<S> {
    /// Begins a journal in an empty sink.
    ///
    /// # Errors
    /// When the header cannot be written as JSON.
    pub fn with_sink(sink: S, header: &Header, redactor: Redactor) -> Result<Self, serde_json::Error> {
        let header = Header { marks: sink.tells_synced(), ..header.clone() };
        let mut line = serde_json::to_vec(&header)?;
        one_line(&mut line);
        redactor.json(&mut line);
        line.push(b'\n');
        let mut writer = Self::empty(sink, redactor);
        writer.header = Some(line);
        Ok(writer)
    }

    /// Goes on with a journal that ends as `tail` says.
    pub fn resumed(sink: S, tail: &Tail, redactor: Redactor) -> Self {
        let mut writer = Self::empty(sink, redactor);
        writer.written_bytes = tail.good_bytes;
        writer.next_n = tail.next_n;
        writer.pending_from = tail.next_n;
        writer.last_tick = tail.last_tick;
        writer
    }

    fn empty(sink: S, redactor: Redactor) -> Self {
        JournalWriter {
            sink,
            redactor,
            written_bytes: 0,
            half_written: false,
            header: None,
            pending: Vec::with_capacity(16 * 1024),
            pending_from: 1,
            pending_blobs: Vec::new(),
            pending_blob_bytes: 0,
            next_n: 1,
            last_tick: Tick::ZERO,
            scratch: Vec::with_capacity(4 * 1024),
            backlog_limit_bytes: BACKLOG_LIMIT_BYTES,
            trouble: None,
            synced_told: 0,
            asked_from: 1,
            has_replaced: false,
        }
    }

    /// Another limit than [`BACKLOG_LIMIT_BYTES`].
    #[must_use]
    pub fn with_backlog_limit_bytes(mut self, limit: usize) -> Self {
        self.backlog_limit_bytes = limit;
        self
    }

    /// The redactor, to register another credential.
    pub fn redactor_mut(&mut self) -> &mut Redactor {
        &mut self.redactor
    }

    /// The number that the next entry gets.
    #[must_use]
    pub fn next_n(&self) -> u64 {
        self.next_n
    }

    /// How many bytes of entries are not handed to the system yet.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len() + self.pending_blob_bytes
    }

    /// Adds an input; gives its number.
    pub fn input(&mut self, now: Tick, input: &impl JournalInput) -> u64 {
        self.entry(now, "in", input.kind(), input)
    }

    /// Adds an action; gives its number. `Show` is not journalled: a replay makes it again.
    pub fn action(&mut self, now: Tick, action: &impl JournalAction) -> Option<u64> {
        action.is_recorded().then(|| self.entry(now, "act", action.kind(), action))
    }

    fn entry<T: Serialize>(&mut self, now: Tick, field: &str, kind: &str, value: &T) -> u64 {
        let n = self.next_n;
        self.next_n += 1;
        self.last_tick = now;
        self.scratch.clear();
        if let Err(error) = serde_json::to_writer(&mut self.scratch, value) {
            let error = format!("a {kind} cannot be written as JSON: {error}");
            let gap = Gap { from: n, to: n, error };
            push_gap(&mut self.pending, now, &gap);
            return n;
        }
        one_line(&mut self.scratch);
        self.redactor.json(&mut self.scratch);
        push(&mut self.pending, "{\"n\":", n);
        push(&mut self.pending, ",\"t\":", now.0);
        self.pending.extend_from_slice(b",\"");
        self.pending.extend_from_slice(field.as_bytes());
        if self.scratch.len() > BLOB_THRESHOLD_BYTES {
            let blob =
                BlobRef { sha256: sha256_hex(&self.scratch), bytes: self.scratch.len() as u64, kind: kind.to_owned() };
            self.pending.extend_from_slice(b"_blob\":");
            // A struct of two strings and a number always serialises, and a Vec takes all of it.
            let _ = serde_json::to_writer(&mut self.pending, &blob);
            self.pending_blob_bytes += self.scratch.len();
            self.pending_blobs.push((blob.sha256, std::mem::take(&mut self.scratch)));
        } else {
            self.pending.extend_from_slice(b"\":");
            self.pending.extend_from_slice(&self.scratch);
        }
        self.pending.extend_from_slice(b"}\n");
        n
    }

    /// Hands everything added so far to the system. Cheap when there is nothing. In trouble the disk is tried at most
    /// every [`TRY_AGAIN_MS`] of the run's time.
    pub fn commit(&mut self) -> Option<JournalNews> {
        let nothing = self.pending.is_empty() && self.header.is_none();
        if nothing && self.trouble.is_none() {
            return self.sync_news();
        }
        if let Some(trouble) = &self.trouble
            && self.last_tick < trouble.try_again_at
        {
            return self.shed();
        }
        self.try_disk()
    }

    fn try_disk(&mut self) -> Option<JournalNews> {
        match self.flush() {
            Ok(()) => {
                let told = self.trouble.take().filter(|trouble| trouble.told_behind);
                let recovered = told.map(|trouble| JournalNews::Recovered {
                    lost_entries: trouble.lost.map_or(0, |gap| gap.to - gap.from + 1),
                });
                recovered.or_else(|| self.sync_news())
            }
            Err(error) => {
                let is_silent = error.kind() == io::ErrorKind::TimedOut;
                // A disk that keeps silent is asked again at once: until it has answered, that costs nothing.
                let try_again_at = self.last_tick.plus_ms(if is_silent { 0 } else { TRY_AGAIN_MS });
                let trouble = self.trouble.get_or_insert_with(|| Trouble {
                    first_error: error.to_string(),
                    since: self.last_tick,
                    try_again_at,
                    is_brief: is_silent,
                    lost: None,
                    told_behind: false,
                    told_losing: false,
                });
                trouble.try_again_at = try_again_at;
                trouble.is_brief = is_silent && self.last_tick < trouble.since.plus_ms(SILENCE_MS);
                self.shed()
            }
        }
    }

    /// Gives up what exceeds the limit, and says what is new about the trouble.
    fn shed(&mut self) -> Option<JournalNews> {
        let kept = self.pending_bytes();
        let trouble = self.trouble.as_mut()?;
        if kept > self.backlog_limit_bytes {
            let to = self.next_n - 1;
            match &mut trouble.lost {
                Some(gap) => gap.to = to,
                none => {
                    *none = Some(Gap { from: self.pending_from, to, error: trouble.first_error.clone() });
                }
            }
            self.pending.clear();
            self.pending_from = self.next_n;
            self.pending_blobs.clear();
            self.pending_blob_bytes = 0;
        }
        if let (Some(gap), false) = (&trouble.lost, trouble.told_losing) {
            trouble.told_losing = true;
            trouble.told_behind = true;
            return Some(JournalNews::Losing { since_n: gap.from, error: trouble.first_error.clone() });
        }
        if !trouble.told_behind && !trouble.is_brief {
            trouble.told_behind = true;
            return Some(JournalNews::Behind { error: trouble.first_error.clone() });
        }
        None
    }

    fn sync_news(&mut self) -> Option<JournalNews> {
        let error = self.sink.take_sync_error()?;
        Some(JournalNews::NotSynced { error })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.half_written {
            self.sink.truncate(self.written_bytes)?;
            self.half_written = false;
        }
        // Before the lines that name them.
        while let Some((sha256, bytes)) = self.pending_blobs.last() {
            self.sink.put_blob(sha256, bytes)?;
            self.pending_blob_bytes -= bytes.len();
            self.pending_blobs.pop();
        }
        let mut head = self.header.clone().unwrap_or_default();
        if let Some(gap) = self.trouble.as_ref().and_then(|it| it.lost.as_ref()) {
            push_gap(&mut head, self.last_tick, gap);
        }
        let synced = self.sink.synced();
        if synced > self.synced_told && !self.pending.is_empty() {
            push(&mut head, "{\"t\":", self.last_tick.0);
            push(&mut head, ",\"synced\":", synced);
            head.extend_from_slice(b"}\n");
        }
        let whole = if head.is_empty() {
            &self.pending
        } else {
            head.extend_from_slice(&self.pending);
            &head
        };
        let mut rest = whole.as_slice();
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.half_written = true;
                    rest = &rest[taken.min(rest.len())..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // What is written after all is cut off before the next try.
                    self.half_written |= error.kind() == io::ErrorKind::TimedOut;
                    return Err(error);
                }
            }
        }
        self.written_bytes += whole.len() as u64;
        self.half_written = false;
        self.synced_told = synced;
        self.header = None;
        self.pending.clear();
        self.pending_from = self.next_n;
        Ok(())
    }

    /// Entries given up since the trouble began; `None` while the journal is whole so far.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        let trouble = self.trouble.as_ref()?;
        let gap = trouble.lost.as_ref()?;
        Some(Lost { since_n: gap.from, entries: gap.to - gap.from + 1, first_error: trouble.first_error.clone() })
    }

    /// Asks that what was committed reaches the disk soon; does not wait. What is given back can be waited for, by a
    /// thread that may; `None` where nothing is to be waited for, above all while the disk takes nothing.
    pub fn sync_soon(&mut self) -> Option<Durable> {
        let durable = self.sink.sync_soon(self.pending_from - 1);
        durable.filter(|_| self.trouble.is_none())
    }

    /// [`JournalWriter::sync_soon`], unless all that was committed was asked for already.
    pub fn sync_news_soon(&mut self) {
        if self.pending_from > self.asked_from {
            self.asked_from = self.pending_from;
            self.sink.sync_soon(self.pending_from - 1);
        }
    }

    /// Asks that a file beside the journal is replaced as a whole, once what was committed has reached the disk. False:
    /// it cannot be done so, and is to be done at once.
    pub fn replace_soon(&mut self, path: &Path, bytes: &[u8]) -> bool {
        let is_asked = self.sink.replace_soon(path, bytes);
        self.has_replaced |= is_asked;
        is_asked
    }

    /// Whether [`JournalWriter::replace_soon`] has been of use.
    pub(super) fn has_replaced(&self) -> bool {
        self.has_replaced
    }

    /// Commits what is left (also in trouble, without waiting for the next try) and waits a moment until it has
    /// reached the disk. Gives what the user should hear.
    pub fn close(mut self) -> Option<JournalNews> {
        let news = if self.pending.is_empty() && self.header.is_none() && self.trouble.is_none() {
            self.sync_news()
        } else {
            self.sink.wait();
            self.try_disk()
        };
        self.sink.close();
        news
    }
}

/// A line end inside a JSON document is only ever white space between its tokens: make it a blank.
fn one_line(json: &mut [u8]) {
    while let Some(at) = memchr::memchr(b'\n', json) {
        json[at] = b' ';
    }
}

fn push(out: &mut Vec<u8>, label: &str, number: u64) {
    out.extend_from_slice(label.as_bytes());
    let _ = serde_json::to_writer(out, &number);
}

fn push_gap(out: &mut Vec<u8>, now: Tick, gap: &Gap) {
    push(out, "{\"t\":", now.0);
    out.extend_from_slice(b",\"gap\":");
    let _ = serde_json::to_writer(&mut *out, gap);
    out.extend_from_slice(b"}\n");
}
