//! Reports of the recorded runs, and of runs whose every text is hostile.

mod browser;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use html5gum::{DefaultEmitter, Token, Tokenizer};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use redaction::Redactor;
use serde_json::Value;

use super::text::Washer;
use super::{
    Changes, Closing, Difference, NightRun, Nights, Place, Recorder, Report, RunState, markdown, of_run, page,
};
use crate::agent::Role;
use crate::core::{Finish, Input, Outcome, Plan, Show, Tick};
use crate::driver;
use crate::journal::{JournalReader, RunSummary};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("journal.jsonl")
}

fn report(name: &str) -> Report {
    of_run(&fixture(name), &Redactor::new()).expect("a report").report
}

fn html(report: &Report) -> String {
    page(report, &TimeZone::UTC).expect("a page")
}

#[test]
fn the_report_of_a_night_says_what_was_asked_and_what_became_of_it() {
    let report = report("runs/demo");
    assert_eq!((report.state, report.outcome), (RunState::Ended, Some(Outcome::Completed)));
    assert_eq!(report.reason.as_str(), "the critic agrees that the task is done");
    assert!(report.asked[0].text.text.as_str().starts_with("Write wordcount.sh"));
    let verdict = report.verdict.as_ref().expect("a verdict");
    assert_eq!((verdict.verdict.as_str(), verdict.iteration), ("completed", 3));
    assert!(verdict.points[0].what.as_str().contains("Words are counted"), "{verdict:?}");
    let iterations: Vec<(usize, bool, Option<&str>)> = report
        .iterations
        .iter()
        .map(|it| (it.number, it.checks.iter().all(|check| check.passed), it.verdict.as_ref().map(|it| it.as_str())))
        .collect();
    assert_eq!(iterations, [(1, false, None), (2, true, Some("feedback")), (3, true, Some("completed"))]);
    assert!(report.iterations[0].edits.iter().any(|file| file.path.as_str() == "wordcount.sh"));
    let restart = report.interruptions.iter().find(|it| it.reason.as_str().contains("signal 9"));
    assert!(restart.is_some(), "{:?}", report.interruptions);
    assert!(report.totals.cost_usd.is_some_and(|usd| (usd - 0.14).abs() < 1e-6));
    assert!(report.totals.critic_cost_usd.is_some_and(|usd| usd > 0.0 && usd < 0.14));
    assert!(report.tests.findings.iter().any(|finding| finding.path.as_str() == "test.sh"));
    assert_eq!(report.timeline.lanes.len(), 1);
    assert!(report.timeline.lanes[0].stretches.len() > 10);
}

#[test]
fn every_recorded_run_has_a_report_in_every_format() {
    for name in [
        "runs/busy-2.1.329",
        "runs/command",
        "runs/demo",
        "runs/needs-user-2.1.329",
        "runs/night-2.1.197",
        "runs/night-2.1.329",
        "runs/stuck-2.1.329",
        "compat/1.0",
        "compat/1.1",
        "compat/1.1-command",
        "compat/1.3",
    ] {
        let mut report = report(name);
        report.add_steps("20261120-202521-bphr", Some("ccc resume x"), None, &Place::Repository, &Washer::default());
        // The oldest one was made by hand; the present core does not end it.
        assert!(report.outcome.is_some() || name == "compat/1.0", "{name}");
        let page = html(&report);
        if let Some(dir) = std::env::var_os("CCC_WRITE_PAGE") {
            std::fs::write(Path::new(&dir).join(name.replace('/', "-") + ".html"), &page).expect("written");
        }
        check_page(&page);
        let text = markdown(&report, &TimeZone::UTC);
        let mut is_code = false;
        for line in text.lines() {
            if line.starts_with("```") {
                is_code = line == "```sh";
            }
            assert!(is_code || crate::ui::columns::of(line) <= 80, "{name}: {line}");
        }
        let json: Value = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["report"], 1);
    }
}

