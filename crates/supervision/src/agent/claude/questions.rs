//! The CLI's questions to its user over the protocol (`can_use_tool`, `elicitation`), and how the answers are sent
//! back.
//!
//! Only the CLI's own suggestions can be allowed for longer, and only for its session: with another destination the
//! CLI would write them into the user's files.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::target::{edit, first_line, target};
use crate::agent::{Asked, AskedField, AskedKind, AskedOption, AskedQuestion};
use crate::stream::Raw;
use crate::stream::message::ControlAsk;

/// The tool by which the model asks questions.
pub(super) const QUESTIONS: &str = "AskUserQuestion";
/// The tool by which the model requests approval of its plan.
pub(super) const PLAN: &str = "ExitPlanMode";
/// The mode in which files are changed without asking; the only mode that a suggestion may set.
const ACCEPT_EDITS: &str = "acceptEdits";
/// How many bytes of a plan, a question or a form are shown.
const MAX_TEXT_BYTES: usize = 256 * 1024;
/// How many questions, fields and rules are shown; the CLI asks at most four questions at once.
const MAX_PARTS: usize = 64;

/// A request about a tool. `under`: the sub-agent that asks.
pub(super) fn about_tool(ask: &ControlAsk<'_>, under: Option<String>) -> Asked {
    let tool = ask.tool_name.as_deref().unwrap_or_default();
    let json = ask.input.map(Raw::json).unwrap_or_default();
    let kind = match tool {
        QUESTIONS => AskedKind::Choices,
        PLAN => AskedKind::Plan,
        _ => AskedKind::Permission,
    };
    let member = |name| ask.input.and_then(|input| input.member(name));
    let suggestions = match kind {
        AskedKind::Plan => vec![accepts_edits()],
        AskedKind::Permission if ask.suppress_always_allow_rule != Some(true) => {
            suggestions(ask.permission_suggestions)
        }
        AskedKind::Permission | AskedKind::Choices | AskedKind::Form => Vec::new(),
    };
    let (rules, updates) = suggestions.into_iter().unzip();
    Asked {
        kind,
        tool: tool.to_owned(),
        target: target(tool, ask.input),
        input: cut(json, Asked::MAX_INPUT_BYTES),
        input_is_cut: json.len() > Asked::MAX_INPUT_BYTES,
        edit: edit(tool, ask.input),
        said: cut(ask.description.as_deref().unwrap_or_default(), MAX_TEXT_BYTES),
        reason: cut(ask.decision_reason.as_deref().unwrap_or_default(), MAX_TEXT_BYTES),
        rules,
        updates,
        questions: match kind {
            AskedKind::Choices => {
                member("questions").into_iter().flat_map(Raw::items).take(MAX_PARTS).map(question).collect()
            }
            AskedKind::Permission | AskedKind::Plan | AskedKind::Form => Vec::new(),
        },
        plan: plan_of(tool, ask.input),
        under,
        ..Asked::default()
    }
}

/// The plan in the input of a call, if it has one.
pub(super) fn plan_of(tool: &str, input: Option<Raw<'_>>) -> Option<String> {
    let plan = input.filter(|_| tool == PLAN)?.member("plan")?.text()?;
    (!plan.trim().is_empty()).then(|| cut(&plan, MAX_TEXT_BYTES))
}

/// A form of an MCP server.
pub(super) fn about_form(ask: &ControlAsk<'_>) -> Asked {
    let schema = ask.requested_schema;
    let required: Vec<String> = texts(schema.and_then(|schema| schema.member("required")));
    let properties = schema.and_then(|schema| schema.member("properties"));
    let field = |(name, property): (std::borrow::Cow<'_, str>, Raw<'_>)| AskedField {
        title: text_of(property, "title"),
        kind: text_of(property, "type"),
        choices: texts(property.member("enum")),
        required: required.iter().any(|required| *required == *name),
        name: name.into_owned(),
    };
    Asked {
        kind: AskedKind::Form,
        tool: first_line(ask.mcp_server_name.as_deref().unwrap_or_default()),
        said: first_line(ask.message.as_deref().unwrap_or_default()),
        fields: properties.into_iter().flat_map(Raw::members).take(MAX_PARTS).map(field).collect(),
        ..Asked::default()
    }
}

/// The questions' whole input with their answers, which is the form that the CLI accepts. `None` if the input is no
/// JSON object.
pub(super) fn answered_input(
    asked: &Asked,
    answers: &BTreeMap<String, String>,
    notes: &BTreeMap<String, String>,
) -> Option<String> {
    let mut input: Map<String, Value> = serde_json::from_str(&asked.input).ok()?;
    input.insert("answers".to_owned(), json!(answers));
    if !notes.is_empty() {
        let mut annotations = Map::new();
        annotations.extend(notes.iter().map(|(question, note)| (question.clone(), json!({ "notes": note }))));
        input.insert("annotations".to_owned(), annotations.into());
    }
    Some(Value::Object(input).to_string())
}

