//! Scripts of events, and what the conversation then shows.

use super::*;
use crate::agent::{
    Asked, AskedKind, AskedOption, AskedQuestion, Edit, Hunk, OfferedCommand, Offers, ToolOutput, TurnKind,
};
use crate::core::{Answer, AtLimit, Outcome, Question, RestKind, Ruling, SettledHow};
use crate::ui::keys::Decoder;
use crate::ui::paint::text_of;
use crate::words::AskId;

const SIZE: Size = Size { columns: 72, rows: 24 };

/// A conversation with its simulated terminal.
struct TestTerminal {
    conversation: Conversation,
    at: u64,
    printed: String,
    jobs: Vec<Job>,
}

impl TestTerminal {
    fn new() -> TestTerminal {
        let mut terminal = TestTerminal::before_all();
        let about = About { cwd: "/p".to_owned(), phase: "working".to_owned(), ..About::default() };
        terminal.tell(News::Joined(about));
        // The greeting has a test of its own.
        terminal.printed.clear();
        terminal
    }

    fn before_all() -> TestTerminal {
        TestTerminal {
            conversation: Conversation::new("k", |text| Err(format!("`{text}` is no time"))),
            at: 0,
            printed: String::new(),
            jobs: Vec::new(),
        }
    }

    fn tell(&mut self, told: News) {
        self.conversation.take(self.at, told);
        self.look();
    }

    /// Collects rows and jobs, as a client does after each event.
    fn look(&mut self) {
        self.printed.push_str(&text_of(&self.conversation.commit(SIZE, 1_000_000)));
        while let Some(job) = self.conversation.poll_job() {
            self.jobs.push(job);
        }
        self.conversation.take(self.at, News::Painted);
    }

    fn show(&mut self, show: Show) {
        self.at += 1_000;
        self.tell(News::Show { show: Box::new(show), run_ms: self.at, past: false });
    }

    /// Types bytes as a terminal sends them, 400 ms after the last event.
    fn keys(&mut self, bytes: &str) {
        self.at += 400;
        let mut decoder = Decoder::new();
        let mut typed = decoder.take(bytes.as_bytes());
        typed.extend(decoder.settle());
        self.tell(News::Typed(typed));
    }

    fn phase(&mut self, phase: &str) {
        self.show(Show::Phase { phase: phase.to_owned(), detail: String::new(), iteration: 1, goes_on_in_ms: None });
    }

    fn rests(&mut self, why: RestKind, outcome: Option<(Outcome, &str)>) {
        let (outcome, reason) = outcome.unzip();
        self.show(Show::Rests { why, outcome, reason: reason.unwrap_or_default().to_owned() });
    }

    fn ask(&mut self, ask: Asked) {
        self.show(Show::Asked { ask: Box::new(ask) });
    }

    /// What is printed while `what` runs.
    fn printed_by(&mut self, what: impl FnOnce(&mut TestTerminal)) -> String {
        let before = self.printed.len();
        what(self);
        self.printed.split_off(before)
    }

    fn tool(&mut self, id: &str, name: &str, target: &str, edit: Option<Edit>) {
        self.show(Show::Tool {
            role: Role::Agent,
            id: id.to_owned(),
            name: name.to_owned(),
            target: target.to_owned(),
            edit,
            under: None,
        });
    }

    fn tool_ended(&mut self, id: &str, output: &str) {
        let output = Some(ToolOutput::of(output));
        self.show(Show::ToolEnded {
            role: Role::Agent,
            id: id.to_owned(),
            failed: false,
            error: String::new(),
            output,
            hunks: Vec::new(),
        });
    }

    fn said(&mut self, text: &str) {
        self.show(Show::Text { role: Role::Agent, text: text.to_owned(), sub_agent: false, under: None });
    }

    fn words(&mut self, text: &str) {
        self.tell(News::Words { role: Role::Agent, thinking: false, part: None, text: text.to_owned() });
    }

    /// What was printed, and the view below it.
    fn screen(&self) -> String {
        let view = self.conversation.view(SIZE, self.at);
        format!("{}----\n{}", self.printed, text_of(&view.rows))
    }

    fn orders(&self) -> Vec<(u64, OperatorInput)> {
        let orders = self.jobs.iter().filter_map(|job| {
            if let Job::Order { number, input } = job { Some((*number, input.clone())) } else { None }
        });
        orders.collect()
    }

    fn last_order(&self) -> OperatorInput {
        self.orders().last().expect("an order").1.clone()
    }

    fn taken(&mut self) {
        let order = self.orders().last().expect("an order").0;
        self.tell(News::Answered { order, answer: Ok(Done::Done) });
    }
}

fn permission(id: u32) -> Asked {
    Asked {
        id: AskId(id),
        tool: "Bash".to_owned(),
        target: "touch out.txt".to_owned(),
        input: r#"{"command":"touch out.txt","description":"Create a file"}"#.to_owned(),
        rules: vec!["Bash(touch:*)".to_owned()],
        reason: "not in the allowed tools".to_owned(),
        ..Asked::default()
    }
}

#[test]
fn a_long_text_is_made_into_rows_part_by_part() {
    let paragraph =
        "A line of a *long* answer, with words.\n\n```rust\nlet x = 1;\n```\n| a | b |\n|---|---|\n| 1 | 2 |\n\n";
    let text = paragraph.repeat(2_000) + "The last line.";
    let (mut whole, mut parts) = (TestTerminal::new(), TestTerminal::new());
    whole.said(&text);
    assert!(whole.printed.ends_with("The last line.\n"));
    let show = Show::Text { role: Role::Agent, text: text.clone(), sub_agent: false, under: None };
    parts.conversation.take(1, News::Show { show: Box::new(show), run_ms: 1, past: false });
    let mut most = 0;
    while parts.conversation.is_ready() {
        let rows = parts.conversation.commit(SIZE, 1);
        most = most.max(rows.iter().map(Row::bytes).sum());
        parts.printed.push_str(&text_of(&rows));
    }
    assert_eq!(parts.printed, whole.printed);
    assert!(most < text.len() / 8, "{most} bytes at once");
    // A text that was streamed is not printed twice.
    let mut streamed = TestTerminal::new();
    streamed.words(text.get(..100_000).unwrap_or_default());
    streamed.said(&text);
    assert_eq!(streamed.printed, whole.printed);
}

