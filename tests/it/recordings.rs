//! What can be made of a recorded run on the command line, and what is said of one that cannot be read.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::whole_runs::harness::Ground;

fn demo() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs/demo")
}

fn ccc(dir: &Path, args: &[&str]) -> Output {
    Command::new(crate::program::ccc())
        .args(args)
        .current_dir(dir)
        .env("HOME", dir)
        .env("CCC_STATE_DIR", dir.join("state"))
        .output()
        .expect("ccc runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_run_becomes_a_terminal_recording_that_a_player_can_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = demo().display().to_string();
    let output = ccc(dir.path(), &["export", &run, "-o", "night.cast"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let cast = fs::read_to_string(dir.path().join("night.cast")).expect("a recording");
    let mut lines = cast.lines();
    let header: Value = serde_json::from_str(lines.next().expect("a header")).expect("JSON");
    assert_eq!((&header["version"], &header["term"]["cols"]), (&json!(3), &json!(100)));
    let events: Vec<(f64, String, String)> = lines.map(|line| serde_json::from_str(line).expect("an event")).collect();
    let shown: String = events.iter().map(|(_, _, data)| data.as_str()).collect();
    assert!(shown.contains("wordcount.sh") && shown.contains("Completed"), "{shown}");
    assert!(events.iter().all(|(pause_s, _, _)| *pause_s >= 0.0));
    let whole_s: f64 = events.iter().map(|(pause_s, _, _)| pause_s).sum();
    assert!((5.0..60.0).contains(&whole_s), "it takes as long as the night did: {whole_s} s");
}

#[test]
fn a_run_becomes_a_fixture_at_the_place_that_was_named_and_nowhere_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = demo().display().to_string();
    let output = ccc(dir.path(), &["export", &run, "--format", "fixture", "-o", "copy"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let check = ccc(dir.path(), &["replay", "--check", "./copy"]);
    assert!(check.status.success(), "{}", text(&check.stdout));
    let names: Vec<_> =
        fs::read_dir(dir.path()).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["copy"]);

    let again = ccc(dir.path(), &["export", &run, "--format", "fixture", "-o", "copy"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("copy"), "{}", text(&again.stderr));
    let nowhere = ccc(dir.path(), &["export", &run, "--format", "fixture"]);
    assert_eq!(nowhere.status.code(), Some(2), "a fixture needs a place");
}

#[test]
fn the_speed_of_a_replay_changes_when_it_is_shown_and_not_what() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = demo().display().to_string();
    let at_once = ccc(dir.path(), &["replay", &run]);
    let faster = ccc(dir.path(), &["replay", "--speed", "10000x", &run]);
    assert!(at_once.status.success() && faster.status.success());
    assert_eq!(text(&at_once.stdout), text(&faster.stdout));
    assert!(text(&at_once.stdout).contains("verdict 3: completed"));
}

#[test]
fn an_explanation_tells_the_time_of_day_in_the_users_zone() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = demo().display().to_string();
    let told = |zone: &str| {
        let mut command = Command::new(crate::program::ccc());
        let output = command.args(["explain", &run]).env("HOME", dir.path()).env("TZ", zone).output().expect("ccc");
        text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let journal = fs::read_to_string(demo().join("journal.jsonl")).expect("a journal");
    let began: Value = serde_json::from_str(journal.lines().nth(1).expect("an input")).expect("JSON");
    let unix_ms = began["in"]["began"]["unix_ms"].as_i64().expect("a time");
    let began = jiff::Timestamp::from_millisecond(unix_ms).expect("a time");
    for (zone, offset) in [("UTC", 0), ("Asia/Kolkata", 19_800), ("XYZ+3", -10_800)] {
        let zone_there = jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(offset).expect("an offset"));
        let there = began.to_zoned(zone_there);
        let lines = told(zone);
        assert_eq!(lines[2], there.strftime("%Y-%m-%d").to_string(), "{zone}");
        assert!(lines[3].starts_with(&there.strftime("%H:%M:%S  0:00:00  ").to_string()), "{zone}: {}", lines[3]);
        assert!(lines[4..].iter().all(|line| line.contains("  0:00:")), "{lines:#?}");
    }
}

#[test]
fn the_commands_of_the_page_about_ci_work() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/replay-in-ci.md");
    let page = fs::read_to_string(page).expect("the page");
    let commands = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("commands");
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("state");
    for made in [&state, &state.join("runs")] {
        fs::DirBuilder::new().mode(0o700).create(made).expect("made");
    }
    let made = ccc(
        dir.path(),
        &["export", &demo().display().to_string(), "--format", "fixture", "-o", "state/runs/20261120-191822-aaaa"],
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    let bin = Path::new(crate::program::ccc()).parent().expect("a directory");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let shell = Command::new("sh")
        .args(["-ec", commands])
        .current_dir(dir.path())
        .envs([("PATH", path.as_str()), ("HOME", dir.path().to_str().expect("UTF-8"))])
        .env("CCC_STATE_DIR", &state)
        .output()
        .expect("sh runs");
    assert!(shell.status.success(), "{}", text(&shell.stderr));
    assert!(text(&shell.stdout).contains("the same"), "{}", text(&shell.stdout));
}

#[test]
fn a_journal_that_cannot_be_read_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("run/journal.jsonl")).expect("mkdir");
    fs::create_dir(dir.path().join("binary")).expect("mkdir");
    fs::write(dir.path().join("binary/journal.jsonl"), [0xff, 0xfe, 0x00, b'\n']).expect("write");
    for (name, code) in [("run", 2), ("./run", 1), ("./binary", 1)] {
        for command in
            [vec!["replay", name], vec!["replay", "--check", name], vec!["explain", name], vec!["export", name]]
        {
            let output = ccc(dir.path(), &command);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
            assert!(said.contains(name) && !said.contains("panicked"), "{command:?}: {said}");
        }
    }
}

#[test]
fn bytes_of_an_agent_that_are_no_text_pass_through_the_whole_program() {
    let ground = Ground::new();
    let scripted =
        ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    let body = format!("printf 'bad \\377\\376 bytes\\n\\302\\n'\nexec '{}' \"$@\"", scripted.display());
    let agent = ground.script("odd-agent", &body);
    // The harness also replays the run, and looks for what it left behind.
    let ended = ground.supervise("http://127.0.0.1:9", &agent, &["-p", "do it"]).end();
    ended.assert_code(0);
}
