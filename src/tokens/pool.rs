//! All tokens that one agent may be given, in the order in which they are tried.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::agent_settings::{AgentSettings, Conflict};
use super::credential::{ChildEnv, Credential, CredentialKind, Source, variables};
use super::login;
use super::shared::TokenStates;
use super::sources::{self, Base, Found, PoolError};
use crate::config::{Dirs, Env, Project, Provider, TokenEntry};
use crate::core::{TokenFact, TokenId};
use crate::journal::Redactor;

/// Where tokens are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The environment.
    pub env: &'a Env,
    /// The user's directories, and those of the agent's CLI.
    pub dirs: &'a Dirs,
    /// The project.
    pub project: &'a Project,
}

/// The tokens of one provider.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    credentials: Vec<Credential>,
    taken_away: Vec<String>,
    hidden: Vec<SecretString>,
}

/// A pool, and what there is to say about it.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The tokens.
    pub pool: Pool,
    /// What the user should know, without values.
    pub warnings: Vec<String>,
    /// Settings of the agent's CLI that would take the place of the token it is given: no run may begin with them.
    pub conflicts: Vec<Conflict>,
}

/// No credential was found. The agent may still have a way of its own, so this ends no run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none found: no ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN, and no login of the agent")]
pub struct NoCredential;

impl Pool {
    /// Looks for tokens. `agent` is what the settings of the agent's CLI say, when it is that CLI which gets the token:
    /// then its login and its helper count, too. Other programs find none of these.
    ///
    /// The configuration's entries come first, in their order. Then the CLI's own order (facts §9): API keys, bearer
    /// tokens, helper, OAuth tokens, login; the first of all is what a run starts with as long as nothing is known. A
    /// value that is found twice counts once, under the first label.
    ///
    /// # Errors
    /// When a file of tokens that is named is not there or cannot be read. Other faults are warnings.
    pub fn gather(
        places: Places<'_>,
        entries: &[TokenEntry],
        provider: Provider,
        agent: Option<&AgentSettings>,
    ) -> Result<Gathered, PoolError> {
        let Places { env, dirs, project } = places;
        let base = Base { env, home: &dirs.home, cwd: &project.cwd };
        let mut found = Found { hidden: sources::foreign_values(env, provider), ..Found::default() };
        sources::from_entries(base, entries, provider, &mut found)?;
        let configured = !found.credentials.is_empty();
        sources::from_variables(base, provider, CredentialKind::ApiKey, &mut found)?;
        sources::from_variables(base, provider, CredentialKind::AuthToken, &mut found)?;
        if let Some(helper) = agent.and_then(AgentSettings::helper) {
            found.add(helper)?;
        }
        sources::from_variables(base, provider, CredentialKind::OAuth, &mut found)?;
        if let Some(agent) = agent {
            found.warnings.extend(agent.warnings.iter().cloned());
            found.hidden.extend(agent.values().cloned());
            let login = login::read(&dirs.claude, &mut found);
            // The CLI looks for its login only when nothing else is there (facts §9).
            if let Some(only) = agent.only_credential().filter(|_| found.credentials.is_empty()) {
                found.add(only)?;
            } else if let Some(login) = login.filter(|_| agent.helper().is_none()) {
                found.add(login)?;
            }
        }
        let conflicts = agent.map(|agent| agent.conflicts(&found.credentials)).unwrap_or_default();
        if !configured && let Some(warning) = billed(&found.credentials) {
            found.warnings.push(warning);
        }
        let taken_away = sources::taken_away(env, entries, provider);
        let Found { credentials, warnings, hidden } = found;
        Ok(Gathered { pool: Self { credentials, taken_away, hidden }, warnings, conflicts })
    }

    /// A pool of these tokens and no others, which takes the provider's variables away from a child all the same.
    #[must_use]
    pub fn of(credentials: Vec<Credential>, env: &Env, provider: Provider) -> Self {
        let taken_away = sources::taken_away(env, &[], provider);
        Self { credentials, taken_away, hidden: Vec::new() }
    }

