//! The keys, as `?` shows them.

/// Each key with what it does.
pub(super) const KEYS: [(&str, &str); 19] = [
    ("↑ ↓  k j", "select an agent"),
    ("Home End", "select the first or the last agent"),
    ("PgUp PgDn", "scroll what the selected agent does"),
    ("Enter", "attach to the agent; Ctrl-D comes back"),
    ("s", "send it a message: its next turn"),
    ("a", "answer what it asks, or the oldest question of all"),
    ("i  Tab", "the questions of all agents, the oldest first"),
    ("p", "pause it"),
    ("c", "let it continue"),
    ("x", "stop it, or take it out of the queue; its session is kept"),
    ("d", "show its changes (ccc diff)"),
    ("m", "merge its branch (ccc merge)"),
    ("n", "start a new agent (ccc new)"),
    ("Esc", "leave a text; it is kept for the next time"),
    ("Alt-Enter", "break the line in a text"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "suspend; fg comes back"),
    ("! (no key)", "marks an agent that changes the same files as another"),
    ("q  Ctrl-C", "leave; the agents continue"),
];
