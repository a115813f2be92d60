//! Credentials in the settings files of the agent's CLI.
//!
//! ccc gives its agent exactly one token in the environment, so it reads these files before it starts anything. It
//! never writes them. Measured on 2.1.197 and 2.1.329, which behave the same (K is sent as `x-api-key`, B as bearer):
//!
//! | in the environment | in the settings | sent |
//! |---|---|---|
//! | a variable | the same in `env` of a file (user, project, local, managed), `--settings` (file, JSON) | the settings' value |
//! | a variable | the same in `env`, empty | nothing: "Not logged in", exit 1 |
//! | OAuth token | API key in `env` | K of the settings |
//! | API key | bearer token in `env` | K of the environment and B of the settings |
//! | API key | OAuth token in `env` | K of the environment |
//! | OAuth token | API key in `env`, empty | B of the environment |
//! | nothing, login | OAuth token in `env` | B of the settings |
//! | API key | `apiKeyHelper` | K of the environment and B of the helper |
//! | bearer token | `apiKeyHelper` | K of the helper and B of the environment |
//! | OAuth token, or login | `apiKeyHelper` | K and B of the helper |
//!
//! `settings.local.json` overrides the project's file, and that overrides the user's. `settings_files.rs` describes
//! where the files are and how they are read. Of two `--settings` only the last one counts. `--setting-sources`
//! excludes files, but not `--settings`.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::credential::{Credential, CredentialKind};
use super::offers::{CREDENTIAL_VARIABLES, all_variables, variables};
use super::settings_files::{SettingsFault, SettingsPlaces, UnsafeFile, read_settings};
use super::sources::same;
use crate::config::Provider;
use crate::files::ReadFault;

/// The settings that the agent's CLI will read, as far as they concern credentials.
#[derive(Debug, Clone, Default)]
pub struct AgentSettings {
    sources: Vec<SettingsSource>,
    /// Files that could not be read or parsed.
    pub warnings: Vec<String>,
    /// The first file that is not regular, or too large: the agent's CLI would block on it or exhaust its memory.
    pub odd: Option<UnsafeFile>,
}

/// One settings file, or the argument.
#[derive(Debug, Clone)]
struct SettingsSource {
    place: String,
    helper: bool,
    /// The permission mode in which a session begins.
    default_mode: Option<String>,
    /// The permission rules that allow something.
    allow: Vec<String>,
    /// Whether the CLI runs commands in its own sandbox.
    sandbox: Option<bool>,
    /// It is a file of the project.
    of_project: bool,
    /// Empty values are kept, because they also override the variable.
    env: Vec<(&'static str, SecretString)>,
}

/// A setting that would override the token that ccc gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The file, or the argument.
    pub place: String,
    /// The setting in it.
    pub setting: ConflictingSetting,
}

/// A setting that overrides a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictingSetting {
    /// This variable in its `env`.
    Variable(&'static str),
    /// Its `apiKeyHelper`.
    Helper,
}

impl ConflictingSetting {
    /// Its path in the file.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            ConflictingSetting::Variable(name) => format!("env.{name}"),
            ConflictingSetting::Helper => "apiKeyHelper".to_owned(),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in {}", self.setting.key(), self.place)
    }
}

impl AgentSettings {
    /// Reads them, the strongest first. A missing file is ignored; an invalid one is a warning.
    #[must_use]
    pub fn read(places: SettingsPlaces<'_>) -> Self {
        let mut settings = Self::default();
        settings.file(places.managed);
        settings.argument(places.argument, places.cwd);
        let before = settings.sources.len();
        for file in places.project_files() {
            settings.file(&file);
        }
        settings.sources.iter_mut().skip(before).for_each(|source| source.of_project = true);
        if places.reads("user") {
            settings.file(&places.users_file());
        }
        settings
    }

    fn file(&mut self, path: &Path) {
        let place = path.display().to_string();
        let fault = match read_settings(path) {
            Ok(Some(value)) => return self.add(place, &value),
            Ok(None) => return,
            Err(fault) => fault,
        };
        self.warnings.push(format!("{place} {fault}"));
        if let SettingsFault::File(ReadFault::NotAFile { .. } | ReadFault::TooLarge { .. }) = fault {
            let (why, advice) = (fault.to_string(), fault.advice());
            self.odd.get_or_insert_with(|| UnsafeFile { path: path.to_owned(), why, advice });
        }
    }

