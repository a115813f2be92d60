//! What a power cut leaves of a run: on a disk that forgets what was not synced, cut at every place.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use ccc::core::{Action, Core, Input, LineFact, ProcId, TurnId};
use ccc::driver::{ReplayError, rebuild};
use ccc::journal::{
    Durable, EntryKind, FileSink, Header, JournalNews, JournalReader, JournalWriter, ReadError, RunDir,
};
use redaction::Redactor;
use serde_json::value::RawValue;

use super::forgetful::{Dice, ForgetfulDisk, lying};
use super::samples::{json_line, shown};

const STATE: &str = "/home/state";
/// How often each place is cut, each time with other luck.
const LUCKS: u64 = 4;
/// How often a sync is waited for, each time for as long as a run waits for one.
const SYNC_WAITS: usize = 30;

/// A run as it was written: every entry as text, and the turns that the agent was given, by the entry that says so.
struct Written {
    run: String,
    entries: Vec<String>,
    turns: Vec<(u64, TurnId)>,
    summaries: Vec<Vec<u8>>,
}

/// A line that an agent may say, that means nothing, and that is too long for the journal itself.
fn long_line(proc: ProcId, number: usize) -> Input {
    let json = format!("{{\"type\":\"pad\",\"number\":{number},\"pad\":\"{}\"}}", "x".repeat(70_000));
    Input::Line { proc, line: LineFact::Json(RawValue::from_string(json).unwrap()) }
}

/// Commits, and waits until it is written. A run does not wait for a disk that is silent for a moment, and this one is as long as
/// a loaded machine lets its thread stand.
fn commit(writer: &mut JournalWriter<FileSink>) {
    loop {
        let news = writer.commit();
        let is_whole = matches!(
            news,
            None | Some(
                JournalNews::Behind { .. } | JournalNews::NotSynced { .. } | JournalNews::Recovered { lost_entries: 0 }
            )
        );
        assert!(is_whole, "{news:?}");
        if writer.pending_bytes() == 0 {
            return;
        }
        std::thread::yield_now();
    }
}

/// Waits for a sync for longer than a run does.
fn wait_for(durable: &Durable) {
    (0..SYNC_WAITS).for_each(|_| durable.wait());
}

/// A recorded night, decided and written again on this disk, with long lines in between. A turn is given to the agent when
/// its record is on the disk, as the child's writer does it.
fn night(disk: &ForgetfulDisk) -> Written {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs/stuck-2.1.329");
    let reader = JournalReader::open(&fixture).unwrap();
    let plan = reader.plan().unwrap();
    let dir = RunDir::create_on(disk, Path::new(STATE), &plan.run_id).unwrap();
    let sink = FileSink::open_on(Arc::new(disk.clone()), &dir.journal(), &dir.blobs()).unwrap();
    let header = Header::new(&plan, "0.1.0").unwrap();
    let mut writer = JournalWriter::with_sink(sink, &header, Redactor::new()).unwrap();
    let mut core = Core::new(plan.clone());
    let mut written = Written { run: plan.run_id, entries: Vec::new(), turns: Vec::new(), summaries: Vec::new() };
    let mut steps = Vec::new();
    for entry in reader.map(Result::unwrap) {
        let EntryKind::In(input) = entry.kind else { continue };
        if let (Input::Line { proc, .. }, true) = (&input, steps.len() % 20 == 5) {
            steps.push((entry.tick, long_line(*proc, steps.len())));
        }
        steps.push((entry.tick, input));
    }
    for (step, (tick, input)) in steps.into_iter().enumerate() {
        written.entries.push(serde_json::to_string(&input).unwrap());
        writer.input(tick, &input);
        core.handle(tick, input);
        let mut sends = Vec::new();
        while let Some(action) = core.poll_action() {
            let Some(n) = writer.action(tick, &action) else { continue };
            written.entries.push(serde_json::to_string(&action).unwrap());
            if let Action::Send(send) = action {
                sends.push((n, send.turn));
            }
        }
        commit(&mut writer);
        for (n, turn) in sends {
            wait_for(&writer.sync_soon().expect("a disk that can be waited for"));
            disk.did(n);
            written.turns.push((n, turn));
        }
        if step % 17 == 3 {
            let json = format!("{{\"version\":1,\"step\":{step}}}").into_bytes();
            assert!(writer.replace_soon(&dir.summary(), &json));
            written.summaries.push(json);
        }
        if step % 11 == 7 {
            writer.sync_news_soon();
        }
    }
    let news = writer.close();
    assert!(matches!(news, None | Some(JournalNews::NotSynced { .. })), "{news:?}");
    written
}

/// What was found after one power cut.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing had begun, and that is said.
    NothingBegun,
    /// So many entries; the run goes on.
    Resumable { entries: usize, torn: bool },
}

