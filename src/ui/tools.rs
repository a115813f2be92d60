use std::collections::VecDeque;

use super::clean;
use crate::core::Tick;

/// Tools that may be open at once and still be named; the oldest is forgotten first.
const OPEN_TOOLS: usize = 64;

/// Characters of a tool's name.
const NAME_CHARS: usize = 60;

/// The tools that run.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools(VecDeque<Tool>);

#[derive(Debug, Clone)]
struct Tool {
    id: String,
    name: String,
    since: Tick,
}

impl Tools {
    pub(super) fn started(&mut self, id: &str, name: &str, now: Tick) {
        if self.0.len() == OPEN_TOOLS {
            self.0.pop_front();
        }
        self.0.push_back(Tool { id: id.to_owned(), name: clean::one_line(name, NAME_CHARS), since: now });
    }

    /// The name of the one that ended, when its start is known.
    pub(super) fn ended(&mut self, id: &str) -> Option<String> {
        let at = self.0.iter().position(|tool| tool.id == id)?;
        self.0.remove(at).map(|tool| tool.name)
    }

    /// The process that ran them is gone, or another one is looked at.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The one that has run for longest, since when, and how many there are.
    pub(super) fn oldest(&self) -> Option<(&str, Tick, usize)> {
        self.0.front().map(|tool| (tool.name.as_str(), tool.since, self.0.len()))
    }
}
