//! Scenes in which the CLI asks its user over the protocol (`--permission-prompt-tool stdio`).

use serde_json::{Value, json};

use super::Step::{Answer, Interrupt, Over, Plan, Say, Turn, Until};
use super::work::FORMS;
use super::{Scene, bash, scene};
use crate::scripted_api::{Reply, Script};

const ASKS: [&str; 2] = ["--permission-prompt-tool", "stdio"];

/// Allows the call as it was asked.
fn allow(_: &Value) -> Value {
    json!({"behavior": "allow", "updatedInput": {}})
}

/// Allows the call and all suggestions, for the session.
fn allow_for_session(request: &Value) -> Value {
    let mut updates = request["permission_suggestions"].clone();
    for update in updates.as_array_mut().into_iter().flatten() {
        update["destination"] = "session".into();
    }
    json!({"behavior": "allow", "updatedInput": {}, "updatedPermissions": updates})
}

fn deny(_: &Value) -> Value {
    json!({"behavior": "deny", "message": "The user did not allow this, and says: not on a Friday"})
}

/// Answers each question with its first option.
fn answer(request: &Value) -> Value {
    let mut input = request["input"].clone();
    let questions = request["input"]["questions"].as_array().cloned().unwrap_or_default();
    let mut answers = serde_json::Map::new();
    for question in questions {
        let text = question["question"].as_str().unwrap_or_default().to_owned();
        answers.insert(text, question["options"][0]["label"].clone());
    }
    input["answers"] = Value::Object(answers);
    json!({"behavior": "allow", "updatedInput": input})
}

/// Approves the plan with the unchanged input.
fn approve(request: &Value) -> Value {
    json!({"behavior": "allow", "updatedInput": request["input"]})
}

fn fill(_: &Value) -> Value {
    json!({"action": "accept", "content": {"name": "Ann"}})
}

pub(super) fn all() -> Vec<Scene> {
    let questions = Reply::tool(
        "AskUserQuestion",
        json!({"questions": [{"question": "Which port?", "header": "Port", "multiSelect": false,
            "options": [{"label": "8080", "description": "usual"}, {"label": "9090", "description": "free"}]}]}),
    );
    let asked = || Until("control_request", "can_use_tool");
    vec![
        scene(
            "permission",
            "a permission that is allowed, one that is denied",
            Script::new().then(bash("touch one")).then(bash("mkdir two")).always(Reply::text("done")),
            vec![Say("make them"), asked(), Answer(allow), Until("control_request", "mkdir"), Answer(deny), Over],
        )
        .args(&ASKS),
        scene(
            "permission_for_session",
            "a permission that is allowed with its suggestions for the session, and the same call again",
            Script::new().then(bash("touch one")).then(bash("touch one")).always(Reply::text("done")),
            vec![Say("make it twice"), asked(), Answer(allow_for_session), Over],
        )
        .args(&ASKS),
        scene(
            "permission_interrupted",
            "an interrupt while a permission is open, then a turn",
            Script::new().then(bash("touch one")).always(Reply::text("after it")),
            vec![Say("make it"), asked(), Interrupt, Over, Turn("go on")],
        )
        .args(&ASKS),
        scene(
            "questions",
            "questions of the model's, answered",
            Script::new().then(questions.clone()).always(Reply::text("done")),
            vec![Say("ask me"), asked(), Answer(answer), Over],
        )
        .args(&ASKS),
        scene(
            "plan",
            "a question while the model plans, then its plan, approved",
            Script::new()
                .then(questions.clone())
                .then(Reply::tool("ExitPlanMode", json!({})))
                .always(Reply::text("done")),
            vec![
                Say("plan it"),
                asked(),
                Plan("# Plan\n\n1. Do it.\n"),
                Answer(answer),
                Until("control_request", "ExitPlanMode"),
                Answer(approve),
                Over,
            ],
        )
        .args(&["--permission-mode", "plan"])
        .args(&ASKS),
        scene(
            "form",
            "a tool of an MCP server asks for a form, which is filled in",
            Script::new().then(Reply::tool("mcp__forms__ask", json!({}))).always(Reply::text("done")),
            vec![Say("ask me"), asked(), Answer(allow), Until("control_request", "elicitation"), Answer(fill), Over],
        )
        .file("mcp.json", FORMS)
        .file("forms.sh", include_str!("../../../tests/it/whole_runs/forms.sh"))
        .args(&["--mcp-config", "mcp.json", "--strict-mcp-config"])
        .args(&ASKS),
    ]
}
