use std::process::Command;

use ccc::core::{Input, Tick};
use ccc::journal::{EntryKind, JournalNews, JournalReader, JournalWriter, RunDir, TRY_AGAIN_MS};
use proptest::prelude::*;
use redaction::Redactor;

use super::samples::{Disk, Fault, entries, header, json_line, read, shown};

fn elapsed(unix_ms: i64) -> Input {
    Input::Elapsed { unix_ms }
}

fn writer(disk: &Disk) -> JournalWriter<Disk> {
    JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap()
}

/// A moment in which the disk may be tried again after the try before.
fn later(tries: u64) -> Tick {
    Tick::ZERO.plus_ms(tries * TRY_AGAIN_MS)
}

#[test]
fn a_full_disk_is_bridged_and_told_once() {
    let disk = Disk::default();
    let mut writer = writer(&disk);
    writer.input(later(0), &elapsed(0));
    assert_eq!(writer.commit(), None);
    disk.set_full(true);
    writer.input(later(1), &elapsed(1));
    let news = writer.commit();
    assert!(matches!(news, Some(JournalNews::Behind { .. })), "{news:?}");
    for step in 2..10 {
        writer.input(later(step), &elapsed(7));
        assert_eq!(writer.commit(), None, "told once");
    }
    assert_eq!(writer.lost(), None);
    disk.set_full(false);
    writer.input(later(10), &elapsed(8));
    assert_eq!(writer.commit(), Some(JournalNews::Recovered { lost_entries: 0 }));
    assert_eq!(entries(&disk.bytes()).len(), 11, "nothing is missing");
    assert_eq!(writer.commit(), None);
}

#[test]
fn a_disk_in_trouble_is_not_tried_at_every_commit() {
    let disk = Disk::default();
    disk.set_full(true);
    let mut writer = writer(&disk);
    for step in 0..1_000 {
        writer.input(Tick(step), &elapsed(0));
        writer.commit();
    }
    assert_eq!(disk.writes(), 1);
    writer.input(later(1).plus_ms(1), &elapsed(0));
    writer.commit();
    assert_eq!(disk.writes(), 2);
}

#[test]
fn what_exceeds_the_backlog_is_lost_and_leaves_a_gap() {
    let disk = Disk::default();
    let mut writer = writer(&disk).with_backlog_limit_bytes(300);
    writer.input(later(0), &elapsed(0));
    writer.commit();
    disk.set_full(true);
    let mut news = Vec::new();
    for step in 1..=40 {
        writer.input(later(step), &elapsed(1));
        news.extend(writer.commit());
    }
    assert!(matches!(news[0], JournalNews::Behind { .. }), "{news:?}");
    assert!(matches!(news[1], JournalNews::Losing { since_n: 2, .. }), "{news:?}");
    assert_eq!(news.len(), 2);
    let lost = writer.lost().unwrap();
    assert_eq!(lost.since_n, 2);
    assert!(lost.entries >= 30 && lost.entries <= 40, "{lost:?}");
    disk.set_full(false);
    writer.input(later(41), &elapsed(2));
    let news = writer.commit();
    assert_eq!(news, Some(JournalNews::Recovered { lost_entries: lost.entries }));

    let bytes = disk.bytes();
    let mut next = 1;
    let mut missing = 0;
    for entry in entries(&bytes) {
        assert_eq!(entry.n, next);
        next = match &entry.kind {
            EntryKind::Gap(gap) => {
                missing += gap.to - gap.from + 1;
                gap.to + 1
            }
            EntryKind::In(_) | EntryKind::Act(_) => entry.n + 1,
        };
    }
    assert_eq!(next, 43);
    assert_eq!(missing, lost.entries);
}

#[test]
fn a_header_that_was_not_written_comes_later_and_first() {
    let disk = Disk::with_faults([Fault::Short(10), Fault::Full]);
    let mut writer = writer(&disk);
    writer.input(later(0), &elapsed(0));
    assert!(matches!(writer.commit(), Some(JournalNews::Behind { .. })));
    assert_eq!(disk.bytes().len(), 10);
    writer.input(later(1), &elapsed(1));
    assert!(matches!(writer.commit(), Some(JournalNews::Recovered { .. })));
    assert_eq!(entries(&disk.bytes()).len(), 2);
}

