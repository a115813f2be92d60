//! One line of a journal: what an input or an action is recorded with.
//!
//! The journal itself, with its files and its order, is the host's. The line is decoded here because a replay decodes millions of
//! them: this crate is compiled for speed, and most of the host for size.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Input, Plan, Tick};
use crate::json::from_json;

/// The file of a big input or action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256 of the content in hexadecimal, which is its file name in `blobs/`.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// The kind of input or action, for people who read the journal.
    pub kind: String,
}

/// Entries that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first missing number.
    pub from: u64,
    /// The last missing number.
    pub to: u64,
    /// Why the first of them could not be written.
    pub error: String,
}

/// One line after the header, as a reader sees it. Exactly one of the five fields after the time is set; none in a `synced`
/// line, or in a kind of line that only a newer ccc knows. A `null` in one of them is damage.
#[derive(Debug, Deserialize)]
#[serde(bound = "I: DeserializeOwned")]
pub struct JournalLine<I> {
    /// The number of the entry.
    pub n: Option<u64>,
    /// When it was written.
    pub t: Option<Tick>,
    /// A fact that reached the core.
    #[serde(rename = "in", default, deserialize_with = "present")]
    pub input: Option<I>,
    /// An action of the core, as it was encoded.
    #[serde(default, deserialize_with = "present")]
    pub act: Option<Box<RawValue>>,
    /// A big input.
    #[serde(default, deserialize_with = "present")]
    pub in_blob: Option<BlobRef>,
    /// A big action.
    #[serde(default, deserialize_with = "present")]
    pub act_blob: Option<BlobRef>,
    /// Entries that could not be written.
    #[serde(default, deserialize_with = "present")]
    pub gap: Option<Gap>,
    /// The last entry that is on the disk.
    pub synced: Option<u64>,
}

/// A field that is present must have a value: accepting `null` would silently skip an entry.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl JournalLine<Input> {
    /// Decodes a line of an agent's run.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_input(line: &[u8]) -> Result<Self, serde_json::Error> {
        from_json(line)
    }
}

impl Input {
    /// Decodes an input.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Plan {
    /// Decodes a plan.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, JournalLine};

    #[test]
    fn a_null_in_the_place_of_an_entry_is_damage_and_an_unknown_field_is_not() {
        let line = |text: &str| JournalLine::<Input>::of_input(text.as_bytes());
        let entry = line(r#"{"n":1,"t":2,"in":{"elapsed":{"unix_ms":3}},"later":0}"#).expect("an entry");
        assert!(matches!(entry.input, Some(Input::Elapsed { unix_ms: 3 })), "{entry:?}");
        let mark = line(r#"{"synced":7}"#).expect("a mark");
        assert!(mark.synced == Some(7) && mark.input.is_none() && mark.act.is_none(), "{mark:?}");
        for field in ["in", "in_blob", "act_blob", "gap"] {
            assert!(line(&format!(r#"{{"n":1,"t":2,"{field}":null}}"#)).is_err(), "{field}");
        }
    }
}
