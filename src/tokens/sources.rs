//! The sources of tokens: variables, files with one token per line, and entries of the configuration.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::credential::{Credential, CredentialKind};
use super::fetch::FetchCommand;
use super::offers::all_variables;
use super::variables::{Form, families, family_of, is_credential, variable_of};
use crate::config::{Env, Provider, TokenEntry, TokenPlace};
use crate::files::{self, ReadFault, TOKENS};
use crate::order::map_of;
use crate::order::sort_by;

/// The maximum number of tokens in a pool.
pub const POOL_LIMIT: usize = 512;

/// Why the tokens could not be gathered. No message contains a value.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A token file cannot be used.
    #[error("the token file {} from {named_by} {fault}", path.display())]
    File {
        /// The variable, or the place in the configuration.
        named_by: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: TokenFileFault,
    },
    /// The configured order of the pool names an unknown token.
    #[error("`pool` contains {name}, which is neither a provider nor a token{}", there_is(.known))]
    NotThere {
        /// The name.
        name: String,
        /// The labels of the known tokens.
        known: Vec<String>,
    },
    /// There are too many tokens.
    #[error("there are more than {POOL_LIMIT} tokens, the last of them from {last}")]
    TooMany {
        /// The source of the first token over the limit.
        last: String,
    },
}

fn there_is(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(" (known: {})", known.join(", ")) }
}

/// What is wrong with a token file.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileFault {
    /// It is missing, not a regular file, too large, or unreadable.
    #[error("{0}")]
    Unreadable(#[source] ReadFault),
    /// It is not text.
    #[error("is not valid UTF-8 in line {line}")]
    NotUtf8 {
        /// From 1.
        line: usize,
    },
}

/// The tokens found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) credentials: Vec<Credential>,
    pub(super) warnings: Vec<String>,
    /// Values that ccc gives to no process, but that must not be shown either.
    pub(super) hidden: Vec<SecretString>,
}

impl Found {
    /// Adds a credential unless its value is known already: the first label counts.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, credential: Credential) -> Result<(), PoolError> {
        if self.credentials.iter().any(|known| known.id() == credential.id()) {
            return Ok(());
        }
        if self.credentials.len() >= POOL_LIMIT {
            return Err(PoolError::TooMany { last: credential.label });
        }
        self.credentials.push(credential);
        Ok(())
    }

    /// Adds a written value unless it is empty. Surrounding white space is removed.
    fn add_written(
        &mut self,
        label: String,
        kind: CredentialKind,
        provider: Provider,
        text: &str,
    ) -> Result<(), PoolError> {
        let value = text.trim();
        if value.is_empty() {
            return Ok(());
        }
        if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.hidden.extend(value.split_whitespace().map(SecretString::from));
            self.warnings.push(format!("{label} contains white space and is not used"));
            return Ok(());
        }
        self.add(Credential::held(label, kind, provider, SecretString::from(value)))
    }
}

/// The base for variable names and relative paths.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) env: &'a Env,
    pub(super) home: &'a Path,
    pub(super) cwd: &'a Path,
}

