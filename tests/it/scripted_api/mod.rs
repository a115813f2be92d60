//! A Messages API that plays a script, so that the real CLI can be driven without a model.
//!
//! [`ScriptedApi`] listens on loopback in a thread of its own, answers every `POST /v1/messages` by the first
//! [`Rule`] of its [`Script`] that matches and is not used up, and records what was asked. What the CLI asks
//! on the side (token counts, model lists, titles, telemetry) is answered sanely and neither matched nor counted.
//! A request that no rule matches is answered with an HTTP 400 that the CLI does not retry, and shows up in
//! [`ScriptedApi::unmatched`]: a test should find none there.
//!
//! The JSON form of a script is described in `tests/e2e/README.md`.
//!
//! Must not: judge what a request should look like (the tests do), or reach anything but loopback.

mod request;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod wire;

#[allow(unused_imports, reason = "the examples use a part of what the tests use")]
pub(crate) use request::Recorded;
#[allow(unused_imports, reason = "the examples use a part of what the tests use")]
pub(crate) use script::{Block, Ending, Limit, Message, Reply, Rule, Script, Times, Usage, When, Window};
pub(crate) use server::ScriptedApi;
