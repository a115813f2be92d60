//! The rows of the settings' table, and the macro that generates the layers, the settings and the list of keys from
//! them.

use std::num::{NonZeroU32, NonZeroU64};

use clap::ArgMatches;
use clap::builder::ValueParser;
use clap::value_parser;
use serde_json::{Number, Value};

use super::{
    AgentName, CheckEntry, Cost, CriticPromptAs, FromProject, Glob, GuardMode, MemorySize, Notify, OutputFormat,
    Percent, PercentOrOff, Providers, PushTo, Reserve, Seconds, Span, TokenEntry, Transport, UnshownObject, Until,
    WhenAlone,
};

/// A setting: its name in files, the variable and the option that override it, and its description.
#[derive(Debug, Clone)]
pub struct Key {
    /// The path in a configuration file, with dots. It is also the id of the option in clap.
    pub path: &'static str,
    /// Its description: a sentence for the help, the schema and the documentation.
    pub help: String,
    /// What additionally applies in a file.
    pub in_file: &'static str,
    /// The behaviour without it, in words, if that is not a value.
    pub otherwise: Option<&'static str>,
    /// The environment variable.
    pub variable: Option<&'static str>,
    /// The command line's option.
    pub flag: Option<&'static str>,
    /// The name of the option's value in the help; empty for a switch.
    pub value_name: &'static str,
    /// The option that switches it off, which is also its id in clap, and its help.
    pub taken_back_by: Option<(&'static str, &'static str)>,
    /// Whether a project's file may set it.
    pub from_project: FromProject,
    /// The form of its value.
    pub form: Form,
    /// Parses the option's value.
    pub(crate) parser: fn() -> ValueParser,
}

/// The form that a setting's value has in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false; as an option it takes no value.
    Switch,
    /// A list; a variable gives one element, an option one per occurrence.
    List,
    /// An object; it cannot be set by a variable or an option.
    Object,
}

const fn row(from_project: FromProject) -> Key {
    Key {
        path: "",
        help: String::new(),
        in_file: "",
        otherwise: None,
        variable: None,
        flag: None,
        value_name: "",
        taken_back_by: None,
        from_project,
        form: Form::Text,
        parser: <String as Setting>::parser,
    }
}

/// A setting that a project's file may set.
pub(super) const fn free() -> Key {
    row(FromProject::Free)
}

/// A setting that a project's file may set once the user has agreed; the text describes its effect.
pub(super) const fn needs_consent(effect: &'static str) -> Key {
    row(FromProject::NeedsConsent(effect))
}

/// A setting that is an error in a project's file; the text says why.
pub(super) const fn never_from_project(why: &'static str) -> Key {
    row(FromProject::Never(why))
}

/// The builder methods of a row, after its name, type and default: `free().variable("CCC_X").option("--x", "N")`.
impl Key {
    pub(super) fn variable(self, name: &'static str) -> Self {
        Self { variable: Some(name), ..self }
    }

    pub(super) fn option(self, flag: &'static str, value_name: &'static str) -> Self {
        Self { flag: Some(flag), value_name, ..self }
    }

    pub(super) fn taken_back_by(self, flag: &'static str, help: &'static str) -> Self {
        Self { taken_back_by: Some((flag, help)), ..self }
    }

    pub(super) fn otherwise(self, words: &'static str) -> Self {
        Self { otherwise: Some(words), ..self }
    }

    pub(super) fn in_file(self, sentence: &'static str) -> Self {
        Self { in_file: sentence, ..self }
    }

    pub(super) fn of<T: Setting>(self, path: &'static str, help: &[&str]) -> Self {
        let help = help.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        Self { path, help, form: T::FORM, parser: T::parser, ..self }
    }
}

/// A type of a setting's value.
pub(super) trait Setting: Clone + Send + Sync + 'static {
    /// Its form in JSON.
    const FORM: Form;
    /// The parser of one value on the command line.
    fn parser() -> ValueParser;
    /// The value on the command line; `back` is the id of the option that switches it off.
    fn given(matches: &ArgMatches, path: &str, _back: Option<&str>) -> Option<Self> {
        matches.try_get_one::<Self>(path).ok().flatten().cloned()
    }
}

