//! What proves only a live process saves nothing that hangs: heartbeats of both real CLIs, keep-alives, noise. And what is
//! waited for is said while it is waited for.

use std::time::Instant;

use serde_json::{Value, json};

use super::harness::{Ended, Ground, action, approval, bash, input, look_until, script, text};
use super::requests::agents;
use crate::real_cli::RealCli;
use crate::scripted_api::{Reply, Rule, Script, ScriptedApi, Times, When};

const TASK: &str = "Write a haiku about patience";
/// What a decision may take beyond its limit, on a busy machine.
const WITHIN_MS: u64 = 1_500;
const DO_ALL: [&str; 2] = ["--", "--dangerously-skip-permissions"];
/// An MCP server whose tool asks the user for a name.
const FORMS: &str = include_str!("forms.sh");

fn said(text: &str) -> Reply {
    Reply::text(text)
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ["-p", TASK].iter().chain(more).chain(&DO_ALL).copied().collect()
}

/// The ticks of the first entry for which this holds, milliseconds.
fn at_ms(entries: &[Value], what: &str, is: impl Fn(&Value) -> bool) -> u64 {
    let entry = entries.iter().find(|entry| is(entry)).unwrap_or_else(|| panic!("no {what} in the journal"));
    entry["t"].as_u64().expect("ticks") / 1_000
}

fn is_hung(entry: &Value) -> bool {
    action(entry, "decide").is_some_and(|decision| decision["what"] == "end the agent's process")
}

fn is_line_with(entry: &Value, part: &str) -> bool {
    input(entry, "line").is_some_and(|line| line.to_string().contains(part))
}

fn why_hung(ended: &Ended<'_>) -> String {
    let decisions = ended.decisions();
    decisions.into_iter().find(|why| why.starts_with("end the agent's process")).expect("it was taken for hung")
}

/// Asserts that the agent was ended so long after the entry, and says how much later it was.
fn assert_ended_after(ended: &Ended<'_>, limit_ms: u64, what: &str, is: impl Fn(&Value) -> bool) {
    let entries = ended.journal();
    let began_ms = at_ms(&entries, what, is);
    let ended_ms = at_ms(&entries, "end", is_hung);
    let late_ms = i64::try_from(ended_ms).unwrap() - i64::try_from(began_ms + limit_ms).unwrap();
    println!("false progress: ended {late_ms} ms after its limit of {limit_ms} ms");
    // The line that counts may come a little after the one that is looked for.
    assert!((-50..=WITHIN_MS as i64).contains(&late_ms), "ended {late_ms} ms after its limit: {}", why_hung(ended));
}

