//! The journal of a simulated night: the real writer and reader on a disk in memory.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::law::{Broken, Law};
use ccc::driver::{Rebuilt, ReplayError, compare_from, rebuild_from};
use ccc::journal::{Header, JournalNews, JournalReader, JournalWriter, Sink};
use redaction::Redactor;
use supervision::core::{Action, Core, Input, Plan, Tick};

/// The journal's name in messages; the file does not exist.
const NAME: &str = "simulated/journal.jsonl";

#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    /// How many more bytes fit; `None` when the disk is not full.
    room: Option<usize>,
}

#[derive(Debug, Clone)]
struct DiskSink(Rc<RefCell<Disk>>);

impl Sink for DiskSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        let taken = match &mut disk.room {
            Some(0) => return Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                let taken = bytes.len().min(*room);
                *room -= taken;
                taken
            }
            None => bytes.len(),
        };
        disk.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.0.borrow_mut().bytes.truncate(usize::try_from(len_bytes).unwrap_or(usize::MAX));
        Ok(())
    }

    fn put_blob(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        // No line of a simulated night is long enough for a blob. If one were, the replay would fail.
        Ok(())
    }

    fn sync_soon(&mut self, _: u64) -> Option<ccc::journal::Durable> {
        None
    }

    fn take_sync_error(&mut self) -> Option<String> {
        None
    }

    fn close(self) {}
}

/// The journal on the simulated disk.
#[derive(Debug)]
pub(super) struct Journal {
    disk: Rc<RefCell<Disk>>,
    writer: JournalWriter<DiskSink>,
    redactor: Redactor,
    backlog_limit_bytes: usize,
    /// The offset at which the last commit began, in bytes.
    committed_from: usize,
    /// Whether the user has been told that the disk accepts nothing at present.
    pub(super) behind: bool,
    /// Whether the user has been told that entries are lost.
    told_lost: bool,
}

impl Journal {
    pub(super) fn begin(plan: &Plan, redactor: Redactor, backlog_limit_bytes: usize) -> Result<Journal, Broken> {
        let bad = |error: serde_json::Error| Law::Replay.broken(format!("no header: {error}"));
        let header = Header::new(plan, "simulated").map_err(bad)?;
        let disk = Rc::new(RefCell::new(Disk::default()));
        let writer = JournalWriter::with_sink(DiskSink(Rc::clone(&disk)), &header, redactor.clone()).map_err(bad)?;
        Ok(Journal {
            writer: writer.with_backlog_limit_bytes(backlog_limit_bytes),
            disk,
            redactor,
            backlog_limit_bytes,
            committed_from: 0,
            behind: false,
            told_lost: false,
        })
    }

    pub(super) fn input(&mut self, now: Tick, input: &Input) {
        self.writer.input(now, input);
    }

    pub(super) fn action(&mut self, now: Tick, action: &Action) {
        self.writer.action(now, action);
    }

    /// Commits, and checks the law that committed entries can be read again unless the user is told otherwise.
    pub(super) fn commit(&mut self) -> Result<Option<JournalNews>, Broken> {
        self.committed_from = self.disk.borrow().bytes.len();
        let news = self.writer.commit();
        match &news {
            Some(JournalNews::Behind { .. }) => self.behind = true,
            Some(JournalNews::Losing { .. }) => (self.behind, self.told_lost) = (true, true),
            Some(JournalNews::Recovered { .. }) => self.behind = false,
            Some(JournalNews::NotSynced { .. }) | None => {}
        }
        // Once the disk has room again, the writer cuts off a half-written line, so the journal may shrink.
        let grows = self.disk.borrow().bytes.len() > self.committed_from;
        Law::LossTold
            .broken_if(!self.behind && !grows && news.is_none(), || "the journal does not grow, and nobody is told")?;
        Ok(news)
    }

    /// Sets how many more bytes fit on the disk; `None` for any number.
    pub(super) fn set_room(&mut self, room: Option<usize>) {
        self.disk.borrow_mut().room = room;
    }

