use std::collections::BTreeSet;
use std::path::Path;

use ccc::core::{Action, Decision, Input, OperatorInput, Tick};
use ccc::journal::{
    EntryKind, JournalInput, JournalNews, JournalReader, JournalWriter, ReadError, RunDir, RunKind, decisions,
};
use redaction::Redactor;

use super::samples::{Disk, entries, header, json_line, plan, read, shown};

fn elapsed(unix_ms: i64) -> Input {
    Input::Elapsed { unix_ms }
}

/// A header and `count` inputs.
fn journal(count: i64) -> Vec<u8> {
    let disk = Disk::default();
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap();
    for unix_ms in 0..count {
        writer.input(Tick(u64::try_from(unix_ms).unwrap() * 10), &elapsed(unix_ms));
    }
    writer.commit();
    disk.bytes()
}

fn with_line(line: &str) -> Vec<u8> {
    let mut bytes = journal(1);
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    bytes
}

fn first_error(bytes: &[u8]) -> ReadError {
    read(bytes).unwrap().find_map(Result::err).expect("an error")
}

#[test]
fn a_tail_torn_at_any_byte_is_dropped_and_writing_goes_on() {
    let whole = journal(4);
    let line_starts: Vec<usize> = std::iter::once(0)
        .chain(whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1))
        .collect();
    let two_lines_before_the_end = line_starts[line_starts.len() - 3];
    for cut in two_lines_before_the_end..=whole.len() {
        let state = tempfile::tempdir().unwrap();
        let dir = RunDir::create(state.path(), "r").unwrap();
        std::fs::write(dir.journal(), &whole[..cut]).unwrap();
        let complete = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64 - 1;

        let mut reader = JournalReader::open(&dir.journal()).unwrap();
        let back: Vec<_> = reader.by_ref().map(|entry| entry.unwrap().n).collect();
        assert_eq!(back, (1..=complete).collect::<Vec<_>>(), "cut at {cut}");
        let tail = reader.tail();
        assert_eq!(tail.next_n, complete + 1);
        assert_eq!(tail.last_tick, Tick((complete - 1) * 10));
        let torn_bytes = tail.torn.map_or(0, |torn| torn.bytes);
        assert_eq!(tail.good_bytes + torn_bytes, cut as u64);
        assert_eq!(torn_bytes == 0, line_starts.contains(&cut));

        let mut writer = JournalWriter::append_to(&dir.journal(), &dir.blobs(), Redactor::new()).unwrap();
        assert_eq!(writer.input(Tick(99), &elapsed(99)), complete + 1);
        assert_eq!(writer.close(), None);
        let again = std::fs::read(dir.journal()).unwrap();
        let back = entries(&again);
        assert_eq!(back.len() as u64, complete + 1);
        assert_eq!(shown(back.last().unwrap()), r#"{"elapsed":{"unix_ms":99}}"#);
    }
}

#[test]
fn an_empty_or_torn_header_is_named() {
    let whole = journal(0);
    for cut in 0..whole.len() {
        assert!(matches!(read(&whole[..cut]), Err(ReadError::NoHeader { .. })), "cut at {cut}");
    }
    let mut reader = read(&whole).unwrap();
    assert!(reader.next().is_none());
    assert_eq!(reader.tail().next_n, 1);
    assert_eq!(reader.header().run, "20261120-191822-k3f9");
}

#[test]
fn a_foreign_file_is_not_taken_for_a_journal() {
    let error = read(b"hello\n").unwrap_err();
    assert!(matches!(error, ReadError::BadHeader { .. }), "{error}");
    let error = read(b"{\"type\":\"system\"}\n").unwrap_err();
    assert!(error.to_string().contains("not a journal header"), "{error}");
}

#[test]
fn a_newer_major_is_refused_whatever_its_header_looks_like() {
    let error = read(b"{\"ccc\":{\"major\":2,\"minor\":0},\"all\":\"new\"}\n").unwrap_err();
    assert!(matches!(error, ReadError::TooNew { major: 2, .. }));
    assert!(error.to_string().contains("use a newer ccc"), "{error}");
}