    fn argument(&mut self, argument: Option<&str>, cwd: &Path) {
        let Some(text) = argument.map(str::trim) else { return };
        if !text.starts_with('{') {
            self.file(&cwd.join(PathBuf::from(text)));
        } else if let Ok(value) = serde_json::from_str(text) {
            // The CLI itself refuses invalid JSON.
            self.add("the agent's argument --settings".to_owned(), &value);
        }
    }

    fn add(&mut self, place: String, settings: &Value) {
        let helper = settings.get("apiKeyHelper").and_then(Value::as_str).is_some_and(|line| !line.trim().is_empty());
        let mode = settings.pointer("/permissions/defaultMode").and_then(Value::as_str);
        let default_mode = mode.map(str::to_owned);
        let allow = settings.pointer("/permissions/allow").and_then(Value::as_array);
        let allow = allow.into_iter().flatten().filter_map(|rule| Some(rule.as_str()?.to_owned())).collect();
        let env = CREDENTIAL_VARIABLES.into_iter().filter_map(|name| {
            let value = settings.pointer(&format!("/env/{name}"))?;
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => return None,
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
            };
            Some((name, SecretString::from(text)))
        });
        let sandbox = settings.pointer("/sandbox/enabled").and_then(Value::as_bool);
        let env = env.collect();
        self.sources.push(SettingsSource { place, helper, default_mode, allow, sandbox, of_project: false, env });
    }

    /// The helper command with which the CLI gets a key by itself.
    pub(super) fn helper(&self) -> Option<Credential> {
        let source = self.sources.iter().find(|source| source.helper)?;
        let label = format!("apiKeyHelper of {}", source.place);
        Some(Credential::found_by_agent(label, CredentialKind::Helper, "helper", None))
    }

    /// The permission mode in which a session begins, and the file that sets it.
    #[must_use]
    pub fn default_mode(&self) -> Option<(&str, &str)> {
        self.sources.iter().find_map(|source| Some((source.default_mode.as_deref()?, source.place.as_str())))
    }

    /// The permission rules of all files that allow something: the CLI takes them together.
    pub fn allow_rules(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().flat_map(|source| source.allow.iter().map(String::as_str))
    }

    /// Where the CLI's own sandbox is switched on, and whether that is a file of the project.
    #[must_use]
    pub fn own_sandbox(&self) -> Option<(&str, bool)> {
        let source = self.sources.iter().find(|source| source.sandbox.is_some())?;
        (source.sandbox == Some(true)).then_some((source.place.as_str(), source.of_project))
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &SecretString> {
        self.sources.iter().flat_map(|source| &source.env).map(|(_, value)| value)
    }

    /// For each variable that is set, the strongest source and its value.
    fn in_force(&self) -> impl Iterator<Item = (&SettingsSource, &'static str, &SecretString)> {
        CREDENTIAL_VARIABLES
            .into_iter()
            .filter_map(|name| self.sources.iter().find_map(|source| Some((source, name, source.value(name)?))))
    }

    /// The only credential in the settings' `env`, if there is exactly one and no helper.
    pub(super) fn only_credential(&self) -> Option<Credential> {
        if self.helper().is_some() {
            return None;
        }
        let mut given = self.in_force().filter(|(_, _, value)| !is_empty(value));
        let (Some((source, name, value)), None) = (given.next(), given.next()) else { return None };
        let (kind, _) = all_variables(Provider::Anthropic).find(|(_, variable)| *variable == name)?;
        let label = format!("{name} in {}", source.place);
        Some(Credential::held(label, kind, Provider::Anthropic, value.clone()))
    }

    /// The settings that would override one of these credentials or be sent with it. A variable with the value of the
    /// only credential is no conflict, nor is an empty one that none of them uses.
    pub(super) fn conflicts(&self, credentials: &[Credential]) -> Vec<Conflict> {
        let uses =
            |credential: &Credential, name: &str| variables(credential.provider, credential.kind).contains(&name);
        let in_the_way = |name: &str, value: &SecretString| match credentials {
            _ if is_empty(value) => credentials.iter().any(|credential| uses(credential, name)),
            [] => false,
            [only] => !(uses(only, name) && only.held_value().is_some_and(|held| same(held, value))),
            [_, _, ..] => true,
        };
        let mut conflicts = Vec::new();
        for (_, name, _) in self.in_force().filter(|(_, name, value)| in_the_way(name, value)) {
            // The weaker sources would take effect next.
            let sources = self.sources.iter().filter(|source| source.value(name).is_some());
            let setting = ConflictingSetting::Variable(name);
            conflicts.extend(sources.map(|source| Conflict { place: source.place.clone(), setting }));
        }
        if credentials.iter().any(Credential::is_ours) {
            let sources = self.sources.iter().filter(|source| source.helper);
            let setting = ConflictingSetting::Helper;
            conflicts.extend(sources.map(|source| Conflict { place: source.place.clone(), setting }));
        }
        conflicts
    }
}

