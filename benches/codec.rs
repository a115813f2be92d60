//! How fast the codec reads a stream, against `serde_json::Value` on the same bytes in the same run.
//!
//! `cargo bench --bench codec` prints the two speeds and their ratio, and then divan's table for streams of several sizes.
//! It counts no allocations, since counting slows down the one that allocates; `codec_memory` does.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ccc::stream::{Frame, FrameDecoder, LineLimit};
use divan::Bencher;
use divan::counter::BytesCount;

/// One turn of the CLI 2.1.329 with a tool call, thinned out; tool results cut to some KB.
const TURN: &str = include_str!("data/turn.jsonl");

/// How often each partial message of the turn is repeated: real turns have hundreds.
const PARTIAL_REPEATS: usize = 6;

/// What is read at once: the size of a PTY's buffer on Linux is 4 KiB, a pipe's 64 KiB.
const CHUNK_BYTES: usize = 64 << 10;

const STREAM_BYTES: usize = 128 << 20;

fn stream(least_bytes: usize) -> Vec<u8> {
    let mut turn = String::new();
    for line in TURN.lines() {
        let repeats = if ccc::stream::is_partial(line) { PARTIAL_REPEATS } else { 1 };
        for _ in 0..repeats {
            turn.push_str(line);
            turn.push('\n');
        }
    }
    turn.as_bytes().repeat(least_bytes.div_ceil(turn.len()))
}

/// Frames and envelopes; returns how many lines were accepted.
fn read_by_codec(bytes: &[u8]) -> usize {
    let mut decoder = FrameDecoder::new(LineLimit::DEFAULT);
    let mut lines = 0;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        decoder.push(chunk, |frame| {
            if let Frame::Json(envelope) = &frame {
                lines += 1;
                black_box(envelope);
            }
        });
    }
    decoder.finish(|frame| {
        black_box(&frame);
    });
    lines
}

fn read_by_value(bytes: &[u8]) -> usize {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .map(|value| black_box(&value).is_object())
        .filter(|is_object| *is_object)
        .count()
}

fn time(work: impl FnOnce() -> usize) -> (usize, Duration) {
    #[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = Instant::now();
    let lines = work();
    (lines, start.elapsed())
}

/// Alternates the two, so that a busy machine slows both, and takes the best round of each.
#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn compare() {
    const ROUNDS: usize = 5;
    let bytes = stream(STREAM_BYTES);
    let expected = bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut codec = Duration::MAX;
    let mut value = Duration::MAX;
    for _ in 0..ROUNDS {
        let (lines, took) = time(|| read_by_codec(&bytes));
        assert_eq!(lines, expected, "the codec lost lines");
        codec = codec.min(took);
        let (lines, took) = time(|| read_by_value(&bytes));
        assert_eq!(lines, expected, "serde_json lost lines");
        value = value.min(took);
    }
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = |took: Duration| bytes.len() as f64 / took.as_secs_f64() / 1e9;
    println!(
        "{} MB, {expected} lines: codec {:.2} GB/s, serde_json::Value {:.2} GB/s, ratio {:.1}",
        bytes.len() / 1_000_000,
        speed(codec),
        speed(value),
        speed(codec) / speed(value)
    );
}

/// Sizes of the stream.
const SIZES_MIB: [usize; 3] = [1, 8, 64];

#[divan::bench(args = SIZES_MIB, sample_count = 5, sample_size = 1)]
fn codec(bencher: Bencher<'_, '_>, mib: usize) {
    let bytes = stream(mib << 20);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| read_by_codec(black_box(&bytes)));
}

#[divan::bench(args = SIZES_MIB, sample_count = 5, sample_size = 1)]
fn value(bencher: Bencher<'_, '_>, mib: usize) {
    let bytes = stream(mib << 20);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| read_by_value(black_box(&bytes)));
}

fn main() {
    compare();
    divan::main();
}