#[test]
fn a_newer_kind_of_run_or_a_newer_inside_of_a_plan_is_refused_as_newer_not_as_damage() {
    let text = String::from_utf8(journal(2)).unwrap();
    let kind = text.replacen("\"plan\":", "\"kind\":\"fleet\",\"plan\":", 1);
    let agent = text.replacen("\"claude_code\"", "\"dreamer\"", 1);
    assert!(agent != text, "the plan names its agent");
    let why = |text: &str| match read(text.as_bytes()) {
        Ok(reader) => reader.plan().unwrap_err(),
        Err(error) => error,
    };
    for (text, word) in [(kind, "fleet"), (agent, "dreamer")] {
        assert!(matches!(why(&text), ReadError::BadHeader { .. }));
        let newer = why(&text.replacen(&this_minor(), "\"minor\":9", 1));
        assert!(matches!(newer, ReadError::NewerHeader { .. }), "{newer}");
        let told = newer.to_string();
        assert!(told.contains(word) && told.contains("use the newer ccc that wrote it"), "{told}");
    }
}

/// What ended a run is recorded for people: another ccc's word for it is no fault of the journal.
#[test]
fn an_action_or_outcome_that_this_ccc_does_not_know_is_read_as_it_stands() {
    for act in [r#"{"finish":{"outcome":"dreamt","reason":"it woke up"}}"#, r#"{"dream":{"of":"sheep"}}"#] {
        let back = entries(&with_line(&format!("{{\"n\":2,\"t\":1,\"act\":{act}}}")));
        assert_eq!(shown(back.last().unwrap()), act);
    }
}

fn this_minor() -> String {
    format!("\"minor\":{}", ccc::journal::FORMAT_MINOR)
}

