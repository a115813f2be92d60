//! Which token the command has, and what a limit leads to: another token, a wait, a question, the end.

use std::collections::{BTreeMap, BTreeSet};

use super::CommandAction;
use super::machine::{After, CommandCore, Stage};
use crate::core::id::jitter_unit;
use crate::core::limit_ends::{CLOCK_SLACK_MS, LimitEnds};
use crate::core::pool::{self, Choice};
use crate::core::retry::pause_ms;
use crate::core::{LimitChoice, LimitQuestion, Outcome, Show, SpentToken, Tick, TokenFact, TokenId, WindowFact};

/// How long the provider may take to answer; then what was known counts.
const LOOK_LIMIT_MS: u64 = 45_000;
/// A wait is made longer by up to this share, so that many ccc processes do not go on at once …
const JITTER_SHARE: f64 = 0.02;
/// … and by no more than this.
const JITTER_LIMIT_MS: i64 = 30_000;

/// The tokens of the run and what is being asked about them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    pub(super) known: Vec<TokenFact>,
    ends: LimitEnds,
    /// Tokens that the provider called spent without a reset that lies ahead: until when each is left alone, and how often
    /// that was said in a row.
    held: BTreeMap<TokenId, (Tick, u32)>,
    pub(super) current: Option<TokenId>,
    /// When the provider is asked again.
    pub(super) next_look: Option<Tick>,
    look: Option<(u32, Tick)>,
    requests: u32,
    questions: u32,
    waits: u32,
    /// The user said to go on with this one as it is; and whether it was spent then.
    kept: Option<(TokenId, bool)>,
    told_refused: bool,
    /// Their values could not be had in this run: they count as refused.
    unavailable: BTreeSet<TokenId>,
}

/// A question that is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) question: LimitQuestion,
    pub(super) due: Tick,
    next: Option<TokenId>,
    spent: bool,
}

/// A wait for a reset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wait {
    /// It is over then, with its jitter.
    pub(super) until_unix_ms: i64,
    /// It is over then at the latest: a wall clock that is set back does not make it longer.
    pub(super) due: Tick,
    since: Tick,
}

impl Tokens {
    fn learn(&mut self, known: Vec<TokenFact>) {
        self.known = known;
        for token in &mut self.known {
            token.refused |= self.unavailable.contains(&token.id);
        }
    }

    /// The value of the token in use could not be had: it is not tried again.
    pub(super) fn cannot_be_had(&mut self) {
        self.unavailable.extend(self.current.clone());
        let known = std::mem::take(&mut self.known);
        self.learn(known);
    }

    /// Until when a token is left alone.
    fn held(&self, token: &TokenId, now: Tick) -> Option<Tick> {
        self.held.get(token).map(|(until, _)| *until).filter(|until| *until > now)
    }

    pub(super) fn look_due(&self) -> Option<Tick> {
        self.look.map(|(_, due)| due)
    }

    /// Whether this is the answer that is waited for.
    pub(super) fn answered(&mut self, request: u32) -> bool {
        let expected = self.look.is_some_and(|(number, _)| number == request);
        if expected {
            self.look = None;
        }
        expected
    }

    pub(super) fn give_up_look(&mut self) {
        self.look = None;
    }

    fn fact(&self, id: Option<&TokenId>) -> Option<&TokenFact> {
        self.known.iter().find(|token| Some(&token.id) == id)
    }

    fn label(&self, id: &TokenId) -> String {
        self.fact(Some(id)).map_or_else(|| id.to_string(), |token| token.label.clone())
    }
}

impl CommandCore {
    /// The handle of the token in use.
    #[must_use]
    pub fn token(&self) -> Option<&TokenId> {
        self.tokens.current.as_ref()
    }

    /// This is known by now.
    pub(super) fn learn(&mut self, known: Vec<TokenFact>) {
        self.tokens.learn(known);
        let (now, now_unix_ms) = (self.now, self.unix_ms());
        self.tokens.ends.see(&self.tokens.known, now, now_unix_ms);
    }

