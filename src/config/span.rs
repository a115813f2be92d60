//! Durations as users write them.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::written::text_or_number;

/// A duration as a user writes it: `90s`, `15m`, `1h30m`. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Span {
    ms: u64,
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanFault {
    /// A number without a unit.
    #[error("`{0}` has no unit: write `{0}s` for seconds or `{0}m` for minutes")]
    NoUnit(String),
    /// Not of the expected form.
    #[error("`{0}` is not a duration: write it like 90s, 15m, 8h or 1h30m (units d, h, m, s, ms)")]
    Malformed(String),
    /// Zero.
    #[error("`{0}` is not a valid duration: it must be longer than zero")]
    Zero(String),
    /// It overflows.
    #[error("`{0}` is too long")]
    TooLong(String),
}

/// Units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// This many seconds; zero becomes one millisecond, because a span is never zero.
    #[must_use]
    pub const fn from_secs(secs: u32) -> Self {
        let ms = secs as u64 * 1_000;
        Self { ms: if ms == 0 { 1 } else { ms } }
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.ms
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl FromStr for Span {
    type Err = SpanFault;

    fn from_str(text: &str) -> Result<Self, SpanFault> {
        let trimmed = text.trim();
        let malformed = || SpanFault::Malformed(text.to_owned());
        let too_long = || SpanFault::TooLong(text.to_owned());
        if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SpanFault::NoUnit(trimmed.to_owned()));
        }
        let mut rest = trimmed;
        let mut units = UNITS.iter();
        let mut total_ms: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|char: char| !char.is_ascii_digit()).ok_or_else(malformed)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|char: char| char.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            // The shared iterator enforces falling units and rejects a repeated unit.
            let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            if number.is_empty() {
                return Err(malformed());
            }
            let count: u64 = number.parse().map_err(|_| too_long())?;
            total_ms = count.checked_mul(*unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(too_long)?;
            rest = tail;
        }
        match (trimmed.is_empty(), total_ms) {
            (true, _) => Err(malformed()),
            (false, 0) => Err(SpanFault::Zero(text.to_owned())),
            (false, ms) => Ok(Self { ms }),
        }
    }
}

written_as_text!(Span);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest_ms = self.ms;
        for (unit, unit_ms) in UNITS {
            let count = rest_ms / unit_ms;
            rest_ms %= unit_ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer, "a duration in quotes with its unit, such as \"90s\" or \"15m\"", |_| None)
    }
}

#[cfg(test)]
impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration with the units d, h, m, s, ms, the largest first, for example 90s, 15m, 1h30m.",
            "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, SpanFault};

    #[test]
    fn spans_are_read_and_written_alike() {
        for (text, ms, shown) in [
            ("90s", 90_000, "1m30s"),
            ("15m", 900_000, "15m"),
            ("8h", 28_800_000, "8h"),
            ("1h30m", 5_400_000, "1h30m"),
            (" 2d ", 172_800_000, "2d"),
            ("250ms", 250, "250ms"),
            ("1s500ms", 1_500, "1s500ms"),
            ("0h5m", 300_000, "5m"),
        ] {
            let span: Span = text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(span.as_ms(), ms, "{text}");
            assert_eq!(span.to_string(), shown);
            assert_eq!(shown.parse(), Ok(span), "what is shown can be read again");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_its_reason() {
        let no_unit = "90".parse::<Span>().expect_err("no unit");
        assert_eq!(no_unit, SpanFault::NoUnit("90".into()));
        assert!(no_unit.to_string().contains("`90s`"));
        assert_eq!("0s".parse::<Span>(), Err(SpanFault::Zero("0s".into())));
        for text in ["", " ", "s", "1.5h", "30m1h", "5m5m", "-5s", "5 m", "1h30", "5x", "５m"] {
            assert_eq!(text.parse::<Span>(), Err(SpanFault::Malformed(text.into())), "{text:?}");
        }
        for text in ["99999999999999999999s", "999999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanFault::TooLong(text.into())));
        }
    }
}
