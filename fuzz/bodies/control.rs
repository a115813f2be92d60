//! The control socket's decoder: lines out of any bytes, however they are chunked, under any limit; each is read or refused, and
//! what is read comes back from what is written of it.

use ccc::control::protocol::{
    Event, FromRun, LineBuffer, Reply, decode, decode_hello, decode_request, encode, encode_hello, encode_request,
};

/// The lines, and whether one was too long.
fn lines<'a>(limit: usize, chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut buffer = LineBuffer::new(limit);
    let mut lines = Vec::new();
    for chunk in chunks {
        buffer.push(chunk);
        loop {
            match buffer.next_line() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(_) => return (lines, true),
            }
        }
        assert!(buffer.held_bytes() <= limit, "more than the limit is held");
    }
    (lines, false)
}

/// The first byte is the limit (255: none that matters), the second the way to cut, the rest is the stream.
pub(crate) fn check(data: &[u8]) {
    let (&limit, rest) = data.split_first().unwrap_or((&255, &[]));
    let (&cut, stream) = rest.split_first().unwrap_or((&0, &[]));
    let limit = if limit == 255 { 1 << 20 } else { usize::from(limit) };
    let whole = lines(limit, std::iter::once(stream));
    assert_eq!(whole, lines(limit, stream.chunks(1)), "byte by byte");
    assert_eq!(whole, lines(limit, stream.chunks(usize::from(cut) + 1)), "in chunks");
    for line in &whole.0 {
        read(line);
    }
}

fn read(line: &[u8]) {
    if let Ok(hello) = decode_hello(line) {
        assert_eq!(decode_hello(&encode_hello(&hello)), Ok(hello));
    }
    match decode_request(line) {
        Ok((id, request)) => assert_eq!(decode_request(&encode_request(id, &request)), Ok((id, request))),
        Err((_, fault)) => assert!(fault.message.len() < 4 * 1024 + line.len(), "a fault repeats more than was said"),
    }
    match decode(line) {
        // Of these the name is known, and nothing else; numbers that are no numbers equal nothing.
        Ok(FromRun::Event(Event::Unknown(_))) | Err(_) => {}
        Ok(said) => {
            let again = decode(&encode(&said));
            assert!(again.is_ok(), "{said:?} does not come back: {again:?}");
            if let FromRun::Reply { reply: Reply::Queued { .. } | Reply::Fault(_), .. } = &said {
                assert_eq!(again, Ok(said));
            }
        }
    }
}
