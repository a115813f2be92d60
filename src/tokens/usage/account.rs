//! The value of the agent's login, and what it may query.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::super::keychain::{Keychain, KeychainFault};
use crate::config::{Dirs, Env};
use crate::files::{self, AGENT_SETTINGS};
use crate::json::from_json;

/// The scope that the usage endpoint requires of a login.
const SCOPE: &str = "user:profile";

/// Where the agent's login is.
#[derive(Debug, Clone)]
pub struct LoginPlace {
    /// `.credentials.json`.
    pub file: PathBuf,
    /// Used when the file does not exist.
    pub keychain: Option<Keychain>,
}

/// The agent's login, as far as it is needed here. Its refresh token is not kept: it is single-use and belongs to the
/// agent's CLI.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) token: SecretString,
    /// Unix milliseconds.
    pub(super) expires_at_unix_ms: Option<i64>,
    /// Whether it may read its usage; `None` when it does not list its scopes.
    pub(super) reads_usage: Option<bool>,
}

/// Why there is no usable login. No message contains any of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// There is none.
    #[error("the agent is not logged in; run `claude` and log in")]
    None,
    /// Its file or item cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The Keychain does not provide it.
    #[error(transparent)]
    Keychain(#[from] KeychainFault),
    /// It has expired. Only the agent's CLI may refresh it, because its refresh token is single-use.
    #[error("the login has expired; run `claude`, which renews it")]
    Expired,
}

impl LoginPlace {
    /// The login's place according to these directories and this environment.
    #[must_use]
    pub fn find(dirs: &Dirs, env: &Env) -> Self {
        Self { file: dirs.claude.join(".credentials.json"), keychain: Keychain::of_user(env) }
    }

    /// Reads the login.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) fn read(&self) -> Result<Login, LoginFault> {
        let text = match files::read_if_there(&self.file, AGENT_SETTINGS) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let Some(keychain) = &self.keychain else { return Err(LoginFault::None) };
                let item = keychain.login()?.ok_or(LoginFault::None)?;
                item.expose_secret().as_bytes().to_vec()
            }
            Err(fault) => {
                return Err(LoginFault::Unreadable(format!("{} {fault}", self.file.display())));
            }
        };
        parse(&text).ok_or_else(|| LoginFault::Unreadable("the agent's login has an unexpected format".to_owned()))?
    }

    /// Whether the Keychain has a login when there is no file. Its value is not read.
    ///
    /// # Errors
    /// When the Keychain cannot be searched.
    pub fn in_keychain(&self) -> Result<bool, KeychainFault> {
        if self.file.exists() {
            return Ok(false);
        }
        self.keychain.as_ref().map_or(Ok(false), Keychain::has_login)
    }
}

/// `None` when this is no login file; a login without a token counts as none.
fn parse(text: &[u8]) -> Option<Result<Login, LoginFault>> {
    let value: Value = from_json(text).ok()?;
    value.as_object()?;
    let Some(login) = value.get("claudeAiOauth") else { return Some(Err(LoginFault::None)) };
    let token = login.get("accessToken").and_then(Value::as_str).filter(|token| !token.is_empty());
    let Some(token) = token else { return Some(Err(LoginFault::None)) };
    let scopes = login.get("scopes").and_then(Value::as_array);
    Some(Ok(Login {
        token: SecretString::from(token),
        expires_at_unix_ms: login.get("expiresAt").and_then(Value::as_i64),
        reads_usage: scopes.map(|scopes| scopes.iter().any(|scope| scope.as_str() == Some(SCOPE))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_with_its_scopes_and_its_end() {
        for (text, expected) in [
            (
                r#"{"claudeAiOauth":{"accessToken":"t","expiresAt":7,"scopes":["user:inference","user:profile"]}}"#,
                Ok((Some(7), Some(true))),
            ),
            (r#"{"claudeAiOauth":{"accessToken":"t","scopes":["user:inference"]}}"#, Ok((None, Some(false)))),
            (r#"{"claudeAiOauth":{"accessToken":"t"}}"#, Ok((None, None))),
            (r#"{"claudeAiOauth":{"accessToken":""}}"#, Err(LoginFault::None)),
            (r#"{"other":{}}"#, Err(LoginFault::None)),
        ] {
            let read = parse(text.as_bytes()).expect("a login file");
            assert_eq!(read.map(|login| (login.expires_at_unix_ms, login.reads_usage)), expected, "{text}");
        }
        for text in ["", "{", "[]", "7", "sk-ant-made-up"] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn without_a_file_and_a_keychain_nobody_is_logged_in() {
        let dir = tempfile::tempdir().expect("tempdir");
        let place = LoginPlace { file: dir.path().join(".credentials.json"), keychain: None };
        assert_eq!(place.read().err(), Some(LoginFault::None));
        std::fs::write(&place.file, "sk-ant-made-up").expect("write");
        let fault = place.read().expect_err("damaged");
        assert!(!fault.to_string().contains("made-up"), "{fault}");
        assert!(matches!(fault, LoginFault::Unreadable(_)), "{fault:?}");
    }
}
