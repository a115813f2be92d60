//! An entry of `tokens` in a configuration file: the token's provider, its kind, and where its value is.

#[cfg(test)]
use std::borrow::Cow;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Span;
use crate::words::{Provider, TokenKind};

/// What kind of token an entry gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenEntryKind {
    /// An API key.
    #[default]
    ApiKey,
    /// An OAuth token of a subscription.
    #[serde(rename = "oauth")]
    OAuth,
    /// A bearer token, mostly for a gateway.
    AuthToken,
}

impl From<TokenEntryKind> for TokenKind {
    fn from(kind: TokenEntryKind) -> Self {
        match kind {
            TokenEntryKind::ApiKey => TokenKind::ApiKey,
            TokenEntryKind::OAuth => TokenKind::OAuth,
            TokenEntryKind::AuthToken => TokenKind::AuthToken,
        }
    }
}

/// A token, or a file of tokens, that the configuration names. It never contains a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "WrittenEntry")]
pub struct TokenEntry {
    /// The user's own name for it.
    pub label: Option<String>,
    /// Its kind.
    pub kind: TokenEntryKind,
    /// Its provider.
    pub provider: Provider,
    /// Where the value is.
    pub place: TokenPlace,
    /// A file of the project names it: it ranks after the user's own tokens, and its command runs without them.
    pub of_project: bool,
}

/// The place of a configured token's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// In the environment variable with this name.
    Env(String),
    /// In a file, one token per line.
    File(String),
    /// On the stdout of a command line for `/bin/sh -c`.
    Command {
        /// The command line.
        line: String,
        /// The timeout.
        timeout: Option<Span>,
    },
}

/// A token: its value is in a variable, in a file (one a line), or printed by a command when it is needed. Exactly one
/// of `env`, `file` and `command` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, schemars(rename = "TokenEntry"))]
struct WrittenEntry {
    /// A name of your own for it; without one it is called after the variable, file or command.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// What kind of token it is: api_key (default), oauth or auth_token.
    kind: TokenEntryKind,
    /// Whose it is: anthropic (default), openai, google or cohere.
    #[cfg_attr(test, schemars(schema_with = "provider_schema"))]
    provider: Provider,
    /// The variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    /// The file that holds it, or several, one a line; `#` begins a comment. Relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The command that prints it, such as a password manager's: `op read op://Private/Anthropic/key`. It is run by
    /// `/bin/sh -c` when the token is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// How long the command may take (10s).
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
}

/// Why an entry of `tokens` is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum EntryFault {
    #[error("a token needs exactly one of `env`, `file` and `command`")]
    NotOnePlace,
    #[error("a token's `env`, `file` or `command` is empty")]
    Empty,
    #[error("a token's `env` is the name of a variable: letters, digits and `_`")]
    NoVariable,
    #[error("a token's `label` is empty")]
    EmptyLabel,
    #[error("a token's `timeout` belongs to a `command`")]
    StrayTimeout,
    #[error("only Anthropic has tokens of the kinds oauth and auth_token")]
    KindOfAnotherProvider,
}

impl TryFrom<WrittenEntry> for TokenEntry {
    type Error = EntryFault;

    fn try_from(written: WrittenEntry) -> Result<Self, EntryFault> {
        let WrittenEntry { label, kind, provider, env, file, command, timeout } = written;
        let is_command = command.is_some();
        let place = match (env, file, command) {
            (Some(name), None, None) => TokenPlace::Env(name),
            (None, Some(path), None) => TokenPlace::File(path),
            (None, None, Some(line)) => TokenPlace::Command { line, timeout },
            (None, None, None) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) | (Some(_), Some(_), _) => {
                return Err(EntryFault::NotOnePlace);
            }
        };
        let text = match &place {
            TokenPlace::Env(text) | TokenPlace::File(text) | TokenPlace::Command { line: text, .. } => text,
        };
        if text.trim().is_empty() {
            return Err(EntryFault::Empty);
        }
        // Otherwise a value that was written here by mistake would be shown as a name.
        if matches!(&place, TokenPlace::Env(name) if !is_name(name)) {
            return Err(EntryFault::NoVariable);
        }
        if timeout.is_some() && !is_command {
            return Err(EntryFault::StrayTimeout);
        }
        if label.as_deref().is_some_and(|label| label.trim().is_empty()) {
            return Err(EntryFault::EmptyLabel);
        }
        if provider != Provider::Anthropic && kind != TokenEntryKind::ApiKey {
            return Err(EntryFault::KindOfAnotherProvider);
        }
        Ok(Self { label, kind, provider, place, of_project: false })
    }
}

