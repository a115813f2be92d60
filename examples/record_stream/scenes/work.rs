//! Scenes in which the agent works: turns, tools, sessions.

use std::path::Path;

use serde_json::json;

use super::Step::{Again, Answer, Interrupt, Kill, OnDisk, Over, Raw, Say, Turn, Until};
use super::{DO_ALL, IDLE, RESUME, Scene, agent, bash, bash_in_background, done, scene};
use crate::scripted_api::{Block, Message, Reply, Script, Usage, When};

pub(super) fn turns() -> Vec<Scene> {
    let thinking = Reply::Message(Message {
        blocks: vec![Block::Thinking { text: "Let me see. It is simple.".to_owned() }, Block::text("It is 4.")],
        chunks: 3,
        ..Message::default()
    });
    let long = Reply::Message(Message {
        blocks: vec![Block::Text { text: "0123456789abcde\n".to_owned(), repeat: 13_000 }],
        chunks: 4,
        ..Message::default()
    });
    let wide = "Grüße, 世界, 👩‍👩‍👧 e\u{301} \u{202e}rtl\u{202c} \u{1b}[31mred\u{1b}[0m \u{2028} tab\t nul\u{0} end";
    let paced = || Reply::Message(Message::paced(&"word ".repeat(400), 200, 50));
    vec![
        scene("text", "one text turn", Script::new().then(Reply::text("hello")), vec![Turn("say hello")]),
        scene(
            "two_turns",
            "two text turns",
            Script::new().then(Reply::text("one")).then(Reply::text("two")),
            vec![Turn("first"), Turn("second")],
        ),
        scene("thinking", "a thinking block, then text", Script::new().then(thinking), vec![Turn("2+2?")]),
        scene("long_text", "a reply above 200 KB", Script::new().then(long), vec![Turn("a long one")]),
        scene(
            "wide_characters",
            "wide, combining and control characters",
            Script::new().then(Reply::Message(Message::paced(wide, 5, 0))),
            vec![Turn("Grüße, 世界 👋")],
        ),
        scene(
            "interrupt_text",
            "an interrupt while text streams, then a turn",
            Script::new().then(paced()).always(Reply::text("after it")),
            vec![Say("talk"), Until("stream_event/content_block_delta", "word"), Interrupt, Over, Turn("go on")],
        ),
        scene(
            "interrupt_tool",
            "an interrupt while Bash runs, then a turn",
            Script::new().then(bash("timeout 30 tail -f /dev/null")).always(Reply::text("after it")),
            vec![Say("wait"), Until("system/task_started", ""), Interrupt, Over, Turn("go on")],
        )
        .args(&DO_ALL),
        scene(
            "unknown_control",
            "an unknown control request",
            done(),
            vec![
                Raw(json!({"type": "control_request", "request_id": "bogus", "request": {"subtype": "bogus"}})),
                Turn("hi"),
            ],
        ),
    ]
}

