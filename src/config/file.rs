use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::decode::{decode, plain};
use super::values::kind;
use super::{ConfigError, FileFault, Layer, Position, Providers, TokenPlace};
use crate::files::{self, CONFIGURATION};

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct FileLayer {
    /// The path.
    pub path: PathBuf,
    /// Its settings; relative paths are already resolved against its directory.
    pub layer: Layer,
    /// The same as written.
    pub written: Layer,
    /// Unknown keys.
    pub unknown: Vec<UnknownKey>,
}

/// A key of a file that is not a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key with its path.
    pub key: String,
    /// Where it ends.
    pub position: Option<Position>,
}

/// Reads one configuration file; `None` when there is none. `home` replaces `~/` in it.
///
/// # Errors
/// When the file exists and cannot be read or parsed.
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

/// Resolves the paths of a layer against its directory. A bare program name stays unchanged, because it is searched
/// on PATH.
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
    for place in layer.providers.iter_mut().flat_map(Providers::places_mut) {
        if let TokenPlace::File(path) = place {
            *path = absolute(path).to_string_lossy().into_owned();
        }
    }
    if let Some(path) = &mut layer.critic.prompt_file
        && !path.is_empty()
    {
        *path = absolute(path).to_string_lossy().into_owned();
    }
}

/// The settings in a file's bytes, and its unknown keys.
///
/// # Errors
/// When the bytes are no valid configuration; then none of them may be used.
pub fn parse_file(bytes: &[u8]) -> Result<(Layer, Vec<UnknownKey>), FileFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| FileFault::NotUtf8 { offset: error.valid_up_to() })?;
    // Some editors write a byte order mark, which JSON does not allow.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text)
        .map_err(|error| FileFault::Syntax { position: position(&error), message: message(&error) })?;
    let Value::Object(object) = &value else {
        return Err(FileFault::NotAnObject { found: kind(&value) });
    };
    let decoded = decode(object);
    // The typed reader sees the text and knows the position; the decoder knows the key. Both report the same fault if
    // their messages are equal, or if it is the only fault.
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
    // Only the typed reader detects a duplicate key, or a first value of it that is invalid.
    if let Some((position, message)) = place {
        return Err(FileFault::Twice { position, message });
    }
    let beside: Vec<String> = decoded.layer.providers.iter().flat_map(Providers::beside).collect();
    let unknown =
        decoded.unknown.into_iter().chain(beside).map(|key| UnknownKey { position: position_of(text, &key), key });
    Ok((decoded.layer, unknown.collect()))
}

/// The position of a key in a JSON text, by its path: its end, as the parser counts.
fn position_of(text: &str, path: &str) -> Option<Position> {
    let whole = [path];
    let parts: Vec<&str> = path.split('.').collect();
    [&whole[..], &parts].into_iter().find_map(|path| {
        let mut reader = serde_json::Deserializer::from_str(text);
        // At the key the search stops with an error of its own, to which the parser adds the position.
        Seek(path).deserialize(&mut reader).err().map(|error| position(&error))
    })
}

/// Reads until it reaches the key at the end of this path.
struct Seek<'a>(&'a [&'a str]);

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
            match self.0 {
                [key] if name == *key => return Err(A::Error::custom("here")),
                [group, below @ ..] if name == *group && !below.is_empty() => map.next_value_seed(Seek(below))?,
                [..] => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn position(error: &serde_json::Error) -> Position {
    Position { line: error.line(), column: error.column() }
}

/// The parser's message without the position that it appends.
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
            ("{\"transport\": {\"pty\": null}}", "transport", "an object is not possible"),
            ("{\"critic\": {\"prompt\": {\"system\": null}}}", "critic.prompt", "an object is not possible"),
        ] {
            match parse_file(text.as_bytes()) {
                Err(FileFault::Key { key: found, message, .. }) => {
                    assert!(found == key && message.contains(words), "{found}: {message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    /// Found by the fuzz target `config`: the error was that the text is not JSON.
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