fn question(question: Raw<'_>) -> AskedQuestion {
    let options = question.member("options").into_iter().flat_map(Raw::items).take(MAX_PARTS);
    AskedQuestion {
        question: text_of(question, "question"),
        header: text_of(question, "header"),
        options: options
            .map(|option| AskedOption { label: text_of(option, "label"), description: text_of(option, "description") })
            .collect(),
        multi: question.member("multiSelect").and_then(Raw::bool) == Some(true),
    }
}

/// The CLI's suggestions of what to allow for longer, each in words and in the CLI's own form. A mode allows more
/// than calls like the one in question, so it is offered only if no rule is suggested: for an edit of a file, which
/// would be asked about again without it, even in an added directory (measured on 2.1.197 and 2.1.332).
fn suggestions(suggested: Option<Raw<'_>>) -> Vec<(String, String)> {
    let all: Vec<Raw<'_>> = suggested.into_iter().flat_map(Raw::items).take(MAX_PARTS).collect();
    let has_rule = all.iter().any(|suggestion| text_of(*suggestion, "type") == "addRules");
    all.into_iter().filter_map(|suggestion| offered(suggestion, !has_rule)).collect()
}

fn accepts_edits() -> (String, String) {
    let update = json!({"type": "setMode", "mode": ACCEPT_EDITS, "destination": "session"});
    (format!("edits of files without asking ({ACCEPT_EDITS})"), update.to_string())
}

/// A suggestion in words and in the CLI's own form, for the session; `None` if ccc does not offer it.
fn offered(suggestion: Raw<'_>, with_mode: bool) -> Option<(String, String)> {
    match text_of(suggestion, "type").as_str() {
        "setMode" => (with_mode && text_of(suggestion, "mode") == ACCEPT_EDITS).then(accepts_edits),
        "addRules" if text_of(suggestion, "behavior") == "allow" => {
            let rules: Vec<(String, String)> = suggestion
                .member("rules")?
                .items()
                .map(|rule| (text_of(rule, "toolName"), text_of(rule, "ruleContent")))
                .filter(|(tool, _)| !tool.is_empty())
                .collect();
            let words: Vec<String> = rules
                .iter()
                .map(|(tool, content)| if content.is_empty() { tool.clone() } else { format!("{tool}({content})") })
                .collect();
            let rules: Vec<Value> = rules
                .into_iter()
                .map(|(tool, content)| match content.as_str() {
                    "" => json!({ "toolName": tool }),
                    content => json!({"toolName": tool, "ruleContent": content}),
                })
                .collect();
            let update = json!({"type": "addRules", "rules": rules, "behavior": "allow", "destination": "session"});
            (!words.is_empty()).then(|| (words.join(", "), update.to_string()))
        }
        "addDirectories" => {
            let directories = texts(suggestion.member("directories"));
            let update = json!({"type": "addDirectories", "directories": directories, "destination": "session"});
            (!directories.is_empty()).then(|| (format!("the directory {}", directories.join(", ")), update.to_string()))
        }
        _ => None,
    }
}

fn text_of(object: Raw<'_>, member: &str) -> String {
    object.member(member).and_then(Raw::text).map(|text| cut(&text, MAX_TEXT_BYTES)).unwrap_or_default()
}

