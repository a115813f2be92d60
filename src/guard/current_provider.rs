use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{PROJECT_RECORD, read_private, replace_json};
use crate::json::from_json;

/// The version that this ccc writes. A record of another version counts as none.
const VERSION: u32 = 1;

/// The content of the record.
#[derive(Debug, Serialize, Deserialize)]
struct Chosen {
    version: u32,
    provider: String,
}

/// The provider that `ccc` alone starts: `providers/current.json` in the state directory. It overrides
/// `current_provider` of the configuration, because ccc does not write configuration files.
#[derive(Debug, Clone)]
pub struct CurrentProvider {
    file: PathBuf,
}

impl CurrentProvider {
    /// The record in this state directory. Nothing is opened or created yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { file: state_dir.join("providers/current.json") }
    }

    /// The last chosen name; a file that cannot be read or parsed counts as no choice.
    #[must_use]
    pub fn chosen(&self) -> Option<String> {
        let chosen: Chosen = from_json(&read_private(&self.file, PROJECT_RECORD).ok()??).ok()?;
        (chosen.version == VERSION).then_some(chosen.provider)
    }

    /// Chooses this provider.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn choose(&self, provider: &str) -> io::Result<()> {
        replace_json(&self.file, &Chosen { version: VERSION, provider: provider.to_owned() }, false)
    }
}

#[cfg(test)]
mod tests {
    use super::CurrentProvider;

    #[test]
    fn the_last_choice_counts_and_a_damaged_file_is_none() {
        let state = tempfile::tempdir().expect("a directory");
        let current = CurrentProvider::new(state.path());
        assert_eq!(current.chosen(), None);
        for name in ["kimi", "glm"] {
            current.choose(name).expect("written");
            assert_eq!(current.chosen().as_deref(), Some(name));
        }
        for text in ["", "{", r#"{"version": 2, "provider": "kimi"}"#, r#"{"version": 1}"#] {
            std::fs::write(&current.file, text).expect("written");
            assert_eq!(current.chosen(), None, "{text}");
        }
    }
}
