use std::ffi::{OsStr, OsString};
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::discovery::{ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, CREDENTIAL_VARIABLES};

/// What kind of credential it is; the core's word for it.
pub use crate::core::TokenKind as CredentialKind;

/// The variable by which the agent is given a credential of this kind; `None` when it finds it by itself.
#[must_use]
pub fn variable(kind: CredentialKind) -> Option<&'static str> {
    match kind {
        CredentialKind::ApiKey => Some(ANTHROPIC_API_KEY),
        CredentialKind::AuthToken => Some(ANTHROPIC_AUTH_TOKEN),
        CredentialKind::OAuth => Some(CLAUDE_CODE_OAUTH_TOKEN),
        CredentialKind::Helper | CredentialKind::Login => None,
    }
}

/// By what a secret is recognised without being shown: the first 8 hex digits of a SHA-256 under a prefix of our own,
/// so that it cannot be looked up in a table of plain hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a secret.
    #[must_use]
    pub fn of(secret: &SecretString) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"ccc token fingerprint 1\0");
        hasher.update(secret.expose_secret().as_bytes());
        let hash = hasher.finalize();
        Self(hash[..4].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One credential. Its `Debug` and `Display` never show the value.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Where it was found: a variable's or a file's name.
    pub label: String,
    /// Its kind.
    pub kind: CredentialKind,
    /// By what it is recognised; `None` for a helper and a login, whose values change under us.
    pub fingerprint: Option<Fingerprint>,
    /// The value; `None` where the agent finds it by itself.
    pub secret: Option<SecretString>,
}

impl Credential {
    /// A credential whose value we hold.
    #[must_use]
    pub fn held(label: impl Into<String>, kind: CredentialKind, secret: SecretString) -> Self {
        Self { label: label.into(), kind, fingerprint: Some(Fingerprint::of(&secret)), secret: Some(secret) }
    }

    /// A credential that the agent finds by itself.
    #[must_use]
    pub fn found_by_agent(label: impl Into<String>, kind: CredentialKind) -> Self {
        Self { label: label.into(), kind, fingerprint: None, secret: None }
    }

    /// What the agent's environment must be so that it uses this credential and no other.
    #[must_use]
    pub fn child_env(&self) -> ChildEnv {
        let set: Vec<(&'static str, SecretString)> = variable(self.kind).zip(self.secret.clone()).into_iter().collect();
        let unset = CREDENTIAL_VARIABLES.into_iter().filter(|name| !set.iter().any(|(set, _)| set == name)).collect();
        ChildEnv { set, unset }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.label, self.kind)?;
        match &self.fingerprint {
            Some(fingerprint) => write!(f, ", fingerprint {fingerprint})"),
            None => f.write_str(")"),
        }
    }
}

/// Changes to an agent's environment. Its `Debug` never shows a value.
#[derive(Debug, Clone, Default)]
pub struct ChildEnv {
    /// Variables to set.
    pub set: Vec<(&'static str, SecretString)>,
    /// Variables to take away.
    pub unset: Vec<&'static str>,
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
