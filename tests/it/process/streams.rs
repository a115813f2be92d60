//! Output arrives whole, in order, and before the end.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use ccc::process::{ChildSink, Exit, StdinError, Transport, spawn};

use super::observer::{DEADLINE, Heard, PTY, alone, reader, shell};

/// One line of more than 10 MB in which every place is different.
const LONG_LINE: &str = "seq 1 1600000 | tr '\\n' ' '; echo";

fn long_line() -> String {
    let mut line: String = (1..=1_600_000).map(|n| format!("{n} ")).collect();
    line.push('\n');
    line
}

#[test]
fn a_line_of_ten_megabytes_arrives_intact() {
    let _turn = alone();
    let expected = long_line();
    assert!(expected.len() > 10 * 1024 * 1024);
    for transport in [PTY, Transport::Pipe] {
        let (sink, mut reader) = reader();
        let _child = spawn(&shell(LONG_LINE, transport), sink).unwrap();
        assert_eq!(reader.exit().code, Some(0));
        assert_eq!(reader.stdout.len(), expected.len());
        assert!(reader.stdout == expected.as_bytes(), "same length, other bytes, on {transport:?}");
    }
}

#[test]
fn the_end_of_stdout_comes_after_its_last_byte_and_the_exit_last_of_all() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let script = "seq 1 20000; seq 1 2000 >&2; (sleep 1000 &); exit 3";
    let _child = spawn(&shell(script, PTY), sink).unwrap();
    reader.exit();
    let closed: Vec<usize> = (0..reader.all.len()).filter(|at| reader.all[*at] == Heard::StdoutClosed).collect();
    let last = reader.all.iter().rposition(|heard| matches!(heard, Heard::Stdout(_))).unwrap();
    assert_eq!(closed.len(), 1);
    assert!(last < closed[0]);
    assert!(matches!(reader.all.last(), Some(Heard::Exited(_))));
    assert!(reader.text().ends_with("\n20000\n"));
    assert!(reader.stderr.ends_with(b"\n2000\n"));
}

/// A sink whose stdout waits until the test lets it go on.
#[derive(Clone)]
struct Slow {
    go_on: Arc<Mutex<Receiver<()>>>,
    first: Sender<()>,
    bytes: Sender<Vec<u8>>,
    exit: Sender<Exit>,
}

impl ChildSink for Slow {
    fn stdout(&self, chunk: &[u8]) {
        let _ = self.first.send(());
        // Fails at once when the test has dropped its end: from then on the sink is fast.
        let _ = self.go_on.lock().unwrap().recv_timeout(DEADLINE);
        let _ = self.bytes.send(chunk.to_vec());
    }
    fn stdout_closed(&self) {}
    fn stderr(&self, _: &[u8]) {}
    fn stdin_error(&self, _: StdinError) {}
    fn exited(&self, exit: Exit) {
        let _ = self.exit.send(exit);
    }
}

#[test]
fn a_slow_sink_loses_nothing() {
    let _turn = alone();
    for transport in [PTY, Transport::Pipe] {
        let ((release, go_on), (first, waits), (bytes, come), (exit, exited)) =
            (channel(), channel(), channel(), channel());
        let sink = Slow { go_on: Arc::new(Mutex::new(go_on)), first, bytes, exit };
        let child = spawn(&shell("seq 1 100000", transport), sink).unwrap();
        waits.recv_timeout(DEADLINE).unwrap();
        assert!(exited.try_recv().is_err(), "half a megabyte does not fit into any buffer");
        child.close_stdin();
        drop(release);
        assert_eq!(exited.recv_timeout(DEADLINE).unwrap().code, Some(0));
        let text: Vec<u8> = come.try_iter().flatten().collect();
        let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
        assert!(text == expected.as_bytes(), "{} of {} bytes on {transport:?}", text.len(), expected.len());
    }
}

#[test]
fn somebody_who_holds_the_terminal_open_after_the_end_is_not_waited_for() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let child = spawn(&shell("tty <&1; read -r go; echo last words", PTY), sink).unwrap();
    let name = reader.until("\n");
    // Held by us, whom no sweep kills.
    let held = std::fs::OpenOptions::new().write(true).open(name.trim()).unwrap();
    child.write(b"go\n".to_vec()).unwrap();
    let exit = reader.exit();
    assert_eq!((exit.code, exit.swept, exit.leaked), (Some(0), 0, 0));
    assert!(reader.text().ends_with("last words\n"));
    drop(held);
}
