use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word in a file that a newer ccc may have written: a word that this ccc knows, or the text itself. So an outcome or a kind
/// of run that is newer than this ccc does not count as damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// A word that this ccc knows.
    Known(T),
    /// A word of a newer ccc.
    Other(String),
}

impl<T: PartialEq> Word<T> {
    /// Whether it is the known word `known`.
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
        // The text is borrowed only here, so the known value must not borrow from it.
        let text: StrDeserializer<'_, Error> = word.as_str().into_deserializer();
        Ok(T::deserialize(text).map(Word::Known).unwrap_or(Word::Other(word)))
    }
}
