//! Shows what a run asks, one item at a time, in lines that need no cursor: the first item's text and numbered choices.
//! Interprets a typed line as its answer.
//!
//! While something is asked, a typed line answers it or is rejected with a message; it is never sent to the agent by mistake.

use std::collections::{BTreeMap, VecDeque};

use super::answering::{Open, decided, is_yes_or_no};
use crate::agent::{AnswerForm, Asked, AskedField, AskedQuestion};
use crate::control::protocol::Request;
use crate::core::Ruling;
use crate::order::map_of;
use crate::ui;
use crate::ui::clean::one_line;

/// How many characters of a choice are shown.
const CHOICE_CHARS: usize = 1_000;
/// How to send text to the agent while something is asked.
const SAY: &str = "to send a message to the agent instead, type: /say TEXT";

/// The open items; the first is to be answered.
#[derive(Debug, Default)]
pub(super) struct Asking {
    open: VecDeque<Step>,
    /// Whether the first item was answered here and the result is not known yet.
    waits: bool,
    /// The item that another client settled, until the next line is typed.
    settled_elsewhere: Option<u32>,
}

/// An open item.
#[derive(Debug)]
struct Step {
    open: Open,
    /// The answers to the earlier questions, or the values of the earlier fields.
    given: Vec<String>,
    /// Whether the next line is the reason for a denial.
    wants_reason: bool,
}

/// The meaning of a line.
#[derive(Debug, PartialEq)]
pub(super) enum Meant {
    /// Send this to the run.
    Answer(Box<Request>),
    /// Only show this.
    Shown(String),
    /// Nothing is asked: the line is for the agent.
    ForTheAgent,
}

impl Asking {
    /// Adds a question or request; returns what to show.
    pub(super) fn ask(&mut self, open: Open) -> Option<String> {
        if self.open.iter().any(|step| is_same(&step.open, &open)) {
            return None;
        }
        let (step, number) = (Step { given: Vec::new(), wants_reason: false, open }, self.open.len());
        if let Open::Question(_) = &step.open {
            // A new question of ccc replaces the earlier one. The printer has shown it with its choices.
            self.open.retain(|step| matches!(step.open, Open::Asked(_)));
            self.open.push_front(step);
            self.waits = false;
            return None;
        }
        self.open.push_back(step);
        if number == 0 {
            self.first()
        } else {
            Some(format!("{} more after this\n", ui::format::count(number, "request")))
        }
    }

    /// Removes a settled request of the agent; returns what to show of the next.
    pub(super) fn settled(&mut self, number: u32) -> Option<String> {
        let at = self.open.iter().position(|step| matches!(&step.open, Open::Asked(ask) if ask.id.0 == number))?;
        self.open.remove(at);
        if at > 0 {
            return None;
        }
        self.settled_elsewhere = (!std::mem::take(&mut self.waits)).then_some(number);
        self.first()
    }

    /// Removes ccc's question; returns what to show of the next item.
    pub(super) fn question_is_over(&mut self) -> Option<String> {
        let before = self.open.len();
        self.open.retain(|step| matches!(step.open, Open::Asked(_)));
        if self.open.len() == before {
            return None;
        }
        self.waits = false;
        self.first()
    }

    /// Takes the result of an answer. If it was refused, the first item is asked again.
    pub(super) fn answered(&mut self, taken: bool) -> Option<String> {
        if !self.waits {
            return None;
        }
        if taken {
            // A settled request of the agent is announced by an event of its own.
            return match self.open.front() {
                Some(Step { open: Open::Question(_), .. }) => self.question_is_over(),
                Some(_) | None => None,
            };
        }
        self.waits = false;
        let step = self.open.front_mut()?;
        (step.given, step.wants_reason) = (Vec::new(), false);
        self.first()
    }

    /// Whether anything is asked.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The first item with its choices.
    pub(super) fn first(&self) -> Option<String> {
        self.open.front().map(|step| step.told(false))
    }

    /// Interprets a typed line.
    pub(super) fn typed(&mut self, line: &str) -> Meant {
        let elsewhere = self.settled_elsewhere.take();
        let Some(step) = self.open.front_mut() else {
            let is_choice = line.chars().all(|c| c.is_ascii_digit() || c == ',' || c == ' ');
            return match elsewhere {
                Some(number) if is_choice => Meant::Shown(format!("request {number} is already answered; {SAY}\n")),
                Some(_) | None => Meant::ForTheAgent,
            };
        };
        if line == "/whole" {
            return Meant::Shown(step.told(true));
        }
        if self.waits {
            return Meant::Shown("your last answer is still being sent: type this again after it\n".to_owned());
        }
        match step.typed(line) {
            Ok(Some(request)) => {
                self.waits = true;
                Meant::Answer(Box::new(request))
            }
            Ok(None) => Meant::Shown(step.question()),
            Err(why) => Meant::Shown(format!("{why}; {SAY}\n")),
        }
    }
}

