//! One page over several runs: sums, and a row for each run with a link to its report.

use askama::Template;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::html::{STYLE, policy};
use super::markdown::{COLUMNS, escaped, inline};
use super::text::{Text, Washer};
use crate::core::{Outcome, Tone};
use crate::journal::{RunSummary, TASK_CHARS, Word};
use crate::ui::{format, rows};

/// How many characters of a task, a reason or a path are shown.
const LINE_CHARS: usize = 200;

/// Several runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nights {
    /// [`super::REPORT_VERSION`].
    pub report: u32,
    /// Runs that were at work since then.
    pub since_unix_ms: i64,
    /// When this was made.
    pub until_unix_ms: i64,
    /// How many of them have each outcome; `running` and `broken` are those without one.
    pub outcomes: Vec<OutcomeCount>,
    /// The cost of those whose cost is known.
    pub cost_usd: f64,
    /// Judged stops.
    pub iterations: u64,
    /// Restarts.
    pub restarts: u64,
    /// Time spent waiting for limits.
    pub waited_ms: u64,
    /// The runs, the newest first.
    pub runs: Vec<NightRow>,
    /// The name of the list whose tasks they worked on, if it is one list's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Text>,
}

/// How many runs have an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeCount {
    /// The outcome's word.
    pub outcome: Text,
    /// How many.
    pub runs: usize,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NightRow {
    /// Its id.
    pub id: Text,
    /// The beginning of its task.
    pub task: Text,
    /// Its directory.
    pub cwd: Text,
    /// Its outcome, or `running` or `broken`.
    pub outcome: Text,
    /// How it is presented.
    #[serde(skip)]
    pub tone: Option<Tone>,
    /// The outcome's reason.
    pub reason: Text,
    /// When it began.
    pub started_unix_ms: i64,
    /// How long it took, or takes so far: its own time, without that in which no ccc worked on it.
    pub took_ms: u64,
    /// Judged stops.
    pub iterations: u32,
    /// Restarts.
    pub restarts: u32,
    /// How many calls of its agent's tools were denied; `None` while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_denied: Option<u32>,
    /// Its cost; `None` while unknown.
    pub cost_usd: Option<f64>,
    /// Its page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Text>,
}

/// A run for [`Nights::of`].
#[derive(Debug, Clone)]
pub struct NightRun<'a> {
    /// What is known of it.
    pub summary: &'a RunSummary,
    /// Whether a ccc works on it.
    pub is_running: bool,
    /// The path of its page, if there is one.
    pub page: Option<String>,
}

