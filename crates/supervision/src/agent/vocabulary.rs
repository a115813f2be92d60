/// The words of a CLI's protocol, its tools and its command line. They say nothing about a user, and decisions depend on
/// them; a copy of a run without texts keeps them.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Names of members of its messages, and of its tools' inputs.
    pub members: &'static [&'static str],
    /// Texts that are kept where they are the whole of a string: types, states, classes of errors.
    pub values: &'static [&'static str],
    /// Names of tools: kept where they are the whole of a string, begin a rule (`Bash(…)`) or stand in an argument.
    pub tools: Vec<&'static str>,
    /// Words that are kept within any text, between anything but letters and digits.
    pub words: &'static [&'static str],
    /// Pieces of text that are kept within any text.
    pub phrases: Vec<&'static str>,
    /// How much of the beginning of a line is kept, in bytes.
    pub kept_bytes: Option<fn(&str) -> usize>,
    /// Whether an argument is the name of one of its options.
    pub is_option: Option<fn(&str) -> bool>,
}
