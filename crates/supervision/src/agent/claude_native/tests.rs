//! Hook calls recorded from both versions (`fixtures/hooks`), and their meaning.

use crate::agent::{
    AgentEvent, AgentKind, LaunchRequest, Protocol, Role, Say, SessionOpen, StartedBy, TurnKind, TurnOutcome,
    WaitingFor,
};
use crate::words::TurnId;

const NATIVE: AgentKind = AgentKind::CLAUDE_NATIVE;

fn request() -> LaunchRequest<'static> {
    LaunchRequest {
        run_id: "night-1",
        agent_version: "2.1.332 (Claude Code)",
        ..LaunchRequest::new(Role::Agent, SessionOpen::New("5d0c".to_owned()), "/home/user/project")
    }
}

fn protocol(words: Option<&'static str>) -> Box<dyn Protocol> {
    let mut protocol = NATIVE.protocol(&LaunchRequest { words, ..request() });
    protocol.started();
    if words.is_some() {
        protocol.turn_sent(&TurnId("ours".to_owned()));
    }
    protocol
}

/// The list of all recordings, embedded at compile time.
macro_rules! recordings {
    ($($scene:literal $version:literal)*) => {
        fn lines(version: &str, scene: &str) -> &'static str {
            match (scene, version) {
                $(($scene, $version) => {
                    include_str!(concat!("../../../../../fixtures/hooks/", $version, "/", $scene, ".jsonl"))
                })*
                _ => panic!("no recording of {scene} with {version}"),
            }
        }
    };
}

recordings! {
    "background" "2.1.332"
    "clear" "2.1.332"
    "clear" "2.1.197"
    "denied" "2.1.332"
    "denied" "2.1.197"
    "failures" "2.1.332"
    "failures" "2.1.197"
    "feedback" "2.1.332"
    "feedback" "2.1.197"
    "held" "2.1.332"
    "held" "2.1.197"
    "interrupted" "2.1.332"
    "interrupted" "2.1.197"
    "pending" "2.1.332"
    "permission" "2.1.332"
    "permission" "2.1.197"
    "prompts" "2.1.332"
    "prompts" "2.1.197"
    "question" "2.1.332"
    "question" "2.1.197"
    "resume" "2.1.332"
    "resume" "2.1.197"
    "sub_agent" "2.1.197"
    "taken_in" "2.1.332"
    "taken_in" "2.1.197"
    "terminated" "2.1.332"
    "terminated" "2.1.197"
}

fn who(started_by: &StartedBy) -> &str {
    match started_by {
        StartedBy::Us(turn) => &turn.0,
        StartedBy::Itself => "itself",
    }
}

fn word(event: &AgentEvent) -> Option<String> {
    Some(match event {
        AgentEvent::SessionKnown { session_id, .. } => format!("session {}", &session_id[session_id.len() - 2..]),
        AgentEvent::UserSaid { text } => format!("user: {text}"),
        AgentEvent::StopAbandoned => "abandoned".to_owned(),
        AgentEvent::UserLeaves { reason } => format!("leaves: {reason}"),
        AgentEvent::TurnAccepted { turn, .. } => format!("accepted {}", turn.0),
        AgentEvent::TurnStarted { started_by } => format!("started {}", who(started_by)),
        AgentEvent::ToolStarted { name, target, under, .. } => {
            format!("{}{name} {target}", if under.is_some() { "under " } else { "" })
        }
        AgentEvent::ToolEnded { failed: true, error, .. } => format!("failed: {error}"),
        AgentEvent::ToolEnded { output, .. } => {
            format!("gave {}", output.as_ref().map(|output| output.head.as_str()).unwrap_or_default())
        }
        AgentEvent::ActionRequired(on) => format!("asks {on}"),
        AgentEvent::Compacting(on) => format!("compacting {on}"),
        AgentEvent::Waiting(WaitingFor::Background { open, .. }) => format!("waits for {open}"),
        AgentEvent::TurnEnded(end) => {
            let how = match &end.outcome {
                TurnOutcome::Done => "done".to_owned(),
                TurnOutcome::Interrupted => "interrupted".to_owned(),
                TurnOutcome::Failed { cause, .. } => format!("failed {cause:?}"),
            };
            format!("ended {} {how}: {}", who(&end.started_by), end.text.lines().next().unwrap_or_default())
        }
        AgentEvent::Text { .. }
        | AgentEvent::Progress
        | AgentEvent::Alive
        | AgentEvent::PermissionMode(_)
        | AgentEvent::SandboxMissing
        | AgentEvent::PermissionModeRefused { .. }
        | AgentEvent::Thinking { .. }
        | AgentEvent::Todo(_)
        | AgentEvent::Offers(_)
        | AgentEvent::HookStarted { .. }
        | AgentEvent::HookEnded { .. }
        | AgentEvent::SentBack { .. }
        | AgentEvent::TurnUnreported
        | AgentEvent::CutShort
        | AgentEvent::Denied(_)
        | AgentEvent::Question { .. }
        | AgentEvent::QuestionWithdrawn { .. }
        | AgentEvent::Limit(_)
        | AgentEvent::CredentialAnswered { .. }
        | AgentEvent::RetryAnnounced { .. }
        | AgentEvent::Cost { .. }
        | AgentEvent::CostAnswered { .. }
        | AgentEvent::Usage(_)
        | AgentEvent::Context(_)
        | AgentEvent::Waiting(_) => return None,
    })
}

