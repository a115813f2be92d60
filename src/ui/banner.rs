use jiff::tz::TimeZone;

use super::format::{amount, bound};
use super::rows::labelled;
use super::style::{Ink, Style};
use crate::core::{Bound, Budgets};

/// What is printed at the start: the bounds in force, and the credential in use. Each bound is shown, because
/// unattended runs without one have cost people money.
#[derive(Debug, Clone, PartialEq)]
pub struct Banner {
    /// The run's name.
    pub run_id: String,
    /// The task of a resumed run, in one line. A new run's task is printed as its first turn.
    pub resumed_task: Option<String>,
    /// The run's directory.
    pub run_dir: String,
    /// The directory the agent works in.
    pub cwd: String,
    /// The agent's session, if it is known already.
    pub session_id: Option<String>,
    /// The agent's program.
    pub agent_path: String,
    /// The version that it reports; empty when unknown.
    pub agent_version: String,
    /// Label, kind and fingerprint of the credential in use; never its value.
    pub credential: String,
    /// The bounds.
    pub budgets: Budgets,
    /// How long the model may make no progress.
    pub stall_timeout_ms: u64,
    /// How long a tool without a timeout of its own may run.
    pub tool_timeout_ms: u64,
    /// The commands run at each stop.
    pub checks: Vec<String>,
    /// The patterns of files that they see as they were when the run began.
    pub protect: Vec<String>,
    /// Where the critic's prompt comes from, for example `./SUPERVISOR.md` or `built-in`.
    pub prompt_origin: String,
    /// The walls around the run's processes.
    pub walls: String,
}

/// How many characters of a value the banner shows.
const VALUE_CHARS: usize = 500;

impl Banner {
    /// The banner as lines. `now_unix_ms` is the wall clock, if it is known.
    pub(super) fn text(&self, style: Style, now_unix_ms: Option<i64>, zone: &TimeZone) -> String {
        let mut out = style.paint(Ink::Bold, "Supervisor mode enabled");
        out.push('\n');
        for (label, value) in self.rows(now_unix_ms, zone) {
            out.push_str(&labelled(style, label, &value, VALUE_CHARS));
        }
        out
    }

    fn rows(&self, now_unix_ms: Option<i64>, zone: &TimeZone) -> Vec<(&'static str, String)> {
        let agent = if self.agent_version.is_empty() {
            format!("{} (version unknown)", self.agent_path)
        } else {
            format!("{} ({})", self.agent_path, self.agent_version)
        };
        let bounds = Bound::ALL.map(Bound::row).into_iter().filter_map(|bound| match (bound.limit)(&self.budgets) {
            Some(limit) => Some(bound.shown.replace("{}", &amount(limit, bound.noun, now_unix_ms, zone))),
            None => (bound.without)(&self.budgets).map(str::to_owned),
        });
        let timeouts =
            format!("{} without progress, {} for a tool", bound(self.stall_timeout_ms), bound(self.tool_timeout_ms));
        let mut rows = vec![("run", self.run_id.clone())];
        rows.extend(self.resumed_task.clone().map(|task| ("task", task)));
        rows.extend([
            ("journal", self.run_dir.clone()),
            ("directory", self.cwd.clone()),
            ("session", self.session_id.clone().unwrap_or_else(|| "not known yet".to_owned())),
            ("agent", agent),
            ("token", self.credential.clone()),
            ("bounds", bounds.collect::<Vec<_>>().join(", ")),
            ("timeouts", timeouts),
            ("critic", format!("prompt: {}", self.prompt_origin)),
            ("walls", self.walls.clone()),
        ]);
        if self.checks.is_empty() {
            rows.push(("checks", "none".to_owned()));
        }
        for check in &self.checks {
            rows.push(("check", check.clone()));
        }
        if !self.checks.is_empty() && !self.protect.is_empty() {
            rows.push(("protect", self.protect.join(", ")));
        }
        rows
    }
}
