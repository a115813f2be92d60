//! What happens to a request of the agent while nobody attends the run, as the user writes it.

use std::fmt;
use std::str::FromStr;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// `deny`: it is denied at once. `wait 10m`: somebody may come for so long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, schemars(with = "String"))]
pub struct WhenAlone(Option<Span>);

/// A text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is invalid: write deny, or wait and a duration, such as wait 10m")]
pub struct WhenAloneFault(String);

impl WhenAlone {
    /// Deny at once.
    pub(super) const DENY: WhenAlone = WhenAlone(None);

    /// How long a request waits; `None` when it is denied at once.
    #[must_use]
    pub fn wait(self) -> Option<Span> {
        self.0
    }
}

impl FromStr for WhenAlone {
    type Err = WhenAloneFault;

    fn from_str(text: &str) -> Result<Self, WhenAloneFault> {
        let fault = || WhenAloneFault(text.to_owned());
        match text.trim() {
            "deny" => Ok(WhenAlone::DENY),
            waits => {
                let span = waits.strip_prefix("wait").ok_or_else(fault)?.trim();
                span.parse().map(|span| WhenAlone(Some(span))).map_err(|_| fault())
            }
        }
    }
}

written_as_text!(WhenAlone);

impl fmt::Display for WhenAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("deny"),
            Some(span) => write!(f, "wait {span}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WhenAlone;

    #[test]
    fn it_is_denied_at_once_or_after_a_while() {
        for (text, wait_ms) in [("deny", None), (" wait 10m ", Some(600_000)), ("wait 90s", Some(90_000))] {
            let alone: WhenAlone = text.parse().unwrap();
            assert_eq!(alone.wait().map(|span| span.as_ms()), wait_ms, "{text}");
            assert_eq!(alone.to_string().parse::<WhenAlone>(), Ok(alone));
        }
        for text in ["", "allow", "10m", "wait", "wait long", "waiting"] {
            let error = text.parse::<WhenAlone>().unwrap_err();
            assert!(error.to_string().contains("wait 10m"), "{error}");
        }
    }
}
