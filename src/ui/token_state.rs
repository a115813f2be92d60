//! The state of a token in words, the same in every command (docs/vocabulary.md).

use jiff::tz::TimeZone;

use super::clean;
use super::format::due;

/// The token can be used.
pub(crate) const READY: &str = "ready";
/// The provider does not accept the token.
pub(crate) const REFUSED: &str = "refused";
/// Nothing is known about the token.
pub(crate) const UNKNOWN: &str = "unknown";

/// How many characters of a window's name are shown.
const NAME_CHARS: usize = 60;

/// The provider rejects requests with the token until its usage window resets; `None` when the reset is unknown.
pub(crate) fn limited(until_unix_ms: Option<i64>, now_unix_ms: i64, zone: &TimeZone) -> String {
    match until_unix_ms {
        Some(at) => format!("limited until {}", due(at, now_unix_ms, zone)),
        None => "limited, reset unknown".to_owned(),
    }
}

/// A run waits before its next request with the token, because the provider got too many requests.
pub(crate) fn throttled(until_unix_ms: i64, now_unix_ms: i64, zone: &TimeZone) -> String {
    if until_unix_ms <= now_unix_ms {
        return "throttled: a run is asking again (status 429)".to_owned();
    }
    format!("throttled: a run waits until {} (status 429)", due(until_unix_ms, now_unix_ms, zone))
}

/// A usage window's name: `five_hour` is `5 hours`, `seven_day_opus` is `7 days, opus`.
pub(crate) fn window(name: &str) -> String {
    let spaced = |rest: &str| rest.trim_start_matches('_').replace('_', " ");
    for (prefix, words) in [("five_hour", "5 hours"), ("seven_day", "7 days")] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let more = clean::one_line(&spaced(rest), NAME_CHARS);
            return if more.is_empty() { words.to_owned() } else { format!("{words}, {more}") };
        }
    }
    clean::one_line(&spaced(name), NAME_CHARS)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{limited, throttled, window};

    #[test]
    fn a_window_has_one_name_everywhere() {
        for (name, words) in [
            ("five_hour", "5 hours"),
            ("seven_day", "7 days"),
            ("seven_day_opus", "7 days, opus"),
            ("input_tokens", "input tokens"),
            ("\u{1b}[31mred", "red"),
        ] {
            assert_eq!(window(name), words);
        }
    }

    #[test]
    fn each_state_says_until_when_it_lasts() {
        let (now, zone) = (1_795_198_017_000, TimeZone::UTC);
        assert_eq!(limited(Some(now + 8_100_000), now, &zone), "limited until 20:21 (in 2h 15m)");
        assert_eq!(limited(None, now, &zone), "limited, reset unknown");
        assert_eq!(throttled(now + 30_000, now, &zone), "throttled: a run waits until 18:07:27 (in 30s) (status 429)");
        assert_eq!(throttled(now, now, &zone), "throttled: a run is asking again (status 429)");
    }
}