macro_rules! setting_types {
    ($($form:ident: $($ty:ty),+;)+) => {$($(
        impl Setting for $ty {
            const FORM: Form = Form::$form;
            fn parser() -> ValueParser {
                value_parser!($ty).into()
            }
        }
    )+)+};
}

setting_types! {
    Text: String, AgentName, MemorySize, Span, Seconds, Until, WhenAlone, Transport, CriticPromptAs, OutputFormat, GuardMode, PushTo;
    Number: u32, Percent, PercentOrOff, Cost;
}

macro_rules! counts {
    ($($ty:ty),+) => {$(
        impl Setting for $ty {
            const FORM: Form = Form::Number;
            fn parser() -> ValueParser {
                ValueParser::new(|text: &str| text.parse::<Self>().map_err(|_| "it must be a whole number above zero"))
            }
        }
    )+};
}

counts!(NonZeroU32, NonZeroU64);

impl Setting for bool {
    const FORM: Form = Form::Switch;
    fn parser() -> ValueParser {
        value_parser!(bool)
    }
    fn given(matches: &ArgMatches, path: &str, back: Option<&str>) -> Option<Self> {
        let is_set = |id: &str| matches.try_get_one::<bool>(id).is_ok_and(|set| set == Some(&true));
        if is_set(path) { Some(true) } else { back.filter(|flag| is_set(flag)).map(|_| false) }
    }
}

impl Setting for Vec<CheckEntry> {
    const FORM: Form = Form::List;
    fn parser() -> ValueParser {
        value_parser!(String)
    }
    fn given(matches: &ArgMatches, path: &str, _: Option<&str>) -> Option<Self> {
        let commands = matches.try_get_many::<String>(path).ok().flatten()?;
        Some(commands.cloned().map(CheckEntry::Command).collect())
    }
}

impl Setting for Vec<Glob> {
    const FORM: Form = Form::List;
    fn parser() -> ValueParser {
        value_parser!(Glob).into()
    }
    fn given(matches: &ArgMatches, path: &str, _: Option<&str>) -> Option<Self> {
        Some(matches.try_get_many::<Glob>(path).ok().flatten()?.cloned().collect())
    }
}

/// Types that no option can set.
macro_rules! in_files_only {
    ($($form:ident: $($ty:ty),+;)+) => {$($(
        impl Setting for $ty {
            const FORM: Form = Form::$form;
            fn parser() -> ValueParser {
                value_parser!(String)
            }
            fn given(_: &ArgMatches, _: &str, _: Option<&str>) -> Option<Self> {
                None
            }
        }
    )+)+};
}

in_files_only! {
    List: Vec<String>, Vec<TokenEntry>, Vec<Reserve>, Notify;
    Object: Providers, UnshownObject;
}

/// Paths are unique.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Key {
    /// The key's place in a JSON value, for [`serde_json::Value::pointer`].
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/{}", self.path.replace('.', "/"))
    }

    /// The JSON value of a variable's text: the number, boolean, text or list that a file would contain.
    pub(super) fn variable_value(&self, text: &str) -> Value {
        let whole = || Value::String(text.to_owned());
        match self.form {
            Form::Text | Form::Object => whole(),
            Form::List => Value::Array(vec![whole()]),
            Form::Number => serde_json::from_str::<Number>(text.trim()).map_or_else(|_| whole(), Value::Number),
            Form::Switch => match text.trim().to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Value::Bool(true),
                "0" | "false" | "no" | "off" => Value::Bool(false),
                _ => whole(),
            },
        }
    }
}

/// A value that can override another one of its type.
pub(super) trait Overlay {
    /// This value where it is set, otherwise `under`.
    fn over(self, under: Self) -> Self;
}

impl<T> Overlay for Option<T> {
    fn over(self, under: Self) -> Self {
        self.or(under)
    }
}

