//! Ends, restarts and heartbeats.

use std::fs;

use serde_json::Value;

use super::{NOWHERE, run, supervise, until_lines};
use crate::whole_runs::harness::{Ground, action, input, look_until};

const QUICK: [&str; 3] = ["--no-tokens", "--restart-delay", "20ms"];

#[test]
fn exit_code_0_is_the_end_and_ccc_has_nothing_to_say() {
    let ground = Ground::without_git();
    let ended = run(&ground, &["--no-tokens"], "echo done");
    ended.assert_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("done\n", ""));
    let summary: Value = serde_json::from_slice(&fs::read(ended.run_dir().join("run.json")).unwrap()).unwrap();
    assert_eq!((&summary["outcome"], &summary["task"]), (&"completed".into(), &"sh -c echo done".into()));
    let beat: Value = serde_json::from_slice(&fs::read(ended.run_dir().join("heartbeat.json")).unwrap()).unwrap();
    assert_eq!(beat["phase"], "finished");
    let header = fs::read_to_string(ended.run_dir().join("journal.jsonl")).unwrap();
    assert!(header.lines().next().unwrap().contains(r#""kind":"command""#), "{header}");
}

#[test]
fn where_no_terminal_is_a_program_that_stops_itself_goes_on_and_stops_nobody_else() {
    let ground = Ground::without_git();
    // `timeout` makes a group of its own below a shell of the same session, which could be one with job control.
    let line = r#"setsid --wait sh -c 'timeout 300 ccc supervise --restart never -- sh -c "kill -STOP \$\$; echo back"; echo $?' </dev/null"#;
    let output = ground.typed(NOWHERE, line).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "back\n0\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_crash_loop_ends_with_1_and_says_so() {
    let ground = Ground::without_git();
    let ended = run(&ground, &QUICK, "echo life >> lives; exit 3");
    ended.assert_code(1);
    assert_eq!(ground.read("lives").lines().count(), 4, "one start and three restarts");
    assert!(ended.stderr.contains("restart 3 of 3"), "{}", ended.stderr);
    let last = "error: the program ended with exit code 3; it was restarted 3 times already";
    assert!(ended.stderr.contains(last), "{}", ended.stderr);
    // It is told again, and why.
    let run = ended.run_dir();
    let told = |command: &str| {
        let mut ccc = ground.command(NOWHERE, [command]);
        let output = ccc.arg(&run).output().expect("ccc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(told("explain").contains("restart 2 of 3"), "{}", told("explain"));
    assert!(told("replay").contains("restart 3 of 3"), "{}", told("replay"));
    let runs = ground.command(NOWHERE, ["runs"]).output().expect("ccc runs");
    assert!(String::from_utf8_lossy(&runs.stdout).contains("failed"), "{runs:?}");
}

#[test]
fn the_commands_own_code_is_named_at_the_end_and_passed_on_where_that_is_asked_for() {
    let script = "echo life >> lives; exit 3";
    let default = Ground::without_git();
    let ended = run(&default, &QUICK, script);
    ended.assert_code(1);
    let first = ended.stderr.lines().next().unwrap_or_default();
    assert!(first.contains("restart 1 of 3; --restart never passes its code on instead"), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("the exit code of the command was 3"), "{}", ended.stderr);
    for restart in ["never", "on-signal"] {
        let ground = Ground::without_git();
        let args: Vec<&str> = QUICK.iter().copied().chain(["--restart", restart]).collect();
        let ended = run(&ground, &args, script);
        ended.assert_code(3);
        assert_eq!(ground.read("lives").lines().count(), 1, "--restart {restart}");
        assert_eq!(ended.stderr, "", "as after the command itself");
    }
    let ground = Ground::without_git();
    let args: Vec<&str> = QUICK.iter().copied().chain(["--restart", "on-signal"]).collect();
    let ended = run(&ground, &args, "echo life >> lives; kill -9 $$");
    ended.assert_code(1);
    assert_eq!(ground.read("lives").lines().count(), 4, "a signal is a crash");
}

#[test]
fn what_is_not_there_is_said_before_anything_is_started() {
    let ground = Ground::without_git();
    for (program, words) in
        [("no-such-program", "there is no program `no-such-program` on PATH"), ("./x.txt", "not an executable file")]
    {
        ground.write("x.txt", "");
        let output = ground.command(NOWHERE, ["supervise", "--no-tokens", "--", program]).output().expect("ccc runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
    assert!(ground.runs().is_empty());
    let ended = run(&ground, &QUICK, "no-such-program");
    ended.assert_code(1);
    assert!(ended.stderr.contains("exit code 127"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("restart 1"), "{}", ended.stderr);
}

/// A script that beats so often, a tenth of a second apart, and then does nothing.
fn beats(count: u32) -> String {
    format!(
        "echo life >> lives; n=0; while [ $n -lt {count} ]; do n=$((n+1)); \
         echo \"{{\\\"unix_ts\\\": $(date +%s.%N), \\\"pid\\\": $$}}\" > hb.new; mv hb.new hb.json; sleep 0.1; done; \
         [ $(wc -l < lives) -lt 2 ] || exit 0; sleep 600"
    )
}

const HEART: [&str; 8] =
    ["--heartbeat", "hb.json", "--heartbeat-timeout", "1s", "--heartbeat-interval", "50ms", "--heartbeat-grace", "60s"];

#[test]
fn a_heart_that_stands_still_leads_to_a_restart() {
    let ground = Ground::without_git();
    let options: Vec<&str> = QUICK.iter().chain(&HEART).copied().collect();
    let ended = run(&ground, &options, &beats(3));
    ended.assert_code(0);
    assert_eq!(ground.read("lives").lines().count(), 2);
    assert!(ended.stderr.contains("no heartbeat for 1 s"), "{}", ended.stderr);
    let stale = ended.journal().iter().filter(|entry| action(entry, "signal").is_some()).count();
    assert_eq!(stale, 1, "one SIGTERM, and it was enough");
}

#[test]
fn a_heart_that_beats_is_left_alone() {
    let ground = Ground::without_git();
    let options: Vec<&str> = QUICK.iter().chain(&HEART).copied().collect();
    let script = beats(25).replace("sleep 600", "exit 0");
    let ended = run(&ground, &options, &script);
    ended.assert_code(0);
    assert_eq!(ground.read("lives").lines().count(), 1, "2.5 s of beats, each within 1 s of the one before");
}

#[test]
fn a_beat_that_an_earlier_life_left_does_not_count_and_the_first_one_has_its_grace() {
    let ground = Ground::without_git();
    ground.write("logs/heartbeat.json", r#"{"unix_ts": 1}"#);
    // The default file, since it is there. Nobody beats: the grace alone ends it.
    let options = ["--no-tokens", "--heartbeat-grace", "700ms", "--heartbeat-timeout", "50ms", "--max-restarts", "0"];
    let ended = run(&ground, &options, "sleep 600");
    ended.assert_code(1);
    assert!(ended.stderr.contains("no first heartbeat within 0 s"), "{}", ended.stderr);
    let looks = ended.journal().iter().filter(|entry| input(entry, "beat").is_some()).count();
    assert!(looks <= 3, "the file is looked at when it matters: {looks}");
}

#[test]
fn a_malformed_heartbeat_is_said_once_and_counts_as_none() {
    let ground = Ground::without_git();
    ground.write("hb.json", "{ torn");
    let options = [
        "--no-tokens",
        "--heartbeat",
        "hb.json",
        "--heartbeat-grace",
        "600ms",
        "--heartbeat-interval",
        "50ms",
        "--max-restarts",
        "0",
    ];
    let ended = run(&ground, &options, "sleep 600");
    ended.assert_code(1);
    assert_eq!(ended.stderr.matches("this is no heartbeat").count(), 1, "{}", ended.stderr);
}

#[test]
fn who_ignores_sigterm_is_killed_and_a_grandchild_in_a_session_of_its_own_is_swept() {
    let ground = Ground::without_git();
    let script = "trap '' TERM; setsid sleep 600 & echo $! >> pids; echo $$ >> pids; while :; do sleep 600; done";
    let running = supervise(&ground, NOWHERE, &["--no-tokens"], script);
    until_lines(&ground.project().join("pids"), 2);
    look_until("the grandchild", || {
        ground.alive(running.pid()).iter().any(|(_, line)| line.starts_with("sleep 600")).then_some(())
    });
    running.signal(rustix::process::Signal::TERM);
    let ended = running.end();
    ended.assert_code(130);
    let killed = ended.journal().iter().any(|entry| action(entry, "kill_tree").is_some());
    assert!(killed, "{:#?}", ended.journal());
    let decided = ended.decisions();
    assert!(decided.iter().any(|line| line.starts_with("kill the program: ")), "{decided:#?}");
}
