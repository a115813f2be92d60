//! `--interactive` with somebody at the terminal: the question is on the screen, and what is typed is done.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Ground, action, journal, text};
use super::limits::{OAUTHS, with_oauth};
use crate::supervise::tty::Tty;

const NOWHERE: &str = "http://127.0.0.1:9";

/// An agent whose window is spent in its first turn, for so many seconds, and who then goes on.
fn limited(resets_in_s: i64) -> Value {
    json!({
        "agent": [[{"say": "I begin."}, {"limit": {"resets_in_s": resets_in_s}}], [{"say": "Done."}]],
        "critic": [[{"say": "Seen.\n\n[TASK_COMPLETED]"}]],
    })
}

/// An interactive run on a terminal.
struct Asked<'a> {
    ground: &'a Ground,
    tty: Tty,
}

/// What is left of it.
struct Left {
    code: u32,
    summary: Value,
    decisions: Vec<String>,
    screen: String,
}

impl<'a> Asked<'a> {
    fn start(ground: &'a Ground, script: &Value, answer_timeout: &str) -> Self {
        let agent = ground.scripted_agent(script);
        let args = ["--supervisor", "--interactive", "--no-hand-over", "-p", "do it", "--agent"];
        let mut command = ground.command(NOWHERE, args);
        command.arg(agent).env("CCC_ANSWER_TIMEOUT", answer_timeout).env("CCC_GRACE", "500ms");
        Self { ground, tty: Tty::start(&command) }
    }

    /// The rows of the terminal from the question on, when it stands there whole.
    fn question(&mut self) -> Vec<String> {
        self.tty.until("taken.");
        let mut terminal = vt100::Parser::new(24, 80, 100);
        terminal.process(&self.tty.seen);
        let rows: Vec<String> = terminal.screen().rows(0, 80).map(|row| row.trim_end().to_owned()).collect();
        let from = rows.iter().position(|row| row.contains("What now?")).expect("the question is on the screen");
        rows[from..].iter().filter(|row| !row.is_empty()).cloned().collect()
    }

    fn answer(&mut self, typed: &str) {
        self.tty.type_in(format!("{typed}\r").as_bytes());
    }

    fn end(mut self) -> Left {
        let pid = self.tty.pid();
        let code = self.tty.end();
        let left = self.ground.alive(pid);
        assert!(left.is_empty(), "processes of the run are alive after its end: {left:#?}");
        self.ground.assert_sound();
        let screen = self.tty.text();
        assert!(!OAUTHS.iter().any(|token| screen.contains(token)), "{screen}");
        let run = self.ground.runs().pop().expect("a run");
        let summary = fs::read(run.join("run.json")).expect("a summary");
        let entries = journal(&run);
        let decided = entries.iter().filter_map(|entry| action(entry, "decide"));
        let decisions = decided.map(|it| format!("{}: {}", text(&it["what"]), text(&it["why"]))).collect();
        Left { code, summary: serde_json::from_slice(&summary).expect("JSON"), decisions, screen }
    }
}

impl Left {
    #[track_caller]
    fn assert_ended(&self, code: u32, outcome: &str) {
        let seen = format!("{:#?}\n{}", self.decisions, self.screen);
        assert_eq!((self.code, self.summary["outcome"].as_str()), (code, Some(outcome)), "{seen}");
        assert_eq!(self.screen.matches("What now?").count(), 1, "{seen}");
    }

    fn decided(&self, what: &str) -> bool {
        self.decisions.iter().any(|decision| decision.starts_with(what))
    }

    fn waited(&self) -> bool {
        self.decided("wait for the reset")
    }

    fn rotated(&self) -> bool {
        self.decided("rotate from CLAUDE_CODE_OAUTH_TOKENS[1] to CLAUDE_CODE_OAUTH_TOKENS[2]")
    }
}

#[test]
fn the_four_choices_stand_on_the_terminal_and_the_number_typed_is_done() {
    // Longer than anybody waits here, but for the wait that is chosen.
    for (typed, resets_in_s) in [("1", 3_600), ("2", 5), ("3", 3_600), ("4", 3_600)] {
        let ground = with_oauth(Ground::new(), 2);
        let mut asked = Asked::start(&ground, &limited(resets_in_s), "80s");
        let rows = asked.question();
        assert!(rows[0].contains("CLAUDE_CODE_OAUTH_TOKENS[1] is limited. What now?"), "{rows:#?}");
        assert_eq!(rows[1].trim(), "1) rotate to CLAUDE_CODE_OAUTH_TOKENS[2] and continue [default]", "{rows:#?}");
        assert!(rows[2].trim().starts_with("2) wait for the reset: "), "{rows:#?}");
        assert_eq!(rows[3].trim(), "3) exit and save", "{rows:#?}");
        assert_eq!(rows[4].trim(), "4) keep going with it as it is", "{rows:#?}");
        asked.answer(typed);
        let left = asked.end();
        match typed {
            "1" => {
                left.assert_ended(0, "completed");
                assert!(left.rotated() && !left.waited(), "{:#?}", left.decisions);
            }
            "2" => {
                left.assert_ended(0, "completed");
                assert!(left.waited() && !left.rotated(), "{:#?}", left.decisions);
            }
            "3" => {
                left.assert_ended(75, "limits");
                assert!(!left.waited() && !left.rotated(), "{:#?}", left.decisions);
                let again = ground.start(NOWHERE, ["resume", "--output-format", "stream-json"]).end();
                again.assert_code(0);
                assert_eq!(again.result()["result"], "Done.", "what was saved goes on");
            }
            _ => {
                left.assert_ended(0, "completed");
                assert!(left.decided("go on with the same token: the user said so"), "{:#?}", left.decisions);
                assert!(!left.waited() && !left.rotated(), "{:#?}", left.decisions);
            }
        }
    }
}

#[test]
fn what_is_none_of_the_choices_is_said_and_the_question_stays() {
    let ground = with_oauth(Ground::new(), 2);
    let mut asked = Asked::start(&ground, &limited(3_600), "80s");
    asked.question();
    asked.answer("9");
    asked.tty.until("is not one of the choices");
    asked.answer("e");
    asked.end().assert_ended(75, "limits");
}

#[test]
fn without_an_answer_at_the_terminal_the_default_is_taken_in_time() {
    // With another token it is taken, without one the reset is waited for.
    for (tokens, resets_in_s) in [(2, 3_600), (1, 5)] {
        let ground = with_oauth(Ground::new(), tokens);
        let mut asked = Asked::start(&ground, &limited(resets_in_s), "300ms");
        let rows = asked.question();
        let default = rows.iter().find(|row| row.ends_with("[default]")).cloned().unwrap_or_default();
        let left = asked.end();
        left.assert_ended(0, "completed");
        let expected = if tokens == 2 { "1) rotate to" } else { "1) wait for the reset" };
        assert!(default.trim().starts_with(expected), "{rows:#?}");
        assert_eq!((left.rotated(), left.waited()), (tokens == 2, tokens == 1), "{:#?}", left.decisions);
    }
}
