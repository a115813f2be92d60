//! Detects limits that were lifted early. When every token is limited, the person who starts or resumes a run may have newer
//! information than the last answer. So the providers are asked once before the run begins, as `ccc tokens check` asks them.

use super::subcommand::tokens::ask_all;
use super::{CliError, Context, credentials};
use crate::config::Env;
use crate::core::policy::{Choice, choose};
use crate::driver;
use crate::tokens::usage::{Usage, UsageCache};
use crate::tokens::{Credential, Hosts, Http, Pool, SharedTokens};

/// Only limits matter here, not usage.
const ANY_USE: f64 = f64::INFINITY;

/// Asks about the limited tokens of this pool if no token can be used. The answers go into `tokens.json`, where the run reads
/// them. Each request ends within seconds, answered or not.
///
/// # Errors
/// When there are no directories.
pub(super) fn ask_where_all_are_limited(
    pool: &Pool,
    (hosts, env): &(Hosts, Env),
    context: &Context,
) -> Result<(), CliError> {
    let state = &context.dirs()?.state;
    let shared = SharedTokens::new(state);
    let now_unix_ms = driver::unix_ms();
    let limited = |now_unix_ms: i64| {
        let facts = pool.facts(&shared.read().unwrap_or_default());
        matches!(choose(&facts, None, ANY_USE, now_unix_ms), Choice::Spent { .. }).then_some(facts)
    };
    let Some(facts) = limited(now_unix_ms) else { return Ok(()) };
    let asked: Vec<&Credential> = pool
        .credentials()
        .iter()
        .filter(|credential| {
            facts.iter().any(|fact| fact.id == credential.id() && fact.limited_until_unix_ms.is_some())
        })
        .collect();
    context.printer.talk("every token is limited; asking the provider once whether that is still true");
    let login = credentials::login_place(context)?;
    let usage = Usage::new(Http::new(hosts.clone(), env), UsageCache::new(state), shared.clone(), login);
    let _ = ask_all(&usage, &asked, now_unix_ms);
    if limited(driver::unix_ms()).is_none() {
        context.printer.talk("a limit ended before its reset: the run does not have to wait");
    }
    Ok(())
}
