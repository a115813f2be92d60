//! What follows a limit of the token: another token, a wait, a question, the end. The policy chooses the token and the wait.

use super::CommandAction;
use super::machine::{After, CommandCore, Stage};
use crate::core::policy::{Asked, Choice, Pause, SET_ASIDE_MS, Settled, reset_jitter_ms, utilization};
use crate::core::{Answer, Outcome, Show, TokenFact, TokenId};

impl CommandCore {
    /// The id of the current token.
    #[must_use]
    pub fn token(&self) -> Option<&TokenId> {
        self.tokens.current()
    }

    /// The provider has answered about the current token. `spent`: whether it calls the token limited.
    pub(super) fn learn_answer(&mut self, known: Vec<TokenFact>, spent: Option<bool>) {
        let (clock, current) = (self.clock, self.tokens.current().cloned());
        let was = |said| current.as_ref().filter(|_| spent == Some(said));
        if let Some(current) = was(false) {
            self.tokens.retries_mut().progress(Some(current));
            self.tokens.works(Some(current));
        }
        if let Some(current) = was(true) {
            self.tokens.retries_mut().asked(Some(current), clock.now());
            self.tokens.limit_confirmed(current);
        }
        self.tokens.know(known, clock);
        if let Some(current) = was(true) {
            self.tokens.rejected(current, None, clock);
        }
    }

    fn choice(&self) -> Choice {
        self.tokens.choose(self.plan.rotate_at, self.clock)
    }

    /// Starts the program with the best token, or waits for one.
    pub(super) fn start(&mut self) {
        if self.tokens.is_empty() || self.tokens.is_used_in_spite_of_limit() {
            self.spawn();
            return;
        }
        match self.choice() {
            Choice::Stay => self.spawn(),
            Choice::Take(token) => self.end(After::Take(token)),
            spent @ Choice::Spent { .. } => self.limit_met(spent),
            Choice::Nothing => {
                let labels = self.tokens.labels().join(", ");
                self.finish(Outcome::Failed, format!("every token was refused by the provider: {labels}"));
            }
        }
    }

    /// The command that prints the current token failed: changes to another token or ends the run.
    pub(super) fn token_not_had(&mut self, message: String) {
        let clock = self.clock;
        match self.tokens.current().cloned() {
            Some(id) if self.tokens.has_other_than(Some(&id), clock) => {
                self.tell(message);
                self.tokens.hold(&id, SET_ASIDE_MS, clock);
                self.start();
            }
            Some(_) | None => self.finish(Outcome::Failed, format!("there is no credential: {message}")),
        }
    }

    /// The next start uses this token.
    pub(super) fn take(&mut self, token: TokenId) {
        let to = self.tokens.label(Some(&token));
        let kind = self.tokens.kind(Some(&token)).map(|kind| format!("{kind}, ")).unwrap_or_default();
        match self.tokens.take(token.clone()) {
            Some(before) => {
                self.rotated();
                let from = self.tokens.label(Some(&before));
                let why = match self.tokens.fact(Some(&before)) {
                    Some(fact) if fact.refused => "it was refused".to_owned(),
                    Some(fact) if !self.tokens.is_usable(fact, self.clock) => "it is limited".to_owned(),
                    Some(fact) => {
                        format!("{:.0} % of it is used", 100.0 * utilization(fact, self.clock.unix_ms()))
                    }
                    None => "it is gone".to_owned(),
                };
                self.decide(format!("use {to}"), format!("{from}: {why}"));
                self.act(CommandAction::Show(Show::Rotation { from, to, why }));
            }
            None => {
                self.decide(format!("use {to}"), "it has the most headroom");
                self.inform(format!("using {to} ({kind}{token})"));
            }
        }
    }

    /// Asks the provider about the current token. False if there is no token to ask about.
    pub(super) fn look_at_token(&mut self) -> bool {
        self.looks.at(None);
        let Some(token) = self.tokens.current().cloned().filter(|_| !self.tokens.is_empty()) else { return false };
        let request = self.looks.ask(self.clock.now());
        self.looks.at(Some(self.clock.now().plus_ms(self.plan.monitor_interval_ms)));
        self.act(CommandAction::LookAtToken { request, token });
        true
    }

    /// The same, if it is due.
    pub(super) fn look_when_due(&mut self) {
        if self.looks.is_due(self.clock.now()) {
            self.look_at_token();
        }
    }