fn is_same(one: &Open, other: &Open) -> bool {
    match (one, other) {
        (Open::Asked(one), Open::Asked(other)) => one.id == other.id,
        (Open::Question(one), Open::Question(other)) => one.number == other.number,
        (Open::Asked(_), Open::Question(_)) | (Open::Question(_), Open::Asked(_)) => false,
    }
}

impl Step {
    fn told(&self, whole: bool) -> String {
        match &self.open {
            Open::Question(question) => {
                let choices = question.choices();
                let names: Vec<&str> = choices.iter().map(|choice| choice.answer.name()).collect();
                format!("{}\nanswer one of: {}\n", question.text(), names.join(", "))
            }
            Open::Asked(ask) => format!("{}{}", ui::request_block(ask, whole), self.question()),
        }
    }

    /// The open question with its numbered choices.
    fn question(&self) -> String {
        let Open::Asked(ask) = &self.open else { return String::new() };
        if self.wants_reason {
            return "why not? The agent gets this reason. (Enter without a text: no reason)\n".to_owned();
        }
        let at = self.given.len();
        match ask.kind.answer_form() {
            AnswerForm::YesOrNo => {
                let mut text = format!("1: {}\n", ui::RequestWords::of(ask).yes);
                if !ask.rules.is_empty() {
                    text.push_str(&format!(
                        "2: yes, for this session: {}\n",
                        one_line(&ask.rules.join(", "), CHOICE_CHARS)
                    ));
                }
                text.push_str("3: no\n4: no, because …\ntype a number and Enter\n");
                text
            }
            AnswerForm::Questions => {
                ask.questions.get(at).map(|one| asked(one, at, ask.questions.len())).unwrap_or_default()
            }
            AnswerForm::Fields => ask.fields.get(at).map(field).unwrap_or_default(),
        }
    }

    /// The answer, if complete; `None` if more must be asked. The error says what was expected.
    fn typed(&mut self, line: &str) -> Result<Option<Request>, String> {
        let Step { open, given, wants_reason } = self;
        let ask = match open {
            Open::Question(_) => return open.answered(line).map(Some),
            Open::Asked(ask) => ask,
        };
        let rule = |ruling| Ok(Some(Request::Answer { ask: ask.id, key: None, ruling }));
        if *wants_reason {
            return rule(Ruling::Deny { reason: line.to_owned() });
        }
        if is_yes_or_no(ask) && line == "4" {
            *wants_reason = true;
            return Ok(None);
        }
        if let Some(ruling) = decided(ask, line) {
            return rule(ruling);
        }
        match ask.kind.answer_form() {
            AnswerForm::YesOrNo => {
                let numbers = if ask.rules.is_empty() { "1, 3 or 4" } else { "1, 2, 3 or 4" };
                Err(format!("{:?} is not one of the choices: type {numbers}", one_line(line, 60)))
            }
            AnswerForm::Questions => {
                let Some(question) = ask.questions.get(given.len()) else { return rule(answers(ask, given)) };
                given.push(chosen(question, line)?);
                if given.len() < ask.questions.len() { Ok(None) } else { rule(answers(ask, given)) }
            }
            AnswerForm::Fields => {
                let Some(field) = ask.fields.get(given.len()) else { return rule(filled(ask, given)) };
                given.push(entered(field, line)?);
                if given.len() < ask.fields.len() { Ok(None) } else { rule(filled(ask, given)) }
            }
        }
    }
}

fn asked(question: &AskedQuestion, at: usize, of: usize) -> String {
    let lead = if of > 1 { format!("question {} of {of}: ", at + 1) } else { String::new() };
    let mut text = format!("{lead}{}\n", one_line(&question.question, CHOICE_CHARS));
    for (number, option) in (1..).zip(&question.options) {
        let about = if option.description.is_empty() { "" } else { " — " };
        text.push_str(&format!(
            "{number}: {}{about}{}\n",
            one_line(&option.label, CHOICE_CHARS),
            one_line(&option.description, CHOICE_CHARS)
        ));
    }
    text.push_str(match (question.options.is_empty(), question.multi) {
        (true, _) => "type your answer and Enter\n",
        (false, true) => "type numbers, as in 1,3, or your own answer, and Enter\n",
        (false, false) => "type a number, or your own answer, and Enter\n",
    });
    text
}