fn texts(array: Option<Raw<'_>>) -> Vec<String> {
    array.into_iter().flat_map(Raw::items).take(MAX_PARTS).filter_map(|item| Some(item.text()?.into_owned())).collect()
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{about_form, about_tool, answered_input};
    use crate::agent::{Asked, AskedField, AskedKind};
    use crate::stream::Raw;

    fn tool(request: &Value) -> Asked {
        let json = request.to_string();
        let ask = Raw::parse(&json).and_then(Raw::read).expect("a request");
        about_tool(&ask, None)
    }

    fn suggested(suggestions: Value, more: &[(&str, Value)]) -> Asked {
        let mut request =
            json!({"tool_name": "Bash", "input": {"command": "touch x"}, "permission_suggestions": suggestions});
        for (name, value) in more {
            request[*name] = value.clone();
        }
        tool(&request)
    }

    #[test]
    fn suggestions_are_offered_for_the_session_only_and_a_mode_only_where_no_rule_is() {
        let rule = |content: &str| json!({"toolName": "Bash", "ruleContent": content});
        let rules = |rules: Vec<Value>, behavior: &str| json!({"type": "addRules", "rules": rules, "behavior": behavior, "destination": "localSettings"});
        let directory = json!({"type": "addDirectories", "directories": ["/p"], "destination": "session"});
        let mode = |mode: &str| json!({"type": "setMode", "mode": mode, "destination": "session"});
        let edits = "edits of files without asking (acceptEdits)";
        let table: Vec<(Value, Vec<&str>)> = vec![
            (
                json!([rules(vec![rule("touch x")], "allow"), directory, mode("acceptEdits")]),
                vec!["Bash(touch x)", "the directory /p"],
            ),
            (
                json!([rules(vec![rule("mkdir -p d"), json!({"toolName": "Read"})], "allow")]),
                vec!["Bash(mkdir -p d), Read"],
            ),
            (json!([mode("acceptEdits")]), vec![edits]),
            (json!([mode("acceptEdits"), directory]), vec![edits, "the directory /p"]),
            (json!([mode("bypassPermissions")]), vec![]),
            (json!([rules(vec![rule("x")], "deny"), {"type": "replaceRules"}, 7]), vec![]),
            (json!([]), vec![]),
            (Value::Null, vec![]),
        ];
        for (suggestions, words) in table {
            let asked = suggested(suggestions.clone(), &[]);
            assert_eq!(asked.rules, words, "{suggestions}");
            assert_eq!(asked.updates.len(), words.len());
            for update in &asked.updates {
                let update: Value = serde_json::from_str(update).expect("JSON");
                assert_eq!(update["destination"], "session", "nothing of the user's is written");
            }
        }
        let never = suggested(json!([mode("acceptEdits")]), &[("suppress_always_allow_rule", json!(true))]);
        assert!(never.rules.is_empty(), "the CLI says that nothing is to be allowed for longer");
    }

    #[test]
    fn a_request_tells_what_it_is_about() {
        let bash = tool(&json!({"tool_name": "Bash", "input": {"command": "touch x"}, "description": "Make it",
            "decision_reason": "outside"}));
        assert_eq!((bash.kind, bash.target.as_str()), (AskedKind::Permission, "touch x"));
        assert_eq!((bash.said.as_str(), bash.reason.as_str()), ("Make it", "outside"));
        assert_eq!(bash.input, r#"{"command":"touch x"}"#);
        let edit = tool(&json!({"tool_name": "Edit", "input": {"file_path": "/a", "old_string": "x",
            "new_string": "y", "replace_all": false}}));
        assert_eq!(edit.edit.map(|edit| (edit.path, edit.old, edit.new)), Some(("/a".into(), "x".into(), "y".into())));
        let plan = tool(&json!({"tool_name": "ExitPlanMode", "input": {"plan": "# Plan", "planFilePath": "/f"}}));
        assert_eq!((plan.kind, plan.plan.as_deref()), (AskedKind::Plan, Some("# Plan")));
        assert_eq!(plan.rules.len(), 1, "approve, and accept edits");
        assert_eq!(tool(&json!({"tool_name": "ExitPlanMode", "input": {}})).plan, None);
        assert_eq!(tool(&json!({"tool_name": "ExitPlanMode", "input": {"plan": " "}})).plan, None);
        let long = "x".repeat(Asked::MAX_INPUT_BYTES);
        let cut = tool(&json!({"tool_name": "Write", "input": {"content": long}}));
        assert_eq!((cut.input.len(), cut.input_is_cut), (Asked::MAX_INPUT_BYTES, true));
    }

    #[test]
    fn answers_go_back_with_the_whole_input() {
        let questions = json!([{"question": "Which port?", "header": "Port", "multiSelect": true,
            "options": [{"label": "8080", "description": "usual"}, {"label": "9090"}]}]);
        let asked = tool(&json!({"tool_name": "AskUserQuestion", "input": {"questions": questions}}));
        assert_eq!(asked.kind, AskedKind::Choices);
        let [question] = asked.questions.as_slice() else { panic!("{asked:?}") };
        assert_eq!((question.question.as_str(), question.header.as_str()), ("Which port?", "Port"));
        assert!(question.multi && question.options[0].description == "usual" && question.options[1].label == "9090");
        let answers = BTreeMap::from([("Which port?".to_owned(), "8080, 9090".to_owned())]);
        let answered = |notes| -> Value {
            serde_json::from_str(&answered_input(&asked, &answers, &notes).expect("an input")).expect("JSON")
        };
        let whole = json!({"questions": questions, "answers": {"Which port?": "8080, 9090"}});
        assert_eq!(answered(BTreeMap::new()), whole);
        let notes = BTreeMap::from([("Which port?".to_owned(), "only in tests".to_owned())]);
        assert_eq!(answered(notes)["annotations"], json!({"Which port?": {"notes": "only in tests"}}));
        assert_eq!(answered_input(&Asked::default(), &answers, &BTreeMap::new()), None);
    }

    #[test]
    fn a_form_tells_its_fields() {
        let json = json!({"mcp_server_name": "t", "message": "Your name?\nPlease.", "requested_schema": {
            "type": "object", "required": ["name"],
            "properties": {"name": {"type": "string", "title": "Name"}, "size": {"type": "string", "enum": ["s", "m"]}}}})
        .to_string();
        let form = about_form(&Raw::parse(&json).and_then(Raw::read).expect("a request"));
        assert_eq!((form.kind, form.tool.as_str(), form.said.as_str()), (AskedKind::Form, "t", "Your name?"));
        let field = |name: &str, title: &str, choices: &[&str], required| AskedField {
            name: name.to_owned(),
            title: title.to_owned(),
            kind: "string".to_owned(),
            choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
            required,
        };
        assert_eq!(form.fields, [field("name", "Name", &[], true), field("size", "", &["s", "m"], false)]);
    }
}
