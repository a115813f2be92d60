//! Providers in a configuration file: the environment, settings, arguments and model with which the agent is started.
//!
//! ```json
//! {"providers": {"kimi": {
//!     "env": {"ANTHROPIC_BASE_URL": "https://api.moonshot.ai/anthropic", "ANTHROPIC_AUTH_TOKEN": {"command": "pass show kimi"}},
//!     "model": "kimi-k2"}}}
//! ```
//!
//! A value may be a secret, so no value is shown by `Debug`, by `ccc config` or in an error.

#[cfg(test)]
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::TokenPlace;
use super::token_entry::{TokenEntry, is_name};
use super::values::kind;
use crate::order::map_of;

/// The longest name of a provider.
const NAME_LIMIT_BYTES: usize = 64;
/// Replaces a value in output.
const NOT_SHOWN: &str = "(not shown)";

/// A configuration value that may contain a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Unshown<T>(T);

/// A JSON object whose content is not shown.
pub type UnshownObject = Unshown<Map<String, Value>>;

impl<T> Unshown<T> {
    /// Wraps a value that must not be shown.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for `tokens/`.
    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Unshown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_SHOWN)
    }
}

impl Serialize for Unshown<String> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(NOT_SHOWN)
    }
}

impl UnshownObject {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for UnshownObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() { self.0.serialize(serializer) } else { serializer.serialize_str(NOT_SHOWN) }
    }
}

impl<'de> Deserialize<'de> for UnshownObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
impl JsonSchema for UnshownObject {
    fn schema_name() -> Cow<'static, str> {
        "AgentSettings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

/// The source of a variable's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// The value itself.
    Given(Unshown<String>),
    /// Another place.
    From(TokenPlace),
}

/// One provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NamedProvider {
    /// Variables of the agent's environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Settings of the agent, which override those of all providers.
    #[serde(skip_serializing_if = "UnshownObject::is_empty")]
    pub settings: UnshownObject,
    /// Arguments of the agent, after those of all providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claude_args: Vec<String>,
    /// The agent's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why its name cannot be used. Other providers are not affected.
    #[serde(skip)]
    pub misnamed: Option<String>,
    /// Its other keys. In the older ccc's file they are part of `settings`; elsewhere they are an error.
    #[serde(skip)]
    pub(super) beside: Map<String, Value>,
}

/// The providers by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Providers(pub(super) BTreeMap<String, NamedProvider>);

/// The keys of one provider.
pub(super) const PROVIDER_KEYS: [&str; 4] = ["env", "settings", "claude_args", "model"];

impl Providers {
    /// The provider with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&NamedProvider> {
        self.0.get(name)
    }

    /// All providers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &NamedProvider)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The places of values, to be made absolute.
    pub(super) fn places_mut(&mut self) -> impl Iterator<Item = &mut TokenPlace> {
        self.0.values_mut().flat_map(|entry| entry.env.values_mut()).filter_map(|value| match value {
            EnvValue::From(place) => Some(place),
            EnvValue::Given(_) => None,
        })
    }

    /// The other keys of all providers, as paths: `providers.kimi.evn`.
    pub(super) fn beside(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(name, entry)| entry.beside.keys().map(move |key| format!("providers.{name}.{key}")))
    }

    /// Converts the older ccc's form, in which a provider is an object of the agent's settings.
    pub(super) fn take_beside_for_settings(&mut self) {
        for entry in self.0.values_mut() {
            let beside = std::mem::take(&mut entry.beside);
            entry.settings = Unshown::new(merged(beside, entry.settings.get().clone()));
        }
    }
}

/// Merges objects key by key; any other value in `over` replaces that in `under`.
#[must_use]
pub fn merged(mut under: Map<String, Value>, over: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in over {
        let value = match (under.remove(&key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => Value::Object(merged(under, over)),
            (_, value) => value,
        };
        under.insert(key, value);
    }
    under
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(format!("expected an object, found {}", kind(&value)))
        }
    }
}

/// Checks that a name can be typed as one word on the command line.
fn check_name(name: &str) -> Result<(), String> {
    let why = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > NAME_LIMIT_BYTES {
        format!("it is longer than {NAME_LIMIT_BYTES} bytes")
    } else if name.starts_with('-') {
        "it begins with `-`".to_owned()
    } else if name.contains(char::is_whitespace) {
        "it contains white space".to_owned()
    } else if name.contains(char::is_control) {
        "it contains a control character".to_owned()
    } else if name.contains('/') {
        "it contains `/`".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("{name:?} is not a valid name of a provider: {why}"))
}

