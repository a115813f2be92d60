use ccc::core::{Input, OperatorInput, Tick};
use ccc::journal::JournalWriter;
use redaction::Redactor;

use self::secrets::samples;
use super::samples::{Disk, entries, header, json_line, shown};

#[path = "../../../crates/redaction/src/samples.rs"]
mod secrets;

fn json_of(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn no_secret_gets_into_a_journal() {
    let disk = Disk::default();
    let redactor = Redactor::with_values(["the-live-credential"]);
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), redactor).unwrap();
    let all: Vec<String> = samples().into_iter().map(|(_, secret)| secret).collect();
    let text = format!("the-live-credential {}", all.join(" "));
    writer.input(Tick(1), &json_line(&json_of(&text)));
    writer.input(Tick(2), &Input::Operator(OperatorInput::Turn { text: text.clone() }));
    let big = format!("{}{text}", "x".repeat(100_000));
    writer.input(Tick(3), &json_line(&json_of(&big)));
    writer.commit();
    let mut written = disk.bytes();
    written.extend(disk.blobs().into_values().flatten());
    let written = String::from_utf8(written).unwrap();
    assert!(!written.contains("0123456789abcdef"), "{written}");
    assert!(!written.contains("the-live-credential"));
    // Once for each sample, in each of the three.
    assert_eq!(written.matches("[redacted:").count(), 3 * (all.len() + 1));
}

/// A replay must meet the inputs that the core met: what the driver has redacted, the writer leaves as it is.
#[test]
fn the_writers_pass_changes_nothing_in_what_was_redacted_before() {
    let redactor = Redactor::new();
    let line = json_of(&format!("use {}", samples()[0].1));
    let seen_by_core = json_line(&redactor.json_str(&line));
    let disk = Disk::default();
    let mut writer = JournalWriter::with_sink(disk.clone(), &header(), redactor).unwrap();
    writer.input(Tick(1), &seen_by_core);
    writer.commit();
    let back = entries(&disk.bytes());
    assert_eq!(shown(&back[0]), serde_json::to_string(&seen_by_core).unwrap());
}