/// The events of a scene's hooks. As the core does, the test gives each of the user's messages a turn id, and answers each
/// held stop with feedback or by accepting it.
fn story(version: &str, scene: &str, words: Option<&'static str>, feedback: bool) -> Vec<String> {
    let mut protocol = protocol(words);
    let (mut story, mut named) = (Vec::new(), 0);
    for line in lines(version, scene).lines() {
        let mut events = Vec::new();
        protocol.line(line, &mut events);
        story.extend(events.iter().filter_map(word));
        if events.iter().any(|event| matches!(event, AgentEvent::UserSaid { .. })) {
            named += 1;
            protocol.turn_sent(&TurnId(format!("user's {named}")));
        }
        if let Some(bytes) = protocol.poll_send() {
            story.push(format!("answers {}", String::from_utf8(bytes).expect("text")));
        }
        if protocol.takes_turn() {
            if feedback {
                named += 1;
                protocol.turn_sent(&TurnId(format!("feedback {named}")));
            } else {
                protocol.stop_released();
                story.push("let go".to_owned());
            }
        }
    }
    story
}

/// What it shows; the versions; the scene; the launch message; whether each held stop is answered with feedback; the events.
type Scene = (&'static str, &'static [&'static str], &'static str, &'static str, bool, &'static [&'static str]);

const BOTH: [&str; 2] = ["2.1.332", "2.1.197"];

const SCENES: &[Scene] = &[
    (
        "the critic's feedback is the answer to the held stop",
        &BOTH,
        "feedback",
        "Make a parser",
        true,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "ended ours done: Done.",
            "accepted feedback 1",
            "started feedback 1",
            "ended feedback 1 done: Done.",
            "accepted feedback 2",
            "started feedback 2",
            "ended feedback 2 done: Done.",
        ],
    ),
    (
        "the user goes on after a stop, and leaves",
        &BOTH,
        "prompts",
        "Make a parser",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "ended ours done: Done one.",
            "let go",
            "user: second prompt",
            "started itself",
            "ended user's 1 done: Done more.",
            "let go",
            "leaves: prompt_input_exit",
        ],
    ),
    (
        "permissions are asked for in the interface",
        &BOTH,
        "permission",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "Bash exit 3",
            "asks true",
            "asks false",
            "failed: Exit code 3",
            "Read /nonexistent/x",
            "asks true",
            "asks false",
            "failed: File does not exist. Note: your current working directory is /home/user/project.",
            "Bash touch made.txt",
            "asks true",
        ],
    ),
    (
        "of a refusal by Esc nothing tells",
        &BOTH,
        "denied",
        "Go",
        false,
        &["session 01", "accepted ours", "started ours", "Bash touch made.txt", "asks true"],
    ),
    (
        "a question is asked in the interface",
        &BOTH,
        "question",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "AskUserQuestion ",
            "asks true",
            "asks false",
            "gave ",
            "ended ours done: Done.",
            "let go",
        ],
    ),
    (
        "of an interruption nothing tells but the next words",
        &["2.1.332"],
        "interrupted",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "user: again",
            "started itself",
            "ended user's 1 done: Done.",
            "let go",
            "user: typed in the middle",
            "started itself",
            "ended user's 2 done: Done.",
            "let go",
        ],
    ),
    (
        "of an interruption nothing tells but the next words",
        &["2.1.197"],
        "interrupted",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "user: again",
            "started itself",
            "Bash sleep 30",
            "user: typed in the middle",
            "started itself",
            "ended user's 2 done: Done.",
            "let go",
        ],
    ),
    (
        "what the user writes while a stop is held is a turn of its own",
        &BOTH,
        "held",
        "Make it",
        false,
        &[
            "session 01",
            "user: Make",
            "started itself",
            "ended user's 1 done: First.",
            "let go",
            "user: typed while waiting",
            "started itself",
            "ended user's 2 done: Second.",
            "let go",
        ],
    ),
    (
        "what a turn has not taken in comes after it",
        &["2.1.332"],
        "pending",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "user: typed during text",
            "waits for 1",
            "answers {}",
            "started user's 1",
            "ended user's 1 done: After.",
            "let go",
        ],
    ),
    (
        "what a turn has taken in is part of it",
        &["2.1.332"],
        "taken_in",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "Bash perl -e 'select undef,undef,undef,7'",
            "user: typed during tool",
            "gave ",
            "ended user's 1 done: After tool.",
            "let go",
        ],
    ),
    (
        "the older version does not tell of it",
        &["2.1.197"],
        "taken_in",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "Bash perl -e 'select undef,undef,undef,7'",
            "gave ",
            "ended ours done: After tool.",
            "let go",
        ],
    ),
    (
        "a sub-agent in the background wakes the agent",
        &["2.1.332"],
        "background",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "Agent look",
            "gave ",
            "Bash echo sub",
            "gave sub",
            "ended ours done: Done.",
            "let go",
        ],
    ),
    (
        "a sub-agent in the foreground",
        &["2.1.197"],
        "sub_agent",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "Agent look",
            "under Bash echo sub",
            "gave sub",
            "gave Sub done.",
            "ended ours done: Done.",
            "let go",
        ],
    ),
    (
        "another session after /clear, and a compaction",
        &BOTH,
        "clear",
        "Go",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "ended ours done: Done.",
            "let go",
            "session 04",
            "user: after clear",
            "started itself",
            "ended user's 1 done: Done.",
            "let go",
            "compacting true",
            "compacting false",
            "started itself",
            "ended itself done: Done.",
            "let go",
        ],
    ),
    (
        "the session is resumed with words",
        &BOTH,
        "resume",
        "--odd words -x",
        false,
        &[
            "session 01",
            "accepted ours",
            "started ours",
            "ended ours done: Done.",
            "let go",
            "leaves: prompt_input_exit",
            "user: Go on with\ntwo lines",
            "started itself",
            "ended user's 1 done: Done.",
            "let go",
        ],
    ),
    (
        "a signal is not the user who leaves",
        &BOTH,
        "terminated",
        "Go",
        false,
        &["session 01", "accepted ours", "started ours", "ended ours done: Done.", "let go"],
    ),
];

