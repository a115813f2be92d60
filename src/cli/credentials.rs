//! The tokens of a run: gathered, held against the agent's settings, and one of them chosen to start with.

use std::path::Path;

use super::{CliError, Context, ErrorKind};
use crate::agent::AgentKind;
use crate::config::{Env, Project, Provider, TokenEntry, UsageSettings};
use crate::core::policy::{Choice, choose};
use crate::core::{TokenId, TokenKind};
use crate::driver::{self, Credentials};
use crate::tokens::usage::{LoginPlace, Usage, UsageCache};
use crate::tokens::{
    AgentSettings, ChildEnv, Conflict, Credential, Gathered, Hosts, Http, KeychainFault, MANAGED_SETTINGS, OddFile,
    Places, Pool, SettingsPlaces, SharedTokens,
};
use redaction::Redactor;

/// The login's handle when it is in the Keychain.
const LOGIN: &str = "login";

/// The tokens that the agent's CLI may be given in this project, with these arguments of the user's.
///
/// # Errors
/// When the agent's arguments cannot be used, or a file of tokens is not there.
pub(super) fn gather(
    context: &Context,
    project: &Project,
    entries: &[TokenEntry],
    agent: AgentKind,
    agent_args: &[String],
) -> Result<Gathered, CliError> {
    let args = agent.read_user_args(agent_args)?;
    if !agent.installation().settings_files {
        return gather_for_program(context, project, entries, agent.provider());
    }
    let dirs = context.dirs()?;
    let settings = AgentSettings::read(SettingsPlaces {
        dirs,
        cwd: &project.cwd,
        argument: args.settings.as_deref(),
        sources: args.setting_sources.as_deref(),
        managed: Path::new(MANAGED_SETTINGS),
    });
    if let Some(OddFile { path, why, advice }) = &settings.odd {
        let message = format!("the agent's settings file {} {why}", path.display());
        return Err(CliError::new(ErrorKind::Configuration, message).hint(*advice));
    }
    let places = Places { env: &context.env, dirs, project };
    Ok(Pool::gather(places, entries, agent.provider(), Some(&settings))?)
}

/// The tokens that a program of this provider may be given; what the agent's CLI finds by itself is not among them.
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

/// Where the providers of a run's tokens are asked.
///
/// # Errors
/// When there are no directories.
pub(super) fn ask(context: &Context, project: &Project, usage: &UsageSettings) -> Result<(Hosts, Env), CliError> {
    let managed = Path::new(MANAGED_SETTINGS);
    let hosts = Hosts::read(&context.env, context.dirs()?, project, managed, usage.base_url.as_deref());
    Ok((hosts, context.env.clone()))
}

/// What asks about tokens and remembers the answers.
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

/// The agent's login in the Keychain, when these have none from a file. Its value is not read.
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
    // It was there when it was last asked about; to look again takes a program's start.
    let cache = UsageCache::new(&context.dirs()?.state).read();
    let asked = cache.identities.get(&TokenId(LOGIN.to_owned()));
    let lately = asked.is_some_and(|entry| entry.next_unix_ms.is_some_and(|next| next > now_unix_ms));
    let there = if lately { Ok(true) } else { place.in_keychain() };
    let credential = || Credential::found_by_agent("the Keychain", TokenKind::Login, LOGIN, None);
    Ok(there.map(|there| there.then(credential)))
}

/// The error for settings that would take a token's place.
pub(super) fn refusal(conflicts: &[Conflict]) -> Option<CliError> {
    if conflicts.is_empty() {
        return None;
    }
    let named: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    let (verb, it) = if named.len() == 1 { ("takes", "it") } else { ("take", "them") };
    Some(
        CliError::new(
            ErrorKind::Configuration,
            format!("{} {verb} the place of the token that ccc gives to the agent", named.join(" and ")),
        )
        .hint(format!(
            "remove {it} there (ccc changes no settings of the agent) and give the token to ccc, by its environment or by \
             `tokens` in its configuration; or unset ccc's own tokens, so that the agent uses {it} alone"
        )),
    )
}

/// The tokens of a run, and where all ccc processes keep what they know about them.
#[derive(Debug, Clone)]
pub(super) struct RunTokens {
    pool: Pool,
    shared: SharedTokens,
    first: Option<TokenId>,
    ask: Option<(Hosts, Env)>,
}

impl RunTokens {
    /// The tokens of this pool, with what is known about them in this state directory.
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

    /// What the run holds.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(self.pool.clone(), self.shared.clone(), self.ask.clone())
    }

    /// What takes the place of a token in a child's environment that is to have none.
    pub(super) fn env_without(&self) -> ChildEnv {
        self.pool.child_env_without()
    }

    /// A redactor that knows the values of all of them.
    pub(super) fn redactor(&self) -> Redactor {
        self.pool.redactor()
    }

    /// Says which one is used and which others there are.
    pub(super) fn sentence(&self) -> String {
        self.pool.sentence(self.first.as_ref())
    }
}
