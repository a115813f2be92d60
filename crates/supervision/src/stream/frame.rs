//! Splits bytes, chunked in any way, into lines.
//!
//! A `BufRead` would not do: here a line that is whole in its chunk is passed on without a copy, and a long line
//! takes no more memory than the limit (`cargo bench --bench codec_memory`).

use super::envelope::{Envelope, parse_envelope};
use super::escape::{Part, split};

/// The longest line that is kept, in bytes before its `\n`. A longer line is dropped and only its length is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineLimit(usize);

impl LineLimit {
    /// 64 MiB. The CLI writes a whole tool result or answer on one line; lines of 10 MB have been seen, and an image
    /// takes 1.3 MB.
    pub const DEFAULT: Self = Self(64 << 20);

    /// A limit of this many bytes.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Self(bytes)
    }
}

impl Default for LineLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One line of the stream, or a part of a line that terminal sequences split. Blank lines yield no frame.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a frame is looked at where it is made; a box would cost an allocation per line"
)]
pub enum Frame<'a> {
    /// JSON; the text is [`Envelope::line`].
    Json(Envelope<'a>),
    /// Not JSON, or not UTF-8; without the line end.
    Noise(&'a [u8]),
    /// A line over the limit, dropped.
    TooLong {
        /// Its length, without the `\n`.
        bytes: u64,
    },
}

/// Splits a stream into [`Frame`]s.
///
/// A line within one chunk is not copied. For a line in several chunks the decoder buffers the beginning, never more
/// than the limit, and frees the memory of a long line when it ends.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    limit: LineLimit,
    /// The beginning of an unfinished line.
    pending: Vec<u8>,
    /// Set while the rest of a line over the limit is dropped: its length so far, in bytes.
    dropped_bytes: Option<u64>,
}

/// A buffer up to this size is kept for the next line that is split over chunks.
const RETAINED_BYTES: usize = 256 << 10;

impl FrameDecoder {
    /// A decoder for one stream.
    #[must_use]
    pub fn new(limit: LineLimit) -> Self {
        Self { limit, pending: Vec::new(), dropped_bytes: None }
    }

    /// Takes the next bytes and passes on the lines that they complete, in order.
    pub fn push(&mut self, chunk: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if self.pending.is_empty() && self.dropped_bytes.is_none() {
                self.hand_out(line, &mut on_frame);
            } else {
                self.keep(line);
                self.end_line(&mut on_frame);
            }
        }
        if !rest.is_empty() {
            self.keep(rest);
        }
    }

    /// The stream has ended: passes on an unfinished last line. The decoder is then in its initial state.
    pub fn finish(&mut self, mut on_frame: impl FnMut(Frame<'_>)) {
        self.end_line(&mut on_frame);
    }

    /// How many bytes of an unfinished line are buffered.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// The length so far of an unfinished line over the limit, in bytes; `None` when there is none.
    #[must_use]
    pub fn dropped_bytes(&self) -> Option<u64> {
        self.dropped_bytes
    }

    /// The capacity of the decoder's buffer, in bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.pending.capacity()
    }

    fn keep(&mut self, part: &[u8]) {
        if let Some(dropped) = &mut self.dropped_bytes {
            *dropped += part.len() as u64;
            return;
        }
        let length = self.pending.len() + part.len();
        if length > self.limit.0 {
            self.dropped_bytes = Some(length as u64);
            self.pending = Vec::new();
            return;
        }
        if length > self.pending.capacity() {
            // Doubling limits the number of copies of a long line; the capacity never exceeds the limit.
            let capacity = (self.pending.capacity() * 2).clamp(length, self.limit.0);
            self.pending.reserve_exact(capacity - self.pending.len());
        }
        self.pending.extend_from_slice(part);
    }

    fn end_line(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) {
        if let Some(bytes) = self.dropped_bytes.take() {
            on_frame(Frame::TooLong { bytes });
            return;
        }
        let mut line = std::mem::take(&mut self.pending);
        self.hand_out(&line, on_frame);
        if line.capacity() <= RETAINED_BYTES {
            line.clear();
            self.pending = line;
        }
    }

    fn hand_out(&self, line: &[u8], on_frame: &mut impl FnMut(Frame<'_>)) {
        if line.len() > self.limit.0 {
            on_frame(Frame::TooLong { bytes: line.len() as u64 });
            return;
        }
        let line = without_carriage_returns(line);
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return;
        }
        if let Some(envelope) = envelope_of(line) {
            on_frame(Frame::Json(envelope));
            return;
        }
        split(line, envelope_of, |part| match part {
            Part::Json(envelope) => on_frame(Frame::Json(envelope)),
            Part::Noise(noise) => on_frame(Frame::Noise(noise)),
        });
    }
}