/// Two runs, and one whose every text is hostile.
fn nights_with_hostile_texts() -> Nights {
    let read = |name: &str| RunSummary::read(&fixture(name).with_file_name("run.json")).expect("a summary");
    let (demo, stuck) = (read("runs/demo"), read("runs/stuck-2.1.329"));
    let mut hostile = demo.clone();
    for text in [&mut hostile.id, &mut hostile.task, &mut hostile.cwd] {
        text.push_str(&PAYLOADS.concat());
    }
    (hostile.outcome, hostile.ended_unix_ms, hostile.reason) = (None, None, Some(PAYLOADS.concat()));
    let run = |summary, page: Option<&str>| NightRun { summary, is_running: false, page: page.map(str::to_owned) };
    let runs = [run(&demo, Some("/state/a%b#c/report.html")), run(&stuck, None), run(&hostile, None)];
    Nights::of(&runs, 0, demo.updated_unix_ms, &Washer::default())
}

#[test]
fn several_runs_have_one_page_with_sums_and_links() {
    let nights = nights_with_hostile_texts();
    let told: Vec<(&str, usize)> = nights.outcomes.iter().map(|it| (it.outcome.as_str(), it.runs)).collect();
    assert_eq!(told, [("completed", 1), ("stuck", 1), ("broken", 1)]);
    assert!((nights.cost_usd - 0.28048).abs() < 1e-9 && nights.iterations == 10);
    let page = nights.page(&TimeZone::UTC).expect("a page");
    assert!(page.contains("href=\"/state/a%25b%23c/report.html\""), "{page}");
    check_elements(&page, "/state/");
    let text = nights.markdown(&TimeZone::UTC);
    assert!(text.contains("- **completed** 20261120-202521-bphr (15s, $0.14): Write wordcount.sh"), "{text}");
    assert!(text.lines().all(|line| crate::ui::columns::of(line) <= 80), "{text}");
}

#[test]
fn the_page_of_a_list_has_its_name_in_the_title() {
    let list = format!("tonight.md{}", PAYLOADS.concat());
    let nights = nights_with_hostile_texts().of_list(&list, &Washer::default());
    let page = nights.page(&TimeZone::UTC).expect("a page");
    assert!(page.contains("<title>tonight.md"), "{page}");
    check_elements(&page, "/state/");
    let nights = nights_with_hostile_texts().of_list("*tonight.md", &Washer::default());
    let text = nights.markdown(&TimeZone::UTC);
    assert!(text.starts_with("# \\*tonight.md: runs since 1970-01-01 00:00\n"), "{text}");
}

#[test]
fn a_task_that_the_summary_has_cut_says_so() {
    let read = RunSummary::read(&fixture("runs/demo").with_file_name("run.json")).expect("a summary");
    let told = |task: String| {
        let summary = RunSummary { task, ..read.clone() };
        let run = NightRun { summary: &summary, is_running: false, page: None };
        Nights::of(&[run], 0, 0, &Washer::default()).runs.remove(0).task.to_string()
    };
    assert_eq!(told("Do it.".to_owned()), "Do it.");
    let long = told(RunSummary::task_of(&"word ".repeat(100), &Redactor::new()));
    assert!(long.ends_with("word…") && !long.ends_with("……"), "{long}");
}

#[test]
fn a_row_has_the_runs_own_time_and_how_many_calls_were_denied() {
    let read = RunSummary::read(&fixture("runs/demo").with_file_name("run.json")).expect("a summary");
    let ended = read.ended_unix_ms.expect("an end");
    let row = |summary: &RunSummary, is_running| {
        let run = NightRun { summary, is_running, page: None };
        Nights::of(&[run], 0, ended + 9_000, &Washer::default())
    };
    // An older ccc has written no time of the run's own.
    assert_eq!(row(&read, false).runs[0].took_ms, u64::try_from(ended - read.started_unix_ms).expect("a time"));
    let own = RunSummary { elapsed_ms: Some(2_000), tools_denied: Some(2), ..read.clone() };
    let nights = row(&own, false);
    assert_eq!(nights.runs[0].took_ms, 2_000);
    for text in [nights.page(&TimeZone::UTC).expect("a page"), nights.markdown(&TimeZone::UTC)] {
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains("2 tool calls were denied"), "{text}");
    }
    let running = RunSummary { ended_unix_ms: None, outcome: None, updated_unix_ms: ended + 8_000, ..own };
    assert_eq!(row(&running, true).runs[0].took_ms, 3_000);
    assert_eq!(row(&running, false).runs[0].took_ms, 2_000, "nobody works on it");
}

