//! Scripts of events and keys, and the frames and jobs that they give.

use ratatui_core::backend::TestBackend;
use ratatui_core::buffer::Buffer as Cells;
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;

use super::*;
use crate::agent::{Asked, AskedOption, AskedQuestion, ContextUse, Role, TurnKind};
use crate::agent::{AskedKind, Edit};
use crate::core::{AskId, Outcome, RestKind, SettledHow};
use crate::ui::keys::Decoder;

/// Fri 2026-11-20 18:06:57 UTC
const NOW_MS: i64 = 1_795_198_017_000;
const AT: u64 = 1_795_198_017_000;

struct Screen {
    dashboard: Dashboard,
    at: u64,
    jobs: Vec<Job>,
}

fn listed(id: &str, name: &str, depth: usize, standing: Standing) -> Listed {
    Listed {
        id: id.to_owned(),
        name: name.to_owned(),
        depth,
        task: format!("Do the {name} thing."),
        branch: Some(format!("agent/{name}")),
        standing,
        created_unix_ms: NOW_MS - 725_000,
        ended_unix_ms: None,
        iteration: None,
        cost_usd: None,
        context: None,
        reason: None,
        going_on: None,
    }
}

fn active(id: &str, name: &str, depth: usize) -> Listed {
    listed(id, name, depth, Standing::Active("working".to_owned()))
}

fn ended(id: &str, name: &str, outcome: Outcome) -> Listed {
    let standing = Standing::Ended { outcome: Some(outcome), words: outcome.in_words().to_owned() };
    Listed {
        ended_unix_ms: Some(NOW_MS - 5_000),
        iteration: Some(3),
        cost_usd: Some(1.239),
        reason: Some("the critic agrees that the task is done".to_owned()),
        ..listed(id, name, 0, standing)
    }
}

fn bash(id: u32, command: &str) -> Show {
    let input = serde_json::json!({ "command": command }).to_string();
    let ask = Asked {
        id: AskId(id),
        tool: "Bash".into(),
        target: command.into(),
        input,
        deny_in_ms: Some(600_000),
        ..Asked::default()
    };
    Show::Asked { ask: Box::new(ask) }
}

fn tool(name: &str, target: &str) -> Show {
    Show::Tool {
        role: Role::Agent,
        id: format!("{name}{target}"),
        name: name.to_owned(),
        target: target.to_owned(),
        edit: None,
        under: None,
    }
}

impl Screen {
    fn new(columns: u16, rows: u16) -> Screen {
        let thresholds = Thresholds { warn: 80.0, critical: 90.0 };
        let dashboard = Dashboard::new("seed", Size { columns, rows }, thresholds, TimeZone::UTC);
        Screen { dashboard, at: AT, jobs: Vec::new() }
    }

    fn tell(&mut self, news: News) {
        self.dashboard.take(self.at, news);
        while let Some(job) = self.dashboard.poll_job() {
            self.jobs.push(job);
        }
    }

    fn show(&mut self, agent: &str, show: Show, ago_ms: i64) {
        let at_unix_ms = Some(NOW_MS - ago_ms);
        self.tell(News::Show { agent: agent.to_owned(), show: Box::new(show), at_unix_ms, is_past: false });
    }

    fn joined(&mut self, agent: &str) {
        let (agent, phase) = (agent.to_owned(), "working".to_owned());
        self.tell(News::Joined { agent, phase, iteration: 1, standing: Vec::new() });
    }

    fn transcript(&mut self, agent: &str, show: Show) {
        let news = conversation::News::Show { show: Box::new(show), run_ms: 0, past: true };
        self.tell(News::Transcript { agent: agent.to_owned(), news });
    }

    /// Keys as a terminal sends them, slowly enough that an answer counts.
    fn types(&mut self, keys: &str) {
        self.at += 1_000;
        let mut decoder = Decoder::new();
        let mut typed = decoder.take(keys.as_bytes());
        typed.extend(decoder.settle());
        self.tell(News::Typed(typed));
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.tell(News::Resized(Size { columns, rows }));
    }