/// A terminal that is not raw ends lines with `\r\n`.
fn without_carriage_returns(mut line: &[u8]) -> &[u8] {
    while let Some(shorter) = line.strip_suffix(b"\r") {
        line = shorter;
    }
    line
}

fn envelope_of(line: &[u8]) -> Option<Envelope<'_>> {
    parse_envelope(std::str::from_utf8(line).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Owned {
        Json(String),
        Noise(Vec<u8>),
        TooLong(u64),
    }

    fn own(frame: Frame<'_>) -> Owned {
        match frame {
            Frame::Json(envelope) => Owned::Json(envelope.line.to_owned()),
            Frame::Noise(noise) => Owned::Noise(noise.to_vec()),
            Frame::TooLong { bytes } => Owned::TooLong(bytes),
        }
    }

    fn frames<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
        let mut decoder = FrameDecoder::new(LineLimit::bytes(limit));
        let mut seen = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |frame| seen.push(own(frame)));
        }
        decoder.finish(|frame| seen.push(own(frame)));
        seen
    }

    fn json(text: &str) -> Owned {
        Owned::Json(text.to_owned())
    }

    fn noise(text: &str) -> Owned {
        Owned::Noise(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_end_by_lf_or_crlf_and_blank_ones_are_skipped() {
        let stream = b"{\"a\":1}\r\n\n  \r\n{\"b\":\"\xe8\xaa\x9e\"}\nwarning\r\r\n{\"cut";
        assert_eq!(
            frames(100, [&stream[..]]),
            [json("{\"a\":1}"), json("{\"b\":\"語\"}"), noise("warning"), noise("{\"cut")]
        );
    }

    /// The final output of 2.1.197 to a terminal (facts §6).
    const RESET: &str = "\x1b[?1006l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b(B\x0f\x1b[>4m\x1b[<u\x1b[?1004l\x1b[?2031l\
        \x1b[?2004l\x1b[?25h\x1b7\x1b[r\x1b8\x1b]0;\x07\x1b[?25h";

    #[test]
    fn a_terminal_reset_at_the_end_is_noise_with_or_without_a_line_end() {
        for end in ["", "\n", "\r\n"] {
            let stream = format!("{{\"type\":\"result\"}}\n{RESET}{end}");
            assert_eq!(frames(1000, [stream.as_bytes()]), [json("{\"type\":\"result\"}"), noise(RESET)]);
        }
    }

    #[test]
    fn json_is_found_between_terminal_sequences() {
        let line = "{\"text\":\"\\u001b[0m {\"}";
        for sequence in [RESET, "\x1b[?25h", "\x1b]0;title {\"a\":1}\x1b\\", "\x1b[0m \t", "\x1bP1$r\x07"] {
            assert_eq!(frames(1000, [format!("{sequence}{line}\n").as_bytes()]), [noise(sequence), json(line)]);
            assert_eq!(
                frames(1000, [format!("{line}{sequence}{line}{sequence}").as_bytes()]),
                [json(line), noise(sequence), json(line), noise(sequence)]
            );
        }
    }

    #[test]
    fn a_sequence_that_never_ends_is_noise() {
        let stream = "\x1b]0;{\"a\":1}\n\x1b\n\x1b[\n\x1b[31mError: {\"a\":1}\x1b[0m";
        assert_eq!(
            frames(1000, [stream.as_bytes()]),
            [noise("\x1b]0;{\"a\":1}"), noise("\x1b"), noise("\x1b["), noise("\x1b[31mError: {\"a\":1}\x1b[0m")]
        );
    }

    #[test]
    fn a_line_of_the_limit_passes_and_a_longer_one_is_reported() {
        let stream = b"[1234567]\n[12345678]\n[1]\n[1234567890";
        let expected = [json("[1234567]"), Owned::TooLong(10), json("[1]"), Owned::TooLong(11)];
        assert_eq!(frames(9, [&stream[..]]), expected);
        assert_eq!(frames(9, stream.chunks(1)), expected);
        assert_eq!(frames(9, stream.chunks(4)), expected);
    }

    #[test]
    fn the_buffer_never_exceeds_the_limit() {
        const LIMIT_BYTES: usize = 1000;
        let mut decoder = FrameDecoder::new(LineLimit::bytes(LIMIT_BYTES));
        let mut too_long = Vec::new();
        for _ in 0..10_000 {
            decoder.push(&[b'x'; 7], |_| unreachable!("no line has ended"));
            assert!(decoder.buffer_bytes() <= LIMIT_BYTES);
        }
        decoder.push(b"\n[1]\n", |frame| too_long.push(own(frame)));
        assert_eq!(too_long, [Owned::TooLong(70_000), json("[1]")]);
    }

    #[test]
    fn a_big_line_survives_and_its_memory_is_given_back() {
        let line = format!("{{\"text\":\"{}\"}}", "wide 語 😀 ".repeat(800_000));
        assert!(line.len() > 10_000_000);
        let mut decoder = FrameDecoder::default();
        let mut seen = Vec::new();
        for chunk in line.as_bytes().chunks(4096) {
            decoder.push(chunk, |frame| seen.push(own(frame)));
        }
        assert_eq!(decoder.pending_bytes(), line.len());
        decoder.push(b"\n", |frame| seen.push(own(frame)));
        assert!(seen == [json(&line)], "the line was changed");
        assert!(decoder.buffer_bytes() <= RETAINED_BYTES);
    }

    #[test]
    fn memory_does_not_grow_with_the_stream() {
        let line = b"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\"}}\n";
        let stream = line.repeat(1000);
        let mut decoder = FrameDecoder::default();
        let mut lines = 0;
        for round in 0..100 {
            for chunk in stream.chunks(61 + round) {
                decoder.push(chunk, |_| lines += 1);
                assert!(decoder.buffer_bytes() <= 4 * line.len());
            }
        }
        assert_eq!(lines, 100_000);
    }

    #[test]
    fn a_line_in_one_chunk_is_not_copied() {
        let chunk = b"{\"type\":\"keep_alive\"}\nplain\n";
        let range = chunk.as_ptr_range();
        let mut decoder = FrameDecoder::default();
        let mut seen = 0;
        decoder.push(chunk, |frame| {
            let start = match frame {
                Frame::Json(envelope) => envelope.line.as_ptr(),
                Frame::Noise(noise) => noise.as_ptr(),
                Frame::TooLong { .. } => unreachable!("no line is that long"),
            };
            assert!(range.contains(&start));
            seen += 1;
        });
        assert_eq!((seen, decoder.buffer_bytes()), (2, 0));
    }

    /// Streams built from valid and broken pieces.
    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"{\"type\":\"user\",\"text\":\"\xe8\xaa\x9e \\n\"}".to_vec()),
            Just(b"[1, 2]".to_vec()),
            Just(b"{\"cut\":".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n \t\n".to_vec()),
            Just(RESET.as_bytes().to_vec()),
            Just(b"\x1b]0;".to_vec()),
            Just(b"\x1b[".to_vec()),
            Just(b"\xff\xfe".to_vec()),
            Just(b"warning: x".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..20),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    fn cut<'a>(mut stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut chunks = Vec::new();
        for length in lengths {
            let (chunk, rest) = stream.split_at((*length).min(stream.len()));
            chunks.push(chunk);
            stream = rest;
        }
        chunks.push(stream);
        chunks
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            stream in any_stream(),
            lengths in proptest::collection::vec(0usize..30, 0..60),
            limit in prop_oneof![Just(1 << 20), 0usize..60],
        ) {
            let whole = frames(limit, [&stream[..]]);
            prop_assert_eq!(&frames(limit, cut(&stream, &lengths)), &whole);
            prop_assert_eq!(&frames(limit, stream.chunks(1)), &whole);
        }

        #[test]
        fn only_blank_lines_and_line_ends_are_lost(stream in any_stream()) {
            let mut expected = Vec::new();
            for line in stream.split(|byte| *byte == b'\n') {
                let line = without_carriage_returns(line);
                if !line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                    expected.extend_from_slice(line);
                }
            }
            let mut seen = Vec::new();
            for frame in frames(usize::MAX, [&stream[..]]) {
                match frame {
                    Owned::Json(text) => seen.extend_from_slice(text.as_bytes()),
                    Owned::Noise(noise) => seen.extend_from_slice(&noise),
                    Owned::TooLong(_) => unreachable!("there is no limit"),
                }
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
