//! The tokens of a run: gathers them, compares them with the agent's settings, and chooses the first.

use std::path::Path;
use std::thread;

use super::run_places::RunPlaces;
use super::{CliError, Context};
use crate::agent::AgentKind;
use crate::config::{Env, Project, Provider, Settings, TokenEntry, UsageSettings};
use crate::core::policy::{Choice, choose};
use crate::core::{TokenId, TokenKind};
use crate::driver::{self, Credentials};
use crate::tokens::usage::{LoginPlace, Usage, UsageCache};
use crate::tokens::{
    AgentSettings, ChildEnv, Conflict, Credential, EnvConflict, Gathered, Hosts, Http, Keychain, KeychainFault,
    MANAGED_SETTINGS, Places, Pool, Provided, ResolveBase, SettingsPlaces, SharedTokens, UnsafeFile,
};
use redaction::Redactor;

/// Variables with which the agent's CLI uses a cloud whose credentials ccc does not look for.
const OTHER_CLOUD: &str = "CLAUDE_CODE_USE_";
/// The id of the login in the Keychain.
const LOGIN: &str = "login";
/// How many requests are sent at the same time.
const ASKED_AT_ONCE: usize = 8;

/// The tokens that the agent's CLI may get in these places, with these arguments of the user.
///
/// # Errors
/// When the agent's arguments cannot be used, or a file of tokens is missing.
pub(super) fn gather(
    context: &Context,
    RunPlaces { configured: project, works, .. }: &RunPlaces,
    settings: &Settings,
    agent: AgentKind,
    agent_args: &[String],
) -> Result<Gathered, CliError> {
    let args = agent.read_user_args(agent_args)?;
    if !agent.installation().settings_files {
        return gather_for_program(context, project, &settings.tokens, agent.provider());
    }
    let dirs = context.dirs()?;
    let files = SettingsPlaces {
        dirs,
        cwd: &works.cwd,
        argument: args.settings.as_deref(),
        sources: args.setting_sources.as_deref(),
        managed: Path::new(MANAGED_SETTINGS),
    };
    let of_agent = AgentSettings::read(files);
    if let Some(UnsafeFile { path, why, advice }) = &of_agent.odd {
        let message = format!("the agent's settings file {} {why}", path.display());
        return Err(CliError::configuration(message).hint(*advice));
    }
    let places = Places { env: &context.env, dirs, project };
    let mut gathered = Pool::gather(places, &settings.tokens, agent.provider(), Some(&of_agent))?;
    if settings.pool.is_empty() {
        return Ok(gathered);
    }
    let around = ResolveBase { env: &context.env, home: &dirs.home, cwd: &project.cwd };
    let mut provided = Vec::new();
    for (name, entry) in settings.providers.iter().filter(|(name, _)| settings.pool.iter().any(|wanted| wanted == name))
    {
        let error = |message: String| CliError::configuration(message);
        let one = Provided::new(name, entry, settings, None, around)
            .map_err(|fault| error(fault.to_string()).hint(format!("correct it, or remove {name} from `pool`")))?;
        if let Some(why) = one.not_for_a_pool() {
            return Err(error(format!("the provider {name} cannot be used in `pool`: {why}"))
                .hint(format!("correct it, or remove {name} from `pool`")));
        }
        let conflicts = one.conflicts(files).conflicts;
        if !conflicts.is_empty() {
            return Err(error(conflicts_in_words(name, &conflicts).join("; ")).hint(
                "remove them there (ccc does not change the agent's settings), or remove them from the provider",
            ));
        }
        if one.has_more_than_env() {
            gathered.warnings.push(format!(
                "a run uses only `env` and `model` of the provider {name}; its settings and arguments are used by `ccc {name}`"
            ));
        }
        provided.push(one);
    }
    Ok(gathered.in_order(&settings.pool, &provided, &of_agent)?)
}

/// The tokens that a program of this provider may get, without those that the agent's CLI finds by itself.
///
/// # Errors
/// When a file of tokens is not there.
pub(super) fn gather_for_program(
    context: &Context,
    project: &Project,
    entries: &[TokenEntry],
    provider: Provider,
) -> Result<Gathered, CliError> {
    let places = Places { env: &context.env, dirs: context.dirs()?, project };
    Ok(Pool::gather(places, entries, provider, None)?)
}

