use std::ffi::OsString;
use std::fmt;

/// The base environment of all children: that of ccc without any credential. Checks get it unchanged; the agent and the critic
/// also get the token in use. Its values are never shown.
#[derive(Clone)]
pub struct ChildEnv(pub Vec<(OsString, OsString)>);

impl fmt::Debug for ChildEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildEnv").field("variables", &self.0.len()).finish()
    }
}
