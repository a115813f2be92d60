//! The usage of subscriptions and keys: queried within the endpoint's budget, cached for all ccc processes.
//!
//! [`Usage::refresh_if_due`] queries one token: the usage endpoint for a token that may read it, otherwise, if asked
//! to be thorough, a message of one token. One process queries a token at a time, at most once per [`INTERVAL_MS`];
//! after a 429 the backoff doubles from [`FIRST_BACKOFF_MS`] to [`LONGEST_BACKOFF_MS`]. [`UsageCache`] holds the
//! answers, and `tokens.json` gets them too. [`Usage::verdict`] says whether a token can be used, with the same locks
//! and backoff. [`Identity`] merges what is known.
//!
//! There are no timers here: no request is sent unless a caller asks. The agent's login is only read, never
//! refreshed.

mod account;
mod budget;
mod cache;
mod endpoint;
mod refresh;
mod statement;
mod view;
mod window;

pub use account::{LoginFault, LoginPlace};
pub use budget::{FIRST_BACKOFF_MS, INTERVAL_MS, LONGEST_BACKOFF_MS};
pub use cache::{Entry, LastVerdict, TopWindow, UsageCache, UsageFile};
pub(in crate::tokens) use endpoint::{Said, ask};
pub use refresh::{Ask, Judged, NotAsked, OTHERS_WAIT, Refreshed, Usage, reports_of};
pub(in crate::tokens) use statement::{Account, account};
pub use view::Identity;
pub use window::{ExtraUsage, FIVE_HOUR, SEVEN_DAY, UsageWindow};
