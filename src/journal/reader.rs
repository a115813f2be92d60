//! Reads a journal: checks its version, drops a torn last line, and returns its entries in order.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{
    BlobRef, FORMAT_MAJOR, FORMAT_MINOR, FormatVersion, Gap, Header, JournalInput, LooseLine, MAX_LINE_BYTES,
    MAX_NUMBER, RunKind, Trace, sha256_hex,
};
use crate::core::supervised::{CommandInput, CommandPlan};
use crate::core::{Input, JournalLine, Tick};
use crate::files::{PAYLOAD, open_no_link, open_regular, read_no_link};
use crate::json::from_json;

const READ_BUFFER_BYTES: usize = 256 * 1024;

/// One entry of a journal.
#[derive(Debug, Clone)]
pub struct Entry<I = Input> {
    /// Its number, from 1; for a gap, the first missing one.
    pub n: u64,
    /// When it was written, as a tick of the run.
    pub tick: Tick,
    /// Its content.
    pub kind: EntryKind<I>,
}

/// The content of an entry.
#[derive(Debug, Clone)]
pub enum EntryKind<I = Input> {
    /// A fact that reached the core.
    In(I),
    /// An action of the core, as the text in the journal, because a replay compares texts.
    Act(Box<RawValue>),
    /// Entries are missing here.
    Gap(Gap),
}

/// An incompletely written end: ccc died in the middle of a line, or a power cut came before the last lines or their payloads
/// had reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// The number of the first incomplete line in the file, from 1.
    pub line: u64,
    /// How many bytes of the file are dropped.
    pub bytes: u64,
}