    /// The answer about the tokens has come.
    pub(super) fn tokens_known(&mut self) {
        match self.stage() {
            Stage::Running => self.consider(),
            Stage::Waiting(pause) => {
                let pause = *pause;
                self.wait_is_over(&pause);
            }
            Stage::Judging { failure } => {
                let failure = failure.clone();
                if self.tokens.may_use_current(self.clock) {
                    self.failed(&failure);
                } else {
                    self.decide("blame the token", failure);
                    self.start();
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

    /// Whether the running program needs another token. A decision of the user about the current one is respected.
    fn consider(&mut self) {
        match self.choice() {
            Choice::Stay => {}
            choice @ (Choice::Take(_) | Choice::Spent { .. }) => {
                let is_kept = self.tokens.is_kept() && self.tokens.may_use_current(self.clock);
                if !is_kept && !self.tokens.is_used_in_spite_of_limit() {
                    self.limit_met(choice);
                }
            }
            Choice::Nothing => {
                if self.looks.tells_refusal() {
                    let label = self.tokens.label(self.tokens.current());
                    self.tell(format!(
                        "the provider refuses {label}, and there is no other token; the program keeps running with it"
                    ));
                }
            }
        }
    }

    /// The current token is at its limit; `choice` is the default.
    fn limit_met(&mut self, choice: Choice) {
        if self.plan.interactive {
            self.ask(choice);
        } else {
            self.chosen(choice);
        }
    }

    fn chosen(&mut self, choice: Choice) {
        match choice {
            Choice::Take(token) => self.end(After::Take(token)),
            Choice::Spent { until_unix_ms } if self.plan.no_wait => {
                self.show_spent(until_unix_ms);
                self.end(After::Finish(
                    Outcome::Limits,
                    "every token is spent, and waiting was not wanted (--no-wait)".to_owned(),
                ));
            }
            Choice::Spent { until_unix_ms } => self.wait(until_unix_ms),
            Choice::Stay | Choice::Nothing => self.go_on(),
        }
    }

    fn ask(&mut self, choice: Choice) {
        self.hold();
        let (number, timeout_ms) = (self.looks.question(), self.plan.answer_timeout_ms);
        let asked = Asked::about(&self.tokens, choice, number, timeout_ms, self.clock);
        let question = asked.question().clone();
        self.decide("ask the user", format!("{} is at its limit", question.about.subject()));
        self.act(CommandAction::Show(Show::Question { question: question.clone(), now_unix_ms: self.clock.unix_ms() }));
        self.act(CommandAction::Ask(question));
        self.enter(Stage::Asking(asked));
    }

    pub(super) fn answered(&mut self, asked: Asked, answer: Answer) {
        let number = asked.question().number;
        let Some(settled) = asked.settle(answer, &mut self.tokens) else {
            self.ignored("an answer that the question does not offer");
            return;
        };
        self.act(CommandAction::AskNoMore { number });
        match settled {
            Settled::Choose(choice) => self.chosen(choice),
            Settled::Exit { .. } => {
                self.decide("end the program", "the user chose to exit at the limit");
                self.end(After::Finish(Outcome::Limits, "you chose to exit at the limit".to_owned()));
            }
            Settled::KeepGoing => {
                self.decide("keep going", "the user chose so");
                if self.is_alive() {
                    self.go_on();
                    return;
                }
                let first = self.tokens.all().iter().find(|token| !token.refused).map(|token| token.id.clone());
                if let Some(first) = first.filter(|_| self.tokens.current().is_none()) {
                    self.take(first);
                    self.tokens.keep_going();
                }
                self.spawn();
            }
        }
    }

    /// Waits for a token; a running program is stopped.
    fn wait(&mut self, until_unix_ms: i64) {
        self.hold();
        self.decide("wait for a reset", "every token is spent");
        self.show_spent(until_unix_ms);
        let jitter_ms = reset_jitter_ms(&self.plan.seed, self.looks.wait());
        self.enter(Stage::Waiting(self.tokens.wait(until_unix_ms, jitter_ms, self.clock)));
    }

    fn show_spent(&mut self, until_unix_ms: i64) {
        let (tokens, now_unix_ms) = (self.tokens.spent(self.clock), self.clock.unix_ms());
        self.act(CommandAction::Show(Show::Spent { tokens, until_unix_ms, waits: !self.plan.no_wait, now_unix_ms }));
    }

    pub(super) fn waiting_elapsed(&mut self, pause: &Pause, look_overdue: bool) {
        if look_overdue {
            self.looks.give_up();
            self.wait_is_over(pause);
        } else if self.looks.open_until().is_none() && pause.is_over(self.clock) {
            // Ask the provider whether the reset has come.
            if !self.is_alive() || !self.look_at_token() {
                self.wait_is_over(pause);
            }
        }
    }

    fn wait_is_over(&mut self, pause: &Pause) {
        self.count_wait(pause);
        if !self.is_alive() {
            self.start();
            return;
        }
        let choice = self.choice();
        if matches!(choice, Choice::Stay | Choice::Nothing) {
            self.decide("go on", "the reset has come");
            self.inform("the wait is over; the program continues");
        }
        self.chosen(choice);
    }

    /// Continues the stopped program.
    fn go_on(&mut self) {
        self.resume_program();
        self.looks.at(Some(self.clock.now().plus_ms(self.plan.monitor_interval_ms)));
    }
}
