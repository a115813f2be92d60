//! Whole recorded runs, replayed: each must ask for the same actions as it did, and show the user the same.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ccc::driver;

fn recordings() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs");
    let mut all: Vec<PathBuf> = fs::read_dir(&root)
        .expect("fixtures/runs")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("journal.jsonl").is_file())
        .collect();
    all.sort();
    assert!(all.len() >= 4, "there are recorded runs in {}", root.display());
    all
}

#[test]
fn every_recorded_run_is_decided_the_same_way_again() {
    for run in recordings() {
        let comparison = driver::compare(&run.join("journal.jsonl")).expect("a readable journal");
        assert_eq!(comparison.difference, None, "{}: accept it with `ccc replay --bless`", run.display());
        assert!(comparison.inputs > 10 && comparison.actions > 10, "{}: {comparison:?}", run.display());
    }
}

#[test]
fn every_recorded_run_shows_the_user_the_same_again() {
    for run in recordings() {
        let output = Command::new(crate::program::ccc())
            .arg("replay")
            .arg(&run)
            .env("NO_COLOR", "1")
            .env("TZ", "UTC")
            .output()
            .expect("ccc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let name = run.file_name().expect("a name").to_string_lossy().into_owned();
        // Where the fixture lies is this machine's business.
        let text = String::from_utf8(output.stdout).expect("UTF-8").replace(&run.display().to_string(), "RUN");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn a_recording_that_would_be_decided_otherwise_is_shown_and_can_be_accepted() {
    let run = recordings().remove(0);
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("run");
    fs::create_dir(&copy).expect("mkdir");
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let changed = journal.replacen("the task is the first turn", "the task is the last turn", 1);
    assert_ne!(journal, changed);
    fs::write(copy.join("journal.jsonl"), changed).expect("write");
    let ccc = |args: &[&str]| {
        let output = Command::new(crate::program::ccc()).args(args).arg(&copy).output().expect("ccc runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = ccc(&["replay", "--check"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("-    \"why\": \"the task is the last turn\""), "{text}");
    assert!(text.contains("+    \"why\": \"the task is the first turn\""), "{text}");
    assert_eq!(ccc(&["replay", "--bless"]).0, Some(0));
    assert_eq!(ccc(&["replay", "--check"]).0, Some(0));
    let accepted = fs::read_to_string(copy.join("journal.jsonl")).expect("a journal");
    assert!(accepted.contains("the task is the first turn"));
}

#[test]
fn actions_that_are_lost_before_the_users_words_are_a_difference_unless_another_life_follows() {
    let run = recordings().remove(0);
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("journal.jsonl");
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let lines: Vec<&str> = journal.lines().collect();
    let is_action = |line: &str| line.contains(r#","act":"#);
    // Up to an input whose actions are not there; the beginning is not one of them.
    let is_lost = |at: &usize| is_action(lines[*at]) && !is_action(lines[at - 1]);
    let lost = (3..lines.len()).find(is_lost).expect("an action");
    let before = lines[..lost].join("\n");
    let last: serde_json::Value = serde_json::from_str(lines[lost - 1]).expect("JSON");
    let (n, t) = (last["n"].as_u64().expect("a number"), last["t"].as_u64().expect("a time"));
    let entry = |after: u64, input: &str| format!("{{\"n\":{},\"t\":{t},\"in\":{input}}}", n + after);
    let words = entry(1, r#"{"operator":{"turn":{"text":"keep it short"}}}"#);
    let mid_run = entry(2, r#"{"elapsed":{"unix_ms":1}}"#);
    let new_life = entry(2, r#"{"began":{"unix_ms":1,"resumed":true}}"#);
    for (next, differs) in [(mid_run, true), (new_life, false)] {
        fs::write(&copy, format!("{before}\n{words}\n{next}\n")).expect("write");
        let comparison = driver::compare(&copy).expect("a readable journal");
        let found = comparison.difference.map(|difference| (difference.n, difference.replayed.is_some()));
        assert_eq!(found, differs.then_some((n + 1, true)), "{next}");
    }
}

#[test]
fn a_run_whose_ccc_died_of_what_it_was_given_last_is_replayed_without_a_difference() {
    let run = recordings().remove(0);
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("journal.jsonl");
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let last: serde_json::Value = serde_json::from_str(journal.lines().last().expect("entries")).expect("JSON");
    let (n, t) = (last["n"].as_u64().expect("a number") + 1, last["t"].as_u64().expect("a time"));
    // Its decision is not there: ccc died before that was written.
    let bounds = r#"{"max_iterations":9,"max_duration_ms":null,"max_cost_usd":null,"max_restarts":5,"max_repeats":3}"#;
    let given = format!(r#"{{"n":{n},"t":{t},"in":{{"operator":{{"budgets":{bounds}}}}}}}"#);
    fs::write(&copy, format!("{journal}{given}\n")).expect("write");
    let comparison = driver::compare(&copy).expect("a readable journal");
    assert_eq!(comparison.difference, None);
    assert!(comparison.unfinished, "it can be gone on with");
}

#[test]
fn an_end_that_was_recorded_without_its_spent_bound_is_the_same_end() {
    let run = recordings().into_iter().find(|run| run.ends_with("stuck-2.1.329")).expect("the recording");
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("journal.jsonl");
    let recorded = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let bounded = recorded.replacen(r#""max_iterations":20"#, r#""max_iterations":2"#, 1);
    assert_ne!(recorded, bounded);
    fs::write(&copy, bounded).expect("write");
    driver::bless(&copy).expect("a readable journal");
    let told = fs::read_to_string(&copy).expect("a journal");
    let spent = r#","spent":{"bound":"iterations","used":{"count":2},"limit":{"count":2}}"#;
    assert_eq!(told.matches(spent).count(), 1, "{told}");
    let silent = told.replace(spent, "");
    let differs = |text: &str| {
        fs::write(&copy, text).expect("write");
        driver::compare(&copy).expect("a readable journal").difference.is_some()
    };
    assert!(!differs(&told));
    assert!(!differs(&silent));
    assert!(differs(&told.replace(r#""used":{"count":2}"#, r#""used":{"count":3}"#)));
    assert!(differs(&silent.replace("2 of 2 iterations are spent", "3 of 2 iterations are spent")));
}