    /// The provider has answered what was asked about the token in use. A token that it calls spent without a reset that
    /// lies ahead is left alone for seconds, longer each time: no reset is invented.
    pub(super) fn learn_answer(&mut self, known: Vec<TokenFact>, spent: Option<bool>) {
        let Some(current) = self.tokens.current.clone() else { return self.learn(known) };
        if spent == Some(true) {
            self.tokens.ends.forget(&current);
        }
        self.learn(known);
        let free = self.tokens.fact(Some(&current)).is_some_and(|token| self.is_free(token));
        match spent {
            Some(true) if free => {
                let before = self.tokens.held.get(&current).map_or(0, |(_, times)| *times);
                let until = self.now.plus_ms(pause_ms(before));
                self.tokens.held.insert(current, (until, before.saturating_add(1)));
            }
            Some(false) => drop(self.tokens.held.remove(&current)),
            Some(true) | None => {}
        }
    }

    /// Whether a token is neither refused nor limited; it may be held.
    fn is_free(&self, token: &TokenFact) -> bool {
        !token.refused && !pool::is_limited(self.limited_until(token), self.unix_ms())
    }

    fn is_usable(&self, token: &TokenFact) -> bool {
        self.is_free(token) && self.tokens.held(&token.id, self.now).is_none()
    }

    /// The wall time at which a limited token is free again.
    fn limited_until(&self, token: &TokenFact) -> Option<i64> {
        self.tokens.ends.until(token, self.now, self.unix_ms())
    }

    fn choice(&self) -> Choice {
        let mut known = self.tokens.known.clone();
        for token in &mut known {
            let until_unix_ms = self.limited_until(token);
            let held = self.tokens.held(&token.id, self.now).filter(|_| self.is_free(token));
            token.limited_until_unix_ms = held.map(|until| self.unix_ms_at(until)).or(until_unix_ms);
        }
        pool::choose(&known, self.tokens.current.as_ref(), self.plan.rotate_at, self.unix_ms())
    }

    /// Starts the program with the best token, or waits for one.
    pub(super) fn start(&mut self) {
        if self.tokens.known.is_empty() {
            self.spawn();
            return;
        }
        match self.choice() {
            Choice::Stay => self.spawn(),
            Choice::Take(token) => {
                self.take(token);
                self.spawn();
            }
            Choice::Spent { until_unix_ms } => self.limit_met(None, Some(until_unix_ms), true),
            Choice::Nothing => {
                let labels: Vec<String> = self.tokens.known.iter().map(|token| token.label.clone()).collect();
                self.finish(Outcome::Failed, format!("every token was refused by the provider: {}", labels.join(", ")));
            }
        }
    }

    /// From the next start on the program has this token.
    pub(super) fn take(&mut self, token: TokenId) {
        let before = self.tokens.current.replace(token.clone());
        let to = self.tokens.label(&token);
        match before {
            Some(before) if before != token => {
                self.rotations += 1;
                let from = self.tokens.label(&before);
                let fact = self.tokens.fact(Some(&before));
                let why = match fact {
                    Some(fact) if fact.refused => "it was refused".to_owned(),
                    Some(fact) if !self.is_usable(fact) => "it is limited".to_owned(),
                    Some(fact) => format!("{:.0} % of it is used", 100.0 * pool::utilization(fact, self.unix_ms())),
                    None => "it is gone".to_owned(),
                };
                self.decide(format!("use {to}"), format!("{from}: {why}"));
                self.act(CommandAction::Show(Show::Rotation { from, to, why }));
            }
            Some(_) => {}
            None => {
                self.decide(format!("use {to}"), "it has the most headroom");
                let kind = self.tokens.fact(Some(&token)).map(|fact| format!("{}, ", fact.kind)).unwrap_or_default();
                self.tell(format!("using {to} ({kind}{token})"));
            }
        }
    }

    /// Asks the provider about the token in use. False when there is nothing to ask, or it is being asked already.
    pub(super) fn look_at_token(&mut self) -> bool {
        self.tokens.next_look = None;
        let Some(token) = self.tokens.current.clone().filter(|_| !self.tokens.known.is_empty()) else { return false };
        self.tokens.requests += 1;
        let request = self.tokens.requests;
        self.tokens.look = Some((request, self.now.plus_ms(LOOK_LIMIT_MS)));
        self.tokens.next_look = Some(self.now.plus_ms(self.plan.monitor_interval_ms));
        self.act(CommandAction::LookAtToken { request, token });
        true
    }

