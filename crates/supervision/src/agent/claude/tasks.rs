//! The CLI's tasks: what still runs after a turn was answered, and whether the CLI will begin a turn about it.
//!
//! A task is a sub-agent, a background command, or a command that has run for three seconds in the foreground. When a
//! background task ends by itself, the CLI reports it to the model: in the running turn if there is one, otherwise in
//! a turn that the CLI begins (facts §1). The order differs: 2.1.197 sends `task_updated`, begins the turn, then
//! notifies; 2.1.329 notifies first. Neither version reports a stopped task, or a task of a sub-agent (both
//! measured).

use std::collections::{BTreeMap, BTreeSet};

use crate::stream::Raw;
use crate::stream::message::{BackgroundTask, TaskProgress};

/// How many tasks are followed at once; further ones are ignored.
const MAX_TASKS: usize = 1_024;

/// All tasks that are still relevant.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks {
    tasks: BTreeMap<String, Task>,
}

#[derive(Debug, Clone)]
struct Task {
    phase: Phase,
    tool_use_id: Option<String>,
    /// Whether it runs in the background, if the CLI says so (2.1.329). On 2.1.197 it does once its tool call has
    /// returned.
    in_background: Option<bool>,
    /// A sub-agent started it and is told of its end.
    nested: bool,
    /// Its time limit in the CLI, when known.
    limit_ms: Option<u64>,
    /// Its name, from the call.
    name: String,
    /// Its last reported progress.
    step: Step,
}

/// The facts about a starting task.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begun<'a> {
    /// The call that started it.
    pub(super) tool_use_id: Option<&'a str>,
    /// Whether it runs in the background, when known.
    pub(super) in_background: Option<bool>,
    /// A sub-agent started it.
    pub(super) nested: bool,
    /// Its time limit in the CLI, when known.
    pub(super) limit_ms: Option<u64>,
    /// Its name for the user.
    pub(super) name: &'a str,
}

/// The progress of a sub-agent: its usage and its last tool. The running time is left out, because it always
/// increases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    tokens: Option<u64>,
    tools: Option<u64>,
    last_tool: String,
}

