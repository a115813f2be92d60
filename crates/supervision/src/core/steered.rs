//! The user's control of a running run: messages, their withdrawal, interruption, pause, settings, a request for a review.
//!
//! Each is journalled as an operator input and takes effect at once. [`Core::taken`] gives the result of the last one, which is
//! the answer to the client.

use serde::{Deserialize, Serialize};

use super::conversation::{MAX_IMAGE_MIB, MAX_IMAGES_MIB, MAX_QUEUED, MAX_TEXT_MIB};
use super::machine::Stage;
use super::process::Process;
use super::resting::Rest;
use super::{Action, Approvals, Change, Core, OperatorInput, RestKind};
use crate::agent::TurnKind;
use crate::words::Image;

/// The longest name of a model or a permission mode, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Whether this is one word, as the names of models and permission modes are.
#[must_use]
pub fn is_one_word(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(is_odd)
}

/// The result of an operator input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Taken {
    /// Done, or to be done as soon as possible.
    Done,
    /// Queued behind `ahead` other turns of the user.
    Queued { ahead: u32 },
    /// Done before: each key has an effect only once.
    Already,
    /// Not done.
    Refused(Refused),
}

/// Why an operator input is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The request is not open: it was settled before, or never asked.
    NotOpen,
    /// The run is ending.
    Ending,
    /// There is nothing to apply it to.
    Nothing,
    /// The message has been sent to the agent already.
    TooLate,
    /// It exceeds a limit: of queued turns, of text, of images.
    TooMuch,
    /// There is no such token, or no other.
    NoSuchToken,
    /// It does not fit the request; the text says why.
    BadAnswer(String),
    /// This run does not support it.
    NotForThisRun,
}

impl Refused {
    /// The text for the user.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Refused::NotOpen => "this request is not open: it was settled before, or never asked".to_owned(),
            Refused::Ending => "the run is ending; to continue it afterwards, use ccc resume".to_owned(),
            Refused::Nothing => "there is nothing to be done".to_owned(),
            Refused::TooLate => "it has been given to the agent already".to_owned(),
            Refused::TooMuch => format!(
                "it is too much: at most {MAX_QUEUED} messages wait, each with {MAX_TEXT_MIB} MiB of text and {MAX_IMAGES_MIB} MiB \
                 of images, of {MAX_IMAGE_MIB} MiB each"
            ),
            Refused::NoSuchToken => "there is no such token, or no other one that may be used".to_owned(),
            Refused::BadAnswer(why) => why.clone(),
            Refused::NotForThisRun => "this run does not take that".to_owned(),
        }
    }
}

/// Requests of the user that are not done yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Steering {
    /// The run is paused: nothing new is begun.
    paused: bool,
    /// The next stop is judged, whatever the settings are.
    judges_next: bool,
    /// The user has interrupted the running turn.
    stops_turn: bool,
    /// The run rests as soon as it is resumed.
    takes_up: bool,
    /// The rest that was ended for a message that is not sent yet.
    left: Option<Rest>,
    /// The rest that was ended for the message that is being answered.
    left_before: Option<Rest>,
}

impl Steering {
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The run is started or resumed: drops earlier requests.
    pub(super) fn begin(&mut self) {
        *self = Steering::default();
    }

    /// Whether the resumed run rests.
    pub(super) fn is_taken_up(&mut self) -> bool {
        std::mem::take(&mut self.takes_up)
    }

    /// Whether the user interrupted the turn that has ended.
    pub(super) fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stops_turn)
    }

    /// Whether this stop is judged, whatever the settings are.
    pub(super) fn judges_next(&self) -> bool {
        self.judges_next
    }

    /// A stop is judged.
    pub(super) fn judges(&mut self) {
        self.judges_next = false;
    }

    /// A turn was sent: it cannot be withdrawn any more, and it is not the interrupted one.
    pub(super) fn turn_sent(&mut self) {
        self.left_before = self.left.take();
        self.stops_turn = false;
    }

    /// The rest to return to after a message that did not reach the model.
    pub(super) fn rest_before(&mut self) -> Option<Rest> {
        self.left_before.take()
    }
}

