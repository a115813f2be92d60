//! A report as one HTML page, which needs no other file and no network.
//!
//! The template escapes every value. Only the page's own style and script are written as they are, and the content security
//! policy names their hashes: a script or style that an agent smuggled in would not run, and nothing may be loaded.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::model::{Interruption, Iteration, LineTold, Moment, Report, RunState, Spending, Step};
use super::text::Text;
use super::timeline::{Activity, Lane, Stretch};
use super::transcript::{Entry, EntryKind};
use super::words::{self, Fact};
use crate::agent::Role;
use crate::core::{Outcome, Tone};
use crate::journal::RunKind;
use crate::patch::Sign;
use crate::ui::{clean, format};

pub(super) const STYLE: &str = include_str!("../../templates/report/style.css");
const SCRIPT: &str = include_str!("../../templates/report/script.js");
/// How many characters of the task are the title.
const TITLE_CHARS: usize = 140;
/// How many moments are marked below the timeline.
const MARKS: usize = 400;
/// The divisions of the time axis.
const TICKS: u64 = 4;
/// A run of at most this length has seconds on its axis.
const SHORT_MS: u64 = 10 * 60_000;

/// The policy of a page with this style and script.
pub(super) fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(script)
    )
}

/// The page.
///
/// # Errors
/// When the template fails, which no content of a report makes it do.
pub fn page(report: &Report, zone: &TimeZone) -> Result<String, askama::Error> {
    let page = Page {
        r: report,
        zone,
        style: STYLE,
        script: SCRIPT,
        csp: policy(STYLE, SCRIPT),
        charts: charts(report),
        parts: parts(&report.transcript.entries),
    };
    page.render()
}

#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'a> {
    r: &'a Report,
    zone: &'a TimeZone,
    style: &'static str,
    script: &'static str,
    csp: String,
    charts: Vec<Chart>,
    parts: Vec<Part<'a>>,
}

/// The entries of one iteration.
struct Part<'a> {
    number: usize,
    /// An iteration whose entries are in several parts has one that links lead to.
    has_id: bool,
    entries: usize,
    rows: Vec<Row<'a>>,
}

enum Row<'a> {
    /// So many entries are left out.
    Gap(u64),
    Entry(&'a Entry),
}

fn parts(entries: &[Entry]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut before = 0;
    for entry in entries {
        if parts.last().is_none_or(|part| part.number != entry.iteration) {
            let has_id = parts.iter().all(|part| part.number != entry.iteration);
            parts.push(Part { number: entry.iteration, has_id, entries: 0, rows: Vec::new() });
        }
        if let Some(part) = parts.last_mut() {
            let missing = entry.n.saturating_sub(before + 1);
            if missing > 0 {
                part.rows.push(Row::Gap(missing));
            }
            part.rows.push(Row::Entry(entry));
            part.entries += 1;
        }
        before = entry.n;
    }
    parts
}

/// A chart over the time of the run.
struct Chart {
    title: String,
    label: String,
    top: String,
    curves: Vec<Curve>,
}

struct Curve {
    name: String,
    last: String,
    points: String,
}

/// A number of tokens in few characters.
pub(super) fn tokens(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        _ => format!("{:.2} M", n as f64 / 1e6),
    }
}

/// The points of a line, as steps: a value holds until the next.
fn curve(points: impl Iterator<Item = (u64, f64)>, end_ms: u64, top: f64) -> String {
    let mut out = String::new();
    let mut last = None;
    let x = |at_ms: u64| at_ms.min(end_ms) as f64 * 1_000.0 / end_ms.max(1) as f64;
    let y = |value: f64| 98.0 - value.clamp(0.0, top) / top * 96.0;
    for (at_ms, value) in points {
        if let Some(last) = last {
            out.push_str(&format!("{:.1},{:.1} ", x(at_ms), y(last)));
        }
        out.push_str(&format!("{:.1},{:.1} ", x(at_ms), y(value)));
        last = Some(value);
    }
    if let Some(last) = last {
        out.push_str(&format!("{:.1},{:.1}", 1_000.0, y(last)));
    }
    out
}

