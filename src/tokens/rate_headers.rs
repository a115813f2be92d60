//! Parses the limits in the headers of a provider's answer. Pure: time is an argument.
//!
//! Anthropic reports the windows of a subscription (`anthropic-ratelimit-unified-5h-utilization`, facts §9) or those
//! of an API key (`anthropic-ratelimit-tokens-remaining`); other providers send `x-ratelimit-remaining-tokens`. Times
//! come in five formats, in seconds and in milliseconds. An implausible time is dropped, because a run would wait for
//! it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::core::WindowFact;
use crate::order::map_of;

/// The latest plausible reset from now, in milliseconds: windows last a week, spending limits a month.
const FARTHEST_MS: i64 = 40 * 24 * 3_600 * 1_000;
/// The oldest plausible reset before now, in milliseconds: clocks differ, and an unused window reports when it ended.
const OLDEST_MS: i64 = 24 * 3_600 * 1_000;
/// Numbers from here on are times, not durations, in seconds: 2001.
const FIRST_EPOCH_S: f64 = 1e9;
/// Numbers from here on are milliseconds: as seconds they would be the year 5138.
const FIRST_EPOCH_MS: f64 = 1e11;
/// How many windows of one answer are kept.
const WINDOWS_LIMIT: usize = 16;
/// The largest plausible utilization: some windows are exceeded, none a hundredfold.
const UTILIZATION_LIMIT: f64 = 100.0;

const UNIFIED: &str = "anthropic-ratelimit-unified-";

/// The parsed headers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RateHeaders {
    /// The windows, by name.
    pub(super) windows: Vec<WindowFact>,
    /// The subscription's state, if reported.
    pub(super) unified: Option<Unified>,
    /// The time to wait, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
}

/// The state of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unified {
    /// Requests are rejected until the reset.
    pub(super) rejected: bool,
    /// The reset, unix milliseconds.
    pub(super) resets_at_unix_ms: Option<i64>,
    /// The window that decides.
    pub(super) claim: Option<String>,
}

/// Parses an answer's headers, whose names are in lower case.
pub(super) fn read<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>, now_unix_ms: i64) -> RateHeaders {
    let all: BTreeMap<&str, &str> = map_of(headers);
    let unified = all.get("anthropic-ratelimit-unified-status").map(|status| Unified {
        rejected: *status == "rejected",
        resets_at_unix_ms: all
            .get("anthropic-ratelimit-unified-reset")
            .and_then(|text| reset_unix_ms(text, now_unix_ms)),
        claim: all.get("anthropic-ratelimit-unified-representative-claim").map(|claim| (*claim).to_owned()),
    });
    let retry_after_ms = all
        .get("retry-after-ms")
        .and_then(|text| span_ms(text.parse().ok()?))
        .or_else(|| all.get("retry-after").and_then(|text| retry_after_ms(text, now_unix_ms)));
    let mut windows = subscription_windows(&all, now_unix_ms);
    windows.extend(bucket_windows(&all, now_unix_ms));
    windows.truncate(WINDOWS_LIMIT);
    RateHeaders { windows, unified, retry_after_ms }
}

fn subscription_windows(all: &BTreeMap<&str, &str>, now_unix_ms: i64) -> Vec<WindowFact> {
    let windows = all.iter().filter_map(|(name, value)| {
        let short = name.strip_prefix(UNIFIED)?.strip_suffix("-utilization")?;
        let utilization = value.parse().ok().filter(|used| (0.0..=UTILIZATION_LIMIT).contains(used));
        let reset = all.get(format!("{UNIFIED}{short}-reset").as_str());
        let resets_at = reset.and_then(|text| reset_unix_ms(text, now_unix_ms));
        Some(WindowFact {
            name: window_name(short),
            utilization,
            resets_at_unix_s: resets_at.map(|at| at.div_euclid(1_000)),
        })
    });
    windows.collect()
}

/// The window's name in the stream and at the usage endpoint: `5h` is `five_hour`, `7d_opus` is `seven_day_opus`.
fn window_name(short: &str) -> String {
    let short = short.replace('-', "_");
    match short.strip_prefix("5h") {
        Some(rest) => format!("five_hour{rest}"),
        None => short.strip_prefix("7d").map_or_else(|| short.clone(), |rest| format!("seven_day{rest}")),
    }
}

