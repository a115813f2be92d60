//! Times, durations and money as people read them: one format in the whole program.
//!
//! | what | function | form |
//! |---|---|---|
//! | how long something took | [`span`] | `820ms`, `12.3s`, `12m 05s`, `1h 02m`, `3d 04h` |
//! | how long something has lasted, or how far away it is | [`seconds`] | `0s`, `12s`, `12m 05s`, `1h 02m`, `3d 04h` |
//! | where in a run something stands | [`position`] | `0:00:07`, `1:02:07`, `26:02:07` |
//! | a bound, as the user wrote it | [`bound`] | `8h`, `15m`, `90s`, `500ms` |
//! | when an event of today happened | [`time_of_day`] | `07:03:12` |
//! | on which day | [`date`] | `2026-11-27` |
//! | when something of any day happened | [`date_and_time`] | `2026-11-27 07:03` |
//! | when something will happen, or did not long ago | [`moment`] | `14:05`, `Sat 14:05`, `2026-11-27 14:05` |
//! | the same, and how far away it is | [`due`] | `14:05 (in 2h 15m)`; within a minute `14:05:20 (in 20s)` |
//! | how much of a model's context is used | [`context`] | `45%`, `90k` |
//!
//! Times are written in the zone that is passed in: the user's zone, which `cli/zone.rs` reads. Nothing here reads a
//! clock or the environment.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::agent::ContextUse;
pub(crate) use crate::core::bound_in_words as bound;
use crate::core::{Amount, dollars};

/// How long something took: `820ms`, `12.3s`, `12m 05s`, `1h 02m`, `3d 04h`.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    if ms < 1_000 {
        format!("{ms}ms")
    } else if s < 60 {
        format!("{s}.{}s", ms % 1_000 / 100)
    } else {
        seconds(ms)
    }
}

/// A span in whole seconds, for a value that counts up or down: `12s`, `12m 05s`, `1h 02m`, `3d 04h`.
pub(crate) fn seconds(ms: u64) -> String {
    let s = ms / 1_000;
    let (days, hours, minutes) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, minutes) => format!("{minutes}m {:02}s", s % 60),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours:02}h"),
    }
}

/// How far `unix_ms` is in the future, in [`seconds`]; a past time is `0s` away.
pub(crate) fn away(unix_ms: i64, now_unix_ms: i64) -> String {
    seconds(u64::try_from(unix_ms.saturating_sub(now_unix_ms)).unwrap_or(0))
}

/// Where in a run something stands: `0:00:07`, `1:02:07`.
pub(crate) fn position(ms: u64) -> String {
    let s = ms / 1_000;
    format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

/// The time of day of an event: `07:03:12`.
pub(crate) fn time_of_day(unix_ms: i64, zone: &TimeZone) -> String {
    told(unix_ms, zone, "%H:%M:%S")
}

/// The day: `2026-11-27`.
pub(crate) fn date(unix_ms: i64, zone: &TimeZone) -> String {
    told(unix_ms, zone, "%Y-%m-%d")
}

/// Date and time: `2026-11-27 07:03`.
pub(crate) fn date_and_time(unix_ms: i64, zone: &TimeZone) -> String {
    told(unix_ms, zone, "%Y-%m-%d %H:%M")
}

/// A time relative to now: `14:05`; on another day with the day of the week, and a week away with the date.
pub(crate) fn moment(unix_ms: i64, now_unix_ms: i64, zone: &TimeZone) -> String {
    const WEEK_MS: i64 = 6 * 24 * 3_600_000;
    let zoned = |ms| Timestamp::from_millisecond(ms).ok().map(|time| time.to_zoned(zone.clone()));
    let same_day = zoned(unix_ms).zip(zoned(now_unix_ms)).is_some_and(|(then, now)| then.date() == now.date());
    if same_day {
        told(unix_ms, zone, "%H:%M")
    } else if unix_ms.saturating_sub(now_unix_ms).saturating_abs() < WEEK_MS {
        told(unix_ms, zone, "%a %H:%M")
    } else {
        date_and_time(unix_ms, zone)
    }
}

/// A future [`moment`] and how far away it is: `14:05 (in 2h 15m)`. Within a minute it has seconds, because the minute
/// alone may be the present one: `14:05:20 (in 20s)`.
pub(crate) fn due(unix_ms: i64, now_unix_ms: i64, zone: &TimeZone) -> String {
    let away = away(unix_ms, now_unix_ms);
    if Timestamp::from_millisecond(unix_ms).is_err() {
        return format!("in {away}");
    }
    let is_near = unix_ms.saturating_sub(now_unix_ms) < 60_000;
    let at = if is_near { time_of_day(unix_ms, zone) } else { moment(unix_ms, now_unix_ms, zone) };
    format!("{at} (in {away})")
}

fn told(unix_ms: i64, zone: &TimeZone, form: &str) -> String {
    Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| "an unknown time".to_owned(), |time| time.to_zoned(zone.clone()).strftime(form).to_string())
}

/// An amount of what a bound counts. A moment also says how far away it is, if the wall clock is known.
pub(crate) fn amount(amount: Amount, noun: &str, now_unix_ms: Option<i64>, zone: &TimeZone) -> String {
    match amount {
        Amount::Count(n) => count(usize::try_from(n).unwrap_or(usize::MAX), noun),
        Amount::Ms(_) | Amount::Usd(_) => amount.to_string(),
        Amount::UnixMs(unix_ms) => {
            now_unix_ms.map_or_else(|| date_and_time(unix_ms, zone), |now| due(unix_ms, now, zone))
        }
    }
}

/// An amount in dollars; `unknown` when it is not known.
pub(crate) fn money(usd: Option<f64>) -> String {
    usd.map_or_else(|| "unknown".to_owned(), dollars)
}

