use std::ffi::OsString;
use std::fmt;

/// The environment that all children start from: ours, without any credential. It is the checks' as it is; agent and
/// critic get the token in use besides. Its values are never shown.
#[derive(Clone)]
pub struct ChildEnv(pub Vec<(OsString, OsString)>);

impl fmt::Debug for ChildEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildEnv").field("variables", &self.0.len()).finish()
    }
}