fn field(field: &AskedField) -> String {
    let title = if field.title.is_empty() { &field.name } else { &field.title };
    let needed = if field.required { "" } else { " (optional: Enter leaves it empty)" };
    let mut text = format!("{}{needed}\n", one_line(title, CHOICE_CHARS));
    for (number, choice) in (1..).zip(&field.choices) {
        text.push_str(&format!("{number}: {}\n", one_line(choice, CHOICE_CHARS)));
    }
    text.push_str(match (field.choices.is_empty(), field.kind.as_str()) {
        (false, _) => "type a number and Enter, or: deny\n",
        (true, "boolean") => "type true or false and Enter, or: deny\n",
        (true, _) => "type it and Enter, or: deny\n",
    });
    text
}

/// The options with the given numbers, or the user's own words.
fn chosen(question: &AskedQuestion, line: &str) -> Result<String, String> {
    let parts: Vec<&str> = line.split([',', ' ']).filter(|part| !part.is_empty()).collect();
    let is_numbers = !parts.is_empty() && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let count = question.options.len();
    if line.is_empty() {
        return Err("an answer is required".to_owned());
    }
    if !is_numbers || count == 0 {
        return Ok(line.to_owned());
    }
    if parts.len() > 1 && !question.multi {
        return Err(format!("only one choice is possible, not {line:?}: type one number"));
    }
    let option =
        |part: &&str| part.parse::<usize>().ok().and_then(|number| question.options.get(number.checked_sub(1)?));
    let labels: Option<Vec<&str>> = parts.iter().map(|part| option(part).map(|option| option.label.as_str())).collect();
    labels
        .map(|labels| labels.join(", "))
        .ok_or_else(|| format!("{line:?} is not one of the choices: type a number from 1 to {count}"))
}

/// The value for a field: one of its choices, or a text that fits its kind.
fn entered(field: &AskedField, line: &str) -> Result<String, String> {
    if line.is_empty() {
        return if field.required { Err("a value is required".to_owned()) } else { Ok(String::new()) };
    }
    let by_number = line.parse::<usize>().ok().and_then(|number| field.choices.get(number.checked_sub(1)?));
    if let Some(choice) = by_number.or_else(|| field.choices.iter().find(|choice| *choice == line)) {
        return Ok(choice.clone());
    }
    let fits = match field.kind.as_str() {
        _ if !field.choices.is_empty() => false,
        "boolean" => matches!(line, "true" | "false"),
        "integer" => line.parse::<i64>().is_ok(),
        "number" => line.parse::<f64>().is_ok_and(f64::is_finite),
        _ => true,
    };
    let expected = match field.choices.len() {
        0 => format!("a value of the kind {}", field.kind),
        count => format!("a number from 1 to {count}"),
    };
    if fits { Ok(line.to_owned()) } else { Err(format!("{:?} is not valid: type {expected}", one_line(line, 60))) }
}

fn answers(ask: &Asked, given: &[String]) -> Ruling {
    let answers = ask.questions.iter().zip(given).map(|(question, answer)| (question.question.clone(), answer.clone()));
    Ruling::Answers { answers: map_of(answers), notes: BTreeMap::new() }
}

