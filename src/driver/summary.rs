//! The content of `run.json` and `heartbeat.json` for an agent's run.

use std::path::Path;

use super::agent_world::World;
use super::heartbeat::Awaits;
use crate::config::agent::typed;
use crate::config::env::PATH;
use crate::core::Tick;
use crate::journal::RunSummary;
use crate::ui::Ending;

impl World {
    /// Writes a heartbeat with the phase, for whatever supervises ccc.
    pub(super) fn beat_now(&mut self) {
        let unix_ms = self.run.clock.unix_ms();
        let now = self.run.clock.now();
        let awaited = self.run.core.awaited();
        let awaits = awaited.as_ref().map(|awaited| Awaits {
            what: &awaited.what,
            since_unix_ts: unix_ts(unix_ms, now, awaited.since),
            until_unix_ts: unix_ts(unix_ms, now, awaited.until),
            alive: awaited.alive,
        });
        self.run.heart.beat(&self.run.phase_written, awaits, unix_ms);
        self.run.journal.sync_news_soon();
    }

    pub(super) fn summarise(&self, base: RunSummary) -> RunSummary {
        let plan = self.run.core.plan();
        let finish = self.run.finish.as_ref();
        let redactor = self.redactor.now();
        let resume = match finish {
            // The session of a demonstration exists only in its scripted agent.
            Some(_) if !plan.agent_first_args.is_empty() => None,
            Some(finish) => {
                let (plan, left_out) = super::shown_plan(plan, &redactor);
                let path = self.bare_env.0.iter().find(|(name, _)| name == PATH).map(|(_, path)| path.as_os_str());
                let agent = typed(plan.agent, Path::new(&plan.agent_program), path);
                Ending::of(finish, &plan, &left_out, &agent).resume(self.run.clock.now())
            }
            None => Some(format!("ccc resume {}", plan.run_id)),
        };
        let context = self.run.core.context_used();
        RunSummary {
            task: RunSummary::task_of(&plan.task, &redactor),
            cwd: plan.cwd.clone(),
            session_id: self.run.core.session_id().map(str::to_owned),
            agent_version: Some(plan.agent_version.clone()).filter(|version| !version.is_empty()),
            iteration: self.run.core.iteration(),
            restarts: self.run.core.restarts(),
            rotations: self.run.core.rotations(),
            cost_usd: self.run.core.cost_usd(),
            tools_denied: Some(self.run.core.tools_denied()),
            context_tokens: context.map(|used| used.used_tokens),
            context_window_tokens: context.and_then(|used| used.window_tokens),
            result: finish.map(|finish| finish.result.clone()),
            resume,
            tests_touched: Some(self.run.core.touched_tests().files.clone()).filter(|files| !files.is_empty()),
            demo: (!plan.agent_first_args.is_empty()).then_some(true),
            ..base
        }
    }
}

/// The wall time of a tick, seconds since 1970.
fn unix_ts(now_unix_ms: i64, now: Tick, at: Tick) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let unix_ms = now_unix_ms.saturating_add(ms(at.ms_since(now))).saturating_sub(ms(now.ms_since(at)));
    unix_ms.div_euclid(1_000)
}
