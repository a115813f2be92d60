//! Tokens in the simulated world: the provider's answers, the reports between the user's ccc processes, exchanges of credentials,
//! and the user's answers to questions at a limit.

use std::collections::VecDeque;

use super::law::{Broken, Law};
use super::provider::Answer;
use super::rejections::Request;
use super::world::{Event, World};
use ccc::demo::scripted::Step;
use supervision::agent::Say;
use supervision::core::{Answer as UserAnswer, Input, OperatorInput, ProcId, Question, TokenId};

/// The variable that gives a process an OAuth token.
const OAUTH_VARIABLE: &str = "CLAUDE_CODE_OAUTH_TOKEN";
/// A variable that the CLI does not accept from outside.
const ODD_VARIABLE: &str = "LD_PRELOAD";

impl World {
    /// The provider's answer to the next request of this process, and the name of the trouble if the request is rejected.
    pub(super) fn provider_says(&mut self, proc: ProcId) -> (Vec<Step>, Option<&'static str>) {
        let now_ms = self.true_ms();
        let Some(process) = self.processes.get(&proc).filter(|process| process.acts() && !process.agent.hangs()) else {
            return (Vec::new(), None);
        };
        let (token, tries) = (process.has.clone(), process.tries);
        let (session, compacts) = (process.session.as_str(), process.compacts);
        let request = Request { session, token: token.as_ref(), compacts, version: self.cli.version, now_ms };
        if self.faults_on
            && let Some((error, kind)) = self.rejections.answer(request)
        {
            return (Answer::fails(error).steps, Some(kind));
        }
        let answer = self.provider.answer(
            &mut self.dice,
            &self.rates,
            self.faults_on,
            self.cli.version,
            token.as_ref(),
            tries,
            now_ms,
        );
        if let Some(process) = self.processes.get_mut(&proc) {
            process.tries = if answer.tries_again { tries + 1 } else { 0 };
        }
        (answer.steps, None)
    }

    /// Answers a report about tokens or a query of their state. The answer may come late, and twice.
    pub(super) fn tell_tokens(&mut self, request: u32, at_once: &mut VecDeque<Input>) {
        if self.fault(self.rates.late) {
            self.counts.add("late completion");
            let ms = self.dice.between(1, 5_000);
            self.schedule(ms, Event::Tokens(Some(request)));
        } else {
            let (tokens, unix_ms) = (self.provider.known.clone(), Some(self.wall_ms()));
            at_once.push_back(Input::Tokens { request: Some(request), tokens, unix_ms });
        }
        if self.fault(self.rates.doubled) {
            self.counts.add("doubled completion");
            let ms = self.dice.between(1, 20_000);
            self.schedule(ms, Event::Tokens(Some(request)));
        }
    }

    pub(super) fn exchange(&mut self, proc: ProcId, token: TokenId) -> Result<(), Broken> {
        let (refused, lies) = (self.fault(self.rates.exchange_refused), self.fault(self.rates.exchange_lies));
        let Some(process) = self.processes.get_mut(&proc) else {
            let what = format!("the credential of process {proc} is exchanged, which never was or is long gone");
            return Err(Law::Sense.broken(what));
        };
        Law::Sense
            .broken_if(process.ending, || format!("the credential of process {proc} is exchanged, which is to end"))?;
        self.laws.uses(Some(&token))?;
        process.exchange = Some(token.clone());
        process.unproven = true;
        let variable = if refused { ODD_VARIABLE } else { OAUTH_VARIABLE };
        let has = (!refused && !lies).then_some(token);
        if refused {
            self.counts.add("exchange refused");
        } else if lies {
            self.counts.add("exchange without effect");
        }
        if let Some(bytes) = self.core.encode(proc, &Say::Credential { variables: &[(variable, "a value")] }) {
            self.on_its_way(proc, Event::Credential(proc, bytes, has));
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, question: &Question) {
        if self.fault(self.rates.unanswered) {
            self.counts.add("question not answered");
            return;
        }
        self.counts.add("question answered");
        let choices: Vec<UserAnswer> = question.choices().into_iter().map(|choice| choice.answer).collect();
        let choice = self.dice.choose(&choices, question.default);
        // The answer may come after the question's timeout.
        let ms = self.dice.between(200, question.timeout_ms + question.timeout_ms / 10);
        self.schedule(ms, Event::Answered(question.number, choice));
        if self.fault(self.rates.doubled) {
            let ms = ms + self.dice.between(1, 90_000);
            let choice = self.dice.choose(&choices, question.default);
            self.schedule(ms, Event::Answered(question.number, choice));
        }
    }

    /// The user answers. The core decides whether the question is still open.
    pub(super) fn answered(&mut self, number: u32, choice: UserAnswer) -> Result<(), Broken> {
        if self.core.is_asking() {
            match choice {
                UserAnswer::Exit => self.laws.chose_to_end(),
                UserAnswer::KeepGoing => self.laws.kept(self.core.token()),
                UserAnswer::Wait => self.laws.chose_to_wait(),
                UserAnswer::Rotate | UserAnswer::Allow | UserAnswer::Deny => {}
            }
        }
        self.feed(Input::Operator(OperatorInput::Answer { number, choice }))
    }
}
