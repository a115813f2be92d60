//! A credential's value and kind: the only place that holds a secret, and how it gets into a child's environment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;

use secrecy::{ExposeSecret, SecretString};

use super::fetch::{FetchCommand, FetchError};
use super::fingerprint::Fingerprint;
use super::hosts::Service;
use crate::agent::Say;
use crate::config::Provider;
use crate::core::TokenId;
use crate::process::Cancel;
use redaction::Redactor;

/// What kind of credential it is; the core's word for it.
pub use crate::core::TokenKind as CredentialKind;

/// An API key.
pub const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
/// A bearer token.
pub const ANTHROPIC_AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
/// An OAuth token.
pub const CLAUDE_CODE_OAUTH_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";

/// The variables that compete in an agent's environment.
pub const CREDENTIAL_VARIABLES: [&str; 3] = [ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN];

/// The variables by which a program is given a credential of this kind; none when the program finds it by itself.
/// Where a provider's programs look for two names, both are set, to the same value.
#[must_use]
pub fn variables(provider: Provider, kind: CredentialKind) -> &'static [&'static str] {
    match (provider, kind) {
        (Provider::Anthropic, CredentialKind::ApiKey) => &[ANTHROPIC_API_KEY],
        (Provider::Anthropic, CredentialKind::AuthToken) => &[ANTHROPIC_AUTH_TOKEN],
        (Provider::Anthropic, CredentialKind::OAuth) => &[CLAUDE_CODE_OAUTH_TOKEN],
        (_, CredentialKind::Helper | CredentialKind::Login) => &[],
        (Provider::OpenAi, _) => &["OPENAI_API_KEY"],
        (Provider::Google, _) => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        (Provider::Cohere, _) => &["COHERE_API_KEY", "CO_API_KEY"],
    }
}

/// Where a credential's value is. Its `Debug` never shows the value.
#[derive(Debug, Clone)]
pub enum Source {
    /// We hold it.
    Held(SecretString),
    /// A command prints it when it is needed.
    Command(FetchCommand),
    /// The agent's CLI finds it by itself; this is the value that it has now, where that can be seen.
    Agent(Option<SeenValue>),
}

/// The value of a credential that the agent's CLI keeps and exchanges by itself. It is never given to anybody: it serves
/// to ask the provider about the credential.
#[derive(Debug, Clone)]
pub struct SeenValue {
    /// The value.
    pub value: SecretString,
    /// When the CLI has to exchange it, unix milliseconds.
    pub expires_at_unix_ms: Option<i64>,
}

/// One credential. Its `Debug` and `Display` never show the value.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Where it was found: a variable's or a file's name, or what the configuration calls it.
    pub label: String,
    /// Its kind.
    pub kind: CredentialKind,
    /// Whose it is.
    pub provider: Provider,
    /// By what its value is recognised. `None` where the value is not known beforehand: a command's, a helper's, and a
    /// login whose value is not to be seen. A login's is that of the moment; the agent's CLI exchanges it.
    pub fingerprint: Option<Fingerprint>,
    /// Where its value is.
    pub source: Source,
    id: TokenId,
}

impl Credential {
    /// A credential whose value we hold.
    #[must_use]
    pub fn held(label: impl Into<String>, kind: CredentialKind, provider: Provider, secret: SecretString) -> Self {
        let fingerprint = Fingerprint::of(&secret);
        Self {
            label: label.into(),
            kind,
            provider,
            id: TokenId(fingerprint.as_str().to_owned()),
            fingerprint: Some(fingerprint),
            source: Source::Held(secret),
        }
    }

    /// A credential that a command prints.
    #[must_use]
    pub fn fetched(label: impl Into<String>, kind: CredentialKind, provider: Provider, command: FetchCommand) -> Self {
        Self {
            label: label.into(),
            kind,
            provider,
            id: TokenId(format!("command-{}", command.hash())),
            fingerprint: None,
            source: Source::Command(command),
        }
    }

    /// A credential that the agent's CLI finds by itself, under this id (`login`, `helper`). `seen` is the value that it
    /// has at this moment, where that can be seen.
    #[must_use]
    pub fn found_by_agent(
        label: impl Into<String>,
        kind: CredentialKind,
        id: impl Into<String>,
        seen: Option<SeenValue>,
    ) -> Self {
        Self {
            label: label.into(),
            kind,
            provider: Provider::Anthropic,
            id: TokenId(id.into()),
            fingerprint: seen.as_ref().map(|seen| Fingerprint::of(&seen.value)),
            source: Source::Agent(seen),
        }
    }

