//! What the core knows about tokens: handles and states, never values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::TokenKind;

/// Names a token: its fingerprint, or `login` and the like for one whose value the agent's CLI reads by itself.
/// The same in every ccc process of the user and in every life of a run.
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
    /// How much of it is used, 0 to 1; it may pass 1.
    pub utilization: Option<f64>,
    /// When it begins anew, unix seconds.
    pub resets_at_unix_s: Option<i64>,
}

/// A token of the pool with what all ccc processes of the user know about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenFact {
    /// Its handle.
    pub id: TokenId,
    /// Where it was found, in the user's words: a variable's or a file's name.
    pub label: String,
    /// Its kind.
    pub kind: TokenKind,
    /// Only those of one group can take each other's place in a live process, where its CLI can exchange their kinds: they are for
    /// the same service. Older journals name no group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_group: Option<String>,
    /// Its windows, as last heard.
    pub windows: Vec<WindowFact>,
    /// It is spent until then, unix milliseconds.
    pub limited_until_unix_ms: Option<i64>,
    /// It was refused (401, 403) and is not tried again.
    pub refused: bool,
}

/// What was learnt about a token, for all ccc processes of the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum TokenReport {
    /// The state of some of its windows.
    Windows(Vec<WindowFact>),
    /// It is spent until then; `window` names the window, when known.
    Limited { until_unix_ms: i64, window: Option<String> },
    /// Too many requests at this moment: a run tries again then. No choice of a token goes by it.
    Throttled { until_unix_ms: i64 },
    /// It was refused.
    Refused,
    /// A request with it was answered: it is neither spent nor refused.
    Works,
    /// It is accepted; whether it is spent was not told.
    Accepted,
}
