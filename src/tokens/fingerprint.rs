//! Identifies secrets without showing them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Identifies a secret without showing it: the first 8 hex digits of a SHA-256 with ccc's own prefix, so that it
/// cannot be looked up in a table of plain hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a secret.
    #[must_use]
    pub fn of(secret: &SecretString) -> Self {
        Self(short_hash(b"ccc token fingerprint 1\0", secret.expose_secret()))
    }

    /// The hex digits.
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

/// The first 8 hex digits of a SHA-256 of `text` under `domain`.
pub(super) fn short_hash(domain: &[u8], text: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(domain);
    hasher.update(text.as_bytes());
    let hash = hasher.finalize();
    hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
