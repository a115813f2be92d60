//! The questions of ccc to the user: their subject, the offered answers, and what the user's input means.
//!
//! Who is asked, the timeout, and what follows an answer are in `asking`. The keyboard, the journal and the printers do not
//! depend on the kind of question.

use serde::{Deserialize, Serialize};

use crate::agent::ToolRequest;

/// An answer. Its name stands in the journal, and a client may give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// At a limit: change to another token and continue. The default if there is one.
    Rotate,
    /// At a limit: wait until the first token is ready again. The default if there is no other.
    Wait,
    /// At a limit: end the run; it can be resumed.
    Exit,
    /// At a limit: continue with the same token.
    KeepGoing,
    /// The agent may use the tool once.
    Allow,
    /// The agent may not use the tool. The default.
    Deny,
}

impl Answer {
    const ALL: [(Answer, &'static str); 6] = [
        (Answer::Rotate, "rotate"),
        (Answer::Wait, "wait"),
        (Answer::Exit, "exit"),
        (Answer::KeepGoing, "keep_going"),
        (Answer::Allow, "allow"),
        (Answer::Deny, "deny"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Answer::ALL.into_iter().find(|(answer, _)| *answer == self).map_or("", |(_, name)| name)
    }
}

/// A question to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its number, which tells a late answer to an earlier question apart.
    pub number: u32,
    /// Its subject. Flattened, as in journals since 1.0.
    #[serde(flatten)]
    pub about: About,
    /// The answer that the timeout chooses.
    pub default: Answer,
    /// The timeout.
    pub timeout_ms: u64,
}

/// The subject of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Whether the agent may use a tool.
    Permission(ToolRequest),
    /// What to do at a limit. Untagged, because it was the only kind at first.
    #[serde(untagged)]
    Limit(AtLimit),
}

/// The facts of a question at a limit (`--interactive`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtLimit {
    /// The label of the token that is at its limit.
    pub token: String,
    /// The label of the next token, if there is one.
    pub next: Option<String>,
    /// When the first token is ready again, unix milliseconds.
    pub until_unix_ms: Option<i64>,
}

/// An offered answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The answer.
    pub answer: Answer,
    /// Its effect, for the user.
    pub text: String,
    /// The moment of the effect, if it has one, unix milliseconds.
    pub at_unix_ms: Option<i64>,
}

impl About {
    /// The token, or the tool.
    pub(super) fn subject(&self) -> &str {
        match self {
            About::Limit(AtLimit { token, .. }) => token,
            About::Permission(ToolRequest { tool, .. }) => tool,
        }
    }
}