#[test]
fn a_turn_with_tools_an_edit_and_a_review() {
    let mut terminal = TestTerminal::new();
    terminal.show(Show::Turn { kind: TurnKind::Task, text: "Fix the parser\nand test it".to_owned() });
    terminal.words("I look at **the parser**");
    terminal.words(" first.\nThen ");
    terminal.said("I look at **the parser** first.\nThen I fix it.");
    terminal.tool("t1", "Bash", "cargo test", None);
    terminal.tool_ended("t1", "running 3 tests\na\nb\nc\ntest result: FAILED");
    let edit = Edit { path: "/p/src/a.rs".to_owned(), old: "one\ntwo\n".to_owned(), new: "one\n2\n".to_owned() };
    terminal.tool("t2", "Edit", "/p/src/a.rs", Some(edit));
    terminal.tool_ended("t2", "ok");
    terminal.tool("t3", "Bash", "sleep 5", None);
    insta::assert_snapshot!(terminal.screen());
    terminal.tool_ended("t3", "");
    terminal.phase("reviewing");
    assert!(terminal.screen().contains("the work is being reviewed"));
    terminal.show(Show::Text {
        role: Role::Critic,
        text: "I check the diff".to_owned(),
        sub_agent: false,
        under: None,
    });
    let feedback = "The test of `b` is missing.\n\n- add it\n- run it\n- say so".to_owned();
    terminal.show(Show::Verdict { verdict: "feedback".to_owned(), text: feedback.clone(), iteration: 1 });
    terminal.show(Show::Turn { kind: TurnKind::Feedback, text: feedback });
    terminal.phase("working");
    terminal.show(Show::Verdict { verdict: "completed".to_owned(), text: String::new(), iteration: 2 });
    terminal.phase("completed");
    terminal.rests(RestKind::Judged, Some((Outcome::Completed, "the critic agrees that the task is done")));
    assert!(!terminal.printed.contains("I check the diff"), "the critic works unseen");
    let printed = terminal.printed.len();
    terminal.keys("\x0f");
    assert!(terminal.printed.get(printed..).is_some_and(|new| new.contains("• say so")), "{}", terminal.printed);
    insta::assert_snapshot!(terminal.screen());
}

#[test]
fn a_message_is_sent_queued_and_taken_back() {
    let mut terminal = TestTerminal::new();
    terminal.keys("use tabs");
    terminal.keys("\r");
    let OperatorInput::Say { key: Some(key), text, .. } = terminal.last_order() else { panic!("a message") };
    assert_eq!(text, "use tabs");
    terminal.taken();
    terminal.show(Show::Queue { turns: vec![QueuedTurn { key: key.clone(), text }] });
    assert!(
        terminal.screen().contains("queued: use tabs") && terminal.screen().contains("1 queued"),
        "{}",
        terminal.screen()
    );
    terminal.keys("\x1b[A");
    assert_eq!(terminal.last_order(), OperatorInput::TakeBack { key });
    // The run reports its shorter queue before it answers.
    terminal.show(Show::Queue { turns: Vec::new() });
    terminal.taken();
    assert!(terminal.screen().contains("❯ use tabs"), "{}", terminal.screen());
    terminal.keys("\r");
    let OperatorInput::Say { key: again, .. } = terminal.last_order() else { panic!("a message") };
    assert_ne!(again, Some("k-1".to_owned()), "another message has another key");
    terminal.tell(News::Answered {
        order: terminal.orders().last().unwrap().0,
        answer: Err("the run is ending".to_owned()),
    });
    assert!(terminal.screen().contains("! the message was not sent: the run is ending"), "{}", terminal.screen());
    assert!(terminal.screen().contains("❯ use tabs"), "what was written is not lost");
}

#[test]
fn a_permission_is_asked_and_every_decision_leaves_a_row() {
    let mut terminal = TestTerminal::new();
    terminal.keys("half a sent");
    terminal.show(Show::Asked { ask: Box::new(permission(1)) });
    assert!(terminal.jobs.contains(&Job::Bell));
    insta::assert_snapshot!(terminal.screen());
    terminal.keys("2");
    let ruling = Ruling::Allow { for_session: true, input: None };
    assert_eq!(terminal.last_order(), OperatorInput::Rule { ask: AskId(1), key: None, ruling });
    terminal.taken();
    terminal.show(Show::Settled {
        ask: AskId(1),
        how: SettledHow::AllowedForSession,
        words: "Bash(touch:*)".to_owned(),
    });
    assert!(terminal.screen().contains("✓ request 1 allowed for this session: Bash(touch:*)"), "{}", terminal.screen());
    assert!(terminal.screen().contains("❯ half a sent"), "the draft is there again: {}", terminal.screen());
}

#[test]
fn what_is_typed_as_a_dialog_comes_up_goes_into_the_draft() {
    let mut terminal = TestTerminal::new();
    terminal.keys("run tes");
    terminal.show(Show::Asked { ask: Box::new(permission(1)) });
    let typed = Decoder::new().take(b"ts 1");
    terminal.tell(News::Typed(typed));
    assert_eq!(terminal.orders(), []);
    terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Denied, words: "by another client".to_owned() });
    assert!(terminal.screen().contains("❯ run tests 1"), "{}", terminal.screen());
    assert!(terminal.screen().contains("✗ request 1 denied: by another client"), "{}", terminal.screen());
}

#[test]
fn questions_and_plans_are_asked_with_their_words() {
    let mut terminal = TestTerminal::new();
    let question = AskedQuestion {
        question: "Which database?".to_owned(),
        header: "DB".to_owned(),
        options: vec![
            AskedOption { label: "SQLite".to_owned(), description: "one file".to_owned() },
            AskedOption { label: "Postgres".to_owned(), description: "a server".to_owned() },
        ],
        multi: false,
    };
    terminal.show(Show::Asked {
        ask: Box::new(Asked { id: AskId(1), kind: AskedKind::Choices, questions: vec![question], ..Asked::default() }),
    });
    insta::assert_snapshot!(terminal.screen());
    terminal.keys("2");
    assert!(matches!(terminal.last_order(), OperatorInput::Rule { ruling: Ruling::Answers { .. }, .. }));
    terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Answered, words: "Postgres".to_owned() });
    let plan = "# Plan\n\n1. read\n2. write".to_owned();
    terminal.show(Show::Asked {
        ask: Box::new(Asked { id: AskId(2), kind: AskedKind::Plan, plan: Some(plan), ..Asked::default() }),
    });
    terminal.keys("4");
    for c in "read more".chars() {
        terminal.keys(&c.to_string());
    }
    insta::assert_snapshot!(terminal.screen());
    terminal.keys("\r");
    let ruling = Ruling::Deny { reason: "read more".to_owned() };
    assert_eq!(terminal.last_order(), OperatorInput::Rule { ask: AskId(2), key: None, ruling });
}

