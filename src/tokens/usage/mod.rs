//! What subscriptions and keys have used.
mod endpoint;
mod window;

pub(in crate::tokens) use endpoint::{Account, OAUTH_BETA, Said, ask};
pub use window::{ExtraUsage, FIVE_HOUR, SEVEN_DAY, UsageWindow};
