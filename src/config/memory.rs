//! Amounts of memory, and percentages that can be switched off.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::written::text_or_number;

/// An amount of memory: `4G`, `512M`, `10%` of the machine's, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum MemorySize {
    /// So many bytes.
    Bytes(u64),
    /// A share of the memory of the machine, in percent.
    Percent(u8),
}

/// The units, by their letters.
const UNITS: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

/// A text that is not an amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of memory: write a size such as 4G, 512M or 1.5G, a share such as 10%, or 0")]
pub struct MemorySizeFault(String);

impl FromStr for MemorySize {
    type Err = MemorySizeFault;

    fn from_str(text: &str) -> Result<Self, MemorySizeFault> {
        let fault = || MemorySizeFault(text.to_owned());
        let trimmed = text.trim();
        if let Some(share) = trimmed.strip_suffix('%') {
            let percent: u8 = share.trim().parse().map_err(|_| fault())?;
            return if percent <= 100 { Ok(MemorySize::Percent(percent)) } else { Err(fault()) };
        }
        let upper = trimmed.to_ascii_uppercase();
        let number = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
        let (number, unit) =
            match number.chars().next_back().and_then(|last| UNITS.iter().find(|(name, _)| *name == last)) {
                Some((name, unit)) => (number.strip_suffix(*name).unwrap_or(number).trim(), *unit),
                None => (number.trim(), 1),
            };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        if !is_number || part.is_empty() || part.len() > 3 || (unit == 1 && number.contains('.')) {
            return Err(fault());
        }
        let whole: u64 = whole.parse().map_err(|_| fault())?;
        let thousandths: u64 = format!("{part:0<3}").parse().map_err(|_| fault())?;
        let bytes = whole.checked_mul(unit).and_then(|bytes| bytes.checked_add(unit / 1_000 * thousandths));
        bytes.map(MemorySize::Bytes).ok_or_else(fault)
    }
}

written_as_text!(MemorySize);

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemorySize::Percent(percent) => write!(f, "{percent}%"),
            MemorySize::Bytes(0) => f.write_str("0"),
            MemorySize::Bytes(bytes) => match UNITS.iter().rev().find(|(_, unit)| bytes % unit == 0) {
                Some((name, unit)) => write!(f, "{}{name}", bytes / unit),
                None => write!(f, "{bytes}"),
            },
        }
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "an amount of memory in quotes such as \"4G\" or \"10%\", or 0";
        text_or_number(deserializer, expecting, |bytes| Some(Ok(MemorySize::Bytes(bytes))))
    }
}

#[cfg(test)]
impl JsonSchema for MemorySize {
    fn schema_name() -> Cow<'static, str> {
        "MemorySize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A size such as 4G or 512M, a share of the machine's memory such as 10%, or 0.",
            "minimum": 0
        })
    }
}

/// A limit in whole percent, 1 to 100; 0 switches it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(try_from = "u8", into = "u8")]
#[cfg_attr(test, schemars(extend("minimum" = 0, "maximum" = 100)))]
pub struct PercentOrOff(u8);

written_as_number!(PercentOrOff, u8);

impl PercentOrOff {
    /// This limit; over 100 is 100.
    pub(super) const fn of(percent: u8) -> PercentOrOff {
        PercentOrOff(if percent > 100 { 100 } else { percent })
    }

    /// The limit, if it is not off.
    #[must_use]
    pub fn limit(self) -> Option<f64> {
        (self.0 > 0).then(|| f64::from(self.0))
    }
}

/// A number or text that is not such a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a whole number of percent from 1 to 100, or 0")]
pub struct PercentOrOffFault(String);

impl TryFrom<u8> for PercentOrOff {
    type Error = PercentOrOffFault;

    fn try_from(percent: u8) -> Result<Self, PercentOrOffFault> {
        if percent <= 100 { Ok(PercentOrOff(percent)) } else { Err(PercentOrOffFault(percent.to_string())) }
    }
}

impl FromStr for PercentOrOff {
    type Err = PercentOrOffFault;

    fn from_str(text: &str) -> Result<Self, PercentOrOffFault> {
        let number: Option<u8> = text.trim().trim_end_matches('%').parse().ok();
        number.and_then(|number| Self::try_from(number).ok()).ok_or_else(|| PercentOrOffFault(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_is_a_size_a_share_or_nothing() {
        const GIB: u64 = 1 << 30;
        for (text, size) in [
            ("4G", MemorySize::Bytes(4 * GIB)),
            ("4g", MemorySize::Bytes(4 * GIB)),
            (" 4 GiB ", MemorySize::Bytes(4 * GIB)),
            ("4GB", MemorySize::Bytes(4 * GIB)),
            ("1.5G", MemorySize::Bytes(GIB + GIB / 1_000 * 500)),
            ("512M", MemorySize::Bytes(512 << 20)),
            ("1T", MemorySize::Bytes(1 << 40)),
            ("4096", MemorySize::Bytes(4096)),
            ("0", MemorySize::Bytes(0)),
            ("10%", MemorySize::Percent(10)),
            ("100 %", MemorySize::Percent(100)),
        ] {
            assert_eq!(text.parse(), Ok(size), "{text}");
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
            let json = serde_json::to_string(&size).expect("written");
            assert_eq!(serde_json::from_str::<MemorySize>(&json).expect("read"), size);
        }
        for text in ["", "G", "-1", "101%", "4X", "1.5", "1.G", ".", "1.2345G", "4GG", "99999999999T", "%"] {
            assert!(text.parse::<MemorySize>().is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<MemorySize>("0").expect("read"), MemorySize::Bytes(0));
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!("0".parse::<PercentOrOff>().map(PercentOrOff::limit), Ok(None));
        assert_eq!("90%".parse::<PercentOrOff>().map(PercentOrOff::limit), Ok(Some(90.0)));
        assert!("101".parse::<PercentOrOff>().is_err() && "x".parse::<PercentOrOff>().is_err());
        assert!(serde_json::from_str::<PercentOrOff>("101").is_err());
    }
}
