//! What the simulated user does in a run: attaches and detaches, sends and takes back messages, answers the agent's requests, pauses,
//! interrupts, and changes settings.
//!
//! Each act is checked against the run's answer ([`Taken`]); [`Steering`](super::steering::Steering) keeps the state.

use super::law::{Broken, Law};
use super::operator::{Act, unattended};
use super::world::{Event, World};
use supervision::agent::Asked;
use supervision::core::{AskId, Budgets, Change, Input, OperatorInput, Refused, Ruling, Taken, TokenId};

/// A key with which no message was sent.
const NO_KEY: &str = "never said";

impl World {
    /// Performs an act of the user.
    pub(super) fn operates(&mut self) -> Result<(), Broken> {
        let steps = self.steps;
        self.operator.waits(steps);
        self.operator.left = self.operator.left.saturating_sub(1);
        if self.operator.left == 0 {
            return self.user_goes_home();
        }
        if let Some((key, text)) = self.operator.unsure.take() {
            return self.says(key, text);
        }
        match self.operator.choose() {
            Act::Say => {
                let number = self.operator.said.len();
                let key = format!("key-{}-{number}", self.lives);
                let text = format!("the word number {number} of life {} at the keyboard.", self.lives);
                self.operator.said.push((key.clone(), text.clone()));
                self.says(key, text)
            }
            Act::Repeat => match self.operator.some_said() {
                Some((key, text)) => {
                    self.counts.add("words repeated under their key");
                    self.says(key, text)
                }
                None => Ok(()),
            },
            Act::TakeBack => {
                let key = self.operator.some_said().map_or_else(|| NO_KEY.to_owned(), |(key, _)| key);
                self.takes_back(key)
            }
            Act::Attend => self.attends(self.laws.steering.clients() + 1),
            Act::Leave => self.attends(self.laws.steering.clients().saturating_sub(1)),
            Act::Pause => self.pauses(true),
            Act::Continue => self.pauses(false),
            Act::StopTurn => self.interrupts_turn(),
            Act::Judge => {
                self.counts.add("judging asked for");
                self.operate(OperatorInput::Judge).map(drop)
            }
            Act::Rotate => {
                let known = self.provider.known.iter().map(|fact| fact.id.clone());
                let mut tokens: Vec<Option<TokenId>> = known.map(Some).collect();
                tokens.extend([None, Some(TokenId("nobody's".to_owned()))]);
                let last = (tokens.len() - 1) as u64;
                let at = usize::try_from(self.operator.dice.between(0, last)).unwrap_or(0);
                self.counts.add("token asked for");
                self.operate(OperatorInput::Rotate { to: tokens.swap_remove(at) }).map(drop)
            }
            Act::Set => self.sets(),
            Act::RuleInVain => {
                self.counts.add("ruling of what is not open");
                // A number far above those in use, or one that may be settled.
                let ask = AskId(if self.operator.dice.percent(50) { 1_000_000 } else { 1 });
                self.rules(ask, Ruling::Allow { for_session: false, input: None }, None)
            }
        }
    }

    /// The user detaches, at the latest when the faults stop: ends a pause, and leaves the run alone.
    pub(super) fn user_goes_home(&mut self) -> Result<(), Broken> {
        if !self.operator.is_there() {
            return Ok(());
        }
        self.operator.every = 0;
        self.pauses(false)?;
        self.operate(OperatorInput::Set(Change::Supervisor(true)))?;
        self.attends(0)
    }

    /// Feeds an input of the user to the core. `None` if ccc died during it, so that there was no answer.
    fn operate(&mut self, input: OperatorInput) -> Result<Option<Taken>, Broken> {
        if !self.goes_on() {
            return Ok(None);
        }
        self.taken = None;
        self.feed_once(Input::Operator(input))?;
        Ok(self.taken.take())
    }

    fn says(&mut self, key: String, text: String) -> Result<(), Broken> {
        self.counts.add("words in mid-run");
        self.operator.unsure = Some((key.clone(), text.clone()));
        let said = OperatorInput::Say { key: Some(key), text, images: Vec::new() };
        // If ccc dies during it, the user does not know whether the message was accepted.
        if self.operate(said)?.is_some() {
            self.operator.unsure = None;
        }
        Ok(())
    }