#[test]
fn a_report_in_markdown() {
    insta::assert_snapshot!(markdown(&report("runs/demo"), &TimeZone::UTC));
}

/// The fields of the JSON format, which docs/report.md names.
#[test]
fn the_page_of_the_documentation_names_every_field() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md")).expect("a page");
    let mut report = report("runs/demo");
    report.add_changes(&hostile_changes("x"), &Washer::default());
    report.add_steps("x", Some("ccc resume x"), None, &Place::Elsewhere, &Washer::default());
    let mut names = Vec::new();
    fields(&serde_json::to_value(&report).expect("JSON"), &mut names);
    for name in names {
        assert!(docs.contains(&format!("`{name}`")), "{name}");
    }
}

fn fields(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if !names.contains(name) {
                    names.push(name.clone());
                }
                fields(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a page may consist of. Nothing of it can load, send or run anything.
fn check_page(page: &str) {
    let counts = check_elements(page, "#");
    for once in ["script", "style", "form", "body", "html", "h1"] {
        assert_eq!(counts.get(once), Some(&1), "<{once}>");
    }
}

/// The same for any page, whose links begin like this; how often it has each element.
fn check_elements(page: &str, link: &str) -> BTreeMap<String, usize> {
    const TAGS: &[&str] = &[
        "html", "head", "meta", "title", "style", "body", "header", "p", "span", "h1", "h2", "h3", "dl", "div", "dt",
        "dd", "nav", "ul", "li", "a", "main", "section", "pre", "code", "table", "thead", "tbody", "tr", "th", "td",
        "svg", "rect", "line", "polyline", "details", "summary", "strong", "b", "br", "form", "label", "input",
        "button", "footer", "script",
    ];
    const ATTRIBUTES: &[&str] = &[
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "id",
        "href",
        "aria-label",
        "aria-labelledby",
        "aria-hidden",
        "role",
        "tabindex",
        "scope",
        "viewbox",
        "preserveaspectratio",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "width",
        "height",
        "points",
        "open",
        "hidden",
        "for",
        "type",
        "autocomplete",
        "spellcheck",
    ];
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(page, emitter) {
        let token = token.expect("a token");
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                // `title` stands in the timeline, too.
                assert!(TAGS.contains(&name.as_str()), "an element <{name}>");
                for (attribute, value) in &tag.attributes {
                    let attribute = String::from_utf8_lossy(attribute).into_owned();
                    assert!(ATTRIBUTES.contains(&attribute.as_str()), "an attribute {attribute} of <{name}>");
                    let value = String::from_utf8_lossy(&value.value);
                    assert!(attribute != "href" || value.starts_with(link), "a link to {value}");
                }
                *counts.entry(name).or_default() += 1;
            }
            Token::Comment(comment) => panic!("a comment: {:?}", String::from_utf8_lossy(&comment.value)),
            Token::Error(error) => panic!("not well-formed: {:?}", error.value),
            Token::EndTag(_) | Token::String(_) | Token::Doctype(_) => {}
        }
    }
    for c in page.chars() {
        let acts = c.is_control() && c != '\n'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        assert!(!acts, "{c:?} stands in the page");
    }
    counts
}