fn charts(report: &Report) -> Vec<Chart> {
    let end_ms = report.timeline.end_ms;
    let mut charts = Vec::new();
    let spent = &report.spending;
    if let Some(last) = spent.last().filter(|_| spent.len() > 1) {
        let (usd, count) = (last.agent_usd.max(last.critic_usd), last.agent_tokens.max(last.critic_tokens));
        let mut chart = |title: &str, top: f64, words: &dyn Fn(f64) -> String, of: [fn(&Spending) -> f64; 2]| {
            if top <= 0.0 {
                return;
            }
            let curves = ["agent", "critic"].into_iter().zip(of).map(|(name, of)| Curve {
                name: name.to_owned(),
                last: words(of(last)),
                points: curve(spent.iter().map(|point| (point.at_ms, of(point))), end_ms, top),
            });
            let curves: Vec<Curve> = curves.collect();
            let told: Vec<String> = curves.iter().map(|curve| format!("{} {}", curve.name, curve.last)).collect();
            let label = format!("{title} over the run; at the end {}", told.join(", "));
            charts.push(Chart { title: title.to_owned(), label, top: words(top), curves });
        };
        chart("Cost", usd, &|usd| format::money(Some(usd)), [|it| it.agent_usd, |it| it.critic_usd]);
        let of: [fn(&Spending) -> f64; 2] = [|it| it.agent_tokens as f64, |it| it.critic_tokens as f64];
        chart("Tokens", count as f64, &|count| tokens(count as u64), of);
    }
    for windows in &report.windows {
        let mut curves = Vec::new();
        let known = [
            ("five hours", windows.points.iter().map(|point| (point.at_ms, point.five_hour)).collect::<Vec<_>>()),
            ("seven days", windows.points.iter().map(|point| (point.at_ms, point.seven_day)).collect()),
        ];
        for (name, points) in known {
            let points: Vec<(u64, f64)> = points
                .into_iter()
                .filter_map(|(at_ms, used)| Some((at_ms, used.filter(|used| used.is_finite())?)))
                .collect();
            let Some((_, last)) = points.last().copied() else { continue };
            let points = curve(points.into_iter(), end_ms, 1.0);
            curves.push(Curve { name: name.to_owned(), last: percent(last), points });
        }
        if !curves.is_empty() {
            let title = format!("Windows of {}", windows.token);
            let told: Vec<String> = curves.iter().map(|curve| format!("{} {}", curve.name, curve.last)).collect();
            let label = format!("{title} over the run; at the end {}", told.join(", "));
            charts.push(Chart { title, label, top: percent(1.0), curves });
        }
    }
    charts
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

impl Page<'_> {
    fn is_agent(&self) -> bool {
        self.r.run.kind == RunKind::Agent
    }

    fn tone(&self) -> &'static str {
        match self.r.outcome {
            Some(outcome) => tone_class(Some(outcome.row().tone)),
            None if self.r.state == RunState::Running => "",
            None => "bad",
        }
    }

    fn title(&self) -> String {
        let first = self.r.asked.iter().find(|asked| asked.at_ms.is_some()).or(self.r.asked.first());
        let text = first.map(|asked| asked.text.text.as_str()).unwrap_or_default();
        let title = clean::one_line(text.trim_start().lines().next().unwrap_or_default(), TITLE_CHARS);
        if title.is_empty() { "a run without a task".to_owned() } else { title }
    }

    fn sections(&self) -> Vec<(&'static str, &'static str)> {
        let r = self.r;
        let all = [
            ("asked", "What was asked", true),
            ("next", "How to go on", true),
            ("undo", "How to take it back", !r.undo.is_empty()),
            ("tests", "Tests", self.is_agent()),
            ("night", "The night", true),
            ("iterations", "Iterations", !r.iterations.is_empty()),
            ("changes", "Changes", r.diff.is_some()),
            ("spending", "Cost", true),
            ("interruptions", "Restarts and waits", true),
            ("denied", "Denied", !r.denied.is_empty()),
            ("transcript", "Transcript", true),
        ];
        all.into_iter().filter(|(_, _, is_there)| *is_there).map(|(id, name, _)| (id, name)).collect()
    }

    fn verdict_tone(&self) -> &'static str {
        self.r.verdict.as_ref().map_or("", |verdict| self.word_tone(&verdict.verdict))
    }

    fn word_tone(&self, verdict: &Text) -> &'static str {
        match verdict.as_str() {
            "completed" => "good",
            "feedback" | "needs_user" => "warn",
            _ => "bad",
        }
    }

    fn verdict_words(&self, verdict: &Text) -> &'static str {
        words::verdict(verdict.as_str())
    }

    fn has_failed_check(&self, iteration: &Iteration) -> bool {
        iteration.checks.iter().any(|check| !check.passed)
    }

    /// The outcome as an answer.
    fn is_done(&self) -> String {
        let answer = if self.r.outcome == Some(Outcome::Completed) {
            "Yes"
        } else if self.r.state == RunState::Running {
            "Not yet"
        } else {
            "No"
        };
        format!("{answer}: {}", words::state(self.r))
    }

    /// From when to when the run was; on one day the day is said once.
    fn when(&self) -> String {
        let run = &self.r.run;
        let from = format::date_and_time(run.started_unix_ms, self.zone);
        let to = format::date_and_time(run.until_unix_ms, self.zone);
        match (from.split_once(' '), to.split_once(' ')) {
            (Some((from_day, _)), Some((to_day, time))) if from_day == to_day => format!("{from} to {time}"),
            _ => format!("{from} to {to}"),
        }
    }

    fn is_over(&self) -> bool {
        self.r.state == RunState::Ended
    }

    fn fact_tone(&self, fact: &Fact) -> &'static str {
        match fact.sign {
            words::Sign::Good => "good",
            words::Sign::Look => "warn",
            words::Sign::Bad => "bad",
            words::Sign::Open => "soft",
        }
    }

    fn fact_mark(&self, fact: &Fact) -> &'static str {
        match fact.sign {
            words::Sign::Good => "✓",
            words::Sign::Look => "!",
            words::Sign::Bad => "✗",
            words::Sign::Open => "·",
        }
    }

    /// The first commands that go on and that take the work back; the others stand in their sections.
    fn first_steps(&self) -> Vec<(&'static str, &'static str, &Step)> {
        let r = self.r;
        let go_on = r.go_on.first().map(|step| ("go on", "next", step));
        let undo = r.undo.first().map(|step| ("take it back", "undo", step));
        go_on.into_iter().chain(undo).collect()
    }

    /// What the run took besides money.
    fn effort(&self) -> String {
        let totals = &self.r.totals;
        let mut parts = vec![format::seconds(self.r.run.elapsed_ms)];
        let mut count = |n: u32, word: &str| {
            if n > 0 {
                parts.push(format::count(n as usize, word));
            }
        };
        count(totals.iterations, "iteration");
        count(totals.restarts, "restart");
        match totals.rotations {
            0 => {}
            1 => parts.push("1 change of the token".to_owned()),
            n => parts.push(format!("{n} changes of the token")),
        }
        if totals.waited_ms > 0 {
            parts.push(format!("{} waiting for limits", format::seconds(totals.waited_ms)));
        }
        parts.join(" · ")
    }

    fn spans<'t>(&self, text: &'t Text) -> Vec<(bool, &'t str)> {
        words::spans(text.as_str())
    }

    /// From when to when an interruption was, as far as it is known.
    fn range(&self, it: &Interruption) -> String {
        let from = self.clock(it.at_ms);
        match it.took_ms {
            Some(ms) => format!("{from}–{}", self.clock(it.at_ms.saturating_add(ms))),
            None => from,
        }
    }

    fn clock(&self, at_ms: impl std::borrow::Borrow<u64>) -> String {
        let unix_ms = self.r.run.started_unix_ms.saturating_add_unsigned(*at_ms.borrow());
        format::time_of_day(unix_ms, self.zone)
    }

    fn seconds(&self, ms: impl std::borrow::Borrow<u64>) -> String {
        format::seconds(*ms.borrow())
    }

    fn span(&self, ms: &u64) -> String {
        format::span(*ms)
    }

    fn money(&self, usd: impl std::borrow::Borrow<Option<f64>>) -> String {
        format::money(*usd.borrow())
    }

    fn tokens(&self, n: &u64) -> String {
        tokens(*n)
    }

    fn count(&self, n: impl std::borrow::Borrow<usize>, word: &str) -> String {
        match (*n.borrow(), word) {
            (1, word) => format!("1 {word}"),
            (n, "entry") => format!("{n} entries"),
            (n, word) => format::count(n, word),
        }
    }

    fn tool_calls(&self, iteration: &Iteration) -> String {
        format::count(iteration.tools as usize, "tool call")
    }

    fn all_entries(&self) -> String {
        self.count(usize::try_from(self.r.transcript.total).unwrap_or(usize::MAX), "entry")
    }

    fn x(&self, at_ms: &u64) -> String {
        format!("{:.1}", *at_ms as f64 * 1_000.0 / self.r.timeline.end_ms.max(1) as f64)
    }

    fn width(&self, part: &Stretch) -> String {
        let ms = part.to_ms.saturating_sub(part.from_ms);
        // What is short must still be seen.
        format!("{:.1}", (ms as f64 * 1_000.0 / self.r.timeline.end_ms.max(1) as f64).max(1.0))
    }

    fn lane_label(&self, lane: &Lane) -> String {
        let parts = Activity::ALL.into_iter().filter_map(|activity| {
            let ms: u64 = lane.stretches.iter().filter(|part| part.activity == activity).map(length_ms).sum();
            (ms > 0).then(|| format!("{} {}", activity.in_words(), format::seconds(ms)))
        });
        format!("Timeline of {}: {}", lane.token, parts.collect::<Vec<_>>().join(", "))
    }

    fn activities(&self) -> Vec<Activity> {
        let used = |activity: &Activity| {
            self.r.timeline.lanes.iter().flat_map(|lane| &lane.stretches).any(|part| part.activity == *activity)
        };
        Activity::ALL.into_iter().filter(used).collect()
    }

    fn share(&self, activity: Activity) -> String {
        let all = self.r.timeline.lanes.iter().flat_map(|lane| &lane.stretches);
        format::seconds(all.filter(|part| part.activity == activity).map(length_ms).sum())
    }

    fn marks(&self) -> Vec<&Moment> {
        let moments = &self.r.moments;
        moments.iter().step_by(moments.len().div_ceil(MARKS).max(1)).collect()
    }

    fn moment_tone(&self, moment: &Moment) -> &'static str {
        match moment.tone {
            Some(Tone::Good) => "t-good",
            Some(Tone::Warn) => "t-warn",
            Some(Tone::Bad) => "t-bad",
            None => "",
        }
    }

    fn ticks(&self) -> Vec<String> {
        let end_ms = self.r.timeline.end_ms;
        let at = |n: u64| {
            let time = self.clock(end_ms / TICKS * n);
            if end_ms <= SHORT_MS { time } else { time.get(..5).unwrap_or(&time).to_owned() }
        };
        (0..=TICKS).map(at).collect()
    }

    fn is_before_gap(&self, index: &usize) -> bool {
        // Beginning and end have the same length.
        *index * 2 == self.r.iterations.len()
    }

    fn role(&self, role: &Role) -> &'static str {
        match role {
            Role::Agent => "agent",
            Role::Critic => "critic",
        }
    }

    fn sign(&self, line: &LineTold) -> &'static str {
        match line.sign {
            Sign::Same => " ",
            Sign::Added => "+",
            Sign::Removed => "-",
            Sign::Place => "",
        }
    }

    fn sign_class(&self, line: &LineTold) -> &'static str {
        match line.sign {
            Sign::Same => "s",
            Sign::Added => "a",
            Sign::Removed => "d",
            Sign::Place => "p",
        }
    }

    fn moment_ink(&self, moment: &Moment) -> &'static str {
        tone_class(moment.tone)
    }

    fn is_loud(&self, entry: &Entry) -> bool {
        matches!(entry.kind, EntryKind::User | EntryKind::Told)
    }

    /// Whether the entry is folded to its title.
    fn folds(&self, entry: &Entry) -> bool {
        let is_long = matches!(entry.kind, EntryKind::Tool | EntryKind::Check | EntryKind::Thought | EntryKind::Told);
        is_long && !entry.body.is_empty()
    }
}

fn length_ms(part: &Stretch) -> u64 {
    part.to_ms.saturating_sub(part.from_ms)
}

pub(super) fn tone_class(tone: Option<Tone>) -> &'static str {
    match tone {
        Some(Tone::Good) => "good",
        Some(Tone::Warn) => "warn",
        Some(Tone::Bad) => "bad",
        None => "",
    }
}
