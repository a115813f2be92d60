//! The CLI families by name. To add one: its folder in `agent/`, and a line in [`BUILT_IN`].

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Adapter;
use super::claude::Claude;
use super::claude_native::ClaudeNative;

/// The built-in families; the first is the default of the setting `agent.kind`.
const BUILT_IN: [AgentKind; 2] = [AgentKind::CLAUDE_CODE, AgentKind::CLAUDE_NATIVE];

/// Families that the embedding program has registered.
static REGISTERED: OnceLock<&'static [&'static dyn Adapter]> = OnceLock::new();

/// A CLI family: its [`Adapter`], represented by its name in settings and journals.
#[derive(Clone, Copy)]
pub struct AgentKind(&'static dyn Adapter);

impl AgentKind {
    /// Claude Code.
    pub const CLAUDE_CODE: AgentKind = AgentKind(&Claude);

    /// Claude Code's own interface, on the user's terminal.
    pub const CLAUDE_NATIVE: AgentKind = AgentKind(&ClaudeNative);

    /// The family of this adapter. Journals and settings can name it only after [`AgentKind::register`].
    #[must_use]
    pub const fn of(adapter: &'static dyn Adapter) -> AgentKind {
        AgentKind(adapter)
    }

    /// Registers further families by name, for a program that embeds this one. Call it once, before a journal or a
    /// setting is read; later calls have no effect.
    pub fn register(adapters: &'static [&'static dyn Adapter]) {
        REGISTERED.get_or_init(|| adapters);
    }

    /// All families that are known by name.
    pub fn all() -> impl Iterator<Item = AgentKind> {
        let registered = REGISTERED.get().copied().unwrap_or_default();
        BUILT_IN.into_iter().chain(registered.iter().map(|adapter| AgentKind(*adapter)))
    }

    /// Those that a setting may name. A CLI's own interface is not an agent of its own but another way to run one, so
    /// it is left out.
    pub fn choosable() -> impl Iterator<Item = AgentKind> {
        AgentKind::all().filter(|kind| !kind.caps("").own_interface)
    }

    /// The family that supervises this CLI's own interface; `None` when it has none.
    #[must_use]
    pub fn interface(self) -> Option<AgentKind> {
        self.interface_name().and_then(AgentKind::named)
    }

    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<AgentKind> {
        AgentKind::all().find(|kind| kind.name() == name)
    }
}

impl Default for AgentKind {
    fn default() -> Self {
        let [first, ..] = BUILT_IN;
        first
    }
}

impl Deref for AgentKind {
    type Target = dyn Adapter;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for AgentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for AgentKind {
    fn eq(&self, other: &AgentKind) -> bool {
        self.name() == other.name()
    }
}

impl Eq for AgentKind {}

impl Serialize for AgentKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for AgentKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AgentKind, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        AgentKind::named(&name)
            .ok_or_else(|| de::Error::custom(format_args!("this ccc cannot drive the agent `{name}`")))
    }
}
