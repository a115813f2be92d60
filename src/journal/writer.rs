//! Writes a journal ahead: an entry is written before its fact is handled or its action performed.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::disk::JOURNAL_DELETED;
use super::reader::{JournalReader, ReadError, Tail};
use super::record::{BLOB_THRESHOLD_BYTES, BlobRef, Gap, Header, JournalAction, JournalInput, sha256_hex};
use super::sink::{FileSink, Sink};
use super::sync::Durable;
use crate::core::Tick;
use redaction::Redactor;

/// How many bytes of entries are kept while the disk accepts none. Beyond that, entries are dropped and leave a gap.
pub const BACKLOG_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// The pause after a failed write before the next try.
pub const TRY_AGAIN_MS: u64 = 1_000;
/// How long a disk may not respond before the user is told.
const SILENCE_MS: u64 = 2_000;

/// Writes a run's journal. Entries are encoded into a buffer, which [`JournalWriter::commit`] passes to the system in one
/// `write(2)`. The driver commits before it performs actions, so every performed action is in the journal.
///
/// No failure here fails the run. While the disk accepts nothing, entries are kept (up to [`BACKLOG_LIMIT_BYTES`]) and written
/// later; beyond the limit they are dropped, and a gap entry records which. An incomplete write is truncated before the next
/// one, so the file always has complete lines and at most one torn last line. A disk that hangs is handled in the same way,
/// because the sink waits for it only briefly.
///
/// The process must ignore or handle `SIGXFSZ`, which kills it by default; otherwise `EFBIG` is never returned.
#[derive(Debug)]
pub struct JournalWriter<S: Sink = FileSink> {
    sink: S,
    redactor: Redactor,
    /// Length of the complete lines in the file.
    written_bytes: u64,
    /// The file may be longer than that.
    half_written: bool,
    /// The last error of a sync that was told.
    told_not_synced: Option<String>,
    /// The header until it is written.
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
    /// The last entry that the journal marks as synced.
    synced_told: u64,
    /// A sync was requested for all entries before this one.
    asked_from: u64,
    has_replaced: bool,
    /// Entries that were lost in troubles that are over, and the first error of the first of those.
    lost_before: Option<(u64, String)>,
    /// Whether [`JournalWriter::settle`] has made the last try.
    settled: bool,
}

#[derive(Debug)]
struct Trouble {
    first_error: String,
    since: Tick,
    try_again_at: Tick,
    /// The disk has not responded, but only for a short time.
    is_brief: bool,
    lost: Option<Gap>,
    told_behind: bool,
    told_losing: bool,
}

/// Entries that were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The number of the first.
    pub since_n: u64,
    /// How many.
    pub entries: u64,
    /// The disk's first error.
    pub first_error: String,
}

/// News about the journal for the user; each change is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalNews {
    /// The disk accepts nothing at the moment; entries are kept in memory.
    Behind {
        /// The disk's error.
        error: String,
    },
    /// The limit is exceeded: entries from here on are lost, and the run cannot be resumed beyond them.
    Losing {
        /// The number of the first lost entry.
        since_n: u64,
        /// The disk's first error.
        error: String,
    },
    /// The disk accepts entries again.
    Recovered {
        /// Entries that were lost meanwhile; 0 when the journal is complete.
        lost_entries: u64,
    },
    /// Entries were written but may not survive a power cut.
    NotSynced {
        /// The disk's error.
        error: String,
    },
}

impl JournalWriter<FileSink> {
    /// Begins a journal at `journal`, with big payloads in `blobs`. The first commit writes the header.
    ///
    /// # Errors
    /// When the file cannot be opened, or the header cannot be encoded as JSON.
    pub fn create(journal: &Path, blobs: &Path, header: &Header, redactor: Redactor) -> io::Result<Self> {
        let sink = FileSink::open(journal, blobs)?;
        JournalWriter::with_sink(sink, header, redactor).map_err(io::Error::from)
    }

