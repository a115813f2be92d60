use crate::agent::{AgentKind, ArgsProblem, ExitCause, LaunchRequest, Role, Say, SessionOpen, TurnKind, UserArgs};
use crate::words::{ExitFact, Launch, ProcId, SandboxPlaces, SessionStart, TurnId};
use serde_json::{Value, json};

const CLAUDE: AgentKind = AgentKind::CLAUDE_CODE;
const STREAM: &str = "-p --input-format stream-json --output-format stream-json --verbose --include-partial-messages --replay-user-messages --include-hook-events";

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn request(open: SessionOpen) -> LaunchRequest<'static> {
    let role = if matches!(open, SessionOpen::Fork(_)) { Role::Critic } else { Role::Agent };
    LaunchRequest {
        run_id: "night-1",
        proc: ProcId(3),
        agent_version: "2.1.329 (Claude Code)",
        share_prompt_prefix: true,
        ..LaunchRequest::new(role, open, "/project")
    }
}

/// The arguments after those of the stream.
fn own_args(launch: &Launch) -> String {
    launch.args.join(" ").strip_prefix(STREAM).expect("the stream's options first").trim().to_owned()
}

#[test]
fn a_session_is_opened_in_each_way() {
    let id = || "5d0c".to_owned();
    let table = [
        (SessionOpen::New(id()), None, "--session-id 5d0c"),
        (SessionOpen::Resume(id()), Some("m[1m]"), "--resume 5d0c --model m[1m]"),
        (SessionOpen::Latest, None, "--continue"),
        (
            SessionOpen::Fork(id()),
            Some("m"),
            "--resume 5d0c --fork-session --no-session-persistence --permission-mode dontAsk --model m --disallowedTools Edit(//**) Write(//**) NotebookEdit(//**)",
        ),
    ];
    for (open, model, expected) in table {
        let launch = CLAUDE.launch(&LaunchRequest { model, ..request(open) });
        assert_eq!(own_args(&launch), expected);
        assert_eq!(launch.cwd, "/project");
    }
}

