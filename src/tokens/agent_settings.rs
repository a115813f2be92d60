//! What the settings files of the agent's CLI say about credentials.
//!
//! The `env` of a settings file stands over the environment that the CLI is started with, and an `apiKeyHelper` stands
//! over OAuth tokens and is sent beside other ones: measured, see `openspec/specs/tokens/spec.md`. ccc gives its agent
//! exactly one token, so it looks at them before it starts anything. They are only read.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::Value;

use super::credential::{CREDENTIAL_VARIABLES, Credential, CredentialKind, variables};
use super::pool::is_ours;
use super::sources::same;
use crate::config::{Dirs, Provider};

/// Where the system's administrator keeps settings of the agent's CLI.
#[cfg(not(target_os = "macos"))]
pub const MANAGED_SETTINGS: &str = "/etc/claude-code/managed-settings.json";
/// Where the system's administrator keeps settings of the agent's CLI.
#[cfg(target_os = "macos")]
pub const MANAGED_SETTINGS: &str = "/Library/Application Support/ClaudeCode/managed-settings.json";

/// The settings that the agent's CLI will read, as far as credentials are concerned.
#[derive(Debug, Clone, Default)]
pub struct AgentSettings {
    sources: Vec<SettingsSource>,
    /// Files that could not be read or understood.
    pub warnings: Vec<String>,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct SettingsPlaces<'a> {
    /// The user's directories.
    pub dirs: &'a Dirs,
    /// The directory that the agent is started in.
    pub cwd: &'a Path,
    /// What the user's arguments for the agent give by `--settings`: a file or JSON.
    pub argument: Option<&'a str>,
    /// What they give by `--setting-sources`: which of the files `user`, `project` and `local` are read; all without it.
    pub sources: Option<&'a [String]>,
    /// The administrator's file, usually [`MANAGED_SETTINGS`].
    pub managed: &'a Path,
}

/// One file of settings, or the argument.
#[derive(Debug, Clone)]
struct SettingsSource {
    place: String,
    helper: bool,
    /// Empty values are kept: they take the variable's place as well.
    env: Vec<(&'static str, SecretString)>,
}

/// A setting that would take the place of the token that ccc gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The file, or the argument.
    pub place: String,
    /// What in it.
    pub setting: ConflictingSetting,
}

/// What in a settings file takes a token's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictingSetting {
    /// This variable in its `env`.
    Variable(&'static str),
    /// Its `apiKeyHelper`.
    Helper,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting {
            ConflictingSetting::Variable(name) => write!(f, "`env.{name}` in {}", self.place),
            ConflictingSetting::Helper => write!(f, "`apiKeyHelper` in {}", self.place),
        }
    }
}

impl AgentSettings {
    /// Reads them, the strongest first. A file that is not there says nothing; one that cannot be understood is a warning.
    #[must_use]
    pub fn read(places: SettingsPlaces<'_>) -> Self {
        let mut settings = Self::default();
        let project = places.cwd.join(".claude");
        settings.file(places.managed);
        settings.argument(places.argument, places.cwd);
        for (source, file) in [
            ("local", project.join("settings.local.json")),
            ("project", project.join("settings.json")),
            ("user", places.dirs.claude.join("settings.json")),
        ] {
            if places.sources.is_none_or(|read| read.iter().any(|named| named == source)) {
                settings.file(&file);
            }
        }
        settings
    }

    fn file(&mut self, path: &Path) {
        let place = path.display().to_string();
        // In the home directory the project's file is the user's.
        if self.sources.iter().any(|source| source.place == place) {
            return;
        }
        if let Some(value) = read_json(path, &mut self.warnings) {
            self.add(place, &value);
        }
    }

    fn argument(&mut self, argument: Option<&str>, cwd: &Path) {
        let Some(text) = argument.map(str::trim) else { return };
        if !text.starts_with('{') {
            self.file(&cwd.join(PathBuf::from(text)));
        } else if let Ok(value) = serde_json::from_str(text) {
            // What is no JSON is refused by the CLI itself.
            self.add("the agent's argument --settings".to_owned(), &value);
        }
    }

    fn add(&mut self, place: String, settings: &Value) {
        let helper = settings.get("apiKeyHelper").and_then(Value::as_str).is_some_and(|line| !line.trim().is_empty());
        let env = CREDENTIAL_VARIABLES.into_iter().filter_map(|name| {
            let value = settings.pointer(&format!("/env/{name}"))?;
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => return None,
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
            };
            Some((name, SecretString::from(text)))
        });
        self.sources.push(SettingsSource { place, helper, env: env.collect() });
    }

    /// The helper command, by which the CLI finds a key for itself.
    pub(super) fn helper(&self) -> Option<Credential> {
        let source = self.sources.iter().find(|source| source.helper)?;
        let label = format!("apiKeyHelper of {}", source.place);
        Some(Credential::found_by_agent(label, CredentialKind::Helper, "helper", None))
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &SecretString> {
        self.sources.iter().flat_map(|source| &source.env).map(|(_, value)| value)
    }

    fn variables(&self) -> impl Iterator<Item = (&SettingsSource, &'static str, &SecretString)> {
        self.sources.iter().flat_map(|source| source.env.iter().map(move |(name, value)| (source, *name, value)))
    }

    /// The one credential that the settings' `env` gives, when it gives one and there is no helper beside it.
    pub(super) fn only_credential(&self) -> Option<Credential> {
        let mut all = self.variables();
        let (source, name, value) = all.next().filter(|_| self.helper().is_none())?;
        let alone = all.all(|(_, other, also)| other == name && same(also, value));
        let kind = [CredentialKind::ApiKey, CredentialKind::AuthToken, CredentialKind::OAuth]
            .into_iter()
            .find(|kind| variables(Provider::Anthropic, *kind).contains(&name))?;
        let text = secrecy::ExposeSecret::expose_secret(value).trim();
        (alone && !text.is_empty()).then(|| {
            Credential::held(format!("{name} in {}", source.place), kind, Provider::Anthropic, SecretString::from(text))
        })
    }

    /// What would take the place of one of these credentials. A variable that says what the only credential says anyway
    /// does not.
    pub(super) fn conflicts(&self, credentials: &[Credential]) -> Vec<Conflict> {
        let harmless = |name: &str, value: &SecretString| match credentials {
            [only] => {
                variables(only.provider, only.kind).contains(&name)
                    && only.held_value().is_some_and(|held| same(held, value))
            }
            [] | [_, _, ..] => false,
        };
        let variables = self
            .variables()
            .filter(|(_, name, value)| !credentials.is_empty() && !harmless(name, value))
            .map(|(source, name, _)| Conflict {
                place: source.place.clone(),
                setting: ConflictingSetting::Variable(name),
            });
        let helpers = self
            .sources
            .iter()
            .filter(|source| source.helper && credentials.iter().any(is_ours))
            .map(|source| Conflict { place: source.place.clone(), setting: ConflictingSetting::Helper });
        variables.chain(helpers).collect()
    }
}

/// A file of the agent's CLI; a missing one is nothing to speak of. The parser's message is left out: it may quote.
pub(super) fn read_json(file: &Path, warnings: &mut Vec<String>) -> Option<Value> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
            return None;
        }
        Err(error) => {
            warnings.push(format!("{} cannot be read: {error}", file.display()));
            return None;
        }
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| {
            warnings.push(format!(
                "{} is not valid JSON at line {}, column {}",
                file.display(),
                error.line(),
                error.column()
            ));
        })
        .ok()
}