/// Where a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Total length of the complete lines.
    pub good_bytes: u64,
    /// The number of the next entry.
    pub next_n: u64,
    /// The latest time of an entry.
    pub last_tick: Tick,
    /// What was dropped at the end.
    pub torn: Option<Torn>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// There is no header: the run died before it began.
    #[error("{}: there is no journal yet, or none with a header: ccc ended before the run began, or is still starting, so nothing is recorded", path.display())]
    NoHeader {
        /// The journal.
        path: PathBuf,
    },
    /// The first line is not a header of ours.
    #[error("{}: line 1, column {column}: not a journal header of ccc: {message}", path.display())]
    BadHeader {
        /// The journal.
        path: PathBuf,
        /// The position in the line, from 1; 0 when unknown.
        column: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The header of a newer minor has something that this ccc does not know: a kind of run, or part of the plan.
    #[error("{}: line 1: {message} (journal format {}.{}); use the newer ccc that wrote it", path.display(), written_by.major, written_by.minor)]
    NewerHeader {
        /// The journal.
        path: PathBuf,
        /// The journal's format.
        written_by: FormatVersion,
        /// What this ccc does not know.
        message: String,
    },
    /// A newer ccc wrote a format that this one would misread.
    #[error("{}: journal format {major} is newer than the {FORMAT_MAJOR} that this ccc reads; use a newer ccc", path.display())]
    TooNew {
        /// The journal.
        path: PathBuf,
        /// Its major version.
        major: u32,
    },
    /// An input that this ccc does not know. Skipping it would give a different run.
    #[error("{}: line {line}: unknown input `{kind}` (journal format {}.{}); use the newer ccc that wrote it", path.display(), written_by.major, written_by.minor)]
    UnknownInput {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The input's kind.
        kind: String,
        /// The journal's format.
        written_by: FormatVersion,
    },
    /// It is the journal of a different kind of run than expected.
    #[error("{}: this is the run of {}", path.display(), match kind { RunKind::Agent => "an agent, not of a command", RunKind::Command => "a command (`ccc supervise`), not of an agent" })]
    OtherKind {
        /// The journal.
        path: PathBuf,
        /// The kind of the run.
        kind: RunKind,
    },
    /// A line in the middle cannot be read.
    #[error("{}: line {line}, column {column}: damaged: {message}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The position in the line, from 1; 0 when unknown.
        column: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A big payload does not exist.
    #[error("{}: line {line}: its payload {} cannot be read: {source}", path.display(), blob.display())]
    MissingBlob {
        /// The journal.
        path: PathBuf,
        /// The line that names it, from 1.
        line: u64,
        /// The payload's file.
        blob: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A big payload was changed after it was written.
    #[error("{}: line {line}: its payload {} was changed: its hash is {found}", path.display(), blob.display())]
    WrongBlob {
        /// The journal.
        path: PathBuf,
        /// The line that names it, from 1.
        line: u64,
        /// The payload's file.
        blob: PathBuf,
        /// The hash of the present content.
        found: String,
    },
}

impl ReadError {
    /// Whether a power cut before the last sync can be the cause.
    fn may_be_torn(&self) -> bool {
        match self {
            ReadError::Damaged { .. } | ReadError::WrongBlob { .. } => true,
            ReadError::MissingBlob { source, .. } => source.kind() == io::ErrorKind::NotFound,
            ReadError::Io { .. }
            | ReadError::NoHeader { .. }
            | ReadError::BadHeader { .. }
            | ReadError::NewerHeader { .. }
            | ReadError::TooNew { .. }
            | ReadError::UnknownInput { .. }
            | ReadError::OtherKind { .. } => false,
        }
    }

    pub(super) fn io(path: &Path, source: io::Error) -> ReadError {
        ReadError::Io { path: path.to_owned(), source }
    }
}

/// Reads a journal from its beginning; an iterator of its entries.
///
/// A last line without its line end is dropped ([`JournalReader::tail`] reports it), even while the run is still writing.
/// Damage at the end by a power cut is dropped as well, unless the journal marks it as synced. Unknown fields and unknown kinds
/// of lines are skipped; an unknown kind of *input* is an error, because a replay without it would be a different run. After an
/// error the iterator ends.
#[derive(Debug)]
pub struct JournalReader<R: BufRead = BufReader<File>, I = Input> {
    path: PathBuf,
    blobs: PathBuf,
    reader: R,
    header: Header,
    line: Vec<u8>,
    line_number: u64,
    tail: Tail,
    ended: bool,
    /// Whether `synced` lines were read.
    marked: bool,
    inputs: PhantomData<fn() -> I>,
}

/// The kind of run of a journal, or of the journal in a run's directory.
///
/// # Errors
/// As [`JournalReader::open`].
pub fn run_kind(path: &Path) -> Result<RunKind, ReadError> {
    let path = journal_in(path);
    let file = open(&path)?;
    let mut line = Vec::with_capacity(4096);
    Ok(read_header(&path, &mut BufReader::new(file), &mut line)?.kind)
}

/// In a run's directory, links to the journal are not followed. A directory without a journal belongs to a run that a power cut
/// ended before anything had reached the disk.
fn open(path: &Path) -> Result<File, ReadError> {
    let in_run_dir = path.file_name().is_some_and(|name| name == super::JOURNAL_FILE);
    let opened = if in_run_dir { open_no_link(path) } else { open_regular(path) };
    opened.map_err(|fault| {
        let source = io::Error::from(fault);
        let begun = in_run_dir && path.parent().is_some_and(Path::is_dir);
        if begun && source.kind() == io::ErrorKind::NotFound {
            ReadError::NoHeader { path: path.to_owned() }
        } else {
            ReadError::io(path, source)
        }
    })
}

fn journal_in(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(super::JOURNAL_FILE) } else { path.to_owned() }
}

fn read_header(path: &Path, reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Header, ReadError> {
    read_line(reader, line).map_err(|source| ReadError::io(path, source))?;
    // A header never begins with a zero byte: a power cut came before anything had reached the disk.
    if line.pop() != Some(b'\n') || line.first() == Some(&0) {
        return Err(ReadError::NoHeader { path: path.to_owned() });
    }
    parse_header(path, line)
}

impl JournalReader<BufReader<File>> {
    /// Opens a journal, or the journal in a run's directory; its payloads are in `blobs` beside it.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or has no header that this ccc understands.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::open_of(path)
    }

    /// The same, but reads only the header and the entries in approximately the last `bytes` of the file.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn open_end(path: &Path, bytes: u64) -> Result<Self, ReadError> {
        let mut journal = Self::open(path)?;
        journal.pass_over_all_but(bytes).map_err(|source| ReadError::io(&journal.path, source))?;
        Ok(journal)
    }

    fn pass_over_all_but(&mut self, bytes: u64) -> io::Result<()> {
        let from = self.reader.get_ref().metadata()?.len().saturating_sub(bytes);
        if from <= self.tail.good_bytes {
            return Ok(());
        }
        self.reader.seek(SeekFrom::Start(from))?;
        // Skip the rest of the present line.
        read_line(&mut self.reader, &mut self.line)?;
        // The first entry gives the number to expect next.
        while !self.line.is_empty() {
            read_line(&mut self.reader, &mut self.line)?;
            if let Ok(Trace { n: Some(n), .. }) = serde_json::from_str(&String::from_utf8_lossy(&self.line)) {
                self.tail.next_n = n + 1;
                break;
            }
        }
        Ok(())
    }
}