#[test]
fn escape_interrupts_control_c_twice_ends_and_control_d_detaches() {
    let mut terminal = TestTerminal::new();
    terminal.keys("\x1b");
    assert_eq!(terminal.last_order(), OperatorInput::StopTurn);
    terminal.keys("draft");
    terminal.keys("\x03");
    assert!(
        terminal.screen().contains("❯ \n") || terminal.screen().contains("❯\n"),
        "a draft is cleared: {}",
        terminal.screen()
    );
    let before = terminal.orders().len();
    terminal.keys("\x03");
    assert!(terminal.screen().contains("Ctrl-C again ends the run"), "{}", terminal.screen());
    terminal.keys("\x03");
    assert!(matches!(terminal.last_order(), OperatorInput::Interrupt { .. }));
    assert_eq!(terminal.orders().len(), before + 2);
    let mut terminal = TestTerminal::new();
    terminal.keys("x\x04");
    assert_eq!(terminal.jobs, [], "there is a draft");
    terminal.keys("\x7f\x04");
    assert_eq!(terminal.jobs, [Job::Leave(Leave::Detached)]);
    let mut terminal = TestTerminal::new();
    terminal.rests(RestKind::NoTask, None);
    terminal.phase("starting");
    assert!(
        terminal.screen().contains("\nready · 1") && !terminal.screen().contains("Esc interrupts"),
        "{}",
        terminal.screen()
    );
    // A run that waits for a token can be interrupted; one that waits for the user cannot.
    terminal.phase("waiting");
    terminal.keys("\x1b");
    assert_eq!(terminal.last_order(), OperatorInput::StopTurn);
    terminal.phase("waiting");
    terminal.show(Show::Rests { why: RestKind::Interrupted, outcome: None, reason: String::new() });
    let before = terminal.orders().len();
    assert!(!terminal.screen().contains("Esc interrupts"), "{}", terminal.screen());
    terminal.keys("\x1b");
    assert_eq!(terminal.orders().len(), before, "there is nothing to interrupt");
}

#[test]
fn commands_are_completed_ours_and_the_agents() {
    let mut terminal = TestTerminal::new();
    let command =
        OfferedCommand { name: "compact".to_owned(), description: "Shorten".to_owned(), argument_hint: String::new() };
    terminal.show(Show::Offers { offers: Box::new(Offers { commands: vec![command], ..Offers::default() }) });
    terminal.keys("/co");
    insta::assert_snapshot!(terminal.screen());
    terminal.keys("\x1b[B");
    terminal.keys("\t");
    terminal.keys("\r");
    assert!(matches!(terminal.last_order(), OperatorInput::Say { text, .. } if text.trim() == "/compact"));
    terminal.keys("/supervisor off\r");
    assert_eq!(terminal.last_order(), OperatorInput::Set(Change::Supervisor(false)));
    terminal.keys("/pause");
    terminal.keys("\r");
    assert_eq!(terminal.last_order(), OperatorInput::Pause);
    terminal.keys("see @ma");
    assert!(terminal.jobs.contains(&Job::Find("ma".to_owned())));
    terminal.tell(News::Files { query: "ma".to_owned(), names: vec!["src/main.rs".to_owned()] });
    terminal.keys("\t");
    assert!(terminal.screen().contains("❯ see @src/main.rs"), "{}", terminal.screen());
}

#[test]
fn shift_tab_goes_through_the_permission_modes_that_the_agent_reports() {
    let mut terminal = TestTerminal::new();
    let mode = |mode: &str| OperatorInput::Set(Change::PermissionMode(mode.to_owned()));
    terminal.keys("\x1b[Z");
    assert_eq!(terminal.orders(), [], "none is known yet");
    let permission_modes = ["default", "acceptEdits", "plan"].map(str::to_owned).to_vec();
    terminal.show(Show::Session {
        session_id: "s".to_owned(),
        model: "m".to_owned(),
        agent_version: "1".to_owned(),
        permission_mode: "default".to_owned(),
    });
    terminal.show(Show::Offers { offers: Box::new(Offers { permission_modes, ..Offers::default() }) });
    assert!(!terminal.screen().contains(" · mode default"), "{}", terminal.screen());
    terminal.keys("a draft\x1b[Z");
    assert_eq!(terminal.last_order(), mode("acceptEdits"));
    terminal.taken();
    terminal.show(Show::PermissionMode { mode: "acceptEdits".to_owned() });
    assert!(terminal.screen().contains(" · mode acceptEdits") && terminal.screen().contains("❯ a draft"));
    // Two keys in quick succession are two steps.
    terminal.keys("\x1b[Z");
    terminal.keys("\x1b[Z");
    assert_eq!(terminal.last_order(), mode("default"));
    let order = terminal.orders().last().expect("an order").0;
    terminal.tell(News::Answered { order, answer: Err("nobody approves plans".to_owned()) });
    assert!(
        terminal.printed.contains("! the permission mode was not changed: nobody approves plans"),
        "{}",
        terminal.printed
    );
    terminal.keys("\x1b[Z");
    assert_eq!(terminal.last_order(), mode("plan"), "from the mode that is in force");
    // The mode in which the session began is one of them.
    terminal.show(Show::PermissionMode { mode: "bypassPermissions".to_owned() });
    terminal.keys("\x1b[Z");
    assert_eq!(terminal.last_order(), mode("default"));
    let mut terminal = TestTerminal::before_all();
    let read_only = Some("this terminal is read-only".to_owned());
    terminal.tell(News::Joined(About { phase: "working".to_owned(), read_only, ..About::default() }));
    terminal.show(Show::PermissionMode { mode: "plan".to_owned() });
    terminal.show(Show::PermissionMode { mode: "default".to_owned() });
    terminal.keys("\x1b[Z");
    assert_eq!(terminal.orders(), []);
    assert!(terminal.printed.contains("this terminal is read-only: the permission mode was not changed"));
}

#[test]
fn a_retry_is_counted_down_until_the_agent_goes_on() {
    let mut terminal = TestTerminal::new();
    let retry = Show::Retrying { role: Role::Agent, attempt: 3, max_attempts: 10, delay_ms: 12_000 };
    for goes_on in ["words", "tool", "turn"] {
        terminal.show(retry.clone());
        assert!(terminal.screen().contains(" · retry 3/10 in 12s"), "{}", terminal.screen());
        terminal.at += 5_000;
        assert!(terminal.screen().contains(" · retry 3/10 in 7s"), "{}", terminal.screen());
        terminal.phase("working");
        assert!(terminal.screen().contains("retry 3/10"), "{}", terminal.screen());
        match goes_on {
            "words" => terminal.words("I "),
            "tool" => terminal.tool("t1", "Bash", "ls", None),
            _ => terminal.show(Show::Turn { kind: TurnKind::Operator, text: "x".to_owned() }),
        }
        assert!(!terminal.screen().contains("retry"), "{goes_on}: {}", terminal.screen());
    }
}

#[test]
fn lines_in_one_go_are_one_message() {
    let mut terminal = TestTerminal::new();
    terminal.keys("first line\rsecond line\r");
    assert!(matches!(terminal.last_order(), OperatorInput::Say { text, .. } if text == "first line\nsecond line"));
    terminal.keys("\x1b[200~pasted\rlines\x1b[201~\r");
    assert!(matches!(terminal.last_order(), OperatorInput::Say { text, .. } if text == "pasted\nlines"));
    terminal.keys("broken\\");
    terminal.keys("\r");
    terminal.keys("here");
    terminal.keys("\x1b\r");
    terminal.keys("too\r");
    assert!(matches!(terminal.last_order(), OperatorInput::Say { text, .. } if text == "broken\nhere\ntoo"));
}

#[test]
fn a_view_that_only_reads_sends_nothing() {
    let mut terminal = TestTerminal::new();
    let read_only = Some("this terminal is read-only".to_owned());
    terminal.tell(News::Joined(About { phase: "working".to_owned(), read_only, ..About::default() }));
    terminal.keys("hello\r");
    terminal.keys("\x1b");
    terminal.keys("\x03");
    assert_eq!(terminal.orders(), []);
    assert!(terminal.screen().contains("this terminal is read-only"), "{}", terminal.screen());
}

