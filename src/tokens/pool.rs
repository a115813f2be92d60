//! All tokens that one agent may be given, in the order of preference.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::agent_settings::{AgentSettings, Conflict};
use super::credential::{ChildEnv, Credential, CredentialKind};
use super::login;
use super::offers::{all_variables, offer};
use super::provided::Provided;
use super::shared::TokenStates;
use super::sources::{self, Base, Found, PoolError};
use crate::config::{Dirs, Env, Project, Provider, TokenEntry};
use crate::core::{TokenFact, TokenId};
use redaction::Redactor;

/// The sources of tokens.
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
    provider: Provider,
    credentials: Vec<Credential>,
    taken_away: Vec<String>,
    hidden: Vec<SecretString>,
}

/// A pool, with warnings and conflicts.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The tokens.
    pub pool: Pool,
    /// Warnings for the user, without values.
    pub warnings: Vec<String>,
    /// Settings of the agent's CLI that would replace the token that it is given: no run may begin with them.
    pub conflicts: Vec<Conflict>,
}

/// No credential of this provider was found. The agent may have another way to authenticate, so this alone does not
/// end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct NoCredential(pub Provider);

impl fmt::Display for NoCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = all_variables(self.0).map(|(_, name)| name).collect();
        let login = if self.0 == Provider::Anthropic { ", and no login of the agent" } else { "" };
        match names.as_slice() {
            [] => f.write_str("none found")?,
            [one] => write!(f, "none found: no {one}")?,
            [first @ .., last] => write!(f, "none found: no {} or {last}", first.join(", "))?,
        }
        f.write_str(login)
    }
}

impl Gathered {
    /// Only the tokens with these names, in their order. A name is that of a provider, a token's label, or the handle
    /// of a credential that the agent's CLI finds by itself (`login`, `helper`).
    ///
    /// # Errors
    /// When a name is none of these.
    pub fn in_order(
        mut self,
        names: &[String],
        provided: &[Provided],
        agent: &AgentSettings,
    ) -> Result<Self, PoolError> {
        let found = std::mem::take(&mut self.pool.credentials);
        self.pool.taken_away.extend(provided.iter().flat_map(|provided| provided.sources().map(str::to_owned)));
        for name in names {
            let routed = provided.iter().find(|provided| provided.name() == name).and_then(Provided::credential);
            let labelled = found.iter().filter(|token| token.label == *name || token.id().0 == *name).cloned();
            let mut meant = routed.map_or_else(|| labelled.collect(), |routed| vec![routed]);
            if meant.is_empty() {
                let known = found.iter().map(|token| token.label.clone()).collect();
                return Err(PoolError::NotThere { name: name.clone(), known });
            }
            self.pool.credentials.append(&mut meant);
        }
        // No process gets them, but they must not be shown either.
        self.pool.hidden.extend(found.iter().filter_map(Credential::held_value).cloned());
        self.conflicts = agent.conflicts(&self.pool.credentials);
        let unhidden = self.pool.credentials.iter().filter(|token| token.route.is_some());
        self.warnings.extend(unhidden.filter_map(|token| token.unhidden(token.held_value()?)));
        Ok(self)
    }
}