    /// Its handle: the fingerprint of a value that we hold, `command-…` for a command, `login` or `helper` for what the
    /// agent's CLI finds. The same in every ccc process of the user.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id.clone()
    }

    /// The value, where we hold it without fetching.
    #[must_use]
    pub fn held_value(&self) -> Option<&SecretString> {
        match &self.source {
            Source::Held(secret) => Some(secret),
            Source::Command(_) | Source::Agent(_) => None,
        }
    }

    /// The value; `None` for one that the agent's CLI finds by itself. Runs a command where there is one, within its
    /// time limit: call it in a thread of its own then.
    ///
    /// # Errors
    /// When the command fails, takes too long or prints no token.
    pub fn value(&self) -> Result<Option<SecretString>, FetchError> {
        let not_started =
            |error: io::Error| FetchError::NotStarted { label: self.label.clone(), error: error.to_string() };
        self.value_unless(&Cancel::new().map_err(not_started)?)
    }

    /// The same, until `cancel` says that nobody waits for it any more: then a command is ended, or not even started.
    ///
    /// # Errors
    /// When the command fails, takes too long, prints no token or is given up.
    pub fn value_unless(&self, cancel: &Cancel) -> Result<Option<SecretString>, FetchError> {
        match &self.source {
            Source::Held(secret) => Ok(Some(secret.clone())),
            Source::Command(command) => command.run(&self.label, cancel).map(Some),
            Source::Agent(_) => Ok(None),
        }
    }

    /// The variables by which a program is given it; `fetched` is what a command's token was fetched as. None when the value is not
    /// at hand, or the program finds it by itself. What belongs beside a token, such as a base URL, is added here.
    pub(super) fn environment(&self, fetched: Option<&SecretString>) -> Vec<(&'static str, SecretString)> {
        let Some(value) = self.held_value().or(fetched) else { return Vec::new() };
        variables(self.provider, self.kind).iter().map(|name| (*name, value.clone())).collect()
    }

    /// Where its provider is asked about it.
    pub(super) fn service(&self) -> Service {
        Service::Api(self.provider)
    }

    /// Which others can take its place in a live process; see [`crate::core::TokenFact::hot_group`].
    pub(super) fn hot_group(&self) -> String {
        self.provider.name().to_owned()
    }

    /// The line that gives this token to a live process of the agent's CLI, which `encode` puts in the words of that process;
    /// `fetched` is what a command's token was fetched as. `None` when the value is not at hand. The value leaves this module here, on its
    /// way into the child's stdin.
    #[must_use]
    pub fn exchange_line(
        &self,
        fetched: Option<&SecretString>,
        encode: impl FnOnce(&Say<'_>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let pairs = self.environment(fetched);
        let variables: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
        if variables.is_empty() { None } else { encode(&Say::Credential { variables: &variables }) }
    }

    /// What the user should know of a credential that no redactor hides, without its value; `value` is what it was found
    /// or fetched as.
    #[must_use]
    pub fn unhidden(&self, value: &SecretString) -> Option<String> {
        let why = Redactor::cannot_hide(value.expose_secret())?;
        Some(format!(
            "the credential {} cannot be kept out of the journal and of what is shown: {why}. Whatever prints it is written \
             down as it is; use a longer one, or take this one away",
            self.label
        ))
    }

    /// The value as far as it is seen without fetching: also the agent's own.
    pub(super) fn seen_value(&self) -> Option<&SecretString> {
        match &self.source {
            Source::Held(secret) => Some(secret),
            Source::Agent(seen) => seen.as_ref().map(|seen| &seen.value),
            Source::Command(_) => None,
        }
    }

    /// Whether we hold its value, or can fetch it.
    pub(super) fn is_ours(&self) -> bool {
        match self.source {
            Source::Held(_) | Source::Command(_) => true,
            Source::Agent(_) => false,
        }
    }

    /// Whether its value is known only once a command has run.
    #[must_use]
    pub fn needs_fetching(&self) -> bool {
        matches!(self.source, Source::Command(_))
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.label, self.kind)?;
        if self.provider != Provider::Anthropic {
            write!(f, " of {}", self.provider)?;
        }
        match (&self.fingerprint, &self.source) {
            (Some(fingerprint), Source::Held(_)) => write!(f, ", fingerprint {fingerprint})"),
            (_, Source::Held(_) | Source::Command(_) | Source::Agent(_)) => f.write_str(")"),
        }
    }
}

/// Changes to a child's environment. Its `Debug` never shows a value.
#[derive(Debug, Clone, Default)]
pub struct ChildEnv {
    /// Variables to set.
    pub set: Vec<(&'static str, SecretString)>,
    /// Variables to take away.
    pub unset: Vec<String>,
}

impl ChildEnv {
    /// The variables of a child that starts from `base`: without those taken away, with those set. The values leave
    /// this module here, on their way into a child's environment.
    pub fn apply(&self, base: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let replaced = |name: &OsStr| {
            self.unset.iter().any(|unset| name == OsStr::new(unset))
                || self.set.iter().any(|(set, _)| name == OsStr::new(set))
        };
        let kept = base.into_iter().filter(|(name, _)| !replaced(name));
        let set = self.set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value.expose_secret())));
        kept.chain(set).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::short_hash;
    use super::*;

    #[test]
    fn the_fingerprint_has_a_domain_of_its_own_and_tells_values_apart() {
        const KEY: &str = "sk-ant-api03-made-up-key";
        let held = |label: &str, value: &str| {
            Credential::held(label, CredentialKind::ApiKey, Provider::Anthropic, value.to_owned().into())
        };
        assert_eq!(held("a", KEY).id(), held("b", KEY).id());
        assert_ne!(held("a", KEY).id(), held("a", "made-up-other").id());
        let print = held("a", KEY).fingerprint.expect("a fingerprint");
        assert_eq!(print.as_str().len(), 8);
        assert_ne!(print.as_str(), short_hash(b"", KEY));
    }

    #[test]
    fn a_live_process_is_told_every_variable_that_a_new_one_would_get() {
        let key = Credential::held("a", CredentialKind::ApiKey, Provider::Google, "made-up".to_owned().into());
        let line = key.exchange_line(None, |say| {
            let Say::Credential { variables } = say else { return None };
            Some(format!("{variables:?}").into_bytes())
        });
        let told = r#"[("GEMINI_API_KEY", "made-up"), ("GOOGLE_API_KEY", "made-up")]"#;
        assert_eq!(line.as_deref(), Some(told.as_bytes()));
        let login = Credential::found_by_agent("a login", CredentialKind::Login, "login", None);
        assert_eq!(login.exchange_line(None, |_| Some(Vec::new())), None, "nothing is at hand");
    }
}
