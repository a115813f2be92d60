//! A screen that is gone, or that nobody reads: the work goes on.

use std::cell::RefCell;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::world::World;
use crate::whole_runs::harness::{Ground, look_until};

fn wordy() -> Value {
    let steps: Vec<Value> = (0..60).map(|n| json!({"say": format!("{n} {}", "so it is ".repeat(300))})).collect();
    json!({"agent": [steps], "critic": [[{"say": "Good.\n\n[TASK_COMPLETED]"}]]})
}

/// What is done with ccc's stdout and stderr.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Read,
    /// Its reader is gone at once.
    Closed,
    /// Its reader holds it and reads nothing.
    Held,
}

#[track_caller]
fn completes(format: &str, stdout: Fate, stderr: Fate) {
    let world = World::new(&wordy());
    let mut command = world.command(&["--output-format", format]);
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    // The world's own format stands first; the last one would be refused as given twice.
    let at = args.iter().position(|arg| arg == "--output-format").expect("a format");
    let mut plain = Command::new(command.get_program());
    plain.args(args[..at].iter().chain(&args[at + 2..])).env_clear().current_dir(world.ground.project());
    plain.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command = plain;
    command.stdin(Stdio::null());
    let of = |fate| if fate == Fate::Read { Stdio::null() } else { Stdio::piped() };
    let mut child = command.stdout(of(stdout)).stderr(of(stderr)).spawn().expect("ccc starts");
    let pid = child.id();
    let out = child.stdout.take().filter(|_| stdout == Fate::Held);
    let err = child.stderr.take().filter(|_| stderr == Fate::Held);
    let child = RefCell::new(child);
    let status = look_until("the end of ccc", || child.borrow_mut().try_wait().expect("our child"));
    drop((out, err));
    assert_eq!(status.code(), Some(0), "{format} {stdout:?} {stderr:?}");
    let summary: Value = serde_json::from_slice(&std::fs::read(world.run_dir().join("run.json")).unwrap()).unwrap();
    assert_eq!(summary["outcome"], "completed");
    assert!(world.ground.alive(pid).is_empty());
    world.ground.assert_sound();
}

#[test]
fn a_closed_stdout_does_not_end_the_run() {
    for format in ["text", "json", "stream-json"] {
        completes(format, Fate::Closed, Fate::Read);
    }
}

#[test]
fn a_closed_stderr_does_not_end_the_run() {
    for format in ["text", "stream-json"] {
        completes(format, Fate::Read, Fate::Closed);
    }
}

#[test]
fn with_both_closed_the_run_is_completed() {
    completes("text", Fate::Closed, Fate::Closed);
}

#[test]
fn readers_that_never_read_do_not_hold_the_run() {
    completes("stream-json", Fate::Held, Fate::Held);
}

#[test]
fn started_without_any_stdio_the_run_is_completed() {
    let world = World::new(&wordy());
    let plain = world.command(&[]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(world.ground.project());
    let status = command.status().expect("the shell runs");
    assert_eq!(status.code(), Some(0));
    world.ground.assert_sound();
}

#[test]
fn a_result_that_the_disk_does_not_take_is_an_error_that_names_where_it_is() {
    let script = json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "Good.\n\n[TASK_COMPLETED]"}]]});
    for format in ["text", "json", "stream-json"] {
        let ground = Ground::new();
        let agent = ground.scripted_agent(&script);
        let args = ["--supervisor", "--output-format", format, "-p", "do it", "--agent"];
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let output = ground
            .command("http://127.0.0.1:9", args.iter().map(std::ffi::OsStr::new).chain([agent.as_os_str()]))
            .stdout(full)
            .output()
            .expect("ccc runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        let summary = ground.runs()[0].join("run.json");
        let told = said.replace('\n', " ");
        assert!(
            told.contains("the result could not be printed") && told.contains("the outcome of the run is completed"),
            "{format}: {said}"
        );
        assert!(said.contains(&summary.display().to_string()), "{format}: {said}");
        let summary: Value = serde_json::from_slice(&std::fs::read(summary).expect("the summary")).expect("JSON");
        assert_eq!((&summary["outcome"], &summary["result"]), (&json!("completed"), &json!("Done.")), "{format}");
    }
}

#[test]
fn a_log_of_ccc_in_the_project_is_not_the_critics_doing() {
    let ground = Ground::new();
    let agent = ground
        .scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "Seen.\n\n[TASK_COMPLETED]"}]]}));
    let log = |name: &str| std::fs::File::create(ground.project().join(name)).expect("a log");
    let args = ["--supervisor", "--output-format", "stream-json", "-p", "do it", "--agent"];
    let status = ground
        .command("http://127.0.0.1:9", args.iter().map(std::ffi::OsStr::new).chain([agent.as_os_str()]))
        .stdout(log("events.jsonl"))
        .stderr(log("ccc.log"))
        .status()
        .expect("ccc runs");
    assert_eq!(status.code(), Some(0), "{}", ground.read("events.jsonl"));
    assert!(ground.read("ccc.log").contains("Supervisor mode enabled"));
    assert!(!ground.read("events.jsonl").contains("unusable"), "{}", ground.read("events.jsonl"));
}