impl Pool {
    /// Gathers the tokens. `agent` holds the settings of the agent's CLI if that CLI gets the token: then its login
    /// and its helper count too. Other programs do not find these.
    ///
    /// The entries of the user's configuration come first, in their order; those of a project's file come last. In
    /// between, the CLI's own order applies (facts §9): API keys, bearer tokens, helper, OAuth tokens, login. A run
    /// starts with the first of all while nothing is known about them. A value that is found twice counts once, with
    /// its first label.
    ///
    /// # Errors
    /// When a named token file is missing or cannot be read. Other faults are warnings.
    pub fn gather(
        places: Places<'_>,
        entries: &[TokenEntry],
        provider: Provider,
        agent: Option<&AgentSettings>,
    ) -> Result<Gathered, PoolError> {
        let Places { env, dirs, project } = places;
        let base = Base { env, home: &dirs.home, cwd: &project.cwd };
        let mut found = Found { hidden: sources::foreign_values(env, provider), ..Found::default() };
        sources::from_entries(base, entries, provider, false, &mut found)?;
        let configured = !found.credentials.is_empty();
        for kind in offer(provider).kinds {
            sources::from_variables(base, provider, kind.kind, &mut found)?;
            if let Some(helper) = agent.and_then(AgentSettings::helper).filter(|helper| helper.kind == kind.kind) {
                found.add(helper)?;
            }
        }
        if let Some(agent) = agent {
            found.warnings.extend(agent.warnings.iter().cloned());
            found.hidden.extend(agent.values().cloned());
            let login = login::read(dirs, &mut found);
            // The CLI uses its login only when it finds nothing else (facts §9).
            if let Some(only) = agent.only_credential().filter(|_| found.credentials.is_empty()) {
                found.add(only)?;
            } else if let Some(login) = login.filter(|_| agent.helper().is_none()) {
                found.add(login)?;
            }
        }
        // The user's tokens come before those of a project.
        sources::from_entries(base, entries, provider, true, &mut found)?;
        let conflicts = agent.map(|agent| agent.conflicts(&found.credentials)).unwrap_or_default();
        if !configured && let Some(warning) = billed(&found.credentials) {
            found.warnings.push(warning);
        }
        // ccc must report this: such a value is written to the records unredacted, and nothing else would tell the
        // user.
        let unhidden = found.credentials.iter().filter_map(|found| found.unhidden(found.seen_value()?));
        let unhidden: Vec<String> = unhidden.collect();
        found.warnings.extend(unhidden);
        let taken_away = sources::taken_away(env, entries, provider);
        let Found { credentials, warnings, hidden } = found;
        Ok(Gathered { pool: Self { provider, credentials, taken_away, hidden }, warnings, conflicts })
    }

    /// A pool of only these tokens, which still removes the provider's variables from a child.
    #[must_use]
    pub fn of(credentials: Vec<Credential>, env: &Env, provider: Provider) -> Self {
        let taken_away = sources::taken_away(env, &[], provider);
        Self { provider, credentials, taken_away, hidden: Vec::new() }
    }

    /// The tokens in the order of preference.
    #[must_use]
    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// The token that a run starts with while nothing is known about any of them.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(&self) -> Result<&Credential, NoCredential> {
        self.credentials.first().ok_or(NoCredential(self.provider))
    }

    /// The token with this handle.
    #[must_use]
    pub fn get(&self, id: &TokenId) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.id() == *id)
    }

    /// What is known about each token, in the pool's order. The choice among the tokens decides with one clock
    /// whether a reset has passed ([`crate::core::policy`]). A refusal counts only for the value that was refused.
    #[must_use]
    pub fn facts(&self, states: &TokenStates) -> Vec<TokenFact> {
        let facts = self.credentials.iter().map(|credential| {
            let id = credential.id();
            let state = states.get(&id);
            TokenFact {
                label: credential.label.clone(),
                kind: credential.kind,
                hot_group: Some(credential.hot_group()),
                model: credential.route.as_ref().and_then(|route| route.model.clone()),
                windows: state.map(|state| state.windows.clone()).unwrap_or_default(),
                limited_until_unix_ms: state.and_then(|state| state.limited_until_unix_ms),
                refused: state.is_some_and(|state| state.is_refused(credential.fingerprint.as_ref())),
                id,
            }
        });
        facts.collect()
    }

    /// The changes to a child's environment so that it uses this token and no other. `value` is the fetched value of
    /// a command's token; other tokens need none. For an unknown handle, or a token that the child finds by itself,
    /// all variables of the provider are removed and none is set.
    #[must_use]
    pub fn child_env(&self, id: &TokenId, value: Option<&SecretString>) -> ChildEnv {
        let Some(credential) = self.get(id) else { return self.child_env_without() };
        let set = credential.environment(value);
        let unset = self.taken_away.iter().filter(|name| !set.iter().any(|(set, _)| set.as_ref() == name.as_str()));
        ChildEnv { unset: unset.cloned().collect(), set }
    }

    /// The changes to the environment of a child that must have no token.
    #[must_use]
    pub fn child_env_without(&self) -> ChildEnv {
        ChildEnv { set: Vec::new(), unset: self.taken_away.clone() }
    }

    /// A redactor for all known values, whatever their shape. The value that a command prints later must be
    /// registered with it then, or passed to `redactor_with`.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.redactor_with(None)
    }

    /// The same, with these additional values.
    #[must_use]
    pub fn redactor_with<'a>(&'a self, fetched: impl IntoIterator<Item = &'a SecretString>) -> Redactor {
        let held = self.credentials.iter().filter_map(Credential::held_value);
        let routes = self.credentials.iter().filter_map(|credential| credential.route.as_ref());
        let held = held.chain(routes.flat_map(|route| route.secrets()));
        Redactor::with_values(held.chain(&self.hidden).chain(fetched).map(ExposeSecret::expose_secret))
    }

    /// Describes the token in use and the others, by label, kind and fingerprint.
    #[must_use]
    pub fn sentence(&self, used: Option<&TokenId>) -> String {
        match used.and_then(|used| self.get(used)) {
            None => format!("{}; the agent may find a credential of its own", NoCredential(self.provider)),
            Some(credential) => {
                let others = Labels(self.credentials.iter().filter(|other| other.id() != credential.id()).collect());
                if others.0.is_empty() { credential.to_string() } else { format!("{credential}; in reserve: {others}") }
            }
        }
    }
}

