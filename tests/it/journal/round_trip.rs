use std::path::Path;

use ccc::core::supervised::{CommandAction, CommandInput};
use ccc::core::{Action, Input, Show, Tick};
use ccc::journal::{EntryKind, JournalAction, JournalInput, JournalReader, JournalWriter, RunDir};
use proptest::prelude::*;
use redaction::Redactor;

use super::samples::{
    Disk, Item, command_action, command_header, command_input, command_plan, entries, header, item, json_line, plan,
    read, shown,
};

fn expected(item: &Item) -> String {
    match item {
        Item::In(input) => serde_json::to_string(input).unwrap().replace('\n', " "),
        Item::Act(action) => serde_json::to_string(action).unwrap(),
    }
}

proptest! {
    #[test]
    fn every_input_and_action_comes_back(items in proptest::collection::vec(item(), 0..30), tick in any::<u32>()) {
        let disk = Disk::default();
        let mut writer = JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap();
        let mut numbers = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let now = Tick(u64::from(tick) + index as u64);
            numbers.push(match item {
                Item::In(input) => writer.input(now, input),
                Item::Act(action) => writer.action(now, action).unwrap(),
            });
            if index % 3 == 0 {
                prop_assert_eq!(writer.commit(), None);
            }
        }
        prop_assert_eq!(writer.commit(), None);

        let bytes = disk.bytes();
        let back = entries(&bytes);
        prop_assert_eq!(back.len(), items.len());
        for (index, (entry, item)) in back.iter().zip(&items).enumerate() {
            prop_assert_eq!(entry.n, numbers[index]);
            prop_assert_eq!(entry.tick, Tick(u64::from(tick) + index as u64));
            prop_assert_eq!(matches!(entry.kind, EntryKind::In(_)), matches!(item, Item::In(_)));
            prop_assert_eq!(shown(entry), expected(item));
        }
        prop_assert_eq!(read(&bytes).unwrap().plan().unwrap(), plan());
    }

    #[test]
    fn every_input_and_action_of_a_command_comes_back(
        items in proptest::collection::vec((command_input(), command_action()), 0..15),
    ) {
        let disk = Disk::default();
        let mut writer = JournalWriter::with_sink(disk.clone(), &command_header(), Redactor::new()).unwrap();
        for (tick, (input, action)) in items.iter().enumerate() {
            writer.input(Tick(tick as u64), input);
            prop_assert!(writer.action(Tick(tick as u64), action).is_some());
        }
        prop_assert_eq!(writer.commit(), None);

        let bytes = disk.bytes();
        let mut reader = JournalReader::command_from_reader(Path::new("/nowhere/journal.jsonl"), bytes.as_slice()).unwrap();
        prop_assert_eq!(reader.command_plan().unwrap(), command_plan());
        for (input, action) in &items {
            match reader.next().unwrap().unwrap().kind {
                EntryKind::In(back) => prop_assert_eq!(&back, input),
                other @ (EntryKind::Act(_) | EntryKind::Gap(_)) => prop_assert!(false, "{:?}", other),
            }
            match reader.next().unwrap().unwrap().kind {
                EntryKind::Act(text) => prop_assert_eq!(&serde_json::from_str::<CommandAction>(text.get()).unwrap(), action),
                other @ (EntryKind::In(_) | EntryKind::Gap(_)) => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(reader.next().is_none());
    }

    #[test]
    fn the_kind_of_an_action_is_its_tag_in_the_journal(action in super::samples::action(), of_command in super::samples::command_action()) {
        let tag = |json: serde_json::Value| match json.as_object() {
            Some(fields) => fields.keys().next().unwrap().clone(),
            None => json.as_str().unwrap().to_owned(),
        };
        let of_action = JournalAction::kind(&action);
        prop_assert_eq!(tag(serde_json::to_value(&action).unwrap()), of_action);
        prop_assert!(Action::KINDS.contains(&of_action));
        prop_assert_eq!(tag(serde_json::to_value(&of_command).unwrap()), JournalAction::kind(&of_command));
    }

    #[test]
    fn the_kind_of_an_input_is_its_tag_in_the_journal(input in super::samples::input(), of_command in command_input()) {
        let json = serde_json::to_value(&input).unwrap();
        prop_assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), vec![input.kind()]);
        let json = serde_json::to_value(&of_command).unwrap();
        let kind = JournalInput::kind(&of_command);
        prop_assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), vec![kind]);
        prop_assert!(CommandInput::knows(kind));
    }
}

#[test]
fn an_agents_line_stands_verbatim_and_jq_can_reach_it() {
    let disk = Disk::default();
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap();
    let odd = r#"{"type" : "assistant","n":1.50e+02,"dup":1,"dup":2,"u":"\u00e9\/"}"#;
    writer.input(Tick(7), &json_line(odd));
    writer.commit();
    let text = String::from_utf8(disk.bytes()).unwrap();
    let line = text.lines().nth(1).unwrap();
    assert_eq!(line, format!(r#"{{"n":1,"t":7,"in":{{"line":{{"proc":1,"line":{{"json":{odd}}}}}}}}}"#));
}

#[test]
fn what_is_shown_is_not_journalled() {
    let disk = Disk::default();
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap();
    let show = Action::Show(Show::Notice { text: "hello".to_owned() });
    assert_eq!(writer.action(Tick(1), &show), None);
    assert_eq!(writer.input(Tick(2), &Input::Elapsed { unix_ms: 5 }), 1);
    writer.commit();
    assert_eq!(entries(&disk.bytes()).len(), 1);
}

#[test]
fn one_commit_is_one_write() {
    let disk = Disk::default();
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), Redactor::new()).unwrap();
    for unix_ms in 0..100 {
        writer.input(Tick(1), &Input::Elapsed { unix_ms });
    }
    assert_eq!(disk.writes(), 0, "nothing is written before the commit");
    writer.commit();
    assert_eq!(disk.writes(), 1);
    writer.commit();
    assert_eq!(disk.writes(), 1, "an empty commit writes nothing");
}

#[test]
fn big_payloads_go_to_blobs_and_come_back() {
    let state = tempfile::tempdir().unwrap();
    let dir = RunDir::create(state.path(), "20261120-191822-k3f9").unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
    let big = json_line(&format!("{{\"text\":\"{}\"}}", "x".repeat(200_000)));
    let long_note = Action::Note(ccc::core::Note { about: "long".to_owned(), text: "y".repeat(100_000) });
    writer.input(Tick(1), &big);
    writer.action(Tick(1), &long_note);
    writer.input(Tick(2), &big);
    assert_eq!(writer.close(), None);

    let text = std::fs::read_to_string(dir.journal()).unwrap();
    assert!(text.lines().all(|line| line.len() < 4_096));
    assert_eq!(text.matches("in_blob").count(), 2);
    assert_eq!(std::fs::read_dir(dir.blobs()).unwrap().count(), 2, "equal payloads are kept once");
    let back: Vec<String> = JournalReader::open(dir.path()).unwrap().map(|entry| shown(&entry.unwrap())).collect();
    let big = serde_json::to_string(&big).unwrap();
    let long_note = serde_json::to_string(&long_note).unwrap();
    assert_eq!(back, [big.clone(), long_note, big]);
}
