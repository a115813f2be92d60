//! The bodies of the fuzz targets (`fuzz/`) on a fixed corpus, so that every test run on a stable toolchain goes through
//! the same code: the fixtures, what stands in `fuzz/inputs/` (all that fuzzing has found), and crude damage to both.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/bodies/bytes.rs"]
mod bytes;
#[path = "../../fuzz/bodies/composer.rs"]
mod composer;
#[path = "../../fuzz/bodies/config.rs"]
mod config;
#[path = "../../fuzz/bodies/control.rs"]
mod control;
#[path = "../../fuzz/bodies/core.rs"]
mod core;
#[path = "../../fuzz/bodies/frames.rs"]
mod frames;
#[path = "../../fuzz/bodies/hooks.rs"]
mod hooks;
#[path = "../../fuzz/bodies/journal.rs"]
mod journal;
#[path = "../../fuzz/bodies/keys.rs"]
mod keys;
#[path = "../../fuzz/bodies/markdown.rs"]
mod markdown;
#[path = "../../fuzz/bodies/messages.rs"]
mod messages;
#[path = "../../fuzz/bodies/redactor.rs"]
mod redactor;
#[path = "../../fuzz/bodies/verdict.rs"]
mod verdict;

/// How much of a fixture is damaged: each damage is a run of its own.
const DAMAGED_BYTES: usize = 2_048;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What was found for this target, or written for it by hand.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let found = files(&root().join("fuzz/inputs").join(target));
    assert!(!found.is_empty(), "no inputs for {target}");
    found.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Files of `fixtures/` with this ending, each with these bytes in front.
fn fixtures(dir: &str, name: &str, front: &[u8]) -> Vec<Vec<u8>> {
    let all = files(&root().join("fixtures").join(dir));
    let wanted: Vec<PathBuf> = all.into_iter().filter(|path| path.to_string_lossy().ends_with(name)).collect();
    assert!(!wanted.is_empty(), "no fixtures in {dir}");
    wanted.iter().map(|path| [front, &fs::read(path).unwrap()].concat()).collect()
}

/// The input as it is, and cut, doubled, and with single bytes changed, at places that depend on nothing but its length.
fn with_damage(check: impl Fn(&[u8]), input: &[u8]) {
    check(input);
    let head = &input[..input.len().min(DAMAGED_BYTES)];
    let mut at = 1;
    while at < head.len() {
        check(&head[..at]);
        let mut changed = head.to_vec();
        for byte in [0, b'"', b'\n', head[at] ^ 1] {
            changed[at] = byte;
            check(&changed);
        }
        check(&[&head[..at], head].concat());
        at += at / 2 + 1;
    }
}

#[test]
fn frames_are_the_same_in_any_chunking_and_add_up_to_the_lines() {
    for input in inputs("frames").iter().chain(&fixtures("streams", ".jsonl", &[255, 100])) {
        with_damage(frames::check, input);
    }
}

#[test]
fn lines_of_the_control_socket_are_the_same_in_any_chunking_and_are_read_or_refused() {
    for input in inputs("control").iter().chain(&fixtures("control", ".jsonl", &[255, 100])) {
        with_damage(control::check, input);
    }
}

#[test]
fn every_line_is_understood_or_passed_over_and_each_turn_ends_once() {
    for input in inputs("messages").iter().chain(&fixtures("streams", ".jsonl", b"!0\n")) {
        with_damage(messages::check, input);
    }
}

#[test]
fn hooks_of_the_interface_may_tell_anything_in_any_order_and_each_turn_ends_once() {
    // Recordings are longer than what is damaged: their ends are damaged, too.
    let tails = fixtures("hooks", ".jsonl", b"");
    let tails =
        tails.iter().filter_map(|whole| Some([b"w\n", whole.get(whole.len().checked_sub(DAMAGED_BYTES)?..)?].concat()));
    let tails: Vec<Vec<u8>> = tails.collect();
    for input in inputs("hooks").iter().chain(&fixtures("hooks", ".jsonl", b"w\n")).chain(&tails) {
        with_damage(hooks::check, input);
    }
}

#[test]
fn a_journal_that_is_accepted_can_be_resumed_and_written_on() {
    let whole = fixtures("runs", "journal.jsonl", b"");
    let compat = fixtures("compat", "journal.jsonl", b"");
    // The header of a fixture is long: behind the short one of the target, damage meets entries.
    let entries = whole.iter().chain(&compat).map(|journal| {
        let end = journal.iter().position(|byte| *byte == b'\n').unwrap();
        let of_command = String::from_utf8_lossy(&journal[..end]).contains(r#""kind":"command""#);
        let front: &[u8] = if of_command { b"c" } else { b"\n" };
        [front, &journal[end + 1..]].concat()
    });
    let entries: Vec<Vec<u8>> = entries.collect();
    for input in inputs("journal").iter().chain(&whole).chain(&compat).chain(&entries) {
        with_damage(journal::check, input);
    }
}

#[test]
fn a_configuration_says_what_its_file_says_or_where_it_is_wrong() {
    for input in inputs("config") {
        with_damage(config::check, &input);
    }
}

#[test]
fn no_piece_of_a_known_secret_survives_and_json_stays_json() {
    for input in inputs("redactor").iter().chain(&fixtures("runs", "run.json", b"")) {
        with_damage(redactor::check, input);
    }
}

#[test]
fn a_verdict_is_what_a_second_reading_of_the_rule_says() {
    for input in inputs("verdict") {
        with_damage(verdict::check, &input);
    }
}

#[test]
fn the_core_takes_inputs_in_any_order_and_its_deadlines_lead_somewhere() {
    for input in inputs("core") {
        with_damage(core::check, &input);
    }
}

#[test]
fn keys_are_the_same_in_any_chunking() {
    for input in inputs("keys") {
        with_damage(keys::check, &input);
    }
}

#[test]
fn a_draft_is_drawn_whatever_is_typed_and_can_be_undone() {
    for input in inputs("composer").iter().chain(&inputs("keys")) {
        with_damage(composer::check, input);
    }
}

#[test]
fn markdown_is_the_same_in_any_chunking() {
    for input in inputs("markdown") {
        with_damage(markdown::check, &input);
    }
}