#[test]
fn what_the_hooks_of_both_versions_mean() {
    for (what, versions, scene, words, feedback, means) in SCENES {
        for version in *versions {
            assert_eq!(story(version, scene, Some(words), *feedback), *means, "{what}: {scene} of {version}");
        }
    }
}

#[test]
fn a_failed_turn_has_the_cause_that_its_class_names() {
    for version in BOTH {
        let causes: Vec<String> = story(version, "failures", None, false)
            .iter()
            .filter_map(|line| Some(line.strip_prefix("ended itself failed ")?.split([':', ' ']).next()?.to_owned()))
            .collect();
        let expected = [
            "Throttled",
            "Refused",
            "Unknown",
            "InvalidRequest",
            "ModelNotFound",
            "Billing",
            "Unavailable",
            "Unknown",
            "InvalidRequest",
            "MaxOutput",
        ];
        assert_eq!(causes, expected, "{version}");
    }
}

fn told(protocol: &mut Box<dyn Protocol>, lines: &[&str]) -> Vec<String> {
    let mut events = Vec::new();
    for line in lines {
        protocol.line(line, &mut events);
    }
    events.iter().filter_map(word).collect()
}

const START: &str = r#"{"hook_event_name":"SessionStart","session_id":"s-01","source":"startup","model":"m"}"#;
const STOP: &str = r#"{"hook_event_name":"Stop","session_id":"s-01","prompt_id":"p","last_assistant_message":"Done.","background_tasks":[]}"#;