    fn cells(&self) -> Cells {
        let Size { columns, rows } = self.dashboard.size;
        let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
        let Ok(_) = terminal.draw(|frame| self.dashboard.draw(frame, self.at, NOW_MS));
        terminal.backend().buffer().clone()
    }

    fn text(&self) -> String {
        let cells = self.cells();
        let row = |y| (0..cells.area.width).map(|x| cells[(x, y)].symbol()).collect::<String>();
        (0..cells.area.height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
    }

    fn last_job(&mut self) -> Job {
        self.jobs.pop().expect("a job")
    }
}

/// Four agents in all kinds of states, two of which ask.
fn fleet(columns: u16, rows: u16) -> Screen {
    let mut screen = Screen::new(columns, rows);
    screen.tell(News::Agents(vec![
        active("20261120-175452-aaaa", "lead", 0),
        active("20261120-175452-bbbb", "login", 1),
        active("20261120-175452-cccc", "search-index", 2),
        ended("20261120-175452-dddd", "docs", Outcome::Completed),
        listed("20261120-175452-ffff", "cache", 0, Standing::Died),
    ]));
    for agent in ["20261120-175452-aaaa", "20261120-175452-bbbb", "20261120-175452-cccc"] {
        screen.joined(agent);
    }
    screen.show("20261120-175452-aaaa", tool("Bash", "cargo test --workspace"), 9_000);
    screen.show("20261120-175452-aaaa", Show::Cost { usd: Some(0.5) }, 9_000);
    screen.show("20261120-175452-bbbb", bash(3, "touch build && make"), 65_000);
    let question = AskedQuestion {
        question: "Which port?".to_owned(),
        options: ["8080", "9090"]
            .map(|label| AskedOption { label: label.to_owned(), description: String::new() })
            .into(),
        ..AskedQuestion::default()
    };
    let ask = Asked { id: AskId(1), kind: AskedKind::Choices, questions: vec![question], ..Asked::default() };
    screen.show("20261120-175452-cccc", Show::Asked { ask: Box::new(ask) }, 125_000);
    let (agent, cwd) = ("20261120-175452-aaaa".to_owned(), "/p".to_owned());
    screen.tell(News::TranscriptBegins { agent, cwd, now_ms: None });
    screen.transcript("20261120-175452-aaaa", Show::Turn { kind: TurnKind::Task, text: "Do it.".to_owned() });
    let text = "I look at the **parser**:\n\n- first\n- second".to_owned();
    screen.transcript("20261120-175452-aaaa", Show::Text { role: Role::Agent, text, sub_agent: false, under: None });
    screen.tell(News::Usage(UsageShown { session: Some(45.9), weekly: Some(62.0) }));
    screen
}

#[test]
fn the_dashboard_at_80_columns() {
    insta::assert_snapshot!(fleet(80, 24).text());
}

#[test]
fn the_dashboard_at_120_columns() {
    insta::assert_snapshot!(fleet(120, 40).text());
}

#[test]
fn the_dashboard_at_40_columns() {
    insta::assert_snapshot!(fleet(40, 10).text());
}

#[test]
fn agents_that_change_the_same_files_are_marked_and_the_selected_one_names_them() {
    let mut screen = fleet(80, 24);
    let (lead, login, search) = ("20261120-175452-aaaa", "20261120-175452-bbbb", "20261120-175452-cccc");
    let shared = |file: &str, agents: &[&str]| SharedFile {
        file: file.to_owned(),
        agents: agents.iter().map(|id| (*id).to_owned()).collect(),
    };
    let mut files = vec![shared("src/a.rs", &[lead, login, search])];
    files.extend(["b", "c", "d", "e"].map(|file| shared(file, &[lead, login])));
    screen.tell(News::Shared(files));
    insta::assert_snapshot!(screen.text());
    screen.types("jj");
    let text = screen.text();
    assert!(text.contains("\n! changes the same files as lead: src/a.rs · login: src/a.rs\n"), "{text}");
    assert!(text.contains("▸!  └ search-index"), "{text}");
    screen.types("j");
    assert!(screen.text().contains("\n▸ docs") && !screen.text().contains("same files as"), "{}", screen.text());
    screen.tell(News::Shared(Vec::new()));
    screen.types("kkk");
    assert!(!screen.text().contains('!') && !screen.text().contains("the same files"), "{}", screen.text());
}

#[test]
fn the_inbox_has_the_questions_of_all_agents_the_oldest_first() {
    let mut screen = fleet(80, 24);
    screen.types("i");
    insta::assert_snapshot!(screen.text());
    let ids: Vec<(&str, u32)> =
        screen.dashboard.inbox().iter().map(|(agent, open)| (agent.listed.name.as_str(), open.number())).collect();
    assert_eq!(ids, [("search-index", 1), ("login", 3)]);
    // What was open before the dashboard came is older than all that it has seen.
    let standing = vec![bash(9, "ls")];
    let (agent, phase) = ("20261120-175452-aaaa".to_owned(), "asking".to_owned());
    screen.tell(News::Joined { agent, phase, iteration: 1, standing });
    assert!(screen.text().contains("▸ search-index 2m 05s #1"), "the selected one stays selected:\n{}", screen.text());
    assert!(screen.text().contains("\n  lead – #9 may it use Bash ls?\n"), "{}", screen.text());
}

#[test]
fn an_answer_goes_to_the_request_that_was_shown_and_counts_after_a_moment() {
    let mut screen = fleet(80, 24);
    screen.types("jjka");
    insta::assert_snapshot!(screen.text());
    // In the same moment it was not read.
    let mut decoder = Decoder::new();
    screen.types("\x1b");
    screen.types("a");
    let typed = decoder.take(b"allow\r");
    screen.tell(News::Typed(typed));
    assert!(!screen.jobs.iter().any(|job| matches!(job, Job::Answer { .. })));
    screen.types("\r");
    let Job::Answer { number, agent, show, text } = screen.last_job() else { panic!("no answer") };
    assert_eq!(
        (agent.as_str(), *show, text.as_str()),
        ("20261120-175452-bbbb", bash(3, "touch build && make"), "allow")
    );
    assert_eq!(screen.dashboard.inbox().len(), 1, "it is on its way");
    screen.tell(News::Answered { order: number, answer: Err("this request is not open".to_owned()) });
    assert_eq!(screen.dashboard.inbox().len(), 2, "it was refused");
    // Settled elsewhere while the answer is typed: nothing is answered.
    screen.types("adeny");
    screen.show(
        "20261120-175452-bbbb",
        Show::Settled { ask: AskId(3), how: SettledHow::Denied, words: String::new() },
        0,
    );
    assert!(screen.text().contains("request 3 is not open any more"), "{}", screen.text());
    screen.jobs.clear();
    screen.types("\r");
    assert!(!screen.jobs.iter().any(|job| matches!(job, Job::Answer { .. })), "{:?}", screen.jobs);
}

#[test]
fn keys_give_orders_to_the_selected_agent_and_only_to_one_that_runs() {
    let mut screen = fleet(80, 24);
    let aaaa = "20261120-175452-aaaa";
    screen.types("p");
    assert!(matches!(screen.last_job(), Job::Order { agent, input: OperatorInput::Pause, .. } if agent == aaaa));
    screen.types("c");
    assert!(matches!(screen.last_job(), Job::Order { input: OperatorInput::Continue, .. }));
    // Stopping asks; anything but `y` stops nothing.
    screen.types("x");
    assert!(screen.text().contains("stop lead? its session is kept"), "{}", screen.text());
    screen.jobs.clear();
    screen.types("x");
    assert!(screen.jobs.is_empty());
    screen.types("xy");
    assert!(matches!(screen.last_job(), Job::Order { input: OperatorInput::Interrupt { .. }, .. }));
    screen.types("d");
    let diff = Errand { command: "diff", args: vec![aaaa.to_owned()], waits: true };
    assert_eq!(screen.last_job(), Job::HandOver(diff));
    screen.types("\r");
    let attach = Errand { command: "attach", args: vec![aaaa.to_owned()], waits: false };
    assert_eq!(screen.last_job(), Job::HandOver(attach));
    // An agent that has ended: its history stays until a key is pressed, and it takes no orders.
    screen.types("G");
    assert_eq!(screen.last_job(), Job::Follow(Some("20261120-175452-ffff".to_owned())));
    screen.types("\r");
    assert!(matches!(screen.last_job(), Job::HandOver(Errand { command: "attach", waits: true, .. })));
    for key in ["p", "c", "s"] {
        screen.types(key);
        assert!(screen.jobs.is_empty() || !matches!(screen.jobs.last(), Some(Job::Order { .. })), "{key}");
        assert!(screen.text().contains("cache is not running; to continue it: ccc resume cache"), "{}", screen.text());
    }
    screen.types("q");
    assert_eq!(screen.last_job(), Job::Leave);
}

#[test]
fn what_no_ccc_works_on_is_stopped_by_the_command_that_takes_it_out_of_the_queue() {
    let mut screen = Screen::new(80, 24);
    let [dead, queued, over] = ["20261120-175452-aaaa", "20261120-175452-bbbb", "20261120-175452-cccc"];
    screen.tell(News::Agents(vec![
        listed(dead, "cache", 0, Standing::Died),
        listed(queued, "later", 0, Standing::Queued { why: "2 agents run".to_owned() }),
        ended(over, "docs", Outcome::Completed),
    ]));
    screen.types("x");
    assert!(screen.text().contains("stop cache? its session is kept"), "{}", screen.text());
    screen.types("y");
    let stop = |id: &str| Job::HandOver(Errand { command: "stop", args: vec![id.to_owned()], waits: true });
    assert_eq!(screen.last_job(), stop(dead));
    screen.types("jx");
    assert!(screen.text().contains("take later out of the queue?"), "{}", screen.text());
    screen.jobs.clear();
    screen.types("n");
    assert!(screen.jobs.is_empty());
    screen.types("xy");
    assert_eq!(screen.last_job(), stop(queued));
    screen.types("jx");
    assert!(
        screen.text().contains("docs is not running; to give it more to do: ccc resume docs -p"),
        "{}",
        screen.text()
    );
    // As the run has written it down, with what it needs.
    let going_on = Some("ccc resume 20261120-175452-cccc -p \"TEXT\"".to_owned());
    screen.tell(News::Agents(vec![Listed { going_on, ..ended(over, "docs", Outcome::Stuck) }]));
    screen.types("x");
    let told = "docs is not running; to continue it: ccc resume 20261120-175452-cccc -p \"TEXT\"";
    assert!(screen.text().contains(told), "{}", screen.text());
}

#[test]
fn a_message_is_sent_once_and_its_text_is_not_lost() {
    let mut screen = fleet(80, 24);
    screen.types("sUse tabs");
    assert!(screen.text().contains("❯ to lead: Use tabs"), "{}", screen.text());
    // Left and taken up again.
    screen.types("\x1b");
    assert!(!screen.text().contains("Use tabs"));
    screen.types("s, please\r");
    let Job::Order { number, input: OperatorInput::Say { key, text, .. }, .. } = screen.last_job() else {
        panic!("no message")
    };
    assert_eq!((text.as_str(), key.as_deref()), ("Use tabs, please", Some("seed-1")));
    screen.tell(News::Answered { order: number, answer: Err("the run is ending".to_owned()) });
    assert!(screen.text().contains("the run is ending"));
    screen.types("s");
    assert!(screen.text().contains("❯ to lead: Use tabs, please"), "{}", screen.text());
    screen.types("\r");
    let Job::Order { number, .. } = screen.last_job() else { panic!("no message") };
    screen.tell(News::Answered { order: number, answer: Ok(Done::Queued(0)) });
    assert!(screen.text().contains("sent to lead: it is the agent's next turn"), "{}", screen.text());
    screen.types("nWrite a parser\r");
    let new = Errand { command: "new", args: vec!["Write a parser".to_owned()], waits: true };
    assert_eq!(screen.last_job(), Job::HandOver(new));
}

#[test]
fn the_selected_agent_stays_selected_where_it_goes_and_another_takes_its_place() {
    let mut screen = Screen::new(80, 24);
    assert!(screen.text().contains("…"), "nothing is known yet");
    screen.tell(News::Agents(Vec::new()));
    assert!(screen.text().contains("no agents yet; n starts one, as does: ccc new \"TASK\""), "{}", screen.text());
    screen.types("jk\x1b[6~spcxd\r");
    assert!(screen.jobs.is_empty(), "{:?}", screen.jobs);
    screen.tell(News::Agents(vec![active("a", "a", 0), active("b", "b", 0), active("c", "c", 0)]));
    assert_eq!(screen.last_job(), Job::Follow(Some("a".to_owned())));
    screen.types("j");
    assert_eq!(screen.last_job(), Job::Follow(Some("b".to_owned())));
    screen.tell(News::Agents(vec![active("n", "n", 0), active("a", "a", 0), active("b", "b", 0), active("c", "c", 0)]));
    assert!(screen.jobs.is_empty() && screen.text().contains("▸ b"), "{}", screen.text());
    screen.tell(News::Agents(vec![active("n", "n", 0), active("a", "a", 0), active("c", "c", 0)]));
    assert_eq!(screen.last_job(), Job::Follow(Some("c".to_owned())));
    screen.tell(News::Agents(Vec::new()));
    assert_eq!(screen.last_job(), Job::Follow(None));
}

#[test]
fn what_nobody_has_said_is_shown_as_unknown() {
    let mut screen = Screen::new(120, 24);
    screen.tell(News::Agents(vec![active("a", "alpha", 0)]));
    let row =
        |screen: &Screen| screen.text().lines().nth(2).expect("a row").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(row(&screen), "▸ alpha working 12m 05s – – – –");
    assert!(screen.text().contains("usage: –  18:06"), "{}", screen.text());
    screen.joined("a");
    screen.show("a", Show::Cost { usd: None }, 0);
    assert_eq!(row(&screen), "▸ alpha working 12m 05s 1 – – –");
    screen.show("a", Show::Cost { usd: Some(0.0) }, 0);
    screen.show("a", Show::Rests { why: RestKind::Judged, outcome: None, reason: String::new() }, 0);
    assert_eq!(row(&screen), "▸ alpha ready 12m 05s 1 $0.00 – –");
    // The connection ends: the file says how it stands.
    screen.tell(News::Left { agent: "a".to_owned() });
    screen.tell(News::Agents(vec![listed("a", "alpha", 0, Standing::Died)]));
    assert_eq!(row(&screen), "▸ alpha died 12m 05s – $0.00 – –");
}

#[test]
fn the_context_is_told_in_percent_in_tokens_while_the_window_is_unknown_and_by_the_file_until_an_event_says_it() {
    let mut screen = Screen::new(80, 24);
    let of = |used_tokens| Some(ContextUse { used_tokens, window_tokens: Some(200_000) });
    screen.tell(News::Agents(vec![Listed { context: of(30_000), ..active("a", "alpha", 0) }, active("b", "beta", 0)]));
    let row = |screen: &Screen, at: usize| {
        screen.text().lines().nth(at).expect("a row").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row(&screen, 1).contains("COST CTX LAST ACTION"), "{}", screen.text());
    assert_eq!(
        (row(&screen, 2), row(&screen, 3)),
        ("▸ alpha working 12m 05s – – 15% –".to_owned(), "beta working 12m 05s – – – –".to_owned())
    );
    let context = |used_tokens, window_tokens| Show::Context { used_tokens, window_tokens };
    screen.joined("a");
    screen.show("a", context(Some(199_999), Some(200_000)), 0);
    screen.joined("b");
    screen.show("b", context(Some(45_678), None), 0);
    assert_eq!(
        (row(&screen, 2), row(&screen, 3)),
        ("▸ alpha working 12m 05s 1 – 99% –".to_owned(), "beta working 12m 05s 1 – 45k –".to_owned())
    );
    // Its history was shortened.
    screen.show("a", context(None, None), 0);
    assert_eq!(row(&screen, 2), "▸ alpha working 12m 05s 1 – – –");
}

#[test]
fn usage_is_yellow_and_red_from_the_thresholds_on_and_is_not_rounded_up() {
    let mut screen = Screen::new(80, 24);
    let mut colours = |session, weekly| {
        screen.tell(News::Usage(UsageShown { session, weekly }));
        let cells = screen.cells();
        let footer: String = (0..80).map(|x| cells[(x, 23)].symbol()).collect();
        let text = footer.rsplit_once("usage: ").expect("usage").1.trim_end().to_owned();
        let marked: Vec<Color> = (60..80).map(|x| cells[(x, 23)].fg).filter(|colour| *colour != Color::Reset).collect();
        (text, marked.contains(&Color::Yellow), marked.contains(&Color::Red))
    };
    let told = |text: &str, yellow, red| (text.to_owned(), yellow, red);
    assert_eq!(colours(Some(45.0), Some(62.0)), told("45%/62%  18:06", false, false));
    assert_eq!(colours(Some(79.9), Some(80.0)), told("79%/80%  18:06", true, false));
    assert_eq!(colours(Some(90.0), None), told("90%/–  18:06", false, true));
    assert_eq!(colours(None, None), told("–  18:06", false, false));
}

#[test]
fn text_of_an_agent_cannot_act_on_the_terminal() {
    let mut screen = fleet(80, 24);
    let odd = "\x1b]0;owned\x07\x1b[2J\u{202e}evil\r\n";
    let named = Listed { task: odd.to_owned(), branch: Some(odd.to_owned()), ..active("x", odd, 0) };
    screen.tell(News::Agents(vec![named]));
    screen.joined("x");
    screen.show("x", tool(odd, odd), 0);
    let edit = Edit { path: odd.to_owned(), old: odd.to_owned(), new: odd.to_owned() };
    let ask = Asked { tool: odd.to_owned(), target: odd.to_owned(), edit: Some(edit), ..Asked::default() };
    screen.show("x", Show::Asked { ask: Box::new(ask) }, 0);
    screen.tell(News::TranscriptBegins { agent: "x".to_owned(), cwd: odd.to_owned(), now_ms: None });
    screen.transcript("x", Show::Notice { text: odd.to_owned() });
    screen.tell(News::Shared(vec![SharedFile { file: odd.to_owned(), agents: vec!["x".to_owned(), odd.to_owned()] }]));
    for keys in ["", "i", "a", "\x1b\x1bs"] {
        screen.types(keys);
        let cells = screen.cells();
        let acts = |symbol: &str| symbol.chars().any(|c| c.is_control() || c == '\u{202e}');
        assert!(!cells.content().iter().any(|cell| acts(cell.symbol())), "{keys:?}: {}", screen.text());
    }
}

#[test]
fn every_size_is_drawn_in_every_mode() {
    for (columns, rows) in [(2, 1), (3, 2), (10, 3), (20, 5), (40, 10), (41, 11), (79, 13), (80, 24), (300, 100)] {
        for keys in [
            "",
            "?",
            "?jjjjG",
            "i",
            "ij\r",
            "a",
            "sA text\x1b\rthat is longer than one row of a small screen",
            "x",
            "n",
        ] {
            let mut screen = fleet(80, 24);
            screen.types(keys);
            screen.resize(columns, rows);
            screen.types("\x1b[5~\x1b[6~");
            assert_eq!(screen.text().lines().count(), usize::from(rows), "{columns}x{rows} {keys:?}");
        }
    }
}

#[test]
fn the_transcript_is_laid_out_anew_for_another_width_and_scrolls() {
    let mut screen = fleet(80, 24);
    for number in 0..60 {
        screen.transcript(
            "20261120-175452-aaaa",
            Show::Information { text: format!("line {number} {}", "word ".repeat(8)) },
        );
    }
    assert!(screen.text().contains("line 59"));
    screen.types("\x1b[5~");
    assert!(!screen.text().contains("line 59") && screen.text().contains("more below; PageDown"), "{}", screen.text());
    let before = screen.text();
    screen.transcript("20261120-175452-aaaa", Show::Information { text: "another".to_owned() });
    let held = |text: &str| text.lines().filter(|line| line.contains("line 5")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(held(&screen.text()), held(&before), "who reads further up keeps what is shown");
    screen.types("\x1b[6~\x1b[6~");
    assert!(screen.text().contains("another"));
    screen.resize(40, 24);
    assert!(screen.text().contains("another"), "{}", screen.text());
    assert!(screen.text().lines().all(|line| line.chars().count() <= 40));
    // Of another agent nothing is taken.
    screen.transcript("20261120-175452-bbbb", Show::Information { text: "not mine".to_owned() });
    assert!(!screen.text().contains("not mine"));
}

#[test]
fn the_selected_row_is_seen_with_and_without_colours() {
    let screen = fleet(80, 24);
    let cells = screen.cells();
    let y = (0..24).find(|y| cells[(0, *y)].symbol() == "▸").expect("a mark");
    assert!((0..80).all(|x| cells[(x, y)].modifier.contains(Modifier::REVERSED)));
}

#[test]
fn it_wakes_with_the_clock_and_rings_only_for_what_is_new() {
    let mut screen = fleet(80, 24);
    assert_eq!(screen.dashboard.poll_timeout(AT, NOW_MS + 250), AT + 750);
    let rings = |screen: &Screen| screen.jobs.iter().filter(|job| **job == Job::Bell).count();
    assert_eq!(rings(&screen), 2);
    screen.show("20261120-175452-bbbb", bash(3, "touch build && make"), 0);
    assert_eq!(rings(&screen), 2, "told again");
    let (agent, show) = ("20261120-175452-aaaa".to_owned(), Box::new(bash(4, "ls")));
    screen.tell(News::Show { agent, show, at_unix_ms: Some(NOW_MS), is_past: true });
    assert_eq!(rings(&screen), 2, "it was asked before the dashboard came");
    screen.tell(News::Agents(vec![ended("a", "a", Outcome::Failed)]));
    assert_eq!(screen.dashboard.poll_timeout(AT, NOW_MS), AT + 3_000, "the minute ends, and no age moves");
}

#[test]
fn a_word_wider_than_the_screen_and_why_an_agent_waits_are_shown_whole() {
    let mut screen = Screen::new(40, 24);
    let why = "8 other agents wait before it, and 1.2 GiB of 16 GiB of memory is available";
    screen.tell(News::Agents(vec![
        active("20261120-175452-aaaa", "lead", 0),
        listed("20261120-175452-bbbb", "next", 0, Standing::Queued { why: why.to_owned() }),
    ]));
    let agent = "20261120-175452-aaaa".to_owned();
    screen.tell(News::TranscriptBegins { agent: agent.clone(), cwd: "/p".to_owned(), now_ms: None });
    let url = format!("https://example.invalid/{}", "0123456789".repeat(6));
    screen.transcript(&agent, Show::Text { role: Role::Agent, text: url.clone(), sub_agent: false, under: None });
    let said = "the connection has ended; to continue a run that has died: ccc resume lead";
    screen.tell(News::TranscriptEnds { agent, why: said.to_owned() });
    let joined = |screen: &Screen, with: &str| screen.text().lines().map(str::trim).collect::<Vec<_>>().join(with);
    assert!(joined(&screen, "").contains(&url), "{}", screen.text());
    assert!(joined(&screen, " ").contains(said), "{}", screen.text());
    screen.types("j");
    for part in [format!("it waits in the queue: {why}"), "to start it at once: ccc resume next".to_owned()] {
        assert!(joined(&screen, " ").contains(&part), "{}", screen.text());
    }
}
