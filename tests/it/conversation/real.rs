//! Whole conversations with the real CLIs: the built program on a terminal, against the scripted API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::tmux::Tmux;
use super::whole::{ccc, choose, quit, type_line};
use crate::scripted_api::{Block, Message, Reply, ScriptedApi};
use crate::whole_runs::harness::{Ground, approval, bash, look_until, script};
use crate::whole_runs::limits::{used, with_oauth};
use crate::whole_runs::on_both;
use crate::whole_runs::requests::{agents, user_texts};

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A tool that lasts until the file `go` is in the project.
fn waits_for_go() -> Reply {
    bash("echo begun > begun; until [ -e go ]; do sleep 0.05; done; rm go")
}

/// A shell on that ground, at a terminal of that height.
fn shell(ground: &Ground, api: &ScriptedApi, rows: u16) -> Tmux {
    let tmux = Tmux::shell(100, rows, &ground.command(&api.base_url(), [""; 0]));
    tmux.until("$");
    tmux
}

on_both! {
    /// All that can happen at the keyboard in one night: permissions, a denial with its reason, a question, a plan, a message
    /// that is queued and taken back, detaching and attaching, Ctrl-Z, a second terminal, feedback, rotation, an interrupt.
    fn a_night_at_the_keyboard(cli) {
        let ground = with_oauth(Ground::new(), 2);
        let question = Reply::tool("AskUserQuestion", json!({"questions": [{
            "question": "Which database?", "header": "DB", "multiSelect": false,
            "options": [{"label": "SQLite", "description": "one file"}, {"label": "Postgres", "description": "a server"}],
        }]}));
        let first = Reply::Message(Message {
            blocks: vec![
                Block::Thinking { text: "What is a parser, and where does it begin? ".repeat(10) },
                Block::text("I look at **the parser**.\n\n- one\n- two\n"),
                Block::tool("Bash", json!({"command": "touch allowed.txt", "description": "a step"})),
            ],
            chunks: 40,
            chunk_delay_ms: 50,
            ..Message::default()
        });
        let turns = vec![
            first, bash("touch denied.txt"), question,
            Reply::tool("EnterPlanMode", json!({})), Reply::tool("ExitPlanMode", json!({"plan": "# The plan\n\n1. read\n2. write"})),
            waits_for_go(), Reply::text("First done."),
            Reply::text("Tabs are used."), Reply::text("The test is there."),
            bash("echo > begun2; until [ -e never ]; do sleep 0.05; done"), Reply::text("The docs are there."),
        ];
        let feedback = Reply::text("The test is missing.\n\nAdd it.");
        let api = ScriptedApi::start(script(turns, vec![feedback, approval(), approval()])).unwrap();
        let tmux = shell(&ground, &api, 45);
        type_line(&tmux, &ccc(&format!("--supervisor --agent {}", cli.path.display())));
        tmux.until("Ctrl-D detaches");
        type_line(&tmux, "Fix the parser.");

        // While it is thought, it stands in the view; thought to its end, it is printed.
        tmux.until_screen("∴ ");
        tmux.until("I look at the parser.");
        choose(&tmux, "touch allowed.txt", &["1"], "request 1 allowed");
        choose(&tmux, "touch denied.txt", &["Up", "Enter"], "Enter sends it");
        type_line(&tmux, "use another name");
        tmux.until("request 2 denied");
        choose(&tmux, "Which database?", &["2"], "request 3 answered");
        choose(&tmux, "yes, carry it out", &["1"], "request 4 allowed");
        choose(&tmux, "until [ -e go ]", &["1"], "request 5 allowed");
        look_until("the tool", || ground.project().join("begun").exists().then_some(()));

        tmux.type_in("use tabs");
        tmux.press(&["Enter"]);
        tmux.until("queued: use tabs");
        tmux.press(&["Up"]);
        tmux.until("❯ use tabs");
        tmux.type_in(" please");
        tmux.press(&["Enter"]);
        tmux.until("queued: use tabs please");
        tmux.press(&["C-d"]);
        tmux.until("the run continues; to attach again: ccc attach");
        type_line(&tmux, &format!("clear; {}", ccc("attach")));
        tmux.until("queued: use tabs please");
        tmux.press(&["C-z"]);
        tmux.until("Stopped");
        type_line(&tmux, "echo in the sh\\ell; fg");
        tmux.until("in the shell");
        let other = shell(&ground, &api, 45);
        type_line(&other, &ccc("attach"));
        other.until("queued: use tabs please");
        other.until("2 clients attend");

        ground.write("go", "");
        for tmux in [&tmux, &other] {
            for part in ["First done.", "❯ use tabs please", "Tabs are used.", "the critic: The test is missing."] {
                tmux.until(part);
            }
            let screen = tmux.until("reviewed: the critic agrees");
            assert_eq!(screen.matches("The test is there.").count(), 1, "{screen}");
        }
        other.press(&["C-d"]);
        other.until("the run continues");

        type_line(&tmux, "/rotate");
        tmux.until("rotated to");
        type_line(&tmux, "And the docs.");
        choose(&tmux, "until [ -e never ]", &["1"], "request 6 allowed");
        look_until("the tool", || ground.project().join("begun2").exists().then_some(()));
        tmux.until("Esc interrupts");
        tmux.press(&["Escape"]);
        tmux.until("↻ interrupted");
        let screen = tmux.screen();
        assert!(!screen.contains("Esc interrupts"), "there is nothing to interrupt:\n{screen}");
        type_line(&tmux, "Leave the tool.");
        tmux.until("The docs are there.");
        look_until("the second verdict", || {
            (tmux.everything().matches("reviewed: the critic agrees").count() == 2).then_some(())
        });
        quit(&tmux);

        assert!(ground.project().join("allowed.txt").exists() && !ground.project().join("denied.txt").exists());
        let requests = api.requests();
        let said = agents(&requests).last().expect("requests").body.clone();
        for text in ["Fix the parser.", "use tabs please", "And the docs.", "Leave the tool."] {
            assert_eq!(user_texts(&said).iter().filter(|it| it.contains(text)).count(), 1, "{text}: {said:#}");
        }
        let said = said.to_string();
        assert!(said.contains("use another name"), "the model reads why it was denied: {said}");
        assert!(said.contains(r#"\"Which database?\"=\"Postgres\""#), "the model reads the answer: {said}");
        let used = used(&requests);
        assert_eq!((used.first(), used.last()), (Some(&0), Some(&1)), "it rotated: {used:?}");
        look_until("the end of its processes", || {
            ground.alive(0).iter().all(|(_, line)| !line.contains("claude") && !line.contains("--hosted")).then_some(())
        });
        ground.assert_sound();
    }
    fn an_image_by_its_path_reaches_the_model(cli) {
        let ground = Ground::new();
        let bytes = STANDARD.decode(PIXEL).unwrap();
        std::fs::write(ground.project().join("dot.png"), &bytes).unwrap();
        std::fs::write(ground.home().join("a dot.png"), &bytes).unwrap();
        let turns = vec![Reply::text("Seen."), Reply::text("Seen again.")];
        let api = ScriptedApi::start(script(turns, vec![approval(), approval()])).unwrap();
        let tmux = shell(&ground, &api, 30);
        type_line(&tmux, &ccc(&format!("--supervisor --agent {}", cli.path.display())));
        tmux.until("Ctrl-D detaches");
        type_line(&tmux, "Look at ./dot.png please.");
        tmux.until("❯ Look at [image dot.png] please.");
        tmux.until("reviewed: the critic agrees");
        tmux.paste(&ground.home().join("a dot.png").display().to_string());
        tmux.until_screen("❯ [image a dot.png]");
        type_line(&tmux, " too");
        tmux.until("❯ [image a dot.png] too");
        tmux.until("Seen again.");
        quit(&tmux);
        let requests = api.requests();
        let last = &agents(&requests).last().expect("requests").body;
        let messages = last["messages"].as_array().expect("messages");
        let content = messages.iter().filter(|message| message["role"] == "user").map(|message| &message["content"]);
        let images: Vec<_> = content
            .flat_map(|content| content.as_array().cloned().unwrap_or_default())
            .filter(|block| block["type"] == "image")
            .map(|block| block["source"].clone())
            .collect();
        assert_eq!(images.len(), 2, "{last:#}");
        for image in images {
            assert_eq!((&image["media_type"], &image["data"]), (&json!("image/png"), &json!(PIXEL)));
        }
        ground.assert_sound();
    }
}

on_both! {
    /// In another permission mode, chosen by Shift-Tab, the agent edits unasked, and the edit has the numbers of the file's lines.
    fn an_edit_in_a_permission_mode_chosen_at_the_keyboard(cli) {
        let ground = Ground::new();
        let path = ground.project().join("numbered.txt");
        std::fs::write(&path, (1..=40).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        let path = path.display().to_string();
        let edit = json!({"file_path": path, "old_string": "line 20\n", "new_string": "line twenty\n"});
        let turns = vec![
            Reply::text("Which file?"), Reply::tool("Read", json!({"file_path": path})), Reply::tool("Edit", edit), Reply::text("Edited."),
        ];
        let api = ScriptedApi::start(script(turns, vec![approval(), approval()])).unwrap();
        let tmux = shell(&ground, &api, 45);
        type_line(&tmux, &ccc(&format!("--supervisor --agent {}", cli.path.display())));
        tmux.until("Ctrl-D detaches");
        type_line(&tmux, "Edit.");
        tmux.until("reviewed: the critic agrees");
        tmux.press(&["BTab"]);
        tmux.until_screen(" · mode acceptEdits");
        type_line(&tmux, "The one with numbers.");
        let screen = tmux.until("Edited.");
        assert!(screen.contains("  20 -line 20\n  20 +line twenty\n  21  line 21\n"), "{screen}");
        assert!(!screen.contains("request 1"), "{screen}");
        quit(&tmux);
    }
}
