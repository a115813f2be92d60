//! Whole nights: the built `ccc` with the real CLIs against the scripted API, and with the scripted agent where the
//! real ones cannot be made to show a fault.
//!
//! Must not: test a policy's details (the core's own tests do), or depend on the machine's user.

/// One test per real CLI, named after it.
macro_rules! on_both {
    ($($(#[$doc:meta])* fn $name:ident($cli:ident) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "each body uses a part")]
            use super::*;
            fn body($cli: &crate::real_cli::RealCli) $body
            #[test]
            fn with_the_current_cli() {
                if let Some(cli) = crate::whole_runs::harness::cli("current") {
                    body(&cli);
                }
            }
            #[test]
            fn with_the_previous_cli() {
                if let Some(cli) = crate::whole_runs::harness::cli("previous") {
                    body(&cli);
                }
            }
        }
    )*};
}
pub(crate) use on_both;

mod answered;
mod bounds;
mod checkpoints;
mod checks;
pub(crate) mod clock;
mod critic;
mod death;
mod faults;
mod given;
mod going_on;
pub(crate) mod harness;
mod hooks;
pub(crate) mod limits;
pub(crate) mod onlooker;
mod own_turns;
mod permissions;
mod progress;
mod provider;
mod question;
pub(crate) mod requests;
mod secrets;
mod stalls;
mod trouble;
mod trust;
pub(crate) mod vault;
mod verdicts;
mod whose;
