//! Translates a typed answer into a request to the run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::agent::{AnswerForm, Asked, AskedField, AskedQuestion};
use crate::control::protocol::{Request, Welcome};
use crate::core::{Question, Ruling, Show};
use crate::ui::{self, clean};

/// How many characters of a question, of an offered answer, and of what that means are shown.
const QUESTION_CHARS: usize = 200;
const LABEL_CHARS: usize = 80;
const DESCRIPTION_CHARS: usize = 300;

/// An open question or request of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Open {
    /// A question of ccc.
    Question(Question),
    /// A request of the agent.
    Asked(Box<Asked>),
}

/// An answer that is offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Offered {
    /// The question that it answers, where the request has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) question: Option<String>,
    /// The number that chooses it; `None` where the answer has the label instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<usize>,
    /// The answer.
    pub(super) label: String,
    /// What it means; empty where that is not said.
    pub(super) description: String,
}

impl Offered {
    /// The rows that show these, below their question.
    pub(super) fn rows(offered: &[Offered]) -> Vec<String> {
        let mut rows = Vec::new();
        let mut question = None;
        for one in offered {
            if one.question.as_ref() != question {
                question = one.question.as_ref();
                rows.extend(question.map(|text| format!("    {}", clean::one_line(text, QUESTION_CHARS))));
            }
            let number = one.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let about = clean::one_line(&one.description, DESCRIPTION_CHARS);
            let colon = if about.is_empty() { "" } else { ": " };
            rows.push(format!("    {number} {}{colon}{about}", clean::one_line(&one.label, LABEL_CHARS)));
        }
        rows
    }
}

impl Open {
    /// The question or request in an event.
    pub(super) fn of(show: Show) -> Option<Open> {
        if let Show::Question { question, .. } = show {
            return Some(Open::Question(question));
        }
        if let Show::Asked { ask } = show { Some(Open::Asked(ask)) } else { None }
    }

    /// All open questions and requests, the latest last.
    pub(super) fn all(welcome: &Welcome) -> Vec<Open> {
        welcome.standing().filter_map(Open::of).collect()
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        match self {
            Open::Question(question) => question.number,
            Open::Asked(ask) => ask.id.0,
        }
    }

    /// Its subject: the tool and its target, or the question.
    pub(super) fn about(&self) -> String {
        match self {
            Open::Question(question) => question.text(),
            Open::Asked(ask) if ask.kind.answer_form() == AnswerForm::Questions => {
                ask.questions.first().map(|question| question.question.clone()).unwrap_or_default()
            }
            Open::Asked(ask) => format!("{} {}", ask.tool, ask.target).trim_end().to_owned(),
        }
    }

    /// The answers that are offered: the choices of ccc's question, or the options of the agent's questions. A request that is
    /// allowed or denied has none, and neither has a form.
    pub(super) fn offered(&self) -> Vec<Offered> {
        let ask = match self {
            Open::Question(question) => {
                let choices = question.choices().into_iter().enumerate();
                return choices
                    .map(|(at, choice)| Offered {
                        question: None,
                        number: Some(at + 1),
                        label: choice.answer.name().to_owned(),
                        description: choice.text,
                    })
                    .collect();
            }
            Open::Asked(ask) if ask.kind.answer_form() == AnswerForm::Questions => ask,
            Open::Asked(_) => return Vec::new(),
        };
        // A number chooses only where there is one question.
        let is_one = ask.questions.len() == 1;
        let of_question = |one: &AskedQuestion| {
            let question = (!is_one).then(|| one.question.clone());
            let options = one.options.iter().enumerate();
            let offered = options.map(|(at, option)| Offered {
                question: question.clone(),
                number: is_one.then_some(at + 1),
                label: option.label.clone(),
                description: option.description.clone(),
            });
            offered.collect::<Vec<_>>()
        };
        ask.questions.iter().flat_map(of_question).collect()
    }

