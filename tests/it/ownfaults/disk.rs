//! Disks that take no more, and directories that take nothing: the work goes on, and the loss is told.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::world::{TASK, World};
use crate::whole_runs::harness::{Ended, Ground, Running};

/// A run that writes some 200 KiB of journal.
fn wordy() -> Value {
    let words = "It is done in this way and in no other. ".repeat(100);
    let steps: Vec<Value> = (0..40).map(|n| json!({"say": format!("{n} {words}")})).collect();
    json!({"agent": [steps], "critic": [[{"say": "Good.\n\n[TASK_COMPLETED]"}]]})
}

/// The same command, begun by a line of shell that ends in `exec "$@"`.
pub(crate) fn through_shell(world: &World, shell: &str, plain: &Command) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", shell, "sh"]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(world.ground.project());
    command
}

#[track_caller]
fn assert_done_and_told(ended: &Ended<'_>) {
    ended.assert_code(0);
    assert_eq!(ended.result()["outcome"], "completed");
    assert!(ended.stderr.contains("journal"), "nothing was said of the loss: {}", ended.stderr);
    let missing = ended.result()["journal_missing"].as_str().unwrap_or_default().to_owned();
    assert!(
        missing.starts_with("the journal lacks its last entries, because they could not be written ("),
        "{missing}"
    );
}

#[test]
fn a_run_whose_files_must_not_grow_is_completed_and_can_be_gone_on_with_from_what_there_is() {
    let ground = Ground::new();
    let told = ground.home().join("told");
    ground
        .user_config(&json!({"notify": [{"command": format!("cat >> {}", told.display()), "events": ["completed"]}]}));
    let agree = json!([{"say": "Good.\n\n[TASK_COMPLETED]"}]);
    let mut script = wordy();
    // The last answer is short, so the summary can be written.
    script["agent"].as_array_mut().expect("turns").push(json!([{"say": "Done."}]));
    script["critic"] = json!([[{"say": "Say it in short."}], agree, agree]);
    let world = World::on(ground, &script);
    // 64 KiB, in the shell's blocks of 512 bytes.
    let mut limited = through_shell(&world, "ulimit -f 128; exec \"$@\"", &world.command(&[]));
    let ended = Running::spawn(&world.ground, &mut limited).wait();
    assert_done_and_told(&ended);
    let pid_of_nobody = 0;
    assert!(world.ground.alive(pid_of_nobody).is_empty());
    let journal = fs::metadata(world.run_dir().join("journal.jsonl")).expect("a journal");
    assert!(journal.len() <= 64 * 1024, "the limit did not hold: the test shows nothing");
    world.ground.assert_sound();
    let lacks = "the journal lacks its last entries, because they could not be written";
    let summary = fs::read_to_string(world.run_dir().join("run.json")).expect("a summary");
    for (where_, text) in [
        ("the summary", summary),
        ("the message", fs::read_to_string(&told).expect("a message")),
        ("the report", world.run(&["report", "--format", "md"]).stdout.clone()),
    ] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(lacks), "nothing of it in {where_}: {text}");
        assert!(text.contains("completed"), "no outcome in {where_}: {text}");
    }

    let again = world.resume(&[]).end();
    again.assert_code(0);
    assert_eq!(again.result().get("journal_missing"), None);
    world.assert_said_once(&[TASK, "Say it in short."]);
}

#[test]
fn a_run_on_a_full_disk_is_completed() {
    let mounts = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !mounts {
        eprintln!("\n*** SKIPPED: a small disk can be had by root only; the file size limit was tested instead ***\n");
        return;
    }
    // Full before the header, and full in the middle.
    for size in ["8k", "96k"] {
        let world = World::new(&wordy());
        let state = world.ground.state();
        fs::create_dir_all(&state).expect("mkdir");
        let shell = format!("mount -t tmpfs -o size={size},mode=0700 none '{}' && exec \"$@\"", state.display());
        let plain = through_shell(&world, &shell, &world.command(&[]));
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(plain.get_program()).args(plain.get_args()).env_clear();
        command
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(world.ground.project());
        let ended = Running::spawn(&world.ground, &mut command).wait();
        assert_done_and_told(&ended);
    }
}

#[test]
fn a_state_directory_that_cannot_be_is_an_error_before_anything_starts() {
    let world = World::new(&wordy());
    let mut command = world.command(&[]);
    command.env("CCC_STATE_DIR", "/proc/no-such-place");
    let ended = Running::spawn(&world.ground, &mut command).wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    for word in ["/proc/no-such-place", "hint:", "CCC_STATE_DIR"] {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
    assert!(!world.ground.home().join("scripted").exists(), "an agent was started");
}

#[test]
fn a_home_that_takes_nothing_needs_another_state_directory_and_no_more() {
    let world = World::new(&wordy());
    let mut homeless = world.command(&[]);
    homeless.env("HOME", "/proc/no-such-home").env_remove("CCC_STATE_DIR").env_remove("CCC_CONFIG_DIR");
    let ended = Running::spawn(&world.ground, &mut homeless).wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("/proc/no-such-home") && ended.stderr.contains("CCC_STATE_DIR"), "{}", ended.stderr);

    let mut command = world.command(&[]);
    command.env("HOME", "/proc/no-such-home").env_remove("CCC_CONFIG_DIR");
    Running::spawn(&world.ground, &mut command).wait().assert_code(0);
}

#[test]
fn one_damaged_summary_does_not_hide_the_other_runs() {
    let world = World::new(&json!({}));
    world.start(&[]).end().assert_code(0);
    world.start(&[]).end().assert_code(0);
    let runs = world.ground.runs();
    fs::write(runs[0].join("run.json"), "{\"version\":1,").expect("write");
    let ended = world.run(&["runs"]);
    ended.assert_code(0);
    let all = format!("{}{}", ended.stdout, ended.stderr);
    for run in &runs {
        let id = run.file_name().unwrap().to_str().unwrap();
        assert!(all.contains(id), "no {id} in {all}");
    }
}