/// The buckets of an API key: how many requests and tokens are left until they are refilled.
fn bucket_windows(all: &BTreeMap<&str, &str>, now_unix_ms: i64) -> Vec<WindowFact> {
    let windows = all.iter().filter_map(|(name, value)| {
        // `anthropic-ratelimit-tokens-limit` or `x-ratelimit-limit-tokens`.
        let (kind, remaining, reset) = if let Some(kind) = name.strip_prefix("anthropic-ratelimit-") {
            let kind = kind.strip_suffix("-limit")?;
            let of = |what: &str| format!("anthropic-ratelimit-{kind}-{what}");
            (kind, of("remaining"), of("reset"))
        } else {
            let kind = name.strip_prefix("x-ratelimit-limit")?;
            let of = |what: &str| format!("x-ratelimit-{what}{kind}");
            (kind.trim_start_matches('-'), of("remaining"), of("reset"))
        };
        let limit = value.parse::<f64>().ok().filter(|limit| *limit > 0.0)?;
        let remaining = all.get(remaining.as_str()).and_then(|text| text.parse::<f64>().ok());
        let resets_at = all.get(reset.as_str()).and_then(|text| reset_unix_ms(text, now_unix_ms));
        let kind = if kind.is_empty() { "requests" } else { kind };
        Some(WindowFact {
            name: kind.replace('-', "_"),
            utilization: remaining.map(|left| (1.0 - left / limit).clamp(0.0, 1.0)),
            resets_at_unix_s: resets_at.map(|at| at.div_euclid(1_000)),
        })
    });
    windows.collect()
}

/// A `retry-after` in milliseconds: seconds, or an HTTP date.
fn retry_after_ms(text: &str, now_unix_ms: i64) -> Option<u64> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(seconds) => {
            // Seconds, unless that is implausible: then milliseconds.
            let as_seconds = span_ms(seconds * 1_000.0);
            as_seconds.or_else(|| span_ms(seconds))
        }
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            span_ms((at.checked_sub(now_unix_ms)?).max(0) as f64)
        }
    }
}

/// A plausible duration in milliseconds.
fn span_ms(ms: f64) -> Option<u64> {
    (ms.is_finite() && (0.0..=FARTHEST_MS as f64).contains(&ms)).then_some(ms as u64)
}

/// When a window resets, unix milliseconds: RFC 3339, seconds or milliseconds since the epoch, or a duration from now
/// (`30`, `1m30.5s`).
pub(super) fn reset_unix_ms(text: &str, now_unix_ms: i64) -> Option<i64> {
    let text = text.trim();
    let at = if let Ok(number) = text.parse::<f64>() {
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        if number >= FIRST_EPOCH_MS {
            number as i64
        } else if number >= FIRST_EPOCH_S {
            (number * 1_000.0) as i64
        } else {
            now_unix_ms.checked_add((number * 1_000.0) as i64)?
        }
    } else if let Ok(time) = text.parse::<Timestamp>() {
        time.as_millisecond()
    } else {
        now_unix_ms.checked_add(parts_ms(text)?)?
    };
    plausible(at, now_unix_ms)
}

/// The time of a reset if it is plausible, in unix milliseconds.
pub(super) fn plausible(at_unix_ms: i64, now_unix_ms: i64) -> Option<i64> {
    let from_now = at_unix_ms.checked_sub(now_unix_ms)?;
    (-OLDEST_MS..=FARTHEST_MS).contains(&from_now).then_some(at_unix_ms)
}

