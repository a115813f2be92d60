/// The words of a CLI's protocol, tools and command line. They say nothing about a user, and decisions depend on
/// them, so an export without texts keeps them.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Member names of its messages and of its tools' inputs.
    pub members: &'static [&'static str],
    /// Strings that are kept when they are a complete value: types, states, error classes.
    pub values: &'static [&'static str],
    /// Tool names: kept when they are a complete value, begin a rule (`Bash(…)`) or occur in an argument.
    pub tools: Vec<&'static str>,
    /// Words that are kept within any text, when no letter or digit adjoins them.
    pub words: &'static [&'static str],
    /// Substrings that are kept within any text.
    pub phrases: Vec<&'static str>,
    /// How many bytes at the beginning of a line are kept.
    pub kept_bytes: Option<fn(&str) -> usize>,
    /// Whether an argument is the name of one of its options.
    pub is_option: Option<fn(&str) -> bool>,
}