fn prompt(text: &str, id: &str) -> String {
    format!(r#"{{"hook_event_name":"UserPromptSubmit","session_id":"s-01","prompt_id":"{id}","prompt":"{text}"}}"#)
}

#[test]
fn a_turn_can_be_said_while_a_stop_is_held_and_not_before_or_after() {
    let mut native = protocol(Some("Go"));
    assert_eq!((native.is_idle(), native.takes_turn()), (false, false), "the words of the launch are under way");
    told(&mut native, &[START, &prompt("Go", "p")]);
    assert_eq!((native.is_idle(), native.takes_turn()), (false, false));
    told(&mut native, &[STOP]);
    assert_eq!((native.is_idle(), native.takes_turn()), (true, true));
    let (turn, text) = (TurnId("t".to_owned()), "Add \"tests\".\nAll of them.");
    let said =
        native.encode(&Say::Turn { turn: &turn, kind: TurnKind::Feedback, text, images: &[] }).expect("an answer");
    let said: serde_json::Value = serde_json::from_slice(&said).expect("JSON");
    assert_eq!(said, serde_json::json!({"decision": "block", "reason": text}));
    native.turn_sent(&turn);
    assert_eq!((native.is_idle(), native.takes_turn()), (false, false));
    assert_eq!(told(&mut native, &[STOP]), ["accepted t", "started t", "ended t done: Done."]);
    native.stop_released();
    assert_eq!((native.is_idle(), native.takes_turn()), (true, false), "the user has the word");
    assert_eq!(native.encode(&Say::ReleaseStop).as_deref(), Some(&b"{}"[..]));
}

#[test]
fn a_held_stop_that_is_gone_is_the_users_word() {
    let mut native = protocol(Some("Go"));
    told(&mut native, &[START, &prompt("Go", "p"), STOP]);
    assert_eq!(told(&mut native, &[crate::agent::HOOK_GONE]), ["abandoned"]);
    assert!(!native.takes_turn() && native.is_idle());
    assert!(told(&mut native, &[crate::agent::HOOK_GONE]).is_empty(), "once");
    assert_eq!(told(&mut native, &[&prompt("And now?", "q")]), ["user: And now?", "started itself"]);
}

#[test]
fn a_stop_with_work_in_the_background_is_let_go_and_its_follow_up_ends_the_turn() {
    let busy = r#"{"hook_event_name":"Stop","session_id":"s-01","last_assistant_message":"Later.","background_tasks":[{"id":"b","type":"shell","status":"running","description":"serve","command":"x"}],"session_crons":[{"id":"c","prompt":"look again"}]}"#;
    let mut native = protocol(Some("Go"));
    assert_eq!(told(&mut native, &[START, &prompt("Go", "p"), busy]).last().map(String::as_str), Some("waits for 1"));
    assert_eq!(native.poll_send().as_deref(), Some(&b"{}"[..]));
    assert_eq!(native.poll_send(), None);
    assert_eq!((native.is_idle(), native.takes_turn(), native.open_tasks()), (false, false, 1));
    assert_eq!(
        (native.open_task_names(), native.scheduled_names()),
        (vec!["serve".to_owned()], vec!["look again".to_owned()])
    );
    let mut given_up = native.copied();
    let sub =
        r#"{"hook_event_name":"PreToolUse","session_id":"s-01","agent_id":"a","tool_name":"Read","tool_use_id":"u"}"#;
    assert_eq!(told(&mut native, &[sub]), ["under Read "], "the sub-agent works, the turn does not");
    let notice = prompt("<task-notification>", "q");
    assert_eq!(told(&mut native, &[&notice, STOP]), ["started ours", "ended ours done: Done."]);
    assert!(native.takes_turn());
    let end = given_up.settle().expect("an end");
    assert_eq!((end.text.as_str(), end.left_open, given_up.is_idle()), ("Later.", 1, true));
}

#[test]
fn an_interrupted_turn_is_over_and_one_that_goes_on_all_the_same_is_the_clis_own() {
    let mut native = protocol(Some("Go"));
    told(&mut native, &[START, &prompt("Go", "p")]);
    assert_eq!(native.encode(&Say::Interrupt).as_deref(), Some(&b"\x1b"[..]), "a key");
    native.interrupted();
    assert!(native.is_idle() && !native.takes_turn());
    assert_eq!(told(&mut native, &[STOP]), ["started itself", "ended itself done: Done."]);
}

#[test]
fn what_is_no_hook_says_only_that_the_process_lives() {
    for line in ["", "7", "{}", "[]", r#"{"hook_event_name":7}"#, r#"{"hook_event_name":"Dream","session_id":""}"#] {
        let (mut native, mut events) = (protocol(None), Vec::new());
        native.line(line, &mut events);
        assert_eq!(events, [AgentEvent::Alive], "{line}");
    }
}

fn launched(args: &[&str], change: impl FnOnce(&mut LaunchRequest<'_>)) -> Vec<String> {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let mut request = LaunchRequest { user_args: &args, ..request() };
    change(&mut request);
    NATIVE.launch(&request).args
}

/// The arguments without the value of `--settings`, and that value.
fn apart(args: &[String]) -> (String, serde_json::Value) {
    let at = args.iter().position(|arg| arg == "--settings").expect("settings") + 1;
    let settings = serde_json::from_str(&args[at]).unwrap_or(serde_json::Value::String(args[at].clone()));
    let rest: Vec<&str> = args.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, arg)| arg.as_str()).collect();
    (rest.join(" "), settings)
}