fn filled(ask: &Asked, given: &[String]) -> Ruling {
    Ruling::Fill { content: ui::filled_form(ask, given.iter().cloned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{AskedKind, AskedOption};
    use crate::core::AskId;

    fn permission(id: u32) -> Asked {
        let rules = vec!["Bash(touch:*)".to_owned()];
        let input = r#"{"command":"touch a"}"#.to_owned();
        Asked { id: AskId(id), tool: "Bash".to_owned(), input, rules, ..Asked::default() }
    }

    fn open(ask: Asked) -> Asking {
        let mut asking = Asking::default();
        asking.ask(Open::Asked(Box::new(ask))).expect("it is shown");
        asking
    }

    fn ruling(meant: Meant) -> Result<Ruling, String> {
        match meant {
            Meant::Answer(request) => {
                let Request::Answer { ruling, .. } = *request else { panic!("no answer") };
                Ok(ruling)
            }
            Meant::Shown(text) => Err(text),
            Meant::ForTheAgent => panic!("said to the agent"),
        }
    }

    fn shown(meant: Meant) -> String {
        ruling(meant).expect_err("only shown")
    }

    #[test]
    fn a_permission_is_a_block_with_numbers_and_nothing_else_is_taken_or_said_to_the_agent() {
        let mut asking = Asking::default();
        let text = asking.ask(Open::Asked(Box::new(permission(3)))).expect("shown");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "request 3: the agent wants to use Bash",
                "  touch a",
                "1: yes, this once",
                "2: yes, for this session: Bash(touch:*)",
                "3: no",
                "4: no, because …",
                "type a number and Enter",
            ]
        );
        for wrong in ["5", "0", "maybe", "use tabs", "1,3", ""] {
            let said = shown(asking.typed(wrong));
            assert!(said.contains("type 1, 2, 3 or 4") && said.contains("/say"), "{wrong}: {said}");
        }
        let allow = |for_session| Ok(Ruling::Allow { for_session, input: None });
        assert_eq!(ruling(open(permission(3)).typed("1")), allow(false));
        assert_eq!(ruling(open(permission(3)).typed("2")), allow(true));
        assert_eq!(ruling(open(permission(3)).typed("3")), Ok(Ruling::Deny { reason: String::new() }));
        let mut because = open(permission(3));
        assert!(shown(because.typed("4")).starts_with("why not?"));
        assert_eq!(ruling(because.typed("2")), Ok(Ruling::Deny { reason: "2".to_owned() }));
        // Without rules the session choice is missing, and the other choices keep their numbers.
        let plain = Asked { rules: Vec::new(), ..permission(3) };
        assert!(!open(plain.clone()).first().expect("shown").contains("2:"));
        assert!(shown(open(plain.clone()).typed("2")).contains("type 1, 3 or 4"));
        assert_eq!(ruling(open(plain).typed("3")), Ok(Ruling::Deny { reason: String::new() }));
    }

    #[test]
    fn several_questions_are_asked_one_by_one_and_what_was_not_offered_is_refused() {
        let option = |label: &str| AskedOption { label: label.to_owned(), description: "what it is".to_owned() };
        let question = |text: &str, multi| AskedQuestion {
            question: text.to_owned(),
            options: vec![option("Tabs"), option("Spaces"), option("Both")],
            multi,
            ..AskedQuestion::default()
        };
        let ask = Asked {
            kind: AskedKind::Choices,
            questions: vec![question("Which?", false), question("Where?", true), question("Why?", false)],
            ..permission(1)
        };
        let mut asking = Asking::default();
        let text = asking.ask(Open::Asked(Box::new(ask))).expect("shown");
        assert!(text.contains("question 1 of 3: Which?\n1: Tabs — what it is\n2: Spaces"), "{text}");
        for wrong in ["4", "0", "1,3", ""] {
            assert!(shown(asking.typed(wrong)).contains("/say"), "{wrong}");
        }
        assert!(shown(asking.typed("2")).starts_with("question 2 of 3: Where?"));
        assert!(shown(asking.typed("1,4")).contains("1 to 3"));
        assert!(shown(asking.typed("1,3")).starts_with("question 3 of 3"));
        let Ok(Ruling::Answers { answers, .. }) = ruling(asking.typed("because of 2 things")) else {
            panic!("answers")
        };
        let answers: Vec<&str> = answers.values().map(String::as_str).collect();
        assert_eq!(answers, ["Tabs, Both", "Spaces", "because of 2 things"]);
    }

    #[test]
    fn a_form_is_filled_in_field_by_field() {
        let field = |name: &str, kind: &str, choices: &[&str], required| AskedField {
            name: name.to_owned(),
            kind: kind.to_owned(),
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            required,
            ..AskedField::default()
        };
        let fields = vec![
            field("branch", "string", &["main", "next"], true),
            field("count", "integer", &[], true),
            field("note", "string", &[], false),
        ];
        let mut asking = open(Asked { kind: AskedKind::Form, fields, ..permission(1) });
        for wrong in ["3", "other", ""] {
            assert!(shown(asking.typed(wrong)).contains("/say"), "{wrong}");
        }
        assert!(shown(asking.typed("2")).starts_with("count"));
        assert!(shown(asking.typed("many")).contains("integer"));
        shown(asking.typed("7"));
        assert_eq!(ruling(asking.typed("")), Ok(Ruling::Fill { content: r#"{"branch":"next","count":7}"#.to_owned() }));
    }

    #[test]
    fn one_is_asked_after_the_other_and_an_answer_counts_for_the_one_that_was_shown() {
        let mut asking = open(permission(1));
        assert_eq!(asking.ask(Open::Asked(Box::new(permission(1)))), None, "told twice");
        assert_eq!(asking.ask(Open::Asked(Box::new(permission(2)))).as_deref(), Some("1 request more after this\n"));
        assert!(matches!(asking.typed("1"), Meant::Answer(_)));
        assert!(shown(asking.typed("1")).contains("still being sent"), "it was not meant for the second");
        assert_eq!(asking.answered(true), None);
        assert!(asking.settled(1).expect("the next").starts_with("request 2"));
        // A refused answer is asked for again.
        assert!(matches!(asking.typed("1"), Meant::Answer(_)));
        assert!(asking.answered(false).expect("again").starts_with("request 2"));
        // After another terminal has settled the request, a number is not sent as a message.
        assert_eq!(asking.settled(2), None);
        assert!(shown(asking.typed("1")).contains("is already answered"));
        assert_eq!(asking.typed("1"), Meant::ForTheAgent);
        let mut asking = open(permission(1));
        asking.settled(1);
        assert_eq!(asking.typed("Use tabs."), Meant::ForTheAgent);
    }
}
