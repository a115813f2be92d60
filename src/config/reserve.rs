//! The share of each usage window that is kept for the user, by clock times, and the pause between two requests.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Zoned;
use jiff::civil::{Time, Weekday};
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::written::text_or_number;
use super::{Percent, Span};

/// Names of days, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A share that is kept for the user: `20%`, `20% 09:00-18:00`, `50% mon-fri 08:30-17:00` or `30% sat,sun`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, schemars(with = "String"))]
pub struct Reserve {
    share: Percent,
    /// The days on which it begins, by a bit each, Monday first.
    days: u8,
    /// From when until when; over midnight if the second is not later. `None` is the whole day.
    hours: Option<(Time, Time)>,
}

/// All days.
const EVERY_DAY: u8 = 0b0111_1111;

/// A text that is not a share with its times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is invalid: write a percentage, and perhaps days and times, such as 20%, 20% 09:00-18:00 or 50% mon-fri 08:30-17:00"
)]
pub struct ReserveFault(String);

impl Reserve {
    /// The percentage that is kept at this time; 0 outside of its times.
    #[must_use]
    pub fn percent_at(&self, now: &Zoned) -> u8 {
        let (today, time) = (now.weekday(), now.time());
        let holds = match self.hours {
            None => self.is_on(today),
            Some((from, to)) if from < to => self.is_on(today) && from <= time && time < to,
            // It began yesterday, or begins today.
            Some((from, to)) => time >= from && self.is_on(today) || time < to && self.is_on(today.previous()),
        };
        if holds { self.share.into() } else { 0 }
    }

    fn is_on(&self, day: Weekday) -> bool {
        self.days & bit(day) != 0
    }
}

fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

/// The days of `mon`, `mon-fri` or `sat,sun`.
fn days(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|known| *known == name);
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        days |= 1 << at;
        while at != last {
            at = (at + 1) % DAYS.len();
            days |= 1 << at;
        }
    }
    Some(days)
}

fn hours(text: &str) -> Option<(Time, Time)> {
    let time = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return None;
        }
        // The end of a day.
        if (hour, minute) == ("24", "00") {
            return Some(Time::midnight());
        }
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
    };
    let (from, to) = text.split_once('-')?;
    Some((time(from)?, time(to)?))
}

impl FromStr for Reserve {
    type Err = ReserveFault;

    fn from_str(text: &str) -> Result<Self, ReserveFault> {
        let fault = || ReserveFault(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let mut words = lower.split_whitespace();
        let share = words.next().ok_or_else(fault)?.parse().map_err(|_| fault())?;
        let mut reserve = Reserve { share, days: EVERY_DAY, hours: None };
        let mut rest: Vec<&str> = words.collect();
        if let Some(named) = rest.first().and_then(|word| days(word)) {
            reserve.days = named;
            rest.remove(0);
        }
        if let Some(within) = rest.first().and_then(|word| hours(word)) {
            reserve.hours = Some(within);
            rest.remove(0);
        }
        if rest.is_empty() { Ok(reserve) } else { Err(fault()) }
    }
}

written_as_text!(Reserve);

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.share)?;
        if self.days != EVERY_DAY {
            let named = DAYS.iter().enumerate().filter(|(at, _)| self.days & (1 << at) != 0);
            write!(f, " {}", named.map(|(_, name)| *name).collect::<Vec<_>>().join(","))?;
        }
        match self.hours {
            None => Ok(()),
            Some((from, to)) => {
                write!(f, " {:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), to.hour(), to.minute())
            }
        }
    }
}

/// A pause: a number of seconds, or a duration such as `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(Span);

impl Seconds {
    /// This many seconds.
    #[must_use]
    pub const fn new(seconds: u32) -> Seconds {
        Seconds(Span::from_secs(seconds))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0.as_ms()
    }
}

/// A text that is not such a pause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is invalid: write a number of seconds, such as 120, or a duration, such as 2m")]
pub struct SecondsFault(String);

impl FromStr for Seconds {
    type Err = SecondsFault;

    fn from_str(text: &str) -> Result<Self, SecondsFault> {
        let fault = || SecondsFault(text.to_owned());
        let trimmed = text.trim();
        match trimmed.parse::<u32>() {
            Ok(0) => Err(fault()),
            Ok(seconds) => Ok(Seconds::new(seconds)),
            Err(_) => trimmed.parse().map(Seconds).map_err(|_| fault()),
        }
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_ms() {
            ms if ms % 1_000 == 0 => serializer.serialize_u64(ms / 1_000),
            _ => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a number of seconds above zero, or a duration in quotes such as \"2m\"";
        text_or_number(deserializer, expecting, |number| Some(number.to_string().parse()))
    }
}

#[cfg(test)]
impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "description": "A number of seconds, or a duration such as 90s or 2m.",
            "minimum": 1
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_share_holds_on_its_days_and_within_its_times() {
        // 2027-01-15 is a Friday.
        for (text, day, hour, minute, percent) in [
            ("20%", 15, 0, 0, 20),
            ("20", 15, 0, 0, 20),
            ("20% 09:00-18:00", 15, 8, 59, 0),
            ("20% 09:00-18:00", 15, 9, 0, 20),
            ("20% 09:00-18:00", 15, 17, 59, 20),
            ("20% 09:00-18:00", 15, 18, 0, 0),
            ("50% mon-fri 08:30-17:00", 15, 8, 30, 50),
            ("50% mon-fri 08:30-17:00", 16, 8, 30, 0),
            ("50% Sat,SUN", 17, 23, 59, 50),
            ("50% sat,sun", 18, 0, 0, 0),
            ("30% fri-mon", 18, 0, 0, 30),
            ("30% fri-mon", 19, 0, 0, 0),
            // Over midnight it belongs to the day on which it begins.
            ("10% fri 22:00-06:00", 15, 22, 0, 10),
            ("10% fri 22:00-06:00", 16, 5, 59, 10),
            ("10% fri 22:00-06:00", 16, 6, 0, 0),
            ("10% fri 22:00-06:00", 15, 5, 0, 0),
            ("10% 18:00-24:00", 15, 23, 59, 10),
        ] {
            let reserve: Reserve = text.parse().expect(text);
            let now = date(2027, 1, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).expect("a time");
            assert_eq!(reserve.percent_at(&now), percent, "{text} on the {day} at {hour}:{minute}");
            assert_eq!(reserve.to_string().parse::<Reserve>(), Ok(reserve), "{text}");
        }
        for text in
            ["", "0%", "101%", "x", "20% 9-18", "20% 25:00-26:00", "20% monday", "20% 09:00-18:00 mon", "20% 09:00"]
        {
            let error = text.parse::<Reserve>().expect_err(text);
            assert!(error.to_string().contains("20% 09:00-18:00"), "{error}");
        }
    }

    #[test]
    fn a_pause_is_a_number_of_seconds_or_a_duration() {
        for (json, ms) in [("120", 120_000), ("\"120\"", 120_000), ("\"2m\"", 120_000), ("\"500ms\"", 500)] {
            let pause: Seconds = serde_json::from_str(json).expect(json);
            assert_eq!(pause.as_ms(), ms);
            let again = serde_json::to_string(&pause).expect("written");
            assert_eq!(serde_json::from_str::<Seconds>(&again).expect("read"), pause);
        }
        for json in ["0", "-1", "1.5", "\"x\"", "true", "\"\""] {
            assert!(serde_json::from_str::<Seconds>(json).is_err(), "{json}");
        }
    }
}