/// The hosts at which the providers of a run's tokens are asked, and the environment for the requests.
///
/// # Errors
/// When there are no directories.
pub(super) fn ask(context: &Context, project: &Project, usage: &UsageSettings) -> Result<(Hosts, Env), CliError> {
    let managed = Path::new(MANAGED_SETTINGS);
    let hosts = Hosts::read(&context.env, context.dirs()?, project, managed, usage.base_url.as_deref());
    Ok((hosts, context.env.clone()))
}

/// The client that asks about tokens and keeps the answers.
///
/// # Errors
/// When there are no directories.
pub(super) fn usage(settings: &UsageSettings, shared: SharedTokens, context: &Context) -> Result<Usage, CliError> {
    let (hosts, env) = ask(context, &context.project()?, settings)?;
    let cache = UsageCache::new(&context.dirs()?.state);
    Ok(Usage::new(Http::new(hosts, &env), cache, shared, login_place(context)?))
}

/// Where the agent's login is.
///
/// # Errors
/// When there are no directories.
pub(super) fn login_place(context: &Context) -> Result<LoginPlace, CliError> {
    Ok(LoginPlace::find(context.dirs()?, &context.env))
}

/// The agent's login in the Keychain, unless these credentials have a login from a file. Its value is not read.
///
/// # Errors
/// When there are no directories; the inner error is the Keychain's.
pub(super) fn in_keychain(
    agent: AgentKind,
    known: &[Credential],
    now_unix_ms: i64,
    context: &Context,
) -> Result<Result<Option<Credential>, KeychainFault>, CliError> {
    let place = login_place(context)?;
    if !agent.installation().settings_files
        || place.keychain.is_none()
        || known.iter().any(|credential| credential.kind == TokenKind::Login)
    {
        return Ok(Ok(None));
    }
    // Reading the Keychain starts a program, so a recently checked login is assumed to be there.
    let cache = UsageCache::new(&context.dirs()?.state).read();
    let asked = cache.identities.get(&TokenId(LOGIN.to_owned()));
    let lately = asked.is_some_and(|entry| entry.next_unix_ms.is_some_and(|next| next > now_unix_ms));
    let there = if lately { Ok(true) } else { place.in_keychain() };
    let credential = || Credential::found_by_agent("the Keychain", TokenKind::Login, LOGIN, None);
    Ok(there.map(|there| there.then(credential)))
}

/// Warns when ccc has found no token for the agent. This is no error: the agent may have one that ccc does not know of.
///
/// # Errors
/// When there are no directories.
pub(super) fn warn_of_none(agent: AgentKind, pool: &Pool, context: &Context) -> Result<(), CliError> {
    let elsewhere = context.env.pairs().any(|(name, _)| name.to_string_lossy().starts_with(OTHER_CLOUD));
    if pool.first().is_ok() || elsewhere || cfg!(target_os = "macos") && Keychain::of_user(&context.env).is_none() {
        return Ok(());
    }
    if in_keychain(agent, &[], driver::unix_ms(), context)?.is_ok_and(|found| found.is_none()) {
        context.printer.warn(format_args!(
            "ccc has found no token and no login of the agent; unless the agent has another one, the run fails: {}, or set a \
             token; to see where ccc looks: ccc doctor",
            agent.log_in()
        ));
    }
    Ok(())
}

/// The error for settings that would override a token.
pub(super) fn refusal(conflicts: &[Conflict]) -> Option<CliError> {
    if conflicts.is_empty() {
        return None;
    }
    let named: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    let (verb, it) = if named.len() == 1 { ("overrides", "it") } else { ("override", "them") };
    Some(
        CliError::configuration(format!("{} {verb} the token that ccc gives to the agent", named.join(" and ")),
        )
        .hint(format!(
            "remove {it} there (ccc does not change the agent's settings) and give the token to ccc, in its environment \
             or in `tokens` of ccc.json; or unset ccc's own tokens, so that the agent uses only {it}"
        )),
    )
}

