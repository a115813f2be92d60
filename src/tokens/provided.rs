//! The environment, settings and arguments of the agent under a configured provider.
//!
//! From weakest to strongest: the settings of all providers, the provider's `settings`, a `--settings` in
//! `claude_args`, the user's own. The `env` of all of them goes into the agent's environment, the rest into a file
//! that only the user can read, because every user of the machine can read a command line. The agent's CLI prefers
//! the `env` of its settings files to its environment, so a key that such a file sets differently is a
//! [conflict](Provided::conflicts).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::agent_settings::AgentSettings;
use super::credential::{Credential, Route};
use super::fetch::{FetchCommand, FetchError};
use super::hosts::{HostError, base_named};
use super::offers::{ANTHROPIC_BASE_URL, CREDENTIAL_VARIABLES, all_variables};
use super::settings_files::{SettingsPlaces, UnsafeFile, read_settings};
use super::sources::{self, located_in};
use super::variables::is_credential;
use crate::agent::InterfaceArgs;
use crate::config::{Env, EnvValue, NamedProvider, Provider, Settings, TokenPlace, merged};
use crate::files::{self, AGENT_SETTINGS, ReadFault, TOKENS};
use crate::order::map_of;
use crate::process::Cancel;
use redaction::Redactor;

/// The variable that names the agent's model.
const ANTHROPIC_MODEL: &str = "ANTHROPIC_MODEL";

/// See the module. Its `Debug` shows no value.
#[derive(Debug, Clone)]
pub struct Provided {
    name: String,
    env: BTreeMap<String, Given>,
    settings: Hidden,
    args: Vec<String>,
    /// The settings sources that `claude_args` name, and whether they choose a model.
    setting_sources: Option<Vec<String>>,
    chooses_model: bool,
    model: Option<String>,
    /// Variables of ccc's environment from which a credential is taken.
    sources: BTreeSet<String>,
}

/// The value of a variable.
#[derive(Debug, Clone)]
enum Given {
    Held(SecretString),
    Command(FetchCommand),
}

/// Settings whose content is not shown.
#[derive(Clone, Default)]
struct Hidden(Map<String, Value>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The base for variable names and relative paths.
#[derive(Debug, Clone, Copy)]
pub struct ResolveBase<'a> {
    /// The environment.
    pub env: &'a Env,
    /// What `~/` stands for.
    pub home: &'a Path,
    /// The current directory.
    pub cwd: &'a Path,
}

