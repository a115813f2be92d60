use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::credential::{
    ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, CREDENTIAL_VARIABLES, variables,
};
use super::{ChildEnv, Credential, CredentialKind};
use crate::config::{Dirs, Env, Project, Provider};
use crate::journal::Redactor;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// All credentials, in the order in which the agent's CLI prefers them; the first is used.
    pub found: Vec<Credential>,
    /// What the user should know about it, without values.
    pub warnings: Vec<String>,
}

/// No credential was found. The agent may still have a way of its own, so this ends no run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none found: no ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN, and no login of the agent")]
pub struct NoCredential;

impl Discovery {
    /// The credential that is used.
    ///
    /// # Errors
    /// When there is none.
    pub fn used(&self) -> Result<&Credential, NoCredential> {
        self.found.first().ok_or(NoCredential)
    }

    /// What the agent's environment must be: the used credential's variable and none of the others. Without any
    /// credential all three are taken away, since they can only be empty.
    #[must_use]
    pub fn child_env(&self) -> ChildEnv {
        let first = self.found.first();
        let names = first.map_or(&[][..], |used| variables(used.provider, used.kind));
        let value = first.and_then(Credential::held_value);
        let set: Vec<_> = names.iter().filter_map(|name| Some((*name, value?.clone()))).collect();
        let unset = CREDENTIAL_VARIABLES.into_iter().filter(|name| !set.iter().any(|(set, _)| set == name));
        ChildEnv { unset: unset.map(str::to_owned).collect(), set }
    }

    /// A redactor that knows the values of all that was found, whatever their shape.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let secrets = self.found.iter().filter_map(Credential::held_value);
        Redactor::with_values(secrets.map(ExposeSecret::expose_secret))
    }

    /// Says which credential is used and which are not, by label, kind and fingerprint.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.found.split_first() {
            None => format!("{NoCredential}; the agent may know another way"),
            Some((used, [])) => used.to_string(),
            Some((used, others)) => {
                let others: Vec<&str> = others.iter().map(|other| other.label.as_str()).collect();
                format!("{used}; not used: {}", others.join(", "))
            }
        }
    }
}

/// Looks for credentials in the environment and in the files of the agent's CLI.
///
/// The order is the CLI's own (facts §9): API key and bearer token, helper, OAuth token, login. With both of the first
/// two the CLI would send both and calls it the API key's; ccc passes the API key alone. Nothing found here stops
/// anything: a file that cannot be read is a warning.
#[must_use]
pub fn discover(env: &Env, dirs: &Dirs, project: &Project) -> Discovery {
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    let held = |name: &'static str, kind, warnings: &mut Vec<String>| {
        let value = env.get(name)?;
        let Some(text) = value.to_str() else {
            warnings.push(format!("{name} is not valid UTF-8 and is not used"));
            return None;
        };
        if text.trim().is_empty() {
            return None;
        }
        if text.trim() != text {
            warnings.push(format!("{name} begins or ends with white space"));
        }
        Some(Credential::held(name, kind, Provider::Anthropic, SecretString::from(text.to_owned())))
    };
    found.extend(held(ANTHROPIC_API_KEY, CredentialKind::ApiKey, &mut warnings));
    found.extend(held(ANTHROPIC_AUTH_TOKEN, CredentialKind::AuthToken, &mut warnings));
    let oauth = held(CLAUDE_CODE_OAUTH_TOKEN, CredentialKind::OAuth, &mut warnings);
    found.extend(helper(dirs, project, &mut warnings));
    found.extend(oauth);
    found.extend(login(dirs, &mut warnings));
    if let [first, second, ..] = found.as_slice()
        && first.kind == CredentialKind::ApiKey
    {
        warnings.push(format!(
            "{ANTHROPIC_API_KEY} is used and billed although {} is there too; unset it to use the other",
            second.label
        ));
    }
    Discovery { found, warnings }
}

/// A helper command named by the agent's settings: those of the project stand over those of the user.
fn helper(dirs: &Dirs, project: &Project, warnings: &mut Vec<String>) -> Option<Credential> {
    let claude = project.cwd.join(".claude");
    let files = [claude.join("settings.local.json"), claude.join("settings.json"), dirs.claude.join("settings.json")];
    files.iter().find_map(|file| {
        let settings = read_json(file, warnings)?;
        let command = settings.get("apiKeyHelper")?.as_str()?;
        (!command.trim().is_empty()).then(|| {
            Credential::found_by_agent(
                format!("apiKeyHelper of {}", file.display()),
                CredentialKind::Helper,
                "helper",
                None,
            )
        })
    })
}