/// The tokens of a run, and the file in which all ccc processes keep what they know about them.
#[derive(Debug, Clone)]
pub(super) struct RunTokens {
    pool: Pool,
    shared: SharedTokens,
    first: Option<TokenId>,
    ask: Option<(Hosts, Env)>,
}

impl RunTokens {
    /// The tokens of this pool, with what this state directory knows about them.
    pub(super) fn new(pool: Pool, state_dir: &Path, rotate_at: f64, ask: Option<(Hosts, Env)>) -> Self {
        let shared = SharedTokens::new(state_dir);
        let now_unix_ms = driver::unix_ms();
        let states = shared.read().unwrap_or_default();
        let first = match choose(&pool.facts(&states), None, rotate_at, now_unix_ms) {
            Choice::Take(id) => Some(id),
            Choice::Stay | Choice::Spent { .. } | Choice::Nothing => pool.first().ok().map(Credential::id),
        };
        Self { pool, shared, first, ask }
    }

    /// The credentials for the run.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(self.pool.clone(), self.shared.clone(), self.ask.clone())
    }

    /// The changes to the environment of a child that gets no token.
    pub(super) fn env_without(&self) -> ChildEnv {
        self.pool.child_env_without()
    }

    /// A redactor for the values of all tokens.
    pub(super) fn redactor(&self) -> Redactor {
        self.pool.redactor()
    }

    /// A sentence that names the token in use and the others.
    pub(super) fn sentence(&self) -> String {
        self.pool.sentence(self.first.as_ref())
    }
}

/// Applies `ask` to all items, several at a time. The answers are in the items' order; `None` where `ask` panicked.
pub(super) fn at_once<T: Sync, R: Send>(all: &[T], ask: impl Fn(&T) -> R + Sync) -> Vec<Option<R>> {
    let ask = &ask;
    let answers = all.chunks(ASKED_AT_ONCE).flat_map(|some| {
        thread::scope(|scope| {
            let spawn = |one| thread::Builder::new().spawn_scoped(scope, move || ask(one));
            let asked: Vec<_> = some.iter().map(spawn).collect();
            asked.into_iter().map(|thread| thread.ok()?.join().ok()).collect::<Vec<_>>()
        })
    });
    answers.collect()
}

/// One sentence for each file, with its keys that override the provider's.
pub(super) fn conflicts_in_words(name: &str, conflicts: &[EnvConflict]) -> Vec<String> {
    let mut files: Vec<(&str, Vec<String>)> = Vec::new();
    for conflict in conflicts {
        let key = format!("`{}`", conflict.key);
        match files.iter_mut().find(|(place, _)| *place == conflict.place) {
            Some((_, keys)) => keys.push(key),
            None => files.push((&conflict.place, vec![key])),
        }
    }
    let sentence = |(place, keys): (&str, Vec<String>)| {
        let verb = if keys.len() == 1 { "overrides" } else { "override" };
        format!("{} of {place} {verb} what the provider {name} sets", keys.join(", "))
    };
    files.into_iter().map(sentence).collect()
}

// On macOS a login may be in the Keychain, so nothing is said.
#[cfg(test)]
#[cfg(not(target_os = "macos"))]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;

    #[test]
    fn without_any_token_the_user_is_warned_before_the_run_begins() {
        let dir = tempfile::tempdir().expect("a directory");
        let told = |pool: &Pool| {
            let seen = Captured::default();
            warn_of_none(AgentKind::default(), pool, &seen.context(dir.path(), Some(80))).expect("told");
            seen.messages()
        };
        let pool = |tokens| Pool::of(tokens, &Env::default(), Provider::Anthropic);
        let warning = told(&pool(Vec::new()));
        assert!(
            warning.starts_with("warning: ccc has found no token") && warning.ends_with("ccc doctor\n"),
            "{warning}"
        );
        let token = Credential::found_by_agent("the Keychain", TokenKind::Login, LOGIN, None);
        assert_eq!(told(&pool(vec![token])), "");
    }
}
