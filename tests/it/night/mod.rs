//! Lists of tasks: the built program with the scripted agent, killed and added to in the middle.

mod lists;
mod real;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use ccc::journal::RunSummary;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::ownfaults::told::kept_awake;
use crate::ownfaults::world::World;
use crate::usage::server::{Provider, Reply, now_ms, usage_is_due};
use crate::whole_runs::harness::{Ended, Ground, Running, look_until, send};

/// The list of most tests.
const LIST: &str = "tasks";

/// A project whose agent does every task at once and for a dollar.
struct Nights(World);

impl Nights {
    fn new() -> Nights {
        Nights::on(Ground::without_git())
    }

    fn on(ground: Ground) -> Nights {
        Nights(World::on(
            ground,
            &json!({
                "agent": [[{"cost_usd": 1.0}, {"say": "Done."}], [{"say": "Done again."}], [{"say": "Done once more."}]],
                "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
            }),
        ))
    }

    fn list(&self, content: &str) {
        self.0.ground.write(LIST, content);
    }

    /// A check that waits until [`Nights::release`], and says so.
    fn holding(&self) -> String {
        let home = self.0.ground.home().display().to_string();
        fs::write(self.hold(), "").expect("write");
        format!("while [ -e {home}/hold ]; do echo held > {home}/held; sleep 0.1; done")
    }

    fn hold(&self) -> PathBuf {
        self.0.ground.home().join("hold")
    }

    fn until_held(&self) {
        self.0.until_file("held");
    }

    fn release(&self) {
        fs::remove_file(self.hold()).expect("removed");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.ccc(&["night"]);
        command.args(args).env("CCC_AGENT", &self.0.agent);
        command
    }

    fn start(&self, args: &[&str]) -> Running<'_> {
        Running::spawn(&self.0.ground, &mut self.command(args))
    }

    fn run(&self, args: &[&str]) -> Ended<'_> {
        self.start(args).wait()
    }

    fn runs(&self) -> Vec<RunSummary> {
        let summary = |run: &PathBuf| RunSummary::read(&run.join("run.json")).expect("a summary");
        self.0.ground.runs().iter().map(summary).collect()
    }

    /// The tasks of the runs, in the order of their starts.
    fn worked(&self) -> Vec<String> {
        let mut runs = self.runs();
        runs.sort_by_key(|run| run.started_unix_ms);
        runs.into_iter().map(|run| run.task).collect()
    }

    fn status(&self, args: &[&str]) -> Value {
        let ended = self.run(&[&["--status", "--json"], args].concat());
        ended.assert_code(0);
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    fn states(&self) -> Vec<String> {
        let status = self.status(&[LIST]);
        let tasks = status["tasks"].as_array().expect("tasks");
        tasks.iter().map(|task| task["state"].as_str().expect("a word").to_owned()).collect()
    }
}

