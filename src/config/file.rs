use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::decode::{decode, kind, plain};
use super::{ConfigError, FileFault, Layer, Position, TokenPlace};
use crate::files::{self, CONFIGURATION};

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct FileLayer {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says; relative paths in it are already taken from its directory.
    pub layer: Layer,
    /// The same as it is written.
    pub written: Layer,
    /// Keys that mean nothing.
    pub unknown: Vec<UnknownKey>,
}

/// A key of a file that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key with its path.
    pub key: String,
    /// Where it ends.
    pub position: Option<Position>,
}

/// Reads one configuration file; `None` when there is none. `home` is what `~/` stands for in it.
///
/// # Errors
/// When the file is there and cannot be read or understood.
pub fn load_file(path: &Path, home: &Path) -> Result<Option<FileLayer>, ConfigError> {
    let fault = |fault| ConfigError::File { path: path.to_path_buf(), fault };
    let read = files::read_if_there(path, CONFIGURATION).map_err(|error| fault(FileFault::Unreadable(error)))?;
    let Some(bytes) = read else { return Ok(None) };
    let (mut layer, unknown) = parse_file(&bytes).map_err(fault)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let written = layer.clone();
    rebase(&mut layer, base, home);
    Ok(Some(FileLayer { path: path.to_path_buf(), layer, written, unknown }))
}

/// Makes the paths of a layer independent of where it stood. A bare program name stays one: it is for PATH.
pub(super) fn rebase(layer: &mut Layer, base: &Path, home: &Path) {
    let absolute = |text: &str| match text.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => base.join(text.strip_prefix("./").unwrap_or(text)),
    };
    if let Some(path) = &mut layer.agent.path
        && path.contains('/')
    {
        *path = absolute(path).to_string_lossy().into_owned();
    }
    for entry in layer.tokens.iter_mut().flatten() {
        if let TokenPlace::File(path) = &mut entry.place {
            *path = absolute(path).to_string_lossy().into_owned();
        }
    }
    if let Some(path) = &mut layer.critic.prompt_file
        && !path.is_empty()
    {
        *path = absolute(path).to_string_lossy().into_owned();
    }
}

/// What a file's bytes say, and the keys in them that mean nothing.
///
/// # Errors
/// When the bytes are no configuration; nothing of them is to be used then.
pub fn parse_file(bytes: &[u8]) -> Result<(Layer, Vec<UnknownKey>), FileFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| FileFault::NotUtf8 { offset: error.valid_up_to() })?;
    // Some editors begin a file with a byte order mark; JSON does not know it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text)
        .map_err(|error| FileFault::Syntax { position: position(&error), message: message(&error) })?;
    let Value::Object(object) = &value else {
        return Err(FileFault::NotAnObject { found: kind(&value) });
    };
    let decoded = decode(object);
    // The typed reader sees the text and so knows the place; the decoder knows the key. It is the same fault when
    // both say the same about it, or when it is the only one.
    let typed = serde_json::from_str::<Layer>(text).err();
    let place = typed.as_ref().map(|error| (position(error), message(error)));
    let alone = decoded.faults.len() == 1;
    let same = |fault_message: &str| {
        place.as_ref().filter(|(_, said)| alone || said == fault_message).map(|(position, _)| *position)
    };
    let chosen = decoded.faults.iter().find(|fault| same(&fault.message).is_some()).or(decoded.faults.first());
    if let Some(fault) = chosen {
        return Err(FileFault::Key {
            key: fault.key.clone(),
            position: same(&fault.message),
            message: fault.message.clone(),
        });
    }
    // Only the typed reader sees a key that stands in the file twice, or that its first value does not fit.
    if let Some((position, message)) = place {
        return Err(FileFault::Twice { position, message });
    }
    let unknown = decoded.unknown.into_iter().map(|key| UnknownKey { position: position_of(text, &key), key });
    Ok((decoded.layer, unknown.collect()))
}

/// Where a key stands in a text that is JSON, by its path with one dot at most: its end, as the parser counts.
fn position_of(text: &str, path: &str) -> Option<Position> {
    let mut places = vec![("", path)];
    places.extend(path.split_once('.'));
    places.into_iter().find_map(|(group, key)| {
        let group = (!group.is_empty()).then_some(group);
        let mut reader = serde_json::Deserializer::from_str(text);
        // The search ends with an error of its own at the key, and the parser adds the place to it.
        Seek { group, key }.deserialize(&mut reader).err().map(|error| position(&error))
    })
}

/// Reads on until a key is met, below a group when there is one.
struct Seek<'a> {
    group: Option<&'a str>,
    key: &'a str,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.group {
                None if name == self.key => return Err(A::Error::custom("here")),
                Some(group) if name == group => map.next_value_seed(Seek { group: None, key: self.key })?,
                None | Some(_) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn position(error: &serde_json::Error) -> Position {
    Position { line: error.line(), column: error.column() }
}

/// The parser's message without the place, which it appends.
fn message(error: &serde_json::Error) -> String {
    let full = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    plain(full.strip_suffix(&suffix).unwrap_or(&full))
}

#[cfg(test)]
mod tests {
    use super::{FileFault, parse_file};
    use crate::config::{Layer, Position};

    #[test]
    fn a_group_that_is_null_says_nothing() {
        let (layer, unknown) =
            parse_file(b"{\"agent\": null, \"critic\": {\"model\": null}, \"budgets\": null}").unwrap();
        assert_eq!((layer, unknown), (Layer::default(), Vec::new()));
    }

    #[test]
    fn what_the_schema_does_not_know_is_not_taken_for_a_value() {
        for (text, key, words) in [
            ("{\"agent.path\": \"/bin/claude\"}", "agent.path", "{\"agent\": {\"path\": …}}"),
            ("{\"transport\": {\"pty\": null}}", "transport", "does not take an object"),
            ("{\"critic\": {\"prompt\": {\"system\": null}}}", "critic.prompt", "does not take an object"),
        ] {
            match parse_file(text.as_bytes()) {
                Err(FileFault::Key { key: found, message, .. }) => {
                    assert!(found == key && message.contains(words), "{found}: {message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    /// Found by the fuzz target `config`: it was said to be no JSON.
    #[test]
    fn a_key_that_stands_twice_is_said_to() {
        for text in ["{\"grace\": \"3s\",\n\"grace\": \"4s\"}", "{\"no_wait\":\n 1, \"no_wait\": true}"] {
            match parse_file(text.as_bytes()) {
                Err(FileFault::Twice { position: Position { line: 2, .. }, .. }) => {}
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_key_that_nobody_knows_is_found_with_its_place() {
        let text = b"{\n  \"budgets\": {\"max_iterations\": 3,\n    \"max_cost\": 5},\n\"zebra\": {\"max_cost\": 1}}";
        let (_, unknown) = parse_file(text).unwrap();
        let found: Vec<_> = unknown.iter().map(|unknown| (unknown.key.as_str(), unknown.position)).collect();
        let at = |line, column| Some(Position { line, column });
        assert_eq!(found, [("budgets.max_cost", at(3, 14)), ("zebra", at(4, 7))]);
    }

    #[test]
    fn a_fault_names_its_place() {
        match parse_file(b"{\n  \"grace\": \"3\"\n}") {
            Err(FileFault::Key { key, position: Some(Position { line: 2, .. }), .. }) => assert_eq!(key, "grace"),
            other => panic!("{other:?}"),
        }
    }
}