#[test]
fn a_text_is_printed_once_however_it_comes() {
    let text = "one\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\nlast **line**";
    let mut whole = TestTerminal::new();
    whole.said(text);
    for size in 1..12 {
        let mut terminal = TestTerminal::new();
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(size) {
            terminal.words(&part.iter().collect::<String>());
        }
        terminal.said(text);
        assert_eq!(terminal.printed, whole.printed, "{size}");
    }
    let mut terminal = TestTerminal::new();
    terminal.words("one\ntwo\nthr");
    terminal.show(Show::Turn { kind: TurnKind::Operator, text: "stop".to_owned() });
    assert_eq!(terminal.printed, "\none\ntwo\nthr\n\n❯ stop\n\n");
}

#[test]
fn sub_agents_and_lists_are_folded() {
    let mut terminal = TestTerminal::new();
    terminal.tool("t1", "Task", "explore", None);
    for at in 0..12 {
        terminal.show(Show::Tool {
            role: Role::Agent,
            id: format!("s{at}"),
            name: "Grep".to_owned(),
            target: "fn main".to_owned(),
            edit: None,
            under: Some("t1".to_owned()),
        });
    }
    let item = |text: &str, state: &str| TodoItem { text: text.to_owned(), state: state.to_owned() };
    terminal.show(Show::Todo {
        items: vec![item("read", "completed"), item("write", "in_progress"), item("test", "pending")],
    });
    insta::assert_snapshot!(terminal.screen());
    terminal.tool_ended("t1", "found");
    assert!(terminal.printed.contains("● Task explore · 12 calls"), "{}", terminal.printed);
}

#[test]
fn a_draft_stands_on_one_row_while_the_window_changes() {
    let mut terminal = TestTerminal::new();
    terminal.keys("one\x0atwo\x0athree");
    assert_eq!(terminal.conversation.view(SIZE, terminal.at).cursor.1, 2);
    terminal.tell(News::Resized);
    assert_eq!(terminal.conversation.view(SIZE, terminal.at).cursor.1, 0);
    assert_eq!(
        terminal.conversation.poll_timeout(terminal.at),
        Some(terminal.at + 500).min(terminal.conversation.poll_timeout(terminal.at))
    );
    assert_eq!(terminal.conversation.view(SIZE, terminal.at + 500).cursor.1, 2);
}

#[test]
fn the_prompt_stands_apart_while_a_text_is_printed_as_when_nothing_is() {
    let mut terminal = TestTerminal::new();
    let rows_apart = |terminal: &TestTerminal| {
        let printed = terminal.printed.lines().rev().take_while(|row| row.is_empty()).count();
        printed + terminal.conversation.view(SIZE, terminal.at).above.len()
    };
    terminal.show(Show::Turn { kind: TurnKind::Task, text: "task".to_owned() });
    assert_eq!(rows_apart(&terminal), 1, "after a message");
    for words in ["One line", " of text.\n", "Another", " one.\n\nA third", " one.\n"] {
        terminal.words(words);
        assert_eq!(rows_apart(&terminal), 1, "after {words:?}: {:?}", terminal.printed);
    }
    terminal.said("One line of text.\nAnother one.\n\nA third one.\n");
    terminal.tool("t1", "Bash", "ls", None);
    terminal.tool_ended("t1", "a");
    assert_eq!(rows_apart(&terminal), 1, "after a tool");
    // The empty row is part of the view, which is erased when the window changes.
    terminal.tell(News::Resized);
    assert_eq!(rows_apart(&terminal), 1, "after a change of the window");
    terminal.said("More.");
    terminal.rests(RestKind::Judged, Some((Outcome::Completed, "the critic agrees that the task is done")));
    assert_eq!(rows_apart(&terminal), 1, "at rest: {:?}", terminal.printed);
}

#[test]
fn the_end_is_told_and_the_terminal_left() {
    let mut terminal = TestTerminal::new();
    terminal.tool("t1", "Bash", "sleep", None);
    terminal.show(Show::Finished { outcome: Outcome::Interrupted, reason: "the user quit".to_owned() });
    terminal.tell(News::Ended("to continue: ccc resume r1".to_owned()));
    assert_eq!(terminal.jobs, [Job::Leave(Leave::Ended)]);
    assert!(terminal.printed.contains("interrupted: the user quit"), "{}", terminal.printed);
    assert!(
        terminal.printed.contains("did not end") && terminal.printed.contains("ccc resume r1"),
        "{}",
        terminal.printed
    );
    terminal.keys("x\r");
    assert_eq!(terminal.jobs.len(), 1);
}

#[test]
fn hostile_texts_stay_within_their_rows() {
    let hostile = "\x1b[2J\x1b]0;owned\x07 \u{202e}evil 👩‍👩‍👧‍👦 e\u{301}\u{302}\n".repeat(3) + &"x".repeat(100_000);
    let mut terminal = TestTerminal::new();
    terminal.said(&hostile);
    terminal.tool("t", &hostile, &hostile, None);
    terminal.tool_ended("t", &hostile);
    terminal.show(Show::Notice { text: hostile.clone() });
    terminal.show(Show::Asked {
        ask: Box::new(Asked { said: hostile.clone(), tool: hostile.clone(), input: hostile.clone(), ..permission(1) }),
    });
    terminal.show(Show::Verdict { verdict: "feedback".to_owned(), text: hostile.clone(), iteration: 1 });
    terminal.show(Show::Queue { turns: vec![QueuedTurn { key: "k".to_owned(), text: hostile.clone() }] });
    terminal.keys(&format!("\x1b[200~{hostile}\x1b[201~"));
    let screen = terminal.screen();
    assert!(!screen.contains(['\x1b', '\x07', '\u{202e}']), "what acts on a terminal is shown instead");
    for row in &terminal.conversation.view(SIZE, terminal.at).rows {
        assert!(row.clone().cut(SIZE.room()).columns() <= SIZE.room());
    }
}

#[test]
fn printing_again_gives_the_same_once_more() {
    let mut terminal = TestTerminal::new();
    terminal.show(Show::Turn { kind: TurnKind::Task, text: "task".to_owned() });
    terminal.said("answer");
    terminal.printed.clear();
    terminal.keys("\x0c");
    assert_eq!(
        terminal.printed,
        "— printed again —\n  supervised: a critic reviews each stop (/supervisor off ends that)\n  /p\n  type your task; @ inserts a file name, / a command · /help\n\n❯ task\n\nanswer\n"
    );
}

fn commanded(id: u32, text: &str) -> Asked {
    Asked { target: text.to_owned(), ..Asked { id: AskId(id), ..command(text) } }
}

fn command(text: &str) -> Asked {
    Asked { input: serde_json::json!({ "command": text }).to_string(), target: "cat".to_owned(), ..permission(1) }
}

