//! What the agent's machine and the command's have in common, for the loop that drives one and for the replay of its journal.

use crate::core::supervised::{CommandAction, CommandCore, CommandInput};
use crate::core::{Action, Core, Input, OperatorInput, Tick};
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
    /// Whether this is what another life of ccc begins with.
    fn begins_a_life(input: &Self::Input) -> bool;
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
    fn begins_a_life(input: &Input) -> bool {
        matches!(
            input,
            Input::Began { resumed: true, .. }
                | Input::Operator(
                    OperatorInput::Turn { .. }
                        | OperatorInput::Restate { .. }
                        | OperatorInput::Moved { .. }
                        | OperatorInput::Budgets(_)
                        | OperatorInput::Plan(_)
                )
        )
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
    fn begins_a_life(_: &CommandInput) -> bool {
        false
    }
}