    fn takes_back(&mut self, key: String) -> Result<(), Broken> {
        if self.operate(OperatorInput::TakeBack { key })? == Some(Taken::Done) {
            self.counts.add("words taken back");
        }
        Ok(())
    }

    fn attends(&mut self, clients: u32) -> Result<(), Broken> {
        self.counts.add(if clients == 0 { "nobody attends" } else { "somebody attends" });
        self.operate(OperatorInput::Attended { clients, why: None })?;
        // A user who attaches sees the open requests.
        if clients > 0 {
            let open: Vec<AskId> = self.laws.steering.open().collect();
            for ask in open {
                self.may_answer(ask);
            }
        }
        Ok(())
    }

    fn pauses(&mut self, pause: bool) -> Result<(), Broken> {
        let input = if pause { OperatorInput::Pause } else { OperatorInput::Continue };
        if self.operate(input)? == Some(Taken::Done) {
            self.counts.add(if pause { "pause" } else { "end of a pause" });
        }
        Ok(())
    }

    fn interrupts_turn(&mut self) -> Result<(), Broken> {
        if self.operate(OperatorInput::StopTurn)? == Some(Taken::Done) {
            self.counts.add("turn interrupted");
        }
        Ok(())
    }

    fn sets(&mut self) -> Result<(), Broken> {
        let dice = &mut self.operator.dice;
        let change = match dice.between(0, 9) {
            0..=2 => Change::Supervisor(dice.percent(60)),
            3..=4 => Change::Model(if dice.percent(90) { "opus".to_owned() } else { " ".to_owned() }),
            5 if dice.percent(50) => {
                let mode = ["default", "acceptEdits", "plan"].get(dice.between(0, 2) as usize).unwrap_or(&"default");
                Change::PermissionMode((*mode).to_owned())
            }
            5 => Change::CriticModel(dice.percent(50).then(|| "opus".to_owned())),
            6..=7 => Change::Unattended(unattended(dice)),
            _ => Change::Budgets(Budgets {
                max_iterations: self.plan.budgets.max_iterations + u32::try_from(dice.between(0, 3)).unwrap_or(0),
                ..self.plan.budgets.clone()
            }),
        };
        self.counts.add("setting changed in mid-run");
        self.operate(OperatorInput::Set(change)).map(drop)
    }

    /// Shows the user a request.
    pub(super) fn is_shown(&mut self, asked: &Asked) -> Result<(), Broken> {
        self.laws.steering.shown(asked.id)?;
        self.operator.asked.insert(asked.id, asked.clone());
        // `ccc answer` needs no attached client.
        if self.laws.steering.clients() > 0 || (self.operator.is_there() && self.operator.dice.percent(10)) {
            self.may_answer(asked.id);
        }
        Ok(())
    }

    /// Schedules the user's answer to a request, perhaps twice, perhaps never.
    fn may_answer(&mut self, ask: AskId) {
        let Some(asked) = self.operator.asked.get(&ask).cloned() else { return };
        if !self.faults_on || !self.operator.dice.percent(self.operator.answers) {
            return;
        }
        let most_ms = if self.operator.dice.percent(80) { 60_000 } else { 7_200_000 };
        let ms = self.operator.dice.between(200, most_ms);
        self.operator.rulings += 1;
        let key = format!("ruling-{}", self.operator.rulings);
        let ruling = self.operator.ruling(&asked);
        if self.operator.dice.chance(self.operator.doubled) {
            let later_ms = ms + self.operator.dice.between(0, 60_000);
            let key = if self.operator.dice.percent(50) { Some(key.clone()) } else { None };
            let ruling = self.operator.ruling(&asked);
            self.schedule(later_ms, Event::Rules(ask, ruling, key));
        }
        self.schedule(ms, Event::Rules(ask, ruling, Some(key)));
    }