#[test]
fn all_that_is_allowed_can_be_read() {
    let long = (0..90).map(|at| format!("line {at}")).collect::<Vec<_>>();
    let heredoc = format!("cat > x <<'EOF'\n{}\nEOF\nrm -rf target", long.join("\n"));
    let edit = Edit { path: "/p/new.txt".to_owned(), old: String::new(), new: long.join("\n") };
    let write = Asked { tool: "Write".to_owned(), edit: Some(edit), rules: Vec::new(), ..permission(1) };
    let mut terminal = TestTerminal::new();
    // An older folded piece must not be unfolded instead.
    terminal.show(Show::Thinking { role: Role::Agent, text: "old thought\n".repeat(9), under: None });
    for (asked, seen) in
        [(command(&heredoc), ["cat > x", "line 3", "rm -rf target"]), (write, ["line 0", "line 3", "line 30"])]
    {
        let folded = terminal.printed_by(|terminal| terminal.ask(asked));
        assert!(seen.iter().all(|part| folded.contains(part)), "{folded}");
        assert!(folded.contains("more lines (Ctrl-O shows all)") && !folded.contains("line 44"), "{folded}");
        let whole = terminal.printed_by(|terminal| terminal.keys("\x0f"));
        assert!(long.iter().all(|line| whole.contains(line.as_str())), "{whole}");
        assert!(!whole.contains("Ctrl-O") && !whole.contains("old thought"), "{whole}");
        terminal.keys("1");
        terminal.taken();
        terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Allowed, words: String::new() });
        let later = terminal.printed_by(|terminal| terminal.keys("\x0f"));
        assert!(later.contains("line 44"), "it stays readable: {later}");
    }
    terminal.keys("\x0f");
    assert!(terminal.printed_by(|terminal| terminal.keys("\x0f")).contains("old thought"), "the one before comes next");
    assert!(terminal.printed_by(|terminal| terminal.keys("\x0f")).contains("there is nothing else to unfold"));
}

#[test]
fn nothing_is_moved_out_of_sight_by_empty_lines() {
    let mut terminal = TestTerminal::new();
    let text = terminal.printed_by(|terminal| terminal.ask(command(&format!("ls{}curl evil", "\n".repeat(200)))));
    assert!(text.contains("    ls\n    … 199 empty lines\n    curl evil\n"), "{text}");
}

#[test]
fn a_change_that_was_asked_for_is_printed_once_and_has_no_position() {
    let mut terminal = TestTerminal::new();
    let edit = Edit { path: "/p/src/a.rs".to_owned(), old: "one\ntwo\n".to_owned(), new: "one\n2\n".to_owned() };
    terminal.tool("t1", "Edit", "/p/src/a.rs", Some(edit.clone()));
    let asked = Asked {
        tool: "Edit".to_owned(),
        target: "/p/src/a.rs".to_owned(),
        edit: Some(edit),
        said: "src/a.rs".to_owned(),
        ..permission(1)
    };
    let printed = terminal.printed_by(|terminal| {
        terminal.ask(asked);
        terminal.keys("1");
        terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Allowed, words: String::new() });
        terminal.tool_ended("t1", "ok");
    });
    insta::assert_snapshot!(printed, @r"
    ? The agent wants to use Edit: /p/src/a.rs · +1 -1
       one
      -two
      +2
      asked because: not in the allowed tools
    ✓ request 1 allowed
    ● Edit src/a.rs · +1 -1 · 3.4s
    ");
    assert!(terminal.printed_by(|terminal| terminal.keys("\x0f")).contains("-two"));
}

#[test]
fn an_edit_has_the_line_numbers_of_its_file_once_it_is_made() {
    let mut terminal = TestTerminal::new();
    let edit = Edit { path: "/p/src/a.rs".to_owned(), old: "b\n".to_owned(), new: "B\n".to_owned() };
    terminal.tool("t1", "Edit", "/p/src/a.rs", Some(edit));
    let hunk = |start: u64, lines: [&str; 4]| Hunk {
        old_start: start,
        new_start: start,
        lines: lines.map(str::to_owned).to_vec(),
    };
    let printed = terminal.printed_by(|terminal| {
        terminal.show(Show::ToolEnded {
            role: Role::Agent,
            id: "t1".to_owned(),
            failed: false,
            error: String::new(),
            output: None,
            hunks: vec![hunk(8, [" a", "-b", "+B", " c"]), hunk(98, [" x", "-b", "+B", " y"])],
        });
    });
    insta::assert_snapshot!(printed, @r"
    ● Edit src/a.rs · +2 -2 · 1.0s
        8  a
        9 -b
        9 +B
       10  c
      ⋮
       98  x
       99 -b
       99 +B
      100  y
    ");
}

#[test]
fn a_denial_is_one_row() {
    let mut terminal = TestTerminal::new();
    terminal.tool("t1", "Bash", "touch out.txt", None);
    terminal.ask(permission(1));
    let printed = terminal.printed_by(|terminal| {
        terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Denied, words: "use mv".to_owned() });
        let error = "The user doesn't want to proceed: use mv".to_owned();
        let id = "t1".to_owned();
        terminal.show(Show::ToolEnded { role: Role::Agent, id, failed: true, error, output: None, hunks: Vec::new() });
        let denied =
            |tool: &str| Show::Denied { role: Role::Agent, tool: tool.to_owned(), target: "touch out.txt".to_owned() };
        terminal.show(denied("Bash"));
        terminal.show(denied("Bash"));
    });
    assert_eq!(
        printed, "✗ request 1 denied: use mv\n! denied: Bash touch out.txt\n",
        "one that nobody decided is told"
    );
}

#[test]
fn several_requests_are_printed_one_after_the_other_each_above_its_choices() {
    let request = commanded;
    let settled = |ask, how| Show::Settled { ask: AskId(ask), how, words: String::new() };
    let mut terminal = TestTerminal::new();
    for (id, command) in [(1, "touch a"), (2, "rm -rf b"), (3, "curl c"), (4, "ls d")] {
        terminal.ask(request(id, command));
    }
    let screen = terminal.screen();
    assert!(screen.contains("touch a") && !screen.contains("rm -rf b") && !screen.contains("curl c"), "{screen}");
    assert!(screen.contains("this is: Bash touch a; 3 more requests wait"), "{screen}");
    terminal.keys("1");
    assert!(matches!(terminal.last_order(), OperatorInput::Rule { ask: AskId(1), .. }));
    terminal.taken();
    // Until the run has settled it, nothing can be decided: a second key was meant for the same request.
    assert!(!terminal.screen().contains("yes, this once"), "{}", terminal.screen());
    terminal.keys("1");
    assert_eq!(terminal.orders().len(), 1);
    // The third is settled elsewhere before its turn: its row says what it was about.
    let printed = terminal.printed_by(|terminal| terminal.show(settled(3, SettledHow::Denied)));
    assert_eq!(printed, "✗ request 3 (Bash curl c) denied\n");
    let printed = terminal.printed_by(|terminal| terminal.show(settled(1, SettledHow::Allowed)));
    let (decided, next) = printed.split_once('\n').expect("rows");
    assert_eq!(decided, "✓ request 1 allowed");
    assert!(next.contains("The agent wants to use Bash.\n    rm -rf b\n"), "{next}");
    assert!(terminal.screen().contains("this is: Bash rm -rf b; 1 more request waits"), "{}", terminal.screen());
    terminal.keys("3");
    assert!(matches!(terminal.last_order(), OperatorInput::Rule { ask: AskId(2), ruling: Ruling::Deny { .. }, .. }));
    // A refusal has a row, too, and then the next one comes.
    let order = terminal.orders().last().expect("an order").0;
    let printed = terminal.printed_by(|terminal| {
        terminal.tell(News::Answered { order, answer: Err("it is settled".to_owned()) });
    });
    assert!(printed.starts_with("! request 2 was not answered: it is settled\n"), "{printed}");
    assert!(printed.contains("    ls d\n"), "{printed}");
    // What is printed below it stands between it and its choices, so the choices name it.
    assert!(!terminal.screen().contains("this is:"), "{}", terminal.screen());
    terminal.show(Show::Notice { text: "something else".to_owned() });
    assert!(terminal.screen().contains("this is: Bash ls d\n"), "{}", terminal.screen());
}