    /// An answer that fits, for a command that the user can paste and edit.
    pub(super) fn example(&self) -> String {
        let ask = match self {
            Open::Question(question) => {
                return question.choices().first().map_or_else(String::new, |choice| choice.answer.name().to_owned());
            }
            Open::Asked(ask) => ask,
        };
        let first = |question: &AskedQuestion| {
            question.options.first().map_or_else(|| "TEXT".to_owned(), |option| option.label.clone())
        };
        match (ask.kind.answer_form(), ask.questions.as_slice()) {
            (AnswerForm::YesOrNo, _) => "allow".to_owned(),
            (AnswerForm::Questions, [one]) if one.options.is_empty() => "TEXT".to_owned(),
            (AnswerForm::Questions, [_]) => "1".to_owned(),
            (AnswerForm::Questions, several) => {
                let answers = several.iter().map(|one| (one.question.clone(), serde_json::Value::from(first(one))));
                let mut object = serde_json::Map::new();
                object.extend(answers);
                serde_json::Value::Object(object).to_string()
            }
            (AnswerForm::Fields, _) => {
                let value = |field: &AskedField| field.choices.first().cloned().unwrap_or_else(|| sample(&field.kind));
                ui::filled_form(ask, ask.fields.iter().map(value))
            }
        }
    }

    /// The control request that gives this answer; the error says which answers are possible.
    ///
    /// # Errors
    /// When the text is not a valid answer.
    pub(super) fn answered(&self, text: &str) -> Result<Request, String> {
        let text = text.trim();
        match self {
            Open::Question(question) => match question.read(text) {
                Some(choice) => Ok(Request::Choose { question: question.number, choice }),
                None => {
                    let names: Vec<&str> = question.choices().iter().map(|choice| choice.answer.name()).collect();
                    Err(format!("{text:?} is not one of the choices; answer one of: {}", names.join(", ")))
                }
            },
            Open::Asked(ask) => Ok(Request::Answer { ask: ask.id, key: None, ruling: ruling(ask, text)? }),
        }
    }
}

/// A value of this kind of field.
fn sample(kind: &str) -> String {
    match kind {
        "number" | "integer" => "1",
        "boolean" => "true",
        _ => "TEXT",
    }
    .to_owned()
}

fn ruling(ask: &Asked, text: &str) -> Result<Ruling, String> {
    if let Some(ruling) = decided(ask, text) {
        return Ok(ruling);
    }
    let expected = |what: &str| Err(format!("{text:?} is not an answer to request {}; answer {what}", ask.id));
    match ask.kind.answer_form() {
        AnswerForm::YesOrNo if ask.rules.is_empty() => expected("allow, deny or `deny because …`"),
        AnswerForm::YesOrNo => expected("allow, session, deny or `deny because …`"),
        AnswerForm::Questions => match ask.questions.as_slice() {
            [one] => {
                let answers = BTreeMap::from([(one.question.clone(), chosen(one, text))]);
                Ok(Ruling::Answers { answers, notes: BTreeMap::new() })
            }
            _ => match serde_json::from_str::<BTreeMap<String, String>>(text) {
                Ok(answers) => complete(ask, answers),
                Err(_) => expected(&all_answers(ask)),
            },
        },
        AnswerForm::Fields => match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(text) {
            Ok(_) => Ok(Ruling::Fill { content: text.to_owned() }),
            Err(_) => {
                let names: Vec<String> = ask.fields.iter().map(|field| format!("{:?}: …", field.name)).collect();
                expected(&format!("{{{}}} or deny", names.join(", ")))
            }
        },
    }
}

/// The answers, if each question of the request has one and each is to one of its questions.
fn complete(ask: &Asked, answers: BTreeMap<String, String>) -> Result<Ruling, String> {
    let is_asked = |text: &str| ask.questions.iter().any(|one| one.question == text);
    if let Some(unknown) = answers.keys().find(|text| !is_asked(text)) {
        return Err(format!("request {} has no question {unknown:?}; answer {}", ask.id, all_answers(ask)));
    }
    let is_missing = |one: &&AskedQuestion| answers.get(&one.question).is_none_or(|text| text.trim().is_empty());
    let missing: Vec<String> =
        ask.questions.iter().filter(is_missing).map(|one| format!("{:?}", one.question)).collect();
    if missing.is_empty() {
        return Ok(Ruling::Answers { answers, notes: BTreeMap::new() });
    }
    Err(format!("the answer to {} is missing; answer {}", missing.join(" and "), all_answers(ask)))
}

/// The form of an answer to several questions.
fn all_answers(ask: &Asked) -> String {
    let names: Vec<String> = ask.questions.iter().map(|one| format!("{:?}: \"…\"", one.question)).collect();
    format!("{{{}}}", names.join(", "))
}

/// Whether the request can only be allowed or denied.
pub(super) fn is_yes_or_no(ask: &Asked) -> bool {
    ask.kind.answer_form() == AnswerForm::YesOrNo
}

