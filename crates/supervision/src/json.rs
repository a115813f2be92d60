//! JSON from bytes.
//!
//! `serde_json` has a reader for bytes and one for texts, and everything that is decoded with both is compiled twice. So all is
//! decoded from texts. For the same reason a type with much in it has one function that decodes it, such as
//! [`crate::core::Input::of_json`]: whoever calls `serde_json` itself gets a copy of the code.

use std::str::Utf8Error;

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

/// The value that these bytes hold as JSON.
///
/// # Errors
/// When they are no UTF-8, or no JSON of such a value.
pub fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(error) => Err(at_its_place(bytes, error)),
    }
}

/// The error of bytes that are no UTF-8, with line and column: what stands before them is parsed, and in their place a character that
/// JSON has nowhere.
fn at_its_place(bytes: &[u8], error: Utf8Error) -> serde_json::Error {
    let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let text = format!("{}\0", String::from_utf8_lossy(before));
    serde_json::from_str::<IgnoredAny>(&text).err().unwrap_or_else(|| serde_json::Error::custom(error))
}

/// Decodes a value again that was already parsed.
///
/// # Errors
/// When it is no such value. The message names no place: there is no text that anybody could look at.
pub fn from_json_value<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> Result<T, serde_json::Error> {
    serde_json::from_str(&value.to_string()).map_err(|error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        serde_json::Error::custom(message.strip_suffix(&place).unwrap_or(&message))
    })
}

#[cfg(test)]
mod tests {
    use super::{from_json, from_json_value};
    use crate::words::CheckEnd;

    #[test]
    fn bytes_are_read_as_a_text_or_refused() {
        assert_eq!(from_json::<String>("\"é\"".as_bytes()).expect("a text"), "é");
        let message = |bytes: &[u8]| from_json::<u32>(bytes).expect_err("no number").to_string();
        assert_eq!(message(b"\xff"), "expected value at line 1 column 1");
        let in_a_text = from_json::<String>(b"\n\"a\xff\"").expect_err("no UTF-8");
        assert_eq!((in_a_text.line(), in_a_text.classify()), (2, serde_json::error::Category::Syntax), "{in_a_text}");
        assert_eq!(message(b"1 2"), "trailing characters at line 1 column 3");
    }

    #[test]
    fn a_value_that_is_no_such_one_is_refused_without_a_place() {
        let read = |value| from_json_value::<CheckEnd>(&value);
        assert_eq!(read(serde_json::json!({"exited": 3})).expect("an end"), CheckEnd::Exited(3));
        let error = read(serde_json::json!({"exited": "x"})).expect_err("no number");
        assert_eq!(error.to_string(), "invalid type: string \"x\", expected i32");
    }
}
