//! What the real CLIs ask their user, in the whole recordings of `fixtures/streams/` of both versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::questions::answered_input;
use super::{ClaudeProtocol, Replay};
use crate::agent::{AgentEvent, Ask, Asked, AskedField, AskedKind, AskedOption, AskedQuestion, Protocol};
use crate::recordings::recordings;
use crate::words::TurnId;

/// One version's recording of a scene, played with its turns and answers.
struct Scene {
    name: String,
    replay: Replay,
    /// The requests, and how each was answered: the reply's content as it was sent.
    requests: Vec<(Asked, Option<Value>)>,
}

/// The scene on both versions.
fn both(scene: &str) -> Vec<Scene> {
    let found = recordings("fixtures/streams", &format!("/{scene}.jsonl"));
    assert_eq!(found.len(), 2, "{scene} of both versions");
    found.iter().map(|recording| play(&recording.name, &recording.text)).collect()
}

/// Turns are sent when the CLI is idle; requests are answered where the recording repeats the answer.
fn play(name: &str, text: &str) -> Scene {
    let lines: Vec<(&str, Value)> =
        text.lines().map(|line| (line, serde_json::from_str(line).expect("JSON"))).collect();
    let mut turns = lines.iter().filter(|(_, line)| line["isReplay"] == true).map(|(_, line)| text_of(&line["uuid"]));
    let mut replay = Replay { protocol: ClaudeProtocol::default(), events: Vec::new() };
    let mut requests: Vec<(String, Asked, Option<Value>)> = Vec::new();
    for (line, json) in &lines {
        if replay.protocol.is_idle()
            && let Some(turn) = turns.next()
        {
            replay.protocol.turn_sent(&TurnId(turn));
        }
        let before = replay.events.len();
        replay.protocol.line(line, &mut replay.events);
        for event in &replay.events[before..] {
            if let AgentEvent::Question { request_id, ask, .. } = event {
                let Ask::ForUser(asked) = ask else { panic!("{name}: {line}") };
                requests.push((request_id.clone(), (**asked).clone(), None));
            }
        }
        if json["type"] == "control_response"
            && let Some((id, _, answer)) = requests.iter_mut().find(|(id, ..)| *id == json["response"]["request_id"])
        {
            let response = &json["response"]["response"];
            let is_allowed = response["behavior"] == "allow" || response["action"] == "accept";
            let denied = replay.protocol.tool_answered(id, is_allowed);
            replay.events.extend(denied.map(AgentEvent::Denied));
            *answer = Some(response.clone());
        }
    }
    let requests = requests.into_iter().map(|(_, asked, answer)| (asked, answer)).collect();
    Scene { name: name.to_owned(), replay, requests }
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Scene {
    /// What was called, asked and decided, without numbers and ids, which differ between the recordings.
    fn story(&self) -> String {
        let is_id = |word: &&str| word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let kept = ["tool", "question", "withdrawn", "denied", "permission", "ended"];
        let story = self.replay.story();
        let lines = story.lines().filter(|line| kept.iter().any(|word| line.starts_with(word)));
        let words = |line: &str| line.split(' ').filter(|word| !is_id(word)).collect::<Vec<_>>().join(" ");
        lines.map(words).collect::<Vec<_>>().join("\n")
    }

    fn asked(&self) -> Vec<Asked> {
        self.requests.iter().map(|(asked, _)| asked.clone()).collect()
    }

    /// The request without the forms in which it goes back to the CLI, which [`Scene::granted`] reads.
    fn shown(&self) -> Vec<Asked> {
        self.asked().into_iter().map(|asked| Asked { updates: Vec::new(), ..asked }).collect()
    }

    /// What an answer "for this session" to the first request grants.
    fn granted(&self) -> Vec<Value> {
        let updates = self.requests.first().map(|(asked, _)| asked.updates.clone()).unwrap_or_default();
        updates.iter().map(|update| serde_json::from_str(update).expect("JSON")).collect()
    }
}

fn bash(command: &str) -> Asked {
    Asked {
        kind: AskedKind::Permission,
        tool: "Bash".to_owned(),
        target: command.to_owned(),
        input: json!({"command": command, "description": "Runs it"}).to_string(),
        said: "Runs it".to_owned(),
        rules: vec![format!("Bash({command} *)"), "the directory /home/user/project".to_owned()],
        ..Asked::default()
    }
}

/// The model's question in the scenes.
fn port() -> Asked {
    let option = |label: &str, description: &str| AskedOption { label: label.into(), description: description.into() };
    Asked {
        kind: AskedKind::Choices,
        tool: "AskUserQuestion".to_owned(),
        input: r#"{"questions":[{"question":"Which port?","header":"Port","options":[{"label":"8080","description":"usual"},{"label":"9090","description":"free"}],"multiSelect":false}]}"#.to_owned(),
        questions: vec![AskedQuestion {
            question: "Which port?".to_owned(),
            header: "Port".to_owned(),
            options: vec![option("8080", "usual"), option("9090", "free")],
            multi: false,
        }],
        ..Asked::default()
    }
}

#[test]
fn a_permission_is_asked_for_with_its_command_and_what_the_cli_suggests() {
    for scene in both("permission") {
        assert_eq!(scene.shown(), [bash("touch one"), bash("mkdir two")], "{}", scene.name);
        assert_eq!(
            scene.story(),
            "tool Bash touch one\nquestion can_use_tool\ntool done\n\
             tool Bash mkdir two\nquestion can_use_tool\ndenied Bash mkdir two\ntool failed\nended done: done",
            "{}",
            scene.name
        );
    }
}

#[test]
fn what_was_allowed_for_the_session_is_not_asked_again() {
    let rule = json!({"toolName": "Bash", "ruleContent": "touch one *"});
    for scene in both("permission_for_session") {
        assert_eq!(scene.shown(), [bash("touch one")], "{}: of two calls the first", scene.name);
        assert_eq!(
            scene.granted(),
            [
                json!({"type": "addRules", "rules": [rule], "behavior": "allow", "destination": "session"}),
                json!({"type": "addDirectories", "directories": ["/home/user/project"], "destination": "session"}),
            ],
            "{}",
            scene.name
        );
        // This scene sent the suggested mode back as well, which ccc does not offer beside a rule.
        assert_eq!(
            scene.story(),
            "tool Bash touch one\nquestion can_use_tool\npermission mode acceptEdits\ntool done\n\
             tool Bash touch one\ntool done\nended done: done",
            "{}",
            scene.name
        );
    }
}

#[test]
fn an_interrupt_withdraws_what_is_asked_and_the_next_turn_is_as_ever() {
    for scene in both("permission_interrupted") {
        assert_eq!(scene.shown(), [bash("touch one")], "{}", scene.name);
        assert_eq!(
            scene.story(),
            "tool Bash touch one\nquestion can_use_tool\nwithdrawn\ntool failed\ndenied Bash touch one\n\
             ended interrupted:\nended done: after it",
            "{}",
            scene.name
        );
    }
}

#[test]
fn questions_are_asked_with_their_options_and_answered_as_the_cli_accepts_it() {
    for scene in both("questions") {
        assert_eq!(scene.asked(), [port()], "{}", scene.name);
        assert_eq!(
            scene.story(),
            "tool AskUserQuestion\nquestion can_use_tool\ntool done\nended done: done",
            "{}",
            scene.name
        );
        let answers = BTreeMap::from([("Which port?".to_owned(), "8080".to_owned())]);
        let input = answered_input(&port(), &answers, &BTreeMap::new()).expect("an input");
        let ours: Value = serde_json::from_str(&input).expect("JSON");
        let accepted = scene.requests[0].1.as_ref().map(|answer| &answer["updatedInput"]);
        assert_eq!(accepted, Some(&ours), "{}: what ccc would send", scene.name);
    }
}

#[test]
fn a_plan_is_read_from_the_request_that_names_its_file() {
    for scene in both("plan") {
        let [question, plan] = scene.asked().try_into().expect("two requests");
        assert_eq!(question, port(), "{}: while it plans", scene.name);
        let input: Value = serde_json::from_str(&plan.input).expect("JSON");
        assert!(text_of(&input["planFilePath"]).starts_with("/home/user/.claude/plans/"), "{}", scene.name);
        let expected = Asked {
            kind: AskedKind::Plan,
            tool: "ExitPlanMode".to_owned(),
            target: "# Plan".to_owned(),
            input: plan.input.clone(),
            rules: vec!["edits of files without asking (acceptEdits)".to_owned()],
            updates: vec![r#"{"destination":"session","mode":"acceptEdits","type":"setMode"}"#.to_owned()],
            plan: Some("# Plan\n\n1. Do it.\n".to_owned()),
            ..Asked::default()
        };
        assert_eq!(plan, expected, "{}", scene.name);
        let end = "question can_use_tool\npermission mode default\ntool done\nended done: done";
        assert!(scene.story().ends_with(end), "{}: {}", scene.name, scene.story());
    }
}

#[test]
fn a_form_of_a_server_is_asked_for_after_its_tool_was_allowed() {
    for scene in both("form") {
        let tool = Asked {
            kind: AskedKind::Permission,
            tool: "mcp__forms__ask".to_owned(),
            input: "{}".to_owned(),
            rules: vec!["mcp__forms__ask".to_owned()],
            ..Asked::default()
        };
        let name = AskedField {
            name: "name".to_owned(),
            title: "Name".to_owned(),
            kind: "string".to_owned(),
            choices: Vec::new(),
            required: true,
        };
        let form = Asked {
            kind: AskedKind::Form,
            tool: "forms".to_owned(),
            said: "Your name?".to_owned(),
            fields: vec![name],
            ..Asked::default()
        };
        assert_eq!(scene.shown(), [tool, form], "{}", scene.name);
        assert_eq!(
            scene.story(),
            "tool mcp__forms__ask\nquestion can_use_tool\nquestion elicitation\ntool done\nended done: done",
            "{}",
            scene.name
        );
    }
}