    /// The tokens, the first to be tried first.
    #[must_use]
    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// What a run starts with as long as nothing is known about any of them.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(&self) -> Result<&Credential, NoCredential> {
        self.credentials.first().ok_or(NoCredential)
    }

    /// The token of this handle.
    #[must_use]
    pub fn get(&self, id: &TokenId) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.id() == *id)
    }

    /// What is known about each token at `now_unix_ms`, in the pool's order. A limit whose time is past is none, and a
    /// window whose reset is past has nothing used. A refusal counts for the very value that was refused.
    #[must_use]
    pub fn facts(&self, states: &TokenStates, now_unix_ms: i64) -> Vec<TokenFact> {
        let facts = self.credentials.iter().map(|credential| {
            let id = credential.id();
            let state = states.get(&id);
            TokenFact {
                label: credential.label.clone(),
                kind: credential.kind,
                windows: state.map(|state| state.windows_at(now_unix_ms)).unwrap_or_default(),
                limited_until_unix_ms: state.and_then(|state| state.limited_at(now_unix_ms)),
                refused: state.is_some_and(|state| state.is_refused(credential.fingerprint.as_ref())),
                id,
            }
        });
        facts.collect()
    }

    /// What a child's environment must be so that it uses this token and no other. `value` is what a command's token was
    /// fetched as; a value that we hold needs none. With an unknown handle, or a token that the child finds by itself,
    /// all variables of its provider are taken away and none is set.
    #[must_use]
    pub fn child_env(&self, id: &TokenId, value: Option<&SecretString>) -> ChildEnv {
        let Some(credential) = self.get(id) else { return self.child_env_without() };
        let value = value.or_else(|| credential.held_value());
        let names = variables(credential.provider, credential.kind).iter();
        let set: Vec<_> = names.filter_map(|name| Some((*name, value?.clone()))).collect();
        let unset = self.taken_away.iter().filter(|name| !set.iter().any(|(set, _)| set == name));
        ChildEnv { unset: unset.cloned().collect(), set }
    }

    /// What the environment of a child must be that is to have no token at all.
    #[must_use]
    pub fn child_env_without(&self) -> ChildEnv {
        ChildEnv { set: Vec::new(), unset: self.taken_away.clone() }
    }

    /// A redactor that knows all values that were seen, whatever their shape. One that a command prints later has to be
    /// registered with it then, or given here.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.redactor_with(None)
    }

    /// The same, and it knows these values, too.
    #[must_use]
    pub fn redactor_with<'a>(&'a self, fetched: impl IntoIterator<Item = &'a SecretString>) -> Redactor {
        let held = self.credentials.iter().filter_map(Credential::held_value);
        Redactor::with_values(held.chain(&self.hidden).chain(fetched).map(ExposeSecret::expose_secret))
    }

    /// Says which token is used and which others there are, by label, kind and fingerprint.
    #[must_use]
    pub fn sentence(&self, used: Option<&TokenId>) -> String {
        match used.and_then(|used| self.get(used)) {
            None => format!("{NoCredential}; the agent may know another way"),
            Some(credential) => {
                let others = Labels(self.credentials.iter().filter(|other| other.id() != credential.id()).collect());
                if others.0.is_empty() { credential.to_string() } else { format!("{credential}; in reserve: {others}") }
            }
        }
    }
}

/// Labels, cut where they become too many for a line.
struct Labels<'a>(Vec<&'a Credential>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        for (index, credential) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, credential.label)?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// An API key of the environment is used before a subscription, as the CLI does it; not everybody means that.
fn billed(credentials: &[Credential]) -> Option<String> {
    let first = credentials.first().filter(|first| first.kind == CredentialKind::ApiKey)?;
    let other = credentials.iter().find(|other| other.kind != CredentialKind::ApiKey)?;
    Some(format!(
        "{} is used and billed first although {} is there too; unset it, or give the order of your own in `tokens` of \
         the configuration",
        first.label, other.label
    ))
}

/// Whether we hold a credential's value, or can fetch it.
pub(super) fn is_ours(credential: &Credential) -> bool {
    match credential.source {
        Source::Held(_) | Source::Command(_) => true,
        Source::Agent => false,
    }
}