pub(super) fn tools() -> Vec<Scene> {
    let four = |project: &Path| {
        let file = project.join("a.txt");
        Script::new()
            .then(Reply::blocks(vec![
                Block::text("I look."),
                Block::tool("Bash", json!({"command": "echo out; echo err >&2", "description": "Says both"})),
            ]))
            .then(Reply::tool("Write", json!({"file_path": file, "content": "one\ntwo\n"})))
            .then(Reply::tool("Edit", json!({"file_path": file, "old_string": "two", "new_string": "three"})))
            .then(Reply::tool("Read", json!({"file_path": file})))
            .then(Reply::text("all four"))
    };
    let parallel = Reply::blocks(vec![
        Block::text("All at once."),
        Block::tool("Bash", json!({"command": "echo a", "description": "a"})),
        Block::tool("Bash", json!({"command": "echo b; exit 3", "description": "b"})),
        Block::tool("Read", json!({"file_path": "/nonexistent/file"})),
    ]);
    let sub = |background| {
        Script::new()
            .on(
                When::last_user_text("SUBTASK"),
                Reply::blocks(vec![
                    Block::text("Looking."),
                    Block::tool("Bash", json!({"command": "echo sub", "description": "Looks"})),
                ]),
            )
            .on(When::any_user_text("SUBTASK"), Reply::text("There is nothing."))
            .then(agent(background))
            .always(Reply::text("noted"))
    };
    vec![
        scene("tools", "Bash, Write, Edit, Read", done(), vec![Turn("use four tools")]).script(four).args(&DO_ALL),
        scene(
            "parallel_tools",
            "three tool calls in one message, one failing, one refused by its tool",
            Script::new().then(parallel).always(Reply::text("done")),
            vec![Turn("all at once")],
        )
        .args(&DO_ALL),
        scene(
            "slow_tool",
            "a foreground Bash of four seconds",
            Script::new().then(bash("sleep 4; echo slept")).always(Reply::text("done")),
            vec![Turn("be slow")],
        )
        .args(&DO_ALL),
        scene("sub_agent", "a foreground sub-agent with a tool", sub(false), vec![Turn("delegate")]).args(&DO_ALL),
        scene(
            "background_agent",
            "a background agent and the turn it brings",
            sub(true),
            vec![Say("delegate behind"), Until("result", "task-notification"), Until(IDLE, "")],
        )
        .args(&DO_ALL),
        scene(
            "background_bash",
            "a background Bash that ends after the turn, and the turn it brings",
            Script::new().then(bash_in_background("sleep 2; echo finished")).always(Reply::text("noted")),
            vec![Turn("run it behind"), Over],
        )
        .args(&DO_ALL),
        scene(
            "background_bash_in_turn",
            "a background Bash that ends while the turn still runs",
            Script::new()
                .then(bash_in_background("sleep 1; echo finished"))
                .then(bash("sleep 3; echo slept"))
                .always(Reply::text("noted")),
            vec![Turn("run it behind and be slow")],
        )
        .args(&DO_ALL),
        scene(
            "permission_denied",
            "dontAsk denies a command",
            Script::new().then(bash("touch made.txt")).always(Reply::text("I was not allowed")),
            vec![Turn("make a file")],
        )
        .args(&["--permission-mode", "dontAsk"]),
        scene(
            "max_turns",
            "error_max_turns",
            Script::new().then(bash("echo hi")).always(Reply::text("done")),
            vec![Turn("use a tool")],
        )
        .args(&["--max-turns", "1"])
        .args(&DO_ALL),
        scene(
            "budget",
            "error_max_budget_usd",
            Script::new().always(Reply::Message(Message {
                blocks: vec![Block::tool("Bash", json!({"command": "echo hi", "description": "hi"}))],
                usage: Usage { input_tokens: 100_000, output_tokens: 10_000, ..Usage::default() },
                ..Message::default()
            })),
            vec![Turn("spend")],
        )
        .args(&["--max-budget-usd", "0.01"])
        .args(&DO_ALL),
        scene(
            "structured_output_retries",
            "error_max_structured_output_retries",
            Script::new().always(Reply::tool("StructuredOutput", json!({"wrong": 1}))),
            vec![Turn("answer")],
        )
        .args(&["--json-schema", r#"{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}"#]),
    ]
}

/// An MCP server that asks for a form.
pub(super) const FORMS: &str = r#"{"mcpServers":{"forms":{"command":"sh","args":["forms.sh"]}}}"#;

/// A wait that is longer than the 30 s between two heartbeats, and a question of an MCP server.
pub(super) fn waits() -> Vec<Scene> {
    const SLOW_HOOK: &str = r#"{"hooks":{"PreToolUse":[{"matcher":"Bash","hooks":[{"type":"command","command":"timeout 33 tail -f /dev/null; exit 0"}]}]}}"#;
    let slow = Reply::tool(
        "Bash",
        json!({"command": "timeout 33 tail -f /dev/null; echo over", "description": "Is slow", "timeout": 60_000}),
    );
    let slowly = Reply::Message(Message::paced(&"word ".repeat(34), 34, 1_000));
    vec![
        scene(
            "heartbeat_bash",
            "a foreground Bash of 33 seconds",
            Script::new().then(slow).always(Reply::text("done")),
            vec![Turn("be slow")],
        )
        .args(&DO_ALL),
        scene(
            "heartbeat_agent",
            "a foreground sub-agent whose model takes 34 seconds for its words",
            Script::new().on(When::any_user_text("SUBTASK"), slowly).then(agent(false)).always(Reply::text("done")),
            vec![Turn("delegate")],
        )
        .args(&DO_ALL),
        scene(
            "heartbeat_hook",
            "a PreToolUse hook of 33 seconds",
            Script::new().then(bash("echo hi")).always(Reply::text("done")),
            vec![Turn("use a tool")],
        )
        .file(".claude/settings.json", SLOW_HOOK)
        .args(&DO_ALL),
        scene(
            "elicitation",
            "a tool of an MCP server asks for a form, which is cancelled",
            Script::new().then(Reply::tool("mcp__forms__ask", json!({}))).always(Reply::text("done")),
            vec![Say("ask me"), Until("control_request", "elicitation"), Answer(|_| json!({"action": "cancel"})), Over],
        )
        .file("mcp.json", FORMS)
        .file("forms.sh", include_str!("../../../tests/it/whole_runs/forms.sh"))
        .args(&["--mcp-config", "mcp.json", "--strict-mcp-config"])
        .args(&DO_ALL),
    ]
}

pub(super) fn sessions() -> Vec<Scene> {
    const HOOK: &str = r#"{"hooks":{"SessionStart":[{"hooks":[{"type":"command","command":"echo hooked"}]}]}}"#;
    vec![
        scene(
            "compact",
            "/compact after two turns, then a turn",
            done(),
            vec![Turn("one"), Turn("two"), Turn("/compact"), Turn("three")],
        ),
        scene("clear", "/clear after a turn, then a turn", done(), vec![Turn("one"), Turn("/clear"), Turn("two")]),
        scene("fork", "a critic's fork", done(), vec![Turn("one")]).then(vec![Turn("judge it")]).args(&RESUME).args(&[
            "--fork-session",
            "--no-session-persistence",
            "--permission-mode",
            "dontAsk",
        ]),
        scene("resume", "a second process goes on", done(), vec![Turn("one")]).then(vec![Turn("two")]).args(&RESUME),
        scene("resume_unknown", "a session that does not exist", done(), vec![Until("result", "")])
            .args(&["--resume", "99999999-9999-4999-8999-999999999999"]),
        scene("dedupe", "a turn said again after a restart, then a new one", done(), vec![Turn("one")])
            .then(vec![Again(1, "one"), Until("user", "00000001-aaaa"), Turn("two")])
            .args(&RESUME),
        scene(
            "resume_after_kill_in_tool",
            "killed while Bash ran, resumed",
            Script::new().then(bash("timeout 30 tail -f /dev/null")).always(Reply::text("done")),
            vec![Say("wait"), Until("system/task_started", ""), Kill],
        )
        .args(&DO_ALL)
        .then(vec![Turn("go on")])
        .args(&RESUME),
        scene(
            "resume_after_kill_with_background",
            "killed while a background Bash ran, resumed: a result of its own may come first",
            Script::new().then(bash_in_background("timeout 30 tail -f /dev/null")).always(Reply::text("done")),
            vec![Turn("run it behind"), OnDisk("\"text\":\"done\""), Kill],
        )
        .args(&DO_ALL)
        .then(vec![Say("go on"), Until("user", "00000002-aaaa"), Over])
        .args(&RESUME),
        scene("session_start_hook", "a SessionStart hook", done(), vec![Turn("one")])
            .file(".claude/settings.json", HOOK),
    ]
}
