//! Makes a copy of a recorded run that may be shown to others: the recorded inputs with other texts, and the core's actions on
//! them.
//!
//! One core gets the recorded inputs, another the changed ones. Both must take the same actions, apart from texts, so that the
//! copy is the same run.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::machine::Machine;
use crate::core::supervised::{CommandAction, CommandCore};
use crate::core::{Action, Core, Finish};
use crate::journal::export::{Names, Private, Scrubber, Texts};
use crate::journal::{
    EntryKind, FileSink, Gap, Header, JOURNAL_FILE, JournalAction, JournalReader, JournalWriter, ReadError, RunDir,
    RunDirError, RunKind, RunSummary, SummaryError, run_kind,
};
use redaction::Redactor;

/// Fields of actions that hold sentences. Sentences that list names may order them differently in the copy, so these fields are
/// not compared.
const SENTENCES: [&str; 8] = ["text", "why", "reason", "result", "detail", "denial", "tail", "summary"];

/// Why a run could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Its journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy's directory cannot be made.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// The copy's summary cannot be written.
    #[error(transparent)]
    Summary(#[from] SummaryError),
    /// The copy cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The copy's journal.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// An entry cannot be decoded after its texts were replaced.
    #[error("{}: entry {n} cannot be copied with placeholder texts: {source}", path.display())]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// The entry.
        n: u64,
        /// What went wrong.
        source: serde_json::Error,
    },
    /// The core would decide differently on the copy.
    #[error("{}: with placeholder texts the decision at entry {n} would be different", path.display())]
    Otherwise {
        /// The journal.
        path: PathBuf,
        /// The input at which the decisions differ.
        n: u64,
    },
}

/// A copy of a run.
#[derive(Debug)]
pub struct Copied {
    /// Where it is.
    pub dir: RunDir,
    /// The journal has a gap, before which the copy ends.
    pub ends_before: Option<Gap>,
}

/// Copies the run in `run` (a run's directory, or its journal) into the state directory `into`, under the same id. Texts are
/// replaced by placeholders; with `keep`, texts are kept and only those names are replaced.
///
/// # Errors
/// When the run cannot be read, the copy cannot be written, or the core would decide differently on the copy.
pub fn copy_run(run: &Path, into: &Path, keep: Option<&Private>) -> Result<Copied, CopyError> {
    let journal = if run.is_dir() { run.join(JOURNAL_FILE) } else { run.to_owned() };
    let unreadable = |source| CopyError::Unreadable { path: journal.clone(), n: 0, source };
    match run_kind(&journal)? {
        RunKind::Agent => {
            let reader = JournalReader::open(&journal)?;
            let plan = reader.plan()?;
            let mut texts = texts(keep, &plan.cwd, || Scrubber::new(Some(plan.agent)));
            let changed = texts.plan(&plan).map_err(unreadable)?;
            let header = Header::new(&changed, &reader.header().version).map_err(unreadable)?;
            let cores = (Core::new(plan), Core::new(changed));
            let place = Place { journal: &journal, into, header: &header };
            copy(reader, cores, place, &mut texts, Texts::input, |action| {
                if let Action::Finish(finish) = action { Some(finish) } else { None }
            })
        }
        RunKind::Command => {
            let reader = JournalReader::open_command(&journal)?;
            let plan = reader.command_plan()?;
            let mut texts = texts(keep, &plan.cwd, || Scrubber::new(None));
            let changed = texts.command_plan(&plan).map_err(unreadable)?;
            let header = Header::of_command(&changed, &reader.header().version).map_err(unreadable)?;
            let cores = (CommandCore::new(plan), CommandCore::new(changed));
            let place = Place { journal: &journal, into, header: &header };
            copy(reader, cores, place, &mut texts, Texts::command_input, |action| {
                if let CommandAction::Finish(finish) = action { Some(finish) } else { None }
            })
        }
    }
}

fn texts(keep: Option<&Private>, cwd: &str, scrubber: impl FnOnce() -> Scrubber) -> Texts {
    match keep {
        Some(private) => Texts::Kept(Names::new(cwd, private)),
        None => Texts::Scrubbed(Box::new(scrubber())),
    }
}