    /// What was asked is known.
    pub(super) fn tokens_known(&mut self) {
        match &self.stage {
            Stage::Running => self.consider(),
            Stage::Waiting(wait) => {
                let wait = wait.clone();
                self.wait_is_over(&wait);
            }
            Stage::Judging { failure } => {
                let failure = failure.clone();
                let spent = self.tokens.fact(self.tokens.current.as_ref()).is_some_and(|it| !self.is_usable(it));
                if spent {
                    self.decide("blame the token", failure);
                    self.start();
                } else {
                    self.failed(&failure);
                }
            }
            Stage::NotBegun
            | Stage::Starting
            | Stage::Asking(_)
            | Stage::Ending { .. }
            | Stage::Pausing { .. }
            | Stage::Finished => {}
        }
    }

    /// Whether the running program should have another token.
    fn consider(&mut self) {
        match self.choice() {
            Choice::Stay => {}
            Choice::Take(token) => self.limit_met(Some(token), None, false),
            Choice::Spent { until_unix_ms } => self.limit_met(None, Some(until_unix_ms), false),
            Choice::Nothing => {
                if !std::mem::replace(&mut self.tokens.told_refused, true) {
                    let label = self.tokens.current.clone().map(|id| self.tokens.label(&id)).unwrap_or_default();
                    self.tell(format!(
                        "the provider refuses {label} and there is no other token; the program runs on with it"
                    ));
                }
            }
        }
    }

    /// The token in use is at its limit: `next` would be another one, without it the first is free again at `until`.
    fn limit_met(&mut self, next: Option<TokenId>, until: Option<i64>, starting: bool) {
        let now_unix_ms = self.unix_ms();
        let current = self.tokens.fact(self.tokens.current.as_ref());
        let spent = current.is_none_or(|token| !self.is_usable(token));
        let kept = self
            .tokens
            .kept
            .as_ref()
            .is_some_and(|(id, was_spent)| Some(id) == self.tokens.current.as_ref() && (*was_spent || !spent));
        if kept && !starting {
            return;
        }
        if self.plan.interactive {
            self.ask(next, until, spent);
            return;
        }
        match (next, until) {
            (Some(token), _) => self.end(After::Take(token)),
            (None, Some(until)) if self.plan.no_wait => self.no_wait(until),
            (None, until) => self.wait(until.unwrap_or(now_unix_ms)),
        }
    }

    fn no_wait(&mut self, until_unix_ms: i64) {
        self.show_spent(until_unix_ms);
        self.end(After::Finish(
            Outcome::Limits,
            "every token is spent, and waiting was not wanted (--no-wait)".to_owned(),
        ));
    }

    fn hold(&mut self) {
        if let Some(life) = self.life.as_mut().filter(|life| !life.held) {
            life.held = true;
            let life = life.number;
            self.act(CommandAction::Hold { life });
        }
    }

    fn let_go(&mut self) {
        if let Some(life) = self.life.as_mut().filter(|life| life.held) {
            life.held = false;
            let number = life.number;
            self.act(CommandAction::LetGo { life: number });
        }
    }

    fn ask(&mut self, next: Option<TokenId>, until: Option<i64>, spent: bool) {
        let now_unix_ms = self.unix_ms();
        self.hold();
        self.tokens.questions += 1;
        let current = self.tokens.fact(self.tokens.current.as_ref()).or(self.tokens.known.first());
        let timeout_ms = self.plan.answer_timeout_ms;
        let question = LimitQuestion {
            number: self.tokens.questions,
            token: current.map(|token| token.label.clone()).unwrap_or_default(),
            next: next.as_ref().map(|id| self.tokens.label(id)),
            until_unix_ms: until
                .or_else(|| current.and_then(|token| reset_of(token, self.plan.rotate_at, now_unix_ms))),
            default: if next.is_some() { LimitChoice::Rotate } else { LimitChoice::Wait },
            timeout_ms,
        };
        self.decide("ask the user", format!("{} is at its limit", question.token));
        self.act(CommandAction::Show(Show::Question { question: question.clone(), now_unix_ms }));
        self.act(CommandAction::Ask(question.clone()));
        self.stage = Stage::Asking(Asked { question, due: self.now.plus_ms(timeout_ms), next, spent });
    }

