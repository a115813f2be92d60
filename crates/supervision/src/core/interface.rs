//! The agent's own interface (`--native`): what differs from a run that ccc shows itself.
//!
//! The interface accepts a turn of ccc at two moments only: as its first prompt when it starts, and at a stop that it holds
//! until ccc answers. For a turn at any other moment, ccc restarts the interface with that turn as the prompt. The user also
//! writes to the interface directly; such a message is a turn of the user like any other. The run ends when the user exits the
//! interface.

use super::machine::Stage;
use super::process::Process;
use super::{Action, Change, Core, ExitFact, OperatorInput, Outcome, ProcId, RestKind};

/// The state of the interface.
#[derive(Debug, Clone, Default)]
pub(super) struct Interface {
    /// The user has told it to exit.
    left: bool,
}

impl Core {
    /// Whether the run uses the agent's own interface.
    pub(super) fn has_interface(&self) -> bool {
        self.plan.agent.caps(&self.plan.agent_version).own_interface
    }

    /// The prompt that an interface is started with for the current turn.
    pub(super) fn words_at_start(&self) -> Option<String> {
        if !self.has_interface() || self.is_paused() {
            return None;
        }
        let turn = self.turns.current().filter(|turn| turn.delivery == super::conversation::Delivery::Queued)?;
        Some(turn.text.clone())
    }

    /// Restarts an idle interface that cannot take the current turn. True if it does.
    pub(super) fn starts_again_with_words(&mut self, proc: ProcId) -> bool {
        if !self.has_interface() || self.processes.agent().is_none_or(Process::takes_turn) {
            return false;
        }
        self.decide("start the agent's interface again", "it takes words only at its start and at a stop");
        self.order(proc, Process::leave);
        true
    }

