//! The question to the user at a limit (`--interactive`): asked, answered, or settled by its default when its time is over.

use super::pool::Choice;
use super::{Action, Core, LimitChoice, LimitQuestion, Needs, Outcome, Show, Tick, TokenFact, TokenId, WindowFact};

/// An open question, and what its default leads to.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    question: LimitQuestion,
    due: Tick,
    choice: Choice,
}

impl Core {
    /// Asks what to do; `choice` is what would be done without asking.
    pub(super) fn ask_at_limit(&mut self, choice: Choice) {
        let now_unix_ms = self.unix_ms();
        let label = |id: Option<&TokenId>| self.fact(id).map(|token| token.label.clone());
        let (next, default) = match &choice {
            Choice::Take(id) => (label(Some(id)), LimitChoice::Rotate),
            Choice::Spent { .. } | Choice::Stay | Choice::Nothing => (None, LimitChoice::Wait),
        };
        let until_unix_ms = match &choice {
            // The end of a hold is no reset.
            Choice::Spent { until_unix_ms } => Some(*until_unix_ms).filter(|until| self.hold_pause(*until).is_none()),
            Choice::Take(_) | Choice::Stay | Choice::Nothing => {
                self.fact(self.tokens.current.as_ref()).and_then(|token| free_again(token, now_unix_ms))
            }
        };
        let token = label(self.tokens.current.as_ref()).unwrap_or_else(|| "every token".to_owned());
        self.tokens.questions += 1;
        let timeout_ms = self.plan.answer_timeout_ms;
        let number = self.tokens.questions;
        let question = LimitQuestion { number, token, next, until_unix_ms, default, timeout_ms };
        let due = self.now.plus_ms(timeout_ms);
        if let Some(choosing) = &mut self.tokens.choosing {
            choosing.asked = Some(Asked { question: question.clone(), due, choice });
        }
        self.phase_changes("waiting", "for your answer");
        // Listen first: what was typed before is dropped then, and an answer to a question that is on the screen must not be.
        self.act(Action::Ask(question.clone()));
        self.show(Show::Question { question, now_unix_ms });
    }

    /// The user answered, or nobody did in time.
    pub(super) fn limit_answered(&mut self, number: u32, answer: LimitChoice) {
        let asked = self.tokens.choosing.as_ref().and_then(|choosing| choosing.asked.clone());
        let Some(asked) = asked.filter(|asked| asked.question.number == number) else {
            self.ignored("an answer to a question that is not open");
            return;
        };
        match (answer, &asked.choice) {
            (LimitChoice::Exit, _) => {
                self.tokens.choosing = None;
                let reason = "a limit was reached and the user chose to end here";
                match asked.question.until_unix_ms {
                    Some(at_unix_ms) => {
                        let needs = Needs::Reset { at_unix_ms, announced: true, now_unix_ms: self.unix_ms() };
                        self.close_needing(Outcome::Limits, reason, needs);
                    }
                    None => self.close(Outcome::Limits, reason),
                }
            }
            (LimitChoice::KeepGoing, _) => {
                self.decide("go on with the same token", "the user said so");
                self.tokens.kept.clone_from(&self.tokens.current);
                self.tokens.in_spite_of_limit.clone_from(&self.tokens.current);
                if let Some(id) = self.tokens.current.clone()
                    && let Some(token) = self.tokens.known.iter_mut().find(|token| token.id == id)
                {
                    token.limited_until_unix_ms = None;
                }
                self.chosen(Choice::Stay);
            }
            (LimitChoice::Wait, _) => {
                self.tokens.in_spite_of_limit = None;
                match asked.question.until_unix_ms {
                    Some(until_unix_ms) => self.chosen(Choice::Spent { until_unix_ms }),
                    None => self.chosen(asked.choice),
                }
            }
            (LimitChoice::Rotate, _) => self.chosen(asked.choice),
        }
    }

    /// Whether a question to the user is open.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.tokens.choosing.as_ref().is_some_and(|choosing| choosing.asked.is_some())
    }

    /// When an unanswered question is settled by its default.
    pub(super) fn question_deadline(&self) -> Option<Tick> {
        self.tokens.choosing.as_ref().and_then(|choosing| choosing.asked.as_ref()).map(|asked| asked.due)
    }

    /// A question that nobody answers is settled by its default.
    pub(super) fn question_elapsed(&mut self) {
        let now = self.now;
        if let Some(asked) = self.tokens.choosing.as_ref().and_then(|choosing| choosing.asked.as_ref())
            && now >= asked.due
        {
            let (number, default) = (asked.question.number, asked.question.default);
            self.note("unanswered", "nobody answered; the default is taken");
            self.limit_answered(number, default);
        }
    }
}

/// When a token is free again: the end of its rejection, or of its fullest window.
fn free_again(token: &TokenFact, now_unix_ms: i64) -> Option<i64> {
    let fullest = || {
        let used = |window: &&WindowFact| window.utilization.filter(|used| used.is_finite()).unwrap_or(0.0);
        let fullest = token.windows.iter().max_by(|one, other| used(one).total_cmp(&used(other)))?;
        fullest.resets_at_unix_s.map(|reset| reset.saturating_mul(1_000))
    };
    token.limited_until_unix_ms.or_else(fullest).filter(|&until| until > now_unix_ms)
}