#[cfg(test)]
fn provider_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": Provider::ALL.map(Provider::name)})
}

/// Whether it can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl<'de> Deserialize<'de> for TokenEntry {
    // Written by hand, because the derived message for a value instead of an entry would quote it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ Value::Object(_) => WrittenEntry::deserialize(value)
                .map_err(D::Error::custom)
                .and_then(|written| Self::try_from(written).map_err(D::Error::custom)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(D::Error::custom(
                    "a token is an object that says where the value is, such as {\"env\": \"WORK_KEY\"}; values do not belong here",
                ))
            }
        }
    }
}

impl From<TokenEntry> for WrittenEntry {
    fn from(entry: TokenEntry) -> Self {
        let mut written =
            Self { label: entry.label, kind: entry.kind, provider: entry.provider, ..WrittenEntry::default() };
        match entry.place {
            TokenPlace::Env(name) => written.env = Some(name),
            TokenPlace::File(path) => written.file = Some(path),
            TokenPlace::Command { line, timeout } => {
                written.command = Some(line);
                written.timeout = timeout;
            }
        }
        written
    }
}

#[cfg(test)]
impl JsonSchema for TokenEntry {
    fn schema_name() -> Cow<'static, str> {
        WrittenEntry::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        WrittenEntry::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_exactly_one_place_and_what_does_not_fit_is_said() {
        let read = |text: &str| serde_json::from_str::<TokenEntry>(text).map_err(|error| error.to_string());
        let entry = |place| TokenEntry {
            label: None,
            kind: TokenEntryKind::ApiKey,
            provider: Provider::Anthropic,
            place,
            of_project: false,
        };
        let command = |timeout| TokenPlace::Command { line: "op read x".to_owned(), timeout };
        for (text, expected) in [
            (r#"{"env": "WORK"}"#, entry(TokenPlace::Env("WORK".to_owned()))),
            (r#"{"file": "~/k"}"#, entry(TokenPlace::File("~/k".to_owned()))),
            (r#"{"command": "op read x"}"#, entry(command(None))),
            (r#"{"command": "op read x", "timeout": "5s"}"#, entry(command(Some(Span::from_secs(5))))),
            (
                r#"{"label": "w", "kind": "oauth", "provider": "anthropic", "env": "W"}"#,
                TokenEntry {
                    label: Some("w".to_owned()),
                    kind: TokenEntryKind::OAuth,
                    ..entry(TokenPlace::Env("W".to_owned()))
                },
            ),
            (
                r#"{"provider": "openai", "env": "W"}"#,
                TokenEntry { provider: Provider::OpenAi, ..entry(TokenPlace::Env("W".to_owned())) },
            ),
        ] {
            let entry = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(entry, expected, "{text}");
            let again: TokenEntry = serde_json::from_value(serde_json::to_value(&entry).unwrap()).unwrap();
            assert_eq!(again, expected, "what is written can be read again");
        }
        for (text, says) in [
            ("{}", "exactly one of"),
            (r#"{"env": "A", "file": "b"}"#, "exactly one of"),
            (r#"{"env": "A", "command": "b"}"#, "exactly one of"),
            (r#"{"file": "A", "command": "b"}"#, "exactly one of"),
            (r#"{"env": " "}"#, "is empty"),
            (r#"{"command": ""}"#, "is empty"),
            (r#"{"env": "$WORK"}"#, "the name of a variable"),
            (r#"{"env": "1A"}"#, "the name of a variable"),
            (r#"{"env": "sk-ant-made-up"}"#, "the name of a variable"),
            (r#""sk-ant-made-up""#, "values do not belong here"),
            (r#"{"env": "A", "label": ""}"#, "`label` is empty"),
            (r#"{"env": "A", "timeout": "5s"}"#, "belongs to a `command`"),
            (r#"{"env": "A", "provider": "google", "kind": "oauth"}"#, "only Anthropic"),
            (r#"{"env": "A", "value": "sk-ant-x"}"#, "unknown field `value`"),
            (r#"{"env": "A", "kind": "key"}"#, "unknown variant `key`"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("made-up"), "{text}: {error}");
        }
    }
}