/// Why the agent cannot be started under a provider. No message contains a value.
#[derive(Debug, thiserror::Error)]
pub enum ProvidedFault {
    /// A named variable is not set.
    #[error("`{key}` takes its value from the variable {variable}, which is not set")]
    Unset {
        /// The place in the configuration.
        key: String,
        /// The variable.
        variable: String,
    },
    /// A named file cannot be used.
    #[error("`{key}` takes its value from the file {}, which {why}", path.display())]
    File {
        /// The place in the configuration.
        key: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The user's `--settings` are invalid.
    #[error("the settings {place} {why}")]
    UsersSettings {
        /// The argument, or the file that it names.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The provider's name cannot be typed.
    #[error("{0}")]
    Misnamed(String),
    /// A command printed no value.
    #[error(transparent)]
    Command(#[from] FetchError),
}

/// A key of a settings file of the agent that overrides what a provider sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvConflict {
    /// The key, for example `env.ANTHROPIC_BASE_URL`.
    pub key: String,
    /// The file.
    pub place: String,
}

/// What in the agent's settings files conflicts with a provider.
#[derive(Debug, Default)]
pub struct SettingsConflicts {
    /// The settings that override the provider's values.
    pub conflicts: Vec<EnvConflict>,
    /// Files that could not be read or parsed.
    pub warnings: Vec<String>,
    /// A file that the agent's CLI must not read.
    pub odd: Option<UnsafeFile>,
}

impl Provided {
    /// The effect of the provider with this name and entry, with `users` as the user's own `--settings`.
    ///
    /// # Errors
    /// When a value cannot be read, or `users` are invalid. Commands are not run yet.
    pub fn new(
        name: &str,
        entry: &NamedProvider,
        shared: &Settings,
        users: Option<&str>,
        around: ResolveBase<'_>,
    ) -> Result<Self, ProvidedFault> {
        if let Some(why) = &entry.misnamed {
            return Err(ProvidedFault::Misnamed(why.clone()));
        }
        let claude_args: Vec<String> = shared.claude_args.iter().chain(&entry.claude_args).cloned().collect();
        let InterfaceArgs { rest: args, settings: of_args, setting_sources, choose_model: chooses_model } =
            shared.agent.kind.0.read_interface_args(&claude_args);
        let read = |text: Option<&str>| text.map(|text| users_settings(text, around)).transpose();
        let mut users = merged(read(of_args.as_deref())?.unwrap_or_default(), read(users)?.unwrap_or_default());
        let mut base = merged(shared.settings.get().clone(), entry.settings.get().clone());
        let mut env: BTreeMap<String, Given> = env_of(&mut base);
        let mut sources = BTreeSet::new();
        for (variable, value) in &entry.env {
            if let (EnvValue::From(TokenPlace::Env(source)), true) = (value, is_credential(variable)) {
                sources.insert(source.clone());
            }
            let key = format!("providers.{name}.env.{variable}");
            env.insert(variable.clone(), given(&key, value, around)?);
        }
        env.extend(env_of(&mut users));
        let settings = Hidden(merged(base, users));
        let (name, model) = (name.to_owned(), entry.model.clone());
        Ok(Self { name, env, settings, args, setting_sources, chooses_model, model, sources })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variables of ccc's environment from which its credential is taken.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(String::as_str)
    }

    /// Why a run cannot add it to its pool; `None` when it can.
    #[must_use]
    pub fn not_for_a_pool(&self) -> Option<String> {
        let variables = self.credential_variables();
        let commands = self.env.iter().filter(|(_, given)| matches!(given, Given::Command(_)));
        let mut others =
            commands.map(|(name, _)| name).filter(|name| Some(name.as_str()) != variables.first().copied());
        match (variables.as_slice(), others.next()) {
            ([], _) => Some("it has no credential".to_owned()),
            ([_], None) => None,
            ([_], Some(other)) => {
                Some(format!("its {other} comes from a command, but only a credential may come from a command"))
            }
            ([..], _) => self.gives_several(),
        }
    }

    /// A message if it gives several credentials, of which the agent would use one.
    #[must_use]
    pub fn gives_several(&self) -> Option<String> {
        let variables = self.credential_variables();
        (variables.len() > 1).then(|| format!("it has several credentials: {}", variables.join(", ")))
    }

    /// The settings sources that `claude_args` name.
    #[must_use]
    pub fn setting_sources(&self) -> Option<&[String]> {
        self.setting_sources.as_deref()
    }

    /// The arguments in `claude_args` that look like a secret, by name.
    #[must_use]
    pub fn secret_arguments(&self) -> Vec<String> {
        let redactor = self.redactor();
        let mut names = Vec::new();
        let mut option = None;
        for (at, arg) in (1..).zip(&self.args) {
            let name = arg.split_once('=').map_or(arg.as_str(), |(name, _)| name);
            let is_option = arg.starts_with('-');
            if redactor.text(arg) != *arg {
                let of = if is_option { Some(name) } else { option };
                let clean = of.filter(|of| redactor.text(of) == **of);
                names.push(clean.map_or_else(|| format!("number {at}"), str::to_owned));
            }
            option = is_option.then_some(name);
        }
        names
    }

    /// Whether it has settings or arguments, which a run ignores.
    #[must_use]
    pub fn has_more_than_env(&self) -> bool {
        !self.settings.0.is_empty() || !self.args.is_empty()
    }

    /// The agent's arguments for all providers and for this one.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The model to pass as an argument.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref().filter(|_| !self.chooses_model)
    }

    /// The model in use, whether an argument or a variable chooses it.
    #[must_use]
    pub fn asked_model(&self) -> Option<String> {
        self.model.clone().or_else(|| self.held(ANTHROPIC_MODEL).map(str::to_owned))
    }

    /// The provider's base URL, if it sets one. The URL may be invalid.
    #[must_use]
    pub fn base(&self) -> Option<Result<super::BaseUrl, HostError>> {
        let named_by = || format!("providers.{}.env.{ANTHROPIC_BASE_URL}", self.name);
        self.held(ANTHROPIC_BASE_URL).map(|text| base_named(text, named_by))
    }

    /// The variables that give the agent its credential, in the CLI's own order.
    #[must_use]
    pub fn credential_variables(&self) -> Vec<&'static str> {
        CREDENTIAL_VARIABLES.into_iter().filter(|name| self.gives(name)).collect()
    }

