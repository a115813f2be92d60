//! The decoder of keys: the same events however the bytes come, and nothing held without a bound.

use ccc::ui::keys::{Decoder, PASTE_LIMIT_BYTES, Typed};

/// A sequence of a terminal's that does not end is not held for longer than this.
const MOST_HELD_BYTES: usize = 4 * 1024;

/// The first byte says how large the pieces are.
pub(crate) fn check(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let mut whole = Decoder::new();
    let mut at_once = whole.take(bytes);
    at_once.extend(whole.settle());
    let mut pieces = Decoder::new();
    let mut typed = Vec::new();
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        typed.extend(pieces.take(piece));
        assert!(pieces.held_bytes() <= MOST_HELD_BYTES, "{} bytes are held", pieces.held_bytes());
    }
    typed.extend(pieces.settle());
    assert_eq!(typed, at_once);
    for typed in typed {
        if let Typed::Paste { text, .. } = typed {
            // A byte that is no text is replaced by three.
            assert!(text.len() <= 3 * PASTE_LIMIT_BYTES, "a replaced byte takes three");
        }
    }
}