    /// Continues the journal of a run whose ccc has died: truncates a torn last line and continues the numbering. `tail` is
    /// [`JournalReader::tail`] after the last entry.
    ///
    /// # Errors
    /// When the file cannot be opened or truncated.
    pub fn append_at(journal: &Path, blobs: &Path, tail: &Tail, redactor: Redactor) -> io::Result<Self> {
        Self::append_on(FileSink::open(journal, blobs)?, tail, redactor)
    }

    /// [`JournalWriter::append_at`] with an open sink.
    ///
    /// # Errors
    /// When the file cannot be truncated.
    pub fn append_on(mut sink: FileSink, tail: &Tail, redactor: Redactor) -> io::Result<Self> {
        if tail.torn.is_some() {
            sink.truncate(tail.good_bytes)?;
        }
        Ok(JournalWriter::resumed(sink, tail, redactor))
    }

    /// As [`JournalWriter::append_at`], but reads the journal first to find its end.
    ///
    /// # Errors
    /// When the journal is damaged, or cannot be opened or truncated.
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
    /// When the header cannot be encoded as JSON.
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

    /// Continues a journal with this tail.
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
            told_not_synced: None,
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
            lost_before: None,
            settled: false,
        }
    }

    /// Sets another limit than [`BACKLOG_LIMIT_BYTES`].
    #[must_use]
    pub fn with_backlog_limit_bytes(mut self, limit: usize) -> Self {
        self.backlog_limit_bytes = limit;
        self
    }

    /// The redactor, for registering another credential.
    pub fn redactor_mut(&mut self) -> &mut Redactor {
        &mut self.redactor
    }

    /// The number of the next entry.
    #[must_use]
    pub fn next_n(&self) -> u64 {
        self.next_n
    }

    /// How many bytes of entries are not written yet.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len() + self.pending_blob_bytes
    }

    /// Writes the header now, without waiting for the first entry. After a failure the next commit tries again.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write_header(&mut self) -> io::Result<()> {
        if self.header.is_some() { self.flush() } else { Ok(()) }
    }

    /// Adds an input; returns its number.
    pub fn input(&mut self, now: Tick, input: &impl JournalInput) -> u64 {
        self.entry(now, "in", input.kind(), input)
    }

    /// Adds an action; returns its number. `Show` is not journalled, because a replay produces it again.
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
            // A struct of two strings and a number always serializes, and writing to a Vec cannot fail.
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

    /// Writes everything added so far. Cheap when there is nothing. After a failure the disk is tried again at most every
    /// [`TRY_AGAIN_MS`] of the run's time.
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
                let over = self.trouble.take();
                if let Some((gap, error)) =
                    over.as_ref().and_then(|over| Some((over.lost.as_ref()?, &over.first_error)))
                {
                    let entries = gap.to - gap.from + 1;
                    self.lost_before.get_or_insert_with(|| (0, error.clone())).0 += entries;
                }
                let told = over.filter(|trouble| trouble.told_behind);
                let recovered = told.map(|trouble| JournalNews::Recovered {
                    lost_entries: trouble.lost.map_or(0, |gap| gap.to - gap.from + 1),
                });
                recovered.or_else(|| self.sync_news())
            }
            Err(error) => {
                let is_silent = error.kind() == io::ErrorKind::TimedOut;
                // A disk that has not responded is tried again at once, because this costs nothing until it has responded.
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

    /// Drops entries beyond the limit; returns the news for the user.
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
        // Each sync reports it again.
        if self.told_not_synced.replace(error.clone()).as_ref() == Some(&error) {
            return None;
        }
        Some(JournalNews::NotSynced { error })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.half_written {
            self.sink.truncate(self.written_bytes)?;
            self.half_written = false;
        }
        // Write payloads before the lines that name them.
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
                    // The bytes may still be written later; they are then truncated before the next try.
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

    /// Why the latest entries are not written; `None` when they are written, or the disk is only slow.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_ref().filter(|trouble| !trouble.is_brief).map(|trouble| trouble.first_error.as_str())
    }

    /// The entries dropped since the first failure; `None` while the journal is complete.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        let trouble = self.trouble.as_ref()?;
        let gap = trouble.lost.as_ref()?;
        Some(Lost { since_n: gap.from, entries: gap.to - gap.from + 1, first_error: trouble.first_error.clone() })
    }

    /// What the journal lacks and why, in words; `None` while all that was committed is written. What is only late counts, too:
    /// asked at the end of a run, it is what nobody will read.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if self.told_not_synced.as_deref() == Some(JOURNAL_DELETED) {
            return Some(JOURNAL_DELETED.to_owned());
        }
        let could_not = |error: &str| format!("because they could not be written ({error})");
        let (before, earlier) = self.lost_before.as_ref().map_or((0, None), |(lost, error)| (*lost, Some(error)));
        let trouble = self.trouble.as_ref();
        let lost = before + trouble.and_then(|it| it.lost.as_ref()).map_or(0, |gap| gap.to - gap.from + 1);
        let error = trouble.map(|it| &it.first_error).or(earlier)?;
        let is_behind = trouble.is_some() && (self.header.is_some() || !self.pending.is_empty());
        let what = match (lost, is_behind) {
            (0, false) => return None,
            (0, true) => "the journal lacks its last entries".to_owned(),
            (lost, false) => format!("the journal lacks {lost} entries"),
            (lost, true) => format!("the journal lacks {lost} entries, and its last ones"),
        };
        Some(format!("{what}, {}", could_not(error)))
    }

    /// Tries once more, without the pause after a failure, to write all entries: no more will come. Returns the news for the user.
    pub fn settle(&mut self) -> Option<JournalNews> {
        self.settled = true;
        self.last_try()
    }

    fn last_try(&mut self) -> Option<JournalNews> {
        if self.pending.is_empty() && self.header.is_none() && self.trouble.is_none() {
            return self.sync_news();
        }
        self.sink.wait();
        self.try_disk()
    }

    /// Requests a sync of everything committed, without waiting. The returned value lets another thread wait for it; `None`
    /// when there is nothing to wait for, for example while the disk accepts nothing.
    pub fn sync_soon(&mut self) -> Option<Durable> {
        let durable = self.sink.sync_soon(self.pending_from - 1);
        durable.filter(|_| self.trouble.is_none())
    }

    /// [`JournalWriter::sync_soon`], unless a sync was already requested for everything committed.
    pub fn sync_news_soon(&mut self) {
        if self.pending_from > self.asked_from {
            self.asked_from = self.pending_from;
            self.sink.sync_soon(self.pending_from - 1);
        }
    }

    /// Requests the atomic replacement of a file beside the journal, after everything committed has reached the disk. False if
    /// that is not possible; the caller must then replace it.
    pub fn replace_soon(&mut self, path: &Path, bytes: &[u8]) -> bool {
        let is_asked = self.sink.replace_soon(path, bytes);
        self.has_replaced |= is_asked;
        is_asked
    }

    /// Whether [`JournalWriter::replace_soon`] has replaced a file.
    pub(super) fn has_replaced(&self) -> bool {
        self.has_replaced
    }

    /// Commits the rest (even after a failure, without the pause) and waits briefly until it has reached the disk. Returns the
    /// news for the user. After [`JournalWriter::settle`] the disk is not tried again, so that what was said then stays true.
    pub fn close(self) -> Option<JournalNews> {
        self.end().0
    }

    /// As [`JournalWriter::close`]; returns also what the journal lacks ([`JournalWriter::missing`]).
    pub fn end(mut self) -> (Option<JournalNews>, Option<String>) {
        let news = if self.settled && self.trouble.is_some() { None } else { self.last_try() };
        let missing = self.missing();
        self.sink.close();
        (news, missing)
    }
}

/// Replaces line ends in a JSON document by blanks. They can only be white space between tokens.
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