#[test]
fn requests_that_are_open_when_a_terminal_attaches_come_one_after_the_other() {
    let mut terminal = TestTerminal::new();
    for (id, command) in [(1, "touch a"), (2, "rm -rf b")] {
        let show = Box::new(Show::Asked { ask: Box::new(commanded(id, command)) });
        terminal.tell(News::Show { show, run_ms: 1, past: true });
    }
    assert!(terminal.printed.contains("touch a") && !terminal.printed.contains("rm -rf b"), "{}", terminal.printed);
    let about = AtLimit { token: "A".to_owned(), next: None, until_unix_ms: None };
    let question =
        Question { number: 1, about: crate::core::About::Limit(about), default: Answer::Exit, timeout_ms: 60_000 };
    terminal.show(Show::Question { question: question.clone(), now_unix_ms: 0 });
    terminal.phase("working");
    let printed = terminal.printed.rsplit_once(&question.text()).expect("the question").1;
    assert!(printed.contains("touch a") && !printed.contains("rm -rf b"), "its turn has come again: {printed}");
}

#[test]
fn a_denial_that_nobody_was_asked_about_is_one_row() {
    let denied = Show::Denied { role: Role::Agent, tool: "Bash".to_owned(), target: "touch out.txt".to_owned() };
    let failed = Show::ToolEnded {
        role: Role::Agent,
        id: "t1".to_owned(),
        failed: true,
        error: "Permission to use Bash has been denied".to_owned(),
        output: None,
        hunks: Vec::new(),
    };
    for (reports, row) in [
        ([denied.clone(), failed.clone()], "! denied: Bash touch out.txt\n"),
        // An older CLI reports it with the result of the turn only.
        ([failed, denied], "● Bash touch out.txt · 1.0s\n  ✗ Permission to use Bash has been denied\n"),
    ] {
        let mut terminal = TestTerminal::new();
        terminal.tool("t1", "Bash", "touch out.txt", None);
        let printed = terminal.printed_by(|terminal| {
            for report in reports {
                terminal.show(report);
            }
        });
        assert_eq!(printed, row);
    }
}

#[test]
fn a_text_that_is_typed_at_a_dialog_is_in_the_draft() {
    let mut terminal = TestTerminal::new();
    terminal.ask(permission(1));
    terminal.keys("zzz draft 1");
    assert!(terminal.screen().contains("draft: zzz draft 1"), "{}", terminal.screen());
    terminal.keys("\r");
    assert_eq!(terminal.orders(), [], "the message is not sent, and nothing is allowed");
    terminal.keys("\x1b[B");
    terminal.keys("3");
    assert_eq!(
        terminal.last_order(),
        OperatorInput::Rule { ask: AskId(1), key: None, ruling: Ruling::Deny { reason: String::new() } }
    );
    assert!(terminal.screen().contains("❯ zzz draft 1"), "{}", terminal.screen());
}

#[test]
fn a_choice_that_is_typed_too_early_is_no_message() {
    let mut terminal = TestTerminal::new();
    let early = |terminal: &mut TestTerminal, text: &[u8]| terminal.tell(News::Typed(Decoder::new().take(text)));
    terminal.ask(permission(1));
    early(&mut terminal, b"111");
    terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Allowed, words: String::new() });
    terminal.keys("\r");
    assert_eq!(terminal.orders(), [], "nothing was decided, and nothing is sent");
    // What is no choice is text, and so is everything behind it.
    terminal.ask(permission(2));
    early(&mut terminal, b"9 of 12");
    terminal.show(Show::Settled { ask: AskId(2), how: SettledHow::Allowed, words: String::new() });
    assert!(terminal.screen().contains("❯ 9 of 12"), "{}", terminal.screen());
}

#[test]
fn control_c_at_a_dialog_clears_what_is_written_first() {
    let mut terminal = TestTerminal::new();
    terminal.ask(permission(1));
    terminal.keys("zzz");
    terminal.keys("\x03");
    assert!(terminal.orders().is_empty() && !terminal.screen().contains("zzz"), "{}", terminal.screen());
    terminal.keys("\x1b[B");
    terminal.keys("4");
    terminal.keys("use mv");
    assert!(terminal.screen().contains("❯ why not: use mv"), "{}", terminal.screen());
    terminal.keys("\x03");
    assert!(terminal.orders().is_empty() && !terminal.screen().contains("use mv"), "{}", terminal.screen());
    terminal.keys("\x03");
    assert_eq!(terminal.last_order(), OperatorInput::StopTurn);
}

#[test]
fn text_that_is_missing_is_marked_and_the_whole_comes_at_the_end() {
    let say = |terminal: &mut TestTerminal, part, text: &str| {
        let told = News::Words { role: Role::Agent, thinking: false, part: Some(part), text: text.to_owned() };
        terminal.tell(told);
    };
    let whole = "One line.\nAnother line.\nThe third line.\nThe last line.";
    // The client comes in the middle, and knows the beginning or not.
    let mut terminal = TestTerminal::new();
    say(&mut terminal, 4, "third line.\nThe ");
    assert_eq!(terminal.printed, "\n… third line.\n");
    terminal.said(whole);
    assert!(terminal.printed.ends_with(&format!("  … the whole of it:\n\n{whole}\n")), "{}", terminal.printed);
    let mut terminal = TestTerminal::new();
    say(&mut terminal, 0, "One line.\nAnother ");
    say(&mut terminal, 4, "third line.\nThe ");
    assert_eq!(terminal.printed, "\nOne line.\nAnother\n\n… third line.\n");
    terminal.said(whole);
    assert!(terminal.printed.ends_with(&format!("  … the whole of it:\n\n{whole}\n")), "{}", terminal.printed);
    // Nothing is missing, and what comes twice after a new connection is shown once.
    let mut terminal = TestTerminal::new();
    for (part, text) in [(0, "One line.\n"), (1, "Another line.\n"), (1, "Another line.\n"), (2, "The third ")] {
        say(&mut terminal, part, text);
    }
    terminal.said(whole);
    assert_eq!(terminal.printed, format!("\n{whole}\n"));
}