impl Question {
    /// The question in words, without its choices.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.about {
            About::Limit(AtLimit { token, .. }) => format!("{token} is limited. What now?"),
            About::Permission(ToolRequest { tool, target, .. }) => {
                format!("The agent asks to use {}. May it?", format!("{tool} {target}").trim_end())
            }
        }
    }

    /// The offered choices, in the order in which they are shown and numbered from 1.
    #[must_use]
    pub fn choices(&self) -> Vec<Choice> {
        let choice = |answer, text: &str, at_unix_ms| Choice { answer, text: text.to_owned(), at_unix_ms };
        match &self.about {
            About::Limit(AtLimit { next, until_unix_ms, .. }) => {
                let rotate = |next| choice(Answer::Rotate, &format!("rotate to {next} and continue"), None);
                let wait = |until| choice(Answer::Wait, "wait for the reset", Some(until));
                let exit = choice(Answer::Exit, "exit and save", None);
                let keep_going = choice(Answer::KeepGoing, "keep going with it as it is", None);
                let first = next.as_ref().map(rotate).into_iter().chain(until_unix_ms.map(wait));
                first.chain([exit, keep_going]).collect()
            }
            About::Permission(_) => {
                vec![choice(Answer::Allow, "allow it once", None), choice(Answer::Deny, "deny it", None)]
            }
        }
    }

    /// The answer that the user typed: a choice's number, its name or the first letter of the name, or nothing for the default;
    /// `None` if it is none of these.
    #[must_use]
    pub fn read(&self, typed: &str) -> Option<Answer> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Some(self.default);
        }
        let mut answers = self.choices().into_iter().map(|choice| choice.answer);
        if let Ok(number) = typed.parse::<usize>() {
            return number.checked_sub(1).and_then(|at| answers.nth(at));
        }
        let letter = typed.chars().next().map(|letter| letter.to_ascii_lowercase());
        answers.find(|answer| answer.name().chars().next() == letter)
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Answer, AtLimit, Question};
    use crate::agent::ToolRequest;

    fn at_limit(next: Option<&str>, until_unix_ms: Option<i64>) -> Question {
        let default = if next.is_some() { Answer::Rotate } else { Answer::Wait };
        let about = AtLimit { token: "A".to_owned(), next: next.map(str::to_owned), until_unix_ms };
        Question { number: 1, about: About::Limit(about), default, timeout_ms: 60_000 }
    }

    fn permission() -> Question {
        let request = ToolRequest {
            tool: "Bash".to_owned(),
            target: "touch x".to_owned(),
            input: r#"{"command":"touch x"}"#.to_owned(),
        };
        Question { number: 2, about: About::Permission(request), default: Answer::Deny, timeout_ms: 60_000 }
    }

    fn offered(question: &Question) -> Vec<Answer> {
        question.choices().into_iter().map(|choice| choice.answer).collect()
    }

    #[test]
    fn what_is_typed_is_a_number_a_name_a_letter_or_the_default() {
        use Answer::{Allow, Deny, Exit, KeepGoing, Rotate, Wait};
        let all = at_limit(Some("B"), Some(5));
        assert_eq!(offered(&all), [Rotate, Wait, Exit, KeepGoing]);
        for (typed, meant) in [
            ("", Some(Rotate)),
            (" \n", Some(Rotate)),
            ("2", Some(Wait)),
            ("Exit", Some(Exit)),
            ("k", Some(KeepGoing)),
            ("keep_going", Some(KeepGoing)),
            ("allow", None),
            ("0", None),
            ("5", None),
            ("yes", None),
        ] {
            assert_eq!(all.read(typed), meant, "{typed:?}");
        }
        let spent = at_limit(None, Some(5));
        assert_eq!(offered(&spent), [Wait, Exit, KeepGoing]);
        assert_eq!(spent.read("r"), None, "there is no other token");
        assert_eq!(spent.read("1"), Some(Wait));
        let permission = permission();
        assert_eq!(permission.text(), "The agent asks to use Bash touch x. May it?");
        for (typed, meant) in
            [("", Some(Deny)), ("1", Some(Allow)), ("a", Some(Allow)), ("deny", Some(Deny)), ("w", None)]
        {
            assert_eq!(permission.read(typed), meant, "{typed:?}");
        }
    }

    #[test]
    fn a_question_at_a_limit_stands_in_a_journal_as_it_always_has() {
        let limit = at_limit(Some("B"), None);
        let written =
            r#"{"number":1,"token":"A","next":"B","until_unix_ms":null,"default":"rotate","timeout_ms":60000}"#;
        assert_eq!(serde_json::to_string(&limit).unwrap(), written);
        assert_eq!(serde_json::from_str::<Question>(written).unwrap(), limit);
        let permission = permission();
        let written = serde_json::to_string(&permission).unwrap();
        assert!(written.starts_with(r#"{"number":2,"permission":{"tool":"Bash""#), "{written}");
        assert_eq!(serde_json::from_str::<Question>(&written).unwrap(), permission);
    }

    #[test]
    fn the_name_of_an_answer_is_the_one_in_the_journal() {
        for (answer, name) in Answer::ALL {
            assert_eq!(serde_json::to_string(&answer).unwrap(), format!("{name:?}"));
            assert_eq!(answer.name(), name);
        }
    }
}