/// Generates [`super::Layer`], [`super::Settings`], their groups and [`super::KEYS`] from the table's rows. A row is
/// the help as a doc comment, a name, the type with its default (without a default the setting may be absent), and
/// the other names; a group has the names of two types and rows of its own.
macro_rules! settings {
    (@layer $ty:ty) => { $ty };
    (@settings $Group:ident) => { $Group };
    (@settings ($ty:ty)) => { Option<$ty> };
    (@settings ($ty:ty) $default:expr) => { $ty };
    (@settled $given:expr, $Group:ident) => { $given.settled() };
    (@settled $given:expr, ($ty:ty)) => { $given };
    (@settled $given:expr, ($ty:ty) $default:expr) => { $given.unwrap_or_else(|| $default) };
    (@keys $name:ident, $help:expr, $Group:ident) => { $Group::keys() };
    (@keys $name:ident, $help:expr, ($ty:ty) $names:expr) => { vec![$names.of::<$ty>(stringify!($name), &$help)] };
    (@given $matches:ident, $name:ident $Group:ident) => { $Group::given($matches) };
    (@given $matches:ident, $name:ident ($ty:ty)) => { given($matches, stringify!($name)) };
    ($(
        $(#[doc = $doc:literal])+
        $name:ident
        $(= ($GroupLayer:ident, $GroupSettings:ident) {$(
            $(#[doc = $inner_doc:literal])+
            $inner:ident: $inner_ty:ty $(= $inner_default:expr)? => $inner_names:expr;
        )+})?
        $(: $ty:ty $(= $default:expr)? => $names:expr;)?
    )+) => {
        /// One layer of configuration: everything is optional, and what is absent is decided by a lower layer.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(test, derive(JsonSchema))]
        #[serde(default)]
        #[cfg_attr(test, schemars(title = "Configuration of ccc"))]
        pub struct Layer {$(
            $(#[doc = $doc])+
            #[serde(deserialize_with = "null_is_nothing")]
            pub $name: settings!(@layer $($GroupLayer)? $(Option<$ty>)?),
        )+}

        /// The user's settings after all layers: every setting with a default has a value.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: settings!(@settings $($GroupSettings)? $(($ty) $($default)?)?),)+
            /// All layers merged, without the defaults.
            #[serde(skip)]
            pub given: Layer,
        }

        $($(
            #[doc = concat!("What a layer says in `", stringify!($name), "`.")]
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(test, derive(JsonSchema))]
            #[serde(default)]
            pub struct $GroupLayer {
                $($(#[doc = $inner_doc])+ pub $inner: Option<$inner_ty>,)+
            }

            #[doc = concat!("The settings in `", stringify!($name), "`.")]
            #[derive(Debug, Clone, PartialEq, Serialize)]
            pub struct $GroupSettings {
                $($(#[doc = $inner_doc])+ pub $inner: settings!(@settings ($inner_ty) $($inner_default)?),)+
            }

            impl Overlay for $GroupLayer {
                fn over(self, under: Self) -> Self {
                    Self {$($inner: self.$inner.over(under.$inner),)+}
                }
            }

            impl $GroupLayer {
                fn settled(self) -> $GroupSettings {
                    $GroupSettings {$($inner: settings!(@settled self.$inner, ($inner_ty) $($inner_default)?),)+}
                }

                fn keys() -> Vec<Key> {
                    vec![$($inner_names.of::<$inner_ty>(
                        concat!(stringify!($name), ".", stringify!($inner)), &[$($inner_doc),+],
                    ),)+]
                }

                fn given(matches: &ArgMatches) -> Self {
                    Self {$($inner: given(matches, concat!(stringify!($name), ".", stringify!($inner))),)+}
                }
            }
        )?)+

        impl Overlay for Layer {
            fn over(self, under: Self) -> Self {
                Self {$($name: self.$name.over(under.$name),)+}
            }
        }

        impl Layer {
            /// The settings of this layer, with the defaults for keys that it does not set.
            #[must_use]
            pub(super) fn settled(self) -> Settings {
                let given = self.clone();
                Settings {$($name: settings!(@settled self.$name, $($GroupSettings)? $(($ty) $($default)?)?),)+ given}
            }

            /// The settings on the command line.
            pub(crate) fn given(matches: &ArgMatches) -> Self {
                Self {$($name: settings!(@given matches, $name $($GroupLayer)? $(($ty))?),)+}
            }
        }

        /// All settings, in the order in which they are shown.
        pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
            [$(settings!(@keys $name, [$($doc),+], $($GroupLayer)? $(($ty) $names)?)),+].concat()
        });
    };
}
