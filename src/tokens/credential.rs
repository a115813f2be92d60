//! A credential's value and kind: the only place that holds a secret, and how it reaches a child's environment.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::fetch::{FetchCommand, FetchError};
use super::fingerprint::Fingerprint;
use super::hosts::{BaseUrl, HostError};
use super::offers::{self, Service, UsageEndpoint, variables};
use super::variables::is_credential;
use crate::agent::Say;
use crate::config::Provider;
use crate::core::TokenId;
use crate::process::Cancel;
use redaction::Redactor;

/// The kind of a credential, as the core names it.
pub use crate::core::TokenKind as CredentialKind;

/// Where a credential's value comes from. Its `Debug` never shows the value.
#[derive(Debug, Clone)]
pub enum Source {
    /// ccc holds it.
    Held(SecretString),
    /// A command prints it on demand.
    Command(FetchCommand),
    /// The agent's CLI finds it by itself; this is its current value, if visible.
    Agent(Option<SeenValue>),
}

/// The value of a credential that the agent's CLI keeps and refreshes by itself. No process is given it: it is only
/// used to query the provider about the credential.
#[derive(Debug, Clone)]
pub struct SeenValue {
    /// The value.
    pub value: SecretString,
    /// When the CLI has to refresh it, unix milliseconds.
    pub expires_at_unix_ms: Option<i64>,
}

/// One credential. Its `Debug` and `Display` never show the value.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its source: the name of a variable or a file, or its name in the configuration.
    pub label: String,
    /// Its kind.
    pub kind: CredentialKind,
    /// Its provider.
    pub provider: Provider,
    /// The fingerprint of its value. `None` if the value is not known beforehand: a command's, a helper's, and a
    /// login whose value is not visible. A login's fingerprint is only current: the agent's CLI refreshes the value.
    pub fingerprint: Option<Fingerprint>,
    /// Where its value comes from.
    pub source: Source,
    /// The configured provider that it belongs to, if any.
    pub route: Option<Arc<Route>>,
    id: TokenId,
}

/// Where requests with a credential go, if a configured provider sets it.
#[derive(Debug, Clone)]
pub struct Route {
    /// The provider's name.
    pub name: String,
    /// The base URL of the agent's requests; `None` for the default.
    pub base: Option<Result<BaseUrl, HostError>>,
    /// The model in use.
    pub model: Option<String>,
    /// The provider's other variables in the agent's environment.
    pub(super) env: Vec<(String, SecretString)>,
}

impl Route {
    /// The secrets in its environment.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.env.iter().filter(|(name, _)| is_credential(name)).map(|(_, value)| value)
    }
}