    /// The credential that the provider gives the agent; the first of several.
    #[must_use]
    pub fn credential(&self) -> Option<Credential> {
        let variable = *self.credential_variables().first()?;
        let (kind, _) = all_variables(Provider::Anthropic).find(|(_, name)| *name == variable)?;
        let credential = match self.env.get(variable)? {
            Given::Held(value) => Credential::held(&self.name, kind, Provider::Anthropic, value.clone()),
            Given::Command(command) => Credential::fetched(&self.name, kind, Provider::Anthropic, command.clone()),
        };
        let beside =
            self.env.iter().filter(|(name, _)| name.as_str() != variable).filter_map(|(name, given)| match given {
                Given::Held(value) => Some((name.clone(), value.clone())),
                Given::Command(_) => None,
            });
        let (base, model, env) = (self.base(), self.asked_model(), beside.collect());
        let route = Route { name: self.name.clone(), base, model, env };
        Some(credential.routed(route))
    }

    fn held(&self, variable: &str) -> Option<&str> {
        match self.env.get(variable)? {
            Given::Held(value) => Some(value.expose_secret()).filter(|text| !text.trim().is_empty()),
            Given::Command(_) => None,
        }
    }

    /// Whether it sets the variable to a non-empty value.
    fn gives(&self, variable: &str) -> bool {
        self.env.get(variable).is_some_and(|given| match given {
            Given::Held(value) => !value.expose_secret().trim().is_empty(),
            Given::Command(_) => true,
        })
    }

    /// The agent's environment: this one with the provider's variables. If the provider gives a credential, all
    /// others are removed. Runs the commands that print values.
    ///
    /// # Errors
    /// When a command prints no value.
    pub fn environment(&self, base: &Env, shared: &Settings) -> Result<Vec<(OsString, OsString)>, FetchError> {
        let mut set: Vec<(OsString, OsString)> = Vec::with_capacity(self.env.len());
        for (name, given) in &self.env {
            let value = match given {
                Given::Held(value) => value.clone(),
                Given::Command(command) => {
                    let label = format!("providers.{}.env.{name}", self.name);
                    let not_started = |error: std::io::Error| FetchError::NotStarted {
                        label: label.clone(),
                        error: error.to_string(),
                    };
                    command.run(&label, &Cancel::new().map_err(not_started)?)?
                }
            };
            set.push((name.into(), value.expose_secret().into()));
        }
        let away = if self.credential_variables().is_empty() {
            Vec::new()
        } else {
            let mut away = sources::taken_away(base, &shared.tokens, Provider::Anthropic);
            away.extend(self.sources.iter().cloned());
            away
        };
        let replaced =
            |name: &OsStr| set.iter().any(|(set, _)| set == name) || away.iter().any(|away| name == OsStr::new(away));
        let kept = base.pairs().filter(|(name, _)| !replaced(name));
        Ok(kept.map(|(name, value)| (name.to_owned(), value.to_owned())).chain(set.iter().cloned()).collect())
    }

    /// The settings, for a file that only the user can read; `None` when there are none.
    #[must_use]
    pub fn settings(&self) -> Option<Value> {
        (!self.settings.0.is_empty()).then(|| Value::Object(self.settings.0.clone()))
    }

    /// A redactor for the values that are known without running a command.
    fn redactor(&self) -> Redactor {
        let credentials = self.credential_variables();
        let values = self.env.iter().filter(|(name, _)| credentials.contains(&name.as_str()));
        Redactor::with_values(values.filter_map(|(_, given)| match given {
            Given::Held(value) => Some(value.expose_secret()),
            Given::Command(_) => None,
        }))
    }