#[test]
fn a_newer_minor_is_read_and_what_it_added_is_passed_over() {
    let text = String::from_utf8(journal(2)).unwrap();
    let text = text.replacen(&this_minor(), "\"minor\":7,\"flavour\":\"x\"", 1)
        + "{\"n\":3,\"t\":30,\"checkpoint\":{\"core\":\"x\"}}\n{\"comment\":\"no number\"}\n"
        + "{\"n\":4,\"t\":40,\"in\":{\"elapsed\":{\"unix_ms\":4,\"zone\":\"CET\"}},\"cpu\":0.5}\n";
    let back = entries(text.as_bytes());
    assert_eq!(back.iter().map(|entry| entry.n).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(shown(&back[2]), r#"{"elapsed":{"unix_ms":4}}"#);
}

#[test]
fn an_unknown_input_is_refused_with_its_line_and_a_way_out() {
    let error = first_error(&with_line(r#"{"n":2,"t":1,"in":{"dreamt":{"of":"sheep"}}}"#));
    let ReadError::UnknownInput { line, kind, .. } = &error else { panic!("{error}") };
    assert_eq!((*line, kind.as_str()), (3, "dreamt"));
    assert!(error.to_string().contains("newer ccc"), "{error}");
}

#[test]
fn a_known_input_with_a_newer_inside_is_refused_as_newer_not_as_damage() {
    let text = String::from_utf8(with_line(r#"{"n":2,"t":1,"in":{"operator":{"paused":{}}}}"#)).unwrap();
    assert!(matches!(first_error(text.as_bytes()), ReadError::Damaged { line: 3, .. }));
    let newer = text.replacen(&this_minor(), "\"minor\":9", 1);
    let error = first_error(newer.as_bytes());
    assert!(matches!(&error, ReadError::UnknownInput { kind, .. } if kind == "operator"), "{error}");
}

#[test]
fn a_damaged_line_in_the_middle_names_path_line_and_column() {
    let error = first_error(&with_line(r#"{"n":2,"t":1,"in":{"elapsed":{"unix_ms":#}}}"#));
    let ReadError::Damaged { path, line, column, .. } = &error else { panic!("{error}") };
    assert_eq!(path, Path::new("/nowhere/journal.jsonl"));
    assert_eq!((*line, *column), (3, 41));
}

#[test]
fn lost_or_repeated_numbers_are_damage() {
    for line in [
        r#"{"n":1,"t":1,"in":{"elapsed":{"unix_ms":1}}}"#,
        r#"{"n":3,"t":1,"in":{"elapsed":{"unix_ms":1}}}"#,
        r#"{"t":1,"in":{"elapsed":{"unix_ms":1}}}"#,
        r#"{"t":1,"gap":{"from":3,"to":4,"error":""}}"#,
        r#"{"t":1,"gap":{"from":2,"to":1,"error":""}}"#,
        r#"{"n":2,"t":1,"in":{"elapsed":{"unix_ms":1}},"act":{}}"#,
    ] {
        let error = first_error(&with_line(line));
        assert!(matches!(error, ReadError::Damaged { line: 3, .. }), "{line}: {error}");
    }
}

#[test]
fn a_missing_or_changed_payload_is_named() {
    let state = tempfile::tempdir().unwrap();
    let dir = RunDir::create(state.path(), "r").unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
    writer.input(Tick(1), &json_line(&format!("\"{}\"", "x".repeat(100_000))));
    writer.commit();
    writer.sync_soon().unwrap().wait();
    // What comes after says that it is on the disk.
    writer.input(Tick(2), &json_line("{}"));
    writer.close();
    let blob = std::fs::read_dir(dir.blobs()).unwrap().next().unwrap().unwrap().path();
    let error = || JournalReader::open(&dir.journal()).unwrap().find_map(Result::err).expect("an error");

    std::fs::write(&blob, "{}").unwrap();
    let changed = error();
    assert!(matches!(&changed, ReadError::WrongBlob { line: 2, blob: named, .. } if *named == blob));
    std::fs::remove_file(&blob).unwrap();
    let missing = error();
    assert!(matches!(&missing, ReadError::MissingBlob { line: 2, blob: named, .. } if *named == blob));
    assert!(missing.to_string().contains(blob.to_str().unwrap()));
}

#[test]
fn a_payload_or_journal_that_is_no_regular_file_of_the_run_is_refused_and_nothing_hangs() {
    let state = tempfile::tempdir().unwrap();
    let dir = RunDir::create(state.path(), &plan().run_id).unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
    writer.input(Tick(1), &Input::Operator(OperatorInput::Turn { text: "x".repeat(100_000) }));
    assert_eq!(writer.close(), None);
    let read = || JournalReader::open(dir.path()).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
    assert_eq!(read().unwrap().len(), 1);
    let fifo = crate::fifo::make_fifo;
    let blob = std::fs::read_dir(dir.blobs()).unwrap().next().unwrap().unwrap().path();
    let away = state.path().join("away");
    for (file, whole) in [(&blob, false), (&dir.blobs(), true), (&dir.journal(), false)] {
        std::fs::rename(file, &away).unwrap();
        // A link to the very same content is a link all the same.
        std::os::unix::fs::symlink(&away, file).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains("a link"), "{}: {error}", file.display());
        std::fs::remove_file(file).unwrap();
        if !whole {
            fifo(file);
            let error = read().unwrap_err().to_string();
            assert!(error.contains("is a FIFO, not a regular file"), "{}: {error}", file.display());
            std::fs::remove_file(file).unwrap();
        }
        std::fs::rename(&away, file).unwrap();
    }
    assert_eq!(read().unwrap().len(), 1);
    let sparse = std::fs::OpenOptions::new().write(true).open(&blob).unwrap();
    sparse.set_len(3 << 30).unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("is larger than 256 MiB"), "{error}");
}

#[test]
fn a_payload_takes_the_place_of_whatever_stood_under_its_name() {
    let state = tempfile::tempdir().unwrap();
    let write = |before: &dyn Fn(&std::path::Path)| {
        let id = format!("r{}", std::fs::read_dir(state.path().join("runs")).map_or(0, Iterator::count));
        let dir = RunDir::create(state.path(), &id).unwrap();
        let input = Input::Operator(OperatorInput::Turn { text: "x".repeat(100_000) });
        let json = serde_json::to_string(&input).unwrap();
        before(&dir.blobs().join(ccc::journal::sha256_hex(json.as_bytes())));
        let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
        writer.input(Tick(1), &input);
        let news = writer.close();
        let read = JournalReader::open(dir.path()).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        (news, read.is_ok_and(|entries| entries.len() == 1))
    };
    let elsewhere = state.path().join("elsewhere");
    std::fs::write(&elsewhere, "untouched").unwrap();
    // An empty one is what a power cut leaves.
    assert_eq!(write(&|path| std::fs::write(path, "").unwrap()), (None, true));
    assert_eq!(write(&|path| std::os::unix::fs::symlink(&elsewhere, path).unwrap()), (None, true));
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "untouched");
    // A directory is not replaced, and that is told.
    let (news, _) = write(&|path| std::fs::create_dir(path).unwrap());
    assert!(matches!(news, Some(JournalNews::Behind { .. })), "{news:?}");
}

#[test]
fn a_payloads_name_cannot_lead_out_of_its_directory() {
    let line = r#"{"n":2,"t":1,"in_blob":{"sha256":"../../../etc/passwd","bytes":1,"kind":"line"}}"#;
    let error = first_error(&with_line(line));
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
}

#[test]
fn decisions_come_with_the_input_that_led_to_them() {
    let disk = Disk::default();
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap();
    let decide = |what: &str| Action::Decide(Decision { what: what.to_owned(), why: "because".to_owned() });
    writer.action(Tick(0), &decide("first"));
    writer.input(Tick(5), &json_line("{}"));
    writer.action(Tick(5), &Action::KillTree { proc: ccc::core::ProcId(1) });
    writer.action(Tick(6), &decide("second"));
    writer.commit();
    let bytes = disk.bytes();
    let told: Vec<_> = decisions(read(&bytes).unwrap()).map(Result::unwrap).collect();
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].n, told[0].after), (1, None));
    assert_eq!((told[1].n, told[1].after), (4, Some((2, "line"))));
    assert_eq!(told[1].decision.what, "second");
    assert_eq!(told[1].tick, Tick(6));
}

/// The compatibility promise: a journal of format 1.0, written by hand with fields of the future in every object.
#[test]
fn the_journal_of_format_1_0_is_still_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.0");
    let mut reader = JournalReader::open(&dir).unwrap();
    let plan = reader.plan().unwrap();
    assert_eq!(plan.task, "Make the tests pass.");
    assert_eq!(plan.budgets.max_iterations, 20);
    let entries: Vec<_> = reader.by_ref().map(|entry| entry.unwrap()).collect();
    let kinds: Vec<&str> = entries
        .iter()
        .map(|entry| match &entry.kind {
            EntryKind::In(input) => ccc::journal::JournalInput::kind(input),
            EntryKind::Act(_) => "act",
            EntryKind::Gap(_) => "gap",
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "began",
            "act",
            "spawned",
            "act",
            "line",
            "line",
            "line",
            "line",
            "progress",
            "gap",
            "write_failed",
            "exited",
            "check_finished",
            "tree_measured",
            "operator",
            "operator",
            "spawn_failed",
            "elapsed",
            "act",
            "act"
        ]
    );
    assert_eq!(reader.tail().torn, None);
    let summary = ccc::journal::RunSummary::read(&dir.join("run.json")).unwrap();
    assert_eq!(summary.outcome, Some(ccc::core::Outcome::Completed.into()));
}

/// The same promise for an agent's run, as the released ccc of format 1.1 recorded it with the real CLI.
#[test]
fn the_journal_of_an_agent_of_format_1_1_is_still_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.1");
    let mut reader = JournalReader::open(&dir).unwrap();
    let version = reader.header().ccc;
    assert_eq!((version.major, version.minor, reader.header().kind), (1, 1, RunKind::Agent));
    assert_eq!(reader.plan().unwrap().task, "Write hello.txt");
    assert!(reader.by_ref().inspect(|entry| assert!(entry.is_ok(), "{entry:?}")).count() > 50);
    assert_eq!(reader.tail().torn, None);
}

