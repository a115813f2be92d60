//! Facts about the real CLI on which the critic and the choice of tokens rest. A failure here is drift of the CLI, not a fault of ccc.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CleanHome, RealCli, STREAM_FLAGS, Session};
use crate::scripted_api::{Recorded, Reply, Script, ScriptedApi, When};

const DEADLINE: Duration = Duration::from_secs(60);
const TASK: &str = "11111111-1111-4111-8111-111111111111";
const BRIEF: &str = "22222222-2222-4222-8222-222222222222";

/// A fork as a critic is launched, short of what keeps it from writing by file tools.
const FORK: [&str; 4] = ["--fork-session", "--no-session-persistence", "--permission-mode", "dontAsk"];

/// Denies the file tools, and the shell commands whose targets the CLI knows, everywhere.
const NO_WRITES: [&str; 4] = ["--disallowedTools", "Edit(//**)", "Write(//**)", "NotebookEdit(//**)"];

/// Lets an agent answer, then a critic's fork with these arguments try what the script says.
fn judged(cli: &RealCli, home: &CleanHome, script: Script, arguments: &[&str]) -> Vec<Recorded> {
    let script = script.always_on(When::any_user_text("JUDGE"), Reply::text("judged")).always(Reply::text("ANSWER"));
    let api = ScriptedApi::start(script).unwrap();
    let mut agent = Session::spawn(home.command(cli, &api.base_url()).args(STREAM_FLAGS)).unwrap();
    agent.say("the task", TASK).unwrap();
    agent.turn_over(DEADLINE).unwrap();
    let init = agent.seen().iter().find(|l| l.kind() == "system/init").unwrap().json.clone();
    let mut command = home.command(cli, &api.base_url());
    command.args(STREAM_FLAGS).args(["--resume", init["session_id"].as_str().unwrap()]);
    command.args(["--model", init["model"].as_str().unwrap()]).args(FORK).args(arguments);
    let mut critic = Session::spawn(&mut command).unwrap();
    critic.say("JUDGE it", BRIEF).unwrap();
    let result = critic.turn_over(DEADLINE).unwrap();
    assert_eq!(result.json["result"], "judged", "{cli:?}");
    assert_eq!(critic.close(DEADLINE).unwrap().status.code(), Some(0));
    assert_eq!(agent.close(DEADLINE).unwrap().status.code(), Some(0));
    api.requests()
}

/// Writes one file by Write and one by touch.
fn writes(project: &Path) -> Script {
    let critic = || When::any_user_text("JUDGE");
    Script::new()
        .on(critic(), Reply::tool("Write", json!({"file_path": project.join("written"), "content": "x"})))
        .on(critic(), Reply::tool("Bash", json!({"command": "touch touched", "description": "Touches"})))
}

fn allow_writes(home: &CleanHome) {
    let settings = json!({"permissions": {"allow": ["Write", "Bash(touch:*)"]}});
    std::fs::create_dir(home.project().join(".claude")).unwrap();
    std::fs::write(home.project().join(".claude/settings.json"), settings.to_string()).unwrap();
    home.trust_project().unwrap();
}

