//! Which task is which, when the list is read again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How many bytes of the hash a key has.
const HASH_BYTES: usize = 16;

/// A task's identity: its text, and how many tasks with the same text come before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskKey(String);

impl TaskKey {
    /// The keys of the tasks with these texts, in their order. Ticked tasks must be among them: they keep their place among equals.
    pub fn of_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<TaskKey> {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let key = |text: &str| {
            let hash = Sha256::digest(text.as_bytes());
            let hash: String = hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
            let before = seen.entry(hash.clone()).or_insert(0);
            *before += 1;
            TaskKey(format!("{hash}-{before}"))
        };
        texts.into_iter().map(key).collect()
    }
}
