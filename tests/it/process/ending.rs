//! How children end, by themselves and by us.

use ccc::process::{Signal, spawn};

use super::observer::{PTY, alive, alone, number, reader, shell, zombies};

#[test]
fn exit_codes_and_signals_are_exact() {
    let _turn = alone();
    for code in [0, 1, 2, 75, 130, 143, 255] {
        let (sink, mut reader) = reader();
        let _child = spawn(&shell(&format!("exit {code}"), PTY), sink).unwrap();
        let exit = reader.exit();
        assert_eq!((exit.code, exit.signal), (Some(code), None));
    }
    for signal in [1, 2, 9, 11, 13, 15, 25] {
        let (sink, mut reader) = reader();
        let _child = spawn(&shell(&format!("kill -{signal} $$"), PTY), sink).unwrap();
        let exit = reader.exit();
        assert_eq!((exit.code, exit.signal), (None, Some(signal)));
    }
    assert_eq!(zombies(), Vec::<u32>::new());
}

#[test]
fn a_signal_reaches_the_process_and_after_the_end_nobody() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let script = "trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.02; done";
    let child = spawn(&shell(script, PTY), sink).unwrap();
    reader.until("ready");
    child.signal(Signal::Interrupt);
    assert_eq!(reader.exit().code, Some(5));
    assert!(reader.text().ends_with("int\n"));
    // Were it sent, it would go to the group of whoever has the number now, or fail loudly in a debugger; it must simply do nothing.
    child.signal(Signal::Kill);
    child.signal_group(Signal::Kill);
    child.kill_tree();
    assert!(!alive(child.pid()));
}

#[test]
fn a_signal_to_the_group_reaches_the_childs_children() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    // The shell survives by its trap and goes on only when the signal has ended its foreground child.
    let script = "trap 'echo shell' TERM; sh -c 'echo ready; exec sleep 1000'; echo child ended; exit 4";
    let child = spawn(&shell(script, PTY), sink).unwrap();
    reader.until("ready");
    child.signal_group(Signal::Terminate);
    reader.until("child ended");
    assert_eq!(reader.exit().code, Some(4));
}

#[test]
fn a_stopped_child_goes_on_when_told() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let child = spawn(&shell("echo ready; read -r line; echo got $line", PTY), sink).unwrap();
    reader.until("ready");
    child.signal(Signal::Stop);
    child.write(b"it\n".to_vec()).unwrap();
    child.signal(Signal::Continue);
    assert_eq!(reader.exit().code, Some(0));
    assert!(reader.text().ends_with("got it\n"));
}

#[test]
fn killing_the_tree_leaves_nothing_in_any_session() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let script = "trap '' TERM HUP INT
        sleep 1000 & echo same=$!
        setsid sleep 1000 & echo session=$!
        env -i /usr/bin/setsid /bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo clean=$!
        setsid sh -c 'setsid sh -c \"echo deep=\\$\\$; exec sleep 1000\" & wait' &
        while :; do sleep 0.02; done";
    let child = spawn(&shell(script, PTY), sink).unwrap();
    let text = reader.until("deep=");
    let text = if text.ends_with('\n') { text } else { reader.until("\n") };
    child.kill_tree();
    let exit = reader.exit();
    assert_eq!((exit.signal, exit.leaked), (Some(9), 0));
    for form in ["same", "session", "clean", "deep"] {
        assert!(!alive(number(&text, form)), "{form} lives");
    }
    assert_eq!(zombies(), Vec::<u32>::new());
}
