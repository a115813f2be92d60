use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::script::{Schedule, Step};

/// One row of a session's transcript. The real CLI keeps richer rows; what a resume, a fork and the deduplication
/// of uuids need is the same (facts §4, §5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Row {
    /// A user turn that reached the model, written before the request is sent.
    User {
        /// The uuids under which it came: several when waiting messages were merged; the last one counts.
        uuid: Option<String>,
        /// What was said.
        text: String,
        /// The model it was put to.
        model: String,
    },
    /// A whole block that the model said.
    Assistant {
        /// Its text.
        text: String,
    },
    /// A turn of the script has ended: answered, failed, or by a scripted end of the process.
    TurnEnded,
    /// The history was made shorter.
    Compacted,
    /// What the session has cost up to here.
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
    /// A turn of the CLI's own was scheduled that comes again and again.
    Scheduled {
        /// Each time so many milliseconds later.
        ms: u64,
        /// What it does.
        then: Vec<Step>,
    },
    /// It ended, or its loss was reported.
    TaskEnded {
        /// The task.
        task: String,
    },
}

/// What a transcript says to a process that resumes or forks the session.
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
    /// Reads JSON lines. A line that cannot be read is passed over: a killed process leaves a torn one.
    #[must_use]
    pub fn read(text: &str) -> Transcript {
        let mut transcript = Transcript::default();
        for row in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            transcript.add(&row);
        }
        transcript
    }

    /// Takes in one more row.
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

    /// Whether the user turn of this uuid stands in it.
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