    /// Answers a request.
    pub(super) fn rules(&mut self, ask: AskId, ruling: Ruling, key: Option<String>) -> Result<(), Broken> {
        let was_open = self.laws.steering.open().any(|open| open == ask);
        match self.operate(OperatorInput::Rule { ask, key, ruling })? {
            Some(Taken::Done) => {
                self.counts.add("ruling");
                self.laws.steering.ruled(ask, was_open, true)
            }
            Some(Taken::Refused(Refused::NotOpen)) => {
                self.counts.add("late ruling");
                self.laws.steering.ruled(ask, was_open, false)
            }
            Some(Taken::Refused(_)) => {
                self.counts.add("ruling that does not fit");
                Ok(())
            }
            Some(Taken::Already) => {
                self.counts.add("ruling repeated under its key");
                Ok(())
            }
            Some(Taken::Queued { .. }) => Err(Law::Sense.broken("a ruling is queued")),
            None => Ok(()),
        }
    }

    /// ccc died while it wrote this input, so the journal may or may not contain it.
    pub(super) fn operator_may_have_done(&mut self, input: &OperatorInput) {
        if matches!(input, OperatorInput::StopTurn) {
            self.laws.turn_stopped();
        }
        if let OperatorInput::Say { key: Some(key), .. } | OperatorInput::TakeBack { key } = input
            && let Some(text) = self.laws.steering.perhaps(key)
        {
            self.laws.unsaid(&text);
        }
    }

    /// Informs the laws of an accepted input of the user, before its actions are performed.
    pub(super) fn operator_did(&mut self, input: &OperatorInput) -> Result<(), Broken> {
        let Some(taken) = self.taken.clone() else { return Ok(()) };
        self.family_did(input, &taken)?;
        let laws = &mut self.laws;
        match input {
            OperatorInput::Say { key, text, .. } => {
                let key = key.as_deref().unwrap_or_default();
                match &taken {
                    Taken::Queued { .. } => {
                        laws.said(text.clone());
                        laws.steering.said(key, text, true)?;
                    }
                    Taken::Already => {
                        if laws.steering.said(key, text, false)? {
                            laws.said(text.clone());
                        }
                    }
                    Taken::Refused(_) => {}
                    Taken::Done => return Err(Law::Sense.broken("words are done")),
                }
            }
            OperatorInput::TakeBack { key } => match &taken {
                Taken::Done => {
                    if let Some(text) = laws.steering.takes_back(key)? {
                        laws.unsaid(&text);
                    }
                }
                Taken::Refused(Refused::TooLate) => laws.steering.is_too_late(key)?,
                Taken::Refused(_) | Taken::Already | Taken::Queued { .. } => {}
            },
            OperatorInput::StopTurn if taken == Taken::Done => laws.turn_stopped(),
            OperatorInput::Pause if taken == Taken::Done => laws.steering.paused(true),
            OperatorInput::Continue if taken == Taken::Done => laws.steering.paused(false),
            OperatorInput::Attended { clients, .. } => laws.steering.attended(*clients),
            OperatorInput::Set(Change::Unattended(_)) if taken == Taken::Done => laws.steering.rule_changed(),
            OperatorInput::Set(Change::Budgets(budgets)) if taken == Taken::Done => {
                self.plan.budgets.clone_from(budgets);
            }
            OperatorInput::Interrupt { .. }
            | OperatorInput::Turn { .. }
            | OperatorInput::Restate { .. }
            | OperatorInput::Moved { .. }
            | OperatorInput::NotEnforced { .. }
            | OperatorInput::Budgets(_)
            | OperatorInput::Plan(_)
            | OperatorInput::Answer { .. }
            | OperatorInput::StopTurn
            | OperatorInput::Pause
            | OperatorInput::Continue
            | OperatorInput::Rule { .. }
            | OperatorInput::Judge
            | OperatorInput::Rotate { .. }
            | OperatorInput::TakeUp
            | OperatorInput::WorkerStarted { .. }
            | OperatorInput::WorkerEnded { .. }
            | OperatorInput::Set(_) => {}
        }
        Ok(())
    }
}