impl Core {
    /// The result of the last operator input.
    #[must_use]
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// Whether the user has paused the run.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.steering.is_paused()
    }

    pub(super) fn take(&mut self, operator: OperatorInput) -> Taken {
        if self.is_closing() && !operator.is_heard_at_the_end() {
            return Taken::Refused(Refused::Ending);
        }
        if let Some(why) = self.interface_refuses(&operator) {
            return Taken::Refused(Refused::BadAnswer(why.to_owned()));
        }
        match operator {
            OperatorInput::Say { key, text, images } => self.say(key, text, images),
            OperatorInput::TakeBack { key } => self.take_back(&key),
            OperatorInput::StopTurn => self.stop_turn(),
            OperatorInput::Pause => self.pause(),
            OperatorInput::Continue => self.go_on(),
            OperatorInput::Rule { ask, key, ruling } => self.ruled(ask, key, ruling),
            OperatorInput::Judge => self.judge_now(),
            OperatorInput::Rotate { to } => self.rotate(to.as_ref()),
            OperatorInput::Set(change) => self.set(change),
            OperatorInput::TakeUp if self.plan.conversation && !self.has_interface() => {
                self.steering.takes_up = true;
                Taken::Done
            }
            OperatorInput::TakeUp => Taken::Refused(Refused::NotForThisRun),
            OperatorInput::Attended { clients, why } => {
                self.at_once(|core| core.attended(clients, why.as_deref().unwrap_or_default()))
            }
            OperatorInput::Interrupt { reason } => self.at_once(|core| core.interrupted(&reason)),
            OperatorInput::Turn { text } => self.at_once(|core| core.told_a_turn(text)),
            OperatorInput::Restate { text, instead_of } => self.at_once(|core| core.told_anew(text, &instead_of)),
            OperatorInput::Moved { real } => self.at_once(|core| core.moved_to(real)),
            OperatorInput::NotEnforced { setting, why } => {
                self.at_once(|core| core.tell_user(format!("{setting} is not enforced: {why}")))
            }
            OperatorInput::Budgets(budgets) => self.at_once(|core| core.told_budgets(budgets)),
            OperatorInput::Plan(plan) => self.at_once(|core| core.told_a_plan(*plan)),
            OperatorInput::WorkerStarted { id, name, again } => self.worker_started(id, name, again),
            OperatorInput::WorkerEnded { id, name: _, text, at_unix_ms } => self.worker_ended(id, text, at_unix_ms),
            OperatorInput::Answer { number, choice } => self.at_once(|core| core.answered(number, choice)),
        }
    }

    /// Applies an input that is never refused.
    fn at_once(&mut self, effect: impl FnOnce(&mut Core)) -> Taken {
        effect(self);
        Taken::Done
    }

    /// The kind of the user's next message: it is the task if there is none yet.
    pub(super) fn kind_of_words(&self) -> TurnKind {
        let is_first = self.plan.task.is_empty() && self.turns.said().is_empty();
        if is_first { TurnKind::Task } else { TurnKind::Operator }
    }

    /// The user sent a message: earlier feedback may help now, and in a conversation the count of iterations starts again.
    pub(super) fn hears_user(&mut self, kind: TurnKind, text: String) {
        self.stops.starts_over();
        if self.plan.conversation {
            self.stops.counts_anew();
        }
        if kind == TurnKind::Task {
            self.plan.task = text;
        }
    }

    /// Abandons a review for a message of the user.
    pub(super) fn answers_user_first(&mut self) {
        self.decide("answer the user first", "the user has said something while the stop was judged");
        self.give_up_judging();
        self.enter(Stage::Working);
    }

    /// The user's message precedes all turns of ccc; a review is abandoned for it.
    fn say(&mut self, key: Option<String>, text: String, images: Vec<Image>) -> Taken {
        let kind = self.kind_of_words();
        let taken = self.turns.queue_said(kind, key, text.clone(), images);
        if !matches!(taken, Taken::Queued { .. }) {
            return taken;
        }
        self.hears_user(kind, text);
        match self.stage() {
            // A waiting interface takes the message at its next stop.
            Stage::Resting(_) if self.has_interface() => {}
            Stage::Resting(resting) if resting.kind() != RestKind::Paused => {
                self.steering.left = Some(resting.rest().clone());
                self.decide("go on with what the user said", "the run rested");
                self.enter(Stage::Working);
            }
            Stage::Checking(_) | Stage::Reviewing(_) => self.answers_user_first(),
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Working
            | Stage::Waiting(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => {}
        }
        taken
    }

    fn take_back(&mut self, key: &str) -> Taken {
        let Some(kind) = self.turns.take_back(key) else {
            let refused = if self.turns.knows_key(key) { Refused::TooLate } else { Refused::Nothing };
            return Taken::Refused(refused);
        };
        if kind == TurnKind::Task {
            self.plan.task.clear();
        }
        // The rest had ended only for this message.
        if let Stage::Working = self.stage()
            && self.turns.current().is_none()
            && !self.turns.has_queued()
            && let Some(rest) = self.steering.left.take()
        {
            self.rest(rest);
        }
        Taken::Done
    }

    /// Interrupts the turn or abandons the review; then the run continues with the user's queued messages, or rests.
    fn stop_turn(&mut self) -> Taken {
        let is_idle = matches!(self.stage(), Stage::Working) && !self.agent_is_at_work();
        let gives_up_unsaid = is_idle || matches!(self.stage(), Stage::Waiting(_));
        let gave_up = gives_up_unsaid && self.turns.give_up_unsaid();
        match self.stage() {
            Stage::Working if self.agent_is_at_work() => {
                if self.steering.stops_turn {
                    return Taken::Already;
                }
                self.steering.stops_turn = true;
                if self.stop_waiting("the user interrupted") {
                    return Taken::Done;
                }
                self.decide("interrupt the turn", "the user said so");
                if let Some(proc) = self.agent_proc() {
                    self.order(proc, Process::stop_turn);
                    self.interface_is_interrupted(proc);
                }
                Taken::Done
            }
            Stage::SettingUp { check } => {
                let check = *check;
                self.stop_setup(check);
                Taken::Done
            }
            // A turn that ccc was about to send.
            Stage::Working if gave_up => {
                self.decide("say no more by itself", "the user interrupted");
                self.rest_unless_queued(RestKind::Interrupted);
                Taken::Done
            }
            // The turn that was cut off at the limit, or by a failure. The next message waits for the reset itself.
            Stage::Waiting(pause) if gave_up => {
                let pause = *pause;
                self.end_wait(&pause);
                self.own_turns.breaks_off(pause);
                self.decide("give up the turn that waits", "the user interrupted");
                self.turns.give_up_postponed_continue();
                self.rest_unless_queued(RestKind::Interrupted);
                Taken::Done
            }
            Stage::Checking(_) | Stage::Reviewing(_) => {
                self.decide("give up the judging of this stop", "the user interrupted");
                self.give_up_judging();
                self.rest_unless_queued(RestKind::Interrupted);
                Taken::Done
            }
            // It would wait for a stop of the interface.
            Stage::Resting(resting) if self.has_interface() && self.turns.has_queued() && !self.is_paused() => {
                self.steering.left = Some(resting.rest().clone());
                self.decide("say what waits", "the user does not wait for a stop");
                self.enter(Stage::Working);
                Taken::Done
            }
            Stage::NotBegun
            | Stage::Working
            | Stage::Waiting(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => Taken::Refused(Refused::Nothing),
        }
    }

    /// A turn ended that the user had interrupted.
    pub(super) fn turn_is_stopped(&mut self) {
        self.checkpoint_at_stop();
        self.decide("wait for the user", "the turn was interrupted by the user");
        self.turns.give_up_postponed_continue();
        self.rest_unless_queued(RestKind::Interrupted);
    }

    fn agent_is_at_work(&self) -> bool {
        self.turns.unanswered().is_some() || self.agent_goes_on()
    }

    fn pause(&mut self) -> Taken {
        if std::mem::replace(&mut self.steering.paused, true) {
            return Taken::Already;
        }
        self.decide("begin nothing new", "the user paused the run");
        Taken::Done
    }

    /// Begins no further step of a review while the run is paused: the stop is judged after the pause. True if the run rests
    /// for that.
    pub(super) fn judging_is_paused(&mut self) -> bool {
        if !self.is_paused() {
            return false;
        }
        self.decide("judge the stop after the pause", "the user paused the run");
        self.leave_unjudged();
        self.steering.judges_next = true;
        self.rest(Rest::of(RestKind::Paused));
        true
    }

    fn go_on(&mut self) -> Taken {
        if !std::mem::take(&mut self.steering.paused) {
            return Taken::Refused(Refused::Nothing);
        }
        self.decide("go on", "the user ended the pause");
        if let Stage::Resting(resting) = self.stage()
            && resting.kind() == RestKind::Paused
        {
            self.enter(Stage::Working);
        }
        Taken::Done
    }

    fn judge_now(&mut self) -> Taken {
        match self.stage() {
            Stage::Checking(_) | Stage::Reviewing(_) => Taken::Already,
            Stage::Resting(resting) if resting.kind() == RestKind::NoTask => Taken::Refused(Refused::Nothing),
            Stage::Resting(resting) => {
                let waits = matches!(resting.kind(), RestKind::Paused | RestKind::Workers);
                self.steering.judges_next = true;
                if !waits {
                    self.decide("judge the work", "the user said so");
                    self.enter(Stage::Working);
                }
                Taken::Done
            }
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Working
            | Stage::Waiting(_)
            | Stage::Closing { .. }
            | Stage::Finished => {
                self.steering.judges_next = true;
                Taken::Done
            }
        }
    }

    fn set(&mut self, change: Change) -> Taken {
        let (what, why) = match &change {
            Change::Model(model) if !is_one_word(model) => {
                let why = "this is no name of a model: it is one word, without spaces, such as opus".to_owned();
                return Taken::Refused(Refused::BadAnswer(why));
            }
            Change::Unattended(_) if self.plan.approvals == Approvals::Off => {
                return Taken::Refused(Refused::NotForThisRun);
            }
            // A CLI without permission modes.
            Change::PermissionMode(_) if self.plan.agent.args_to_work().is_empty() => {
                return Taken::Refused(Refused::NotForThisRun);
            }
            Change::PermissionMode(mode) if !is_one_word(mode) => {
                return Taken::Refused(Refused::BadAnswer("this is no name of a permission mode".to_owned()));
            }
            Change::PermissionMode(mode) if self.plan.agent.only_plans_in(mode) && !self.may_plan() => {
                let why = "in this mode the agent may only plan, and in this run nobody approves plans".to_owned();
                return Taken::Refused(Refused::BadAnswer(why));
            }
            Change::PermissionMode(mode) => (format!("use the permission mode {mode}"), "the user said so"),
            Change::Model(model) => (format!("use the model {model}"), "the user said so"),
            Change::CriticModel(_) => ("use another model for the critic".to_owned(), "the user said so"),
            Change::Budgets(_) => ("take the new bounds".to_owned(), "the user gave them"),
            Change::Unattended(_) => ("take the new rule for requests".to_owned(), "the user gave it"),
            Change::Supervisor(true) => ("judge the agent's stops".to_owned(), "the user said so"),
            Change::Supervisor(false) => ("judge no stops".to_owned(), "the user said so"),
        };
        self.decide(&what, why);
        self.plan = change.applied_to(&self.plan);
        match change {
            Change::Model(model) => {
                self.session.uses(&model);
                if let Some(proc) = self.processes.agent().filter(|agent| !agent.is_ending()).map(|agent| agent.id) {
                    self.act(Action::SetModel { proc, model });
                }
            }
            Change::Supervisor(false) => {
                self.steering.judges_next = false;
                if let Stage::Checking(_) | Stage::Reviewing(_) = self.stage() {
                    self.give_up_judging();
                    self.rest_unless_queued(RestKind::Unsupervised);
                }
            }
            Change::Supervisor(true) => {
                if let Stage::Resting(resting) = self.stage()
                    && resting.kind() == RestKind::Unsupervised
                {
                    self.enter(Stage::Working);
                }
            }
            Change::Unattended(_) => self.unattended_changed(),
            Change::PermissionMode(mode) => {
                self.session.chooses_mode(&mode);
                if let Some(proc) = self.processes.agent().filter(|agent| !agent.is_ending()).map(|agent| agent.id) {
                    self.act(Action::SetPermissionMode { proc, mode });
                }
            }
            Change::Budgets(_) => {
                if let Stage::Resting(resting) = self.stage()
                    && self.has_room_again(resting)
                {
                    self.decide("go on with the work", "the bound that was spent has been raised");
                    self.budget_raised();
                    self.enter(Stage::Working);
                }
            }
            Change::CriticModel(_) => {}
        }
        Taken::Done
    }
}