fn env_value(value: Value) -> Result<Option<EnvValue>, String> {
    let given = |text: String| Ok(Some(EnvValue::Given(Unshown(text))));
    match value {
        Value::Null => Ok(None),
        Value::String(text) => given(text),
        Value::Bool(_) | Value::Number(_) => given(value.to_string()),
        Value::Object(_) => {
            let entry: TokenEntry = serde_json::from_value(value).map_err(|error| error.to_string())?;
            Ok(Some(EnvValue::From(entry.place)))
        }
        Value::Array(_) => Err("expected a text, or one of {\"env\"}, {\"file\"} and {\"command\"}".to_owned()),
    }
}

impl NamedProvider {
    fn read(value: Value) -> Result<Self, String> {
        let mut entry = Self { beside: object(value)?, ..Self::default() };
        let mut take = |key: &str| entry.beside.remove(key).filter(|value| !value.is_null());
        let of = |key: &str, fault: String| format!("{key}: {fault}");
        if let Some(env) = take("env") {
            for (name, value) in object(env).map_err(|fault| of("env", fault))? {
                if !is_name(&name) {
                    return Err(of("env", "the name of a variable consists of letters, digits and `_`".to_owned()));
                }
                if let Some(value) = env_value(value).map_err(|fault| of(&format!("env.{name}"), fault))? {
                    entry.env.insert(name, value);
                }
            }
        }
        if let Some(settings) = take("settings") {
            entry.settings = Unshown(object(settings).map_err(|fault| of("settings", fault))?);
        }
        if let Some(args) = take("claude_args") {
            let fault = |_| of("claude_args", "expected a list of texts".to_owned());
            entry.claude_args = serde_json::from_value(args).map_err(fault)?;
        }
        if let Some(model) = take("model") {
            let text = model.as_str().map(str::trim).filter(|text| !text.is_empty());
            entry.model = Some(text.ok_or_else(|| of("model", "expected a model's name".to_owned()))?.to_owned());
        }
        Ok(entry)
    }
}

impl<'de> Deserialize<'de> for Providers {
    // Written by hand, because a derived message would quote the values.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |(name, value): (String, Value)| {
            let mut entry = NamedProvider::read(value).map_err(|fault| format!("{name}: {fault}"))?;
            entry.misnamed = check_name(&name).err();
            Ok((name, entry))
        };
        let object = object(Value::deserialize(deserializer)?).map_err(D::Error::custom)?;
        let all: Result<Vec<_>, String> = object.into_iter().map(read).collect();
        all.map(map_of).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for EnvValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            EnvValue::Given(value) => value.serialize(serializer),
            EnvValue::From(TokenPlace::Env(name)) => json!({ "env": name }).serialize(serializer),
            EnvValue::From(TokenPlace::File(file)) => json!({ "file": file }).serialize(serializer),
            EnvValue::From(TokenPlace::Command { line, .. }) => json!({ "command": line }).serialize(serializer),
        }
    }
}

