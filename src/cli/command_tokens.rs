//! The tokens of a supervised command: which provider's tokens it gets, and how the program gets one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::credentials;
use super::run_places::RunPlaces;
use super::{CliError, Context};
use crate::agent::AgentKind;
use crate::config::{Project, Provider, Settings};
use crate::core::{TokenFact, TokenId};
use crate::driver::{ChildEnv, Looked, TokenSupply, unix_ms};
use crate::process::Cancel;
use crate::tokens::usage::{Ask, OTHERS_WAIT, Refreshed, Usage, reports_of};
use crate::tokens::{
    Credential, FetchError, Gathered, Knowledge, Pool, SharedTokens, all_variables, probe, provider_of_program,
};
use redaction::Redactor;

/// The provider whose tokens this program gets: the one that its name implies, else the only provider with tokens.
///
/// # Errors
/// When neither determines a provider.
pub(super) fn provider_of(
    program: &OsStr,
    settings: &Settings,
    project: &Project,
    context: &Context,
) -> Result<Provider, CliError> {
    if let Some(known) = by_name(program) {
        return Ok(known);
    }
    let mut with_tokens = Vec::new();
    for provider in Provider::ALL {
        if !gather(provider, program, settings, project, context)?.pool.credentials().is_empty() {
            with_tokens.push(provider);
        }
    }
    match with_tokens.as_slice() {
        [one] => Ok(*one),
        [] => Err(CliError::environment(format!("there is no token for `{}` from any provider", program.display()))
            .hint(format!("set one of {}, or start without: --no-tokens", names_of_variables(Provider::ALL)))),
        [..] => {
            let names: Vec<String> = with_tokens.iter().map(ToString::to_string).collect();
            Err(CliError::usage(format!(
                "it is not known which token `{}` needs: there are tokens of {}",
                program.display(),
                names.join(" and ")
            ))
            .hint("name the provider (--provider anthropic), or start without a token: --no-tokens"))
        }
    }
}

fn by_name(program: &OsStr) -> Option<Provider> {
    let stem = Path::new(program).file_stem()?.to_str()?;
    let of_agent = AgentKind::all().find(|kind| kind.program() == stem).map(|kind| kind.provider());
    of_agent.or_else(|| provider_of_program(stem))
}

/// The agent that uses tokens of this provider.
pub(super) fn agent_of(provider: Provider) -> Option<AgentKind> {
    AgentKind::all().find(|kind| kind.provider() == provider)
}

fn names_of_variables(providers: impl IntoIterator<Item = Provider>) -> String {
    let names: Vec<_> = providers.into_iter().flat_map(all_variables).map(|(_, name)| name).collect();
    names.join(", ")
}

fn gather(
    provider: Provider,
    program: &OsStr,
    settings: &Settings,
    project: &Project,
    context: &Context,
) -> Result<Gathered, CliError> {
    match agent_of(provider).filter(|_| by_name(program) == Some(provider)) {
        Some(agent) => credentials::gather(context, &RunPlaces::same(project), settings, agent, &[]),
        None => credentials::gather_for_program(context, project, &settings.tokens, provider),
    }
}

/// The tokens of one command.
#[derive(Debug)]
pub(super) struct CommandTokens {
    /// `None` when the command gets no token.
    pool: Option<Pool>,
    /// What is known about the tokens.
    known: Mutex<Knowledge>,
    base: ChildEnv,
    /// The values that commands have printed, kept because a password manager would ask its user each time.
    fetched: Mutex<BTreeMap<TokenId, SecretString>>,
    /// Cancels those commands when their values are no longer needed.
    give_up: Cancel,
    /// Asks providers for usage, as often as all ccc processes together may.
    usage: Usage,
}

