//! A hook of the user that sends the agent back whenever it wants to end its turn.
//!
//! Such a hook may be useful: it can make the agent work on. But a hook that always blocks costs a request each time, ends a
//! turn only at the CLI's cap (the ninth consecutive block, facts §14), and blocks again at the next stop. The two differ in
//! whether the agent uses a tool between two blocks.

/// Consecutive blocks without a tool call from which the user is told.
const TOLD_FROM: u32 = 2;
/// Consecutive blocks without a tool call that make a turn futile: as many as the CLI allows.
const IN_VAIN: u32 = 8;
/// Consecutive blocks without a tool call that show that the CLI has no cap.
const ENDLESS: u32 = 16;
/// Consecutive futile turns before the run ends.
const TURNS_IN_VAIN: u32 = 2;

/// What to do about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// Nothing.
    GoOn,
    /// Tell the user.
    Tell,
    /// End the run, because the blocks never end.
    Endless,
}

/// Counts the blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct SentBack {
    /// The hook.
    hook: String,
    /// Its last message.
    said: String,
    idle_blocks: u32,
    turns_in_vain: u32,
    told: bool,
}

impl SentBack {
    /// The hook has sent the agent back.
    pub(super) fn again(&mut self, hook: String, said: String) -> Back {
        (self.hook, self.said) = (hook, said);
        self.idle_blocks += 1;
        if self.idle_blocks >= ENDLESS {
            return Back::Endless;
        }
        if self.idle_blocks >= TOLD_FROM && !std::mem::replace(&mut self.told, true) {
            return Back::Tell;
        }
        Back::GoOn
    }

    /// What the hook does, in words, and its last message.
    pub(super) fn in_words(&self) -> (String, &str) {
        (format!("the hook {} sends the agent back each time it wants to stop", self.hook), &self.said)
    }

    /// The agent used a tool, so the block had an effect.
    pub(super) fn tool_used(&mut self) {
        self.idle_blocks = 0;
    }

    /// A turn has ended; true if it was futile and so were those before it.
    pub(super) fn turn_ended(&mut self) -> bool {
        let in_vain = self.idle_blocks >= IN_VAIN;
        self.idle_blocks = 0;
        self.turns_in_vain = if in_vain { self.turns_in_vain + 1 } else { 0 };
        self.turns_in_vain >= TURNS_IN_VAIN
    }
}

#[cfg(test)]
mod tests {
    use super::{Back, SentBack};

    fn block(back: &mut SentBack, times: u32) -> Vec<Back> {
        (0..times).map(|_| back.again("Stop".to_owned(), "no".to_owned())).collect()
    }

    #[test]
    fn it_is_told_once_and_counts_only_while_the_agent_does_nothing() {
        let mut back = SentBack::default();
        assert_eq!(block(&mut back, 3), [Back::GoOn, Back::Tell, Back::GoOn]);
        back.tool_used();
        assert!(block(&mut back, 7).iter().all(|what| *what == Back::GoOn), "told once");
        assert!(!back.turn_ended());
        block(&mut back, 9);
        assert!(!back.turn_ended(), "one turn in vain is judged");
        block(&mut back, 3);
        back.tool_used();
        assert!(!back.turn_ended(), "a turn with work in it starts over");
        block(&mut back, 9);
        assert!(!back.turn_ended());
        block(&mut back, 9);
        assert!(back.turn_ended());
    }

    #[test]
    fn a_hook_without_a_cap_is_ended_in_its_first_turn() {
        let mut back = SentBack::default();
        assert_eq!(block(&mut back, 16).last(), Some(&Back::Endless));
    }
}
