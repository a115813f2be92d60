//! The world of a replay: facts come from a journal, and the core's actions are compared with the recorded ones.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;

use super::machine::{Life, Machine};
use crate::core::supervised::{CommandAction, CommandCore, CommandInput};
use crate::core::{Action, Core, Input, Tick};
use crate::journal::{
    EntryKind, Header, JournalAction, JournalInput, JournalReader, JournalWriter, ReadError, RunKind, Tail, run_kind,
};
use crate::json::from_json;
use redaction::Redactor;

/// Why a journal cannot be replayed or continued.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Entries are missing.
    #[error(
        "{path}: entries {from} to {to} are missing (the disk was full): the run can be read up to there, but not replayed or resumed past it"
    )]
    Gap {
        /// The journal.
        path: String,
        /// The first missing entry.
        from: u64,
        /// The last missing entry.
        to: u64,
    },
    /// It cannot be rewritten.
    #[error("{path}: cannot be rewritten: {message}")]
    Rewrite {
        /// The journal.
        path: String,
        /// The error of the system.
        message: String,
    },
}

/// A core in the state at the end of a journal.
#[derive(Debug)]
pub struct Rebuilt {
    /// The core, after the last input.
    pub core: Core,
    /// Where the journal ends.
    pub tail: Tail,
    /// When the run began, unix milliseconds.
    pub started_unix_ms: i64,
    /// Inputs fed.
    pub inputs: u64,
    /// The journal records the end of the run. If a finished core lacks it, ccc died before it could record and show the
    /// outcome.
    pub finish_recorded: bool,
}

/// Feeds all inputs of a journal to a fresh core; `on_action` sees every action with its time, `Show` included.
///
/// # Errors
/// When the journal cannot be read, or has a gap.
pub fn rebuild(journal: &Path, mut on_action: impl FnMut(Tick, &Action)) -> Result<Rebuilt, ReplayError> {
    retell(journal, |_, _, tick, action| on_action(tick, action))
}

/// The same; `on_action` also gets the core after the input, and the input's number in the journal.
///
/// # Errors
/// When the journal cannot be read, or has a gap.
pub fn retell(journal: &Path, mut on_action: impl FnMut(&Core, u64, Tick, &Action)) -> Result<Rebuilt, ReplayError> {
    retell_all(journal, |core, n, tick, retold| match retold {
        Retold::Input(_) => {}
        Retold::Action(action) => on_action(core, n, tick, action),
    })
}