/// The tokens in the variables of one provider and kind: `BASE`, `BASE_2`…, `BASES`, `BASES_FILE`.
pub(super) fn from_variables(
    base: Base<'_>,
    provider: Provider,
    kind: CredentialKind,
    found: &mut Found,
) -> Result<(), PoolError> {
    for family in families(provider).filter(|family| family.kind == kind) {
        let mut set: Vec<(Form, &str)> = base
            .env
            .names()
            .filter_map(|name| name.to_str())
            .filter_map(|name| Some((family.form(name)?, name)))
            .collect();
        sort_by(&mut set, Ord::cmp);
        for (form, name) in set {
            let Some(text) = read_variable(base.env, name, &mut found.warnings) else { continue };
            match form {
                Form::Single | Form::Numbered(_) => {
                    if text.trim() != text && !text.trim().is_empty() {
                        found.warnings.push(format!("{name} begins or ends with white space, which is removed"));
                    }
                    found.add_written(name.to_owned(), kind, provider, text)?;
                }
                Form::List => {
                    for (index, item) in text.split(',').enumerate() {
                        found.add_written(format!("{name}[{}]", index + 1), kind, provider, item)?;
                    }
                }
                Form::File => {
                    if !text.trim().is_empty() {
                        let path = located(base, text.trim());
                        from_file(name, &path, None, kind, provider, found)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A variable's text. One that is not UTF-8 is a warning.
fn read_variable<'a>(env: &'a Env, name: &str, warnings: &mut Vec<String>) -> Option<&'a str> {
    let value = env.get(name)?;
    let text = value.to_str();
    if text.is_none() {
        warnings.push(format!("{name} is not valid UTF-8 and is not used"));
    }
    text
}

fn located(base: Base<'_>, text: &str) -> PathBuf {
    located_in(base.cwd, base.home, text)
}

/// The path that this text denotes, relative to this directory.
pub(super) fn located_in(cwd: &Path, home: &Path, text: &str) -> PathBuf {
    text.strip_prefix("~/").map_or_else(|| cwd.join(text), |rest| home.join(rest))
}

/// The tokens of a file, one per line. `#` begins a comment, at the start of a line or after white space.
fn from_file(
    named_by: &str,
    path: &Path,
    label: Option<&str>,
    kind: CredentialKind,
    provider: Provider,
    found: &mut Found,
) -> Result<(), PoolError> {
    let (bytes, mode) = files::read_with_mode(path, TOKENS).map_err(|fault| PoolError::File {
        named_by: named_by.to_owned(),
        path: path.to_owned(),
        fault: TokenFileFault::Unreadable(fault),
    })?;
    if mode & 0o077 != 0 {
        found.warnings.push(format!(
            "{} contains tokens and others can read it (mode {:03o}); to fix it: chmod 600 {0}",
            path.display(),
            mode & 0o777
        ));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut values = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let text = std::str::from_utf8(line).map_err(|_| PoolError::File {
            named_by: named_by.to_owned(),
            path: path.to_owned(),
            fault: TokenFileFault::NotUtf8 { line: number },
        })?;
        let value = without_comment(text.trim_start_matches('\u{feff}'));
        if !value.is_empty() {
            values.push((number, value));
        }
    }
    let alone = values.len() == 1;
    for (number, value) in values {
        let label = match label {
            Some(label) if alone => label.to_owned(),
            Some(label) => format!("{label}:{number}"),
            None => format!("{name}:{number}"),
        };
        found.add_written(label, kind, provider, value)?;
    }
    Ok(())
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    let comment = line.char_indices().find(|&(_, c)| {
        let begins = c == '#' && before.is_whitespace();
        before = c;
        begins
    });
    line.get(..comment.map_or(line.len(), |(at, _)| at)).unwrap_or_default().trim()
}

/// The tokens in the configuration's entries, in order: those of the user, or those of a project's file.
///
/// A command that a project names runs without any of the user's credentials. The user's own command keeps them,
/// because it may exchange one credential for another.
pub(super) fn from_entries(
    base: Base<'_>,
    entries: &[TokenEntry],
    provider: Provider,
    of_project: bool,
    found: &mut Found,
) -> Result<(), PoolError> {
    let mut command_env: Option<Arc<Vec<(OsString, OsString)>>> = None;
    let meant = |entry: &TokenEntry| entry.provider == provider && entry.of_project == of_project;
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| meant(entry)) {
        let place = format!("tokens[{index}]");
        let label = entry.label.clone();
        let kind = entry.kind.into();
        match &entry.place {
            TokenPlace::Env(name) => match read_variable(base.env, name, &mut found.warnings) {
                // The variable's name is left out, because the user may have written the value there.
                None => found.warnings.push(format!(
                    "{} of the configuration is not used: its variable is not set",
                    label.unwrap_or(place)
                )),
                Some(text) => found.add_written(label.unwrap_or_else(|| name.clone()), kind, provider, text)?,
            },
            TokenPlace::File(path) => {
                from_file(&place, &located(base, path), label.as_deref(), kind, provider, found)?;
            }
            TokenPlace::Command { line, timeout } => {
                let env = command_env.get_or_insert_with(|| {
                    let env = if of_project { &without_credentials(base.env, entries) } else { base.env };
                    Arc::new(env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
                });
                let command = FetchCommand::new(line.clone(), *timeout, base.cwd.to_owned(), Arc::clone(env));
                let label = label.unwrap_or_else(|| format!("command of {place}"));
                found.add(Credential::fetched(label, kind, provider, command))?;
            }
        }
    }
    Ok(())
}

/// The variables that a child of this provider must not see: those that programs read, those that are set in any
/// form, and those that configuration entries name. Variables of other providers are kept.
pub(super) fn taken_away(env: &Env, entries: &[TokenEntry], provider: Provider) -> Vec<String> {
    let mut names: BTreeSet<String> = all_variables(provider).map(|(_, name)| name.to_owned()).collect();
    let set = env.names().filter_map(|name| name.to_str());
    names.extend(set.filter(|name| variable_of(name) == Some(provider)).map(str::to_owned));
    for entry in entries {
        if let TokenPlace::Env(name) = &entry.place
            && variable_of(name).is_none_or(|owner| owner == provider)
        {
            names.insert(name.clone());
        }
    }
    names.into_iter().collect()
}

/// The environment without any credential that ccc knows of, for all providers: for processes that need no
/// credential. `entries` are the configuration's tokens, whose variables are removed too.
#[must_use]
pub fn without_credentials(env: &Env, entries: &[TokenEntry]) -> Env {
    let named = |name: &str| {
        entries.iter().any(|entry| match &entry.place {
            TokenPlace::Env(variable) => variable == name,
            TokenPlace::File(_) | TokenPlace::Command { .. } => false,
        })
    };
    let kept = env.pairs().filter(|(name, _)| {
        let Some(name) = name.to_str() else { return true };
        !is_credential(name) && !named(name)
    });
    Env::from_pairs(kept)
}

/// The values of other providers' variables: the agent and its tools may have them, but they must not be shown.
pub(super) fn foreign_values(env: &Env, provider: Provider) -> Vec<SecretString> {
    let foreign = env.pairs().filter_map(|(name, value)| {
        let name = name.to_str()?;
        let (_, form) = family_of(name).filter(|(family, _)| family.provider != provider)?;
        let value = value.to_str()?;
        match form {
            Form::Single | Form::Numbered(_) | Form::List => Some(value),
            Form::File => None,
        }
    });
    let values = map_of(
        foreign
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .map(|value| (value, SecretString::from(value))),
    );
    values.into_values().collect()
}

/// Whether two values are the same.
pub(super) fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(home: &Path, pairs: &[(&str, &str)], provider: Provider, kind: CredentialKind) -> Result<Found, PoolError> {
        let env = Env::from_pairs(pairs.iter().copied());
        let mut found = Found::default();
        from_variables(Base { env: &env, home, cwd: home }, provider, kind, &mut found)?;
        Ok(found)
    }

    fn configured(home: &Path, pairs: &[(&str, &str)], entries: &str) -> Result<Found, PoolError> {
        let env = Env::from_pairs(pairs.iter().copied());
        let entries: Vec<TokenEntry> = serde_json::from_str(entries).expect("entries");
        let mut found = Found::default();
        from_entries(Base { env: &env, home, cwd: home }, &entries, Provider::Anthropic, false, &mut found)?;
        Ok(found)
    }

    /// Label and value of each credential.
    fn rows(found: &Found) -> Vec<(String, String)> {
        let row = |credential: &Credential| {
            let value = credential.held_value().map_or("(fetched)", |value| value.expose_secret());
            (credential.label.clone(), value.to_owned())
        };
        found.credentials.iter().map(row).collect()
    }

    fn private(path: &Path, text: impl AsRef<[u8]>) {
        fs::write(path, text).expect("write");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
    }

    fn table(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_form_of_each_variable_is_read_in_order_and_duplicates_keep_the_first_label() {
        use CredentialKind::{ApiKey, AuthToken, OAuth};
        let home = tempfile::tempdir().expect("tempdir");
        private(&home.path().join("keys.txt"), "f-1\n\n# spare ones\n  f-2  # work\r\nsame#with-hash\nf-2\n");
        for (provider, kind, base) in [
            (Provider::Anthropic, ApiKey, "ANTHROPIC_API_KEY"),
            (Provider::Anthropic, AuthToken, "ANTHROPIC_AUTH_TOKEN"),
            (Provider::Anthropic, OAuth, "CLAUDE_CODE_OAUTH_TOKEN"),
            (Provider::OpenAi, ApiKey, "OPENAI_API_KEY"),
            (Provider::Google, ApiKey, "GEMINI_API_KEY"),
            (Provider::Google, ApiKey, "GOOGLE_API_KEY"),
            (Provider::Cohere, ApiKey, "COHERE_API_KEY"),
            (Provider::Cohere, ApiKey, "CO_API_KEY"),
        ] {
            let names = ["", "_2", "_10", "_3", "S", "S_FILE", "_X", "_2_OLD", "X"].map(|end| format!("{base}{end}"));
            let values = ["one", "two", "ten", "three", "l-1, ,two,l-3", "~/keys.txt", "no", "no", "no"];
            let pairs: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values).collect();
            let found = read(home.path(), &pairs, provider, kind).expect("read");
            let label = |end: &str| format!("{base}{end}");
            let expected: Vec<(String, String)> = [
                (label(""), "one"),
                (label("_2"), "two"),
                (label("_3"), "three"),
                (label("_10"), "ten"),
                (label("S[1]"), "l-1"),
                (label("S[4]"), "l-3"),
                ("keys.txt:1".to_owned(), "f-1"),
                ("keys.txt:4".to_owned(), "f-2"),
                ("keys.txt:5".to_owned(), "same#with-hash"),
            ]
            .map(|(label, value)| (label, value.to_owned()))
            .into();
            assert_eq!(rows(&found), expected, "{base}");
            assert_eq!(found.warnings, Vec::<String>::new());
            assert!(found.credentials.iter().all(|one| one.kind == kind && one.provider == provider));
            for (name, known) in names.iter().zip([true, true, true, true, true, true, false, false, false]) {
                assert_eq!(variable_of(name), known.then_some(provider), "{name}");
            }
        }
    }

    #[test]
    fn white_space_around_a_value_is_left_out_and_inside_it_the_value_is_not_used() {
        let home = tempfile::tempdir().expect("tempdir");
        let pairs = [
            ("ANTHROPIC_API_KEY", " made-up-1\n"),
            ("ANTHROPIC_API_KEY_2", "made-up 2"),
            ("ANTHROPIC_API_KEYS", "\tmade-up-3 "),
        ];
        let found = read(home.path(), &pairs, Provider::Anthropic, CredentialKind::ApiKey).expect("read");
        assert_eq!(rows(&found), table(&[("ANTHROPIC_API_KEY", "made-up-1"), ("ANTHROPIC_API_KEYS[1]", "made-up-3")]));
        let warnings = found.warnings.join("\n");
        assert!(warnings.contains("ANTHROPIC_API_KEY begins or ends"), "{warnings}");
        assert!(warnings.contains("ANTHROPIC_API_KEY_2 contains white space"), "{warnings}");
        assert!(!warnings.contains("made-up"), "{warnings}");
    }

    #[test]
    fn an_environment_without_credentials_has_none_of_any_provider_in_any_form() {
        let pairs = [
            ("PATH", "/bin"),
            ("ANTHROPIC_BASE_URL", "https://gateway.example"),
            ("ANTHROPIC_API_KEY", "a"),
            ("ANTHROPIC_API_KEY_12", "b"),
            ("ANTHROPIC_AUTH_TOKENS", "c,d"),
            ("CLAUDE_CODE_OAUTH_TOKENS_FILE", "e"),
            ("ANTHROPIC_CUSTOM_HEADERS", "x-api-key: f"),
            ("OPENAI_API_KEYS", "g"),
            ("GEMINI_API_KEY", "h"),
            ("GOOGLE_API_KEY_2", "i"),
            ("CO_API_KEY", "j"),
            ("WORK", "k"),
        ];
        let entries: Vec<TokenEntry> =
            serde_json::from_str(r#"[{"env": "WORK"}, {"command": "pass"}]"#).expect("entries");
        let bare = without_credentials(&Env::from_pairs(pairs), &entries);
        let names: Vec<_> = bare.names().map(|name| name.to_str().expect("UTF-8")).collect();
        assert_eq!(names, ["ANTHROPIC_BASE_URL", "PATH"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it_and_who_named_it() {
        let home = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("dir")).expect("mkdir");
        fs::write(at("binary"), b"made-up-key\n\xff\xfe\n").expect("write");
        fs::write(at("large"), vec![b'#'; 1024 * 1024 + 1]).expect("write");
        for (name, says) in [
            ("gone", "does not exist"),
            ("binary/x", "does not exist"),
            ("dir", "is a directory, not a regular file"),
            ("/dev/zero", "is a device, not a regular file"),
            ("binary", "is not valid UTF-8 in line 2"),
            ("large", "is larger than 1 MiB"),
        ] {
            let pairs = [("CLAUDE_CODE_OAUTH_TOKENS_FILE", name)];
            let error =
                read(home.path(), &pairs, Provider::Anthropic, CredentialKind::OAuth).expect_err(name).to_string();
            assert!(
                error.starts_with("the token file ") && error.contains(" from CLAUDE_CODE_OAUTH_TOKENS_FILE "),
                "{error}"
            );
            assert!(error.contains(name) && error.contains(says), "{error}");
            assert!(!error.contains("made-up"), "{error}");
            let entries = format!(r#"[{{"command": "true"}}, {{"file": "{name}"}}]"#);
            let error = configured(home.path(), &[], &entries).expect_err(name).to_string();
            assert!(error.contains(" from tokens[1] ") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_used_and_warned_about() {
        let home = tempfile::tempdir().expect("tempdir");
        let file = home.path().join("keys");
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o666, true)] {
            private(&file, "made-up-key");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
            let pairs = [("ANTHROPIC_API_KEYS_FILE", file.to_str().expect("UTF-8"))];
            let found = read(home.path(), &pairs, Provider::Anthropic, CredentialKind::ApiKey).expect("read");
            assert_eq!(rows(&found), table(&[("keys:1", "made-up-key")]));
            assert_eq!(found.warnings.len(), usize::from(warned), "{mode:o}: {:?}", found.warnings);
            assert!(found.warnings.iter().all(|warning| warning.contains("chmod 600") && !warning.contains("made-up")));
        }
    }

    #[test]
    fn entries_of_the_configuration_are_labelled_as_the_user_says_or_by_their_place() {
        let home = tempfile::tempdir().expect("tempdir");
        private(&home.path().join("one.txt"), "# comment\nf-1\n");
        private(&home.path().join("two.txt"), "g-1\n\ng-2\n");
        private(&home.path().join("three.txt"), "h-1\nh-2\n");
        let entries = r#"[
            {"env": "WORK"},
            {"env": "HOME_KEY", "label": "home", "kind": "auth_token"},
            {"env": "made_up_value_in_the_wrong_place"},
            {"file": "one.txt", "label": "only"},
            {"file": "two.txt", "label": "several", "kind": "oauth"},
            {"file": "~/three.txt"},
            {"command": "pass show key"},
            {"command": "pass show other", "label": "vault"},
            {"command": "pass show key", "label": "the same again"},
            {"env": "OPENAI", "provider": "openai"}
        ]"#;
        let pairs = [("WORK", "w"), ("HOME_KEY", "h"), ("OPENAI", "o")];
        let found = configured(home.path(), &pairs, entries).expect("read");
        let expected = table(&[
            ("WORK", "w"),
            ("home", "h"),
            ("only", "f-1"),
            ("several:1", "g-1"),
            ("several:3", "g-2"),
            ("three.txt:1", "h-1"),
            ("three.txt:2", "h-2"),
            ("command of tokens[6]", "(fetched)"),
            ("vault", "(fetched)"),
        ]);
        assert_eq!(rows(&found), expected);
        let [warning] = found.warnings.as_slice() else { panic!("{:?}", found.warnings) };
        assert!(warning.starts_with("tokens[2] ") && !warning.contains("made_up"), "{warning}");
        let ids: BTreeSet<String> = found.credentials.iter().map(|one| one.id().0).collect();
        assert_eq!(ids.len(), expected.len());
        assert_eq!(ids.iter().filter(|id| id.starts_with("command-")).count(), 2);
    }

    #[test]
    fn there_is_a_limit_to_how_many() {
        let home = tempfile::tempdir().expect("tempdir");
        let many = |count: usize| (0..count).map(|n| format!("k{n}")).collect::<Vec<_>>().join(",");
        let result = |count| {
            let list = many(count);
            read(home.path(), &[("OPENAI_API_KEYS", &list)], Provider::OpenAi, CredentialKind::ApiKey)
        };
        assert_eq!(result(POOL_LIMIT).expect("as many as there may be").credentials.len(), POOL_LIMIT);
        let error = result(POOL_LIMIT + 1).expect_err("one too many").to_string();
        assert!(error.contains("OPENAI_API_KEYS[513]"), "{error}");
    }
}
