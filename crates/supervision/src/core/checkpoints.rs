//! The checkpoints of a run: when one is asked for, and what the user is told when one fails.
//!
//! No turn is sent to the agent while its tree is being kept, because the agent would write into it. Everything else goes on: a
//! process is started meanwhile, and checks and critic run. A tree that takes longer than some seconds is kept as it is by then.

use super::machine::Stage;
use super::{Action, CheckpointAt, CheckpointFact, CheckpointId, Core, Tick};

/// How long a turn waits for a checkpoint. A tree of 5,000 files takes some 50 ms.
const TURN_WAITS_MS: u64 = 10_000;

/// The state of the checkpoints.
#[derive(Debug, Clone, Default)]
pub(super) struct Checkpoints {
    asked: u32,
    /// The checkpoint that is being taken, and until when a turn waits for it.
    awaited: Option<(CheckpointId, Tick)>,
    /// The number of the last one that was taken.
    last: Option<u64>,
    /// The user has been told that no checkpoint can be taken.
    trouble_told: bool,
}

impl Checkpoints {
    /// A ccc begins to work on the run: no answer comes any more to what an earlier one has asked for.
    pub(super) fn begins_life(&mut self) {
        self.awaited = None;
    }

    fn ask(&mut self, at: CheckpointAt, now: Tick) -> (CheckpointId, Action) {
        self.asked += 1;
        let checkpoint = CheckpointId(self.asked);
        self.awaited = Some((checkpoint, now.plus_ms(TURN_WAITS_MS)));
        (checkpoint, Action::TakeCheckpoint { checkpoint, at })
    }

    /// A checkpoint has ended. Gives why there is none, if the user has not been told.
    fn told(&mut self, fact: &CheckpointFact) -> Option<String> {
        self.last = fact.number.or(self.last);
        let trouble = match (&fact.trouble, self.last) {
            (Some(trouble), _) => format!("the working tree could not be kept as a checkpoint: {trouble}"),
            // There was a repository before, and the agent has done something to it.
            (None, Some(last)) if fact.none => format!(
                "no checkpoint is taken any more: git finds no working tree in the agent's directory; the last checkpoint is {last}"
            ),
            (None, _) => return None,
        };
        (!std::mem::replace(&mut self.trouble_told, true)).then_some(trouble)
    }
}

impl Core {
    /// The tree is going to be written by the setup or by a process of the agent that is started now.
    pub(super) fn checkpoint_before_start(&mut self) {
        let at = if self.checkpoints.asked == 0 { CheckpointAt::Start } else { CheckpointAt::Restart };
        self.take_checkpoint(at);
    }

    /// A turn of the agent has ended.
    pub(super) fn checkpoint_at_stop(&mut self) {
        self.take_checkpoint(CheckpointAt::Stop);
    }

    fn take_checkpoint(&mut self, at: CheckpointAt) {
        // A git that hangs is not asked again, and holds no further turn up.
        let hangs = self.checkpoints.awaited.is_some() && self.tree_is_kept_until().is_none();
        if self.plan.checkpoints && !hangs {
            let (checkpoint, action) = self.checkpoints.ask(at, self.now());
            self.compare_tests_at(checkpoint, at);
            if at == CheckpointAt::Start {
                self.protection.start_asked(checkpoint);
            }
            self.act(action);
        }
    }

    /// Until when no turn is sent to the agent, because its tree is being kept.
    pub(super) fn tree_is_kept_until(&self) -> Option<Tick> {
        self.checkpoints.awaited.map(|(_, due)| due).filter(|due| *due > self.now())
    }

    /// Whether a checkpoint is being taken, however long that takes.
    pub(super) fn is_tree_being_kept(&self) -> bool {
        self.checkpoints.awaited.is_some()
    }

    pub(super) fn checkpoint_taken(&mut self, checkpoint: CheckpointId, fact: &CheckpointFact) {
        self.checkpoints.awaited.take_if(|(awaited, _)| *awaited == checkpoint);
        if matches!(self.stage(), Stage::Finished) {
            return;
        }
        self.compare_tests(checkpoint, fact);
        self.protection_at_checkpoint(checkpoint, fact);
        if let Some(text) = self.checkpoints.told(fact) {
            self.tell_user(text);
        }
        if fact.set_again > 0 {
            let what = match fact.set_again {
                1 => "the reference of an earlier checkpoint of this run was".to_owned(),
                number => format!("the references of {number} earlier checkpoints of this run were"),
            };
            self.tell_user(format!("{what} changed or removed, and ccc has made it good"));
        }
    }
}