/// The same promise for the run of a command: recorded, with every kind of input and fields of the future in it.
#[test]
fn the_journal_of_a_command_of_format_1_1_is_still_read_and_decided_the_same_way() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.1-command");
    let mut reader = JournalReader::open_command(&dir).unwrap();
    let version = reader.header().ccc;
    assert_eq!((version.major, version.minor, reader.header().kind), (1, 1, RunKind::Command));
    let plan = reader.command_plan().unwrap();
    assert_eq!((plan.command, plan.max_restarts), (vec!["./work.sh".to_owned()], 3));
    assert_eq!(plan.heartbeat.unwrap().timeout_ms, 2_000);
    let mut kinds = BTreeSet::new();
    for entry in reader.by_ref() {
        if let EntryKind::In(input) = entry.unwrap().kind {
            kinds.insert(JournalInput::kind(&input));
        }
    }
    let all = "beat began ctrl_c elapsed exited operator resumed spawn_failed spawned stopped tokens";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all.split(' ').collect::<Vec<_>>());
    assert_eq!(reader.tail().torn, None);
    let comparison = ccc::driver::compare(&dir.join("journal.jsonl")).unwrap();
    assert_eq!(comparison.difference, None);
    assert_eq!((comparison.inputs, comparison.actions, comparison.unfinished), (38, 35, false));
    let summary = ccc::journal::RunSummary::read(&dir.join("run.json")).unwrap();
    assert_eq!((summary.kind, summary.rotations), (Some(RunKind::Command.into()), 1));
    let error = JournalReader::open(&dir).unwrap_err();
    assert!(matches!(error, ReadError::OtherKind { kind: RunKind::Command, .. }), "{error}");
}

