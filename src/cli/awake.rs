//! The machine is kept awake while something works or waits that goes on by itself.

use super::Context;
use crate::process::{Awake, Inhibitor};
use crate::tokens::without_credentials;

/// Keeps the machine awake, where the system offers it, until the result is dropped. `why` is shown to the user by the system.
pub(super) fn hold(why: &str, context: &Context) -> Option<Awake> {
    let env = without_credentials(&context.env, &[]);
    let env: Vec<_> = env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Inhibitor::find(&env)?.hold(why).ok()
}