/// How much of a model's context is used, in at most five columns: in percent, or in tokens while its window is unknown.
pub(crate) fn context(used: &ContextUse) -> String {
    match used.percent() {
        // Not rounded up: 99.6 is not full.
        Some(percent) => format!("{:.0}%", percent.floor()),
        None => tokens(used.used_tokens),
    }
}

/// The same with the tokens: `45% (90k of 200k tokens)`.
pub(crate) fn context_with_tokens(used: &ContextUse) -> String {
    let all = used.window_tokens.map(|window| format!(" of {}", tokens(window))).unwrap_or_default();
    let tokens = format!("{}{all} tokens", tokens(used.used_tokens));
    if used.percent().is_some() { format!("{} ({tokens})", context(used)) } else { tokens }
}

fn tokens(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1_000_000.0),
    }
}

/// An amount of bytes: `820 bytes`, `12 KiB`, `1.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if scaled < 1023.95 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, larger);
    }
    let digits = usize::from(scaled < 9.95);
    format!("{scaled:.digits$} {unit}")
}

/// A number and `word`, in the plural unless the number is 1.
pub(crate) fn count(n: usize, word: &str) -> String {
    match (n, word.ends_with('s')) {
        (1, _) => format!("1 {word}"),
        (_, true) => format!("{n} {word}es"),
        (_, false) => format!("{n} {word}s"),
    }
}

/// How many of the agent's calls were denied, for a sentence; `None` if none was.
pub(crate) fn denied(calls: u32) -> Option<String> {
    match calls {
        0 => None,
        1 => Some("1 tool call was denied".to_owned()),
        n => Some(format!("{n} tool calls were denied")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fri 2026-11-20 18:06:57 UTC
    const NOW_MS: i64 = 1_795_198_017_000;

    #[test]
    fn an_amount_of_bytes_has_two_or_three_digits() {
        for (amount, shown) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1.0 KiB"),
            (150_000, "146 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(amount), shown);
        }
    }

    #[test]
    fn a_context_is_told_in_percent_and_without_its_window_in_tokens() {
        let of = |used_tokens, window_tokens| ContextUse { used_tokens, window_tokens };
        let known = [(0, "0%"), (199_999, "99%"), (200_000, "100%")];
        assert!(known.iter().all(|(used, shown)| context(&of(*used, Some(200_000))) == *shown));
        let unknown = [(10, "10"), (999, "999"), (1_000, "1k"), (999_999, "999k"), (1_250_000, "1.2M")];
        assert!(unknown.iter().all(|(used, shown)| context(&of(*used, None)) == *shown));
        assert_eq!(context_with_tokens(&of(90_400, Some(200_000))), "45% (90k of 200k tokens)");
        assert_eq!(context_with_tokens(&of(90_400, None)), "90k tokens");
    }

    #[test]
    fn durations_read_as_people_write_them() {
        let ms = [0, 820, 12_345, 59_999, 60_000, 725_000, 3_727_000, 86_399_999, 273_600_000];
        assert_eq!(
            ms.map(span),
            ["0ms", "820ms", "12.3s", "59.9s", "1m 00s", "12m 05s", "1h 02m", "23h 59m", "3d 04h"]
        );
        assert_eq!(ms.map(seconds), ["0s", "0s", "12s", "59s", "1m 00s", "12m 05s", "1h 02m", "23h 59m", "3d 04h"]);
        assert_eq!(
            ms.map(position),
            ["0:00:00", "0:00:00", "0:00:12", "0:00:59", "0:01:00", "0:12:05", "1:02:07", "23:59:59", "76:00:00"]
        );
    }

    #[test]
    fn a_time_to_come_is_a_local_time_and_how_far_away_it_is() {
        for (seconds, expected) in [
            (8_100, "20:21 (in 2h 15m)"),
            (8_159, "20:22 (in 2h 15m)"),
            (3_600, "19:06 (in 1h 00m)"),
            (900, "18:21 (in 15m 00s)"),
            (60, "18:07 (in 1m 00s)"),
            (59, "18:07:56 (in 59s)"),
            (30, "18:07:27 (in 30s)"),
            (0, "18:06:57 (in 0s)"),
            (-5, "18:06:52 (in 0s)"),
            (21_600, "Sat 00:06 (in 6h 00m)"),
            (273_600, "Mon 22:06 (in 3d 04h)"),
            (604_800, "2026-11-27 18:06 (in 7d 00h)"),
        ] {
            assert_eq!(due(NOW_MS + seconds * 1_000, NOW_MS, &TimeZone::UTC), expected, "{seconds}");
        }
        let east = TimeZone::fixed(jiff::tz::offset(6));
        assert_eq!(due(NOW_MS + 8_100_000, NOW_MS, &east), "02:21 (in 2h 15m)");
        assert_eq!(due(i64::MAX, NOW_MS, &east), "in 106751970389d 13h");
    }

    #[test]
    fn times_are_told_in_the_users_zone() {
        // The zones are compiled into the program, so this fails if they are missing.
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        assert_eq!(time_of_day(NOW_MS, &berlin), "19:06:57");
        assert_eq!(date_and_time(NOW_MS, &berlin), "2026-11-20 19:06");
        assert_eq!(time_of_day(NOW_MS, &TimeZone::UTC), "18:06:57");
        assert_eq!(time_of_day(i64::MAX, &berlin), "an unknown time");
        let summer = NOW_MS - 150 * 86_400_000;
        assert_eq!(time_of_day(summer, &berlin), "20:06:57");
    }

    #[test]
    fn unknown_money_is_not_nothing() {
        assert_eq!(money(None), "unknown");
        assert_eq!(money(Some(0.0)), "$0.00");
        assert_eq!(money(Some(1.239)), "$1.24");
    }
}
