//! The writer's thread against readers that do not read.

use std::io::{PipeReader, PipeWriter, Read as _, pipe};
use std::os::fd::OwnedFd;
use std::time::Duration;

use ccc::ui::{ERASE, Limits, OutputKind, Screen, ScreenError, ScreenOutput, Stream};

/// More than any of this takes; reached only by a bug.
const LONG: Duration = Duration::from_secs(30);

/// More than the kernel keeps in a pipe.
const PIPE_BYTES: usize = 64 * 1024;

struct Ends {
    screen: Screen,
    out: PipeReader,
    err: PipeReader,
}

fn screen(limits: Limits) -> Ends {
    let (out, out_writer) = pipe().expect("a pipe");
    let (err, err_writer) = pipe().expect("a pipe");
    Ends { screen: on(out_writer, err_writer, limits), out, err }
}

fn on(out: PipeWriter, err: PipeWriter, limits: Limits) -> Screen {
    Screen::new(OwnedFd::from(out), OwnedFd::from(err), limits).expect("a thread")
}

fn read_all(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    text
}

fn talk(text: &str) -> ScreenOutput {
    ScreenOutput::talk(text.to_owned())
}

fn data(text: &str) -> ScreenOutput {
    ScreenOutput::data(text.to_owned())
}

/// Waits until the writer has done all that was put so far: it works in order, so a mark on stderr comes last.
fn until_written(screen: &Screen, err: &mut PipeReader) {
    screen.put(talk("mark\n")).expect("room");
    let mut mark = [0; 5];
    err.read_exact(&mut mark).expect("the mark");
    assert_eq!(&mark, b"mark\n");
}

#[test]
fn everything_arrives_in_order_on_its_stream() {
    let ends = screen(Limits::default());
    for n in 0..100 {
        ends.screen.put(data(&format!("out {n}\n"))).expect("room");
        ends.screen.put(talk(&format!("err {n}\n"))).expect("room");
    }
    let flushed = ends.screen.finish(LONG);
    assert!(flushed.complete);
    assert_eq!((flushed.lines_not_shown, flushed.bytes_left), (0, 0));
    let expected = |word: &str| (0..100).map(|n| format!("{word} {n}\n")).collect::<String>();
    assert_eq!(read_all(ends.out), expected("out"));
    assert_eq!(read_all(ends.err), expected("err"));
}

#[test]
fn a_terminal_that_takes_nothing_costs_lines_that_are_counted_and_never_holds_up_the_run() {
    let limits = Limits { talk_bytes: 4_096, data_bytes: 1_000_000 };
    let ends = screen(limits);
    // Fills the pipe and then the queue; the put after it must not wait.
    ends.screen
        .put(ScreenOutput { stream: Stream::Err, kind: OutputKind::Data, text: "x".repeat(2 * PIPE_BYTES) })
        .expect("room");
    for n in 0..10 {
        let text = format!("{ERASE}lost {n}\nlost too\n");
        ends.screen.put(talk(&text)).expect("talk is never refused");
    }
    let mut err = ends.err;
    let mut taken = vec![0; 2 * PIPE_BYTES];
    err.read_exact(&mut taken).expect("the first piece");
    ends.screen
        .put(ScreenOutput { stream: Stream::Err, kind: OutputKind::Data, text: format!("{ERASE}after\n") })
        .expect("room");
    let flushed = ends.screen.finish(LONG);
    assert!(flushed.complete);
    assert_eq!(flushed.lines_not_shown, 20);
    assert_eq!(read_all(err), format!("{ERASE}… 20 lines not shown\n{ERASE}after\n"));
}

#[test]
fn lines_lost_until_the_end_are_told_at_the_end() {
    let limits = Limits { talk_bytes: 10, data_bytes: 1_000 };
    let ends = screen(limits);
    ends.screen.put(talk("much longer than ten bytes\n")).expect("dropped");
    assert!(ends.screen.finish(LONG).complete);
    assert_eq!(read_all(ends.err), "… 1 line not shown\n");
}

#[test]
fn data_is_refused_by_name_when_nobody_reads_for_too_long() {
    let limits = Limits { talk_bytes: 1_024, data_bytes: 3 * PIPE_BYTES };
    let ends = screen(limits);
    ends.screen.put(data(&"x".repeat(2 * PIPE_BYTES))).expect("room");
    let refused = ends.screen.put(data(&"y".repeat(2 * PIPE_BYTES)));
    assert_eq!(refused, Err(ScreenError::Backlog { waiting_bytes: 4 * PIPE_BYTES, limit_bytes: 3 * PIPE_BYTES }));
    let flushed = ends.screen.finish(Duration::from_millis(1));
    assert!(!flushed.complete);
    assert_eq!(flushed.bytes_left, 2 * PIPE_BYTES);
    drop(ends.out);
}

#[test]
fn a_reader_of_stdout_that_goes_away_is_reported() {
    let ends = screen(Limits::default());
    drop(ends.out);
    let mut err = ends.err;
    ends.screen.put(data("lost\n")).expect("accepted, not yet written");
    until_written(&ends.screen, &mut err);
    assert_eq!(ends.screen.out_fault(), Some(ScreenError::OutClosed));
    assert_eq!(ends.screen.put(data("more\n")), Err(ScreenError::OutClosed));
    ends.screen.put(talk("still here\n")).expect("talk goes on");
    assert!(ends.screen.finish(LONG).complete);
    assert_eq!(read_all(err), "still here\n");
}

#[test]
fn a_dead_stderr_makes_the_run_silent_and_nothing_else() {
    let ends = screen(Limits::default());
    drop(ends.err);
    for _ in 0..100 {
        ends.screen.put(talk("to nobody\n")).expect("silent");
    }
    ends.screen.put(data("result\n")).expect("stdout is alive");
    let flushed = ends.screen.finish(LONG);
    assert!(flushed.complete);
    assert_eq!(flushed.bytes_left, 0);
    assert_eq!(read_all(ends.out), "result\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_not_a_closed_pipe() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let (mut err, err_writer) = pipe().expect("a pipe");
    let screen = Screen::new(OwnedFd::from(full), OwnedFd::from(err_writer), Limits::default()).expect("a thread");
    screen.put(data("x")).expect("accepted, not yet written");
    until_written(&screen, &mut err);
    assert_eq!(screen.out_fault(), Some(ScreenError::OutFailed(std::io::ErrorKind::StorageFull)));
    assert!(screen.finish(LONG).complete);
    assert_eq!(read_all(err), "");
}

/// A shell or a program sharing the terminal may have made it non-blocking.
#[test]
fn a_non_blocking_reader_that_is_slow_gets_everything() {
    let (out, out_writer) = pipe().expect("a pipe");
    let (_err, err_writer) = pipe().expect("a pipe");
    rustix::fs::fcntl_setfl(&out_writer, rustix::fs::OFlags::NONBLOCK).expect("a flag");
    let screen = on(out_writer, err_writer, Limits::default());
    let text = "0123456789abcde\n".repeat(PIPE_BYTES / 4);
    screen.put(data(&text)).expect("room");
    let reader = std::thread::spawn(move || read_all(out));
    let flushed = screen.finish(LONG);
    assert!(flushed.complete);
    assert_eq!(reader.join().expect("a reader"), text);
}