/// Labels, truncated when they are too many for a line.
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

/// An API key in the environment is used before a subscription, as in the CLI, which not every user intends.
fn billed(credentials: &[Credential]) -> Option<String> {
    let first = credentials.first().filter(|first| first.kind == CredentialKind::ApiKey)?;
    let other = credentials.iter().find(|other| other.kind != CredentialKind::ApiKey)?;
    Some(format!(
        "{} is used and billed first, although {} is available too; unset it, or set the order with `tokens` in the \
         configuration",
        first.label, other.label
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::super::settings_files::SettingsPlaces;
    use super::super::{
        ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, CREDENTIAL_VARIABLES, variables,
    };
    use super::*;
    use crate::core::{TokenReport, WindowFact};
    use crate::tokens::SharedTokens;

    const KEY: &str = "sk-ant-api03-made-up-key";
    const TOKEN: &str = "made-up-bearer";
    const OAUTH: &str = "sk-ant-oat01-made-up";

    fn gather(home: &Path, pairs: &[(&str, &str)], entries: &str) -> Gathered {
        let env = Env::from_pairs(pairs.iter().copied());
        let dirs = Dirs::new(home, home, home, &Env::default());
        let project = Project { cwd: home.join("project"), git_root: None };
        let agent = AgentSettings::read(SettingsPlaces {
            dirs: &dirs,
            cwd: &project.cwd,
            argument: None,
            sources: None,
            managed: &home.join("managed.json"),
        });
        let entries: Vec<TokenEntry> = serde_json::from_str(entries).expect("entries");
        let places = Places { env: &env, dirs: &dirs, project: &project };
        Pool::gather(places, &entries, Provider::Anthropic, Some(&agent)).expect("gathered")
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    fn login(home: &Path, token: &str) {
        let login = json!({"claudeAiOauth": {"accessToken": token, "refreshToken": "made-up-refresh-token"}});
        write(&home.join(".claude/.credentials.json"), &login.to_string());
    }

    fn labels(pool: &Pool) -> Vec<&str> {
        pool.credentials().iter().map(|credential| credential.label.as_str()).collect()
    }

    fn names(child: &ChildEnv) -> Vec<&str> {
        child.set.iter().map(|(name, _)| name.as_ref()).collect()
    }

    #[test]
    fn the_credential_used_first_is_the_one_the_cli_would_take_and_the_child_gets_no_other() {
        use CredentialKind::{ApiKey, AuthToken, Helper, Login, OAuth};
        // API key, bearer, OAuth, helper, login → used (facts §9)
        let table = [
            ((true, false, false, false, false), ApiKey),
            ((false, true, false, false, false), AuthToken),
            ((false, false, true, false, false), OAuth),
            ((false, false, false, true, false), Helper),
            ((false, false, false, false, true), Login),
            ((true, true, true, true, true), ApiKey),
            ((true, false, true, false, false), ApiKey),
            ((true, false, false, false, true), ApiKey),
            ((true, false, false, true, false), ApiKey),
            ((false, true, true, true, true), AuthToken),
            ((false, false, true, true, false), Helper),
            ((false, false, false, true, true), Helper),
            ((false, false, true, false, true), OAuth),
        ];
        for ((key, bearer, oauth, helper, has_login), expected) in table {
            let home = tempfile::tempdir().expect("tempdir");
            let mut pairs = Vec::new();
            pairs.extend(key.then_some((ANTHROPIC_API_KEY, KEY)));
            pairs.extend(bearer.then_some((ANTHROPIC_AUTH_TOKEN, TOKEN)));
            pairs.extend(oauth.then_some((CLAUDE_CODE_OAUTH_TOKEN, OAUTH)));
            if helper {
                write(&home.path().join(".claude/settings.json"), r#"{"apiKeyHelper":"pass show key"}"#);
            }
            if has_login {
                login(home.path(), "made-up-login");
            }
            let Gathered { pool, conflicts, .. } = gather(home.path(), &pairs, "[]");
            assert_eq!(pool.first().expect("one").kind, expected);
            assert_eq!(!conflicts.is_empty(), helper && (key || bearer || oauth));
            // The CLI never uses a login when there is a helper, so ccc cannot rotate to it.
            let has_both = helper && has_login;
            let count = [key, bearer, oauth, helper, has_login && !has_both].iter().filter(|there| **there).count();
            assert_eq!(pool.credentials().len(), count);
            for credential in pool.credentials() {
                let child = pool.child_env(&credential.id(), None);
                assert_eq!(names(&child), variables(Provider::Anthropic, credential.kind));
                assert_eq!(child.set.len() + child.unset.len(), 3);
                assert!(child.unset.iter().all(|name| !names(&child).contains(&name.as_str())));
            }
        }
    }

    #[test]
    fn the_configurations_order_stands_over_the_clis_and_the_first_label_stays() {
        let home = tempfile::tempdir().expect("tempdir");
        login(home.path(), "made-up-login");
        let pairs = [(ANTHROPIC_API_KEY, KEY), (CLAUDE_CODE_OAUTH_TOKEN, OAUTH), ("WORK", "made-up-work")];
        let entries = r#"[{"label": "plan", "kind": "oauth", "env": "CLAUDE_CODE_OAUTH_TOKEN"},
                          {"label": "gateway", "kind": "auth_token", "env": "WORK"},
                          {"provider": "openai", "env": "ANTHROPIC_API_KEY"}]"#;
        let gathered = gather(home.path(), &pairs, entries);
        let expected = ["plan", "gateway", ANTHROPIC_API_KEY, "~/.claude/.credentials.json"];
        assert_eq!(labels(&gathered.pool), expected);
        assert_eq!(gathered.warnings, Vec::<String>::new(), "the order was given, so no bill surprises");
        let without = gather(home.path(), &pairs, "[]");
        assert!(without.warnings[0].contains("ANTHROPIC_API_KEY is used and billed first, although"));
    }

    #[test]
    fn every_form_of_every_variable_is_taken_away_from_the_child() {
        let home = tempfile::tempdir().expect("tempdir");
        let keys = home.path().join("keys");
        write(&keys, "made-up-in-file\n");
        let pairs = [
            (ANTHROPIC_API_KEY, KEY),
            ("ANTHROPIC_API_KEY_2", "made-up-2"),
            ("ANTHROPIC_API_KEYS", "made-up-3,made-up-4"),
            ("ANTHROPIC_API_KEYS_FILE", keys.to_str().expect("UTF-8")),
            ("CLAUDE_CODE_OAUTH_TOKEN_9", "made-up-o"),
            ("CLAUDE_CODE_OAUTH_TOKENS", "made-up-p"),
            ("ANTHROPIC_AUTH_TOKENS", "made-up-b"),
            ("WORK", "made-up-work"),
            ("OPENAI_API_KEY", "made-up-openai"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1"),
        ];
        let pool =
            gather(home.path(), &pairs, r#"[{"env": "WORK"}, {"provider": "openai", "env": "OPENAI_API_KEY"}]"#).pool;
        assert_eq!(pool.credentials().len(), 9);
        for credential in pool.credentials() {
            let base = pairs.map(|(name, value)| (name.into(), value.into()));
            let env = pool.child_env(&credential.id(), None).apply(base);
            let names: Vec<_> = env.iter().map(|(name, _)| name.to_str().expect("UTF-8")).collect();
            let own = variables(Provider::Anthropic, credential.kind)[0];
            assert_eq!(names, ["OPENAI_API_KEY", "ANTHROPIC_BASE_URL", own], "{credential}");
            let value = credential.held_value().expect("a value").expose_secret();
            assert_eq!(env[2].1.to_str(), Some(value));
        }
        let none = pool.child_env_without().apply(pairs.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(none.len(), 2);
        let unknown = pool.child_env(&TokenId("nobody".to_owned()), Some(&SecretString::from("x")));
        assert!(unknown.set.is_empty());
    }

    #[test]
    fn other_programs_get_the_variables_of_their_own_provider() {
        let env = Env::from_pairs([
            ("GEMINI_API_KEY_2", "made-up-g2"),
            ("GOOGLE_API_KEYS", "made-up-g3, made-up-g2"),
            ("CO_API_KEY", "made-up-co"),
            ("OPENAI_API_KEYS", "made-up-o1,made-up-o2"),
            (ANTHROPIC_API_KEY, KEY),
        ]);
        let home = tempfile::tempdir().expect("tempdir");
        login(home.path(), "made-up-login");
        let dirs = Dirs::new(home.path(), home.path(), home.path(), &Env::default());
        let project = Project { cwd: home.path().to_owned(), git_root: None };
        let places = Places { env: &env, dirs: &dirs, project: &project };
        for (provider, expected, set) in [
            (
                Provider::Google,
                &["GEMINI_API_KEY_2", "GOOGLE_API_KEYS[1]"][..],
                &["GEMINI_API_KEY", "GOOGLE_API_KEY"][..],
            ),
            (Provider::Cohere, &["CO_API_KEY"], &["COHERE_API_KEY", "CO_API_KEY"]),
            (Provider::OpenAi, &["OPENAI_API_KEYS[1]", "OPENAI_API_KEYS[2]"], &["OPENAI_API_KEY"]),
            (Provider::Anthropic, &[ANTHROPIC_API_KEY], &[ANTHROPIC_API_KEY]),
        ] {
            let pool = Pool::gather(places, &[], provider, None).expect("gathered").pool;
            assert_eq!(labels(&pool), expected);
            let child = pool.child_env(&pool.first().expect("one").id(), None);
            assert_eq!(names(&child), set);
            assert!(!child.unset.iter().any(|name| name == ANTHROPIC_API_KEY && provider != Provider::Anthropic));
        }
    }

    #[test]
    fn no_value_is_ever_shown() {
        let home = tempfile::tempdir().expect("tempdir");
        login(home.path(), "made-up-login-token");
        write(&home.path().join(".claude/settings.json"), r#"{"env": {"ANTHROPIC_AUTH_TOKEN": "made-up-setting"}}"#);
        let pairs = [
            (ANTHROPIC_API_KEY, KEY),
            (ANTHROPIC_AUTH_TOKEN, TOKEN),
            (CLAUDE_CODE_OAUTH_TOKEN, OAUTH),
            ("COHERE_API_KEY", "made-up-of-cohere"),
        ];
        let gathered = gather(home.path(), &pairs, r#"[{"command": "echo made-up-line"}]"#);
        let Gathered { pool, warnings, conflicts } = &gathered;
        let first = pool.get(&pool.credentials()[1].id()).expect("the key");
        let child = pool.child_env(&first.id(), None);
        let shown = format!("{gathered:?} {child:?} {} {warnings:?} {conflicts:?}", pool.sentence(Some(&first.id())));
        assert!(!shown.contains("made-up"), "{shown}");
        assert_eq!(child.set[0].1.expose_secret(), KEY, "the child still gets it");
        let redactor = pool.redactor_with(Some(&SecretString::from("made-up-fetched")));
        for secret in [
            KEY,
            TOKEN,
            OAUTH,
            "made-up-login-token",
            "made-up-refresh-token",
            "made-up-setting",
            "made-up-of-cohere",
            "made-up-fetched",
        ] {
            assert!(!redactor.text(&format!("say {secret} aloud")).contains(secret), "{secret}");
        }
    }

    #[test]
    fn empty_variables_are_no_credentials_and_are_taken_away() {
        let home = tempfile::tempdir().expect("tempdir");
        let empty = [
            (ANTHROPIC_API_KEY, ""),
            (ANTHROPIC_AUTH_TOKEN, " \n"),
            ("ANTHROPIC_API_KEYS", " , ,"),
            ("ANTHROPIC_API_KEYS_FILE", ""),
        ];
        let pool = gather(home.path(), &empty, "[]").pool;
        assert_eq!(pool.first().err(), Some(NoCredential(Provider::Anthropic)));
        let unset = pool.child_env_without().unset;
        assert!(
            CREDENTIAL_VARIABLES
                .iter()
                .chain(empty.iter().map(|(name, _)| name))
                .all(|name| unset.iter().any(|u| u == name))
        );
        assert!(pool.sentence(None).contains("none found"));
    }

    #[test]
    fn a_broken_login_file_is_a_warning_that_quotes_nothing_of_it() {
        let home = tempfile::tempdir().expect("tempdir");
        write(&home.path().join(".claude/.credentials.json"), "{\"claudeAiOauth\": sk-ant-oat01-made-up");
        let gathered = gather(home.path(), &[], "[]");
        assert!(gathered.pool.credentials().is_empty());
        let [warning] = gathered.warnings.as_slice() else {
            panic!("one warning: {:?}", gathered.warnings);
        };
        assert!(warning.contains("line 1"), "{warning}");
        assert!(!warning.contains("made-up"), "{warning}");
    }

    #[test]
    fn a_credential_of_the_settings_alone_is_used_as_it_is() {
        let home = tempfile::tempdir().expect("tempdir");
        login(home.path(), "made-up-login");
        write(&home.path().join(".claude/settings.json"), r#"{"env": {"ANTHROPIC_AUTH_TOKEN": "made-up-setting"}}"#);
        let Gathered { pool, conflicts, .. } = gather(home.path(), &[], "[]");
        assert_eq!(conflicts, []);
        let [only] = pool.credentials() else { panic!("{pool:?}") };
        assert!(only.label.starts_with("ANTHROPIC_AUTH_TOKEN in "), "{only}");
        assert_eq!(pool.child_env(&only.id(), None).set[0].1.expose_secret(), "made-up-setting");
    }

    #[test]
    fn facts_are_what_was_heard_without_refusals_of_another_value() {
        const NOW_MS: i64 = 1_800_000_000_000;
        let home = tempfile::tempdir().expect("tempdir");
        login(home.path(), "made-up-login");
        let pairs = [("CLAUDE_CODE_OAUTH_TOKENS", "made-up-a,made-up-b,made-up-c")];
        let pool = gather(home.path(), &pairs, "[]").pool;
        let shared = SharedTokens::new(home.path());
        let window = |name: &str, utilization, resets_at_unix_s| WindowFact {
            name: name.to_owned(),
            utilization,
            resets_at_unix_s,
        };
        let [a, b, _, own_login] = pool.credentials() else { panic!("{pool:?}") };
        let windows = vec![
            window("five_hour", Some(0.97), Some(NOW_MS / 1000)),
            window("seven_day", Some(0.4), Some(NOW_MS / 1000 + 1)),
            window("other", None, None),
        ];
        let limited = |until_unix_ms| TokenReport::Limited { until_unix_ms, window: Some("five_hour".to_owned()) };
        shared.report(a, &[TokenReport::Windows(windows), limited(NOW_MS)], NOW_MS - 5).expect("reported");
        shared.report(b, &[limited(NOW_MS + 1), TokenReport::Refused], NOW_MS - 5).expect("reported");
        let states = shared.report(own_login, &[TokenReport::Refused], NOW_MS - 5).expect("reported");
        let facts = pool.facts(&states);
        let of_a = [
            window("five_hour", Some(0.97), Some(NOW_MS / 1000)),
            window("seven_day", Some(0.4), Some(NOW_MS / 1000 + 1)),
            window("other", None, None),
        ];
        assert_eq!(
            facts[0].windows, of_a,
            "as it was heard: whether a reset has passed is judged by the choice among the tokens"
        );
        let shorts: Vec<_> =
            facts.iter().map(|fact| (fact.id.clone(), fact.limited_until_unix_ms, fact.refused)).collect();
        let ids: Vec<_> = pool.credentials().iter().map(Credential::id).collect();
        let expected = [(Some(NOW_MS), false), (Some(NOW_MS + 1), true), (None, false), (None, true)];
        let expected: Vec<_> =
            ids.into_iter().zip(expected).map(|(id, (until, refused))| (id, until, refused)).collect();
        assert_eq!(shorts, expected);
        // A new login has another value, which was not refused.
        login(home.path(), "made-up-new-login");
        let facts = gather(home.path(), &pairs, "[]").pool.facts(&states);
        assert!(!facts[3].refused);
        assert_eq!(facts[3].id, own_login.id());
    }
}
