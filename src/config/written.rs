//! Settings that are a text or a number in a file, with rules of their own: the conversions that all of them have.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::{self, Unexpected, Visitor};

/// A text, for `#[serde(try_from = "String", into = "String")]`: parsed with `FromStr`, written with `Display`.
macro_rules! written_as_text {
    ($ty:ty) => {
        impl TryFrom<String> for $ty {
            type Error = <$ty as FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$ty> for String {
            fn from(value: $ty) -> String {
                value.to_string()
            }
        }
    };
}

/// A number with bounds, for `#[serde(into = …)]`.
macro_rules! written_as_number {
    ($ty:ty, $number:ty) => {
        impl From<$ty> for $number {
            fn from(value: $ty) -> $number {
                value.0
            }
        }

        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

/// Reads a setting that is a text, or a whole number; `of_number` is `None` where a number is of the wrong type.
pub(super) fn text_or_number<'de, D: Deserializer<'de>, T: FromStr<Err: Error>>(
    deserializer: D,
    expecting: &'static str,
    of_number: fn(u64) -> Option<Result<T, T::Err>>,
) -> Result<T, D::Error> {
    struct Given<T: FromStr>(&'static str, fn(u64) -> Option<Result<T, T::Err>>);
    impl<T: FromStr<Err: Error>> Visitor<'_> for Given<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            let read = self.1(number).ok_or_else(|| E::invalid_type(Unexpected::Unsigned(number), &self))?;
            read.map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Given(expecting, of_number))
}
