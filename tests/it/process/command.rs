//! Commands run to their end, and to no more than that.

use std::time::Duration;

use ccc::process::{Cancel, CommandEnding, CommandSpec, SpawnError, run_command};

use super::observer::{DEADLINE, Fifo, alive, alone, number, run_id, within, zombies};

fn spec(line: &str) -> CommandSpec {
    let mut spec = CommandSpec::shell(line, std::env::temp_dir());
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.timeout = DEADLINE;
    spec.cookie.run_id = run_id("command");
    spec
}

fn run(spec: &CommandSpec) -> (ccc::process::CommandResult, String) {
    let result = run_command(spec, &Cancel::new().unwrap()).unwrap();
    let text = String::from_utf8(result.tail.clone()).unwrap();
    (result, text)
}

#[test]
fn both_streams_come_in_the_order_of_writing() {
    let _turn = alone();
    let (result, text) = run(&spec("echo a; echo b >&2; echo c; echo d >&2; exit 3"));
    assert_eq!(text, "a\nb\nc\nd\n");
    assert_eq!((result.exit.code, result.exit.signal), (Some(3), None));
    assert_eq!((result.ending, result.truncated_bytes), (CommandEnding::Exited, 0));
}

#[test]
fn only_the_end_of_a_long_output_is_kept_and_the_rest_is_counted() {
    let _turn = alone();
    let mut spec = spec("seq 1 200000");
    spec.output_tail_limit_bytes = 100;
    let (result, text) = run(&spec);
    let all: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(text, all[all.len() - 100..]);
    assert_eq!(result.truncated_bytes, all.len() as u64 - 100);
}

#[test]
fn stdin_is_empty_and_there_is_no_terminal() {
    let _turn = alone();
    let (_, text) = run(&spec("cat; readlink /proc/$$/fd/0; (: </dev/tty) 2>/dev/null || echo no terminal"));
    assert_eq!(text, "/dev/null\nno terminal\n");
}

#[test]
fn what_a_command_leaves_in_the_background_is_neither_waited_for_nor_left() {
    let _turn = alone();
    let line = "sleep 1000 & echo a=$!; env -i /usr/bin/setsid /bin/sleep 1000 & echo b=$!";
    let (result, text) = within(Duration::from_secs(20), || run(&spec(line)));
    assert_eq!((result.exit.code, result.exit.swept, result.exit.leaked), (Some(0), 2, 0));
    assert!(!alive(number(&text, "a")) && !alive(number(&text, "b")));
    assert_eq!(zombies(), Vec::<u32>::new());
}

#[test]
fn a_command_that_obeys_the_timeout_ends_in_its_own_way() {
    let _turn = alone();
    let mut spec = spec("trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.02; done");
    spec.timeout = Duration::from_millis(300);
    spec.grace = DEADLINE;
    let (result, text) = run(&spec);
    assert_eq!((result.ending, result.exit.code), (CommandEnding::TimedOut, Some(9)));
    assert!(text.ends_with("bye\n"));
    assert!(result.duration_ms >= 300);
}

#[test]
fn a_command_that_does_not_is_killed_with_all_that_it_started() {
    let _turn = alone();
    let mut spec = spec(
        "trap '' TERM; setsid sleep 1000 & echo a=$!; env -i /usr/bin/setsid /bin/sleep 1000 & echo b=$!; sleep 1000",
    );
    spec.timeout = Duration::from_millis(300);
    spec.grace = Duration::from_millis(50);
    let (result, text) = within(Duration::from_secs(20), || run(&spec));
    assert_eq!(result.ending, CommandEnding::TimedOut);
    assert_eq!((result.exit.code, result.exit.signal, result.exit.leaked), (None, Some(9), 0));
    assert!(!alive(number(&text, "a")) && !alive(number(&text, "b")));
    assert_eq!(zombies(), Vec::<u32>::new());
}

#[test]
fn another_thread_can_cancel_it() {
    let _turn = alone();
    let fifo = Fifo::new();
    let cancel = Cancel::new().unwrap();
    let spec = spec(&format!("echo ready >{}; exec sleep 1000", fifo.path.display()));
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| run_command(&spec, &cancel));
        assert_eq!(fifo.line(), "ready");
        cancel.cancel();
        running.join().unwrap().unwrap()
    });
    assert_eq!((result.ending, result.exit.signal), (CommandEnding::Cancelled, Some(15)));
    // And what is started with it afterwards ends at once, too.
    let late = run_command(&self::spec("exec sleep 1000"), &cancel).unwrap();
    assert_eq!(late.ending, CommandEnding::Cancelled);
    assert!(cancel.is_cancelled());
}

#[test]
fn a_kill_waits_for_no_grace_and_ends_only_the_commands_that_were_given_it() {
    let _turn = alone();
    let fifos = [Fifo::new(), Fifo::new()];
    let (killed, other) = (Cancel::new().unwrap(), Cancel::new().unwrap());
    let stubborn = |fifo: &Fifo, end: &str| {
        let mut spec = spec(&format!("trap '' TERM; echo ready >{}; {end}", fifo.path.display()));
        spec.grace = DEADLINE;
        spec
    };
    let go = Fifo::new();
    let (first, second) =
        (stubborn(&fifos[0], "sleep 1000"), stubborn(&fifos[1], &format!("read go <{}", go.path.display())));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run_command(&first, &killed));
        let second = scope.spawn(|| run_command(&second, &other));
        fifos.iter().for_each(|fifo| assert_eq!(fifo.line(), "ready"));
        // Told to end first: it is killed in its grace.
        killed.cancel();
        killed.kill();
        let first = first.join().unwrap().unwrap();
        assert_eq!((first.ending, first.exit.signal), (CommandEnding::Cancelled, Some(9)));
        std::fs::write(&go.path, "go\n").unwrap();
        let second = second.join().unwrap().unwrap();
        assert_eq!((second.ending, second.exit.code), (CommandEnding::Exited, Some(0)));
    });
    let late = run_command(&spec("trap '' TERM; sleep 1000"), &killed).unwrap();
    assert_eq!((late.ending, late.exit.signal), (CommandEnding::Cancelled, Some(9)));
}

#[test]
fn a_command_that_cannot_start_says_why() {
    let mut spec = spec("");
    spec.program = "no-such-program".into();
    assert_eq!(
        run_command(&spec, &Cancel::new().unwrap()).map(drop),
        Err(SpawnError::NotFound { program: "no-such-program".into() })
    );
}

#[test]
fn a_command_reads_its_input_or_is_not_hindered_by_it() {
    let _turn = alone();
    let mut reads = spec("wc -c");
    // More than a pipe holds.
    reads.input = vec![b'x'; 1 << 20];
    let (result, text) = run(&reads);
    assert_eq!((result.exit.code, text.trim()), (Some(0), "1048576"));
    let mut ignores = spec("exit 3");
    ignores.input = vec![b'x'; 1 << 20];
    assert_eq!(run(&ignores).0.exit.code, Some(3));
    assert_eq!(run(&spec("cat")).1, "", "without an input it is empty");
}
