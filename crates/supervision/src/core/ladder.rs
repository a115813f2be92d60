//! Ending a process: ask, close, interrupt, terminate, kill; each step with a deadline (design §5).

use super::{Action, ProcId, Signal, Tick};

/// How far the end of a process has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rung {
    /// Asked in its own protocol to interrupt its turn.
    Asked,
    /// Its stdin is closed: an idle agent exits by itself.
    Closed,
    /// SIGINT was sent.
    Interrupted,
    /// SIGTERM was sent.
    Terminated,
    /// It and its descendants were killed.
    Killed,
    /// Even that did not help: we go on without its end, and say so.
    Abandoned,
}

/// The end of one process in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ladder {
    pub(super) rung: Rung,
    pub(super) deadline: Tick,
}

impl Ladder {
    /// Begins at the gentlest rung that makes sense.
    pub(super) fn begin(proc: ProcId, busy: bool, now: Tick, grace_ms: u64) -> (Ladder, Action) {
        let rung = if busy { Rung::Asked } else { Rung::Closed };
        (Ladder { rung, deadline: now.plus_ms(grace_ms) }, act(rung, proc))
    }

    /// Begins with a signal, for who hears nothing else.
    pub(super) fn begin_by_signal(proc: ProcId, now: Tick, grace_ms: u64) -> (Ladder, Action) {
        (Ladder { rung: Rung::Terminated, deadline: now.plus_ms(grace_ms) }, act(Rung::Terminated, proc))
    }

    /// The next rung, because the deadline has passed or because the last one worked (`Asked` → idle).
    pub(super) fn climb(&mut self, proc: ProcId, now: Tick, grace_ms: u64) -> Option<Action> {
        self.rung = match self.rung {
            Rung::Asked => Rung::Closed,
            Rung::Closed => Rung::Interrupted,
            Rung::Interrupted => Rung::Terminated,
            Rung::Terminated => Rung::Killed,
            Rung::Killed | Rung::Abandoned => Rung::Abandoned,
        };
        self.deadline = now.plus_ms(grace_ms);
        (self.rung != Rung::Abandoned).then(|| act(self.rung, proc))
    }

    /// Straight to SIGTERM; nothing when that was sent already.
    pub(super) fn terminate(&mut self, proc: ProcId, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.rung >= Rung::Terminated {
            return None;
        }
        self.rung = Rung::Terminated;
        self.deadline = now.plus_ms(grace_ms);
        Some(act(self.rung, proc))
    }

    /// Straight to the kill; nothing when that was done already.
    pub(super) fn kill(&mut self, proc: ProcId, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.rung >= Rung::Killed {
            return None;
        }
        self.rung = Rung::Killed;
        self.deadline = now.plus_ms(grace_ms);
        Some(act(Rung::Killed, proc))
    }
}

fn act(rung: Rung, proc: ProcId) -> Action {
    match rung {
        Rung::Asked => Action::Interrupt { proc },
        Rung::Closed => Action::CloseStdin { proc },
        Rung::Interrupted => Action::Signal { proc, signal: Signal::Int },
        Rung::Terminated => Action::Signal { proc, signal: Signal::Term },
        Rung::Killed | Rung::Abandoned => Action::KillTree { proc },
    }
}

#[cfg(test)]
mod tests {
    use super::{Ladder, Rung};
    use crate::core::{Action, ProcId, Signal, Tick};

    #[test]
    fn a_busy_process_is_asked_first_and_killed_last() {
        let proc = ProcId(1);
        let (mut ladder, first) = Ladder::begin(proc, true, Tick::ZERO, 3_000);
        let mut actions = vec![first];
        while let Some(action) = ladder.climb(proc, ladder.deadline, 3_000) {
            actions.push(action);
        }
        assert_eq!(
            actions,
            vec![
                Action::Interrupt { proc },
                Action::CloseStdin { proc },
                Action::Signal { proc, signal: Signal::Int },
                Action::Signal { proc, signal: Signal::Term },
                Action::KillTree { proc },
            ]
        );
        assert_eq!(ladder.rung, Rung::Abandoned);
    }

    #[test]
    fn an_idle_process_is_only_closed_and_a_kill_comes_once() {
        let (mut ladder, first) = Ladder::begin(ProcId(2), false, Tick::ZERO, 3_000);
        assert_eq!(first, Action::CloseStdin { proc: ProcId(2) });
        assert_eq!(ladder.kill(ProcId(2), Tick::ZERO, 3_000), Some(Action::KillTree { proc: ProcId(2) }));
        assert_eq!(ladder.kill(ProcId(2), Tick::ZERO, 3_000), None);
    }
}
