//! Whole nights: the built `ccc` with the real CLIs against the scripted API, and with the scripted agent where the
//! real ones cannot be made to show a fault.
//!
//! Must not: test a policy's details (the core's own tests do), or depend on the machine's user.

/// One test per real CLI, named after it. `(cli, current)` marks what shows ccc's own judgement, to which the CLI gives nothing
/// but turns: there the current CLI is enough, and the previous one is run by `scripts/test previous`.
macro_rules! on_both {
    ($($(#[$doc:meta])* fn $name:ident($cli:ident $(, $enough:ident)?) $body:block)*) => {$(
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
            crate::whole_runs::on_previous! { $($enough)? }
        }
    )*};
}
macro_rules! on_previous {
    () => {
        #[test]
        fn with_the_previous_cli() {
            if let Some(cli) = crate::whole_runs::harness::cli("previous") {
                body(&cli);
            }
        }
    };
    (current) => {
        #[test]
        #[ignore = "shows ccc's own judgement, for which the current CLI is enough: scripts/test previous"]
        fn with_the_previous_cli() {
            if let Some(cli) = crate::whole_runs::harness::cli("previous") {
                body(&cli);
            }
        }
    };
}
pub(crate) use on_both;
pub(crate) use on_previous;

mod answered;
mod bounds;
mod checkpoints;
mod checks;
pub(crate) mod clock;
mod context;
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
mod protected;
mod provider;
mod question;
pub(crate) mod requests;
mod secrets;
mod stalls;
mod tests_touched;
mod trouble;
mod trust;
pub(crate) mod vault;
mod verdicts;
mod whose;