/// Looks at what a power cut has left, as `ccc resume` does, and goes on with it.
fn look(root: &Path, written: &Written, given: u64, go_on: bool) -> Result<Found, String> {
    let dir = RunDir::at(&root.join(STATE.trim_start_matches('/')), &written.run).unwrap();
    let rebuilt = match rebuild(&dir.journal(), |_, _| {}) {
        Err(ReplayError::Read(ReadError::NoHeader { .. })) | Err(ReplayError::Read(ReadError::Io { .. })) => {
            return if given == 0 { Ok(Found::NothingBegun) } else { Err(format!("turn {given} is lost")) };
        }
        other => other.map_err(|error| error.to_string())?,
    };
    let there = rebuilt.tail.next_n - 1;
    if there < given {
        return Err(format!("the agent had the turn of entry {given}, the journal ends at {there}"));
    }
    let read = |path: &Path| -> Vec<String> {
        JournalReader::open(path).unwrap().map(|entry| shown(&entry.unwrap())).collect()
    };
    let entries = read(dir.path());
    if entries != written.entries[..entries.len()] || entries.len() as u64 != there {
        return Err("what is read is no beginning of what was written".to_owned());
    }
    if let Ok(summary) = std::fs::read(dir.summary())
        && !written.summaries.contains(&summary)
    {
        return Err(format!("half a summary: {}", String::from_utf8_lossy(&summary)));
    }
    never_twice(rebuilt.core.clone(), written, given)?;

    if !go_on {
        return Ok(Found::Resumable { entries: entries.len(), torn: rebuilt.tail.torn.is_some() });
    }
    // Another life goes on in the same place, with a payload that may be there already by name only.
    let torn = rebuilt.tail.torn.is_some();
    let mut writer = JournalWriter::append_at(&dir.journal(), &dir.blobs(), &rebuilt.tail, Redactor::new()).unwrap();
    let again: Vec<Input> =
        (0..2).map(|number| long_line(ProcId(1), number * 20 + 5)).chain([json_line("{}")]).collect();
    for input in &again {
        writer.input(rebuilt.tail.last_tick, input);
        commit(&mut writer);
    }
    if let Some(news) = writer.close().filter(|news| !matches!(news, JournalNews::NotSynced { .. })) {
        return Err(format!("{news:?}"));
    }
    let longer = read(dir.path());
    if longer.len() != entries.len() + again.len() || longer[..entries.len()] != entries[..] {
        return Err("the run does not go on where it was".to_owned());
    }
    Ok(Found::Resumable { entries: entries.len(), torn })
}

/// The session's own record has every turn that was given; none of them is given again.
fn never_twice(mut core: Core, written: &Written, given: u64) -> Result<(), String> {
    let had: HashSet<&TurnId> = written.turns.iter().filter(|(n, _)| *n <= given).map(|(_, turn)| turn).collect();
    let turn_recorded = core.unanswered_turn().map(|(_, turn)| had.contains(turn));
    let now = core.poll_timeout().unwrap_or_default();
    core.handle(now, Input::Began { unix_ms: 1_900_000_000_000, resumed: true, turn_recorded, tokens: Vec::new() });
    let mut spawned = Vec::new();
    for _ in 0..100 {
        while let Some(action) = core.poll_action() {
            if let Action::Send(send) = &action
                && had.contains(&send.turn)
            {
                return Err(format!("turn {:?} is given twice", send.turn));
            }
            if let Action::Spawn(spawn) = action {
                spawned.push(spawn.proc);
            }
        }
        let Some(proc) = spawned.pop() else { break };
        core.handle(now, Input::Spawned { proc, pid: 1, transport: "pipe".to_owned() });
    }
    Ok(())
}

fn every_cut(disk: &ForgetfulDisk, written: &Written) -> (usize, Vec<(usize, Found)>, Vec<String>) {
    let (mut cuts, mut found, mut refused) = (0, Vec::new(), Vec::new());
    for cut in 0..=disk.len() {
        for luck in 0..LUCKS {
            cuts += 1;
            let root = tempfile::tempdir().unwrap();
            let mut dice = Dice((cut as u64) << 8 | luck);
            disk.after_power_cut(cut, &mut dice, root.path());
            match look(root.path(), written, disk.done_before(cut), luck == 0) {
                Ok(it) => found.push((cut, it)),
                Err(why) => refused.push(format!("cut {cut}, luck {luck}: {why}")),
            }
        }
    }
    (cuts, found, refused)
}

#[test]
fn no_power_cut_takes_a_turn_or_gives_it_twice_or_stops_a_resume() {
    let disk = ForgetfulDisk::default();
    let written = night(&disk);
    let (cuts, found, refused) = every_cut(&disk, &written);
    assert_eq!(refused, Vec::<String>::new());
    assert!(cuts >= 1_000, "{cuts} cuts");
    let torn = found.iter().filter(|(_, it)| matches!(it, Found::Resumable { torn: true, .. })).count();
    let nothing = found.iter().filter(|(_, it)| *it == Found::NothingBegun).count();
    let whole = found
        .iter()
        .filter(|(_, it)| matches!(it, Found::Resumable { entries, .. } if *entries == written.entries.len()))
        .count();
    println!(
        "{cuts} power cuts: {torn} torn tails dropped, {nothing} before anything began, {whole} with the whole run"
    );
    assert!(torn > 50 && nothing > 0 && whole > 0, "{torn} {nothing} {whole}: the cuts reach everything");
}

#[test]
fn payloads_that_are_not_synced_are_noticed_by_this_test() {
    let disk = lying();
    let written = night(&disk);
    let (_, _, refused) = every_cut(&disk, &written);
    assert!(refused.iter().any(|why| why.contains("payload")), "{refused:#?}");
}