/// `6m0s`, `1h2m3.5s` or `20ms` in milliseconds.
fn parts_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 5] =
        [("ms", 1.0), ("d", 86_400_000.0), ("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0)];
    let mut rest = text;
    let mut total = 0.0;
    // Each round consumes at least a digit and a unit.
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * factor;
        rest = after.get(unit.len()..)?;
    }
    (!text.is_empty()).then(|| span_ms(total)).flatten().and_then(|ms| i64::try_from(ms).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 08:00:00 UTC.
    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn every_form_of_a_reset_is_read_and_what_cannot_be_meant_is_left_out() {
        for (text, from_now_ms) in [
            ("2027-01-15T08:05:00Z", Some(300_000)),
            ("2027-01-15T09:05:00+01:00", Some(300_000)),
            ("2027-01-15T08:00:00.250Z", Some(250)),
            ("1800000300", Some(300_000)),
            ("1800000300.5", Some(300_500)),
            ("1800000300000", Some(300_000)),
            ("30", Some(30_000)),
            ("0", Some(0)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("20ms", Some(20)),
            ("1d", Some(86_400_000)),
            ("1799999990", Some(-10_000)),
            // 56 years from now, or 1970: somewhere seconds and milliseconds were confused.
            ("3600000000", None),
            ("1000000000", None),
            ("99999999999999", None),
            ("2083-01-15T08:00:00Z", None),
            ("-5", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("8pm", None),
            ("6m0", None),
            ("m", None),
            ("1.2.3s", None),
            ("", None),
        ] {
            assert_eq!(reset_unix_ms(text, NOW).map(|at| at - NOW), from_now_ms, "{text:?}");
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        for (text, expected) in [
            ("7", Some(7_000)),
            ("0", Some(0)),
            ("1.5", Some(1_500)),
            ("300", Some(300_000)),
            ("Fri, 15 Jan 2027 08:01:00 GMT", Some(60_000)),
            ("Fri, 15 Jan 2027 07:00:00 GMT", Some(0)),
            ("Fri, 15 Jan 2083 07:00:00 GMT", None),
            // As seconds this would be 115 days, so it means milliseconds.
            ("10000000", Some(10_000_000)),
            ("99999999999", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after_ms(text, NOW), expected, "{text:?}");
        }
        let both = [("retry-after-ms", "1500"), ("retry-after", "9")];
        assert_eq!(read(both.into_iter(), NOW).retry_after_ms, Some(1_500));
    }

    fn window(name: &str, utilization: Option<f64>, resets_in_s: Option<i64>) -> WindowFact {
        WindowFact { name: name.to_owned(), utilization, resets_at_unix_s: resets_in_s.map(|s| NOW / 1_000 + s) }
    }

    #[test]
    fn the_windows_of_a_subscription_have_the_names_of_the_stream() {
        let headers = [
            ("anthropic-ratelimit-unified-status", "rejected"),
            ("anthropic-ratelimit-unified-reset", "1800000060"),
            ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
            ("anthropic-ratelimit-unified-5h-status", "rejected"),
            ("anthropic-ratelimit-unified-5h-utilization", "1.02"),
            ("anthropic-ratelimit-unified-5h-reset", "1800000060"),
            ("anthropic-ratelimit-unified-7d-utilization", "0.25"),
            ("anthropic-ratelimit-unified-7d-reset", "x"),
            ("anthropic-ratelimit-unified-7d_opus-utilization", "-1"),
            ("anthropic-ratelimit-unified-overage-status", "rejected"),
        ];
        let read = read(headers.into_iter(), NOW);
        assert_eq!(
            read.unified,
            Some(Unified {
                rejected: true,
                resets_at_unix_ms: Some(NOW + 60_000),
                claim: Some("five_hour".to_owned())
            })
        );
        assert_eq!(
            read.windows,
            [
                window("five_hour", Some(1.02), Some(60)),
                window("seven_day", Some(0.25), None),
                window("seven_day_opus", None, None)
            ]
        );
    }

    #[test]
    fn the_buckets_of_a_key_are_windows() {
        let headers = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2027-01-15T08:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "40000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-limit", "0"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
        ];
        assert_eq!(
            read(headers.into_iter(), NOW).windows,
            [window("input_tokens", Some(1.0), None), window("requests", Some(0.020_000_000_000_000_018), Some(1))]
        );
        let headers = [
            ("x-ratelimit-limit-tokens", "1000"),
            ("x-ratelimit-remaining-tokens", "250"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "x"),
        ];
        assert_eq!(
            read(headers.into_iter(), NOW).windows,
            [window("requests", None, None), window("tokens", Some(0.75), Some(360))]
        );
    }

    #[test]
    fn a_flood_of_headers_has_an_end() {
        let names: Vec<String> = (0..100).map(|n| format!("anthropic-ratelimit-unified-{n}-utilization")).collect();
        let read = read(names.iter().map(|name| (name.as_str(), "0.5")), NOW);
        assert_eq!(read.windows.len(), WINDOWS_LIMIT);
    }
}