/// Puts `payload` into every text of a value that may be any text.
fn poisoned(show: &Show, payload: &str) -> Show {
    fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(path.to_owned()),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| paths(item, &format!("{path}/{n}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| paths(value, &format!("{path}/{name}"), found))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut value = serde_json::to_value(show).expect("JSON");
    let mut all = Vec::new();
    paths(&value, "", &mut all);
    for path in all {
        let mut other = value.clone();
        let text = other.pointer_mut(&path).expect("there");
        // The kind of the event and words with a meaning stay.
        let keeps = ["/event", "/phase", "/verdict", "/id"].contains(&path.as_str());
        if keeps {
            continue;
        }
        *text = Value::String(format!("{}{payload}", text.as_str().unwrap_or_default()));
        if serde_json::from_value::<Show>(other.clone()).is_ok() {
            value = other;
        }
    }
    serde_json::from_value(value).expect("an event")
}

/// Events that the recorded run does not have.
fn more_events() -> Vec<Show> {
    [
        r#"{"event":"thinking","role":"agent","text":"t"}"#,
        r#"{"event":"denied","role":"critic","tool":"Bash","target":"rm"}"#,
        r#"{"event":"notice","text":"t"}"#,
        r#"{"event":"information","text":"t"}"#,
        r#"{"event":"rotation","from":"A","to":"B","why":"w"}"#,
        r#"{"event":"windows","label":"B","five_hour":0.5,"seven_day":0.1}"#,
        r#"{"event":"windows","label":"B","five_hour":0.6,"seven_day":null}"#,
        r#"{"event":"spent","tokens":[{"label":"B","until_unix_ms":null,"refused":false,"held":false}],"until_unix_ms":1,"waits":true,"now_unix_ms":0}"#,
        r#"{"event":"phase","phase":"waiting","detail":"d","iteration":1,"goes_on_in_ms":null}"#,
        r#"{"event":"phase","phase":"restarting","detail":"d","iteration":1,"goes_on_in_ms":null}"#,
        r#"{"event":"turn","kind":"operator","text":"t"}"#,
        r#"{"event":"turn","kind":"worker","text":"t"}"#,
        r#"{"event":"settled","ask":1,"how":"denied","words":"w"}"#,
        r#"{"event":"check","command":"c","passed":false,"summary":"s","duration_ms":1,"tail":"t","setup":true}"#,
        r#"{"event":"check","command":"c","passed":false,"summary":"s","duration_ms":1,"tail":"t"}"#,
        r#"{"event":"verdict","verdict":"needs_user","text":"- a: b\n- c","iteration":1}"#,
        r#"{"event":"verdict","verdict":"unusable","text":"t","iteration":1}"#,
    ]
    .iter()
    .map(|json| serde_json::from_str(json).expect("an event"))
    .collect()
}

fn hostile_changes(payload: &str) -> Changes {
    // A line end in a path is quoted by git.
    let path = payload.replace('\n', "\\n");
    let patch = format!(
        "diff --git a/test_{path} b/test_{path}\n--- a/test_{path}\n+++ b/test_{path}\n@@ -1 +1,2 @@\n-assert x {payload}\n+# x\n+@pytest.mark.skip {payload}\ndiff --git a/old b/new\nrename from old{path}\nrename to new{path}\n"
    );
    let of = |from, to| Difference { from, to, unix_ms: 1_795_206_322_000, patch: patch.clone().into_bytes() };
    Changes { stops: vec![of(None, Some(1)), of(Some(1), Some(2))], whole: Some(of(None, Some(2))) }
}

/// The report of the demonstration, with `payload` in every text.
fn poisoned_report(shows: &[(i64, Tick, Show)], plan: &Plan, payload: &str) -> Report {
    let mut plan = plan.clone();
    for text in [&mut plan.run_id, &mut plan.task, &mut plan.cwd, &mut plan.agent_version] {
        text.push_str(payload);
    }
    plan.earlier_turns = vec![payload.to_owned()];
    let mut recorder = Recorder::of_agent(&plan, Washer::default());
    for (unix_ms, tick, show) in shows {
        recorder.command_show(*unix_ms, *tick, &poisoned(show, payload));
    }
    recorder.finish(&Finish::new(Outcome::Stuck, payload));
    let mut report = recorder.end(Closing { incomplete: Some(payload.to_owned()), is_running: false });
    let washer = Washer::default();
    report.add_changes(&hostile_changes(payload), &washer);
    for place in [
        Place::Agent { name: payload.to_owned() },
        Place::Checkpoints { first: 1 },
        Place::Repository,
        Place::Elsewhere,
    ] {
        report.add_steps(payload, Some(payload), Some(payload), &place, &washer);
    }
    report
}

fn demo_events() -> (Plan, Vec<(i64, Tick, Show)>) {
    let journal = fixture("runs/demo");
    let plan = JournalReader::open(&journal).expect("a journal").plan().expect("a plan");
    let mut shows = Vec::new();
    driver::retell(&journal, |core, _, tick, action| {
        if let Some(show) = action.as_show() {
            shows.push((core.wall_ms(), tick, show.clone()));
        }
    })
    .expect("a run");
    let (unix_ms, tick) = shows.last().map(|(unix_ms, tick, _)| (*unix_ms, *tick)).expect("events");
    let end = shows.len() - 1;
    for show in more_events() {
        shows.insert(end, (unix_ms, tick, show));
    }
    (plan, shows)
}

const PAYLOADS: &[&str] = &[
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "--><svg onload=alert(1)>",
    "]]><iframe src=javascript:alert(1)>",
    "&lt;script&gt;&#60;script&#62;",
    "\0\u{1b}[31m\u{1b}]0;title\u{7}\u{202e}\u{2066}\u{200f}\r\u{8}",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% include \"x\" %}",
    "\n</pre></details></main></body></html><base href=//evil>",
    "<!--",
    "<plaintext>",
];

#[test]
fn no_text_of_a_run_becomes_an_element_or_an_attribute_of_the_page() {
    let (plan, shows) = demo_events();
    for payload in PAYLOADS {
        let report = poisoned_report(&shows, &plan, payload);
        assert!(!report.denied.is_empty() && !report.windows.is_empty() && report.diff.is_some());
        check_page(&html(&report));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn no_mixture_of_hostile_texts_becomes_one_either(parts in prop::collection::vec(prop::sample::select(PAYLOADS), 1..4), any in "\\PC{0,20}") {
        let (plan, shows) = demo_events();
        check_page(&html(&poisoned_report(&shows, &plan, &format!("{}{any}", parts.concat()))));
    }
}

#[test]
fn a_page_runs_only_its_own_script_and_style() {
    let page = html(&report("runs/demo"));
    let between = |open: &str, close: &str| {
        page.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map(|(inner, _)| inner).expect("there")
    };
    let policy = super::html::policy(between("<style>", "</style>"), between("<script>", "</script>"));
    assert!(page.contains(&policy.replace('\'', "&#39;")), "{policy}");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"));
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn a_secret_stands_in_no_report() {
    let (plan, shows) = demo_events();
    let secret = format!("ghp_{}", "a1".repeat(18));
    let report = poisoned_report(&shows, &plan, &format!(" {secret} "));
    assert!(!html(&report).contains(&secret) && !markdown(&report, &TimeZone::UTC).contains(&secret));
    assert!(!serde_json::to_string(&report).expect("JSON").contains(&secret));
}

#[test]
fn a_journal_without_its_end_has_a_report_that_says_so() {
    let whole = std::fs::read_to_string(fixture("runs/demo")).expect("a journal");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.jsonl");
    let part: Vec<&str> = whole.lines().take(100).collect();
    std::fs::write(&path, part.join("\n") + "\n").expect("written");
    let made = of_run(&path, &Redactor::new()).expect("a report");
    assert_eq!((made.report.state, made.report.outcome), (RunState::Broken, None));
    assert!(made.report.iterations.len() == 2 && made.finish.is_none());
    check_page(&html(&made.report));
    std::fs::write(&path, part[..60].join("\n") + "\n{\"n\":99,\"damage\n" + part[70]).expect("written");
    let made = of_run(&path, &Redactor::new()).expect("a report");
    assert!(!made.report.incomplete.is_empty());
    std::fs::write(&path, "").expect("written");
    assert!(of_run(&path, &Redactor::new()).is_err());
}

#[test]
fn differences_belong_to_the_iterations_in_which_they_were_made() {
    let mut report = report("runs/demo");
    let patch = b"diff --git a/tests/a.rs b/tests/a.rs\ndeleted file mode 100644\n--- a/tests/a.rs\n+++ /dev/null\n@@ -1 +0,0 @@\n-#[test]\n".to_vec();
    let at = |iteration: usize| report.run.started_unix_ms + report.iterations[iteration].to_ms as i64;
    let of = |from, to, unix_ms: i64| Difference {
        from,
        to: Some(to),
        unix_ms: unix_ms / 1_000 * 1_000,
        patch: patch.clone(),
    };
    let stops = vec![of(None, 1, at(0)), of(Some(1), 2, at(1)), of(Some(2), 3, at(2))];
    let changes = Changes { whole: Some(of(None, 3, at(2))), stops };
    report.add_changes(&changes, &Washer::default());
    let told: Vec<Option<u64>> = report.iterations.iter().map(|it| it.diff.as_ref().and_then(|diff| diff.to)).collect();
    assert_eq!(told, [Some(1), Some(2), Some(3)]);
    assert_eq!(report.tests.findings[0].path.as_str(), "tests/a.rs");
    check_page(&html(&report));
}

#[test]
fn a_checkpoint_in_the_second_in_which_an_iteration_ends_belongs_to_the_next_if_that_has_its_own() {
    let mut report = report("runs/demo");
    // The second stop comes in the second in which the first iteration ended.
    let (first, start) = (report.iterations[0].to_ms, report.run.started_unix_ms);
    let second_of = |at_ms: u64| (start + at_ms as i64) / 1_000 * 1_000;
    let patch = patch_of("a.rs", "new", "+a\n").into_bytes();
    let of = |from, to, at_ms| Difference {
        from: Some(from),
        to: Some(to),
        unix_ms: second_of(at_ms),
        patch: patch.clone(),
    };
    let stops = vec![of(1, 2, first.saturating_sub(500)), of(2, 3, first)];
    report.add_changes(&Changes { whole: None, stops }, &Washer::default());
    let told: Vec<Option<u64>> = report.iterations.iter().map(|it| it.diff.as_ref().and_then(|diff| diff.to)).collect();
    assert_eq!(told, [Some(2), Some(3), None]);
}

/// A patch of one file.
fn patch_of(path: &str, fate: &str, lines: &str) -> String {
    let (from, to) = (format!("a/{path}"), format!("b/{path}"));
    let (old, new) = match fate {
        "new" => ("/dev/null", to.as_str()),
        "deleted" => (from.as_str(), "/dev/null"),
        _ => (from.as_str(), to.as_str()),
    };
    let mode = if fate == "changed" { String::new() } else { format!("{fate} file mode 100644\n") };
    let count = |sign: char| lines.lines().filter(|line| line.starts_with(sign)).count();
    format!(
        "diff --git a/{path} b/{path}\n{mode}--- {old}\n+++ {new}\n@@ -1,{} +1,{} @@\n{lines}",
        count('-'),
        count('+')
    )
}

/// Three stops of the demonstration: a test comes and goes, one is changed and put back, one loses an assertion.
fn changes_of_tests(report: &Report) -> Changes {
    let at = |iteration: usize| report.run.started_unix_ms + report.iterations[iteration].to_ms as i64;
    let of = |from, to, at_ms: i64, patch: String| Difference {
        from: Some(from),
        to: Some(to),
        unix_ms: at_ms / 1_000 * 1_000,
        patch: patch.into_bytes(),
    };
    let stays = patch_of("wordcount.sh", "new", "+#!/bin/sh\n+wc -w < \"$1\"\n");
    let weaker = patch_of("tests/words_test.py", "changed", "-assert count(x) == 5\n+count(x)\n");
    let stops = vec![
        of(1, 2, at(0), patch_of("tests/gone.rs", "new", "+#[test]\n+fn counts() {}\n") + &stays),
        of(2, 3, at(1), patch_of("tests/back.rs", "changed", "-a\n+b\n") + &weaker),
        of(
            3,
            4,
            at(2),
            patch_of("tests/gone.rs", "deleted", "-#[test]\n-fn counts() {}\n")
                + &patch_of("tests/back.rs", "changed", "-b\n+a\n"),
        ),
    ];
    Changes { whole: Some(of(1, 4, at(2), stays + &weaker)), stops }
}

#[test]
fn a_test_that_came_and_went_again_is_named() {
    let mut report = report("runs/demo");
    report.add_changes(&changes_of_tests(&report), &Washer::default());
    let told: Vec<(&str, &str, Vec<&str>)> = report
        .tests
        .findings
        .iter()
        .map(|it| (it.touch.in_words(), it.path.as_str(), it.lines.iter().map(|line| line.as_str()).collect()))
        .collect();
    assert_eq!(
        told,
        [
            ("came and went again", "tests/gone.rs", vec!["added at checkpoint 2", "removed at checkpoint 4"]),
            ("fewer assertions", "tests/words_test.py", vec!["assert count(x) == 5"]),
            (
                "touched in between; at the end as before",
                "test.sh",
                vec!["edited by the agent's tools; no checkpoint shows it"]
            ),
            (
                "touched in between; at the end as before",
                "tests/back.rs",
                vec!["changed at checkpoint 3", "changed at checkpoint 4"]
            ),
            ("changed", "tests/words_test.py", vec![]),
        ]
    );
    let text = markdown(&report, &TimeZone::UTC);
    assert!(text.contains("- **came and went again**: `tests/gone.rs`"), "{text}");
    assert!(
        text.contains("## What changed\n\n- `wordcount.sh` added +2 −0\n- `tests/words_test.py` +1 −1\n"),
        "{text}"
    );
}

#[test]
fn what_the_checks_had_of_protected_files_stands_with_the_tests() {
    let report = |protected: serde_json::Value| {
        let (plan, _) = demo_events();
        let mut recorder = Recorder::of_agent(&plan, Washer::default());
        let finish = serde_json::json!({
            "outcome": "completed", "reason": "", "result": "", "iterations": 1, "restarts": 0, "rotations": 0, "waited_ms": 0, "session_id": null, "cost_usd": null,
            "protected": protected,
        });
        recorder.finish(&serde_json::from_value(finish).expect("an end"));
        recorder.end(Closing::default())
    };
    let restored = report(serde_json::json!({"restored": ["tests/<b>.sh"], "more": 2}));
    let said = "the checks ran with these as they were when the run began: tests/<b>.sh and 2 more";
    assert_eq!(restored.protected.as_str(), said);
    let page = html(&restored);
    assert!(page.contains("Protected files: ") && page.contains("tests/&#60;b&#62;.sh and 2 more"), "{page}");
    let text = markdown(&restored, &TimeZone::UTC);
    assert!(text.contains("Protected files: the checks ran with these"), "{text}");
    assert!(!markdown(&report(serde_json::Value::Null), &TimeZone::UTC).contains("Protected"));
}

#[test]
fn a_sleep_of_the_machine_is_a_row_with_its_times_and_no_part_of_the_duration() {
    let (plan, _) = demo_events();
    let mut recorder = Recorder::of_agent(&plan, Washer::default());
    // 22:09 on the wall clock; a minute of the run's own time later it is 01:05.
    let began = Input::Began { unix_ms: 1_795_212_540_000, resumed: false, turn_recorded: None, tokens: Vec::new() };
    recorder.input(Tick::ZERO, &began);
    recorder.command_show(
        1_795_212_540_000,
        Tick::ZERO,
        &serde_json::from_str(r#"{"event":"phase","phase":"working","detail":"","iteration":1,"goes_on_in_ms":null}"#)
            .expect("an event"),
    );
    recorder.input(Tick::ZERO.plus_ms(60_000), &Input::Elapsed { unix_ms: 1_795_223_100_000 });
    let report = recorder.end(Closing::default());
    let text = markdown(&report, &TimeZone::UTC);
    assert!(text.contains("- 22:10:00–01:05:00 away (2h 55m): the machine slept, or its clock was set\n"), "{text}");
    let page = html(&report);
    assert!(page.contains("<td>22:10:00–01:05:00</td>") && page.contains("<rect class=\"away\""), "{page}");
    // As the terminal's end says it: the time in which nothing ran is not the run's.
    assert!(page.contains(">1m 00s</p>") && text.contains(", 1m 00s\n"), "{text}");
}

#[test]
fn a_report_of_a_journal_without_its_end_has_the_end_of_the_summary_and_says_what_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read_to_string(fixture("runs/demo")).expect("read");
    let lines: Vec<&str> = whole.lines().collect();
    let half: String = lines[..lines.len() / 2].iter().flat_map(|line| [*line, "\n"]).collect();
    std::fs::write(dir.path().join("journal.jsonl"), half).expect("written");
    let read = RunSummary::read(&fixture("runs/demo").with_file_name("run.json")).expect("a summary");
    let missing = Some("the journal lacks its last entries, because they could not be written (full)".to_owned());
    let told = |summary: &RunSummary| {
        summary.write(&dir.path().join("run.json"), &Redactor::new()).expect("written");
        of_run(&dir.path().join("journal.jsonl"), &Redactor::new()).expect("a report").report
    };
    let report = told(&RunSummary { journal_missing: missing.clone(), ..read.clone() });
    assert_eq!((report.state, report.outcome), (RunState::Ended, Some(Outcome::Completed)));
    assert_eq!(Some(report.reason.as_str()), read.reason.as_deref());
    assert_eq!(Some(report.incomplete.as_str()), missing.as_deref());
    assert!(html(&report).contains("the journal lacks its last entries"));
    // A run whose ccc was killed has no such summary.
    let report = told(&RunSummary { outcome: None, ..read });
    assert_eq!((report.state, report.outcome), (RunState::Broken, None));
}

#[test]
fn denied_calls_are_said_with_the_outcome() {
    let (plan, shows) = demo_events();
    let told = |reason: &str, times: usize| {
        let mut recorder = Recorder::of_agent(&plan, Washer::default());
        for (unix_ms, tick, show) in shows.iter().filter(|(.., show)| !matches!(show, Show::Denied { .. })) {
            recorder.command_show(*unix_ms, *tick, show);
        }
        let (unix_ms, tick, _) = shows.last().expect("an event");
        for (role, times) in [(Role::Agent, times), (Role::Critic, 1)] {
            let denied = Show::Denied { role, tool: "Write".to_owned(), target: "a".to_owned() };
            (0..times).for_each(|_| recorder.command_show(*unix_ms, *tick, &denied));
        }
        recorder.finish(&Finish::new(Outcome::Completed, reason));
        recorder.end(Closing::default())
    };
    for (times, words) in [(1, "; 1 tool call was denied"), (3, "; 3 tool calls were denied"), (0, "")] {
        let report = told("the critic agrees", times);
        assert_eq!(report.totals.tools_denied as usize, times);
        let sentence = format!("the critic agrees{words}");
        assert!(html(&report).contains(&format!("<p class=\"why\">{sentence}</p>")));
        assert!(markdown(&report, &TimeZone::UTC).contains(&format!("\n\n{sentence}\n")), "{sentence}");
    }
    assert!(!markdown(&told("Write was denied", 3), &TimeZone::UTC).contains("3 tool calls were denied\n\n- "));
}
