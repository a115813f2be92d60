//! The keyboard of a native run: Ctrl-Z and back, and keys that are typed while no interface runs.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::steered::until_rest;
use super::{APPROVAL, NativeProject};
use crate::supervise::state_of;
use crate::supervise::tty::Tty;
use crate::whole_runs::harness::{input, look_until};

/// How long a job stands still in these tests.
const STANDSTILL: Duration = Duration::from_millis(1_500);

/// This command as a job of a shell.
pub(super) fn in_shell(ccc: &Command) -> Tty {
    let mut line: Vec<String> = vec![ccc.get_program().to_string_lossy().into_owned()];
    line.extend(ccc.get_args().map(|arg| format!("'{}'", arg.to_string_lossy().replace('\'', r"'\''"))));
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env_clear().env("PS1", "shell> ");
    shell.current_dir(ccc.get_current_dir().expect("a directory"));
    shell.envs(ccc.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut tty = Tty::start(&shell);
    tty.until("shell> ");
    tty.type_in(format!("{}\n", line.join(" ")).as_bytes());
    tty
}

/// A token whose command waits for the file `unlocked`: until then no interface starts.
fn locked(project: &NativeProject) {
    let command = "touch locked; until [ -e unlocked ]; do sleep 0.05; done; echo sk-ant-oat01-made-up";
    let token = json!({"kind": "oauth", "label": "vault", "command": command, "timeout": "5m"});
    project.ground.user_config(&json!({"tokens": [token]}));
}

fn until_locked(project: &NativeProject) {
    look_until("the command of the token", || project.ground.project().join("locked").exists().then_some(()));
}

/// The pid of the interface itself, below its monitor.
fn program(project: &NativeProject) -> u32 {
    let journal = project.journal();
    let spawned = journal.iter().rev().filter_map(|entry| input(entry, "spawned"));
    let mut spawned = spawned.filter(|spawned| spawned["transport"] == "terminal");
    let monitor = spawned.next().and_then(|spawned| spawned["pid"].as_u64()).expect("an interface") as u32;
    look_until("the interface", || super::real::child_of(monitor))
}

#[test]
fn ctrl_z_gives_the_shell_its_terminal_and_fg_the_interface_without_counting_the_time_between() {
    let project = NativeProject::new(&["say 'One.'", "say 'Two.'"], &[APPROVAL, APPROVAL]);
    let mut tty = in_shell(&project.command(&["-p", "Do one."]));
    tty.until("One.");
    tty.until("> ");
    until_rest(&project, "judged", 1);
    let program = program(&project);
    let begun = Instant::now();
    for _ in 0..2 {
        assert!(tty.is_raw());
        tty.type_in(b"\x1a");
        tty.until("Stopped");
        tty.until("shell> ");
        assert_eq!(state_of(program), Some('T'));
        tty.type_in(b"stty -a | grep -o ' -*icanon'\n");
        tty.until(" icanon\r\n");
        tty.until("shell> ");
        tty.type_in(format!("sleep {}; fg\n", STANDSTILL.as_secs_f64()).as_bytes());
        look_until("the program to go on", || (state_of(program) == Some('S')).then_some(()));
        look_until("the raw terminal", || tty.is_raw().then_some(()));
    }
    tty.type_in(b"Do two.\r");
    tty.until("you: Do two.");
    tty.until("Two.");
    tty.until("> ");
    tty.type_in(b"/exit\r");
    tty.until("bye");
    tty.until("shell> ");
    let (stood, passed) = (2 * STANDSTILL, begun.elapsed());
    tty.type_in(b"echo code=$?\n");
    tty.until("code=0");
    assert!(!tty.is_raw(), "the terminal is the shell's");
    tty.type_in(b"exit\n");
    tty.end();
    let t = |entry: &Value| entry["t"].as_u64();
    let journal = project.journal();
    let judged = journal.iter().find(|entry| entry["act"]["decide"]["what"] == "rest").and_then(t).expect("a time");
    let ran = Duration::from_micros(journal.iter().rev().find_map(t).expect("a time") - judged);
    assert!(ran + stood < passed + Duration::from_millis(200), "{ran:?} of {passed:?}, {stood:?} stood still");
    project.ground.assert_sound();
}

#[test]
fn ctrl_z_before_an_interface_runs_stops_ccc_and_fg_goes_on() {
    let project = NativeProject::new(&["say 'One.'"], &[APPROVAL]);
    locked(&project);
    let mut tty = in_shell(&project.command(&["-p", "Do one."]));
    until_locked(&project);
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    tty.type_in(b"\x1a");
    tty.until("Stopped");
    tty.until("shell> ");
    project.ground.write("unlocked", "");
    tty.type_in(b"fg\n");
    tty.until("One.");
    tty.until("> ");
    tty.type_in(b"/exit\r");
    tty.until("bye");
    tty.until("shell> ");
    tty.type_in(b"exit\n");
    tty.end();
    project.ground.assert_sound();
}

#[test]
fn what_is_typed_before_the_interface_starts_is_typed_in_it() {
    let project = NativeProject::new(&["say 'One.'"], &[APPROVAL]);
    locked(&project);
    let mut tty = project.start(&[]);
    until_locked(&project);
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    tty.type_in(b"Do on");
    tty.type_in(b"e.\r");
    project.ground.write("unlocked", "");
    tty.until("you: Do one.");
    tty.until("One.");
    project.leave(&mut tty);
}

#[test]
fn ctrl_c_before_the_interface_starts_ends_the_run() {
    let project = NativeProject::new(&[], &[]);
    locked(&project);
    let mut tty = project.start(&["-p", "Do one."]);
    until_locked(&project);
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    tty.type_in(b"no\x03");
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert!(!tty.is_raw() && tty.echoes(), "the terminal is given back");
    assert!(!tty.text().contains("the interface begins"), "{}", tty.text());
    project.ground.assert_sound();
}
