//! A disk that hangs: it takes what it is given, and answers when the test lets it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use ccc::core::{Input, Tick};
use ccc::journal::disk::{Disk, DiskFile, SystemDisk};
use ccc::journal::{Entry, FileSink, JournalNews, JournalReader, JournalWriter};
use redaction::Redactor;

use super::samples::header;

/// The machine's file system behind a gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct PausedDisk(Arc<(Mutex<bool>, Condvar)>);

impl PausedDisk {
    /// From now on nothing is answered.
    pub(crate) fn pause(&self) {
        *self.0.0.lock().unwrap() = true;
    }

    /// What waits is done, and all that comes.
    pub(crate) fn go_on(&self) {
        *self.0.0.lock().unwrap() = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |paused| *paused).unwrap());
    }
}

impl Disk for PausedDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.pass();
        SystemDisk.make_dir(path)
    }
    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        self.pass();
        SystemDisk.make_dirs(path)
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.pass();
        Ok(Box::new(PausedFile(self.clone(), SystemDisk.append(path)?)))
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.pass();
        SystemDisk.write(path, bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass();
        SystemDisk.rename(from, to)
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.pass();
        SystemDisk.sync(path)
    }
}

#[derive(Debug)]
struct PausedFile(PausedDisk, Box<dyn DiskFile>);

impl DiskFile for PausedFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.pass();
        self.1.write(bytes)
    }
    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.0.pass();
        self.1.set_len(len_bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.pass();
        self.1.sync()
    }
}

fn elapsed(second: u64) -> (Tick, Input) {
    (Tick(second * 1_000_000), Input::Elapsed { unix_ms: i64::try_from(second).unwrap() })
}

fn numbers(journal: &Path) -> Vec<u64> {
    let reader = JournalReader::open(journal).unwrap();
    reader.map(|entry| entry.unwrap()).map(|entry: Entry| entry.n).collect()
}

fn journal_on(disk: &PausedDisk, dir: &Path) -> (JournalWriter, PathBuf) {
    let (journal, blobs) = (dir.join("journal.jsonl"), dir.join("blobs"));
    std::fs::create_dir(&blobs).unwrap();
    let sink = FileSink::open_on(Arc::new(disk.clone()), &journal, &blobs).unwrap();
    (JournalWriter::with_sink(sink, &header(), Redactor::new()).unwrap(), journal)
}

#[test]
fn a_disk_that_hangs_is_waited_for_once_and_told_of_after_a_while_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = PausedDisk::default();
    let (mut writer, journal) = journal_on(&disk, dir.path());
    let write = |writer: &mut JournalWriter, second| {
        let (now, input) = elapsed(second);
        writer.input(now, &input);
        writer.commit()
    };
    assert_eq!(write(&mut writer, 1), None);
    assert_eq!(numbers(&journal), [1]);

    disk.pause();
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let begun = std::time::Instant::now();
    let news: Vec<JournalNews> = (2..200).filter_map(|second| write(&mut writer, second)).collect();
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "every entry waited: {:?}", begun.elapsed());
    assert!(matches!(news.as_slice(), [JournalNews::Behind { .. }]), "{news:?}");

    disk.go_on();
    let mut second = 200;
    let recovered = loop {
        match write(&mut writer, second) {
            Some(news) => break news,
            None => second += 1,
        }
    };
    assert_eq!(recovered, JournalNews::Recovered { lost_entries: 0 });
    assert_eq!(numbers(&journal), (1..=second).collect::<Vec<_>>(), "lost, or written twice");
}

#[test]
fn a_disk_that_hangs_for_a_moment_is_not_spoken_of() {
    let dir = tempfile::tempdir().unwrap();
    let disk = PausedDisk::default();
    let (mut writer, journal) = journal_on(&disk, dir.path());
    disk.pause();
    let (now, input) = elapsed(1);
    for _ in 0..3 {
        writer.input(now, &input);
        assert_eq!(writer.commit(), None);
    }
    disk.go_on();
    assert_eq!(writer.close(), None);
    assert_eq!(numbers(&journal), [1, 2, 3]);
}
