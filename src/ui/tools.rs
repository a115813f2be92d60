use std::collections::VecDeque;

use super::clean;
use crate::agent::Edit;
use crate::core::Tick;

/// How many open tools are remembered. When there are more, the oldest is forgotten.
const OPEN_TOOLS: usize = 64;

/// How many characters of a tool's name are shown.
const NAME_CHARS: usize = 60;

/// The running tools.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools(VecDeque<Tool>);

#[derive(Debug, Clone)]
pub(super) struct Tool {
    id: String,
    pub(super) name: String,
    since: Tick,
    /// The change that is shown when the tool has ended.
    pub(super) edit: Option<Edit>,
}

impl Tools {
    pub(super) fn started(&mut self, id: &str, name: &str, now: Tick, edit: Option<&Edit>) {
        if self.0.len() == OPEN_TOOLS {
            self.0.pop_front();
        }
        let name = clean::one_line(name, NAME_CHARS);
        self.0.push_back(Tool { id: id.to_owned(), name, since: now, edit: edit.cloned() });
    }

    /// Removes a tool that ended, and returns it if its start was seen.
    pub(super) fn ended(&mut self, id: &str) -> Option<Tool> {
        let at = self.0.iter().position(|tool| tool.id == id)?;
        self.0.remove(at)
    }

    /// Forgets all tools, because their process has ended or another one is shown.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The tool that has run for the longest time, its start, and how many are running.
    pub(super) fn oldest(&self) -> Option<(&str, Tick, usize)> {
        self.0.front().map(|tool| (tool.name.as_str(), tool.since, self.0.len()))
    }
}
