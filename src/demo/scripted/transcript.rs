use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::script::{Schedule, Step};

/// One row of a session's transcript. The real CLI's rows hold more; the data for a resume, a fork and the deduplication of uuids
/// are the same (facts §4, §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Row {
    /// A user turn that reached the model; the row is written before the request is sent.
    User {
        /// Its uuid; for merged messages, the uuid of the last.
        uuid: Option<String>,
        /// Its text.
        text: String,
        /// The model that received it.
        model: String,
    },
    /// A complete block of the model's text.
    Assistant {
        /// Its text.
        text: String,
    },
    /// A turn of the script has ended: answered, failed, or by a crash or hang of its own script.
    TurnEnded,
    /// The session was compacted.
    Compacted,
    /// The session's cost so far.
    Cost {
        /// In dollars.
        usd: f64,
    },
    /// A command was started in the background.
    TaskStarted {
        /// The task.
        task: String,
        /// The tool call that started it.
        tool: String,
    },
    /// A repeating turn was scheduled.
    Scheduled {
        /// The time between two repetitions, in milliseconds.
        ms: u64,
        /// Its steps.
        then: Vec<Step>,
    },
    /// A background command ended, or its loss was reported.
    TaskEnded {
        /// The task.
        task: String,
    },
}

/// The data that a process needs to resume or fork the session.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transcript {
    pub(super) uuids: BTreeSet<String>,
    pub(super) turns_ended: usize,
    pub(super) model: Option<String>,
    pub(super) open_tasks: Vec<(String, String)>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) cost_usd: f64,
}

impl Transcript {
    /// Reads JSON lines. A killed process may leave a torn line, so unreadable lines are skipped.
    #[must_use]
    pub fn read(text: &str) -> Transcript {
        let mut transcript = Transcript::default();
        for row in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            transcript.add(&row);
        }
        transcript
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        match row {
            Row::User { uuid, model, .. } => {
                self.uuids.extend(uuid.clone());
                self.model = Some(model.clone());
            }
            Row::TurnEnded => self.turns_ended += 1,
            Row::Cost { usd } => self.cost_usd = *usd,
            Row::TaskStarted { task, tool } => self.open_tasks.push((task.clone(), tool.clone())),
            Row::Scheduled { ms, then } => {
                self.schedules.push(Schedule { ms: *ms, every: true, then: then.clone() });
            }
            Row::TaskEnded { task } => self.open_tasks.retain(|(open, _)| open != task),
            Row::Assistant { .. } | Row::Compacted => {}
        }
    }

    /// Whether it contains the user turn with this uuid.
    #[must_use]
    pub fn has_turn(&self, uuid: &str) -> bool {
        self.uuids.contains(uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Transcript};

    #[test]
    fn what_was_written_is_read_and_a_torn_line_is_passed_over() {
        let rows = [
            Row::User { uuid: Some("u1".to_owned()), text: "do".to_owned(), model: "m".to_owned() },
            Row::TaskStarted { task: "t1".to_owned(), tool: "x".to_owned() },
            Row::TaskStarted { task: "t2".to_owned(), tool: "y".to_owned() },
            Row::TaskEnded { task: "t1".to_owned() },
            Row::TurnEnded,
        ];
        let mut text = String::new();
        for row in &rows {
            text.push_str(&serde_json::to_string(row).expect("JSON"));
            text.push('\n');
        }
        text.push_str(r#"{"type":"user","uuid":"u2","te"#);
        let transcript = Transcript::read(&text);
        assert!(transcript.uuids.contains("u1") && !transcript.uuids.contains("u2"));
        assert_eq!(transcript.turns_ended, 1);
        assert_eq!(transcript.model.as_deref(), Some("m"));
        assert_eq!(transcript.open_tasks, [("t2".to_owned(), "y".to_owned())]);
    }
}
