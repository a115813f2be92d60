//! `run.json` and `heartbeat.json`, kept up to date at each change of phase.

use super::heartbeat::Awaits;
use super::real::World;
use crate::core::Tick;
use crate::journal::{RunSummary, SUMMARY_VERSION};
use crate::ui::Ending;

impl World {
    /// Tells what supervises ccc that it lives, and the phase.
    pub(super) fn beat(&mut self) {
        let unix_ms = self.clock.unix_ms();
        let now = self.clock.now();
        let awaited = self.core.awaited();
        let awaits = awaited.as_ref().map(|awaited| Awaits {
            what: &awaited.what,
            since_unix_ts: unix_ts(unix_ms, now, awaited.since),
            until_unix_ts: unix_ts(unix_ms, now, awaited.until),
            alive: awaited.alive,
        });
        self.heart.beat(&self.phase_written, awaits, unix_ms);
        self.journal.sync_news_soon();
    }

    pub(super) fn write_summary(&mut self, phase: &str) {
        self.phase_written = phase.to_owned();
        let plan = self.core.plan();
        let now = self.clock.unix_ms();
        let finish = self.finish.as_ref();
        let resume = match finish {
            // The demonstration's session means nothing to anybody else's program.
            Some(_) if !plan.agent_first_args.is_empty() => None,
            Some(finish) => {
                let (plan, left_out) = super::told(plan, &self.redactor.now());
                let agent = plan.agent.program();
                let ending = Ending { finish, plan: &plan, left_out: &left_out, run_dir: "", agent, report: None };
                ending.resume(self.clock.now())
            }
            None => Some(format!("ccc resume {}", plan.run_id)),
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
            demo: (!plan.agent_first_args.is_empty()).then_some(true),
        };
        let redactor = self.redactor.now();
        if let Err(error) = summary.write_with(&mut self.journal, &self.run_dir.summary(), &redactor) {
            tracing::warn!(%error, "the run's summary could not be written");
        }
        self.beat();
    }
}

/// The wall time of a moment of the run, seconds since 1970, seen from now.
fn unix_ts(now_unix_ms: i64, now: Tick, at: Tick) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let unix_ms = now_unix_ms.saturating_add(ms(at.ms_since(now))).saturating_sub(ms(now.ms_since(at)));
    unix_ms.div_euclid(1_000)
}