#[cfg(test)]
impl JsonSchema for Providers {
    fn schema_name() -> Cow<'static, str> {
        "Providers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let place = generator.subschema_for::<TokenEntry>();
        json_schema!({"type": "object", "additionalProperties": {"type": "object", "additionalProperties": false, "properties": {
            "env": {"type": "object", "additionalProperties": {"anyOf": [{"type": ["string", "number", "boolean", "null"]}, place]},
                    "description": "Variables of the agent's environment: a text, or where the value is."},
            "settings": {"type": "object", "description": "Settings of the agent, merged over those that all providers have."},
            "claude_args": {"type": "array", "items": {"type": "string"},
                            "description": "Arguments of the agent, after those that all providers have."},
            "model": {"type": "string", "description": "The agent's model."}
        }}})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Providers, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_read_in_all_its_parts_and_shows_no_value() {
        let written = json!({
            "kimi": {
                "env": {"ANTHROPIC_AUTH_TOKEN": "made-up-value", "API_TIMEOUT_MS": 600_000, "OLD": null,
                        "KEY": {"env": "KIMI_KEY"}, "CERT": {"file": "~/c.pem"}},
                "settings": {"permissions": {"allow": ["made-up-value"]}},
                "claude_args": ["--verbose"],
                "model": " kimi-k2 ",
            },
            "plain": {},
        });
        let providers = read(written).expect("providers");
        assert_eq!(providers.names().collect::<Vec<_>>(), ["kimi", "plain"]);
        let kimi = providers.get("kimi").expect("kimi");
        assert_eq!(
            kimi.env.keys().map(String::as_str).collect::<Vec<_>>(),
            ["ANTHROPIC_AUTH_TOKEN", "API_TIMEOUT_MS", "CERT", "KEY"]
        );
        assert_eq!(kimi.env["API_TIMEOUT_MS"], EnvValue::Given(Unshown("600000".to_owned())));
        assert_eq!(kimi.env["KEY"], EnvValue::From(TokenPlace::Env("KIMI_KEY".to_owned())));
        assert_eq!(
            (kimi.model.as_deref(), kimi.claude_args.as_slice()),
            (Some("kimi-k2"), &["--verbose".to_owned()][..])
        );
        for shown in [format!("{providers:?}"), serde_json::to_string(&providers).expect("JSON")] {
            assert!(!shown.contains("made-up") && shown.contains("KIMI_KEY") && shown.contains(NOT_SHOWN), "{shown}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place_and_without_its_value() {
        for (written, says) in [
            (json!([]), "expected an object, found an array"),
            (json!({"kimi": "made-up"}), "kimi: expected an object, found a string"),
            (json!({"kimi": {"env": "made-up"}}), "kimi: env: expected an object, found a string"),
            (json!({"kimi": {"env": {"A B": "made-up"}}}), "kimi: env: the name of a variable"),
            (json!({"kimi": {"env": {"A": ["made-up"]}}}), "kimi: env.A: expected a text"),
            (json!({"kimi": {"env": {"A": {"env": "B", "file": "c"}}}}), "kimi: env.A: a token needs exactly one of"),
            (json!({"kimi": {"settings": "made-up"}}), "kimi: settings: expected an object"),
            (json!({"kimi": {"claude_args": "made-up"}}), "kimi: claude_args: expected a list of texts"),
            (json!({"kimi": {"model": " "}}), "kimi: model: expected a model's name"),
        ] {
            let error = read(written.clone()).expect_err("a fault");
            assert!(error.contains(says) && !error.contains("made-up"), "{written}: {error}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_used_is_said_with_its_reason_and_the_others_can_be_used() {
        for (name, why) in [
            ("", "it is empty"),
            ("-p", "it begins with `-`"),
            ("a b", "it contains white space"),
            ("a\u{1}", "it contains a control character"),
            ("a/b", "it contains `/`"),
            (&"x".repeat(65), "it is longer than 64 bytes"),
        ] {
            let providers = read(json!({name: {}, "kimi": {}})).expect("the others are read");
            let misnamed = providers.get(name).expect("kept").misnamed.clone().expect("a fault");
            assert!(misnamed.ends_with(why) && misnamed.contains("is not a valid name of a provider"), "{misnamed}");
            assert_eq!(providers.get("kimi").expect("kimi").misnamed, None);
        }
    }

    #[test]
    fn objects_are_merged_and_everything_else_is_replaced() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let under = object(json!({"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}));
        let over = object(json!({"a": {"c": [3], "g": 2}, "e": 5, "h": null}));
        let both = json!({"a": {"b": 1, "c": [3], "g": 2}, "d": 1, "e": 5, "h": null});
        assert_eq!(Value::Object(merged(under, over)), both);
    }

    #[test]
    fn the_older_form_of_a_provider_is_an_object_of_settings() {
        let mut providers = read(json!({"glm": {"env": {"A": "b"}, "permissions": {"deny": ["x"]}}})).expect("read");
        assert_eq!(providers.beside().collect::<Vec<_>>(), ["providers.glm.permissions"]);
        providers.take_beside_for_settings();
        assert_eq!(providers.beside().count(), 0);
        let settings = providers.get("glm").expect("glm").settings.get().clone();
        assert_eq!(Value::Object(settings), json!({"permissions": {"deny": ["x"]}}));
    }
}