/// An input of a journal, or an action that the core derives from it.
#[derive(Debug, Clone, Copy)]
pub enum Retold<'a> {
    /// The input, before the core handles it.
    Input(&'a Input),
    /// The action.
    Action(&'a Action),
}

/// As [`retell`], with each input before its actions.
///
/// # Errors
/// When the journal cannot be read, or has a gap.
pub fn retell_all(journal: &Path, on_fact: impl FnMut(&Core, u64, Tick, Retold<'_>)) -> Result<Rebuilt, ReplayError> {
    retell_from(journal, JournalReader::open(journal)?, on_fact)
}

/// [`rebuild`] from any reader; `journal` is its name in errors.
///
/// # Errors
/// When the journal cannot be read, or has a gap.
pub fn rebuild_from<R: BufRead>(
    journal: &Path,
    reader: JournalReader<R>,
    mut on_action: impl FnMut(Tick, &Action),
) -> Result<Rebuilt, ReplayError> {
    retell_from(journal, reader, |_, _, tick, retold| match retold {
        Retold::Input(_) => {}
        Retold::Action(action) => on_action(tick, action),
    })
}

fn retell_from<R: BufRead>(
    journal: &Path,
    mut reader: JournalReader<R>,
    mut on_fact: impl FnMut(&Core, u64, Tick, Retold<'_>),
) -> Result<Rebuilt, ReplayError> {
    let mut core = Core::new(reader.plan()?);
    let mut started_unix_ms = 0;
    let mut inputs = 0;
    let mut finish_recorded = false;
    for entry in &mut reader {
        let entry = entry?;
        match entry.kind {
            EntryKind::In(input) => {
                if let (0, Input::Began { unix_ms, .. }) = (inputs, &input) {
                    started_unix_ms = *unix_ms;
                }
                inputs += 1;
                finish_recorded = false;
                on_fact(&core, entry.n, entry.tick, Retold::Input(&input));
                core.handle(entry.tick, input);
                while let Some(action) = core.poll_action() {
                    on_fact(&core, entry.n, entry.tick, Retold::Action(&action));
                }
            }
            EntryKind::Act(recorded) => finish_recorded = is_finish(&recorded),
            EntryKind::Gap(gap) => return Err(gap_error(journal, gap.from, gap.to)),
        }
    }
    Ok(Rebuilt { core, tail: reader.tail(), started_unix_ms, inputs, finish_recorded })
}

/// Whether a recorded action ends the run. Texts of users and agents cannot match, because they stand inside other objects.
fn is_finish(recorded: &RawValue) -> bool {
    recorded.get().starts_with("{\"finish\":")
}

/// Whether the recorded end equals the replayed one except for the spent bound, which early journals lack.
fn is_end_without_bound(recorded: &RawValue, replayed: &[u8]) -> bool {
    if !is_finish(recorded) {
        return false;
    }
    let Ok(mut replayed) = from_json::<Value>(replayed) else { return false };
    let bound = replayed.get_mut("finish").and_then(Value::as_object_mut).and_then(|finish| finish.remove("spent"));
    bound.is_some() && serde_json::from_str::<Value>(recorded.get()).is_ok_and(|recorded| recorded == replayed)
}

/// The first place where the replay's actions differ from the run's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The journal entry at which they differ.
    pub n: u64,
    /// Its time.
    pub tick: Tick,
    /// The journal entry of the input that was handled.
    pub input_n: u64,
    /// That input, as JSON, shortened.
    pub input: String,
    /// The run's action; `None` when it had none there.
    pub recorded: Option<String>,
    /// The replay's action; `None` when it has none there.
    pub replayed: Option<String>,
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Inputs fed.
    pub inputs: u64,
    /// Actions compared.
    pub actions: u64,
    /// The first difference.
    pub difference: Option<Difference>,
    /// Whether the journal ends before the run did.
    pub unfinished: bool,
}

/// How much of an input a difference shows, in bytes.
const SHOWN_INPUT_BYTES: usize = 400;

/// Replays a journal and compares every action with the recorded one, as text, up to the first difference.
///
/// # Errors
/// When the journal cannot be read, or has a gap.
pub fn compare(journal: &Path) -> Result<Comparison, ReplayError> {
    match run_kind(journal)? {
        RunKind::Agent => {
            let reader = JournalReader::open(journal)?;
            let core = Core::new(reader.plan()?);
            compared::<Input>(journal, compare_machine(journal, reader, core, &Redactor::new())?)
        }
        RunKind::Command => {
            let reader = JournalReader::open_command(journal)?;
            let core = CommandCore::new(reader.command_plan()?);
            compared::<CommandInput>(journal, compare_machine(journal, reader, core, &Redactor::new())?)
        }
    }
}

/// Adds the text of the input at which the actions differ.
fn compared<I: JournalInput>(journal: &Path, mut comparison: Comparison) -> Result<Comparison, ReplayError> {
    if let Some(difference) = &mut comparison.difference {
        difference.input = input_text::<I>(journal, difference.input_n).unwrap_or_default();
    }
    Ok(comparison)
}

/// [`compare`] from any reader, without the text of the input; `journal` is its name in errors.
///
/// # Errors
/// When the journal cannot be read.
pub fn compare_from<R: BufRead>(
    journal: &Path,
    reader: JournalReader<R>,
    redactor: &Redactor,
) -> Result<Comparison, ReplayError> {
    let core = Core::new(reader.plan()?);
    compare_machine(journal, reader, core, redactor)
}

fn compare_machine<R: BufRead, M: Machine>(
    journal: &Path,
    mut reader: JournalReader<R, M::Input>,
    mut core: M,
    redactor: &Redactor,
) -> Result<Comparison, ReplayError> {
    let mut comparison = Comparison { inputs: 0, actions: 0, difference: None, unfinished: false };
    let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
    let mut last_input_n = 0;
    let mut spare: Vec<Vec<u8>> = Vec::new();
    let mut at = (0, Tick::ZERO);
    let mut finish_recorded = false;
    // Recorded actions are missing before an operator input.
    let mut lost: Option<Difference> = None;
    for entry in &mut reader {
        let entry = entry?;
        match entry.kind {
            EntryKind::In(input) => {
                let missing = expected.front();
                let missing = missing.map(|act| difference(entry.n, entry.tick, last_input_n, None, Some(act)));
                lost = lost.or(missing);
                match M::life(&input) {
                    // ccc may have died between an input and its actions; a new life then follows, after its first operator
                    // inputs.
                    Life::Begins => lost = None,
                    Life::Open => {}
                    Life::GoesOn if lost.is_none() => {}
                    Life::GoesOn => {
                        comparison.difference = lost;
                        return Ok(comparison);
                    }
                }
                spare.extend(expected.drain(..));
                finish_recorded = false;
                comparison.inputs += 1;
                last_input_n = entry.n;
                core.handle(entry.tick, input);
                while let Some(action) = core.poll_action() {
                    if !action.is_recorded() {
                        continue;
                    }
                    let mut text = spare.pop().unwrap_or_default();
                    text.clear();
                    if serde_json::to_writer(&mut text, &action).is_ok() {
                        redactor.json(&mut text);
                    }
                    expected.push_back(text);
                }
            }
            EntryKind::Act(recorded) => {
                let replayed = expected.pop_front();
                let alike = replayed.as_deref().is_some_and(|replayed| {
                    replayed == recorded.get().as_bytes() || is_end_without_bound(&recorded, replayed)
                });
                if !alike {
                    comparison.difference =
                        Some(difference(entry.n, entry.tick, last_input_n, Some(recorded.get()), replayed.as_ref()));
                    return Ok(comparison);
                }
                comparison.actions += 1;
                finish_recorded = is_finish(&recorded);
                spare.extend(replayed);
            }
            EntryKind::Gap(gap) => return Err(gap_error(journal, gap.from, gap.to)),
        }
        at = (entry.n, entry.tick);
    }
    // ccc may have died before the last actions were written, so they may be missing, but not once `Finish` is written, which
    // no action follows.
    comparison.unfinished = !(core.is_finished() && (finish_recorded || expected.is_empty()));
    if let (Some(missing), false) = (expected.front(), comparison.unfinished) {
        comparison.difference = Some(difference(at.0, at.1, last_input_n, None, Some(missing)));
    }
    Ok(comparison)
}

/// Accepts the replay: rewrites the journal with today's actions. Inputs stay as they are.
///
/// # Errors
/// When the journal cannot be read or rewritten, or has a gap.
pub fn bless(journal: &Path) -> Result<(), ReplayError> {
    let rewrite = |error: serde_json::Error| rewrite_error(journal, error.to_string());
    match run_kind(journal)? {
        RunKind::Agent => {
            let reader = JournalReader::open(journal)?;
            let plan = reader.plan()?;
            let header = Header::new(&plan, env!("CARGO_PKG_VERSION")).map_err(rewrite)?;
            bless_machine(journal, reader, Core::new(plan), &header)
        }
        RunKind::Command => {
            let reader = JournalReader::open_command(journal)?;
            let plan = reader.command_plan()?;
            let header = Header::of_command(&plan, env!("CARGO_PKG_VERSION")).map_err(rewrite)?;
            bless_machine(journal, reader, CommandCore::new(plan), &header)
        }
    }
}

fn rewrite_error(journal: &Path, message: String) -> ReplayError {
    ReplayError::Rewrite { path: journal.display().to_string(), message }
}

fn bless_machine<M: Machine>(
    journal: &Path,
    mut reader: JournalReader<BufReader<File>, M::Input>,
    mut core: M,
    header: &Header,
) -> Result<(), ReplayError> {
    let rewrite = |message: String| rewrite_error(journal, message);
    let fresh = PathBuf::from(format!("{}.new", journal.display()));
    let blobs = journal.with_file_name("blobs");
    let _ = fs::remove_file(&fresh);
    let mut writer =
        JournalWriter::create(&fresh, &blobs, header, Redactor::new()).map_err(|error| rewrite(error.to_string()))?;
    for entry in &mut reader {
        let entry = entry?;
        match entry.kind {
            EntryKind::In(input) => {
                writer.input(entry.tick, &input);
                core.handle(entry.tick, input);
                while let Some(action) = core.poll_action() {
                    writer.action(entry.tick, &action);
                }
                if let Some(news) = writer.commit() {
                    return Err(rewrite(super::journal_news(&news)));
                }
            }
            EntryKind::Act(_) => {}
            EntryKind::Gap(gap) => return Err(gap_error(journal, gap.from, gap.to)),
        }
    }
    if let Some(news) = writer.close() {
        return Err(rewrite(super::journal_news(&news)));
    }
    fs::rename(&fresh, journal).map_err(|error| rewrite(error.to_string()))
}

/// Feeds all inputs of a command's journal to a fresh core; `on_action` sees every action with its time, `Show` included.
///
/// # Errors
/// When the journal cannot be read, or has a gap.
pub fn retell_command(
    journal: &Path,
    mut on_action: impl FnMut(&CommandCore, u64, Tick, &CommandAction),
) -> Result<(), ReplayError> {
    let mut reader = JournalReader::open_command(journal)?;
    let mut core = CommandCore::new(reader.command_plan()?);
    for entry in &mut reader {
        let entry = entry?;
        match entry.kind {
            EntryKind::In(input) => {
                core.handle(entry.tick, input);
                while let Some(action) = core.poll_action() {
                    on_action(&core, entry.n, entry.tick, &action);
                }
            }
            EntryKind::Act(_) => {}
            EntryKind::Gap(gap) => return Err(gap_error(journal, gap.from, gap.to)),
        }
    }
    Ok(())
}

fn gap_error(journal: &Path, from: u64, to: u64) -> ReplayError {
    ReplayError::Gap { path: journal.display().to_string(), from, to }
}

fn difference(n: u64, tick: Tick, input_n: u64, recorded: Option<&str>, replayed: Option<&Vec<u8>>) -> Difference {
    Difference {
        n,
        tick,
        input_n,
        input: String::new(),
        recorded: recorded.map(str::to_owned),
        replayed: replayed.map(|text| String::from_utf8_lossy(text).into_owned()),
    }
}

/// The input of an entry, shortened. Read again from the journal, because a comparison without a difference does not need it.
fn input_text<I: JournalInput>(journal: &Path, n: u64) -> Option<String> {
    let mut reader = JournalReader::<_, I>::open_of(journal).ok()?;
    let entry = reader.find_map(|entry| entry.ok().filter(|entry| entry.n == n))?;
    let EntryKind::In(input) = entry.kind else { return None };
    let mut text = serde_json::to_string(&input).ok()?;
    if text.len() > SHOWN_INPUT_BYTES {
        text.truncate(text.floor_char_boundary(SHOWN_INPUT_BYTES));
        text.push('…');
    }
    Some(text)
}
