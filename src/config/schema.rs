//! The published schema of a configuration file.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Form, FromProject, KEYS, Key, Layer};

/// What the types of the settings give as a schema, without what the table of settings says. It is made by a test, because the
/// program would need 150 kB of code to make it.
const OF_TYPES: &str = include_str!("schema.json");

/// The JSON schema of a configuration file, as published by `ccc config schema`.
#[must_use]
pub fn schema() -> Value {
    let mut schema: Value = serde_json::from_str(OF_TYPES).unwrap_or_default();
    for key in KEYS.iter() {
        let place = match key.path.split_once('.') {
            None => format!("/properties/{}", key.path),
            Some((group, name)) => {
                let reference = schema["properties"][group]["$ref"].as_str().unwrap_or_default();
                format!("{}/properties/{name}", reference.trim_start_matches('#'))
            }
        };
        if let Some(setting) = schema.pointer_mut(&place) {
            setting["description"] = json!(key.description());
            setting["default"] = key.default();
        }
        // A group is described once, at the group itself.
        if let Some((group, _)) = place.trim_start_matches('/').rsplit_once("/properties/")
            && let Some(Value::Object(group)) = schema.pointer_mut(&format!("/{group}"))
        {
            group.remove("description");
        }
    }
    schema
}

/// The defaults of all settings, cached because each start reads each key for the help.
static DEFAULTS: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(Layer::default().settled()).unwrap_or_default());

impl Key {
    /// Its default as JSON; `null` where there is none.
    #[must_use]
    pub fn default(&self) -> Value {
        DEFAULTS.pointer(&self.pointer()).cloned().unwrap_or_default()
    }

    /// Its description in the schema: what it does, and what applies in a file.
    fn description(&self) -> String {
        let default = self.otherwise.map(|words| format!("Default: {words}."));
        let refused = matches!(self.from_project, FromProject::Never(_)).then_some("A project's file cannot set it.");
        let parts = [Some(self.help.as_str()), Some(self.in_file), default.as_deref(), refused];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Its default as text for the user; `None` when there is nothing to say.
    #[must_use]
    pub fn default_in_words(&self) -> Option<String> {
        let of_value = || match (self.form, self.default()) {
            (Form::Switch | Form::List | Form::Object, _) | (_, Value::Null) => None,
            (_, Value::String(text)) => Some(text),
            (_, value) => Some(value.to_string()),
        };
        self.otherwise.map(str::to_owned).or_else(of_value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemars::schema_for;
    use serde_json::Value;

    use super::{OF_TYPES, schema};
    use crate::config::{KEYS, Layer, RESUME_OPTIONS, RUN_OPTIONS};

    /// The schema of the types, without the descriptions that the table replaces.
    fn of_types() -> String {
        let mut schema = schema_for!(Layer).to_value();
        let definitions = schema["$defs"].as_object().expect("definitions").clone();
        let groups = schema["properties"].as_object().expect("groups").values();
        let groups: BTreeSet<String> = groups
            .filter_map(|group| Some(group["$ref"].as_str()?.trim_start_matches("#/$defs/").to_owned()))
            .collect();
        undescribed(&mut schema);
        for name in definitions.keys().filter(|name| groups.contains(*name)) {
            undescribed(&mut schema["$defs"][name]);
        }
        format!("{}\n", serde_json::to_string(&schema).expect("JSON"))
    }

    /// Takes the descriptions of an object's properties out.
    fn undescribed(schema: &mut Value) {
        for property in schema["properties"].as_object_mut().into_iter().flat_map(|properties| properties.values_mut())
        {
            if let Some(property) = property.as_object_mut() {
                property.remove("description");
            }
        }
    }

    #[test]
    fn the_kept_schema_is_that_of_the_types() {
        let schema = of_types();
        if std::env::var_os("CCC_WRITE_PAGE").is_some() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/schema.json");
            std::fs::write(path, &schema).expect("written");
        } else {
            assert!(
                schema == OF_TYPES,
                "to write src/config/schema.json: CCC_WRITE_PAGE=1 cargo nextest run the_kept_schema"
            );
        }
    }

    /// The leaves of the schema, following references into its definitions.
    fn leaves(root: &Value, node: &Value, prefix: &str, out: &mut BTreeSet<String>) {
        let properties = node["properties"].as_object().expect("an object schema");
        for (name, child) in properties {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let target = child["$ref"]
                .as_str()
                .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
                .filter(|target| target.get("properties").is_some());
            match target {
                Some(target) => leaves(root, target, &path, out),
                None => {
                    out.insert(path);
                }
            }
        }
    }

    #[test]
    fn every_key_of_the_schema_is_in_the_table_and_none_besides() {
        let schema = schema();
        let mut published = BTreeSet::new();
        leaves(&schema, &schema, "", &mut published);
        let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        assert_eq!(published, known);
    }

    #[test]
    fn every_row_with_an_option_has_its_place_in_the_help_and_no_name_stands_twice() {
        let options = KEYS.iter().filter(|key| key.flag.is_some_and(|flag| flag != "--"));
        let options: BTreeSet<&str> = options.map(|key| key.path).collect();
        assert_eq!(RUN_OPTIONS.iter().copied().collect::<BTreeSet<_>>(), options);
        assert!(RESUME_OPTIONS.iter().all(|(path, said)| said.is_none() || options.contains(path)));
        for names in [
            KEYS.iter().filter_map(|key| key.variable).collect::<Vec<_>>(),
            KEYS.iter().filter_map(|key| key.flag).collect(),
        ] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }
}