    pub(super) fn answered(&mut self, asked: &Asked, choice: LimitChoice) {
        self.act(CommandAction::AskNoMore { number: asked.question.number });
        match (choice, &asked.next) {
            (LimitChoice::Rotate, Some(next)) => self.end(After::Take(next.clone())),
            (LimitChoice::Rotate | LimitChoice::Wait, _) => {
                let until = asked.question.until_unix_ms.unwrap_or_else(|| self.unix_ms());
                self.wait(until);
            }
            (LimitChoice::Exit, _) => {
                self.decide("end the program", "the user chose to exit at the limit");
                self.end(After::Finish(Outcome::Limits, "you chose to exit at the limit".to_owned()));
            }
            (LimitChoice::KeepGoing, _) => {
                self.decide("keep going", "the user chose so");
                let current =
                    self.tokens.current.clone().or_else(|| {
                        self.tokens.known.iter().find(|token| !token.refused).map(|token| token.id.clone())
                    });
                self.tokens.kept = current.clone().map(|id| (id, asked.spent));
                if self.life.is_some() {
                    self.go_on();
                } else {
                    if let Some(token) = current {
                        self.take(token);
                    }
                    self.spawn();
                }
            }
        }
    }

    /// Waits for a reset; the program, if it lives, stands still.
    fn wait(&mut self, until_unix_ms: i64) {
        self.hold();
        self.tokens.waits += 1;
        let left_ms = until_unix_ms.saturating_sub(self.unix_ms()).clamp(0, pool::LONGEST_RESET_MS);
        let share = JITTER_SHARE * jitter_unit(&self.plan.seed, "reset", self.tokens.waits);
        let jitter_ms = ((left_ms as f64 * share) as i64).min(JITTER_LIMIT_MS);
        self.decide("wait for a reset", "every token is spent");
        self.show_spent(until_unix_ms);
        let until_unix_ms = until_unix_ms.saturating_add(jitter_ms);
        let lasts_ms = left_ms.saturating_add(jitter_ms).unsigned_abs();
        let due = self.now.plus_ms(lasts_ms.saturating_add(CLOCK_SLACK_MS));
        self.stage = Stage::Waiting(Wait { until_unix_ms, due, since: self.now });
    }

    fn show_spent(&mut self, until_unix_ms: i64) {
        let now_unix_ms = self.unix_ms();
        let told = |token: &TokenFact| SpentToken {
            label: token.label.clone(),
            until_unix_ms: self.limited_until(token),
            refused: token.refused,
            held: self.tokens.held(&token.id, self.now).is_some(),
        };
        let tokens = self.tokens.known.iter().map(told).collect();
        self.act(CommandAction::Show(Show::Spent { tokens, until_unix_ms, waits: !self.plan.no_wait, now_unix_ms }));
    }

    pub(super) fn count_wait(&mut self, wait: &Wait) {
        self.waited_ms += self.now.ms_since(wait.since);
    }

    pub(super) fn waiting_elapsed(&mut self, look_overdue: bool) {
        let Stage::Waiting(wait) = &self.stage else { return };
        let wait = wait.clone();
        if look_overdue {
            self.tokens.give_up_look();
            self.wait_is_over(&wait);
        } else if self.tokens.look_due().is_none() && (self.unix_ms() >= wait.until_unix_ms || self.now >= wait.due) {
            // The provider has the last word on whether the reset has come.
            if self.life.is_none() || !self.look_at_token() {
                self.wait_is_over(&wait);
            }
        }
    }

    fn wait_is_over(&mut self, wait: &Wait) {
        self.count_wait(wait);
        if self.life.is_none() {
            self.start();
            return;
        }
        match self.choice() {
            Choice::Stay | Choice::Nothing => {
                self.decide("go on", "the reset has come");
                self.tell("the wait is over; the program goes on");
                self.go_on();
            }
            Choice::Take(token) => self.end(After::Take(token)),
            Choice::Spent { until_unix_ms } => self.wait(until_unix_ms),
        }
    }

    /// The program runs again after it stood still.
    fn go_on(&mut self) {
        self.let_go();
        self.stage = Stage::Running;
        self.restart_beat();
        self.tokens.next_look = Some(self.now.plus_ms(self.plan.monitor_interval_ms));
    }
}

/// When the token is free again: when it was said to be, else when the fullest of its full windows begins anew.
fn reset_of(token: &TokenFact, rotate_at: f64, now_unix_ms: i64) -> Option<i64> {
    let full = |window: &&WindowFact| window.utilization.is_some_and(|used| used >= rotate_at);
    let resets = token.windows.iter().filter(full).filter_map(|window| window.resets_at_unix_s);
    let windows = resets.map(|reset| reset.saturating_mul(1_000)).filter(|&reset| reset > now_unix_ms).max();
    token.limited_until_unix_ms.filter(|&until| until > now_unix_ms).or(windows)
}
