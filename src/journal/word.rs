use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word of a file that a newer ccc may have written: one that this ccc knows, or the word as it stands there. So a file
/// is not damaged by an outcome or a kind of run that did not exist when this ccc was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// One of ours.
    Known(T),
    /// One of a newer ccc.
    Other(String),
}

impl<T: PartialEq> Word<T> {
    /// Whether it is this one.
    pub fn is(&self, known: &T) -> bool {
        matches!(self, Word::Known(word) if word == known)
    }
}

impl<T> From<T> for Word<T> {
    fn from(known: T) -> Self {
        Word::Known(known)
    }
}

impl<T: Serialize> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Word::Known(known) => known.serialize(serializer),
            Word::Other(word) => serializer.serialize_str(word),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        // The word's own text is borrowed for a moment only, so the known one must not borrow from it.
        let text: StrDeserializer<'_, Error> = word.as_str().into_deserializer();
        Ok(T::deserialize(text).map(Word::Known).unwrap_or(Word::Other(word)))
    }
}