/// Heartbeats that the CLI wrote: only 2.1.197 writes none.
fn assert_heartbeats(ended: &Ended<'_>, cli: &RealCli) {
    let beats = ended.journal().iter().filter(|entry| is_line_with(entry, r#""heartbeat":true"#)).count();
    assert_eq!(beats > 0, cli.version != "2.1.197", "{beats} heartbeats of {}", cli.version);
}

on_both! {
    fn a_hung_command_with_heartbeats_is_ended_at_its_limit(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let api = ScriptedApi::start(script(vec![bash("tail -f /dev/null"), said("Done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &args(&["--tool-timeout", "40s"])).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1, "{:#?}", ended.decisions());
        assert_heartbeats(&ended, cli);
        assert_ended_after(&ended, 40_000, "call", |entry| is_line_with(entry, r#""type":"tool_use""#));
        assert!(why_hung(&ended).contains("while the tool Bash was running"), "{}", why_hung(&ended));
    }

    fn a_given_limit_caps_what_a_command_declares(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let slow = Reply::tool("Bash", json!({"command": "tail -f /dev/null", "timeout": 600_000}));
        let api = ScriptedApi::start(script(vec![slow, said("Done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &args(&["--tool-timeout", "4s"])).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1, "{:#?}", ended.decisions());
        assert_ended_after(&ended, 4_000, "call", |entry| is_line_with(entry, r#""type":"tool_use""#));
    }

    fn a_sub_agent_in_the_foreground_whose_model_never_answers_is_ended_at_the_limit(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let sub = json!({"description": "Looks", "prompt": "SUBTASK look", "subagent_type": "general-purpose", "run_in_background": false});
        let stalls = Rule { when: When::any_user_text("SUBTASK look"), times: Times::N(1), reply: Reply::StallBeforeHeaders };
        let rules = script(vec![Reply::tool("Agent", sub), said("Done.")], vec![approval()]).rules;
        let api = ScriptedApi::start(std::iter::once(stalls).chain(rules).fold(Script::new(), Script::rule)).unwrap();
        let limits = ["--stall-timeout", "6s", "--tool-timeout", "35s"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args(&limits)).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1, "{:#?}", ended.decisions());
        assert_heartbeats(&ended, cli);
        assert_ended_after(&ended, 35_000, "sub-agent", |entry| is_line_with(entry, "SUBTASK look") && is_line_with(entry, r#""type":"user""#));
        assert!(why_hung(&ended).contains("while the tool Agent was running"), "{}", why_hung(&ended));
    }

    fn a_session_start_hook_that_hangs_is_named_while_it_does_and_ended_at_the_limit(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s").env("CCC_START_TIMEOUT", "22s");
        // It hangs once.
        let hook = "[ -e \"$HOME/hooked\" ] || { touch \"$HOME/hooked\"; tail -f /dev/null; }";
        ground.user_settings(&json!({"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": hook}]}]}}));
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let limits = ["--stall-timeout", "5s", "--tool-timeout", "22s"];
        let mut running = ground.supervise(&api.base_url(), &cli.path, &args(&limits));
        let told = running.until("what is waited for", |event| event["type"] == "awaited");
        // 2.1.197 writes nothing before the hook has ended.
        let old = cli.version == "2.1.197";
        let what = if old { "a SessionStart hook" } else { "the hook SessionStart:startup" };
        assert!(text(&told["what"]).contains(what), "{told}");
        assert!(told["for_ms"].as_u64().is_some_and(|ms| (15_000..20_000).contains(&ms)), "{told}");
        assert_eq!(told["then"], "hung");
        let beat = look_until("the heartbeat", || awaits(&ground).filter(|beat| text(&beat["what"]).contains(what)));
        assert!(beat["until_unix_ts"].as_i64() > beat["since_unix_ts"].as_i64(), "{beat}");
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1, "{:#?}", ended.decisions());
        assert_ended_after(&ended, 22_000, "beginning", |entry| {
            if old { action(entry, "send").is_some() } else { is_line_with(entry, "hook_started") }
        });
        let why = if old { "a SessionStart hook or an MCP server may hang" } else { "while a hook was running (SessionStart:startup)" };
        assert!(why_hung(&ended).contains(why), "{}", why_hung(&ended));
    }

    fn an_mcp_server_that_does_not_answer_is_named_and_the_cli_given_its_time(cli) {
        let ground = Ground::new();
        let config = json!({"mcpServers": {"mute": {"command": "tail", "args": ["-f", "/dev/null"]}}});
        let config = ground.write("mcp.json", &config.to_string()).display().to_string();
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let mut all = args(&["--stall-timeout", "5s"]);
        all.extend(["--mcp-config", &config]);
        let mut running = ground.supervise(&api.base_url(), &cli.path, &all);
        // 2.1.197 goes on after two seconds; the newest waits for 30, in silence.
        if cli.version != "2.1.197" {
            let told = running.until("what is waited for", |event| event["type"] == "awaited");
            assert!(text(&told["what"]).contains("an MCP server may hang"), "{told}");
            look_until("the heartbeat", || awaits(&ground).filter(|beat| beat["what"] == told["what"]));
        }
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0, "{:#?}", ended.decisions());
    }

    fn a_form_of_an_mcp_server_is_cancelled_and_the_turn_goes_on(cli) {
        let ground = Ground::new();
        let server = ground.script("forms.sh", FORMS);
        let config = ground.write("mcp.json", &json!({"mcpServers": {"forms": {"command": server}}}).to_string());
        let ask = Reply::tool("mcp__forms__ask", json!({}));
        let api = ScriptedApi::start(script(vec![ask, said("Nobody answered.")], vec![approval()])).unwrap();
        let config = config.display().to_string();
        let mut all = args(&["--stall-timeout", "20s"]);
        all.extend(["--mcp-config", &config]);
        let ended = ground.supervise(&api.base_url(), &cli.path, &all).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0, "{:#?}", ended.decisions());
        let cancelled = ended.journal().iter().filter(|entry| action(entry, "cancel_form").is_some()).count();
        assert_eq!(cancelled, 1);
        let requests = api.requests();
        assert!(agents(&requests)[1].body.to_string().contains("the form was: cancel"), "the model hears of it");
        let told = ended.of_type("notice").iter().any(|notice| text(&notice["text"]).contains("`forms` asked: Your name?"));
        assert!(told, "{}", ended.stdout);
    }

    fn what_an_mcp_server_starts_ends_with_the_agent_and_with_the_critic(cli) {
        let ground = Ground::new();
        let leaves = "#!/bin/sh\nsetsid sleep 3600 </dev/null >/dev/null 2>&1 &\nprintf x >> \"$HOME/servers\"\n";
        let server = ground.script("leaves.sh", &format!("{leaves}{FORMS}"));
        let config = ground.write("mcp.json", &json!({"mcpServers": {"leaves": {"command": server}}}).to_string());
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let config = config.display().to_string();
        let mut all = args(&["--stall-timeout", "20s"]);
        all.extend(["--mcp-config", &config]);
        // The end of the harness looks for processes that are left.
        let ended = ground.supervise(&api.base_url(), &cli.path, &all).end();
        ended.assert_code(0);
        let servers = std::fs::read_to_string(ground.home().join("servers")).unwrap();
        assert_eq!(servers, "xx", "one server of the agent's and one of the critic's");
    }

    fn a_server_in_the_background_is_named_and_waited_for_as_long_as_was_said(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let serve = Reply::tool("Bash", json!({"command": "tail -f /dev/null", "description": "Serves", "run_in_background": true}));
        let api = ScriptedApi::start(script(vec![serve, said("It runs.")], vec![approval()])).unwrap();
        let began = Instant::now();
        let mut running = ground.supervise(&api.base_url(), &cli.path, &args(&["--background-timeout", "6s"]));
        let told = running.until("what is waited for", |event| event["type"] == "awaited");
        assert_eq!(text(&told["what"]), "background work (tail -f /dev/null)");
        assert_eq!((&told["then"], &told["left_ms"]), (&json!("judged"), &json!(6_000)));
        look_until("the heartbeat", || awaits(&ground).filter(|beat| beat["what"] == told["what"]));
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!((ended.verdicts(), &ended.result()["restarts"]), (vec!["completed".to_owned()], &json!(0)));
        assert!(began.elapsed().as_secs() >= 6, "it was not waited for");
        assert!(ended.decisions().iter().any(|what| what.starts_with("take the turn as ended")), "{:#?}", ended.decisions());
    }
}

/// What the heartbeat of the latest run says is waited for.
fn awaits(ground: &Ground) -> Option<Value> {
    let text = std::fs::read_to_string(ground.runs().pop()?.join("heartbeat.json")).ok()?;
    let beat: Value = serde_json::from_str(&text).expect("never half a file");
    beat.get("awaits").cloned()
}

#[test]
fn a_line_a_second_that_proves_nothing_defeats_no_limit() {
    let lines = ["x", r#"{\"type\":\"keep_alive\"}"#, "{}", r#"{\"type\":\"news\"}"#];
    for line in lines {
        let ground = Ground::without_git().env("CCC_GRACE", "500ms");
        let init = r#"{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\",\"model\":\"m\",\"cwd\":\"/\"}"#;
        let chatter = ground.script(
            "chatter",
            &format!(
                "[ \"$1\" = --version ] && {{ echo '2.1.332 (Claude Code)'; exit; }}\n\
                 printf '%s\\n' \"{init}\"\nwhile :; do printf '%s\\n' \"{line}\"; sleep 1; done"
            ),
        );
        let limits = ["-p", TASK, "--stall-timeout", "3s", "--max-restarts", "0"];
        let ended = ground.supervise("http://127.0.0.1:9", &chatter, &limits).end();
        ended.assert_code(1);
        assert_ended_after(&ended, 3_000, "init", |entry| is_line_with(entry, "init"));
        assert!(why_hung(&ended).contains("no progress, only signs of life, for 3 s"), "{line}: {}", why_hung(&ended));
    }
}