    /// What in the agent's settings files overrides the provider's values. The project's files count too.
    #[must_use]
    pub fn conflicts(&self, places: SettingsPlaces<'_>) -> SettingsConflicts {
        // The user's `--settings` are already part of the provider's settings.
        let places = SettingsPlaces { argument: None, ..places };
        let agent = AgentSettings::read(places);
        let mut found =
            SettingsConflicts { conflicts: Vec::new(), warnings: agent.warnings.clone(), odd: agent.odd.clone() };
        let mut add = |key: String, place: String| {
            let conflict = EnvConflict { key, place };
            if !found.conflicts.contains(&conflict) {
                found.conflicts.push(conflict);
            }
        };
        let users = places.reads("user").then(|| places.users_file());
        let files = [places.managed.to_owned()].into_iter().chain(places.project_files()).chain(users);
        for file in files {
            // An unreadable file is a warning already.
            let Ok(Some(settings)) = read_settings(&file) else { continue };
            let Some(theirs) = settings.get("env").and_then(Value::as_object) else { continue };
            for (name, given) in &self.env {
                let other = theirs.get(name).and_then(text_of).is_some_and(|theirs| match given {
                    Given::Held(ours) => ours.expose_secret() != theirs,
                    Given::Command(_) => true,
                });
                if other {
                    add(format!("env.{name}"), file.display().to_string());
                }
            }
        }
        if let Some(credential) = self.credential() {
            for conflict in agent.conflicts(&[credential]) {
                add(conflict.setting.key(), conflict.place);
            }
        }
        found
    }
}

/// The text that the agent's CLI makes of a value in `env`; `None` for a null.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

/// Removes `env` from settings.
fn env_of(settings: &mut Map<String, Value>) -> BTreeMap<String, Given> {
    let Some(Value::Object(env)) = settings.remove("env") else { return BTreeMap::new() };
    let texts = env.into_iter().filter_map(|(name, value)| Some((name, Given::Held(text_of(&value)?.into()))));
    map_of(texts)
}

fn users_settings(text: &str, around: ResolveBase<'_>) -> Result<Map<String, Value>, ProvidedFault> {
    let text = text.trim();
    let fault = |place: &str, why: String| ProvidedFault::UsersSettings { place: place.to_owned(), why };
    let (place, json) = if text.starts_with('{') {
        ("of the agent's argument --settings".to_owned(), text.to_owned())
    } else {
        let path = around.cwd.join(text);
        let place = format!("in {}", path.display());
        let bytes = files::read(&path, AGENT_SETTINGS).map_err(|why| fault(&place, why.to_string()))?;
        (place, String::from_utf8_lossy(&bytes).into_owned())
    };
    let not_json = |error: serde_json::Error| {
        fault(&place, format!("are not JSON (line {}, column {})", error.line(), error.column()))
    };
    match serde_json::from_str(&json).map_err(not_json)? {
        Value::Object(settings) => Ok(settings),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(fault(&place, "are not a JSON object".to_owned()))
        }
    }
}

fn given(key: &str, value: &EnvValue, around: ResolveBase<'_>) -> Result<Given, ProvidedFault> {
    match value {
        EnvValue::Given(text) => Ok(Given::Held(text.get().as_str().into())),
        EnvValue::From(TokenPlace::Env(variable)) => match around.env.get(variable).and_then(OsStr::to_str) {
            Some(text) => Ok(Given::Held(text.into())),
            None => Err(ProvidedFault::Unset { key: key.to_owned(), variable: variable.clone() }),
        },
        EnvValue::From(TokenPlace::File(path)) => {
            let path = located_in(around.cwd, around.home, path);
            let fault = |why: String| ProvidedFault::File { key: key.to_owned(), path: path.clone(), why };
            let bytes = files::read(&path, TOKENS).map_err(|why: ReadFault| fault(why.to_string()))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| fault("is not valid UTF-8".to_owned()))?.trim();
            if text.is_empty() { Err(fault("is empty".to_owned())) } else { Ok(Given::Held(text.into())) }
        }
        EnvValue::From(TokenPlace::Command { line, timeout }) => {
            // The user's own command keeps its credentials, because it may exchange one for another.
            let env = around.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Ok(Given::Command(FetchCommand::new(line.clone(), *timeout, around.cwd.to_owned(), Arc::new(env))))
        }
    }
}
