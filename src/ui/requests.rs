//! Shows a request of the agent in one row, or with everything that the user decides on, in lines that need no cursor.

use serde_json::Value;
use similar::ChangeTag;

use super::clean;
use super::diff::Change;
use super::format::count;
use crate::agent::{AnswerForm, Asked, AskedKind, Edit};

/// How many lines of a request are shown at once.
const ABOUT_LINES: usize = 200;
/// Unchanged lines around each change.
const CONTEXT: usize = 3;

/// What is said of a request. All that the interfaces know of its kind stands in [`Words::of`].
#[derive(Debug, Clone, PartialEq)]
pub struct Words<'a> {
    /// What stands above it in a conversation. That of a change ends with its file and its size, which are added.
    pub(super) heading: String,
    /// The same in lines, after the request's number.
    in_lines: String,
    /// What is asked, in one row.
    in_a_row: String,
    /// Its subject, in one row.
    pub(super) subject: String,
    /// What the user decides on, where that is no question or field.
    pub(super) content: Content<'a>,
    /// The choice that allows it, and the one that denies it.
    pub yes: &'static str,
    pub(super) no: &'static str,
}

/// What the user decides on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Content<'a> {
    /// The input of the tool.
    Input,
    /// The change that the tool makes.
    Change(&'a Edit),
    /// A text of the agent, in Markdown.
    Text(&'a str),
    /// Only the questions or the fields.
    Nothing,
}

impl<'a> Words<'a> {
    /// The words of this request.
    #[must_use]
    pub fn of(ask: &'a Asked) -> Words<'a> {
        let (name, target) = (&ask.tool, &ask.target);
        let tool = clean::one_line(name, 60);
        let (yes, no) = ("yes, this once", "no");
        match ask.kind {
            AskedKind::Permission => Words {
                heading: format!("The agent wants to use {tool}{}", if ask.edit.is_some() { "" } else { "." }),
                in_lines: format!("the agent wants to use {tool}"),
                in_a_row: format!("may it use {name} {target}"),
                subject: format!("{name} {target}"),
                content: ask.edit.as_ref().map_or(Content::Input, Content::Change),
                yes,
                no,
            },
            AskedKind::Plan => Words {
                heading: "The agent has a plan.".to_owned(),
                in_lines: "the agent has a plan; may it carry it out?".to_owned(),
                in_a_row: "may it carry out its plan".to_owned(),
                subject: "the plan".to_owned(),
                content: Content::Text(ask.plan.as_deref().unwrap_or("(The agent has not written the plan down.)")),
                yes: "yes, carry it out",
                no: "no, keep planning",
            },
            AskedKind::Choices => {
                let questions: Vec<&str> = ask.questions.iter().map(|question| question.question.as_str()).collect();
                Words {
                    heading: "The agent has a question.".to_owned(),
                    in_lines: format!("the agent has {}", count(questions.len(), "question")),
                    in_a_row: format!("the agent asks: {}", questions.join(" ")),
                    subject: questions.first().copied().unwrap_or_default().to_owned(),
                    content: Content::Nothing,
                    yes,
                    no,
                }
            }
            AskedKind::Form => Words {
                heading: format!("{tool} asks you to fill in a form."),
                in_lines: format!("{tool} asks you to fill in a form"),
                in_a_row: format!("the MCP server {name} asks: {}", ask.said),
                subject: format!("the form of {name}"),
                content: Content::Nothing,
                yes,
                no,
            },
        }
    }
}

/// A request with everything that the user decides on: the tool, the whole command or change, the reason. Omitted lines of a long
/// request are counted, with the command that shows them; `whole` omits nothing.
#[must_use]
pub fn block(ask: &Asked, whole: bool) -> String {
    let words = Words::of(ask);
    let mut text = format!("request {}: {}", ask.id, words.in_lines);
    if ask.under.is_some() {
        text.push_str(" (a sub-agent asks)");
    }
    text.push('\n');
    let about = about(ask, words.content);
    let most = if whole { usize::MAX } else { ABOUT_LINES };
    for line in about.iter().take(most) {
        text.push_str(&format!("  {}\n", line.trim_end()));
    }
    let left = about.len().saturating_sub(most);
    if left > 0 {
        text.push_str(&format!("  … {}; to see all of it, type: /whole\n", count(left, "more line")));
    }
    if !ask.reason.is_empty() {
        text.push_str(&format!("  asked because: {}\n", clean::one_line(&ask.reason, 1_000)));
    }
    if let Some(ms) = ask.deny_in_ms {
        text.push_str(&format!("  denied in {} unless you answer\n", super::format::span(ms)));
    }
    text
}

/// A filled-in form as a JSON object, field by field. Numbers and booleans are JSON values; an optional field that is empty is
/// left out.
#[must_use]
pub fn filled_form(ask: &Asked, values: impl Iterator<Item = String>) -> String {
    let mut object = serde_json::Map::new();
    for (field, value) in ask.fields.iter().zip(values) {
        if value.is_empty() && !field.required {
            continue;
        }
        let parsed = match field.kind.as_str() {
            "number" | "integer" | "boolean" => serde_json::from_str(value.trim()).ok(),
            _ => None,
        };
        object.insert(field.name.clone(), parsed.unwrap_or(Value::String(value)));
    }
    Value::Object(object).to_string()
}

/// The subject of the request, line by line.
fn about(ask: &Asked, content: Content<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut push = |text: &str| lines.extend(clean::lines(text.trim_end()).split('\n').map(str::to_owned));
    // What the agent says of it may be only the file that follows.
    let file = ask.edit.as_ref().map_or(ask.target.as_str(), |edit| edit.path.as_str());
    let is_file = !file.is_empty() && ask.kind == AskedKind::Permission && file.ends_with(ask.said.trim());
    if !ask.said.is_empty() && !is_file {
        push(&ask.said);
    }
    match content {
        Content::Text(text) => push(text),
        Content::Nothing => {}
        Content::Change(edit) => {
            push(&edit.path);
            match Change::of(edit) {
                Change::New(text) => text.lines().for_each(|line| push(&format!("+{line}"))),
                Change::Big(edit) => {
                    edit.old.lines().for_each(|line| push(&format!("-{line}")));
                    edit.new.lines().for_each(|line| push(&format!("+{line}")));
                }
                // A request has no place in its file.
                Change::Placed(_) => {}
                Change::Compared(diff) => {
                    for group in diff.grouped_ops(CONTEXT) {
                        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                            let sign = match change.tag() {
                                ChangeTag::Equal => ' ',
                                ChangeTag::Delete => '-',
                                ChangeTag::Insert => '+',
                            };
                            push(&format!("{sign}{}", change.value()));
                        }
                    }
                }
            }
        }
        Content::Input => {
            match serde_json::from_str::<Value>(&ask.input) {
                Ok(Value::Object(fields)) => {
                    for (name, value) in fields {
                        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        push(&if name == "command" { value } else { format!("{name}: {value}") });
                    }
                }
                Ok(_) | Err(_) => push(if ask.input.is_empty() { &ask.target } else { &ask.input }),
            }
            if ask.input_is_cut {
                push("(the rest is too long and is not available here)");
            }
        }
    }
    lines
}

/// What is asked, its number, and when it is denied if nobody answers.
pub(super) fn asked(ask: &Asked) -> String {
    let what = Words::of(ask).in_a_row;
    let mark = if ask.kind.answer_form() == AnswerForm::YesOrNo { "?" } else { "" };
    let due = ask.deny_in_ms.map(|ms| format!(" (denied in {})", super::format::seconds(ms))).unwrap_or_default();
    format!("request {}: {}{mark}{due}", ask.id, what.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{asked, block};
    use crate::agent::{Asked, AskedKind, AskedQuestion, Edit};
    use crate::core::AskId;

    #[test]
    fn a_request_is_one_row_with_its_number() {
        let bash = Asked { id: AskId(3), tool: "Bash".into(), target: "touch x".into(), ..Asked::default() };
        assert_eq!(asked(&bash), "request 3: may it use Bash touch x?");
        let due = Asked { deny_in_ms: Some(60_000), ..bash };
        assert_eq!(asked(&due), "request 3: may it use Bash touch x? (denied in 1m 00s)");
        let question = AskedQuestion { question: "Which port?".into(), ..AskedQuestion::default() };
        let choices = Asked { kind: AskedKind::Choices, questions: vec![question], ..Asked::default() };
        assert_eq!(asked(&choices), "request 0: the agent asks: Which port?");
    }

    #[test]
    fn a_block_has_the_whole_command_or_change_and_counts_what_it_leaves_out() {
        let command: String = (1..=300).map(|line| format!("echo {line}\n")).collect();
        let input = serde_json::json!({"command": command, "timeout": 5}).to_string();
        let bash = Asked { id: AskId(3), tool: "Bash".into(), input, reason: "no rule".into(), ..Asked::default() };
        let text = block(&bash, false);
        assert!(text.starts_with("request 3: the agent wants to use Bash\n  echo 1\n"), "{text}");
        assert!(text.contains("  echo 200\n  … 101 more lines; to see all of it, type: /whole\n"), "{text}");
        assert!(text.ends_with("  asked because: no rule\n"), "{text}");
        let whole = block(&bash, true);
        assert!(whole.contains("echo 300\n  timeout: 5\n") && !whole.contains('…'), "{whole}");
        let edit = Edit { path: "a.txt".into(), old: "a\nb\nc\n".into(), new: "a\nB\nc\n".into() };
        let write = Asked { tool: "Edit".into(), edit: Some(edit), ..Asked::default() };
        let text = block(&write, false);
        assert!(text.ends_with("Edit\n  a.txt\n   a\n  -b\n  +B\n   c\n"), "{text}");
        // The CLI describes a change by the file's name, which is there already.
        let said = Asked { said: "a.txt".to_owned(), ..write.clone() };
        assert_eq!(block(&said, false), text);
        // Text of an agent cannot move the cursor.
        let odd = Asked { input: r#"{"command":"a\u001b[2Jb"}"#.into(), ..Asked::default() };
        assert!(!block(&odd, true).contains('\u{1b}'));
    }
}