#[test]
fn a_failure_stops_the_list_where_that_is_wanted_and_the_next_start_works_the_rest() {
    let nights = Nights::new();
    // The check of the second task fails, and one stop is all that it may have.
    nights.list(r#"["one", {"task": "two", "checks": ["false"], "max_iterations": 1}, "three"]"#);
    let mut command = nights.command(&[LIST, "--on-failure", "stop", "--until", "+1h"]);
    // Each run would warn of it.
    let ended = Running::spawn(&nights.0.ground, command.env("CCC_AGEN", "x")).wait();
    ended.assert_code(4);
    assert_eq!(ended.stderr.matches("CCC_AGEN has no effect").count(), 1, "{}", ended.stderr);
    let again = ended.stderr.lines().find_map(|line| line.strip_prefix("to go on: ccc night tasks")).expect("a hint");
    assert!(again.contains("--until 20") && !again.contains("+1h"), "{again}");
    let resume = nights.runs().into_iter().find(|run| run.task == "two").and_then(|run| run.resume).expect("a command");
    assert!(resume.ends_with("--max-iterations 2") && ended.stderr.contains(&resume), "{resume}: {}", ended.stderr);
    assert_eq!(nights.worked(), ["one", "two"]);
    assert_eq!(nights.states(), ["completed", "failed", "queued"]);
    for said in
        ["task 2 of 3: two", "1 of 3 tasks completed", "--on-failure stop", "report: ", "to go on: ccc night tasks"]
    {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    // What the status says goes on with the same bounds.
    let status = nights.run(&["--status", LIST]);
    let status = status
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("to go on: ccc night tasks"))
        .expect("a hint")
        .to_owned();
    assert_eq!(status, again);
    let report = ended.stderr.lines().find_map(|line| line.strip_prefix("report: ")).expect("a report");
    let page = fs::read_to_string(report).expect("a page");
    assert!(page.contains("<title>tasks: runs since"), "it has the list's name");
    assert!(page.contains("two") && page.contains("report.html"), "it links to the reports of the runs");

    nights.run(&[LIST]).assert_code(4);
    assert_eq!(nights.worked(), ["one", "two", "three"], "what has ended is not run again");
    assert_eq!(nights.states(), ["completed", "failed", "completed"]);
    let again = nights.run(&[LIST]);
    assert!(again.stderr.contains("ccc night --again tasks"), "{}", again.stderr);
    let again = nights.run(&[LIST, "--dry-run"]);
    assert!(again.stdout.contains("failed, to continue: ccc resume"), "{}", again.stdout);
}

#[test]
fn a_killed_night_continues_the_run_that_was_killed_with_it_and_takes_up_added_tasks() {
    let nights = Nights::new();
    let held = nights.holding();
    let two = format!(r#"{{"task": "two", "checks": ["{held}"]}}"#);
    nights.list(&format!(r#"["one", {two}]"#));
    let night = nights.start(&[LIST]);
    nights.until_held();
    let second = nights.run(&[LIST]);
    second.assert_code(2);
    for said in ["another ccc works on", &format!("pid {}", night.pid()), "ccc night --status"] {
        assert!(second.stderr.contains(said), "{said}: {}", second.stderr);
    }
    assert_eq!(nights.states(), ["completed", "running"]);
    // Both are killed.
    let of_run = nights.runs().into_iter().find(|run| run.task == "two").expect("its run");
    night.signal(Signal::KILL);
    send(of_run.pid, Signal::KILL);
    drop(night.wait());
    // The system releases the locks of a killed process a moment after its pipes.
    look_until("the locks", || (nights.states() == ["completed", "interrupted"]).then_some(()));
    nights.release();
    nights.list(&format!(r#"["zero", "one", {two}, "three"]"#));
    let ended = nights.run(&[LIST]);
    ended.assert_code(0);
    assert_eq!(nights.worked(), ["one", "two", "zero", "three"]);
    assert_eq!(nights.runs().iter().find(|run| run.task == "two").map(|run| run.id.clone()), Some(of_run.id));
    nights.0.ground.assert_sound();
}

#[test]
fn a_night_that_was_killed_alone_finds_its_run_at_work_and_waits_for_it() {
    let nights = Nights::new();
    nights.list(&format!(r#"[{{"task": "one", "checks": ["{}"]}}, "two"]"#, nights.holding()));
    let night = nights.start(&[LIST]);
    nights.until_held();
    night.signal(Signal::KILL);
    let mut next = nights.start(&[LIST]);
    next.until_stderr("is still at work, in another process");
    // Added while it waits.
    nights.list(r#"[{"task": "one", "checks": ["true"]}, "two", "three"]"#);
    nights.release();
    let ended = next.wait();
    ended.assert_code(0);
    drop(night.wait());
    assert_eq!(nights.worked(), ["one", "two", "three"]);
    assert_eq!(nights.states(), ["completed"; 3]);
}

#[test]
fn an_end_that_is_wished_interrupts_the_run_and_names_the_command_to_go_on() {
    let nights = Nights::new();
    nights.list(&format!(r#"[{{"task": "one", "checks": ["{}"]}}, "two"]"#, nights.holding()));
    let night = nights.start(&[LIST, "--max-cost-usd", "9"]);
    nights.until_held();
    night.signal(Signal::TERM);
    let ended = night.end();
    ended.assert_code(130);
    assert!(ended.stderr.contains("to go on: ccc night tasks --max-cost-usd 9"), "{}", ended.stderr);
    assert_eq!(nights.states(), ["interrupted", "queued"]);
    nights.release();
    nights.run(&[LIST]).assert_code(0);
    assert_eq!(nights.worked(), ["one", "two"], "the first is continued");
}

#[test]
fn the_money_of_the_night_is_for_all_runs_and_a_list_from_stdin_is_known_by_its_content() {
    let nights = Nights::new();
    let file = nights.0.ground.write("stdin", "one\ntwo\nthree\n");
    let run = |args: &[&str]| {
        let mut command = nights.command(&["-"]);
        command.args(args).stdin(File::open(&file).expect("the list"));
        Running::spawn(&nights.0.ground, &mut command).wait()
    };
    let ended = run(&["--max-cost-usd", "1.5"]);
    ended.assert_code(4);
    for said in
        ["the money given by --max-cost-usd is spent", "with the same list on stdin: ccc night - --max-cost-usd 1.5"]
    {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let status = nights.status(&[]);
    assert_eq!((status["end"].as_str(), status["list"].is_null()), (Some("money"), true));
    assert_eq!(status["tasks"][2]["state"], "queued");
    run(&[]).assert_code(0);
    assert_eq!(nights.worked(), ["one", "two", "three"]);
}

#[test]
fn no_task_starts_while_the_rest_of_the_usage_is_kept_for_the_user() {
    let provider = Provider::start();
    let resets_at = jiff::Timestamp::from_second(now_ms() / 1_000 + 7_200).expect("a time").to_string();
    let usage = json!({"five_hour": {"utilization": 85.0, "resets_at": resets_at}});
    provider.answers("/api/oauth/usage", Reply::of(200, &usage.to_string()));
    let ground = Ground::without_git()
        .env("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up-0123456789")
        .env("ANTHROPIC_API_KEY", "")
        .env("CCC_USAGE_BASE_URL", provider.url());
    let nights = Nights::on(ground);
    nights.list("one\n");
    let ended = nights.run(&[LIST, "--reserve", "20", "--until", "+1h"]);
    ended.assert_code(75);
    for said in ["85 % of the window five_hour", "kept for you (--reserve)", "no reset comes in time"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert_eq!(nights.worked(), [""; 0]);
    nights.run(&[LIST, "--reserve", "10", "--until", "+1h"]).assert_code(0);
}

#[test]
fn a_run_that_comes_to_the_rest_of_the_usage_gives_way_and_is_continued_after_the_reset() {
    let provider = Provider::start();
    let usage = |percent: f64, resets_in_s: Option<i64>| {
        let at = |seconds| jiff::Timestamp::from_second(now_ms() / 1_000 + seconds).expect("a time").to_string();
        let resets_at = resets_in_s.map(at);
        let usage = json!({"five_hour": {"utilization": percent, "resets_at": resets_at}});
        provider.answers("/api/oauth/usage", Reply::of(200, &usage.to_string()));
    };
    // A window that is not begun has no reset.
    usage(50.0, None);
    let ground = Ground::without_git()
        .env("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up-0123456789")
        .env("ANTHROPIC_API_KEY", "")
        .env("CCC_USAGE_CHECK_INTERVAL", "1")
        .env("CCC_USAGE_BASE_URL", provider.url());
    let nights = Nights::on(ground);
    nights.list("one\n");
    let hold = nights.holding();
    let night =
        nights.start(&[LIST, "--reserve", "20", "--until", "+1h", "--on-failure", "stop", "--", "--check", &hold]);
    nights.until_held();
    usage(85.0, Some(8));
    usage_is_due(&nights.0.ground.state());
    // The night notes it when the run has ended.
    let words = look_until("the run gives way", || {
        let shown = nights.run(&["--status", LIST]);
        let words = shown.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        words.contains("1 gave way one").then_some(words)
    });
    let why = "it gave way, because the rest of the usage is kept for you; it is continued at ";
    assert!(words.contains(why) && !words.contains("SIGTERM"), "{words}");
    let task = nights.status(&[LIST])["tasks"][0].clone();
    assert!(task["reason"].as_str().is_some_and(|reason| reason.starts_with(why)), "{task}");
    assert!(task["gave_way"]["again_unix_ms"].as_i64().is_some_and(|at| at > now_ms()), "{task}");
    nights.release();
    usage(5.0, Some(18_000));
    let ended = night.wait();
    ended.assert_code(0);
    let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["85 % of the window five_hour", "the rest is kept for you: the run is ended, and continued later"] {
        assert!(said.contains(part), "{part}: {}", ended.stderr);
    }
    assert_eq!((nights.worked(), nights.runs().len()), (vec!["one".to_owned()], 1));
}

#[test]
fn a_reset_that_comes_in_time_is_waited_for_and_the_machine_is_kept_awake() {
    let provider = Provider::start();
    let resets_at = jiff::Timestamp::from_second(now_ms() / 1_000 + 4).expect("a time").to_string();
    let usage = json!({"five_hour": {"utilization": 85.0, "resets_at": resets_at}});
    provider.answers("/api/oauth/usage", Reply::of(200, &usage.to_string()));
    let ground = Ground::without_git()
        .env("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up-0123456789")
        .env("ANTHROPIC_API_KEY", "")
        .env("CCC_USAGE_BASE_URL", provider.url());
    let nights = Nights::on(kept_awake(ground));
    nights.list("one\n");
    let ended = nights.run(&[LIST, "--reserve", "20", "--until", "+1h"]);
    ended.assert_code(0);
    assert!(ended.stderr.contains("waiting for its reset"), "{}", ended.stderr);
    assert_eq!(nights.worked(), ["one"]);
    let awake = fs::read_to_string(nights.0.ground.home().join("awake")).expect("locks");
    assert!(awake.starts_with("--why=a list of tasks waits\nover\n--why=the run "), "{awake}");
}