/// Source and destination of a copy.
#[derive(Clone, Copy)]
struct Place<'a> {
    journal: &'a Path,
    into: &'a Path,
    header: &'a Header,
}

fn copy<R: io::BufRead, M: Machine<Input: Clone>>(
    mut reader: JournalReader<R, M::Input>,
    (mut original, mut changed): (M, M),
    place: Place<'_>,
    texts: &mut Texts,
    input_with: impl Fn(&mut Texts, M::Input) -> Result<M::Input, serde_json::Error>,
    finish: impl Fn(&M::Action) -> Option<&Finish>,
) -> Result<Copied, CopyError> {
    let unreadable = |n: u64| {
        let path = place.journal.to_owned();
        move |source| CopyError::Unreadable { path, n, source }
    };
    let dir = RunDir::create(place.into, &place.header.run)?;
    let write = |source| CopyError::Write { path: dir.journal(), source };
    let sink = FileSink::open(&dir.journal(), &dir.blobs()).map_err(write)?;
    let mut writer = JournalWriter::with_sink(sink, place.header, Redactor::new()).map_err(unreadable(0))?;
    let mut ended = None;
    let mut ends_before = None;
    for entry in &mut reader {
        let entry = entry?;
        let n = entry.n;
        match entry.kind {
            EntryKind::In(input) => {
                let other = input_with(texts, input.clone()).map_err(unreadable(n))?;
                writer.input(entry.tick, &other);
                original.handle(entry.tick, input);
                changed.handle(entry.tick, other);
                let mut expected: VecDeque<M::Action> = recorded(&mut original).collect();
                for action in recorded(&mut changed) {
                    let same = expected.pop_front().is_some_and(|expected| is_same(&expected, &action, texts));
                    if !same {
                        return Err(CopyError::Otherwise { path: place.journal.to_owned(), n });
                    }
                    writer.action(entry.tick, &action);
                    ended = finish(&action).cloned().or(ended);
                }
                if !expected.is_empty() {
                    return Err(CopyError::Otherwise { path: place.journal.to_owned(), n });
                }
            }
            // The core decides them again.
            EntryKind::Act(_) => {}
            EntryKind::Gap(gap) => {
                ends_before = Some(gap);
                break;
            }
        }
        if let Some(news) = writer.commit() {
            return Err(write(io::Error::other(super::journal_news(&news))));
        }
    }
    if let Some(news) = writer.close() {
        return Err(write(io::Error::other(super::journal_news(&news))));
    }
    // A run without a readable summary is copied without one: a replay does not need it.
    if let Ok(summary) = RunSummary::read(&place.journal.with_file_name("run.json")) {
        texts.summary(&summary, ended.as_ref()).write(&dir.summary(), &Redactor::new())?;
    }
    Ok(Copied { dir, ends_before })
}

fn recorded<M: Machine>(core: &mut M) -> impl Iterator<Item = M::Action> {
    std::iter::from_fn(|| core.poll_action()).filter(JournalAction::is_recorded)
}

/// Whether two actions are equal apart from their texts.
fn is_same<A: JournalAction + Serialize>(original: &A, changed: &A, texts: &mut Texts) -> bool {
    let json = |action: &A| serde_json::to_value(action).unwrap_or_default();
    let (original, changed) = (json(original), json(changed));
    match texts {
        Texts::Scrubbed(scrubber) => {
            scrubber.saw(&changed.to_string());
            alike(&original, &changed, &mut |one, other| scrubber.came_of(one, other))
        }
        Texts::Kept(_) => alike(&original, &changed, &mut |_, _| true),
    }
}

fn alike(one: &Value, other: &Value, texts: &mut impl FnMut(&str, &str) -> bool) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => texts(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other, texts))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| {
                    other.get(name).is_some_and(|there| match (value, there) {
                        (Value::String(_), Value::String(_)) if SENTENCES.contains(&name.as_str()) => true,
                        _ => alike(value, there, texts),
                    })
                })
        }
        (Value::Null | Value::Bool(_) | Value::Number(_), _) => one == other,
        (Value::String(_) | Value::Array(_) | Value::Object(_), _) => false,
    }
}