impl Step {
    pub(super) fn of(progress: &TaskProgress<'_>) -> Step {
        let used = |name: &str| progress.usage.and_then(|usage| usage.member(name)).and_then(Raw::read);
        Step {
            tokens: used("total_tokens"),
            tools: used("tool_uses"),
            last_tool: progress.last_tool_name.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl Tasks {
    /// The call that started this task, when known.
    pub(super) fn call_of(&self, task: &str) -> Option<&str> {
        self.tasks.get(task)?.tool_use_id.as_deref()
    }
}

impl Task {
    fn in_foreground(&self, tool_is_open: impl Fn(&str) -> bool) -> bool {
        match self.in_background {
            Some(in_background) => !in_background,
            None => self.tool_use_id.as_deref().is_some_and(tool_is_open),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Open, but no turn waits for it any more.
    GivenUp,
    /// It ended, and the model has not been told.
    Owed,
    /// A result came after its end: by the next idle the model has been told.
    Heard,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskEnd {
    /// By itself, successfully or not.
    ByItself,
    /// Somebody stopped it.
    Stopped,
}

impl TaskEnd {
    /// From a status in `task_updated` or `task_notification`; `None` while it runs.
    pub(super) fn of(status: Option<&str>) -> Option<TaskEnd> {
        match status {
            Some("completed" | "failed") => Some(TaskEnd::ByItself),
            Some("killed" | "stopped") => Some(TaskEnd::Stopped),
            _ => None,
        }
    }
}

impl Tasks {
    /// A task was started.
    pub(super) fn started(&mut self, id: &str, begun: Begun<'_>) {
        if self.tasks.len() < MAX_TASKS {
            let task = Task {
                phase: Phase::Open,
                tool_use_id: begun.tool_use_id.map(str::to_owned),
                in_background: begun.in_background,
                nested: begun.nested,
                limit_ms: begun.limit_ms,
                name: begun.name.to_owned(),
                step: Step::default(),
            };
            self.tasks.insert(id.to_owned(), task);
        }
    }

    /// A task reported its progress. Returns whether that has changed since its last report.
    pub(super) fn moved_on(&mut self, id: &str, step: Step) -> bool {
        match self.tasks.get_mut(id) {
            Some(task) if task.step != step => {
                task.step = step;
                true
            }
            Some(_) | None => false,
        }
    }

    /// A task moved to or from the background.
    pub(super) fn moved(&mut self, id: &str, in_background: bool) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.in_background = Some(in_background);
        }
    }

    /// A tool call returned, which ends its foreground task.
    pub(super) fn tool_returned(&mut self, tool_use_id: &str) {
        if self.tasks.is_empty() {
            return;
        }
        self.tasks
            .retain(|_, task| task.in_background != Some(false) || task.tool_use_id.as_deref() != Some(tool_use_id));
    }

    /// A task ended. `tool_is_open`: whether this tool call has not returned yet; then the task runs in the
    /// foreground, and the call's result tells the model of its end. Unknown tasks belong to an earlier process
    /// (facts §4) and are ignored.
    pub(super) fn ended(&mut self, id: &str, end: TaskEnd, tool_is_open: impl Fn(&str) -> bool) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let foreground = task.in_foreground(tool_is_open);
        match (end, task.phase) {
            (TaskEnd::ByItself, Phase::Open) if !foreground && !task.nested => {
                task.phase = Phase::Owed;
            }
            // Reported again, by the notification.
            (TaskEnd::ByItself, Phase::Owed | Phase::Heard) => {}
            (TaskEnd::ByItself, Phase::Open | Phase::GivenUp) | (TaskEnd::Stopped, _) => {
                self.tasks.remove(id);
            }
        }
    }

    /// The complete list of background tasks (2.1.329). Tasks missing from it are not open; foreground tasks are
    /// never listed.
    pub(super) fn listed(&mut self, listed: &[BackgroundTask<'_>], tool_is_open: impl Fn(&str) -> bool) {
        let ids: BTreeSet<&str> = listed.iter().filter_map(|task| task.task_id.as_deref()).collect();
        let names = |id: &str| ids.contains(id);
        self.tasks.retain(|id, task| {
            matches!(task.phase, Phase::Owed | Phase::Heard) || task.in_foreground(&tool_is_open) || names(id)
        });
        for (id, listed) in listed.iter().filter_map(|task| Some((task.task_id.as_deref()?, task))) {
            match self.tasks.get_mut(id) {
                Some(task) if matches!(task.phase, Phase::Open | Phase::GivenUp) => task.in_background = Some(true),
                Some(_) | None => {
                    let name = listed.description.as_deref().unwrap_or_default();
                    self.started(id, Begun { in_background: Some(true), name, ..Begun::default() });
                }
            }
        }
    }

    /// A result came: it told the model of every task that ended before it, if the CLI is idle next.
    pub(super) fn result_came(&mut self) {
        for task in self.tasks.values_mut() {
            if task.phase == Phase::Owed {
                task.phase = Phase::Heard;
            }
        }
    }

    /// The CLI is idle.
    pub(super) fn idle(&mut self) {
        self.tasks.retain(|_, task| task.phase != Phase::Heard);
    }

    /// How many tasks a turn waits for.
    pub(super) fn open(&self) -> usize {
        self.count(|phase| phase == Phase::Open)
    }

    /// The names of those tasks.
    pub(super) fn open_names(&self) -> Vec<String> {
        self.tasks.values().filter(|task| task.phase == Phase::Open).map(|task| task.name.clone()).collect()
    }

    /// The longest time limit of those tasks.
    pub(super) fn longest_ms(&self) -> Option<u64> {
        self.tasks.values().filter(|task| task.phase == Phase::Open).filter_map(|task| task.limit_ms).max()
    }

    /// Whether the CLI will begin a turn about a task that ended.
    pub(super) fn owes_a_turn(&self) -> bool {
        self.count(|phase| matches!(phase, Phase::Owed | Phase::Heard)) > 0
    }

    /// No turn waits any longer. Returns how many tasks were open.
    pub(super) fn give_up(&mut self) -> usize {
        let open = self.open();
        self.tasks.retain(|_, task| matches!(task.phase, Phase::Open | Phase::GivenUp));
        for task in self.tasks.values_mut() {
            task.phase = Phase::GivenUp;
        }
        open
    }

    fn count(&self, is: impl Fn(Phase) -> bool) -> usize {
        self.tasks.values().filter(|task| is(task.phase)).count()
    }
}
