//! What a repository's files ask for that needs the user's agreement: see [`FromProject`] for which settings these are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a setting may do when it stands in a file of the project. Every key of [`super::KEYS`] says it, so that a new one has
/// to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromProject {
    /// It says what is wanted; it starts no program, and sends or takes no credential.
    Free,
    /// It makes ccc run a program, or send or take a credential: it counts once the user has agreed to its content. The text
    /// says what it does.
    NeedsConsent(&'static str),
    /// It counts from the user alone: in a project's file it is an error. The text says why, and what to do.
    Never(&'static str),
}

/// One thing that a file of the project asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The file.
    pub file: PathBuf,
    /// The file's name as the user sees it, from the top of the project.
    pub name: String,
    /// The setting in it.
    pub key: String,
    /// What it does.
    pub effect: &'static str,
    /// Its value as it is shown; a credential is not.
    pub shown: Vec<String>,
    /// The SHA-256 of file, setting and value, in hex: what the user agrees to.
    pub sha256: String,
}

impl Wish {
    /// A wish for this value of a setting.
    #[must_use]
    pub fn new(root: &Path, file: &Path, key: &str, effect: &'static str, value: &Value) -> Self {
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        let hash = Sha256::digest(json!(["ccc trust 1", name, key, value]).to_string());
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = match value {
            Value::Array(items) => items.iter().map(in_words).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                vec![in_words(value)]
            }
        };
        Self { file: file.to_owned(), name, key: key.to_owned(), effect, shown, sha256 }
    }

    /// The same without its value, which is a credential.
    #[must_use]
    pub fn without_value(self) -> Self {
        Self { shown: vec!["a credential (not shown)".to_owned()], ..self }
    }
}

fn in_words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What the user has agreed to in this project, by the hashes of [`Wish::sha256`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consents(BTreeSet<String>);

impl Consents {
    /// Agreement to these.
    #[must_use]
    pub fn to(hashes: impl IntoIterator<Item = String>) -> Self {
        Self(hashes.into_iter().collect())
    }

    /// Whether the user has agreed to this very content.
    #[must_use]
    pub fn cover(&self, wish: &Wish) -> bool {
        self.0.contains(&wish.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_to_one_content_of_one_setting_in_one_file() {
        let root = Path::new("/p");
        let wish = |file: &str, key: &str, value: Value| Wish::new(root, &root.join(file), key, "runs", &value);
        let agreed = wish(".ccc.json", "checks", json!(["cargo test"]));
        let consents = Consents::to([agreed.sha256.clone()]);
        for (other, covered) in [
            (wish(".ccc.json", "checks", json!(["cargo test"])), true),
            (wish(".ccc.json", "checks", json!(["cargo test "])), false),
            (wish(".ccc.json", "checks", json!("cargo test")), false),
            (wish(".ccc.json", "checks", json!(["cargo test", "x"])), false),
            (wish(".ccc.json", "agent.path", json!(["cargo test"])), false),
            (wish("a/.ccc.json", "checks", json!(["cargo test"])), false),
        ] {
            assert_eq!(consents.cover(&other), covered, "{other:?}");
        }
        assert_eq!((agreed.name.as_str(), agreed.shown.as_slice()), (".ccc.json", &["cargo test".to_owned()][..]));
        assert!(!Consents::default().cover(&agreed));
    }
}
