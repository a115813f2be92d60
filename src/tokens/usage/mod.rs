//! What subscriptions and keys have used: asked for within the endpoint's budget, cached for all ccc processes.
//!
//! [`Usage::refresh_if_due`] asks about one token: the usage endpoint for a token that may read it, and else, when told to
//! be thorough, by a message of one token. One process asks about a token at a time, at most once in
//! [`INTERVAL_MS`]; after a 429 the pause doubles from [`FIRST_BACKOFF_MS`] to [`LONGEST_BACKOFF_MS`]. [`UsageCache`]
//! holds what was answered, and `tokens.json` gets it too. [`Usage::verdict`] says whether a token can be used, under the same
//! locks and pauses. [`Identity`] puts together what is known.
//!
//! There are no timers here: nothing is asked unless somebody calls. The agent's login is only read, never refreshed.

mod account;
mod budget;
mod cache;
mod endpoint;
mod refresh;
mod view;
mod window;

pub use account::{LoginFault, LoginPlace};
pub use budget::{FIRST_BACKOFF_MS, INTERVAL_MS, LONGEST_BACKOFF_MS};
pub use cache::{Entry, LastVerdict, TopWindow, UsageCache, UsageFile};
pub(in crate::tokens) use endpoint::{Account, OAUTH_BETA, Said, ask};
pub use refresh::{Ask, Judged, NotAsked, OTHERS_WAIT, Refreshed, Usage, reports_of};
pub use view::Identity;
pub use window::{ExtraUsage, FIVE_HOUR, SEVEN_DAY, UsageWindow};
