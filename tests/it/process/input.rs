//! Writing to a child never waits for it.

use std::time::Duration;

use ccc::process::{STDIN_QUEUE_LIMIT_BYTES, StdinError, Transport, spawn};

use super::observer::{Heard, PTY, alone, reader, shell, within};

#[test]
fn what_is_written_arrives_and_closing_ends_it() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let child = spawn(&shell("cat", PTY), sink).unwrap();
    child.write(b"one\n".to_vec()).unwrap();
    child.write(b"two\n".to_vec()).unwrap();
    reader.until("two\n");
    child.write(b"three".to_vec()).unwrap();
    child.close_stdin();
    assert_eq!(child.write(b"late".to_vec()), Err(StdinError::Closed));
    assert_eq!(reader.exit().code, Some(0));
    assert_eq!(reader.text(), "one\ntwo\nthree");
}

#[test]
fn ten_megabytes_are_written_whole() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let child = spawn(&shell("wc -c", Transport::Pipe), sink).unwrap();
    child.write(vec![b'x'; 10 * 1024 * 1024]).unwrap();
    child.close_stdin();
    reader.exit();
    assert_eq!(reader.text().trim(), "10485760");
}

#[test]
fn a_child_that_never_reads_blocks_nobody_and_the_limit_names_itself() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let child = spawn(&shell("echo ready; exec sleep 1000", PTY), sink).unwrap();
    reader.until("ready");
    let ten_megabytes = 10 * 1024 * 1024;
    let refused =
        within(Duration::from_secs(10), || (0..10).find_map(|_| child.write(vec![b'x'; ten_megabytes]).err())).unwrap();
    let StdinError::QueueFull { queued_bytes, refused_bytes, limit_bytes } = refused.clone() else {
        panic!("{refused}");
    };
    assert_eq!((refused_bytes, limit_bytes), (ten_megabytes, STDIN_QUEUE_LIMIT_BYTES));
    assert!(queued_bytes <= limit_bytes && queued_bytes + refused_bytes > limit_bytes);
    assert!(refused.to_string().contains("STDIN_QUEUE_LIMIT_BYTES"));
    child.kill_tree();
    assert_eq!(reader.exit().signal, Some(9));
    let lost = reader.all.iter().find_map(|heard| match heard {
        Heard::StdinError(error) => Some(error.clone()),
        Heard::Stdout(_) | Heard::StdoutClosed | Heard::Stderr(_) | Heard::Exited(_) => None,
    });
    let Some(StdinError::Broken { unwritten_bytes }) = lost else {
        panic!("{lost:?}");
    };
    assert!(unwritten_bytes > 2 * ten_megabytes && unwritten_bytes < 3 * ten_megabytes + 1);
}

#[test]
fn a_child_that_closes_its_stdin_is_reported_and_lives_on() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let script = "trap 'exit 6' TERM; exec 0<&-; echo closed; while :; do sleep 0.02; done";
    let child = spawn(&shell(script, PTY), sink).unwrap();
    reader.until("closed");
    child.write(vec![b'x'; 1000]).unwrap();
    reader.until_stdin_error();
    assert_eq!(reader.all.last(), Some(&Heard::StdinError(StdinError::Broken { unwritten_bytes: 1000 })));
    assert_eq!(child.write(b"more".to_vec()), Err(StdinError::Closed));
    child.signal(ccc::process::Signal::Terminate);
    assert_eq!(reader.exit().code, Some(6), "it was still there to catch the signal");
}

#[test]
fn dropping_the_handle_closes_stdin_and_the_end_is_still_heard() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let child = spawn(&shell("cat; exit 8", PTY), sink).unwrap();
    child.write(b"queued".to_vec()).unwrap();
    drop(child);
    assert_eq!(reader.exit().code, Some(8));
    assert_eq!(reader.text(), "queued");
}
