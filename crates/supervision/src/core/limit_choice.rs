//! The question to the user at a limit (`--interactive`): asked, answered, or settled by its default when its time is over.

use super::policy::{Asked, Choice, Settled};
use super::{Action, Core, LimitChoice, Needs, Outcome, Show, Tick};

impl Core {
    /// Asks what to do; `choice` is what would be done without asking.
    pub(super) fn ask_at_limit(&mut self, choice: Choice) {
        let (clock, number) = (self.clock(), self.rotation.next_question());
        let asked = Asked::about(&self.tokens, choice, number, self.plan.answer_timeout_ms, clock);
        let question = asked.question().clone();
        self.rotation.ask(asked);
        self.phase_changes("waiting", "for your answer");
        // Listen first: what was typed before is dropped then, and an answer to a question that is on the screen must not be.
        self.act(Action::Ask(question.clone()));
        self.show(Show::Question { question, now_unix_ms: clock.unix_ms() });
    }

    /// The user answered, or nobody did in time.
    pub(super) fn limit_answered(&mut self, number: u32, answer: LimitChoice) {
        let asked = self.rotation.asked().filter(|asked| asked.question().number == number).cloned();
        let Some(asked) = asked else {
            self.ignored("an answer to a question that is not open");
            return;
        };
        match asked.settle(answer, &mut self.tokens) {
            Settled::Exit { until_unix_ms } => {
                self.rotation.stop_choosing();
                let reason = "a limit was reached and the user chose to end here";
                match until_unix_ms {
                    Some(at_unix_ms) => {
                        let needs = Needs::Reset { at_unix_ms, announced: true, now_unix_ms: self.unix_ms() };
                        self.close_needing(Outcome::Limits, reason, needs);
                    }
                    None => self.close(Outcome::Limits, reason),
                }
            }
            Settled::KeepGoing => {
                self.decide("go on with the same token", "the user said so");
                self.chosen(Choice::Stay);
            }
            Settled::Choose(choice) => self.chosen(choice),
        }
    }

    /// Whether a question to the user is open.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.rotation.asked().is_some()
    }

    /// When an unanswered question is settled by its default.
    pub(super) fn question_deadline(&self) -> Option<Tick> {
        self.rotation.asked().map(Asked::due)
    }

    /// A question that nobody answers is settled by its default.
    pub(super) fn question_elapsed(&mut self) {
        if let Some(asked) = self.rotation.asked().filter(|asked| self.now() >= asked.due()) {
            let (number, default) = (asked.question().number, asked.question().default);
            self.note("unanswered", "nobody answered; the default is taken");
            self.limit_answered(number, default);
        }
    }
}