#[test]
fn a_fork_repeats_the_agents_prefix_and_sees_its_last_answer() {
    for cli in RealCli::all() {
        let home = CleanHome::new().unwrap();
        let requests = judged(&cli, &home, Script::new(), &NO_WRITES);
        let [agent, critic] = requests.as_slice() else { panic!("{cli:?}: {} requests", requests.len()) };
        for part in ["model", "tools", "system"] {
            assert!(agent.body[part] == critic.body[part], "{cli:?}: {part} differs");
        }
        let said: Vec<&Value> =
            critic.body["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "assistant").collect();
        assert!(said.iter().any(|m| m.to_string().contains("ANSWER")), "{cli:?}: {said:?}");
    }
}

#[test]
fn a_trusted_projects_allow_rules_let_a_dont_ask_fork_write() {
    for cli in RealCli::all() {
        let home = CleanHome::new().unwrap();
        allow_writes(&home);
        judged(&cli, &home, writes(&home.project()), &[]);
        let made = ["written", "touched"].map(|name| home.project().join(name).exists());
        assert_eq!(made, [true, true], "{cli:?}");
    }
}

#[test]
fn deny_patterns_stop_file_tools_and_touch_against_allow_rules() {
    for cli in RealCli::all() {
        let home = CleanHome::new().unwrap();
        allow_writes(&home);
        let requests = judged(&cli, &home, writes(&home.project()), &NO_WRITES);
        let made = ["written", "touched"].map(|name| home.project().join(name).exists());
        assert_eq!(made, [false, false], "{cli:?}");
        assert_eq!(requests.len(), 4, "{cli:?}: both tools were tried");
    }
}

#[test]
fn settings_take_the_place_of_the_environments_credential_or_stand_beside_it() {
    let env = |value: &str| json!({"env": {"ANTHROPIC_API_KEY": value}});
    // The user's settings, and what is sent as key and as bearer.
    for (settings, key, bearer) in [
        (json!({}), CleanHome::KEY, None),
        (env("sk-ant-made-up-setting"), "sk-ant-made-up-setting", None),
        (json!({"apiKeyHelper": "echo made-up-helper"}), CleanHome::KEY, Some("Bearer made-up-helper")),
    ] {
        for cli in RealCli::all() {
            let home = CleanHome::new().unwrap();
            std::fs::create_dir(home.home().join(".claude")).unwrap();
            std::fs::write(home.home().join(".claude/settings.json"), settings.to_string()).unwrap();
            let api = ScriptedApi::start(Script::new().always(Reply::text("ANSWER"))).unwrap();
            let mut agent = Session::spawn(home.command(&cli, &api.base_url()).args(STREAM_FLAGS)).unwrap();
            agent.say("the task", TASK).unwrap();
            agent.turn_over(DEADLINE).unwrap();
            agent.close(DEADLINE).unwrap();
            let requests = api.requests();
            let sent = |name: &str| requests[0].headers.get(name).map(String::as_str);
            assert_eq!(sent("x-api-key"), Some(key), "{cli:?} with {settings}");
            assert_eq!(sent("authorization"), bearer, "{cli:?} with {settings}");
        }
    }
}

/// What the agent's CLI sends to where the project's settings say, started in `below` of the project.
fn follows_settings(cli: &RealCli, file: &str, content: &[u8], below: &str, there: &ScriptedApi) -> bool {
    let home = CleanHome::new().unwrap();
    let project = home.project();
    // A repository, as far as its files tell.
    for (name, text) in [(".git/HEAD", &b"ref: refs/heads/main\n"[..]), (".git/objects/x", b""), (".git/refs/x", b"")] {
        std::fs::create_dir_all(project.join(name).parent().unwrap()).unwrap();
        std::fs::write(project.join(name), text).unwrap();
    }
    std::fs::create_dir_all(project.join(below)).unwrap();
    std::fs::create_dir_all(project.join(".claude")).unwrap();
    std::fs::write(project.join(".claude").join(file), content).unwrap();
    let here = ScriptedApi::start(Script::new().always(Reply::text("ANSWER"))).unwrap();
    let before = there.request_count();
    let mut command = home.command(cli, &here.base_url());
    let mut agent = Session::spawn(command.args(STREAM_FLAGS).current_dir(project.join(below))).unwrap();
    agent.say("the task", TASK).unwrap();
    agent.turn_over(DEADLINE).unwrap();
    agent.close(DEADLINE).unwrap();
    let followed = there.request_count() > before;
    assert_ne!(followed, here.request_count() > 0, "{cli:?} {file}: one of them is asked");
    followed
}

/// On these facts `tokens/settings_files.rs` rests: should a new CLI read other files, or read them in another way, this says
/// so.
#[test]
fn odd_settings_files_are_read_or_passed_over() {
    let there = ScriptedApi::start(Script::new().always(Reply::text("ANSWER"))).unwrap();
    let plain = json!({"env": {"ANTHROPIC_BASE_URL": there.base_url()}}).to_string();
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let deep = format!("{{\"x\":{}{},{}", "[".repeat(400), "]".repeat(400), &plain[1..]);
    let list = json!({"env": {"ANTHROPIC_BASE_URL": [there.base_url()]}}).to_string();
    let twice = format!("{{\"env\":{{\"A\":\"b\"}},{}", &plain[1..]);
    let rows: [(&str, Vec<u8>, bool); 9] = [
        ("plain", plain.clone().into(), true),
        ("a byte order mark", format!("\u{feff}{plain}").into(), true),
        ("two of them", format!("\u{feff}\u{feff}{plain}").into(), false),
        ("UTF-16", utf16, true),
        ("not UTF-8", [&plain.as_bytes()[..plain.len() - 1], b",\"x\":\"\xff\"}"].concat(), true),
        ("deep", deep.into(), true),
        ("a list for a string", list.into(), true),
        ("the last of two", twice.into(), true),
        ("a comment", format!("// x\n{plain}").into(), false),
    ];
    for cli in RealCli::all() {
        for (name, content, expected) in &rows {
            let followed = follows_settings(&cli, "settings.json", content, ".", &there);
            assert_eq!(followed, *expected, "{cli:?}: {name}");
        }
        assert!(!follows_settings(&cli, "settings.json", plain.as_bytes(), "below", &there), "{cli:?}");
        let local = follows_settings(&cli, "settings.local.json", plain.as_bytes(), "below", &there);
        assert_eq!(local, cli.label != "previous", "{cli:?}: the local settings of the repository's top");
    }
}

#[test]
fn the_latest_session_is_the_one_whose_record_was_written_last_and_can_be_foreseen() {
    for cli in RealCli::all() {
        let home = CleanHome::new().unwrap();
        let api = ScriptedApi::start(Script::new().always(Reply::text("ok"))).unwrap();
        let session = |arguments: &[&str]| {
            let mut command = home.command(&cli, &api.base_url());
            command.args(["-p", "hello", "--output-format", "json"]).args(arguments).stdin(std::process::Stdio::null());
            let output = command.output().unwrap();
            let result: Value = serde_json::from_slice(&output.stdout).unwrap();
            result["session_id"].as_str().unwrap().to_owned()
        };
        let cwd = home.project().canonicalize().unwrap().display().to_string();
        let claude = home.home().join(".claude");
        let foreseen = || ccc::driver::latest_session(ccc::agent::AgentKind::CLAUDE_CODE, &claude, &cwd);
        let (first, second) = (session(&[]), session(&[]));
        assert_eq!(foreseen().as_ref(), Some(&second), "{cli:?}");
        assert_eq!(session(&["--continue"]), second, "{cli:?}");
        let folder = std::fs::read_dir(claude.join("projects")).unwrap().flatten().next().unwrap().path();
        let record = std::fs::File::options().append(true).open(folder.join(format!("{first}.jsonl"))).unwrap();
        record.set_modified(std::time::SystemTime::now() + Duration::from_secs(10)).unwrap();
        assert_eq!(foreseen().as_ref(), Some(&first), "{cli:?}");
        assert_eq!(session(&["--continue"]), first, "{cli:?}");
    }
}
