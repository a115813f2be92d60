//! The time at which a run ends, as the user writes it.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// A longer span is a typing mistake: ten years. A date far beyond it could not be shown either.
const LONGEST_SPAN_MS: u64 = 10 * 365 * 24 * 3_600_000;

/// A moment as the user writes it: `07:00` (the next time that the clock says so), `+8h` (from the start), or a date and a
/// time with or without an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, schemars(with = "String"))]
pub struct Until(Form);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    In(Span),
    Clock(Time),
    Local(DateTime),
    At(Timestamp),
}

/// A text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: write a time of day such as 07:00, a duration such as +8h, or 2026-11-28T07:00")]
pub struct UntilFault(String);

impl Until {
    /// This moment, to the second, as a date and a time of this zone.
    #[must_use]
    pub fn at(unix_ms: i64, zone: &TimeZone) -> Option<Until> {
        let moment = Timestamp::from_second(unix_ms.div_euclid(1_000)).ok()?;
        Some(Until(Form::Local(moment.to_zoned(zone.clone()).datetime())))
    }

    /// The time in unix milliseconds, interpreted at `now_unix_ms` in this zone.
    #[must_use]
    pub fn unix_ms(self, now_unix_ms: i64, zone: &TimeZone) -> i64 {
        let local = |moment: DateTime| zone.to_ambiguous_zoned(moment).compatible().ok().map(|zoned| zoned.timestamp());
        let now = Timestamp::from_millisecond(now_unix_ms).unwrap_or(Timestamp::MAX);
        let moment = match self.0 {
            Form::In(span) => return now_unix_ms.saturating_add(i64::try_from(span.as_ms()).unwrap_or(i64::MAX)),
            Form::At(moment) => Some(moment),
            Form::Local(moment) => local(moment),
            Form::Clock(time) => {
                let today = now.to_zoned(zone.clone()).date();
                local(today.to_datetime(time))
                    .filter(|moment| *moment > now)
                    .or_else(|| today.checked_add(1.day()).ok().and_then(|day| local(day.to_datetime(time))))
            }
        };
        moment.unwrap_or(Timestamp::MAX).as_millisecond()
    }
}

impl FromStr for Until {
    type Err = UntilFault;

    fn from_str(text: &str) -> Result<Self, UntilFault> {
        let text = text.trim();
        let fault = || UntilFault(text.to_owned());
        if let Some(span) = text.strip_prefix('+') {
            let span: Span = span.parse().map_err(|_| fault())?;
            return if span.as_ms() <= LONGEST_SPAN_MS { Ok(Self(Form::In(span))) } else { Err(fault()) };
        }
        let form = if let Ok(moment) = text.parse::<Timestamp>() {
            Form::At(moment)
        } else if text.contains('-') {
            Form::Local(text.parse::<DateTime>().map_err(|_| fault())?)
        } else {
            let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
            Form::Clock(padded.parse::<Time>().map_err(|_| fault())?)
        };
        Ok(Self(form))
    }
}

written_as_text!(Until);

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::In(span) => write!(f, "+{span}"),
            Form::Clock(time) if time.second() == 0 => write!(f, "{:02}:{:02}", time.hour(), time.minute()),
            Form::Clock(time) => write!(f, "{time}"),
            Form::Local(moment) => write!(f, "{moment}"),
            Form::At(moment) => write!(f, "{moment}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::Until;

    #[test]
    fn a_moment_is_read_in_the_users_zone() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let unix_ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        // 23:30 in Berlin.
        let now = unix_ms("2026-11-27T22:30:00Z");
        for (text, moment) in [
            ("07:00", "2026-11-28T06:00:00Z"),
            ("7:00", "2026-11-28T06:00:00Z"),
            ("23:30", "2026-11-28T22:30:00Z"),
            ("23:45", "2026-11-27T22:45:00Z"),
            ("+8h", "2026-11-28T06:30:00Z"),
            ("+90s", "2026-11-27T22:31:30Z"),
            ("2026-11-29T07:00", "2026-11-29T06:00:00Z"),
            ("2026-11-29 07:00", "2026-11-29T06:00:00Z"),
            ("2026-11-29T07:00:00Z", "2026-11-29T07:00:00Z"),
            ("2026-11-29T07:00:00-05:00", "2026-11-29T12:00:00Z"),
        ] {
            let until: Until = text.parse().unwrap();
            assert_eq!(until.unix_ms(now, &zone), unix_ms(moment), "{text}");
            assert_eq!(
                until.to_string().parse::<Until>().unwrap(),
                until,
                "{text} is written so that it is read again"
            );
        }
    }

    #[test]
    fn a_time_that_the_change_of_the_clocks_leaves_out_is_the_one_after_it() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now = "2026-03-28T22:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let until: Until = "02:30".parse().unwrap();
        assert_eq!(
            until.unix_ms(now, &zone),
            "2026-03-29T01:30:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond()
        );
    }

    #[test]
    fn what_names_no_moment_is_refused_with_examples() {
        for text in ["", "+", "+8x", "+99999999999h", "25:00", "soon", "8h", "-8h", "2026-13-01T00:00", "07:00pm"] {
            let fault = text.parse::<Until>().unwrap_err().to_string();
            assert!(fault.contains("07:00") && fault.contains("+8h"), "{text}: {fault}");
        }
    }
}