impl JournalReader<BufReader<File>, CommandInput> {
    /// Opens the journal of a command's run, or the journal in such a run's directory.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn open_command(path: &Path) -> Result<Self, ReadError> {
        Self::open_of(path)
    }
}

impl<R: BufRead> JournalReader<R, CommandInput> {
    /// Reads the journal of a command's run from any reader; `path` as for [`JournalReader::from_reader`].
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn command_from_reader(path: &Path, reader: R) -> Result<Self, ReadError> {
        Self::of_reader(path, reader)
    }

    /// The plan in the header.
    ///
    /// # Errors
    /// When this ccc does not understand it.
    pub fn command_plan(&self) -> Result<CommandPlan, ReadError> {
        self.header.command_plan().map_err(|error| self.bad_plan(&error))
    }
}

impl<I: JournalInput> JournalReader<BufReader<File>, I> {
    /// Opens the journal of the kind of run that these inputs belong to.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn open_of(path: &Path) -> Result<Self, ReadError> {
        let path = journal_in(path);
        let file = open(&path)?;
        Self::of_reader(&path, BufReader::with_capacity(READ_BUFFER_BYTES, file))
    }
}

impl<R: BufRead> JournalReader<R> {
    /// Reads a journal from any reader; `path` is its name in errors, and `blobs` is expected beside it.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn from_reader(path: &Path, reader: R) -> Result<Self, ReadError> {
        Self::of_reader(path, reader)
    }

    /// The plan in the header.
    ///
    /// # Errors
    /// When this ccc does not understand it.
    pub fn plan(&self) -> Result<crate::core::Plan, ReadError> {
        self.header.plan().map_err(|error| self.bad_plan(&error))
    }
}

impl<R: BufRead, I: JournalInput> JournalReader<R, I> {
    fn of_reader(path: &Path, mut reader: R) -> Result<Self, ReadError> {
        let mut line = Vec::with_capacity(4096);
        let header = read_header(path, &mut reader, &mut line)?;
        if header.kind != I::RUN {
            return Err(ReadError::OtherKind { path: path.to_owned(), kind: header.kind });
        }
        Ok(JournalReader {
            path: path.to_owned(),
            blobs: path.with_file_name(super::BLOBS_DIR),
            reader,
            header,
            line_number: 1,
            tail: Tail { good_bytes: line.len() as u64 + 1, next_n: 1, last_tick: Tick::ZERO, torn: None },
            line,
            ended: false,
            marked: false,
            inputs: PhantomData,
        })
    }

