//! The environment, read once, and the names of the variables that are not settings; the table defines the others.

use crate::order::map_of;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Directory of the user's configuration file, instead of the platform's.
pub const CCC_CONFIG_DIR: &str = "CCC_CONFIG_DIR";
/// Directory of runs and shared state, instead of the platform's.
pub const CCC_STATE_DIR: &str = "CCC_STATE_DIR";
/// The filter of the diagnostic log.
pub const CCC_LOG: &str = "CCC_LOG";
/// The run that a process belongs to; ccc sets it for its agents.
pub const CCC_RUN_ID: &str = "CCC_RUN_ID";
/// The process of the run from which a process descends; ccc sets it for its agents.
pub const CCC_ATTEMPT: &str = "CCC_ATTEMPT";
/// The program that reads the agent's login from the Keychain, instead of macOS's `security`.
pub const CCC_SECURITY: &str = "CCC_SECURITY";

/// Shows the conversation in lines.
pub const CCC_PLAIN: &str = "CCC_PLAIN";
/// The shell that asks what it completes; set by the scripts of `ccc completions`.
pub const CCC_COMPLETE: &str = "CCC_COMPLETE";
/// The first port that is reserved for an agent. The others are `CCC_PORT_1`, `CCC_PORT_2`, and so on.
pub const CCC_PORT: &str = "CCC_PORT";

/// The variables of ccc that are not settings, with their descriptions.
pub const OTHERS: [(&str, &str); 9] = [
    (CCC_CONFIG_DIR, "the directory of your configuration file, instead of the platform's"),
    (CCC_STATE_DIR, "the directory of runs and shared state, instead of the platform's"),
    (CCC_LOG, "what to write to the diagnostic log, such as debug"),
    (CCC_RUN_ID, "the run that a process belongs to; ccc sets it for its agents"),
    (CCC_ATTEMPT, "the process of the run that a process descends from; ccc sets it for its agents"),
    (CCC_PLAIN, "at a terminal: the conversation in lines, without anything that is drawn again"),
    (CCC_COMPLETE, "the shell that asks what it completes; set by the scripts of `ccc completions`"),
    (CCC_PORT, "the first port that is reserved for an agent, then CCC_PORT_1 and so on; ccc sets them for its agents"),
    (CCC_SECURITY, "the program that is asked for the agent's login in the Keychain, instead of macOS's `security`"),
];

/// The directory of the agent's CLI for settings, login and sessions, instead of `~/.claude` (facts §9).
pub const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// The directory for sockets of the user's session.
pub const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Where programs are searched.
pub const PATH: &str = "PATH";
/// Disables colour if set to a non-empty string.
pub const NO_COLOR: &str = "NO_COLOR";

/// The environment of a process, as a value.
///
/// `Debug` shows names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
}

impl Env {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self { vars: map_of(std::env::vars_os()) }
    }

    /// An environment made of these pairs.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        Self { vars: map_of(pairs.into_iter().map(|(name, value)| (name.into(), value.into()))) }
    }

    /// A variable's value; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// All variables with their values, sorted by name. Values may be secrets, so they may only be passed to a
    /// child's environment.
    pub fn pairs(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.vars.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The names of all variables, sorted.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.vars.keys().map(OsString::as_os_str)
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Env;

    #[test]
    fn debug_shows_names_and_no_values() {
        let env = Env::from_pairs([("ANTHROPIC_API_KEY", "sk-ant-very-secret")]);
        let shown = format!("{env:?}");
        assert!(shown.contains("ANTHROPIC_API_KEY"));
        assert!(!shown.contains("very-secret"), "{shown}");
    }

    #[test]
    fn an_empty_variable_counts_as_not_set_but_is_known_to_exist() {
        let env = Env::from_pairs([("CCC_AGENT", "")]);
        assert_eq!(env.get("CCC_AGENT"), None);
    }
}
