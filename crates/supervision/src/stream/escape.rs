//! Terminal escape sequences around the JSON of a line.
//!
//! With a PTY as stdout the CLI writes sequences that reset the terminal, without a line end (facts §6), so they may
//! stand alone at the end of the stream, or before the first line of whatever writes next.
//!
//! Why not a terminal's parser (`vte`): it takes the text apart character by character, where the JSON must stay whole; only
//! lines that are not JSON by themselves come here.

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// A part of a line that was no JSON as a whole.
pub(super) enum Part<'a, T> {
    Json(T),
    Noise(&'a [u8]),
}

/// Cuts a line at its escape sequences; a stretch between them that `read_json` can read is handed out as such and all
/// else as noise, nothing left out. Each stretch is tried once, so the cost is that of the line.
pub(super) fn split<'a, T>(
    line: &'a [u8],
    read_json: impl Fn(&'a [u8]) -> Option<T>,
    mut on_part: impl FnMut(Part<'a, T>),
) {
    let mut noise_start = 0;
    let mut at = 0;
    while at < line.len() {
        let start = skip_sequences(line, at);
        // No raw control character may stand in JSON, so the next sequence ends the stretch.
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

/// Skips one sequence, of which the ESC stands before `at` (ECMA-48: CSI, command strings, escapes with intermediates).
fn skip_sequence(line: &[u8], at: usize) -> usize {
    match line.get(at) {
        None => at,
        Some(b'[') => {
            let end = skip_while(line, at + 1, |byte| (0x20..0x40).contains(&byte));
            skip_while_once(line, end, |byte| (0x40..0x7f).contains(&byte))
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            // Ended by BEL or by ESC \; an ESC that begins something else ends it too.
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
