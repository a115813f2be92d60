//! The shutdown of a process: ask, close stdin, SIGINT, SIGTERM, kill; each step with a deadline (design §5).

use super::{Action, ProcId, Signal, Tick};

/// The step of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ShutdownStep {
    /// Asked in its own protocol to interrupt its turn.
    Asked,
    /// Its stdin was closed, on which an idle agent exits.
    Closed,
    /// SIGINT was sent.
    Interrupted,
    /// SIGTERM was sent.
    Terminated,
    /// It and its descendants were killed.
    Killed,
    /// It survived the kill: the run continues without its exit and says so.
    Abandoned,
}

/// The shutdown of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shutdown {
    pub(super) step: ShutdownStep,
    pub(super) deadline: Tick,
}

impl Shutdown {
    /// Begins with this step.
    pub(super) fn begin(step: ShutdownStep, proc: ProcId, now: Tick, grace_ms: u64) -> (Shutdown, Action) {
        (Shutdown { step, deadline: now.plus_ms(grace_ms) }, act(step, proc))
    }

    /// The next step, because the deadline has passed or because the last one worked (`Asked` → idle).
    pub(super) fn escalate(&mut self, proc: ProcId, now: Tick, grace_ms: u64) -> Option<Action> {
        self.step = match self.step {
            ShutdownStep::Asked => ShutdownStep::Closed,
            ShutdownStep::Closed => ShutdownStep::Interrupted,
            ShutdownStep::Interrupted => ShutdownStep::Terminated,
            ShutdownStep::Terminated => ShutdownStep::Killed,
            ShutdownStep::Killed | ShutdownStep::Abandoned => ShutdownStep::Abandoned,
        };
        self.deadline = now.plus_ms(grace_ms);
        (self.step != ShutdownStep::Abandoned).then(|| act(self.step, proc))
    }

    /// Skips to SIGTERM; `None` if it was sent already.
    pub(super) fn terminate(&mut self, proc: ProcId, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.step >= ShutdownStep::Terminated {
            return None;
        }
        self.step = ShutdownStep::Terminated;
        self.deadline = now.plus_ms(grace_ms);
        Some(act(self.step, proc))
    }

    /// Skips to the kill; `None` if it was done already.
    pub(super) fn kill(&mut self, proc: ProcId, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.step >= ShutdownStep::Killed {
            return None;
        }
        self.step = ShutdownStep::Killed;
        self.deadline = now.plus_ms(grace_ms);
        Some(act(ShutdownStep::Killed, proc))
    }
}

fn act(step: ShutdownStep, proc: ProcId) -> Action {
    match step {
        ShutdownStep::Asked => Action::Interrupt { proc },
        ShutdownStep::Closed => Action::CloseStdin { proc },
        ShutdownStep::Interrupted => Action::Signal { proc, signal: Signal::Int },
        ShutdownStep::Terminated => Action::Signal { proc, signal: Signal::Term },
        ShutdownStep::Killed | ShutdownStep::Abandoned => Action::KillTree { proc },
    }
}

#[cfg(test)]
mod tests {
    use super::{Shutdown, ShutdownStep};
    use crate::core::{Action, ProcId, Signal, Tick};

    #[test]
    fn a_busy_process_is_asked_first_and_killed_last() {
        let proc = ProcId(1);
        let (mut shutdown, first) = Shutdown::begin(ShutdownStep::Asked, proc, Tick::ZERO, 3_000);
        let mut actions = vec![first];
        while let Some(action) = shutdown.escalate(proc, shutdown.deadline, 3_000) {
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
        assert_eq!(shutdown.step, ShutdownStep::Abandoned);
    }

    #[test]
    fn an_idle_process_is_only_closed_and_a_kill_comes_once() {
        let (mut shutdown, first) = Shutdown::begin(ShutdownStep::Closed, ProcId(2), Tick::ZERO, 3_000);
        assert_eq!(first, Action::CloseStdin { proc: ProcId(2) });
        assert_eq!(shutdown.kill(ProcId(2), Tick::ZERO, 3_000), Some(Action::KillTree { proc: ProcId(2) }));
        assert_eq!(shutdown.kill(ProcId(2), Tick::ZERO, 3_000), None);
    }
}