/// Found by the fuzz target `journal`.
#[test]
fn what_would_leave_an_entry_out_or_overflow_is_damage() {
    for (line, why) in [
        // The next number would have overflowed.
        (r#"{"t":9,"gap":{"from":2,"to":18446744073709551614,"error":"full"}}"#, "out of order"),
        (r#"{"n":2,"t":18446744073709551615,"in":{"elapsed":{"unix_ms":1}}}"#, "its time of"),
        (r#"{"n":2,"t":9,"in":{"elapsed":{"unix_ms":1}},"gap":{"from":2,"to":2,"error":""}}"#, "more than one entry"),
        (r#"{"t":9,"in_blob":{"sha256":"00","bytes":1,"kind":"line"}}"#, "has no number"),
        (r#"{"n":2,"t":9,"in":null}"#, "expected value"),
    ] {
        let error = first_error(&with_line(line)).to_string();
        assert!(error.contains("line 3") && error.contains(why), "{line}: {error}");
    }
}

#[test]
fn a_resumed_run_goes_on_from_its_latest_moment() {
    let mut bytes = with_line(r#"{"n":2,"t":900,"in":{"elapsed":{"unix_ms":1}}}"#);
    bytes.extend_from_slice(b"{\"n\":3,\"t\":5,\"in\":{\"elapsed\":{\"unix_ms\":1}}}\n");
    let mut reader = read(&bytes).unwrap();
    assert_eq!(reader.by_ref().map(|entry| entry.unwrap().tick).last(), Some(Tick(5)));
    assert_eq!(reader.tail().last_tick, Tick(900));
}

/// A run of three entries, the second of which is a payload; `synced` is said after it.
fn with_payload(state: &Path, synced: bool) -> RunDir {
    let dir = RunDir::create(state, "r").unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
    writer.input(Tick(1), &json_line("{}"));
    writer.input(Tick(1), &json_line(&format!("\"{}\"", "x".repeat(100_000))));
    writer.commit();
    if synced {
        writer.sync_soon().unwrap().wait();
    }
    writer.input(Tick(2), &json_line("{}"));
    writer.close();
    dir
}

#[test]
fn damage_that_a_power_cut_can_leave_is_dropped_and_damage_before_it_is_named() {
    for synced in [false, true] {
        let state = tempfile::tempdir().unwrap();
        let dir = with_payload(state.path(), synced);
        let whole = std::fs::read(dir.journal()).unwrap();
        let blob = std::fs::read_dir(dir.blobs()).unwrap().next().unwrap().unwrap().path();
        let payload = std::fs::read(&blob).unwrap();
        let look = || {
            let mut reader = JournalReader::open(&dir.journal()).unwrap();
            let error = reader.by_ref().find_map(Result::err);
            (error.is_some(), reader.tail().next_n, reader.tail().torn.map(|torn| torn.line))
        };
        let torn = if synced { (true, 2, None) } else { (false, 2, Some(3)) };
        // A payload that is cut short, all zeros, or not there.
        for bytes in [Some(payload[..4_096].to_vec()), Some(vec![0; payload.len()]), Some(Vec::new()), None] {
            match bytes {
                Some(bytes) => std::fs::write(&blob, bytes).unwrap(),
                None => std::fs::remove_file(&blob).unwrap(),
            }
            assert_eq!(look(), torn, "synced: {synced}");
            std::fs::write(&blob, &payload).unwrap();
        }
        assert_eq!(look(), (false, 4, None));
        // A hole of zeros where a line was, with whole lines after it.
        let second = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).nth(1).unwrap();
        let mut holed = whole.clone();
        holed[second..second + 20].fill(0);
        std::fs::write(dir.journal(), &holed).unwrap();
        assert_eq!(look(), torn, "synced: {synced}");
        // The file has its length and not its end.
        let mut zeros = whole.clone();
        zeros.resize(whole.len() + 5_000, 0);
        std::fs::write(dir.journal(), &zeros).unwrap();
        let lines = whole.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(look(), (false, 4, Some(lines + 1)));
    }
}
