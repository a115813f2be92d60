//! The simulated user during a run: attaches and detaches, sends and takes back messages, answers the agent's requests, pauses,
//! interrupts, and changes settings, each at a rate that the seed draws.
//!
//! The user has separate dice, so that a night without a user is the same as before users existed. The user's actions are checked
//! against the run's answers ([`Taken`]); [`Steering`](super::steering::Steering) keeps the state.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::laws::{Broken, Law};
use super::world::{Event, World};
use ccc::demo::scripted::{AskedTool, Form, Script, Step, Tool};
use serde_json::{Map, Value, json};
use supervision::agent::{Asked, AskedKind};
use supervision::core::{
    Approvals, AskId, Budgets, Change, Input, OperatorInput, Plan, Refused, Ruling, Taken, TokenId, Unattended,
};

/// Separates these dice from the night's own.
const DICE: u64 = 0x6f70_6572_6174;
/// How many of 100 nights have a user during the run.
const ATTENDED_NIGHTS: u64 = 50;
/// How many of 100 other nights have an agent that asks and no user.
const ASKING_NIGHTS: u64 = 20;
/// How many acts a user performs in one night.
const MOST_ACTS: u32 = 150;
/// A key with which no message was sent.
const NO_KEY: &str = "never said";

/// An act of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Say,
    /// Sends the same message again with the same key.
    Repeat,
    TakeBack,
    Attend,
    Leave,
    Pause,
    Continue,
    StopTurn,
    Judge,
    Rotate,
    Set,
    /// Answers a request that is not open.
    RuleInVain,
}

const ACTS: [Act; 12] = [
    Act::Say,
    Act::Repeat,
    Act::TakeBack,
    Act::Attend,
    Act::Leave,
    Act::Pause,
    Act::Continue,
    Act::StopTurn,
    Act::Judge,
    Act::Rotate,
    Act::Set,
    Act::RuleInVain,
];

/// The user of a night.
#[derive(Debug)]
pub(super) struct Operator {
    dice: Dice,
    /// The most transitions between two acts; 0 if there is no user.
    every: u64,
    /// The most time between two acts, in milliseconds.
    every_ms: u64,
    /// The transition of the next act.
    due: u64,
    /// How many acts are left. The bound keeps nights fast.
    left: u32,
    /// The relative frequency of each act.
    weights: [u64; ACTS.len()],
    /// How many of 100 requests are answered while a client is attached.
    answers: u64,
    /// How often a second answer is given.
    doubled: u64,
    said: Vec<(String, String)>,
    /// A message that was being sent when ccc died; the user sends it again with the same key.
    unsure: Option<(String, String)>,
    /// The agent's requests, as shown to the user.
    asked: BTreeMap<AskId, Asked>,
    rulings: u32,
}

impl Operator {
    /// `alone`: a night without a user and without requests.
    pub(super) fn draw(seed: u64, long: bool, alone: bool) -> Operator {
        let mut dice = Dice::new(seed ^ DICE);
        let attends = dice.percent(ATTENDED_NIGHTS) && !alone;
        let every = dice.between(5, if long { 3_000 } else { 200 });
        let every_ms = if dice.percent(50) { dice.between(5_000, 300_000) } else { dice.between(60_000, 7_200_000) };
        let mut weights = [0; ACTS.len()];
        for weight in &mut weights {
            *weight = if dice.percent(50) { dice.between(1, 10) } else { 0 };
        }
        let mut operator = Operator {
            every: if attends { every } else { 0 },
            every_ms,
            due: 0,
            left: MOST_ACTS,
            weights,
            answers: dice.between(40, 100),
            doubled: dice.rate(40_000),
            dice,
            said: Vec::new(),
            unsure: None,
            asked: BTreeMap::new(),
            rulings: 0,
        };
        operator.waits(0);
        operator
    }

    pub(super) fn is_there(&self) -> bool {
        self.every > 0
    }

    /// Adapts the run's settings to the user, and adds requests to the agent's script.
    pub(super) fn shape(&mut self, plan: &mut Plan, script: &mut Script, long: bool, alone: bool) {
        let asks = self.is_there() || self.dice.percent(ASKING_NIGHTS);
        if !asks || alone {
            return;
        }
        let dice = &mut self.dice;
        let unattended = unattended(dice);
        if !dice.percent(10) {
            plan.approvals = Approvals::Ask { unattended };
        }
        // A long turn has many steps, and each request may have to be waited for.
        let rate = dice.rate(if long { 500 } else { 40_000 });
        for turn in &mut script.agent {
            let at = turn.len() as u64;
            for at in (0..at).rev().filter_map(|at| usize::try_from(at).ok()) {
                if dice.chance(rate) {
                    turn.insert(at, asking_step(dice));
                }
            }
        }
        for turn in &mut script.critic {
            if dice.chance(rate / 8) {
                turn.insert(0, form());
            }
        }
        if self.every > 0 && self.dice.percent(50) {
            plan.conversation = true;
            plan.conversation_patience_ms = self.dice.between(60_000, 24 * 3_600_000);
            if self.dice.percent(50) {
                plan.task = String::new();
                self.weights[0] = self.weights[0].max(5);
            }
        }
        if self.every > 0 && self.dice.percent(10) {
            plan.supervised = false;
        }
    }

