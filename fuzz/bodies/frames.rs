//! The frame decoder: lines out of any bytes, however they are chunked, under any limit.

use ccc::stream::{Frame, FrameDecoder, LineLimit};

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Json(Vec<u8>),
    Noise(Vec<u8>),
    TooLong(u64),
}

fn own(frame: Frame<'_>) -> Seen {
    match frame {
        Frame::Json(envelope) => Seen::Json(envelope.line.as_bytes().to_vec()),
        Frame::Noise(noise) => Seen::Noise(noise.to_vec()),
        Frame::TooLong { bytes } => Seen::TooLong(bytes),
    }
}

fn decode<'a>(limit: usize, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut decoder = FrameDecoder::new(LineLimit::bytes(limit));
    let mut seen = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, |frame| seen.push(own(frame)));
        assert!(decoder.pending_bytes() <= limit, "more than the limit is held");
    }
    decoder.finish(|frame| seen.push(own(frame)));
    assert_eq!(decoder.pending_bytes(), 0, "something is left after the end");
    seen
}

/// What the frames must add up to, line by line: `Err` is the length of a line over the limit.
fn expected(limit: usize, stream: &[u8]) -> Vec<Result<Vec<u8>, u64>> {
    let lines = stream.split(|byte| *byte == b'\n').map(|line| {
        if line.len() > limit {
            return Err(line.len() as u64);
        }
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        Ok(line[..end].to_vec())
    });
    lines.filter(|line| !matches!(line, Ok(text) if text.iter().all(|byte| b" \t\r".contains(byte)))).collect()
}

/// The first byte is the limit (255: none that matters), the second the way to cut, the rest is the stream.
pub(crate) fn check(data: &[u8]) {
    let (&limit, rest) = data.split_first().unwrap_or((&255, &[]));
    let (&cut, stream) = rest.split_first().unwrap_or((&0, &[]));
    let limit = if limit == 255 { 1 << 20 } else { usize::from(limit) };
    let whole = decode(limit, std::iter::once(stream));
    assert_eq!(whole, decode(limit, stream.chunks(1)), "byte by byte");
    assert_eq!(whole, decode(limit, stream.chunks(usize::from(cut) + 1)), "in chunks");
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    assert_eq!(whole, decode(limit, [head, &[], tail].into_iter()), "in two");

    let mut frames = whole.into_iter();
    for line in expected(limit, stream) {
        match line {
            Err(bytes) => assert_eq!(frames.next(), Some(Seen::TooLong(bytes))),
            Ok(text) => {
                let mut parts = Vec::new();
                while parts.len() < text.len() {
                    match frames.next() {
                        Some(Seen::Json(part)) => {
                            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&part).is_ok(), "no JSON");
                            parts.extend(part);
                        }
                        Some(Seen::Noise(part)) => {
                            assert!(!part.is_empty(), "noise of nothing");
                            parts.extend(part);
                        }
                        other => panic!("{other:?} in the middle of a line"),
                    }
                }
                assert_eq!(parts, text, "a line's parts add up to the line");
            }
        }
    }
    assert_eq!(frames.next(), None, "more frames than lines");
}
