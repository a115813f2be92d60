#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Span;

/// A check: a command line for `/bin/sh -c`, or one with a timeout.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum CheckEntry {
    /// The command line alone.
    Command(String),
    /// With a timeout of its own.
    Detailed {
        /// The command line.
        command: String,
        /// How long it may run; `tool_timeout` unless given.
        #[serde(default)]
        timeout: Option<Span>,
    },
}

impl CheckEntry {
    /// The command line.
    #[must_use]
    pub fn command(&self) -> &str {
        match self {
            Self::Command(command) | Self::Detailed { command, .. } => command,
        }
    }

    /// Its timeout, if it has one.
    #[must_use]
    pub fn timeout(&self) -> Option<Span> {
        match self {
            Self::Command(_) => None,
            Self::Detailed { timeout, .. } => *timeout,
        }
    }

    /// The same with a timeout: its own or `otherwise`.
    #[must_use]
    pub(super) fn with_timeout(self, otherwise: Span) -> Self {
        let timeout = Some(self.timeout().unwrap_or(otherwise));
        match self {
            Self::Command(command) | Self::Detailed { command, .. } => Self::Detailed { command, timeout },
        }
    }
}

impl<'de> Deserialize<'de> for CheckEntry {
    // Written by hand, because an untagged enum only reports that nothing matched.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Value::deserialize(deserializer)? {
            Value::String(command) => Ok(Self::Command(command)),
            value @ Value::Object(_) => {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Detailed {
                    command: String,
                    #[serde(default)]
                    timeout: Option<Span>,
                }
                let entry = Detailed::deserialize(value).map_err(D::Error::custom)?;
                Ok(Self::Detailed { command: entry.command, timeout: entry.timeout })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(D::Error::custom("a check is a command in quotes, or {\"command\": \"…\", \"timeout\": \"5m\"}"))
            }
        }
    }
}
