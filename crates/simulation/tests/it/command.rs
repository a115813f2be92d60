//! The built program `simulate`.

use std::process::{Command, Output};

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(args)
        .env("HOME", "/nonexistent")
        .output()
        .expect("the program runs")
}

/// The summary of the nights without the line that says how long they took.
fn summary(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| !line.starts_with("speed ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_seeds_add_up_to_the_same_on_one_thread_and_on_many() {
    let one = simulate(&["--seeds", "0..200", "--jobs", "1"]);
    let many = simulate(&["--seeds", "0..200", "--jobs", "3"]);
    assert_eq!(one.status.code(), Some(0), "{}", String::from_utf8_lossy(&one.stdout));
    assert_eq!(summary(&one), summary(&many));
    for row in ["seeds            0..200", "nights           200", "outcomes  ", "faults  ", "broken           0"] {
        assert!(summary(&one).contains(row), "no {row:?} in\n{}", summary(&one));
    }
}

#[test]
fn one_night_is_shown_in_columns() {
    let shown = simulate(&["--trace", "3"]);
    assert_eq!(shown.status.code(), Some(0));
    let text = String::from_utf8_lossy(&shown.stdout);
    let mut lines = text.lines();
    let heads = lines.next().expect("the heads");
    let input = heads.find("input").expect("a column of inputs");
    let first = lines.next().expect("the first transition");
    assert!(first[input..].starts_with("Began"), "{heads}\n{first}");
    assert_eq!(simulate(&["--trace", "3"]).stdout, shown.stdout);
}

#[test]
fn a_range_that_is_none_is_refused() {
    let refused = simulate(&["--seeds", "5..5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no seed in this range"));
}

#[test]
fn fleets_add_up_to_the_same_on_one_thread_and_on_many() {
    let one = simulate(&["fleet", "--seeds", "0..12", "--jobs", "1"]);
    let many = simulate(&["fleet", "--seeds", "0..12", "--jobs", "3"]);
    assert_eq!(one.status.code(), Some(0), "{}", String::from_utf8_lossy(&one.stdout));
    assert_eq!(summary(&one), summary(&many));
    assert!(summary(&one).contains("fleets           12"), "{}", summary(&one));
    let shown = simulate(&["fleet", "--trace", "3"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("a00 is new"));
    assert_eq!(simulate(&["fleet", "--trace", "3"]).stdout, shown.stdout);
}