    fn bad_plan(&self, error: &serde_json::Error) -> ReadError {
        bad_header(&self.path, self.header.ccc, 0, format!("the plan: {error}"))
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the journal ends; complete once the iterator has ended.
    #[must_use]
    pub fn tail(&self) -> Tail {
        self.tail
    }

    fn next_entry(&mut self) -> Result<Option<Entry<I>>, ReadError> {
        loop {
            read_line(&mut self.reader, &mut self.line).map_err(|source| ReadError::io(&self.path, source))?;
            if self.line.is_empty() {
                return Ok(None);
            }
            self.line_number += 1;
            if self.line.last() != Some(&b'\n') {
                if self.line.len() as u64 > MAX_LINE_BYTES {
                    return Err(self.damaged(0, format!("longer than {MAX_LINE_BYTES} bytes")));
                }
                self.tail.torn = Some(Torn { line: self.line_number, bytes: self.line.len() as u64 });
                return Ok(None);
            }
            let parsed = match I::line(&self.line) {
                Ok(parsed) => parsed,
                Err(error) => return Err(self.why(&error)),
            };
            let entry = self.entry(parsed)?;
            self.tail.good_bytes += self.line.len() as u64;
            if let Some(entry) = entry {
                return Ok(Some(entry));
            }
        }
    }

    /// The end of the journal if a power cut can have caused the damage at the current line; otherwise the error.
    fn torn_or(&mut self, error: ReadError) -> Result<Option<Entry<I>>, ReadError> {
        let torn_from = self.line_number;
        let mut bytes = self.line.len() as u64;
        let (mut synced, mut entries_follow) = (0, false);
        loop {
            read_line(&mut self.reader, &mut self.line).map_err(|source| ReadError::io(&self.path, source))?;
            if self.line.is_empty() {
                break;
            }
            bytes += self.line.len() as u64;
            if let Ok(trace) = serde_json::from_str::<Trace>(&String::from_utf8_lossy(&self.line)) {
                synced = trace.synced.unwrap_or(0).max(synced);
                entries_follow |= trace.n.is_some();
            }
        }
        let marked = self.header.marks || self.marked || synced > 0;
        let payload = matches!(error, ReadError::MissingBlob { .. } | ReadError::WrongBlob { .. });
        let torn = if marked { synced < self.tail.next_n } else { payload && !entries_follow };
        if !torn {
            return Err(error);
        }
        self.tail.torn = Some(Torn { line: torn_from, bytes });
        Ok(None)
    }

    /// The entry on a parsed line; `None` for a kind of line that only a newer ccc knows.
    fn entry(&mut self, line: JournalLine<I>) -> Result<Option<Entry<I>>, ReadError> {
        self.marked |= line.synced.is_some();
        let tick = line.t.unwrap_or(self.tail.last_tick);
        if tick.0 > MAX_NUMBER {
            return Err(self.damaged(0, format!("its time of {} µs is too large", tick.0)));
        }
        let is_entry = line.input.is_some() || line.act.is_some() || line.in_blob.is_some() || line.act_blob.is_some();
        if let Some(gap) = line.gap {
            if is_entry {
                return Err(self.damaged(0, "it contains more than one entry".to_owned()));
            }
            if gap.from != self.tail.next_n || gap.to < gap.from || gap.to > MAX_NUMBER {
                let message = format!("its gap from {} to {} is out of order", gap.from, gap.to);
                return Err(self.damaged(0, message));
            }
            self.tail.next_n = gap.to + 1;
            self.tail.last_tick = self.tail.last_tick.max(tick);
            return Ok(Some(Entry { n: gap.from, tick, kind: EntryKind::Gap(gap) }));
        }
        let Some(n) = line.n else {
            if !is_entry {
                return Ok(None);
            }
            return Err(self.damaged(0, "the entry has no number".to_owned()));
        };
        if n != self.tail.next_n {
            let message = format!("expected entry {}, found entry {n}", self.tail.next_n);
            return Err(self.damaged(0, message));
        }
        if n > MAX_NUMBER {
            return Err(self.damaged(0, format!("the number {n} of its entry is too large")));
        }
        let kind = match (line.input, line.act, line.in_blob, line.act_blob) {
            (Some(input), None, None, None) => Some(EntryKind::In(input)),
            (None, Some(act), None, None) => Some(EntryKind::Act(act)),
            (None, None, Some(blob), None) => {
                let text = self.blob(&blob)?;
                let input = match I::of_json(&text) {
                    Ok(input) => input,
                    Err(error) => return Err(self.why_input(&text, &error)),
                };
                Some(EntryKind::In(input))
            }
            (None, None, None, Some(blob)) => {
                let text = self.blob(&blob)?;
                let act =
                    RawValue::from_string(text).map_err(|error| self.damaged(0, format!("its payload: {error}")))?;
                Some(EntryKind::Act(act))
            }
            (None, None, None, None) => None,
            _ => return Err(self.damaged(0, "it contains more than one entry".to_owned())),
        };
        self.tail.next_n = n + 1;
        self.tail.last_tick = self.tail.last_tick.max(tick);
        Ok(kind.map(|kind| Entry { n, tick, kind }))
    }

    fn blob(&self, blob: &BlobRef) -> Result<String, ReadError> {
        // The name comes from a file that others may have written, so it must not point outside the directory.
        if blob.sha256.len() != 64 || !blob.sha256.bytes().all(|x| x.is_ascii_hexdigit()) {
            return Err(self.damaged(0, "a payload's name is not a hash".to_owned()));
        }
        let path = self.blobs.join(&blob.sha256);
        let bytes = read_no_link(&self.blobs, &blob.sha256, PAYLOAD).map_err(|fault| ReadError::MissingBlob {
            path: self.path.clone(),
            line: self.line_number,
            blob: path.clone(),
            source: fault.into(),
        })?;
        let found = sha256_hex(&bytes);
        let wrong =
            |found| ReadError::WrongBlob { path: self.path.clone(), line: self.line_number, blob: path.clone(), found };
        if found != blob.sha256 {
            return Err(wrong(found));
        }
        String::from_utf8(bytes).map_err(|_| wrong(found))
    }

    fn damaged(&self, column: usize, message: String) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), line: self.line_number, column, message }
    }

    /// Why the current line could not be read: damage, or an input of a newer ccc.
    fn why(&self, error: &serde_json::Error) -> ReadError {
        match from_json::<LooseLine>(&self.line) {
            Ok(LooseLine { input: Some(input) }) => self.why_input(input.get(), error),
            Ok(LooseLine { input: None }) | Err(_) => self.damaged(error.column(), error.to_string()),
        }
    }

    fn why_input(&self, input: &str, error: &serde_json::Error) -> ReadError {
        // The line is well-formed JSON, but its input has an unknown kind, or a known kind with contents that only a newer ccc
        // writes.
        let kind = match serde_json::from_str::<serde_json::Value>(input) {
            Ok(serde_json::Value::String(kind)) => Some(kind),
            Ok(serde_json::Value::Object(fields)) if fields.len() == 1 => {
                fields.into_iter().next().map(|(kind, _)| kind)
            }
            Ok(_) | Err(_) => None,
        };
        match kind {
            Some(kind) if !I::knows(&kind) || self.header.ccc.minor > FORMAT_MINOR => ReadError::UnknownInput {
                path: self.path.clone(),
                line: self.line_number,
                kind,
                written_by: self.header.ccc,
            },
            Some(_) | None => self.damaged(error.column(), error.to_string()),
        }
    }
}

