//! What the core knows about tokens: ids and states, never values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::TokenKind;

/// The id of a token: its fingerprint, or a name such as `login` if the agent's CLI reads the value by itself. It is the same
/// in every ccc process of the user and when a run is resumed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub String);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A usage window of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowFact {
    /// Its name, for example `five_hour`.
    pub name: String,
    /// The used part, 0 to 1; it may exceed 1.
    pub utilization: Option<f64>,
    /// When it resets, unix seconds.
    pub resets_at_unix_s: Option<i64>,
}

/// A token as it is shown while no token is usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentToken {
    /// Its label.
    pub label: String,
    /// When its limit ends, unix milliseconds; `None` without a known future reset: it was refused or is usable.
    pub until_unix_ms: Option<i64>,
    /// It was refused.
    pub refused: bool,
    /// This run does not use it for a while: it was rejected without a future reset.
    pub held: bool,
}

/// A token of the pool with the state that all ccc processes of the user share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenFact {
    /// Its id.
    pub id: TokenId,
    /// Where it was found: the name of a variable or a file.
    pub label: String,
    /// Its kind.
    pub kind: TokenKind,
    /// A live process can exchange tokens only within one group, which stands for one service, and only if its CLI can exchange
    /// their kinds. Older journals have no group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_group: Option<String>,
    /// The model to use with it, if its service has its own models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its windows, as last reported.
    pub windows: Vec<WindowFact>,
    /// It is limited until then, unix milliseconds.
    pub limited_until_unix_ms: Option<i64>,
    /// It was refused (401, 403) and is not used again.
    pub refused: bool,
}

/// A fact about a token, for all ccc processes of the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum TokenReport {
    /// The state of some windows.
    Windows(Vec<WindowFact>),
    /// It is limited until then; `window` names the window, if known.
    Limited { until_unix_ms: i64, window: Option<String> },
    /// It is throttled: a run retries then. This does not affect the choice of a token.
    Throttled { until_unix_ms: i64 },
    /// It was refused.
    Refused,
    /// A request with it was answered: it is neither limited nor refused.
    Works,
    /// It is accepted; whether it is limited is unknown.
    Accepted,
}