/// Yes or no, in words or by number. Questions can only be denied in words, because a number chooses an option.
pub(super) fn decided(ask: &Asked, text: &str) -> Option<Ruling> {
    let is_yes_or_no = is_yes_or_no(ask);
    let allow = |for_session| Ruling::Allow { for_session, input: None };
    let lower = text.to_lowercase();
    match lower.as_str() {
        "allow" | "yes" | "y" | "1" if is_yes_or_no => return Some(allow(false)),
        "session" | "allow for session" | "2" if is_yes_or_no && !ask.rules.is_empty() => return Some(allow(true)),
        "no" | "n" | "3" if is_yes_or_no => return Some(Ruling::Deny { reason: String::new() }),
        "deny" => return Some(Ruling::Deny { reason: String::new() }),
        _ => {}
    }
    let because = ["deny because ", "deny, because ", "deny: "].iter().find(|lead| lower.starts_with(*lead))?;
    Some(Ruling::Deny { reason: text.get(because.len()..).unwrap_or_default().trim().to_owned() })
}

/// The options with the given numbers, or the text itself.
fn chosen(question: &AskedQuestion, text: &str) -> String {
    let by_number = |part: &str| {
        let at = part.trim().parse::<usize>().ok()?.checked_sub(1)?;
        question.options.get(at).map(|option| option.label.clone())
    };
    let parts: Vec<&str> = if question.multi { text.split(',').collect() } else { vec![text] };
    let labels: Option<Vec<String>> = parts.into_iter().map(by_number).collect();
    labels.map_or_else(|| text.to_owned(), |labels| labels.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{AskedKind, AskedOption};
    use crate::core::AskId;

    fn asked(kind: AskedKind) -> Asked {
        Asked { id: AskId(3), kind, ..Asked::default() }
    }

    fn deny(reason: &str) -> Ruling {
        Ruling::Deny { reason: reason.to_owned() }
    }

    #[test]
    fn a_permission_is_allowed_denied_or_denied_with_a_reason() {
        let with_rules = Asked { rules: vec!["Bash(touch:*)".to_owned()], ..asked(AskedKind::Permission) };
        let allow = |for_session| Ruling::Allow { for_session, input: None };
        for (typed, meant) in [
            ("allow", Some(allow(false))),
            (" 1\n", Some(allow(false))),
            ("Yes", Some(allow(false))),
            ("session", Some(allow(true))),
            ("2", Some(allow(true))),
            ("3", Some(deny(""))),
            ("deny", Some(deny(""))),
            ("deny because it is Friday", Some(deny("it is Friday"))),
            ("Deny: ÄÖÜ", Some(deny("ÄÖÜ"))),
            ("use tabs", None),
            ("", None),
        ] {
            assert_eq!(ruling(&with_rules, typed.trim()).ok(), meant, "{typed:?}");
        }
        let without = asked(AskedKind::Plan);
        assert_eq!(ruling(&without, "2").ok(), None, "nothing is offered for the session");
        assert!(ruling(&without, "perhaps").expect_err("no answer").contains("allow, deny"));
    }

    #[test]
    fn the_example_of_every_kind_of_request_is_an_answer_to_it() {
        let option = |label: &str| AskedOption { label: label.to_owned(), description: String::new() };
        let question = |text: &str, options: &[&str]| AskedQuestion {
            question: text.to_owned(),
            options: options.iter().map(|label| option(label)).collect(),
            ..AskedQuestion::default()
        };
        let field = |name: &str, kind: &str, choices: &[&str]| AskedField {
            name: name.to_owned(),
            kind: kind.to_owned(),
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            required: true,
            ..AskedField::default()
        };
        let questions = |questions| Asked { questions, ..asked(AskedKind::Choices) };
        let fields = vec![field("branch", "string", &["main"]), field("n", "integer", &[]), field("b", "boolean", &[])];
        for (ask, example) in [
            (asked(AskedKind::Permission), "allow"),
            (asked(AskedKind::Plan), "allow"),
            (questions(vec![question("A?", &["x"])]), "1"),
            (questions(vec![question("A?", &[])]), "TEXT"),
            (questions(vec![question("A?", &["it's"]), question("B?", &[])]), r#"{"A?":"it's","B?":"TEXT"}"#),
            (Asked { fields, ..asked(AskedKind::Form) }, r#"{"b":true,"branch":"main","n":1}"#),
        ] {
            let open = Open::Asked(Box::new(ask));
            assert_eq!(open.example(), example);
            assert!(open.answered(example).is_ok(), "{example}");
        }
    }

    #[test]
    fn what_is_offered_is_shown_with_the_number_or_the_text_that_chooses_it() {
        let option = |label: &str, description: &str| AskedOption {
            label: label.to_owned(),
            description: description.to_owned(),
        };
        let question = |text: &str, options: Vec<AskedOption>| AskedQuestion {
            question: text.to_owned(),
            options,
            ..AskedQuestion::default()
        };
        let rows = |questions: Vec<AskedQuestion>| {
            let ask = Asked { questions, ..asked(AskedKind::Choices) };
            Offered::rows(&Open::Asked(Box::new(ask)).offered())
        };
        let port = || vec![option("8080", "usual"), option("90\u{1b}[31m90\n", "")];
        assert_eq!(rows(vec![question("Which port?", port())])[0], "    1 8080: usual");
        let second = &rows(vec![question("Which port?", port())])[1];
        assert!(second.starts_with("    2 90") && !second.contains(['\u{1b}', '\n', ':']), "{second:?}");
        // The answer to several questions is an object with their labels.
        let several = rows(vec![question("A?", vec![option("x", "")]), question("B?", vec![option("y", "why")])]);
        assert_eq!(several, ["    A?", "    - x", "    B?", "    - y: why"]);
        assert!(rows(vec![question("Which name?", Vec::new())]).is_empty());
        assert!(Open::Asked(Box::new(asked(AskedKind::Permission))).offered().is_empty());
    }

    #[test]
    fn questions_are_answered_by_number_or_in_words_and_forms_by_an_object() {
        let option = |label: &str| AskedOption { label: label.to_owned(), description: String::new() };
        let question = |text: &str, multi| AskedQuestion {
            question: text.to_owned(),
            options: vec![option("Tabs"), option("Spaces")],
            multi,
            ..AskedQuestion::default()
        };
        let answer = |questions: &[AskedQuestion], typed: &str| match ruling(
            &Asked { questions: questions.to_vec(), ..asked(AskedKind::Choices) },
            typed,
        ) {
            Ok(Ruling::Answers { answers, .. }) => Ok(answers.into_values().collect::<Vec<_>>().join("|")),
            Ok(Ruling::Deny { reason }) => Ok(format!("denied {reason}")),
            Ok(Ruling::Allow { .. } | Ruling::Fill { .. }) => panic!("another ruling"),
            Err(why) => Err(why),
        };
        let (one, many) = ([question("Which?", false)], [question("Which?", true)]);
        for (typed, meant) in [
            ("1", "Tabs"),
            ("2", "Spaces"),
            ("3", "3"),
            ("Neither, use both", "Neither, use both"),
            ("deny", "denied "),
        ] {
            assert_eq!(answer(&one, typed), Ok(meant.to_owned()), "{typed}");
        }
        assert_eq!(answer(&many, "1, 2"), Ok("Tabs, Spaces".to_owned()));
        assert_eq!(answer(&many, "1, x"), Ok("1, x".to_owned()));
        let both = [question("A?", false), question("B?", false)];
        assert_eq!(answer(&both, r#"{"A?":"x","B?":"y"}"#), Ok("x|y".to_owned()));
        assert!(answer(&both, "x").expect_err("one answer to two").contains("\"B?\""));
        for (typed, why) in [
            (r#"{"A?":"x"}"#, r#"the answer to "B?" is missing; answer {"A?": "…", "B?": "…"}"#),
            (r#"{"A?":"x","B?":" "}"#, r#"the answer to "B?" is missing; answer {"A?": "…", "B?": "…"}"#),
            (r#"{"A?":"x","C?":"y"}"#, r#"request 3 has no question "C?"; answer {"A?": "…", "B?": "…"}"#),
        ] {
            assert_eq!(answer(&both, typed), Err(why.to_owned()), "{typed}");
        }
        let field = AskedField { name: "branch".to_owned(), ..AskedField::default() };
        let form = Asked { fields: vec![field], ..asked(AskedKind::Form) };
        assert_eq!(
            ruling(&form, r#"{"branch":"main"}"#),
            Ok(Ruling::Fill { content: r#"{"branch":"main"}"#.to_owned() })
        );
        assert_eq!(ruling(&form, "deny"), Ok(deny("")));
        assert!(ruling(&form, "main").expect_err("no object").contains("\"branch\""));
    }
}
