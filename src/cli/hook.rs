//! `ccc hook`: the agent's own interface calls this at each of its hooks, to inform the run that it belongs to.
//!
//! The agent waits for the hook at each tool, so the hook reads no settings and starts no runtime. On any failure it prints
//! nothing and exits successfully, so that it never disturbs the user's session.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use super::native::{CONTROL, HOOK_KEY};
use crate::config::env::{CCC_ATTEMPT, Env};
use crate::control::{self, HOOK_BYTES};

/// Whether these arguments, the program's name first, are those of a hook; the value says whether the hook waits for the run's
/// answer.
#[must_use]
pub fn is_hook(args: &[OsString]) -> Option<bool> {
    match args.get(1..)? {
        [hook] if hook == "hook" => Some(false),
        [hook, wait] if hook == "hook" && wait == "--wait" => Some(true),
        _ => None,
    }
}

/// Informs the run, and prints the run's answer.
pub fn hook(wait: bool) {
    let _ = answer(wait).map(|answer| std::io::stdout().write_all(answer.as_bytes()));
}

fn answer(wait: bool) -> Option<String> {
    let env = Env::of_process();
    let text = |name| env.get(name)?.to_str().map(str::to_owned);
    let (socket, key, attempt) = (PathBuf::from(env.get(CONTROL)?), text(HOOK_KEY)?, text(CCC_ATTEMPT)?.parse().ok()?);
    let mut input = String::new();
    let most = u64::try_from(HOOK_BYTES).ok()?;
    std::io::stdin().take(most + 1).read_to_string(&mut input).ok()?;
    // A truncated document is useless.
    (input.len() <= HOOK_BYTES).then(|| control::tell(&socket, key, attempt, wait, input))?
}