impl CommandTokens {
    /// Finds the tokens of this provider. Without a provider the environment stays as it is.
    ///
    /// # Errors
    /// When there is no token, or the program's settings would override it.
    pub(super) fn gather(
        provider: Option<Provider>,
        program: &OsStr,
        settings: &Settings,
        project: &Project,
        context: &Context,
    ) -> Result<Self, CliError> {
        let pool = match provider {
            None => None,
            Some(provider) => {
                let Gathered { pool, warnings, conflicts } = gather(provider, program, settings, project, context)?;
                for warning in warnings {
                    context.printer.warn(warning);
                }
                if let Some(refusal) = credentials::refusal(&conflicts) {
                    return Err(refusal);
                }
                if pool.credentials().is_empty() {
                    return Err(CliError::environment(format!(
                        "there is no {provider} token for `{}`",
                        program.display()
                    ))
                    .hint(format!("set {}, or start without: --no-tokens", names_of_variables([provider]))));
                }
                Some(pool)
            }
        };
        let base = context.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let shared = SharedTokens::new(&context.dirs()?.state);
        let usage = credentials::usage(&settings.usage, shared.clone(), context)?;
        let give_up = Cancel::new().map_err(CliError::io)?;
        let known = Mutex::new(Knowledge::new(shared));
        Ok(Self { pool, known, base: ChildEnv(base), fetched: Mutex::default(), give_up, usage })
    }

    /// The value of a token. A command that prints it runs once.
    fn value(&self, credential: &Credential) -> Result<Option<SecretString>, FetchError> {
        let id = credential.id();
        let kept = || self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept().get(&id) {
            return Ok(Some(value.clone()));
        }
        let value = credential.value_unless(&self.give_up)?;
        if let Some(value) = value.as_ref().filter(|_| credential.needs_fetching()) {
            kept().insert(id, value.clone());
        }
        Ok(value)
    }

    fn known(&self) -> MutexGuard<'_, Knowledge> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenSupply for CommandTokens {
    fn facts(&self) -> Vec<TokenFact> {
        self.pool.as_ref().map(|pool| self.known().read(pool)).unwrap_or_default()
    }

    fn environment(&self, token: Option<&TokenId>) -> Result<Vec<(OsString, OsString)>, String> {
        let base = self.base.0.iter().cloned();
        let Some(pool) = &self.pool else { return Ok(base.collect()) };
        let Some(credential) = token.and_then(|token| pool.get(token)) else {
            return Ok(pool.child_env_without().apply(base));
        };
        let value = self.value(credential).map_err(|error| error.to_string())?;
        Ok(pool.child_env(&credential.id(), value.as_ref()).apply(base))
    }

    fn redactor(&self) -> Redactor {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        self.pool.as_ref().map_or_else(Redactor::new, |pool| pool.redactor_with(fetched.values()))
    }

    fn give_up(&self) {
        self.give_up.kill();
    }

    fn look(&self, token: &TokenId) -> Looked {
        let Some(pool) = &self.pool else { return Looked::default() };
        let unsaid = || Looked { tokens: self.facts(), spent: None };
        let Some(credential) = pool.get(token) else { return unsaid() };
        if credential.kind.is_subscription() {
            // A command reports no limits, so ask the provider thoroughly.
            let ask = Ask { thorough: true, wait: OTHERS_WAIT };
            let refreshed = self.usage.refresh_if_due(credential, ask, unix_ms());
            tracing::debug!(?refreshed, "the account was asked about");
            return match &refreshed {
                Refreshed::Learnt(probed) => {
                    let now_unix_ms = unix_ms();
                    let reports = reports_of(credential, probed, now_unix_ms);
                    // `refresh_if_due` has informed the other ccc processes if it could. Record the answer for this command too.
                    let tokens = self.known().report(pool, token, &reports, now_unix_ms);
                    Looked { tokens, spent: probed.says_spent() }
                }
                Refreshed::NotDue { .. } | Refreshed::ByAnother | Refreshed::NotAsked(_) | Refreshed::Failed { .. } => {
                    unsaid()
                }
            };
        }
        let value = match self.value(credential) {
            Ok(Some(value)) => value,
            // Only the program that calls the helper knows the helper's value.
            Ok(None) => return unsaid(),
            Err(error) => {
                tracing::warn!(%error, "the token cannot be asked about");
                return unsaid();
            }
        };
        let probed = probe(self.usage.http(), credential, &value, unix_ms());
        let now_unix_ms = unix_ms();
        let (reports, spent) = (probed.reports(now_unix_ms), probed.says_spent());
        if reports.is_empty() {
            tracing::info!(verdict = %probed.verdict, "the provider said nothing that lasts");
            return Looked { spent, ..unsaid() };
        }
        let tokens = self.known().report(pool, token, &reports, now_unix_ms);
        Looked { tokens, spent }
    }
}
