//! Settings whose values are words or numbers of their own: how they are parsed and their errors.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::AgentKind;

/// The agent's CLI family, by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AgentName(pub AgentKind);

/// A name that no CLI family has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an agent that this ccc supports")]
pub struct AgentNameFault(String);

impl FromStr for AgentName {
    type Err = AgentNameFault;

    fn from_str(text: &str) -> Result<Self, AgentNameFault> {
        AgentKind::choosable()
            .find(|kind| kind.name() == text.trim())
            .map(Self)
            .ok_or_else(|| AgentNameFault(text.to_owned()))
    }
}

impl TryFrom<String> for AgentName {
    type Error = AgentNameFault;

    fn try_from(text: String) -> Result<Self, AgentNameFault> {
        text.parse()
    }
}

#[cfg(test)]
impl JsonSchema for AgentName {
    fn schema_name() -> Cow<'static, str> {
        "AgentName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": AgentKind::choosable().map(|kind| kind.name()).collect::<Vec<_>>()})
    }
}

/// What a run writes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutputFormat {
    /// For people.
    Text,
    /// One JSON object at the end.
    Json,
    /// One JSON object per event, as it happens.
    StreamJson,
}

/// How the agent's stdout reaches ccc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A pseudo-terminal; it hangs the agent up when ccc dies.
    Pty,
    /// A pipe.
    Pipe,
}

/// Whether there are walls around agents, critics and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum GuardMode {
    /// What this system has; a run says so when that is nothing.
    Auto,
    /// Landlock, or Seatbelt on macOS; without it, a run does not start.
    Landlock,
    /// The sandbox of the agent's CLI around agents and critics; without it, a run does not start. Checks get what this
    /// system has.
    AgentSandbox,
    /// None.
    Off,
}

/// Where agents may push with your credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PushTo {
    /// Nowhere.
    None,
    /// Branches below `agent/`.
    AgentBranches,
    /// Everywhere.
    All,
}

/// How SUPERVISOR.md reaches the critic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CriticPromptAs {
    /// As the fork's last user message: the provider's cache serves the rest.
    Message,
    /// As a system prompt: the cached prefix is lost.
    System,
}

/// A sum of US dollars: finite and above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(try_from = "f64", into = "f64")]
pub struct Cost(#[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0)))] f64);

written_as_number!(Cost, f64);

impl Cost {
    /// The sum in US dollars.
    #[must_use]
    pub const fn usd(self) -> f64 {
        self.0
    }
}

/// A text or number that is not a valid cost bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of US dollars above zero, such as 5 or 2.50")]
pub struct CostFault(String);

impl TryFrom<f64> for Cost {
    type Error = CostFault;

    fn try_from(usd: f64) -> Result<Self, CostFault> {
        if usd.is_finite() && usd > 0.0 { Ok(Self(usd)) } else { Err(CostFault(usd.to_string())) }
    }
}

impl FromStr for Cost {
    type Err = CostFault;

    fn from_str(text: &str) -> Result<Self, CostFault> {
        let fault = || CostFault(text.to_owned());
        let usd: f64 = text.trim().parse().map_err(|_| fault())?;
        Self::try_from(usd).map_err(|_| fault())
    }
}

/// A share in whole percent, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(try_from = "u8", into = "u8")]
#[cfg_attr(test, schemars(extend("minimum" = 1, "maximum" = 100)))]
pub struct Percent(u8);

written_as_number!(Percent, u8);

impl Percent {
    /// From the number; `None` outside of 1 to 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Percent> {
        if percent >= 1 && percent <= 100 { Some(Percent(percent)) } else { None }
    }

    /// The nearest valid percentage.
    pub(super) const fn clamped(percent: u8) -> Percent {
        match percent {
            0 => Percent(1),
            1..=100 => Percent(percent),
            _ => Percent(100),
        }
    }

    /// As a fraction of 1.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// A number or text that is not a valid percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a whole number of percent from 1 to 100")]
pub struct PercentFault(String);

impl TryFrom<u8> for Percent {
    type Error = PercentFault;

    fn try_from(percent: u8) -> Result<Self, PercentFault> {
        Self::new(percent).ok_or_else(|| PercentFault(percent.to_string()))
    }
}

impl FromStr for Percent {
    type Err = PercentFault;

    fn from_str(text: &str) -> Result<Self, PercentFault> {
        let number = text.trim().trim_end_matches('%').parse().ok();
        number.and_then(Self::new).ok_or_else(|| PercentFault(text.to_owned()))
    }
}

/// The kind of a JSON value, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::Percent;

    #[test]
    fn a_share_is_a_whole_number_of_percent() {
        for (text, percent) in [
            ("95", Some(95)),
            (" 80% ", Some(80)),
            ("1", Some(1)),
            ("0", None),
            ("101", None),
            ("0.9", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), percent.and_then(Percent::new), "{text:?}");
        }
    }
}