#[test]
fn a_pause_at_rest_is_in_the_status_row() {
    let mut terminal = TestTerminal::new();
    terminal.rests(RestKind::NoTask, None);
    terminal.keys("/pause");
    terminal.keys("\r");
    terminal.taken();
    assert!(
        terminal.screen().contains("\npaused · ") && terminal.screen().contains("type /continue"),
        "{}",
        terminal.screen()
    );
    terminal.keys("/continue");
    terminal.keys("\r");
    terminal.taken();
    assert!(terminal.screen().contains("\nready"), "{}", terminal.screen());
}

#[test]
fn a_command_that_nobody_has_is_sent_by_a_second_enter_only() {
    let mut terminal = TestTerminal::new();
    terminal.keys("/budgte cost 5");
    terminal.keys("\r");
    assert_eq!(terminal.orders(), []);
    assert!(terminal.printed.contains("! there is no command /budgte; near to it: /budget."), "{}", terminal.printed);
    assert!(terminal.screen().contains("❯ /budgte cost 5"), "{}", terminal.screen());
    terminal.keys("\r");
    assert!(matches!(terminal.last_order(), OperatorInput::Say { text, .. } if text == "/budgte cost 5"));
}

#[test]
fn a_view_that_only_reads_shows_a_request_and_no_choices() {
    let mut terminal = TestTerminal::before_all();
    let read_only = Some("this terminal is read-only".to_owned());
    terminal.tell(News::Joined(About { phase: "working".to_owned(), read_only, ..About::default() }));
    terminal.ask(permission(1));
    terminal.keys("1");
    terminal.keys("x");
    assert_eq!(terminal.orders(), []);
    let screen = terminal.screen();
    assert!(screen.contains("touch out.txt") && screen.contains("another terminal has to answer"), "{screen}");
    assert!(!screen.contains("yes, this once"), "{screen}");
}

#[test]
fn the_greeting_says_what_this_is_and_how_to_learn_more() {
    let about = About {
        cwd: "/home/me/project".to_owned(),
        label: "max-1".to_owned(),
        budgets: Some(Budgets { max_duration_ms: Some(28_800_000), ..Budgets::default() }),
        phase: "starting".to_owned(),
        ..About::default()
    };
    let mut terminal = TestTerminal::before_all();
    terminal.tell(News::Joined(about.clone()));
    terminal.rests(RestKind::NoTask, None);
    insta::assert_snapshot!(terminal.screen());
    let mut joined = TestTerminal::before_all();
    joined.tell(News::Joined(About { has_task: true, ..about.clone() }));
    let screen = joined.screen();
    assert!(screen.contains("type a message; @ inserts") && !screen.contains("type your task"), "{screen}");
    let columns = Size { columns: 80, rows: 24 }.room();
    assert_eq!(Piece::Note(Note::Information, greeting(&about).into()).rows(columns, false).len(), 3);
}

#[test]
fn a_stop_is_told_in_words_and_once() {
    let mut terminal = TestTerminal::new();
    terminal.show(Show::Turn { kind: TurnKind::Task, text: "task".to_owned() });
    let question = "Which database do you want?".to_owned();
    terminal.show(Show::Verdict { verdict: "needs_user".to_owned(), text: question.clone(), iteration: 1 });
    terminal.phase("needs_user");
    terminal.rests(RestKind::Judged, Some((Outcome::NeedsUser, "the critic asks: Which database do you want?")));
    assert_eq!(terminal.screen().matches(&question).count(), 1, "{}", terminal.screen());
    assert!(
        !terminal.screen().contains("needs_user") && terminal.screen().contains("\nready"),
        "{}",
        terminal.screen()
    );
    terminal.show(Show::Turn { kind: TurnKind::Operator, text: "SQLite".to_owned() });
    terminal.tool("t1", "Bash", "sleep 5", None);
    terminal.phase("working");
    assert!(terminal.screen().contains("Esc interrupts"));
    terminal.tool("t2", "Bash", "touch out.txt", None);
    terminal.ask(permission(1));
    terminal.keys("\x1b");
    terminal.show(Show::Settled { ask: AskId(1), how: SettledHow::Withdrawn, words: String::new() });
    terminal.rests(RestKind::Interrupted, None);
    let screen = terminal.screen();
    assert!(screen.contains("request 1 interrupted") && screen.contains("✗ interrupted"), "{screen}");
    assert!(!screen.contains("● Bash touch out.txt"), "the row of the request tells it: {screen}");
    assert!(screen.contains("↻ interrupted") && !screen.contains("withdrawn"), "{screen}");
    assert!(screen.contains("\n\n----"), "the prompt stands apart: {screen}");
    let agreed = "the critic agrees that the task is done";
    terminal.rests(RestKind::Judged, Some((Outcome::Completed, agreed)));
    let end = terminal.printed_by(|terminal| {
        terminal.show(Show::Finished { outcome: Outcome::Completed, reason: agreed.to_owned() })
    });
    assert!(terminal.printed.contains("✓ reviewed: the critic agrees\n"), "{}", terminal.printed);
    assert_eq!(end.trim(), "ended");
}

#[test]
fn only_work_that_was_judged_is_said_to_be_reviewed() {
    let agreed = Some((Outcome::Completed, "the critic agrees that the task is done"));
    let mut terminal = TestTerminal::new();
    terminal.phase("reviewing");
    let first = terminal.printed_by(|terminal| terminal.rests(RestKind::Judged, agreed));
    assert!(first.contains("reviewed"), "{first}");
    // The CLI answers `/cost` by itself.
    terminal.show(Show::Turn { kind: TurnKind::Operator, text: "/cost".to_owned() });
    let second = terminal.printed_by(|terminal| terminal.rests(RestKind::Judged, agreed));
    assert!(!second.contains("reviewed"), "{second}");
    for end in [false, true] {
        terminal.show(Show::Turn { kind: TurnKind::Operator, text: "More.".to_owned() });
        terminal.phase("reviewing");
        let third = terminal.printed_by(|terminal| match end {
            false => terminal.rests(RestKind::Judged, agreed),
            true => {
                let reason = "the critic agrees that the task is done".to_owned();
                terminal.show(Show::Finished { outcome: Outcome::Completed, reason });
            }
        });
        assert!(third.contains("reviewed"), "{third}");
    }
}

#[test]
fn an_output_is_folded_by_what_counts_in_it() {
    let mut terminal = TestTerminal::new();
    let output = (0..9).map(|at| format!("line {at}\n")).collect::<String>();
    for (tool, shown) in [("Read", None), ("Grep", Some("line 0")), ("Bash", Some("line 8"))] {
        terminal.tool("t", tool, "x", None);
        let printed = terminal.printed_by(|terminal| terminal.tool_ended("t", &output));
        assert_eq!(printed.contains("line 0") || printed.contains("line 8"), shown.is_some(), "{printed}");
        assert!(shown.is_none_or(|line| printed.contains(line)), "{printed}");
        assert!(terminal.printed_by(|terminal| terminal.keys("\x0f")).contains("line 4"));
    }
}

