//! A program under care looks and feels as if it had been started directly.

use std::process::Command;

use rustix::process::Signal;

use super::tty::Tty;
use super::{NOWHERE, state_of, supervise, until_lines};
use crate::whole_runs::harness::{Ground, look_until, send};

/// `ccc supervise` of this shell script, to be started on a terminal.
fn command(ground: &Ground, script: &str) -> Command {
    let mut command = ground.command(NOWHERE, ["supervise", "--no-tokens", "--", "sh", "-c", script]);
    command.env("CCC_GRACE", "300ms");
    command
}

#[test]
fn the_programs_bytes_pass_through_unchanged_and_nothing_is_added() {
    let ground = Ground::without_git();
    let mut tty = Tty::start(&command(&ground, r"printf '\033[31mred\033[0m \342\202\254 \377\n'; tty >&2"));
    assert_eq!(tty.end(), 0);
    let expected: &[u8] = b"\x1b[31mred\x1b[0m \xe2\x82\xac \xff\r\n/dev/";
    assert!(tty.seen.starts_with(expected), "{:?}", tty.text());
    assert_eq!(tty.text().lines().count(), 2, "{:?}", tty.text());
    ground.assert_sound();
}

#[test]
fn the_size_and_its_changes_reach_the_program() {
    let ground = Ground::without_git();
    let script = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 600 & wait $!; done";
    let mut tty = Tty::start(&command(&ground, script));
    tty.until("24 80");
    tty.until("ready");
    tty.resize(132, 43);
    tty.until("43 132");
    assert_eq!(tty.end(), 0);
    assert!(ground.alive(tty.pid()).is_empty(), "its children are swept");
}

#[test]
fn ctrl_c_is_a_signal_to_the_program_and_its_end_the_users() {
    let ground = Ground::without_git();
    // In one process: a shell that gets the signal while it starts another one waits for that one first.
    let mut tty = Tty::start(&command(&ground, "echo begun; exec sleep 600"));
    tty.until("begun");
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    tty.type_in(b"\x03");
    assert_eq!(tty.end(), 130);
    assert!(!tty.is_raw(), "the terminal is given back");
    assert!(!tty.text().contains("restart"), "{}", tty.text());
    ground.assert_sound();
}

#[test]
fn ctrl_c_is_a_key_for_a_program_that_wants_it_so() {
    let ground = Ground::without_git();
    let script = "stty raw -echo; printf ready; dd bs=1 count=1 2>/dev/null | od -An -tx1; stty sane";
    let mut tty = Tty::start(&command(&ground, script));
    tty.until("ready");
    tty.type_in(b"\x03");
    tty.until("03");
    assert_eq!(tty.end(), 0);
}

#[test]
fn ctrl_z_stops_the_program_and_ccc_and_fg_goes_on() {
    let ground = Ground::without_git();
    let pids = ground.home().join("pids");
    // In one process: a shell that is stopped while it makes another (vfork) is not seen to be stopped by anybody.
    let ccc = command(&ground, &format!("echo $$ > '{}'; echo begun; exec sleep 600", pids.display()));
    let mut line: Vec<String> = vec![ccc.get_program().to_string_lossy().into_owned()];
    line.extend(ccc.get_args().map(|arg| format!("'{}'", arg.to_string_lossy().replace('\'', r"'\''"))));
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env_clear().current_dir(ground.project()).env("PS1", "shell> ");
    shell.envs(ccc.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut tty = Tty::start(&shell);
    tty.until("shell> ");
    tty.type_in(format!("{}\n", line.join(" ")).as_bytes());
    tty.until("begun\r\n");
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    let program: u32 = until_lines(&pids, 1)[0].parse().expect("a pid");
    tty.type_in(b"\x1a");
    tty.until("Stopped");
    tty.until("shell> ");
    assert_eq!(state_of(program), Some('T'));
    tty.type_in(b"fg\n");
    look_until("the program to go on", || (state_of(program) == Some('S')).then_some(()));
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    tty.type_in(b"\x03");
    tty.until("shell> ");
    tty.type_in(b"echo code=$?\n");
    tty.until("code=130");
    tty.type_in(b"exit\n");
    tty.end();
    ground.assert_sound();
}

#[test]
fn ctrl_z_where_nobody_could_let_it_go_on_stops_nothing_for_good() {
    let ground = Ground::without_git();
    // ccc itself leads the session: there is no shell above it.
    let mut tty = Tty::start(&command(&ground, "echo begun; read line; echo got $line"));
    tty.until("begun");
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    tty.type_in(b"\x1a");
    // Its echo: a terminal throws away what is typed before it has made the signal of it.
    tty.until("^Z");
    tty.type_in(b"word\r");
    tty.until("got word");
    assert_eq!(tty.end(), 0);
}

#[test]
fn the_terminal_is_given_back_as_it_was_when_ccc_is_ended() {
    let ground = Ground::without_git();
    let painted = r"printf '\033[?1049h\033[?25l\033[?2004hpainted'; trap '' TERM; while :; do sleep 1; done";
    let mut tty = Tty::start(&command(&ground, painted));
    tty.until("painted");
    look_until("the raw terminal", || tty.is_raw().then_some(()));
    send(tty.pid(), Signal::TERM);
    assert_eq!(tty.end(), 130);
    assert!(!tty.is_raw());
    assert!(tty.text().ends_with("\x1b[?25h\x1b[?2004l\x1b[?1049l"), "{:?}", tty.text());
    assert!(ground.alive(tty.pid()).is_empty());
    ground.assert_sound();
}

#[test]
fn without_a_terminal_the_streams_are_passed_plainly_through() {
    let ground = Ground::without_git();
    let script = r"cat; printf 'to err\n' >&2; [ -t 0 ] || [ -t 1 ] || echo plain";
    let mut command = command(&ground, script);
    let input = ground.write("input.txt", "first\nsecond\n");
    command.stdin(std::fs::File::open(input).expect("the input"));
    let output = command.output().expect("ccc runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nsecond\nplain\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "to err\n");
    ground.assert_sound();
}

#[test]
fn a_ctrl_c_that_reaches_ccc_is_handed_on() {
    let ground = Ground::without_git();
    let running = supervise(
        &ground,
        NOWHERE,
        &["--no-tokens"],
        "trap 'echo caught >&2; exit 0' INT; echo on >&2; while :; do sleep 600 & wait $!; done",
    );
    let mut running = running;
    running.until_stderr("on");
    running.signal(Signal::INT);
    running.until_stderr("caught");
    running.end().assert_code(0);
}

#[test]
fn the_death_of_ccc_hangs_the_program_up() {
    let ground = Ground::without_git();
    let pids = ground.home().join("pids");
    let script = format!("echo $$ > '{}'; exec sleep 600", pids.display());
    let running = supervise(&ground, NOWHERE, &["--no-tokens"], &script);
    let program: u32 = until_lines(&pids, 1)[0].parse().expect("a pid");
    running.signal(Signal::KILL);
    drop(running.wait());
    look_until("the end of the program", || state_of(program).is_none_or(|state| state == 'Z').then_some(()));
}
