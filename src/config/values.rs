use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run writes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A pseudo-terminal; it hangs the agent up when ccc dies.
    Pty,
    /// A pipe.
    Pipe,
}

/// How SUPERVISOR.md reaches the critic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CriticPromptAs {
    /// As the fork's last user message: the provider's cache serves the rest.
    Message,
    /// As a system prompt: the cached prefix is lost.
    System,
}

/// A sum of US dollars: finite and above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Cost(#[schemars(extend("exclusiveMinimum" = 0))] f64);

impl Cost {
    /// The sum in US dollars.
    #[must_use]
    pub const fn usd(self) -> f64 {
        self.0
    }
}

/// A text or number that is no sum of money to limit a run by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sum in US dollars above zero, such as 5 or 2.50")]
pub struct CostFault(String);

impl TryFrom<f64> for Cost {
    type Error = CostFault;

    fn try_from(usd: f64) -> Result<Self, CostFault> {
        if usd.is_finite() && usd > 0.0 { Ok(Self(usd)) } else { Err(CostFault(usd.to_string())) }
    }
}

impl From<Cost> for f64 {
    fn from(cost: Cost) -> f64 {
        cost.0
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

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
