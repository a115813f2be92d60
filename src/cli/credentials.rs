//! The tokens of a run: gathered, held against the agent's settings, and one of them chosen to start with.

use std::path::Path;

use secrecy::SecretString;

use super::{CliError, Context, ErrorKind};
use crate::agent::AgentKind;
use crate::config::{Project, Provider, TokenEntry};
use crate::core::TokenId;
use crate::journal::Redactor;
use crate::tokens::{AgentSettings, ChildEnv, Conflict, Gathered, MANAGED_SETTINGS, Places, Pool, SettingsPlaces};

/// The tokens that the agent's CLI may be given in this project, with these arguments of the user's.
///
/// # Errors
/// When the agent's arguments cannot be used, or a file of tokens is not there.
pub(super) fn gather(
    context: &Context,
    project: &Project,
    entries: &[TokenEntry],
    agent_args: &[String],
) -> Result<Gathered, CliError> {
    let args = AgentKind::ClaudeCode.read_user_args(agent_args)?;
    let dirs = context.dirs()?;
    let settings = AgentSettings::read(SettingsPlaces {
        dirs,
        cwd: &project.cwd,
        argument: args.settings.as_deref(),
        sources: args.setting_sources.as_deref(),
        managed: Path::new(MANAGED_SETTINGS),
    });
    let places = Places { env: &context.env, dirs, project };
    Ok(Pool::gather(places, entries, Provider::Anthropic, Some(&settings))?)
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

/// The tokens of a run, and the one that it starts with.
#[derive(Debug, Clone)]
pub(super) struct RunTokens {
    /// All of them.
    pub(super) pool: Pool,
    /// The one to start with.
    pub(super) first: Option<TokenId>,
    fetched: Option<SecretString>,
}

impl RunTokens {
    /// Chooses the first token of the pool whose value can be had: a command that fails is a warning, unless there is no
    /// other token.
    ///
    /// # Errors
    /// When there are tokens and none of them can be fetched.
    pub(super) fn choose(pool: Pool, context: &Context) -> Result<Self, CliError> {
        let mut last_fault = None;
        for credential in pool.credentials() {
            match credential.value() {
                Ok(value) => {
                    let fetched = value.filter(|_| credential.needs_fetching());
                    return Ok(Self { first: Some(credential.id()), fetched, pool });
                }
                Err(fault) => {
                    context.printer.warn(&fault);
                    last_fault = Some(fault);
                }
            }
        }
        match last_fault {
            None => Ok(Self { pool, first: None, fetched: None }),
            Some(fault) => Err(CliError::new(ErrorKind::Environment, format!("no token can be had: {fault}"))
                .hint("run the command of `tokens` in the configuration by hand; it must print the token")),
        }
    }

    /// No token at all, and none in the agent's environment.
    pub(super) fn without_any(context: &Context) -> Self {
        Self { pool: Pool::without_any(&context.env, Provider::Anthropic), first: None, fetched: None }
    }

    /// What the agent's environment must be.
    pub(super) fn agent_env(&self) -> ChildEnv {
        match &self.first {
            Some(id) => self.pool.child_env(id, self.fetched.as_ref()),
            None => self.pool.child_env_without(),
        }
    }

    /// A redactor that knows the values of all of them.
    pub(super) fn redactor(&self) -> Redactor {
        self.pool.redactor_with(self.fetched.as_ref())
    }

    /// Says which one is used and which others there are.
    pub(super) fn sentence(&self) -> String {
        self.pool.sentence(self.first.as_ref())
    }
}
