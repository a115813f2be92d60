//! Terminal escape sequences around the JSON of a line.
//!
//! When stdout is a PTY, the CLI writes sequences that reset the terminal, without a line end (facts §6). They may
//! stand alone at the end of the stream, or before the first line of the next writer.
//!
//! A terminal parser (`vte`) would not do: it processes the text character by character, but the JSON must stay
//! whole. Only lines that are not JSON as a whole are split here.

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// A part of a line that is not JSON as a whole.
pub(super) enum Part<'a, T> {
    Json(T),
    Noise(&'a [u8]),
}

/// Splits a line at its escape sequences. A stretch between them that `read_json` can read is passed on as JSON and
/// all else as noise, with nothing left out. Each stretch is tried once, so the cost is linear in the line.
pub(super) fn split<'a, T>(
    line: &'a [u8],
    read_json: impl Fn(&'a [u8]) -> Option<T>,
    mut on_part: impl FnMut(Part<'a, T>),
) {
    let mut noise_start = 0;
    let mut at = 0;
    while at < line.len() {
        let start = skip_sequences(line, at);
        // JSON cannot contain a raw control character, so the next sequence ends the stretch.
        let end = find_escape(line, start);
        let stretch = line.get(start..end).unwrap_or_default();
        if stretch.starts_with(b"{")
            && let Some(json) = read_json(stretch)
        {
            let noise = line.get(noise_start..start).unwrap_or_default();
            if !noise.is_empty() {
                on_part(Part::Noise(noise));
            }
            on_part(Part::Json(json));
            noise_start = end;
        }
        at = end;
    }
    let noise = line.get(noise_start..).unwrap_or_default();
    if !noise.is_empty() {
        on_part(Part::Noise(noise));
    }
}

fn find_escape(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    memchr::memchr(ESC, rest).map_or(line.len(), |offset| from + offset)
}

/// Skips escape sequences, control characters and spaces.
fn skip_sequences(line: &[u8], mut at: usize) -> usize {
    loop {
        at = match line.get(at) {
            Some(&ESC) => skip_sequence(line, at + 1),
            Some(0..=b' ' | 0x7f) => at + 1,
            Some(_) | None => return at,
        };
    }
}

/// Skips one sequence whose ESC is before `at` (ECMA-48: CSI, command strings, escapes with intermediates).
fn skip_sequence(line: &[u8], at: usize) -> usize {
    match line.get(at) {
        None => at,
        Some(b'[') => {
            let end = skip_while(line, at + 1, |byte| (0x20..0x40).contains(&byte));
            skip_while_once(line, end, |byte| (0x40..0x7f).contains(&byte))
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            // It ends with BEL or ESC \; an ESC that begins another sequence also ends it.
            let end = skip_while(line, at + 1, |byte| byte != BEL && byte != ESC);
            if line.get(end..).is_some_and(|rest| rest.starts_with(b"\x1b\\")) {
                end + 2
            } else {
                skip_while_once(line, end, |byte| byte == BEL)
            }
        }
        Some(_) => {
            let end = skip_while(line, at, |byte| (0x20..0x30).contains(&byte));
            skip_while_once(line, end, |byte| (0x30..0x7f).contains(&byte))
        }
    }
}

fn skip_while(line: &[u8], mut at: usize, accepts: impl Fn(u8) -> bool) -> usize {
    while line.get(at).is_some_and(|byte| accepts(*byte)) {
        at += 1;
    }
    at
}

fn skip_while_once(line: &[u8], at: usize, accepts: impl Fn(u8) -> bool) -> usize {
    if line.get(at).is_some_and(|byte| accepts(*byte)) { at + 1 } else { at }
}
