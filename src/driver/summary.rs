//! `run.json` and `heartbeat.json`, kept up to date at each change of phase.

use super::real::World;
use crate::journal::{RunSummary, SUMMARY_VERSION};

impl World {
    /// Tells whoever supervises ccc that it lives, and the phase.
    pub(super) fn beat(&mut self) {
        let unix_ms = self.clock.unix_ms();
        self.heart.beat(&self.phase_written, unix_ms);
    }

    pub(super) fn write_summary(&mut self, phase: &str) {
        self.phase_written = phase.to_owned();
        let plan = self.core.plan();
        let now = self.clock.unix_ms();
        let finish = self.finish.as_ref();
        let resume = match finish {
            // The demonstration's session means nothing to anybody else's program.
            Some(_) if !plan.agent_first_args.is_empty() => None,
            Some(finish) if finish.outcome == crate::core::Outcome::Completed => {
                finish.session_id.as_ref().map(|id| format!("{} --resume {id}", plan.agent.program()))
            }
            Some(_) | None => Some(format!("ccc resume {}", plan.run_id)),
        };
        let summary = RunSummary {
            version: SUMMARY_VERSION,
            id: plan.run_id.clone(),
            task: RunSummary::task_of(&plan.task, &self.redactor.now()),
            cwd: plan.cwd.clone(),
            session_id: self.core.session_id().map(str::to_owned),
            agent_version: Some(plan.agent_version.clone()).filter(|version| !version.is_empty()),
            pid: std::process::id(),
            started_unix_ms: self.started_unix_ms,
            updated_unix_ms: now,
            ended_unix_ms: finish.map(|_| now),
            phase: phase.to_owned(),
            iteration: self.core.iteration(),
            outcome: finish.map(|finish| finish.outcome),
            reason: finish.map(|finish| finish.reason.clone()),
            restarts: self.core.restarts(),
            rotations: self.core.rotations(),
            waited_ms: finish.map_or(0, |finish| finish.waited_ms),
            cost_usd: self.core.cost_usd(),
            result: finish.map(|finish| finish.result.clone()),
            resume,
            kind: None,
        };
        if let Err(error) = summary.write(&self.run_dir.summary(), &self.redactor.now()) {
            tracing::warn!(%error, "the run's summary could not be written");
        }
        self.beat();
    }
}