impl Nights {
    /// The page over these runs, the newest first.
    #[must_use]
    pub fn of(runs: &[NightRun<'_>], since_unix_ms: i64, now_unix_ms: i64, washer: &Washer) -> Nights {
        let rows: Vec<NightRow> = runs.iter().map(|run| row(run, now_unix_ms, washer)).collect();
        let mut outcomes: Vec<OutcomeCount> = Vec::new();
        for row in &rows {
            match outcomes.iter_mut().find(|count| count.outcome == row.outcome) {
                Some(count) => count.runs += 1,
                None => outcomes.push(OutcomeCount { outcome: row.outcome.clone(), runs: 1 }),
            }
        }
        Nights {
            report: super::REPORT_VERSION,
            since_unix_ms,
            until_unix_ms: now_unix_ms,
            outcomes,
            // The sum of nothing is -0.
            cost_usd: rows.iter().filter_map(|row| row.cost_usd).sum::<f64>() + 0.0,
            iterations: rows.iter().map(|row| u64::from(row.iterations)).sum(),
            restarts: rows.iter().map(|row| u64::from(row.restarts)).sum(),
            waited_ms: runs.iter().map(|run| run.summary.waited_ms).fold(0, u64::saturating_add),
            runs: rows,
            list: None,
        }
    }

    /// As the page of the list with this name.
    #[must_use]
    pub fn of_list(self, name: &str, washer: &Washer) -> Nights {
        Nights { list: Some(washer.line(name, LINE_CHARS)), ..self }
    }

    fn heading(&self, zone: &TimeZone) -> String {
        let since = format::date_and_time(self.since_unix_ms, zone);
        match &self.list {
            Some(list) => format!("{}: runs since {since}", list.as_str()),
            None => format!("Runs since {since}"),
        }
    }

    /// As one HTML page.
    ///
    /// # Errors
    /// When the template fails, which no content makes it do.
    pub fn page(&self, zone: &TimeZone) -> Result<String, askama::Error> {
        Page { r: self, zone, style: STYLE, csp: policy(STYLE, "") }.render()
    }

    /// In Markdown.
    #[must_use]
    pub fn markdown(&self, zone: &TimeZone) -> String {
        let mut text = format!(
            "# {}\n\n{}, {}\n",
            escaped(&self.heading(zone)),
            self.counts(),
            format::money(Some(self.cost_usd))
        );
        for run in &self.runs {
            let line = format!(
                "**{}** {} ({}, {}): {}{}{}",
                escaped(run.outcome.as_str()),
                escaped(run.id.as_str()),
                format::seconds(run.took_ms),
                format::money(run.cost_usd),
                inline(run.task.as_str()),
                if run.reason.is_empty() { "" } else { " — " },
                inline(run.reason.as_str())
            ) + &run.denied().map(|denied| format!("; {denied}")).unwrap_or_default();
            for (n, row) in rows::wrapped(&line, COLUMNS - 2).iter().enumerate() {
                text.push_str(if n == 0 { "\n- " } else { "\n  " });
                text.push_str(&super::markdown::finished(row));
            }
        }
        text.push('\n');
        text
    }

    fn counts(&self) -> String {
        let counts = self.outcomes.iter().map(|count| format!("{} {}", count.runs, words(count.outcome.as_str())));
        let counts: Vec<String> = counts.collect();
        if counts.is_empty() { "no run".to_owned() } else { counts.join(", ") }
    }
}

impl NightRow {
    /// How many calls were denied, in words, unless the reason is about that.
    fn denied(&self) -> Option<String> {
        format::denied(self.tools_denied.unwrap_or(0)).filter(|_| !self.reason.as_str().contains("denied"))
    }
}

fn words(outcome: &str) -> &str {
    match Outcome::named(outcome) {
        Some(outcome) => outcome.in_words(),
        None => outcome,
    }
}

/// The beginning of a task, of which the summary keeps only so much.
fn task(task: &str, washer: &Washer) -> Text {
    let is_cut = task.chars().count() >= TASK_CHARS;
    let task = if is_cut { format!("{}…", task.trim_end()) } else { task.to_owned() };
    washer.line(&task, LINE_CHARS + 1)
}

fn row(run: &NightRun<'_>, now_unix_ms: i64, washer: &Washer) -> NightRow {
    let summary = run.summary;
    let (outcome, tone) = match &summary.outcome {
        Some(Word::Known(outcome)) => (outcome.as_str(), Some(outcome.row().tone)),
        Some(Word::Other(word)) => (word.as_str(), None),
        None if run.is_running => ("running", None),
        None => ("broken", Some(Tone::Bad)),
    };
    let line = |text: &str| washer.line(text, LINE_CHARS);
    NightRow {
        id: line(&summary.id),
        task: task(&summary.task, washer),
        cwd: line(&summary.cwd),
        outcome: line(outcome),
        tone,
        reason: line(summary.reason.as_deref().unwrap_or_default()),
        started_unix_ms: summary.started_unix_ms,
        took_ms: summary.took_ms(run.is_running.then_some(now_unix_ms)),
        iterations: summary.iteration,
        restarts: summary.restarts,
        tools_denied: summary.tools_denied.filter(|calls| *calls > 0),
        cost_usd: summary.cost_usd,
        page: run.page.as_deref().map(|page| washer.text(page)),
    }
}

#[derive(Template)]
#[template(path = "report/nights.html")]
struct Page<'a> {
    r: &'a Nights,
    zone: &'a TimeZone,
    style: &'static str,
    csp: String,
}

impl Page<'_> {
    fn heading(&self) -> String {
        self.r.heading(self.zone)
    }

    fn counts(&self) -> String {
        self.r.counts()
    }

    fn words<'a>(&self, row: &'a NightRow) -> &'a str {
        words(row.outcome.as_str())
    }

    fn tone(&self, row: &NightRow) -> &'static str {
        super::html::tone_class(row.tone)
    }

    fn date_time(&self, unix_ms: &i64) -> String {
        format::date_and_time(*unix_ms, self.zone)
    }

    fn seconds(&self, ms: &u64) -> String {
        format::seconds(*ms)
    }

    fn money(&self, row: &NightRow) -> String {
        format::money(row.cost_usd)
    }

    fn all_money(&self) -> String {
        format::money(Some(self.r.cost_usd))
    }

    /// A path in the place of an address: what an address acts on is encoded.
    fn address(&self, page: &Text) -> String {
        page.as_str().replace('%', "%25").replace('?', "%3F").replace('#', "%23")
    }
}