#[test]
fn a_long_list_of_what_is_to_be_done_is_folded() {
    let mut terminal = TestTerminal::new();
    let item = |at| TodoItem { text: format!("item {at}"), state: "pending".to_owned() };
    terminal.show(Show::Todo { items: (0..202).map(item).collect() });
    let printed = terminal.printed_by(|terminal| terminal.rests(RestKind::Interrupted, None));
    assert!(printed.contains("… 192 more lines") && !printed.contains("item 10"), "{printed}");
    assert!(terminal.printed_by(|terminal| terminal.keys("\x0f")).contains("item 201"));
}

#[test]
fn the_help_has_its_columns() {
    let help = commands::help();
    let at: Vec<Option<usize>> =
        help.lines().filter(|line| line.starts_with('/')).map(|line| line.find("  ")).collect();
    let starts: Vec<usize> = help
        .lines()
        .filter(|line| line.starts_with('/'))
        .filter_map(|line| {
            line.find("  ").map(|gap| line.len() - line.get(gap..).unwrap_or_default().trim_start().len())
        })
        .collect();
    assert!(at.iter().all(Option::is_some) && starts.windows(2).all(|pair| pair[0] == pair[1]), "{help}");
}

fn image(data: &str) -> Image {
    Image { media_type: "image/png".to_owned(), data: data.to_owned() }
}

/// The last message: its text, and the data of its images.
fn sent(terminal: &TestTerminal) -> (String, Vec<String>) {
    let OperatorInput::Say { text, images, .. } = terminal.last_order() else { panic!("nothing was said") };
    (text, images.into_iter().map(|image| image.data).collect())
}

#[test]
fn a_pasted_path_becomes_an_image_and_a_typed_one_when_it_is_sent() {
    let mut terminal = TestTerminal::new();
    terminal.keys("\x1b[200~/tmp/my pic.png\x1b[201~");
    assert_eq!(terminal.jobs.last(), Some(&Job::Look("/tmp/my pic.png".to_owned())));
    terminal.tell(News::Looked { path: "/tmp/my pic.png".to_owned(), image: Ok(image("AAAA")) });
    assert!(terminal.screen().contains("❯ [image my pic.png]"), "{}", terminal.screen());
    // The label is deleted as one.
    terminal.keys("\x7f");
    assert!(!terminal.screen().contains("image"), "{}", terminal.screen());
    terminal.keys("\x1f see ./b.gif and ./none.png.");
    assert!(terminal.screen().contains("❯ [image my pic.png] see ./b.gif and ./none.png."), "{}", terminal.screen());
    assert_eq!(terminal.orders(), []);
    terminal.keys("\r");
    assert_eq!(terminal.orders(), [], "its images are looked at first");
    assert!(terminal.screen().contains("sending: [image my pic.png] see ./b.gif"), "{}", terminal.screen());
    // A later message waits for the earlier one.
    terminal.keys("And this.");
    terminal.keys("\r");
    assert_eq!(terminal.orders(), []);
    terminal.tell(News::Looked { path: "./none.png".to_owned(), image: Err(None) });
    terminal.tell(News::Looked { path: "./b.gif".to_owned(), image: Ok(image("BBBB")) });
    let texts: Vec<String> = terminal
        .orders()
        .into_iter()
        .map(|(_, input)| if let OperatorInput::Say { text, .. } = input { text } else { String::new() })
        .collect();
    assert_eq!(texts, ["[image my pic.png] see [image b.gif] and ./none.png.", "And this."]);
    let OperatorInput::Say { images, .. } = terminal.orders()[0].1.clone() else { panic!("no message") };
    assert_eq!(images, [image("AAAA"), image("BBBB")]);
}

#[test]
fn an_image_that_cannot_be_sent_is_told_and_its_path_stays() {
    let mut terminal = TestTerminal::new();
    terminal.keys("look: /tmp/a.png");
    terminal.keys("\r");
    let why = "the image /tmp/a.png is not sent: it is larger than 5 MiB".to_owned();
    terminal.tell(News::Looked { path: "/tmp/a.png".to_owned(), image: Err(Some(why.clone())) });
    assert!(terminal.printed.contains(&why), "{}", terminal.printed);
    assert_eq!(sent(&terminal), ("look: /tmp/a.png".to_owned(), Vec::new()));
    // More bytes than a message may hold.
    let half = "A".repeat(11 * 1024 * 1024);
    terminal.keys("/tmp/a.png /tmp/b.png");
    terminal.keys("\r");
    terminal.tell(News::Looked { path: "/tmp/a.png".to_owned(), image: Ok(image(&half)) });
    terminal.tell(News::Looked { path: "/tmp/b.png".to_owned(), image: Ok(image(&half)) });
    assert!(
        terminal.printed.contains("/tmp/b.png is not sent: a message can have at most 16 MiB"),
        "{}",
        terminal.printed
    );
    assert_eq!(sent(&terminal), ("[image a.png] /tmp/b.png".to_owned(), vec![half]));
}

#[test]
fn a_message_that_comes_back_brings_its_images() {
    let mut terminal = TestTerminal::new();
    let say = |terminal: &mut TestTerminal| {
        terminal.keys("see /tmp/a.png");
        terminal.keys("\r");
        terminal.tell(News::Looked { path: "/tmp/a.png".to_owned(), image: Ok(image("AAAA")) });
        let OperatorInput::Say { key: Some(key), text, .. } = terminal.last_order() else { panic!("no message") };
        (key, text)
    };
    let (key, text) = say(&mut terminal);
    terminal.taken();
    terminal.show(Show::Queue { turns: vec![QueuedTurn { key: key.clone(), text: text.clone() }] });
    terminal.keys("\x1b[A");
    assert_eq!(terminal.last_order(), OperatorInput::TakeBack { key });
    terminal.show(Show::Queue { turns: Vec::new() });
    terminal.taken();
    assert!(terminal.screen().contains("❯ see [image a.png]"), "{}", terminal.screen());
    terminal.keys("\r");
    assert_eq!(sent(&terminal), ("see [image a.png]".to_owned(), vec!["AAAA".to_owned()]));
    // A refused message returns to the draft.
    let order = terminal.orders().last().expect("an order").0;
    terminal.tell(News::Answered { order, answer: Err("the run is ending".to_owned()) });
    terminal.keys("\x7f");
    assert!(terminal.screen().contains("❯ see \n") || terminal.screen().contains("❯ see\n"), "{}", terminal.screen());
}

#[test]
fn no_word_of_a_feedback_stands_alone_beside_its_lead() {
    let rows = |text: &str| text_of(&pieces::Piece::Feedback(text.into()).rows(80, true));
    let long = "Trim the fields-GAP: there is no test for the empty input. Add one to test_trim.py.";
    assert_eq!(
        rows(long).trim_end(),
        "the critic:\n  Trim the fields-GAP: there is no test for the empty input. Add one to\n  test_trim.py."
    );
    assert_eq!(rows("The test is missing.").trim_end(), "the critic: The test is missing.");
}
