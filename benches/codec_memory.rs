//! What the codec allocates while it reads streams of several sizes.
//!
//! `cargo bench --bench codec_memory` prints a table: `max alloc`, the memory held at once, is the same for all sizes. It
//! is the decoder's buffer for a line that two chunks share.

use std::hint::black_box;

use ccc::stream::{FrameDecoder, LineLimit};
use divan::{AllocProfiler, Bencher};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// One turn of the CLI 2.1.329 with a tool call, thinned out; tool results cut to some KB.
const TURN: &[u8] = include_bytes!("data/turn.jsonl");

/// What is read at once; so small that most lines are cut.
const CHUNK_BYTES: usize = 4 << 10;

/// How many turns the stream has; one is 40 KB.
#[divan::bench(args = [10, 100, 1000], sample_count = 3, sample_size = 1)]
fn turns(bencher: Bencher<'_, '_>, turns: usize) {
    let stream = TURN.repeat(turns);
    bencher.bench_local(|| {
        let mut decoder = FrameDecoder::new(LineLimit::DEFAULT);
        for chunk in stream.chunks(CHUNK_BYTES) {
            decoder.push(chunk, |frame| {
                black_box(&frame);
            });
        }
        decoder.buffer_bytes()
    });
}

fn main() {
    divan::main();
}