#[test]
fn the_environment_carries_cookies_and_sheds_what_leaks_from_an_outer_agent() {
    let launch = CLAUDE.launch(&request(SessionOpen::Latest));
    let set = [("CCC_RUN_ID", "night-1"), ("CCC_ATTEMPT", "3"), ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1")];
    assert_eq!(launch.env_set, set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for name in ["CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_CHILD_SESSION", "CLAUDE_CODE_ENTRYPOINT"] {
        assert!(launch.env_unset.iter().any(|unset| unset == name), "{name}");
    }
    for credential in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN"] {
        assert!(!launch.env_unset.iter().any(|unset| unset == credential), "{credential} is the driver's");
    }
}

#[test]
fn git_is_kept_out_of_the_prompt_where_there_is_no_snapshot() {
    let git = ("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS".to_owned(), "1".to_owned());
    for (agent_version, share, snapshot) in [
        ("2.1.329", true, true),
        ("2.1.330-beta.1", true, true),
        ("2.2.0", true, true),
        ("2.1.197", true, false),
        ("2.1.197", false, false),
        ("", true, false),
        ("unknown", true, false),
    ] {
        assert_eq!(CLAUDE.caps(agent_version).prompt_snapshot, snapshot, "{agent_version}");
        for open in [SessionOpen::Latest, SessionOpen::Fork("f".to_owned())] {
            let launch = CLAUDE.launch(&LaunchRequest { agent_version, share_prompt_prefix: share, ..request(open) });
            assert_eq!(launch.env_set.contains(&git), share && !snapshot, "{agent_version}");
        }
    }
}

#[test]
fn the_agent_gets_the_users_arguments_without_those_that_ccc_says_itself() {
    let user =
        words("--session-id x --verbose --model opus --allowedTools Read Bash(ls:*) --add-dir /a /b --future 7 -d");
    let kept = "--model opus --allowedTools Read Bash(ls:*) --add-dir /a /b --future 7 -d";
    let new = CLAUDE.launch(&LaunchRequest { user_args: &user, ..request(SessionOpen::New("x".to_owned())) });
    assert_eq!(own_args(&new), format!("--session-id x {kept}"));
    let later = CLAUDE.launch(&LaunchRequest {
        user_args: &user,
        model: Some("claude-other"),
        ..request(SessionOpen::Resume("x".to_owned()))
    });
    assert_eq!(own_args(&later), format!("--resume x {kept}"), "the user's model stays");
    let named = words("-c --effort high");
    let latest = CLAUDE.launch(&LaunchRequest { user_args: &named, ..request(SessionOpen::Latest) });
    assert_eq!(own_args(&latest), "--continue --effort high");
}

#[test]
fn the_critic_gets_what_shapes_the_prompt_and_nothing_that_grants() {
    let user = words(
        "--resume x --model opus --append-system-prompt short --mcp-config a.json b.json --settings s.json \
         --permission-mode bypassPermissions --dangerously-skip-permissions --allow-dangerously-skip-permissions \
         --allowed-tools Bash Edit --permission-prompt-tool t --permission-prompts none --max-turns 3 \
         --max-budget-usd=2 --json-schema {} --future 7 --disallowedTools WebFetch --effort low --debug api",
    );
    let allow = ["Bash(cargo test:*)".to_owned(), "WebFetch".to_owned()];
    let critic = LaunchRequest {
        user_args: &user,
        model: Some("m"),
        critic_allow: &allow,
        without_hooks: false,
        ..request(SessionOpen::Fork("x".to_owned()))
    };
    let fork = "--resume x --fork-session --no-session-persistence --permission-mode dontAsk --model m --disallowedTools Edit(//**) Write(//**) NotebookEdit(//**) \
                --allowedTools Bash(cargo test:*) WebFetch";
    let shaping = "--mcp-config a.json b.json --settings s.json --disallowedTools WebFetch --effort low";
    assert_eq!(own_args(&CLAUDE.launch(&critic)), format!("{fork} --append-system-prompt short {shaping}"));

    let hookless = |args: &str| {
        let user = words(args);
        let request = LaunchRequest { user_args: &user, critic_allow: &[], without_hooks: true, ..critic.clone() };
        own_args(&CLAUDE.launch(&request)).split_once("--model m ").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    };
    let deny = "--disallowedTools Edit(//**) Write(//**) NotebookEdit(//**)";
    assert_eq!(hookless(""), format!("--settings {{\"disableAllHooks\":true}} {deny}"));
    assert_eq!(
        hookless("--settings {\"hooks\":{},\"model\":\"x\"}"),
        format!("{deny} --settings {{\"disableAllHooks\":true,\"hooks\":{{}},\"model\":\"x\"}}"),
        "what else the user set stays"
    );
    assert_eq!(
        hookless("--settings s.json"),
        format!("{deny} --settings s.json"),
        "a journal that names no other file"
    );
    let user = words("--settings first.json --settings s.json");
    let filed = LaunchRequest {
        user_args: &user,
        critic_allow: &[],
        without_hooks: true,
        hookless_settings: Some("/run/critic-settings.json"),
        ..critic.clone()
    };
    assert!(!own_args(&CLAUDE.launch(&filed)).contains(" s.json"), "the file without hooks takes its place");
    let agent = LaunchRequest { role: Role::Agent, open: SessionOpen::Resume("x".to_owned()), ..filed };
    assert!(own_args(&CLAUDE.launch(&agent)).ends_with("--settings first.json --settings s.json"));

    let system = LaunchRequest { system_prompt_file: Some("/s.md"), ..critic.clone() };
    assert_eq!(
        own_args(&CLAUDE.launch(&system)),
        format!("{fork} --append-system-prompt-file /s.md --system-prompt-snapshot off {shaping}"),
        "the CLI takes one appended system prompt only"
    );
    let older = LaunchRequest { agent_version: "2.1.197", ..system };
    assert_eq!(own_args(&CLAUDE.launch(&older)), format!("{fork} --append-system-prompt-file /s.md {shaping}"));
    let no_model = LaunchRequest { model: None, critic_allow: &[], ..critic };
    assert!(own_args(&CLAUDE.launch(&no_model)).contains("--model opus"), "the agent's model");
}

#[test]
fn the_users_arguments_are_read() {
    let table = [
        ("", UserArgs::default()),
        ("--resume 1b", UserArgs { session: Some(SessionStart::Resume("1b".to_owned())), ..UserArgs::default() }),
        ("--resume=1b", UserArgs { session: Some(SessionStart::Resume("1b".to_owned())), ..UserArgs::default() }),
        ("-r 1b", UserArgs { session: Some(SessionStart::Resume("1b".to_owned())), ..UserArgs::default() }),
        ("-r1b", UserArgs { session: Some(SessionStart::Resume("1b".to_owned())), ..UserArgs::default() }),
        ("-c", UserArgs { session: Some(SessionStart::Latest), ..UserArgs::default() }),
        ("--continue", UserArgs { session: Some(SessionStart::Latest), ..UserArgs::default() }),
        ("--session-id 5d", UserArgs { session: Some(SessionStart::New("5d".to_owned())), ..UserArgs::default() }),
        ("--model opus --effort high", UserArgs { model: Some("opus".to_owned()), ..UserArgs::default() }),
        (
            "--permission-mode acceptEdits",
            UserArgs { permission_mode: Some("acceptEdits".to_owned()), ..UserArgs::default() },
        ),
        (
            "--permission-mode=bypassPermissions",
            UserArgs {
                permission_mode: Some("bypassPermissions".to_owned()),
                skips_permissions: true,
                ..UserArgs::default()
            },
        ),
        ("--dangerously-skip-permissions", UserArgs { skips_permissions: true, ..UserArgs::default() }),
        // A value may look like an option; a variadic option ends at one.
        (
            "--append-system-prompt --resume --allowedTools A B --model m",
            UserArgs {
                model: Some("m".to_owned()),
                allowed: vec!["A".to_owned(), "B".to_owned()],
                ..UserArgs::default()
            },
        ),
        (
            "--allowed-tools=Edit,Bash(ls:*)",
            UserArgs { allowed: vec!["Edit".to_owned(), "Bash(ls:*)".to_owned()], ..UserArgs::default() },
        ),
    ];
    for (args, meaning) in table {
        assert_eq!(CLAUDE.read_user_args(&words(args)), Ok(meaning), "{args}");
    }
}

#[test]
fn a_mode_and_the_rules_say_whether_files_may_be_changed_without_a_user() {
    for (mode, asks) in [
        (None, true),
        (Some("default"), true),
        (Some("dontAsk"), true),
        (Some("acceptEdits"), false),
        (Some("auto"), false),
    ] {
        assert_eq!(CLAUDE.asks_before_changes_in(mode), asks, "{mode:?}");
    }
    for (rule, allows) in [
        ("Edit", true),
        ("Write(src/**)", true),
        ("Bash", true),
        ("Bash(*)", true),
        ("Bash(ls:*)", false),
        ("Read", false),
        ("EditNothing", false),
    ] {
        assert_eq!(CLAUDE.is_rule_for_changes(rule), allows, "{rule}");
    }
}

#[test]
fn arguments_that_cannot_be_used_are_refused_with_what_to_do() {
    for args in [
        "-p",
        "--print",
        "--input-format text",
        "--output-format=json",
        "--fork-session",
        "--no-session-persistence",
        "--bg",
        "--background",
        "--worktree",
        "-w x",
        "--cloud",
        "--tmux",
        "--help",
        "-v",
        "--from-pr 3",
        "--rewind-files u",
        "--print=yes",
        "-cp",
    ] {
        match CLAUDE.read_user_args(&words(args)) {
            Err(ArgsProblem::Refused { option, reason }) => {
                assert!(args.starts_with(&option), "{args}: {option}");
                assert!(!reason.is_empty());
            }
            other => panic!("{args}: {other:?}"),
        }
    }
    for args in ["fix it", "--model opus fix", "--verbose go", "-- go", "-"] {
        assert!(matches!(CLAUDE.read_user_args(&words(args)), Err(ArgsProblem::Prompt { .. })), "{args}");
    }
    for args in ["--model", "--resume", "-r", "--allowedTools", "--session-id"] {
        let option = args.to_owned();
        assert_eq!(CLAUDE.read_user_args(&words(args)), Err(ArgsProblem::MissingValue { option }));
    }
    assert_eq!(
        CLAUDE.read_user_args(&words("-c --resume x")),
        Err(ArgsProblem::TwoSessions { first: "-c".to_owned(), second: "--resume".to_owned() })
    );
    let said = CLAUDE.read_user_args(&words("--print")).expect_err("refused").to_string();
    assert!(said.contains("--print") && said.contains("before `--`"), "{said}");
}

#[test]
fn the_end_of_a_process_says_why() {
    let exit =
        |code, stderr: &str| ExitFact { code: Some(code), stderr_tail: stderr.to_owned(), ..ExitFact::default() };
    let usage = |line: &str| ExitCause::BadUsage { message: line.to_owned() };
    // Messages of both versions; the session had not begun.
    let complaints = [
        ("Error: Session ID 5d0c is already in use.", ExitCause::SessionInUse),
        ("No conversation found with session ID: 5d0c", ExitCause::SessionUnknown),
        ("error: unknown option '--no-such-option'", usage("error: unknown option '--no-such-option'")),
        ("error: option '--model <model>' argument missing", usage("error: option '--model <model>' argument missing")),
        ("Error: Invalid session ID. Must be a valid UUID.", usage("Error: Invalid session ID. Must be a valid UUID.")),
        ("Error: Settings file not found: /none.json", usage("Error: Settings file not found: /none.json")),
        (
            "Error: Invalid MCP configuration:\nMCP config file not found: /x",
            usage("Error: Invalid MCP configuration:"),
        ),
        (
            "Error: Cannot use both --append-system-prompt and --append-system-prompt-file. Please use only one.",
            usage(
                "Error: Cannot use both --append-system-prompt and --append-system-prompt-file. Please use only one.",
            ),
        ),
        (
            "Error: Input must be provided either through stdin or as a prompt argument when using --print",
            usage("Error: Input must be provided either through stdin or as a prompt argument when using --print"),
        ),
        (
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            ExitCause::RefusedToStart {
                message: "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons"
                    .to_owned(),
            },
        ),
        ("(node:12) Warning: something", ExitCause::Crash),
        ("", ExitCause::Crash),
    ];
    for (stderr, cause) in complaints {
        assert_eq!(CLAUDE.exit_cause(&exit(1, stderr), false), cause, "{stderr}");
    }
    let noisy = "(node:12) Warning: x\nNo conversation found with session ID: 5d0c\n";
    assert_eq!(CLAUDE.exit_cause(&exit(1, noisy), false), ExitCause::SessionUnknown);

    for (code, stderr, cause) in [
        (0, "", ExitCause::Clean),
        (1, "", ExitCause::Clean),
        (1, "a tool said: error: unknown option '-x'", ExitCause::Clean),
        (1, "Error parsing streaming input line: {bad", ExitCause::Crash),
        (143, "", ExitCause::Crash),
        (129, "", ExitCause::Crash),
    ] {
        assert_eq!(CLAUDE.exit_cause(&exit(code, stderr), true), cause, "{code} {stderr}");
    }
    let killed = ExitFact { signal: Some(9), ..ExitFact::default() };
    for session_begun in [false, true] {
        assert_eq!(CLAUDE.exit_cause(&killed, session_begun), ExitCause::Crash);
    }
}

#[test]
fn what_is_said_is_one_line_of_json() {
    let turn = TurnId("u-1".to_owned());
    let protocol = CLAUDE.protocol(&request(SessionOpen::Latest));
    let says = [
        Say::Turn { turn: &turn, kind: TurnKind::Task, text: "two\nlines \"quoted\" \u{1b}[0m", images: &[] },
        Say::Interrupt,
    ];
    for say in says {
        let line = protocol.encode(&say).expect("it has such a message");
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        match value["type"].as_str() {
            Some("user") => {
                assert_eq!(value["uuid"], "u-1");
                assert_eq!(value["message"]["content"], "two\nlines \"quoted\" \u{1b}[0m");
            }
            Some("control_request") => {
                assert_eq!(
                    (&value["request_id"], &value["request"]["subtype"]),
                    (&"interrupt-1".into(), &"interrupt".into())
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn only_pieces_of_messages_are_partial() {
    let is_partial =
        |line: &str| crate::stream::parse_envelope(line).is_some_and(|envelope| CLAUDE.is_partial(&envelope));
    let piece = r#"{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{}}}"#;
    assert!(is_partial(piece));
    assert!(is_partial(r#"{"type":"system","subtype":"thinking_tokens","estimated_tokens":3}"#));
    let is_progress =
        |line: &str| crate::stream::parse_envelope(line).is_some_and(|envelope| CLAUDE.partial_is_progress(&envelope));
    let delta = |delta: &str| {
        format!(r#"{{"type":"stream_event","event":{{"type":"content_block_delta","index":0,"delta":{delta}}}}}"#)
    };
    assert!(!is_progress(piece), "it is empty");
    assert!(!is_progress(r#"{"type":"stream_event","event":{"type":"content_block_delta","index":0}}"#), "it is empty");
    for kind in ["text", "thinking", "signature"] {
        assert!(is_progress(&delta(&format!(r#"{{"type":"{kind}_delta","{kind}":" "}}"#))), "{kind}");
        assert!(!is_progress(&delta(&format!(r#"{{"type":"{kind}_delta","{kind}":""}}"#))), "{kind}");
        assert!(!is_progress(&delta(&format!(r#"{{"type":"{kind}_delta"}}"#))), "{kind}");
    }
    assert!(is_progress(&delta(r#"{"type":"input_json_delta","partial_json":"{"}"#)));
    assert!(!is_progress(&delta(r#"{"type":"input_json_delta","partial_json":""}"#)));
    assert!(is_progress(&delta(r#"{"type":"citations_delta","citation":{"cited_text":"x"}}"#)));
    assert!(!is_progress(&delta(r#"{"type":"citations_delta","citation":null}"#)));
    assert!(is_progress(&delta(r#"{"type":"news_delta","news":"x"}"#)), "a kind that is not known");
    let thought = |tokens: u32| {
        format!(
            r#"{{"type":"system","subtype":"thinking_tokens","estimated_tokens":9,"estimated_tokens_delta":{tokens}}}"#
        )
    };
    assert!(is_progress(&thought(1)) && !is_progress(&thought(0)));
    for whole in [
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"stream_event"}]}}"#,
        r#"{"type":"user","tool_use_result":{"type":"stream_event","event":{"type":"content_block_delta"}}}"#,
        "{\"type\":\"stream_event\"",
    ] {
        assert!(!is_partial(whole));
    }
}

#[test]
fn a_settings_file_loses_its_hooks_and_nothing_else() {
    let of = |text: &str| CLAUDE.hookless_settings(text);
    let kept = of("\u{feff}{\"hooks\":{\"Stop\":[]},\"model\":\"x\",\"disableAllHooks\":false}").expect("settings");
    assert_eq!(kept, "{\"disableAllHooks\":true,\"hooks\":{\"Stop\":[]},\"model\":\"x\"}");
    for odd in ["", "[]", "{\"hooks\":", "null"] {
        assert!(of(odd).is_err(), "{odd:?}");
    }
}

fn places(edits: &[&str]) -> SandboxPlaces {
    let texts = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    SandboxPlaces {
        commands: texts(&["/home/u/shop", "/tmp"]),
        edits: texts(edits),
        read_only: texts(&["/home/u/shop/.git/config"]),
    }
}

fn in_sandbox(own: Option<&str>, places: &SandboxPlaces, role: Role, without_hooks: bool) -> Value {
    let settings = CLAUDE.settings_in_sandbox(own, places, role, without_hooks).expect("settings");
    serde_json::from_str(&settings).expect("JSON")
}

#[test]
fn the_clis_own_sandbox_is_switched_on_in_the_settings_of_agent_and_critic() {
    let places = places(&["/home/u/shop"]);
    let settings = in_sandbox(None, &places, Role::Agent, false);
    let filesystem = json!({"allowWrite": ["/home/u/shop", "/tmp"], "denyWrite": ["/home/u/shop/.git/config"]});
    let sandbox = json!({
        "enabled": true, "failIfUnavailable": true, "allowUnsandboxedCommands": false, "filesystem": filesystem,
    });
    assert_eq!(settings["sandbox"], sandbox);
    assert!(settings.get("disableAllHooks").is_none(), "the agent keeps the user's hooks");

    // What the user has given stays, but for what switches the sandbox off.
    let own = json!({
        "sandbox": {"enabled": false, "allowUnsandboxedCommands": true, "network": {"allowedDomains": ["crates.io"]},
            "filesystem": {"allowWrite": ["~/builds"]}},
        "permissions": {"deny": ["WebFetch"], "allow": ["Read"]}, "model": "m",
    })
    .to_string();
    let merged = in_sandbox(Some(&own), &places, Role::Agent, false);
    assert_eq!(merged["sandbox"]["enabled"], true);
    assert_eq!(merged["sandbox"]["allowUnsandboxedCommands"], false);
    assert_eq!(merged["sandbox"]["network"], json!({"allowedDomains": ["crates.io"]}));
    assert_eq!(merged["sandbox"]["filesystem"]["allowWrite"], json!(["~/builds", "/home/u/shop", "/tmp"]));
    assert_eq!((&merged["model"], &merged["permissions"]["allow"]), (&json!("m"), &json!(["Read"])));
    assert_eq!(merged["permissions"]["deny"][0], "WebFetch");
    assert_eq!(merged["permissions"]["deny"][1], settings["permissions"]["deny"][0]);
    assert!(CLAUDE.settings_in_sandbox(Some("[]"), &places, Role::Agent, false).is_err());

    // In the sandbox the CLI would let a critic run every command unasked.
    let of_critic = in_sandbox(Some(&own), &places, Role::Critic, true);
    assert_eq!(of_critic["sandbox"]["autoAllowBashIfSandboxed"], false);
    assert_eq!(of_critic["sandbox"]["failIfUnavailable"], true);
    assert_eq!(of_critic["disableAllHooks"], true);

    // They take the place of the user's own, as JSON or as a file.
    for user in [words(""), words("--settings {\"model\":\"x\"} --effort low"), words("--settings s.json")] {
        for open in [SessionOpen::Latest, SessionOpen::Fork("x".to_owned())] {
            let request = LaunchRequest {
                user_args: &user,
                sandbox: Some("/run/in-sandbox.json"),
                without_hooks: true,
                hookless_settings: Some("/run/hookless.json"),
                ..request(open)
            };
            let args = CLAUDE.launch(&request).args;
            let given: Vec<&String> =
                args.iter().zip(&args[1..]).filter(|(name, _)| *name == "--settings").map(|(_, file)| file).collect();
            assert_eq!(given, ["/run/in-sandbox.json"], "{args:?}");
        }
    }
}

#[test]
fn the_tools_that_edit_files_are_denied_all_names_but_those_on_the_way_to_a_place() {
    let rules = |edits: &[&str]| -> Vec<String> {
        let places = SandboxPlaces { read_only: Vec::new(), ..places(edits) };
        let settings = in_sandbox(None, &places, Role::Agent, false);
        let deny = settings["permissions"]["deny"].as_array().cloned().unwrap_or_default();
        let texts = deny.iter().map(|rule| rule.as_str().expect("a text").to_owned());
        texts.map(|rule| rule.trim_start_matches("Edit(").trim_end_matches(')').to_owned()).collect()
    };
    let others = "\u{80}-\u{ffff}]*";
    assert_eq!(
        rules(&["/ab"]),
        [
            format!("//[0-@B-Z_-`b-~ -.{others}"),
            format!("//a[0-AC-Z_-ac-~ -.{others}"),
            "//[a]/*".to_owned(),
            "//ab?*".to_owned(),
        ]
    );
    // On the way to several places, none of them is named.
    let several = rules(&["/ab/x", "/ac"]);
    assert!(several.contains(&format!("//a[0-AD-Z_-ad-~ -.{others}")), "{several:#?}");
    assert!(several.contains(&"//ab/x?*".to_owned()) && !several.iter().any(|rule| rule.starts_with("//ac/")));
    // Where a character may mean something else, it stands for any, and what differs from it there is not named.
    let odd = rules(&["/a*é"]);
    assert!(odd.contains(&"//a???*".to_owned()) && odd.contains(&"//[a]/*".to_owned()), "{odd:#?}");
    assert_eq!(odd.len(), 3, "{odd:#?}");
    // `.` and `..` are directories themselves.
    assert!(!rules(&["/..x"]).iter().any(|rule| rule.ends_with("[.]/*")));
    assert_eq!(rules(&["/"]), [""; 0], "all is open");
}

/// The settings in the arguments of a trial.
fn settings_in(args: &[String]) -> Value {
    let at = args.iter().position(|arg| arg == "--settings").expect("settings");
    serde_json::from_str(&args[at + 1]).expect("JSON")
}

#[test]
fn only_claude_code_without_its_interface_has_a_sandbox_that_can_be_switched_on() {
    assert!(CLAUDE.has_sandbox() && !AgentKind::CLAUDE_NATIVE.has_sandbox());
    let (args, input) = CLAUDE.sandbox_trial("/tmp/x").expect("a trial");
    let settings = settings_in(&args);
    assert_eq!((&settings["sandbox"]["failIfUnavailable"], &settings["disableAllHooks"]), (&json!(true), &json!(true)));
    assert!(input.contains("initialize") && input.ends_with('\n'));
    let answer = |said: Value| json!({"type": "control_response", "response": {"response": said}}).to_string();
    assert_eq!(CLAUDE.sandbox_in_force(&format!("x\n{}\n", answer(json!({"sandbox_enabled": true})))), Some(true));
    assert_eq!(CLAUDE.sandbox_in_force(&answer(json!({"sandbox_enabled": false}))), Some(false));
    assert_eq!(CLAUDE.sandbox_in_force(&answer(json!({"pid": 3}))), None);
}
