//! What the agent's machine and the command's have in common, for the loop that drives one and for the replay of its journal.

use crate::core::supervised::{CommandAction, CommandCore, CommandInput};
use crate::core::{Action, Core, Input, Tick};
use crate::journal::{JournalAction, JournalInput};

/// A state machine that decides; a journal holds its inputs and actions.
pub(super) trait Machine {
    type Input: JournalInput;
    type Action: JournalAction;
    /// Takes a fact.
    fn handle(&mut self, now: Tick, input: Self::Input);
    /// The next thing that it wants done.
    fn poll_action(&mut self) -> Option<Self::Action>;
    /// When it wants to hear that time has passed.
    fn poll_timeout(&self) -> Option<Tick>;
    /// The same by the wall clock, in unix milliseconds.
    fn poll_wall_timeout(&self) -> Option<i64>;
    /// What it is doing, for the user.
    fn phase(&self) -> &'static str;
    fn is_finished(&self) -> bool;
    /// The fact that time has passed.
    fn elapsed(unix_ms: i64) -> Self::Input;
    /// What it says of the life of ccc in which it came.
    fn life(input: &Self::Input) -> Life;
}

/// What an input says of the life of ccc in which it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It begins another one.
    Begins,
    /// It came in the same one as the input before; or what it says was given to the next one, whose beginning follows.
    Open,
    /// It came in the same one.
    GoesOn,
}

impl Machine for Core {
    type Input = Input;
    type Action = Action;
    fn handle(&mut self, now: Tick, input: Input) {
        Core::handle(self, now, input);
    }
    fn poll_action(&mut self) -> Option<Action> {
        Core::poll_action(self)
    }
    fn poll_timeout(&self) -> Option<Tick> {
        Core::poll_timeout(self)
    }
    fn poll_wall_timeout(&self) -> Option<i64> {
        Core::poll_wall_timeout(self)
    }
    fn phase(&self) -> &'static str {
        Core::phase(self)
    }
    fn elapsed(unix_ms: i64) -> Input {
        Input::Elapsed { unix_ms }
    }
    fn is_finished(&self) -> bool {
        Core::is_finished(self)
    }
    fn life(input: &Input) -> Life {
        match input {
            Input::Began { resumed: true, .. } => Life::Begins,
            Input::Operator(operator) if operator.may_precede_a_life() => Life::Open,
            Input::Began { resumed: false, .. }
            | Input::Tokens { .. }
            | Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::Line { .. }
            | Input::Noise { .. }
            | Input::Progress { .. }
            | Input::WriteFailed { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::Operator(_)
            | Input::Elapsed { .. } => Life::GoesOn,
        }
    }
}

impl Machine for CommandCore {
    type Input = CommandInput;
    type Action = CommandAction;
    fn handle(&mut self, now: Tick, input: CommandInput) {
        CommandCore::handle(self, now, input);
    }
    fn poll_action(&mut self) -> Option<CommandAction> {
        CommandCore::poll_action(self)
    }
    fn poll_timeout(&self) -> Option<Tick> {
        CommandCore::poll_timeout(self)
    }
    fn poll_wall_timeout(&self) -> Option<i64> {
        CommandCore::poll_wall_timeout(self)
    }
    fn phase(&self) -> &'static str {
        CommandCore::phase(self)
    }
    fn elapsed(unix_ms: i64) -> CommandInput {
        CommandInput::Elapsed { unix_ms }
    }
    fn is_finished(&self) -> bool {
        CommandCore::is_finished(self)
    }
    /// The run of a command cannot be continued.
    fn life(_: &CommandInput) -> Life {
        Life::GoesOn
    }
}
