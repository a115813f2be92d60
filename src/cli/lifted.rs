//! A limit that was lifted early. A person who starts or resumes a run while every token is limited may know better than what was
//! last heard: the providers are asked once, before the run begins, by the question of `ccc tokens check`.

use super::subcommand::tokens::ask_all;
use super::{CliError, Context, credentials};
use crate::config::Env;
use crate::core::policy::{Choice, choose};
use crate::driver;
use crate::tokens::usage::{Usage, UsageCache};
use crate::tokens::{Credential, Hosts, Http, Pool, SharedTokens};

/// No token is better than another here.
const ANY_USE: f64 = f64::INFINITY;

/// Asks about the limited tokens of this pool where none may be used. What is learnt stands in `tokens.json` afterwards, from
/// which the run takes what it knows. Each question ends within seconds, answered or not.
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
    context.printer.talk("every token is limited; asking once whether that still holds");
    let login = credentials::login_place(context)?;
    let usage = Usage::new(Http::new(hosts.clone(), env), UsageCache::new(state), shared.clone(), login);
    let _ = ask_all(&usage, &asked, now_unix_ms);
    if limited(driver::unix_ms()).is_none() {
        context.printer.talk("a limit was lifted before its reset: the run need not wait for it");
    }
    Ok(())
}