    /// Releases the stop that the interface holds when the run rests, waits or has ended.
    pub(super) fn let_interface_go(&mut self) {
        let keeps = match self.stage() {
            Stage::Working | Stage::Checking(_) | Stage::Reviewing(_) => true,
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Waiting(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => false,
        };
        if keeps || !self.has_interface() {
            return;
        }
        let held = self.processes.agent().filter(|agent| !agent.is_ending() && agent.takes_turn());
        let Some(proc) = held.map(|agent| agent.id) else { return };
        if let Some(agent) = self.process_mut(proc) {
            agent.stop_released();
        }
        self.act(Action::ReleaseStop { proc });
    }

    /// Starts the interface again while the run rests: without it the user cannot write anything.
    pub(super) fn bring_interface_back(&mut self) {
        if self.wants_interface() && self.now() >= self.processes.agent_not_before() && self.token_for_start() {
            self.spawn_agent();
        }
    }

    /// Whether the run rests without the interface.
    pub(super) fn wants_interface(&self) -> bool {
        matches!(self.stage(), Stage::Resting(_))
            && self.has_interface()
            && self.is_set_up()
            && self.processes.agent().is_none()
    }

    /// The user has sent this message in the interface.
    pub(super) fn user_said_there(&mut self, proc: ProcId, text: String) {
        let kind = self.kind_of_words();
        self.hears_user(kind, text.clone());
        match self.stage() {
            Stage::Checking(_) | Stage::Reviewing(_) => self.answers_user_first(),
            Stage::Resting(_) => {
                self.decide("go on with what the user said", "the run rested");
                self.enter(Stage::Working);
            }
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Working
            | Stage::Waiting(_)
            | Stage::Closing { .. }
            | Stage::Finished => {}
        }
        let turn = self.turns.said_there(kind, text.clone(), proc, self.spent_usd());
        let now = self.now();
        if let Some(agent) = self.processes.agent_mut() {
            agent.asked(&turn, now);
        }
        self.is_asked(proc);
        self.usage.asked();
        self.show(super::Show::Turn { kind, text });
        if matches!(self.stage(), Stage::Working) {
            self.phase_changes("working", "");
        }
    }

    /// The user has aborted the wait for the verdict on a held stop.
    pub(super) fn stop_abandoned(&mut self) {
        let gave_up = matches!(self.stage(), Stage::Working) && self.turns.give_up_unsaid();
        match self.stage() {
            Stage::Checking(_) | Stage::Reviewing(_) => {
                self.decide("give up the judging of this stop", "the user does not wait for it");
                self.give_up_judging();
                self.rest_unless_queued(RestKind::Interrupted);
            }
            Stage::Working if gave_up => {
                self.decide("say no more by itself", "the user does not wait for it");
                self.rest_unless_queued(RestKind::Interrupted);
            }
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Working
            | Stage::Waiting(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => self.note("stop abandoned", "the user does not wait for what the run would say"),
        }
    }

    /// The interface got the interrupt key and does not report that it interrupted the turn: the turn counts as ended.
    pub(super) fn interface_is_interrupted(&mut self, proc: ProcId) {
        if !self.has_interface() {
            return;
        }
        if let Some(agent) = self.process_mut(proc).filter(|agent| !agent.is_ending()) {
            agent.interrupted();
            self.steering.take_stop();
            self.turns.answered();
            self.turn_is_stopped();
        }
    }

    /// Why this input is refused: it must be given in the interface.
    pub(super) fn interface_refuses(&self, operator: &OperatorInput) -> Option<&'static str> {
        if !self.has_interface() {
            return None;
        }
        if let OperatorInput::Rule { .. } = operator {
            Some(
                "the agent's own interface asks the user in its terminal: answer there (this run was started with --native)",
            )
        } else if let OperatorInput::Set(Change::Model(_)) = operator {
            Some("the agent's own interface chooses the model: type /model there (this run was started with --native)")
        } else if let OperatorInput::Set(Change::PermissionMode(_)) = operator {
            Some(
                "the agent's own interface has the permission mode: press Shift-Tab there (this run was started with --native)",
            )
        } else if let OperatorInput::Say { images, .. } = operator
            && !images.is_empty()
        {
            Some(
                "the agent's own interface takes no images from elsewhere: paste them there (this run was started with --native)",
            )
        } else {
            None
        }
    }

    /// The user has told the interface to exit.
    pub(super) fn user_leaves(&mut self) {
        self.interface.left = true;
    }

    /// The process of the interface has ended by itself. If the user told it to exit, the run ends; if it failed outside a
    /// turn, it is started again. True if this handled the end.
    pub(super) fn interface_ended(&mut self, process: &Process, exit: &ExitFact, how: &str) -> bool {
        if !self.has_interface() || self.is_closing() {
            return false;
        }
        if std::mem::take(&mut self.interface.left) || exit.code == Some(0) {
            self.user_has_left();
            return true;
        }
        match self.stage() {
            Stage::Resting(_) | Stage::Waiting(_) | Stage::Checking(_) | Stage::Reviewing(_) => {
                self.turns.process_lost(exit.turn_recorded);
                let death = self.death(process, exit);
                self.restart_agent(&death, how, exit.turn_recorded);
                true
            }
            Stage::Working | Stage::NotBegun | Stage::SettingUp { .. } | Stage::Closing { .. } | Stage::Finished => {
                false
            }
        }
    }

    fn user_has_left(&mut self) {
        let verdict = if let Stage::Resting(resting) = self.stage() { resting.outcome() } else { None };
        match verdict {
            Some((outcome, reason)) => self.close(outcome, &reason),
            None => {
                let when = match self.stage() {
                    Stage::Checking(_) | Stage::Reviewing(_) => " while its work was judged",
                    Stage::Working => " before the work was judged",
                    Stage::Waiting(_) => " while the run waited",
                    Stage::NotBegun
                    | Stage::SettingUp { .. }
                    | Stage::Resting(_)
                    | Stage::Closing { .. }
                    | Stage::Finished => "",
                };
                self.close(Outcome::Interrupted, &format!("the user left the agent's interface{when}"));
            }
        }
    }
}