    /// Tears the last commit, during which ccc died: only this part of it is on the disk. Everything written before stays. The
    /// header always stays, because a run without a header has not begun.
    pub(super) fn tear(&mut self, part_percent: u64) {
        if self.committed_from == 0 {
            return;
        }
        let mut disk = self.disk.borrow_mut();
        let bytes = disk.bytes.len();
        let written = bytes.saturating_sub(self.committed_from);
        let left = self.committed_from + written * usize::try_from(part_percent).unwrap_or(100) / 100;
        let committed_from = self.committed_from;
        disk.bytes.truncate(left.min(bytes.saturating_sub(1)).max(committed_from));
    }

    /// Reads and continues the journal, as `ccc resume` does. `None` if resuming is refused because entries are missing and the
    /// user was told so before.
    pub(super) fn resume(&mut self, on_action: impl FnMut(Tick, &Action)) -> Result<Option<Rebuilt>, Broken> {
        let rebuilt = {
            let disk = self.disk.borrow();
            let reader = JournalReader::from_reader(Path::new(NAME), disk.bytes.as_slice())
                .map_err(|error| Law::Replay.broken(error.to_string()))?;
            rebuild_from(Path::new(NAME), reader, on_action)
        };
        let rebuilt = match rebuilt {
            Ok(rebuilt) => rebuilt,
            Err(ReplayError::Gap { .. }) if self.told_lost => return Ok(None),
            Err(error) => return Err(Law::Replay.broken(error.to_string())),
        };
        // Entries that were still in memory are lost with the dead ccc.
        let bytes = usize::try_from(rebuilt.tail.good_bytes).unwrap_or(usize::MAX);
        self.disk.borrow_mut().bytes.truncate(bytes);
        self.writer = JournalWriter::resumed(DiskSink(Rc::clone(&self.disk)), &rebuilt.tail, self.redactor.clone())
            .with_backlog_limit_bytes(self.backlog_limit_bytes);
        self.behind = false;
        Ok(Some(rebuilt))
    }

    /// Whether entries may be missing.
    pub(super) fn has_lost(&self) -> bool {
        self.behind || self.told_lost
    }

    /// Checks what `ccc replay --check` checks: a fresh core with the journal's inputs asks for the journal's actions.
    pub(super) fn replay(&self) -> Result<(), Broken> {
        let disk = self.disk.borrow();
        let reader = JournalReader::from_reader(Path::new(NAME), disk.bytes.as_slice());
        let compared =
            reader.map_err(ReplayError::from).and_then(|it| compare_from(Path::new(NAME), it, &self.redactor));
        match compared {
            Ok(comparison) => match comparison.difference {
                Some(difference) => Err(Law::Replay.broken(format!(
                    "entry {}: {} instead of {}",
                    difference.n,
                    difference.replayed.as_deref().unwrap_or("nothing"),
                    difference.recorded.as_deref().unwrap_or("nothing"),
                ))),
                None => Ok(()),
            },
            Err(ReplayError::Gap { .. }) if self.told_lost => Ok(()),
            Err(ReplayError::Gap { from, to, .. }) => {
                Err(Law::LossTold.broken(format!("entries {from} to {to} are lost, and nobody was told")))
            }
            Err(error @ (ReplayError::Read(_) | ReplayError::Rewrite { .. })) => {
                Err(Law::Replay.broken(error.to_string()))
            }
        }
    }
}

/// The first visible difference between two cores that must be equal.
pub(super) fn differ(one: &Core, other: &Core) -> Option<String> {
    let seen = |core: &Core| {
        (core.phase(), core.poll_timeout(), core.iteration(), core.restarts(), core.rotations(), core.token().cloned())
    };
    let (one, other) = (seen(one), seen(other));
    (one != other).then(|| format!("{other:?} instead of {one:?}"))
}
