//! The machine is kept awake while something works or waits that goes on by itself.

use super::Context;
use crate::process::{Awake, Inhibitor};

/// Keeps the machine awake, where the system offers it, until the result is dropped. `why` is shown to the user by the system.
pub(super) fn hold(why: &str, context: &Context) -> Option<Awake> {
    Inhibitor::find(&context.bare_env())?.hold(why).ok()
}