/// The agent's own login.
fn login(dirs: &Dirs, warnings: &mut Vec<String>) -> Option<Credential> {
    let file: PathBuf = dirs.claude.join(".credentials.json");
    let login = read_json(&file, warnings)?;
    let token = login.pointer("/claudeAiOauth/accessToken")?.as_str()?;
    (!token.is_empty())
        .then(|| Credential::found_by_agent(file.display().to_string(), CredentialKind::Login, "login", None))
}

/// A file of the agent's CLI; a missing one is nothing to speak of. The parser's message is left out: it may quote.
fn read_json(file: &Path, warnings: &mut Vec<String>) -> Option<Value> {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use secrecy::ExposeSecret;

    use super::*;

    const KEY: &str = "sk-ant-api03-made-up-key";
    const TOKEN: &str = "made-up-bearer";
    const OAUTH: &str = "sk-ant-oat01-made-up";

    fn discover_in(home: &Path, pairs: &[(&str, &str)]) -> Discovery {
        let env = Env::from_pairs(pairs.iter().copied());
        let dirs = Dirs::new(home, home, home, &env);
        let project = Project { cwd: home.join("project"), git_root: None };
        discover(&env, &dirs, &project)
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    #[test]
    fn the_credential_used_is_the_one_the_cli_would_take_and_the_child_gets_no_other() {
        use CredentialKind::{ApiKey, AuthToken, Helper, Login, OAuth};
        // api key, bearer, oauth, helper, login → used (facts §9)
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
        for ((key, bearer, oauth, helper, login), expected) in table {
            let home = tempfile::tempdir().expect("tempdir");
            let mut pairs = Vec::new();
            pairs.extend(key.then_some((ANTHROPIC_API_KEY, KEY)));
            pairs.extend(bearer.then_some((ANTHROPIC_AUTH_TOKEN, TOKEN)));
            pairs.extend(oauth.then_some((CLAUDE_CODE_OAUTH_TOKEN, OAUTH)));
            if helper {
                write(&home.path().join(".claude/settings.json"), r#"{"apiKeyHelper":"pass show key"}"#);
            }
            if login {
                write(&home.path().join(".claude/.credentials.json"), r#"{"claudeAiOauth":{"accessToken":"made-up"}}"#);
            }
            let discovery = discover_in(home.path(), &pairs);
            assert_eq!(discovery.used().expect("one").kind, expected);
            let child = discovery.child_env();
            let set: Vec<&str> = child.set.iter().map(|(name, _)| *name).collect();
            assert_eq!(set, variables(Provider::Anthropic, expected));
            assert_eq!(set.len() + child.unset.len(), 3);
            assert!(child.unset.iter().all(|name| !set.contains(&name.as_str())));
        }
    }

    #[test]
    fn no_value_is_ever_shown() {
        let home = tempfile::tempdir().expect("tempdir");
        let discovery = discover_in(
            home.path(),
            &[(ANTHROPIC_API_KEY, KEY), (ANTHROPIC_AUTH_TOKEN, TOKEN), (CLAUDE_CODE_OAUTH_TOKEN, OAUTH)],
        );
        let child = discovery.child_env();
        let shown = format!("{discovery:?} {child:?} {} {}", discovery.sentence(), discovery.warnings.join(" "));
        for secret in [KEY, TOKEN, OAUTH] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(child.set[0].1.expose_secret(), KEY, "the child still gets it");
    }

    #[test]
    fn empty_variables_are_no_credentials_and_are_taken_away() {
        let home = tempfile::tempdir().expect("tempdir");
        let discovery = discover_in(home.path(), &[(ANTHROPIC_API_KEY, ""), (ANTHROPIC_AUTH_TOKEN, " \n")]);
        assert_eq!(discovery.used().err(), Some(NoCredential));
        assert_eq!(discovery.child_env().unset, CREDENTIAL_VARIABLES);
        assert!(discovery.sentence().contains("none found"));
    }

    #[test]
    fn a_broken_login_file_is_a_warning_that_quotes_nothing_of_it() {
        let home = tempfile::tempdir().expect("tempdir");
        write(&home.path().join(".claude/.credentials.json"), "{\"claudeAiOauth\": sk-ant-oat01-made-up");
        let discovery = discover_in(home.path(), &[]);
        assert!(discovery.found.is_empty());
        let [warning] = discovery.warnings.as_slice() else {
            panic!("one warning: {:?}", discovery.warnings);
        };
        assert!(warning.contains("line 1"), "{warning}");
        assert!(!warning.contains("made-up"), "{warning}");
    }
}