    /// Whether an act is due at this transition.
    pub(super) fn is_due(&self, steps: u64) -> bool {
        self.every > 0 && steps >= self.due
    }

    fn waits(&mut self, steps: u64) {
        self.due = steps + self.dice.between(1, self.every.max(1));
    }

    /// The time before the user's next act by the clock, in milliseconds.
    pub(super) fn pause_ms(&mut self) -> u64 {
        self.dice.between(1, self.every_ms)
    }

    fn choose(&mut self) -> Act {
        let mut at = self.dice.between(0, self.weights.iter().sum::<u64>().saturating_sub(1));
        for (act, weight) in ACTS.into_iter().zip(self.weights) {
            if at < weight {
                return act;
            }
            at -= weight;
        }
        Act::Attend
    }

    fn some_said(&mut self) -> Option<(String, String)> {
        // Prefer recent messages, because they may still be waiting.
        let back = if self.dice.percent(70) { 2 } else { self.said.len() as u64 };
        let back = usize::try_from(self.dice.between(1, back.max(1))).unwrap_or(1);
        self.said.len().checked_sub(back).and_then(|at| self.said.get(at)).cloned()
    }

    /// An answer that fits the request, or sometimes one that does not.
    fn ruling(&mut self, asked: &Asked) -> Ruling {
        let dice = &mut self.dice;
        let kind = if dice.percent(10) {
            let kinds = [AskedKind::Permission, AskedKind::Choices, AskedKind::Plan, AskedKind::Form];
            dice.choose(&kinds, asked.kind)
        } else {
            asked.kind
        };
        if dice.percent(30) {
            let reason = if dice.percent(50) { String::new() } else { "Not on a Friday.".to_owned() };
            return Ruling::Deny { reason };
        }
        match kind {
            AskedKind::Permission | AskedKind::Plan => {
                let input = dice.percent(10).then(|| r#"{"command":"true"}"#.to_owned());
                Ruling::Allow { for_session: dice.percent(30), input }
            }
            AskedKind::Choices => {
                let answers = asked.questions.iter().map(|it| (it.question.clone(), "8080".to_owned())).collect();
                Ruling::Answers { answers, notes: BTreeMap::new() }
            }
            AskedKind::Form => {
                let content = if dice.percent(80) { r#"{"name":"Ann"}"# } else { "Ann" };
                Ruling::Fill { content: content.to_owned() }
            }
        }
    }
}

fn unattended(dice: &mut Dice) -> Unattended {
    if dice.percent(40) { Unattended::Deny } else { Unattended::Wait { timeout_ms: dice.between(1_000, 3_600_000) } }
}

/// A step in which the agent asks its user.
fn asking_step(dice: &mut Dice) -> Step {
    match dice.between(0, 9) {
        0 => Step::Questions(vec![json!({"question": "Which port?", "header": "Port", "multiSelect": false,
            "options": [{"label": "8080", "description": "usual"}, {"label": "9090", "description": ""}]})]),
        1 => Step::Plan("# Plan\n\n1. Do it.".to_owned()),
        2 => form(),
        kind => {
            let path = Value::String("g".to_owned());
            let content = Value::String(dice.between(0, u64::MAX / 2).to_string());
            let tool = if kind < 6 {
                let input = Map::from_iter([("file_path".to_owned(), path), ("content".to_owned(), content)]);
                Tool { name: "Write".to_owned(), input, real: true, ms: dice.between(0, 2_000), ..Tool::default() }
            } else {
                let input = Map::from_iter([("command".to_owned(), Value::String("make".to_owned()))]);
                Tool { name: "Bash".to_owned(), input, real: true, ..Tool::default() }
            };
            let rule = json!({"type": "addRules", "rules": [{"toolName": tool.name.clone()}], "behavior": "allow",
                "destination": "localSettings"});
            Step::Ask(AskedTool {
                suggestions: if dice.percent(60) { vec![rule] } else { Vec::new() },
                reason: String::new(),
                withdrawn_ms: dice.percent(25).then(|| dice.between(1, 600_000)),
                tool,
            })
        }
    }
}

fn form() -> Step {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    Step::Form(Form { server: "register".to_owned(), message: "Your name?".to_owned(), schema })
}

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
        if self.finish.is_some() || self.unresumable {
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
        if let OperatorInput::Say { key: Some(key), .. } | OperatorInput::TakeBack { key } = input
            && let Some(text) = self.laws.steering.perhaps(key)
        {
            self.laws.unsaid(&text);
        }
    }

    /// Informs the laws of an accepted input of the user, before its actions are performed.
    pub(super) fn operator_did(&mut self, input: &OperatorInput) -> Result<(), Broken> {
        let Some(taken) = self.taken.clone() else { return Ok(()) };
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
            | OperatorInput::Set(_) => {}
        }
        Ok(())
    }
}