impl<R: BufRead, I: JournalInput> Iterator for JournalReader<R, I> {
    type Item = Result<Entry<I>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match self.next_entry() {
            Err(error) if error.may_be_torn() => self.torn_or(error),
            next => next,
        };
        let next = next.transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Reads one line with its line end; an empty `line` is the end of the file.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    reader.take(MAX_LINE_BYTES + 1).read_until(b'\n', line)?;
    Ok(())
}

fn parse_header(path: &Path, line: &[u8]) -> Result<Header, ReadError> {
    /// Only the version, so that a header of a different shape is refused for the right reason.
    #[derive(Deserialize)]
    struct Versioned {
        ccc: FormatVersion,
    }
    let bad =
        |written_by| move |error: serde_json::Error| bad_header(path, written_by, error.column(), error.to_string());
    let Versioned { ccc } = from_json(line).map_err(bad(FormatVersion::CURRENT))?;
    if ccc.major > FORMAT_MAJOR {
        return Err(ReadError::TooNew { path: path.to_owned(), major: ccc.major });
    }
    from_json(line).map_err(bad(ccc))
}

/// The error for a bad header. Additions of a newer minor do not count as damage.
fn bad_header(path: &Path, written_by: FormatVersion, column: usize, message: String) -> ReadError {
    let path = path.to_owned();
    if written_by.minor > FORMAT_MINOR {
        return ReadError::NewerHeader { path, written_by, message };
    }
    ReadError::BadHeader { path, column, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_journal_has_the_entries_that_the_whole_has_there() {
        let journal = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/compat/1.3/journal.jsonl"));
        let numbers = |reader: JournalReader<BufReader<File>>| -> Vec<u64> {
            reader.map(|entry| entry.expect("an entry").n).collect()
        };
        let all = numbers(JournalReader::open(journal).expect("a journal"));
        let mut shorter = all.len();
        for bytes in [u64::MAX, 20_000, 6_000, 2_000, 600, 10, 0] {
            let end = JournalReader::open_end(journal, bytes).expect("a journal");
            assert!(end.plan().is_ok(), "{bytes}");
            let end = numbers(end);
            assert!(all.ends_with(&end) && end.len() <= shorter, "{bytes}: {end:?}");
            shorter = end.len();
        }
        assert!(shorter == 0 && all.len() > 50);
    }
}
