//! Reads a heartbeat file.

use std::path::Path;

use serde_json::Value;

use crate::core::supervised::BeatReading;
use crate::files::{self, HEARTBEAT};

/// Reads the file; the age is counted to `now_unix_ms`.
pub(super) fn read(path: &Path, now_unix_ms: i64) -> BeatReading {
    match files::read_if_there(path, HEARTBEAT) {
        Ok(None) => BeatReading::Missing,
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => parse(text, now_unix_ms),
            Err(_) => BeatReading::Malformed("it is not UTF-8".to_owned()),
        },
        Err(fault) => BeatReading::Malformed(format!("it {fault}")),
    }
}

fn parse(text: &str, now_unix_ms: i64) -> BeatReading {
    let malformed = |why: &str| BeatReading::Malformed(why.to_owned());
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        // The parser's own message may quote the file.
        Err(error) => return malformed(&format!("line {}, column {}: not JSON", error.line(), error.column())),
    };
    let Some(seconds) = value.get("unix_ts").and_then(Value::as_f64) else {
        return malformed("it has no number `unix_ts`");
    };
    // Beyond the year 9000 the number is not in seconds.
    if !(0.0..=2.5e11).contains(&seconds) {
        return malformed("its `unix_ts` is no time in seconds");
    }
    #[allow(clippy::cast_possible_truncation, reason = "it was just found to be small enough")]
    let unix_ms = (seconds * 1_000.0).round() as i64;
    BeatReading::At { unix_ms, age_ms: u64::try_from(now_unix_ms.saturating_sub(unix_ms)).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::{parse, read};
    use crate::core::supervised::BeatReading;

    #[test]
    fn a_heartbeat_is_an_object_with_a_time_in_seconds() {
        let at = |unix_ms, age_ms| BeatReading::At { unix_ms, age_ms };
        for (text, expected) in [
            (r#"{"unix_ts":1800000000}"#, Some(at(1_800_000_000_000, 5_000))),
            (r#"{"unix_ts":1800000004.5,"pid":7,"phase":"x"}"#, Some(at(1_800_000_004_500, 500))),
            (r#"{"unix_ts":1800000009}"#, Some(at(1_800_000_009_000, 0))),
            (r#"{"unix_ts":"1800000000"}"#, None),
            (r#"{"unix_ts":1800000000000}"#, None),
            (r#"{"unix_ts":-1}"#, None),
            (r#"{"ts":1800000000}"#, None),
            (r#"{"unix_ts":18000"#, None),
            ("", None),
        ] {
            let reading = parse(text, 1_800_000_005_000);
            match expected {
                Some(expected) => assert_eq!(reading, expected, "{text}"),
                None => assert!(matches!(reading, BeatReading::Malformed(_)), "{text}: {reading:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_file_is_no_heartbeat() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&dir.path().join("none"), 0), BeatReading::Missing);
        assert!(matches!(read(dir.path(), 0), BeatReading::Malformed(_)));
    }
}
