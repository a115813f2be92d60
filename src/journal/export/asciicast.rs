//! asciicast v3, the recording format of asciinema 3: a header line, then `[seconds since the last event, code, data]`.

use std::io::{self, Write};

use serde::Serialize;

use crate::core::Tick;

/// The header for a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastHeader {
    /// Width of the terminal.
    pub cols: u16,
    /// Height of the terminal.
    pub rows: u16,
    /// When the run began, unix seconds.
    pub timestamp_unix_s: Option<i64>,
    /// The recording's title.
    pub title: Option<String>,
    /// Players cut longer pauses to this, because a run may have pauses of hours.
    pub idle_time_limit_s: Option<u32>,
}

/// Writes a recording of the screen output, with `exit_code` at its end. Pieces out of order are shown without a pause.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_asciicast<'a>(
    out: &mut impl Write,
    header: &CastHeader,
    pieces: impl IntoIterator<Item = (Tick, &'a str)>,
    exit_code: Option<u8>,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Term {
        cols: u16,
        rows: u16,
    }
    #[derive(Serialize)]
    struct Line<'h> {
        version: u8,
        term: Term,
        #[serde(skip_serializing_if = "Option::is_none")]
        timestamp: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        idle_time_limit: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'h str>,
    }
    let line = Line {
        version: 3,
        term: Term { cols: header.cols, rows: header.rows },
        timestamp: header.timestamp_unix_s,
        idle_time_limit: header.idle_time_limit_s,
        title: header.title.as_deref(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")?;
    // Round absolute times, not intervals, so that rounding errors do not accumulate.
    let mut shown_ms = 0;
    for (tick, text) in pieces {
        let at_ms = tick.as_ms().max(shown_ms);
        event(out, at_ms - shown_ms, 'o', &with_returns(text))?;
        shown_ms = at_ms;
    }
    if let Some(code) = exit_code {
        event(out, 0, 'x', &code.to_string())?;
    }
    Ok(())
}

fn event(out: &mut impl Write, after_ms: u64, code: char, data: &str) -> io::Result<()> {
    write!(out, "[{}.{:03},\"{code}\",", after_ms / 1_000, after_ms % 1_000)?;
    serde_json::to_writer(&mut *out, data)?;
    out.write_all(b"]\n")
}

/// A terminal needs a carriage return at each line end.
fn with_returns(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}
