//! The question that `--interactive` asks at a limit.

use serde::{Deserialize, Serialize};

/// What can be done at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitChoice {
    /// Take another token and go on: the default where there is one.
    Rotate,
    /// Wait until the first token is free again: the default where there is no other.
    Wait,
    /// End the run; it can be resumed.
    Exit,
    /// Go on with the token as it is.
    KeepGoing,
}

/// A question for the user, with what it takes to ask it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitQuestion {
    /// Its number: an answer to an earlier one is stale.
    pub number: u32,
    /// The label of the token that is at its limit.
    pub token: String,
    /// The label of the token that would be taken, when there is one.
    pub next: Option<String>,
    /// When the first token is free again, unix milliseconds.
    pub until_unix_ms: Option<i64>,
    /// What happens when nobody answers.
    pub default: LimitChoice,
    /// For how long an answer is waited for.
    pub timeout_ms: u64,
}

impl LimitQuestion {
    /// The choices that make sense, in the order in which they are shown and numbered from 1.
    #[must_use]
    pub fn choices(&self) -> Vec<LimitChoice> {
        let rotate = self.next.is_some().then_some(LimitChoice::Rotate);
        let wait = self.until_unix_ms.is_some().then_some(LimitChoice::Wait);
        rotate.into_iter().chain(wait).chain([LimitChoice::Exit, LimitChoice::KeepGoing]).collect()
    }

    /// What an answer typed on a terminal means: its number, its first letter, or nothing for the default; `None` when
    /// it means nothing.
    #[must_use]
    pub fn read(&self, typed: &str) -> Option<LimitChoice> {
        let typed = typed.trim();
        let choices = self.choices();
        if typed.is_empty() {
            return Some(self.default);
        }
        if let Ok(number) = typed.parse::<usize>() {
            return number.checked_sub(1).and_then(|at| choices.get(at)).copied();
        }
        let letter = typed.chars().next().map(|letter| letter.to_ascii_lowercase());
        choices.into_iter().find(|choice| Some(choice.letter()) == letter)
    }
}

impl LimitChoice {
    /// The letter that stands for it.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            LimitChoice::Rotate => 'r',
            LimitChoice::Wait => 'w',
            LimitChoice::Exit => 'e',
            LimitChoice::KeepGoing => 'k',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LimitChoice, LimitQuestion};

    fn question(next: Option<&str>, until_unix_ms: Option<i64>) -> LimitQuestion {
        let default = if next.is_some() { LimitChoice::Rotate } else { LimitChoice::Wait };
        let next = next.map(str::to_owned);
        LimitQuestion { number: 1, token: "A".to_owned(), next, until_unix_ms, default, timeout_ms: 60_000 }
    }

    #[test]
    fn what_is_typed_is_a_number_a_letter_or_the_default() {
        use LimitChoice::{Exit, KeepGoing, Rotate, Wait};
        let all = question(Some("B"), Some(5));
        assert_eq!(all.choices(), [Rotate, Wait, Exit, KeepGoing]);
        for (typed, meant) in [
            ("", Some(Rotate)),
            (" \n", Some(Rotate)),
            ("2", Some(Wait)),
            ("Exit", Some(Exit)),
            ("k", Some(KeepGoing)),
            ("0", None),
            ("5", None),
            ("yes", None),
        ] {
            assert_eq!(all.read(typed), meant, "{typed:?}");
        }
        let spent = question(None, Some(5));
        assert_eq!(spent.choices(), [Wait, Exit, KeepGoing]);
        assert_eq!(spent.read("r"), None, "there is no other token");
        assert_eq!(spent.read("1"), Some(Wait));
    }
}