impl SettingsSource {
    fn value(&self, name: &str) -> Option<&SecretString> {
        self.env.iter().find(|(set, _)| *set == name).map(|(_, value)| value)
    }
}

fn is_empty(value: &SecretString) -> bool {
    value.expose_secret().trim().is_empty()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::config::{Dirs, Env};

    const KEY: &str = "ANTHROPIC_API_KEY";
    const BEARER: &str = "ANTHROPIC_AUTH_TOKEN";
    const OAUTH: &str = "CLAUDE_CODE_OAUTH_TOKEN";

    #[test]
    fn the_strongest_file_says_whether_the_clis_own_sandbox_is_on() {
        let sandbox = |on: bool| json!({"sandbox": {"enabled": on}});
        let read = |files: &[(&str, Value)]| {
            let home = home(files);
            let settings = read_in(home.path(), None, None);
            let found = settings.own_sandbox();
            found.map(|(place, of_project)| (place.rsplit('/').next().unwrap_or_default().to_owned(), of_project))
        };
        let (users, projects) = (".claude/settings.json", "project/.claude/settings.json");
        assert_eq!(read(&[(users, sandbox(true))]), Some(("settings.json".to_owned(), false)));
        assert_eq!(read(&[(users, sandbox(true)), (projects, sandbox(false))]), None);
        assert_eq!(read(&[(projects, sandbox(true))]), Some(("settings.json".to_owned(), true)));
        assert_eq!(read(&[(users, json!({}))]), None);
    }

    /// A home directory with a project and these files.
    fn home(files: &[(&str, Value)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("tempdir");
        for (name, value) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, value.to_string()).expect("write");
        }
        home
    }

    fn read_in(home: &Path, argument: Option<&str>, sources: Option<&[String]>) -> AgentSettings {
        let dirs = Dirs::new(home, home, home, &Env::default());
        AgentSettings::read(SettingsPlaces {
            dirs: &dirs,
            cwd: &home.join("project"),
            argument,
            sources,
            managed: &home.join("managed.json"),
        })
    }

    fn held(name: &str, value: &str) -> Credential {
        let kind = match name {
            KEY => CredentialKind::ApiKey,
            BEARER => CredentialKind::AuthToken,
            _ => CredentialKind::OAuth,
        };
        Credential::held(name, kind, Provider::Anthropic, SecretString::from(value))
    }

    fn found(settings: &AgentSettings, credentials: &[Credential], home: &Path) -> Vec<String> {
        let root = format!("{}/", home.display());
        settings.conflicts(credentials).iter().map(|conflict| conflict.to_string().replace(&root, "")).collect()
    }

    #[test]
    fn a_credential_in_any_settings_file_or_argument_is_found_and_named_without_its_value() {
        let setting = json!({"env": {KEY: "made-up-setting", "PATH": "/x"}});
        let argument = setting.to_string();
        for (file, argument, named) in [
            (Some(".claude/settings.json"), None, ".claude/settings.json"),
            (Some("project/.claude/settings.json"), None, "project/.claude/settings.json"),
            (Some("project/.claude/settings.local.json"), None, "project/.claude/settings.local.json"),
            (Some("managed.json"), None, "managed.json"),
            (Some("project/mine.json"), Some("mine.json"), "project/mine.json"),
            (None, Some(argument.as_str()), "the agent's argument --settings"),
        ] {
            let files: Vec<_> = file.map(|file| (file, setting.clone())).into_iter().collect();
            let home = home(&files);
            let settings = read_in(home.path(), argument, None);
            let found = found(&settings, &[held(OAUTH, "made-up-ours")], home.path());
            assert_eq!(found, [format!("`env.{KEY}` in {named}")]);
            assert!(!format!("{settings:?}").contains("made-up"), "{settings:?}");
        }
    }

    #[test]
    fn what_would_take_a_tokens_place_is_in_the_way_and_what_changes_nothing_is_not() {
        let ours = |names: &[&str]| -> Vec<Credential> {
            names.iter().map(|name| held(name, &format!("ours-{name}"))).collect()
        };
        let login = || vec![Credential::found_by_agent("login", CredentialKind::Login, "login", None)];
        let env = |name: &str, value: &str| json!({"env": {name: value}});
        // The user's settings, the tokens, the number of conflicting settings
        for (settings, credentials, expected) in [
            (env(KEY, "other"), ours(&[KEY]), 1),
            (env(KEY, "other"), ours(&[OAUTH]), 1),
            (env(OAUTH, "other"), ours(&[KEY]), 1),
            (env(OAUTH, "other"), login(), 1),
            (env(KEY, "ours-ANTHROPIC_API_KEY"), ours(&[KEY]), 0),
            (env(KEY, "ours-ANTHROPIC_API_KEY"), ours(&[KEY, OAUTH]), 1),
            (env(KEY, "other"), vec![], 0),
            (env(KEY, ""), ours(&[KEY]), 1),
            (env(KEY, ""), ours(&[OAUTH, KEY]), 1),
            (env(KEY, ""), ours(&[OAUTH]), 0),
            (env("ANTHROPIC_BASE_URL", "http://x"), ours(&[KEY]), 0),
            (json!({"env": {KEY: 12345678}}), ours(&[KEY]), 1),
            (json!({"env": {KEY: null}}), ours(&[KEY]), 0),
            (json!({"apiKeyHelper": "pass"}), ours(&[KEY]), 1),
            (json!({"apiKeyHelper": "pass"}), ours(&[OAUTH]), 1),
            (json!({"apiKeyHelper": "pass"}), vec![], 0),
            (json!({"apiKeyHelper": "pass"}), login(), 0),
            (json!({"apiKeyHelper": ""}), ours(&[KEY]), 0),
            (json!([]), ours(&[KEY]), 0),
        ] {
            let home = home(&[(".claude/settings.json", settings.clone())]);
            let conflicts = read_in(home.path(), None, None).conflicts(&credentials);
            assert_eq!(conflicts.len(), expected, "{settings} with {credentials:?}: {conflicts:?}");
        }
    }

    #[test]
    fn the_strongest_file_decides_and_all_that_would_follow_it_are_named() {
        let home = home(&[
            (".claude/settings.json", json!({"env": {KEY: "user"}})),
            ("project/.claude/settings.json", json!({"env": {KEY: "project"}})),
        ]);
        let settings = read_in(home.path(), None, None);
        let both =
            [format!("`env.{KEY}` in project/.claude/settings.json"), format!("`env.{KEY}` in .claude/settings.json")];
        assert_eq!(found(&settings, &[held(KEY, "user")], home.path()), both, "the project's takes its place");
        assert_eq!(found(&settings, &[held(KEY, "project")], home.path()), Vec::<String>::new());
        let only = settings.only_credential().expect("one");
        assert_eq!(only.label, format!("{KEY} in {}/project/.claude/settings.json", home.path().display()));
        let user = ["user".to_owned()];
        let settings = read_in(home.path(), None, Some(&user));
        assert_eq!(found(&settings, &[held(KEY, "project")], home.path()), both[1..], "the project's is not read");
    }

    #[test]
    fn settings_that_give_one_credential_and_no_helper_give_the_only_one() {
        for (settings, expected) in [
            (json!({"env": {BEARER: "x"}}), Some(CredentialKind::AuthToken)),
            (json!({"env": {BEARER: "x", KEY: ""}}), Some(CredentialKind::AuthToken)),
            (json!({"env": {OAUTH: "x"}}), Some(CredentialKind::OAuth)),
            (json!({"env": {BEARER: "x", KEY: "y"}}), None),
            (json!({"env": {BEARER: "x"}, "apiKeyHelper": "pass"}), None),
            (json!({"env": {BEARER: ""}}), None),
            (json!({}), None),
        ] {
            let home = home(&[(".claude/settings.json", settings.clone())]);
            let only = read_in(home.path(), None, None).only_credential();
            assert_eq!(only.map(|only| only.kind), expected, "{settings}");
        }
    }
}
