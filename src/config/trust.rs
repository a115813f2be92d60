//! The settings of a repository's files that need the user's agreement; [`FromProject`] says which these are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a setting may do in a file of the project. Every key of [`super::KEYS`] declares this, so a new one has to
/// choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromProject {
    /// It expresses a preference: it starts no program, and neither sends nor reads a credential.
    Free,
    /// It makes ccc run a program, or send or read a credential: it counts once the user has agreed to its content.
    /// The text describes its effect.
    NeedsConsent(&'static str),
    /// Only the user may set it: in a project's file it is an error. The text says why, and what to do.
    Never(&'static str),
}

/// One setting of a project's file that needs agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The file.
    pub file: PathBuf,
    /// The file's name for the user, relative to the top of the project.
    pub name: String,
    /// The setting in it.
    pub key: String,
    /// Its effect.
    pub effect: &'static str,
    /// Its value for display; a credential is not shown.
    pub shown: Vec<String>,
    /// The SHA-256 of file, setting and value, in hex: the content to which the user agrees.
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

/// The content to which the user has agreed in this project, by the hashes of [`Wish::sha256`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consents(BTreeSet<String>);

impl Consents {
    /// Agreement to these hashes.
    #[must_use]
    pub fn to(hashes: impl IntoIterator<Item = String>) -> Self {
        Self(hashes.into_iter().collect())
    }

    /// Whether the user has agreed to exactly this content.
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