#[test]
fn a_line_is_not_written_before_its_payload() {
    let disk = Disk::default();
    let mut writer = writer(&disk);
    writer.input(later(0), &elapsed(0));
    writer.commit();
    let before = disk.bytes();
    disk.set_blobs_fail(true);
    writer.input(later(1), &json_line(&format!("\"{}\"", "x".repeat(100_000))));
    assert!(matches!(writer.commit(), Some(JournalNews::Behind { .. })));
    assert_eq!(disk.bytes(), before);
    disk.set_blobs_fail(false);
    writer.input(later(2), &elapsed(2));
    assert!(matches!(writer.commit(), Some(JournalNews::Recovered { lost_entries: 0 })));
    assert_eq!(disk.blobs().len(), 1);
    assert!(String::from_utf8(disk.bytes()).unwrap().contains("in_blob"));
}

#[test]
fn closing_tries_the_disk_once_more() {
    let disk = Disk::with_faults([Fault::Full]);
    let mut writer = writer(&disk);
    writer.input(Tick(1), &elapsed(0));
    assert!(matches!(writer.commit(), Some(JournalNews::Behind { .. })));
    writer.input(Tick(2), &elapsed(1));
    assert_eq!(writer.close(), Some(JournalNews::Recovered { lost_entries: 0 }));
    assert_eq!(entries(&disk.bytes()).len(), 2);
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![(1usize..200).prop_map(Fault::Short), Just(Fault::Full), Just(Fault::Interrupted),]
}

proptest! {
    /// Whatever the disk does and whenever ccc dies, the file reads as a prefix of what was journalled,
    /// and every number is an entry or in a gap.
    #[test]
    fn no_fault_makes_the_journal_unreadable(
        faults in proptest::collection::vec(fault(), 0..20),
        commits in proptest::collection::vec(0usize..4, 1..25),
        limit in prop_oneof![Just(100usize), Just(1_000), Just(1_000_000)],
    ) {
        let disk = Disk::with_faults(faults);
        let mut writer = writer(&disk).with_backlog_limit_bytes(limit);
        let mut count = 0;
        let mut tick = Tick::ZERO;
        for entries_before_commit in commits {
            for _ in 0..entries_before_commit {
                count += 1;
                writer.input(tick, &elapsed(count));
            }
            tick = tick.plus_ms(TRY_AGAIN_MS);
            writer.commit();
            let bytes = disk.bytes();
            if bytes.contains(&b'\n') {
                let mut next = 1;
                for entry in read(&bytes).unwrap() {
                    let entry = entry.unwrap();
                    prop_assert_eq!(entry.n, next);
                    match &entry.kind {
                        EntryKind::Gap(gap) => next = gap.to + 1,
                        EntryKind::In(_) | EntryKind::Act(_) => {
                            prop_assert_eq!(shown(&entry), format!("{{\"elapsed\":{{\"unix_ms\":{next}}}}}"));
                            next += 1;
                        }
                    }
                }
                prop_assert!(next <= count as u64 + 1);
            }
        }
        // Faults over: everything that was kept is there. The list of faults is finite, so tries end them.
        for _ in 0..25 {
            count += 1;
            tick = tick.plus_ms(TRY_AGAIN_MS);
            writer.input(tick, &elapsed(count));
            writer.commit();
        }
        prop_assert_eq!(writer.lost(), None);
        let bytes = disk.bytes();
        let last = entries(&bytes).pop().unwrap();
        prop_assert_eq!(last.n, count as u64);
    }
}

/// The same against the system: a file-size limit, with SIGXFSZ ignored as ccc does it. The test runs itself again
/// under a shell that sets the limit, since a limit holds for a whole process.
#[test]
fn a_file_size_limit_is_an_error_and_not_a_death() {
    const INSIDE: &str = "CCC_TEST_FILE_SIZE_LIMITED";
    if std::env::var_os(INSIDE).is_some() {
        let state = tempfile::tempdir().unwrap();
        let dir = RunDir::create(state.path(), "r").unwrap();
        let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
        let mut news = Vec::new();
        for step in 0..100 {
            writer.input(later(step), &json_line(&format!("\"{}\"", "x".repeat(1_000))));
            news.extend(writer.commit());
        }
        assert!(matches!(news.as_slice(), [JournalNews::Behind { .. }]), "{news:?}");
        let mut reader = JournalReader::open(&dir.journal()).unwrap();
        let good = reader.by_ref().filter(Result::is_ok).count();
        assert!(good > 5 && good < 40, "{good} entries fit under the limit");
        return;
    }
    let name = "journal::faults::a_file_size_limit_is_an_error_and_not_a_death";
    let output = Command::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("1 passed"), "the inner test ran: {text}");
}