#[test]
fn the_interface_is_started_with_the_users_arguments_our_hooks_and_the_words() {
    let (args, settings) = apart(&launched(&[], |_| {}));
    assert_eq!(args, "--session-id 5d0c --settings");
    let stop = &settings["hooks"]["Stop"][0]["hooks"][0];
    assert_eq!(stop["command"], "test -x \"$CCC_PROGRAM\" || exit 0; exec \"$CCC_PROGRAM\" hook --wait");
    let held_ms = stop["timeout"].as_u64().expect("a number") * 1_000;
    assert!((86_400_000..1 << 31).contains(&held_ms), "2.1.197 ends a hook at once whose time is longer");
    assert_eq!(
        settings["hooks"]["PreToolUse"][0]["hooks"][0]["command"],
        "test -x \"$CCC_PROGRAM\" || exit 0; exec \"$CCC_PROGRAM\" hook"
    );

    let theirs = r#"{"model":"x","hooks":{"Stop":[{"hooks":[{"type":"command","command":"mine"}]}],"PreToolUse":7}}"#;
    let (args, settings) =
        apart(&launched(&["--settings", theirs, "--add-dir", "a", "b", "--max-turns", "3"], |request| {
            request.open = SessionOpen::Resume("s".to_owned());
            request.words = Some("/healthz answers 500");
            request.one_tree = true;
            request.model = Some("opus");
        }));
    assert_eq!(
        args,
        "--resume s --model opus --disallowedTools EnterWorktree --add-dir a b --settings --  /healthz answers 500"
    );
    assert_eq!(
        (&settings["model"], settings["hooks"]["Stop"].as_array().map(Vec::len)),
        (&serde_json::json!("x"), Some(2))
    );
    assert_eq!(settings["hooks"]["Stop"][0]["hooks"][0]["command"], "mine", "the user's own stays");
    assert_eq!(settings["hooks"]["PreToolUse"].as_array().map(Vec::len), Some(1));

    let (args, settings) = apart(&launched(&["--settings", "s.json", "--model", "haiku"], |request| {
        request.interface_settings = Some("/run/settings.json");
        request.model = Some("opus");
    }));
    assert_eq!(
        (args.as_str(), &settings),
        ("--session-id 5d0c --model haiku --settings", &serde_json::json!("/run/settings.json"))
    );
    let (args, _) = apart(&launched(&["--model", "haiku"], |request| {
        (request.model, request.model_is_chosen) = (Some("opus"), true);
    }));
    assert_eq!(args, "--session-id 5d0c --model opus --settings", "the user has chosen it in mid-run");

    let launch = NATIVE.launch(&request());
    assert!(launch.env_set.contains(&("CLAUDE_CODE_STOP_HOOK_BLOCK_CAP".to_owned(), "0".to_owned())));
    assert!(launch.env_set.contains(&("CCC_ATTEMPT".to_owned(), "1".to_owned())));
    for bad in ["[]", "{", "7"] {
        assert!(NATIVE.settings_with_hooks(bad).is_err(), "{bad}");
    }
}

#[test]
fn words_that_are_too_long_for_an_argument_are_cut_and_still_known_as_ours() {
    let long: String = "ä".repeat(100_000);
    let words: &'static str = Box::leak(long.into_boxed_str());
    let args = NATIVE.launch(&LaunchRequest { words: Some(words), ..request() }).args;
    let said = args.last().expect("the words");
    assert!(said.len() < 128 * 1024 && said.ends_with("too long.]"), "{}", said.len());
    let mut native = protocol(Some(words));
    let line =
        serde_json::json!({"hook_event_name": "UserPromptSubmit", "session_id": "s-01", "prompt": said}).to_string();
    assert_eq!(told(&mut native, &[&line])[1..], ["accepted ours", "started ours"]);
}

#[test]
fn the_critic_is_that_of_every_run() {
    let fork = LaunchRequest { role: Role::Critic, open: SessionOpen::Fork("s".to_owned()), ..request() };
    assert_eq!(NATIVE.launch(&fork), AgentKind::CLAUDE_CODE.launch(&fork));
    assert!(NATIVE.caps("").own_interface && !AgentKind::CLAUDE_CODE.caps("").own_interface);
    assert!(AgentKind::choosable().all(|kind| kind != NATIVE) && AgentKind::named("claude_native") == Some(NATIVE));
}
