use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::decode::{decode, kind, plain};
use super::{ConfigError, FileFault, Layer, Position, TokenPlace};

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct FileLayer {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says; relative paths in it are already taken from its directory.
    pub layer: Layer,
    /// Keys that mean nothing, with their paths.
    pub unknown: Vec<String>,
}

/// Reads one configuration file; `None` when there is none. `home` is what `~/` stands for in it.
///
/// # Errors
/// When the file is there and cannot be read or understood.
pub fn load_file(path: &Path, home: &Path) -> Result<Option<FileLayer>, ConfigError> {
    let fault = |fault| ConfigError::File { path: path.to_path_buf(), fault };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        // `NotADirectory`: something on the way is a file, so the file itself is not there either.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(None);
        }
        Err(error) => return Err(fault(FileFault::Unreadable(error))),
    };
    let (mut layer, unknown) = parse_file(&bytes).map_err(fault)?;
    let base = path.parent().unwrap_or(Path::new(""));
    rebase(&mut layer, base, home);
    Ok(Some(FileLayer { path: path.to_path_buf(), layer, unknown }))
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

/// What a file's bytes say, and the keys in them that mean nothing, with their paths.
///
/// # Errors
/// When the bytes are no configuration; nothing of them is to be used then.
pub fn parse_file(bytes: &[u8]) -> Result<(Layer, Vec<String>), FileFault> {
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
    Ok((decoded.layer, decoded.unknown))
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
    fn a_fault_names_its_place() {
        match parse_file(b"{\n  \"grace\": \"3\"\n}") {
            Err(FileFault::Key { key, position: Some(Position { line: 2, .. }), .. }) => assert_eq!(key, "grace"),
            other => panic!("{other:?}"),
        }
    }
}
