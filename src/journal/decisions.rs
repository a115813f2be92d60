use std::io::BufRead;

use serde::Deserialize;

use super::reader::{Entry, EntryKind, JournalReader, ReadError};
use super::record::JournalInput;
use crate::core::{Decision, Input, Tick};

/// A decision, and the input that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedDecision {
    /// The entry's number.
    pub n: u64,
    /// The time of the decision.
    pub tick: Tick,
    /// The wall clock at that time, computed from the last input that has it, in unix milliseconds.
    pub unix_ms: Option<i64>,
    /// What was decided, and why.
    pub decision: Decision,
    /// Number and kind of the input before it. Every decision is made while an input is handled.
    pub after: Option<(u64, &'static str)>,
}

/// The decisions of a journal, in order.
pub fn decisions<R: BufRead, I: JournalInput>(reader: JournalReader<R, I>) -> Decisions<R, I> {
    Decisions { reader, after: None, clock: None }
}

/// The iterator of [`decisions`]. It skips gaps; [`JournalReader`] reports them.
#[derive(Debug)]
pub struct Decisions<R: BufRead, I = Input> {
    reader: JournalReader<R, I>,
    after: Option<(u64, &'static str)>,
    /// The tick and the wall clock of the last input that has one.
    clock: Option<(Tick, i64)>,
}

impl<R: BufRead, I: JournalInput> Iterator for Decisions<R, I> {
    type Item = Result<DatedDecision, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        #[derive(Deserialize)]
        struct Decide {
            decide: Decision,
        }
        loop {
            let entry = match self.reader.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            match entry.kind {
                EntryKind::In(input) => {
                    self.after = Some((entry.n, input.kind()));
                    self.clock = input.unix_ms().map(|unix_ms| (entry.tick, unix_ms)).or(self.clock);
                }
                EntryKind::Gap(_) => {}
                EntryKind::Act(action) => {
                    if action.get().starts_with("{\"decide\"")
                        && let Ok(Decide { decide }) = serde_json::from_str(action.get())
                    {
                        let unix_ms = self.clock.map(|(tick, unix_ms)| {
                            let since_ms = entry.tick.as_ms().saturating_sub(tick.as_ms());
                            unix_ms.saturating_add_unsigned(since_ms)
                        });
                        let Entry { n, tick, .. } = entry;
                        return Some(Ok(DatedDecision { n, tick, unix_ms, decision: decide, after: self.after }));
                    }
                }
            }
        }
    }
}
