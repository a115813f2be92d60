//! The simulated user during a run: how often the user acts and how, as the seed draws it. What an act does to the world stands in
//! `acts`.
//!
//! The user has separate dice, so that a night without a user is the same as before users existed.

use std::collections::BTreeMap;

use super::dice::Dice;
use ccc::demo::scripted::{AskedTool, Form, Script, Step, Tool};
use serde_json::{Map, Value, json};
use supervision::agent::{AnswerForm, Asked};
use supervision::core::{Approvals, AskId, Plan, Ruling, Unattended};

/// Separates these dice from the night's own.
const DICE: u64 = 0x6f70_6572_6174;
/// How many of 100 nights have a user during the run.
const ATTENDED_NIGHTS: u64 = 50;
/// How many of 100 other nights have an agent that asks and no user.
const ASKING_NIGHTS: u64 = 20;
/// How many acts a user performs in one night.
const MOST_ACTS: u32 = 150;

/// An act of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
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
    pub(super) dice: Dice,
    /// The most transitions between two acts; 0 if there is no user.
    pub(super) every: u64,
    /// The most time between two acts, in milliseconds.
    every_ms: u64,
    /// The transition of the next act.
    due: u64,
    /// How many acts are left. The bound keeps nights fast.
    pub(super) left: u32,
    /// The relative frequency of each act.
    weights: [u64; ACTS.len()],
    /// How many of 100 requests are answered while a client is attached.
    pub(super) answers: u64,
    /// How often a second answer is given.
    pub(super) doubled: u64,
    pub(super) said: Vec<(String, String)>,
    /// A message that was being sent when ccc died; the user sends it again with the same key.
    pub(super) unsure: Option<(String, String)>,
    /// The agent's requests, as shown to the user.
    pub(super) asked: BTreeMap<AskId, Asked>,
    pub(super) rulings: u32,
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

    pub(super) fn waits(&mut self, steps: u64) {
        self.due = steps + self.dice.between(1, self.every.max(1));
    }

    /// The time before the user's next act by the clock, in milliseconds.
    pub(super) fn pause_ms(&mut self) -> u64 {
        self.dice.between(1, self.every_ms)
    }

    pub(super) fn choose(&mut self) -> Act {
        let mut at = self.dice.between(0, self.weights.iter().sum::<u64>().saturating_sub(1));
        for (act, weight) in ACTS.into_iter().zip(self.weights) {
            if at < weight {
                return act;
            }
            at -= weight;
        }
        Act::Attend
    }

    pub(super) fn some_said(&mut self) -> Option<(String, String)> {
        // Prefer recent messages, because they may still be waiting.
        let back = if self.dice.percent(70) { 2 } else { self.said.len() as u64 };
        let back = usize::try_from(self.dice.between(1, back.max(1))).unwrap_or(1);
        self.said.len().checked_sub(back).and_then(|at| self.said.get(at)).cloned()
    }

    /// An answer that fits the request, or sometimes one that does not.
    pub(super) fn ruling(&mut self, asked: &Asked) -> Ruling {
        let dice = &mut self.dice;
        let form = asked.kind.answer_form();
        let form = if dice.percent(10) {
            // Four to choose from, so that each seed keeps its night.
            let forms = [AnswerForm::YesOrNo, AnswerForm::Questions, AnswerForm::YesOrNo, AnswerForm::Fields];
            dice.choose(&forms, form)
        } else {
            form
        };
        if dice.percent(30) {
            let reason = if dice.percent(50) { String::new() } else { "Not on a Friday.".to_owned() };
            return Ruling::Deny { reason };
        }
        match form {
            AnswerForm::YesOrNo => {
                let input = dice.percent(10).then(|| r#"{"command":"true"}"#.to_owned());
                Ruling::Allow { for_session: dice.percent(30), input }
            }
            AnswerForm::Questions => {
                let answers = asked.questions.iter().map(|it| (it.question.clone(), "8080".to_owned())).collect();
                Ruling::Answers { answers, notes: BTreeMap::new() }
            }
            AnswerForm::Fields => {
                let content = if dice.percent(80) { r#"{"name":"Ann"}"# } else { "Ann" };
                Ruling::Fill { content: content.to_owned() }
            }
        }
    }
}

/// A rule for requests that nobody attends.
pub(super) fn unattended(dice: &mut Dice) -> Unattended {
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
