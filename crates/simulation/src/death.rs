//! The end and restart of ccc: ccc dies at any moment, or the user continues a finished run.

use super::law::{Broken, Law};
use super::world::{Event, World};
use supervision::core::{Action, Budgets, Finish, Input, OperatorInput, Outcome};

impl World {
    /// ccc dies: all its processes end, and the next ccc rebuilds the core from the journal.
    pub(super) fn die(&mut self, torn: bool) -> Result<(), Broken> {
        self.deaths += 1;
        self.counts.add("death of ccc");
        let whole = !torn && !self.journal.behind;
        if torn {
            self.counts.add("torn journal");
            let part = self.dice.between(0, 99);
            self.journal.tear(part);
        }
        if self.journal.behind {
            self.counts.add("death with a full disk");
            self.laws.forget();
        }
        self.mark("ccc dies");
        self.lets_go(whole);
        if self.in_fleet {
            self.down = Some(whole);
            return Ok(());
        }
        self.away_ms += self.dice.between_signed(1_000, 7_200_000);
        self.come_back(whole, false)
    }

    /// Another ccc of the fleet takes up the run whose ccc has died, or that has ended.
    pub(super) fn take_up(&mut self) -> Result<(), Broken> {
        let whole = self.down.take();
        if whole.is_none() {
            // The run has ended by itself.
            if self.journal.behind {
                self.laws.forget();
            }
            self.lets_go(false);
        }
        self.family.keeping = 0;
        self.come_back(whole.unwrap_or(false), false)
    }

    /// The user continues a run that has ended.
    pub(super) fn go_on(&mut self) -> Result<(), Broken> {
        self.counts.add("finished run gone on with");
        if self.journal.behind {
            self.laws.forget();
        }
        self.mark("the user goes on with the run");
        self.away_ms += self.dice.between_signed(1_000, 86_400_000);
        self.lets_go(false);
        self.come_back(false, true)
    }

    /// Forgets what ends with a ccc: its processes, and what was on its way.
    fn lets_go(&mut self, whole: bool) {
        self.lives += 1;
        self.processes.clear();
        self.fetching.clear();
        self.events
            .retain(|_, event| matches!(event, Event::FaultsStop | Event::WorkerStarts(_) | Event::WorkerEnds(_)));
        self.running_check = None;
        self.family.puts_back();
        self.timer_held_us = 0;
        (self.leaving, self.stopping) = (false, false);
        self.interrupted_us = None;
        if !whole {
            self.forget_waits();
        }
    }

    fn come_back(&mut self, whole: bool, with_words: bool) -> Result<(), Broken> {
        let mut last: Option<Finish> = None;
        let rebuilt = self.journal.resume(|_, action| {
            if let Action::Finish(finish) = action {
                last = Some(finish.clone());
            }
        })?;
        let Some(rebuilt) = rebuilt else {
            // Entries are missing, and the user was told so before, so resuming is refused.
            self.unresumable = true;
            return Ok(());
        };
        if whole && let Some(difference) = super::journal::differ(&self.core, &rebuilt.core) {
            return Err(Law::Replay.broken(format!("the core that was rebuilt is another: {difference}")));
        }
        let completed = last.as_ref().is_some_and(|finish| finish.outcome == Outcome::Completed);
        let stands = rebuilt.core.is_finished() && rebuilt.finish_recorded;
        if !whole {
            // New bounds that did not reach the journal are lost.
            self.plan.budgets.clone_from(&rebuilt.core.plan().budgets);
        }
        self.core = rebuilt.core;
        if stands && completed && !with_words {
            // A completed run has nothing to continue.
            self.finish = last;
            return Ok(());
        }
        self.finish = None;
        self.laws.resumed(self.core.phase());
        self.user_comes();
        self.tells_of_family()?;
        // The user's words and bounds come before `Began`, as in the real program.
        if with_words || self.dice.percent(10) {
            self.speak()?;
        }
        if self.dice.percent(if with_words { 50 } else { 10 }) {
            let budgets = Budgets {
                max_iterations: self.plan.budgets.max_iterations + u32::try_from(self.dice.between(1, 10)).unwrap_or(1),
                max_duration_ms: self.plan.budgets.max_duration_ms.map(|ms| ms.saturating_add(3_600_000)),
                ..self.plan.budgets.clone()
            };
            self.plan.budgets.clone_from(&budgets);
            self.feed_plainly(Input::Operator(OperatorInput::Budgets(budgets)))?;
        }
        let began = Input::Began {
            unix_ms: self.wall_ms(),
            resumed: true,
            turn_recorded: self.turn_recorded(),
            tokens: self.provider.known.clone(),
        };
        self.feed_plainly(began)
    }
}
