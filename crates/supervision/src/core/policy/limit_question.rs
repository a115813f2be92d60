//! The question to the user at a limit (`--interactive`), and the effect of each answer.

use super::choice::Choice;
use super::clock::Clock;
use super::tokens::Tokens;
use crate::core::{About, Answer, AtLimit, Question, Tick};

/// An open question.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::core) struct Asked {
    question: Question,
    due: Tick,
    /// The default.
    choice: Choice,
}

/// The effect of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::core) enum Settled {
    /// The run ends; the token is ready again at this time, if known.
    Exit { until_unix_ms: Option<i64> },
    /// The run continues with the same token.
    KeepGoing,
    /// The run continues with this choice.
    Choose(Choice),
}

impl Asked {
    /// Asks what to do; `choice` is the default.
    pub(in crate::core) fn about(tokens: &Tokens, choice: Choice, number: u32, timeout_ms: u64, clock: Clock) -> Asked {
        let label = |id| tokens.fact(id).map(|token| token.label.clone());
        let (next, default) = match &choice {
            Choice::Take(id) => (label(Some(id)), Answer::Rotate),
            Choice::Spent { .. } | Choice::Stay | Choice::Nothing => (None, Answer::Wait),
        };
        let until_unix_ms = match &choice {
            // The end of a hold is no reset.
            Choice::Spent { until_unix_ms } => {
                Some(*until_unix_ms).filter(|until| tokens.held_until(*until, clock).is_none())
            }
            Choice::Take(_) | Choice::Stay | Choice::Nothing => tokens.free_again(clock),
        };
        let token = label(tokens.current()).unwrap_or_else(|| "every token".to_owned());
        let about = About::Limit(AtLimit { token, next, until_unix_ms });
        let question = Question { number, about, default, timeout_ms };
        Asked { question, due: clock.now().plus_ms(timeout_ms), choice }
    }

    pub(in crate::core) fn question(&self) -> &Question {
        &self.question
    }

    /// When the timeout chooses the default.
    pub(in crate::core) fn due(&self) -> Tick {
        self.due
    }

    /// Starts the timeout again, because the user could not answer until now.
    pub(in crate::core) fn ask_on(&mut self, clock: Clock) {
        self.due = clock.now().plus_ms(self.question.timeout_ms);
    }

    /// Applies the user's answer or the default, and updates the tokens. `None` if it is no answer to this question.
    pub(in crate::core) fn settle(self, answer: Answer, tokens: &mut Tokens) -> Option<Settled> {
        let until_unix_ms = match &self.question.about {
            About::Limit(AtLimit { until_unix_ms, .. }) => *until_unix_ms,
            About::Permission(_) => return None,
        };
        Some(match answer {
            Answer::Exit => Settled::Exit { until_unix_ms },
            Answer::KeepGoing => {
                tokens.keep_going();
                Settled::KeepGoing
            }
            Answer::Wait => {
                tokens.respect_limit();
                Settled::Choose(until_unix_ms.map_or(self.choice, |until_unix_ms| Choice::Spent { until_unix_ms }))
            }
            Answer::Rotate => Settled::Choose(self.choice),
            Answer::Allow | Answer::Deny => return None,
        })
    }
}