impl Credential {
    /// A credential whose value ccc holds.
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
            route: None,
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
            route: None,
        }
    }

    /// A credential that the agent's CLI finds by itself, with this id (`login`, `helper`). `seen` is its current
    /// value, if visible.
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
            route: None,
        }
    }

    /// The same as the credential of a configured provider: what is known about it there does not apply to the same
    /// value elsewhere.
    #[must_use]
    pub fn routed(self, route: Route) -> Self {
        let id = TokenId(format!("{}@{}", self.id.0, route.name));
        Self { id, route: Some(Arc::new(route)), ..self }
    }

    /// Its base URL, if its configured provider sets one.
    pub(super) fn base(&self) -> Option<&Result<BaseUrl, HostError>> {
        self.route.as_ref()?.base.as_ref()
    }

    /// Its handle: the fingerprint of a value that ccc holds, `command-…` for a command, `login` or `helper` for one
    /// that the agent's CLI finds. It is the same in every ccc process of the user.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id.clone()
    }

    /// The value, if ccc holds it without fetching.
    #[must_use]
    pub fn held_value(&self) -> Option<&SecretString> {
        match &self.source {
            Source::Held(secret) => Some(secret),
            Source::Command(_) | Source::Agent(_) => None,
        }
    }

    /// The value; `None` for one that the agent's CLI finds by itself. A command runs within its timeout, so call
    /// this in a thread of its own then.
    ///
    /// # Errors
    /// When the command fails, takes too long or prints no token.
    pub fn value(&self) -> Result<Option<SecretString>, FetchError> {
        let not_started =
            |error: io::Error| FetchError::NotStarted { label: self.label.clone(), error: error.to_string() };
        self.value_unless(&Cancel::new().map_err(not_started)?)
    }

    /// The same, until `cancel` says that nobody waits for it any more: then a command is ended, or not started.
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

    /// The variables that hold it; `fetched` is the fetched value of a command's token. Empty when the value is not
    /// available, or the program finds it by itself.
    fn holding(&self, fetched: Option<&SecretString>) -> Vec<(&'static str, SecretString)> {
        let Some(value) = self.held_value().or(fetched) else { return Vec::new() };
        variables(self.provider, self.kind).iter().map(|name| (*name, value.clone())).collect()
    }

    /// The variables that give it to a program: those that hold it, and those of its route, such as a base URL.
    pub(super) fn environment(&self, fetched: Option<&SecretString>) -> Vec<(Cow<'static, str>, SecretString)> {
        let holding = self.holding(fetched);
        let beside = self.route.iter().filter(|_| !holding.is_empty()).flat_map(|route| &route.env);
        let beside = beside.map(|(name, value)| (Cow::Owned(name.clone()), value.clone()));
        holding.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).chain(beside).collect()
    }

    /// The API that is queried about it.
    pub(super) fn service(&self) -> Service {
        Service::Api(self.provider)
    }

    /// The endpoint that reports its usage for free. It reports on the provider's own account, so a credential for
    /// another host has none.
    pub(super) fn usage_endpoint(&self) -> Option<&'static UsageEndpoint> {
        offers::kind(self.provider, self.kind).filter(|_| self.base().is_none())?.account.as_ref()
    }

    /// The group of tokens that can replace each other in a live process; see [`crate::core::TokenFact::hot_group`].
    pub(super) fn hot_group(&self) -> String {
        match &self.route {
            None => self.provider.name().to_owned(),
            Some(route) => format!("{}@{}", self.provider.name(), route.name),
        }
    }

    /// The line that gives this token to a live process of the agent's CLI; `encode` writes it in the protocol of
    /// that process, and `fetched` is the fetched value of a command's token. `None` when the value is not available.
    /// The value leaves this module here, for the child's stdin.
    #[must_use]
    pub fn exchange_line(
        &self,
        fetched: Option<&SecretString>,
        encode: impl FnOnce(&Say<'_>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let pairs = self.holding(fetched);
        let variables: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
        if variables.is_empty() { None } else { encode(&Say::Credential { variables: &variables }) }
    }

    /// A warning about a credential that cannot be redacted, without its value; `value` is what was found or fetched.
    #[must_use]
    pub fn unhidden(&self, value: &SecretString) -> Option<String> {
        let why = Redactor::cannot_hide(value.expose_secret())?;
        Some(format!(
            "the credential {} cannot be removed from the journal and the output: {why}. If a program prints it, it is \
             recorded unchanged; use a longer credential, or remove this one",
            self.label
        ))
    }

    /// The value as far as it is visible without fetching, including the agent's own.
    pub(super) fn seen_value(&self) -> Option<&SecretString> {
        match &self.source {
            Source::Held(secret) => Some(secret),
            Source::Agent(seen) => seen.as_ref().map(|seen| &seen.value),
            Source::Command(_) => None,
        }
    }

    /// Whether ccc holds its value or can fetch it.
    pub(super) fn is_ours(&self) -> bool {
        match self.source {
            Source::Held(_) | Source::Command(_) => true,
            Source::Agent(_) => false,
        }
    }

    /// Whether its value is known only after a command has run.
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
    pub set: Vec<(Cow<'static, str>, SecretString)>,
    /// Variables to remove.
    pub unset: Vec<String>,
}

impl ChildEnv {
    /// The environment of a child that starts from `base`: without the removed variables, with the set ones. The
    /// values leave this module here, for a child's environment.
    pub fn apply(&self, base: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let replaced = |name: &OsStr| {
            self.unset.iter().any(|unset| name == OsStr::new(unset))
                || self.set.iter().any(|(set, _)| name == OsStr::new(set.as_ref()))
        };
        let kept = base.into_iter().filter(|(name, _)| !replaced(name));
        let set =
            self.set.iter().map(|(name, value)| (OsString::from(name.as_ref()), OsString::from(value.expose_secret())));
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
