//! The common interface of the agent's state machine and the command's, for the loop and for replay.

use crate::core::supervised::{CommandAction, CommandCore, CommandInput};
use crate::core::{Action, Core, Input, Tick};
use crate::journal::{JournalAction, JournalInput};

/// A state machine; its inputs and actions are journalled.
pub(super) trait Machine {
    type Input: JournalInput;
    type Action: JournalAction;
    /// Takes a fact.
    fn handle(&mut self, now: Tick, input: Self::Input);
    /// The next action.
    fn poll_action(&mut self) -> Option<Self::Action>;
    /// When it must be told that time has passed.
    fn poll_timeout(&self) -> Option<Tick>;
    /// The same as a wall time, in unix milliseconds.
    fn poll_wall_timeout(&self) -> Option<i64>;
    /// The phase, for the user.
    fn phase(&self) -> &'static str;
    fn is_finished(&self) -> bool;
    /// The fact that time has passed.
    fn elapsed(unix_ms: i64) -> Self::Input;
    /// Where this input stands in the life of ccc. A life is one process of ccc; a resumed run has several.
    fn life(input: &Self::Input) -> Life;
}

/// Where an input stands in the life of ccc that recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It begins a new life.
    Begins,
    /// Either it belongs to the present life, or it was given to the next life, whose beginning follows.
    Open,
    /// It belongs to the present life.
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
        if matches!(input, Input::Began { resumed: true, .. }) {
            Life::Begins
        } else if matches!(input, Input::Operator(operator) if operator.may_precede_a_life()) {
            Life::Open
        } else {
            Life::GoesOn
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
