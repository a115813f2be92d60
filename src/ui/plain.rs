//! The text for people: one line or a few for each event. Pure: the time is an argument.

use jiff::tz::TimeZone;

use super::clean;
use super::columns;
use super::denials::Denials;
use super::diff::Change;
use super::format::{count, due, seconds, span, time_of_day};
use super::limits;
use super::output::ERASE;
use super::question;
use super::requests;
use super::rows::wrapped;
use super::status::{Awaited, Status};
use super::streamed::Streamed;
use super::style::{Ink, Style};
use super::{Banner, Ending, OutputKind, ScreenOutput, Stream};
use crate::agent::{Edit, Hunk, Role, TurnKind};
use crate::core::{AfterWait, COMPLETED_MARKER, NEEDS_USER_MARKER, Outcome, SettledHow, Show, Tick};

/// What the run waits for, since when, until when, and what happens then.
fn awaited(role: Role, what: &str, for_ms: u64, left_ms: u64, then: AfterWait, alive: bool) -> String {
    let whose = match role {
        Role::Agent => "",
        Role::Critic => "the critic: ",
    };
    let so_far = match (then, for_ms) {
        (AfterWait::Judged, 0) => String::new(),
        (AfterWait::Judged | AfterWait::GoesOn, _) => format!(" for {}", seconds(for_ms)),
        (AfterWait::Hung, _) if alive => {
            format!(" for {}; its process is running, but makes no progress", seconds(for_ms))
        }
        (AfterWait::Hung, _) => format!(" for {}; there was no other output", seconds(for_ms)),
    };
    let left = seconds(left_ms);
    let then = match then {
        AfterWait::Hung => format!("restart in {left}"),
        AfterWait::Judged => format!("judged without it in {left} (--background-timeout)"),
        AfterWait::GoesOn => format!("{left} left"),
    };
    format!("waiting for {whose}{what}{so_far}; {then}")
}

/// How many characters of a text are shown without a terminal. The journal has all of it.
const PIPED_CHARS: usize = 4_000;

/// The width of the time of day before a line; `TIME_COLUMNS_MIN` is the terminal width from which it is shown.
const TIME_COLUMNS: u16 = 9;
const TIME_COLUMNS_MIN: u16 = 60;

/// The markers of a critic's answer, each on its last line.
const MARKERS: [&str; 2] = [COMPLETED_MARKER, NEEDS_USER_MARKER];

/// The indentation of a text's rows after a lead that is a word.
const TEXT_INDENT: usize = 4;

/// How many rows of a text are shown on a terminal. The journal has all of it.
const TEXT_ROWS: usize = 200;

/// How many bytes of a text are read for a terminal.
const TEXT_BYTES: usize = 64 * 1024;

/// How many rows of a failed check's output are shown on a terminal.
const TAIL_ROWS: usize = 20;

/// How many rows the error of a failed tool takes on a terminal.
const FAILURE_ROWS: usize = 3;

/// How many rows the last line of a failed check's output takes: mostly it has the result.
const RESULT_ROWS: usize = 4;

/// How many bytes of a failed check's output are read.
const TAIL_BYTES: usize = 16 * 1024;

/// The form for people: messages on stderr, the agent's final result on stdout.
///
/// Each event begins with the local time of day, and its later rows are indented. On a terminal, text is wrapped, edits
/// are shown as diffs, and a status line stands at the bottom. Every output for a terminal begins with [`ERASE`] and
/// ends with the status line, so a lost output leaves no trace. Without a terminal, lines are not wrapped and there is
/// no status line.
#[derive(Debug, Clone)]
pub struct Plain {
    style: Style,
    status: Status,
    streamed: Streamed,
    denials: Denials,
    /// How many of the agent's calls were denied.
    tools_denied: u32,
    /// The checks of which the shell did not run something when they ran last, each with the reason.
    not_run: Vec<(String, String)>,
    /// The wall clock at a tick, when it is known.
    wall: Option<(Tick, i64)>,
    /// The directory the agent works in, with a `/` at its end; empty while unknown.
    directory: String,
    /// The critic's last text, so that a verdict with the same text does not show it twice.
    critic_said: String,
    /// Whether the last thing shown was the heading of a phase.
    below_head: bool,
    /// The tool whose start was the last thing shown.
    below_tool: Option<String>,
    /// The time zone of all times shown.
    zone: TimeZone,
    /// The last time of day that was shown, with its unix second.
    second: Option<(i64, String)>,
    /// Whether a text is shown line by line while it arrives, also without a terminal.
    line_by_line: bool,
}

/// What stands above the result of a run.
const RESULT: &str = "The agent's last message:";

impl Plain {
    /// A printer that has shown nothing yet.
    #[must_use]
    pub fn new(style: Style) -> Plain {
        Plain {
            style,
            status: Status::default(),
            streamed: Streamed::default(),
            denials: Denials::default(),
            tools_denied: 0,
            not_run: Vec::new(),
            wall: None,
            directory: String::new(),
            critic_said: String::new(),
            below_head: false,
            below_tool: None,
            zone: TimeZone::UTC,
            second: None,
            line_by_line: false,
        }
    }

    /// Shows a text line by line while it arrives, also without a terminal.
    pub fn line_by_line(&mut self) {
        self.line_by_line = true;
    }

    /// The banner.
    pub fn start(&mut self, tick: Tick, banner: &Banner) -> ScreenOutput {
        self.status.max_iterations = Some(banner.budgets.max_iterations);
        self.status.max_duration_ms = banner.budgets.max_duration_ms;
        self.in_directory(&banner.cwd);
        let now_unix_ms = self.wall.map(|(at, unix_ms)| super::wall_time(at, unix_ms, tick));
        ScreenOutput::talk(banner.text(self.style, now_unix_ms, &self.zone))
    }

    /// Shortens paths below this directory.
    pub fn in_directory(&mut self, cwd: &str) {
        self.directory = format!("{}/", cwd.trim_end_matches('/'));
    }

    /// Sets the time zone of all times shown; UTC by default.
    pub fn in_zone(&mut self, zone: TimeZone) {
        (self.zone, self.second) = (zone, None);
    }

    /// Whether it writes to a terminal whose cursor can be moved.
    pub(super) fn is_live(&self) -> bool {
        self.style.live
    }

    /// Sets the wall clock at a tick. Before the first call, lines have no time of day.
    pub fn clock(&mut self, tick: Tick, unix_ms: i64) {
        self.wall = Some((tick, unix_ms));
    }

    /// Sets what the run waits for now, which the status line shows.
    pub fn standing(&mut self, standing: Option<Awaited>) {
        self.status.standing = standing;
    }

    /// The output for an event.
    pub fn render(&mut self, tick: Tick, show: &Show) -> ScreenOutput {
        let over = matches!(show, Show::Finished { .. });
        // The beginning is on the screen already, with its time.
        let goes_on = if let Show::Text { role, text, sub_agent: false, .. } = show {
            self.streamed.has_begun(*role, text)
        } else if let Show::ToolEnded { id, failed: false, .. } = show {
            self.below_tool.as_ref() == Some(id)
        } else {
            false
        };
        let body = self.body(tick, show);
        if !body.is_empty() {
            self.below_head = matches!(show, Show::Phase { .. });
            self.below_tool = if let Show::Tool { id, .. } = show { Some(id.clone()) } else { None };
        }
        let body = if goes_on { self.indented(&body) } else { self.timed(tick, &body) };
        self.drawn(tick, body, over)
    }

    /// A part of a text in progress. On a terminal, complete rows are shown at once.
    pub fn partial(&mut self, tick: Tick, role: Role, text: &str) -> ScreenOutput {
        if !self.style.live && !self.line_by_line {
            return ScreenOutput::talk(String::new());
        }
        let begun = self.streamed.is_begun(role);
        let (lead, hang) = text_lead(role, false);
        // Without a terminal, lines are not wrapped.
        let room = if self.style.wraps { self.room(hang.max(columns::of(lead))) } else { usize::MAX };
        let rows = self.streamed.add(role, text, room);
        let body = self.text_rows(lead, &rows, begun);
        let body = if begun { self.indented(&body) } else { self.timed(tick, &body) };
        self.status.typing = self.streamed.tail();
        self.below_head &= body.is_empty();
        self.below_tool.take_if(|_| !body.is_empty());
        self.drawn(tick, body, false)
    }

    /// The output for a body of whole lines; on a terminal with the status line below.
    fn drawn(&mut self, tick: Tick, body: String, over: bool) -> ScreenOutput {
        if !self.style.live || (body.is_empty() && !over) {
            return ScreenOutput::talk(body);
        }
        let mut text = format!("{ERASE}{body}");
        if self.status.phase.is_some() {
            let status = self.status.draw(tick, self.style);
            text.push_str(status.strip_prefix(ERASE).unwrap_or(&status));
        }
        ScreenOutput::talk(text)
    }

    /// The status line; `None` without a terminal, before the first phase and after the end.
    pub fn status(&mut self, tick: Tick) -> Option<ScreenOutput> {
        (self.style.live && self.status.phase.is_some())
            .then(|| ScreenOutput::status(self.status.draw(tick, self.style)))
    }

    /// Sets the terminal's new width.
    pub fn resize(&mut self, columns: u16) {
        if columns > 0 {
            self.style.columns = columns;
        }
    }

    /// The result on stdout and the final block on stderr. The status line is erased before both.
    pub fn finish(&mut self, tick: Tick, ending: &Ending<'_>) -> Vec<ScreenOutput> {
        self.status.phase = None;
        let must_arrive = |text| ScreenOutput { stream: Stream::Err, kind: OutputKind::Data, text };
        let mut outputs = Vec::new();
        if self.style.live {
            outputs.push(must_arrive(ERASE.to_owned()));
        }
        let mut result = clean::data(&ending.finish.result);
        if !result.is_empty() {
            if !result.ends_with('\n') {
                result.push('\n');
            }
            if ending.labels_result {
                outputs.push(must_arrive(format!("{}\n", self.style.paint(Ink::Dim, RESULT))));
            }
            outputs.push(ScreenOutput::data(result));
        }
        let gap = if self.style.live { "\n" } else { "" };
        let block = ending.text(tick, self.tools_denied, &self.not_run, self.style, &self.zone);
        outputs.push(must_arrive(format!("{gap}{block}")));
        outputs
    }

    /// The width available for an event's rows.
    fn columns(&self) -> u16 {
        self.style.columns.saturating_sub(self.time_columns())
    }

    fn room(&self, taken: usize) -> usize {
        usize::from(self.columns()).saturating_sub(taken)
    }

    /// The style for text beside the time of day.
    fn inner_style(&self) -> Style {
        Style { columns: self.columns(), ..self.style }
    }

    fn time_columns(&self) -> u16 {
        let has_room = !self.style.wraps || self.style.columns >= TIME_COLUMNS_MIN;
        if self.wall.is_some() && has_room { TIME_COLUMNS } else { 0 }
    }

    /// The rows of an event with the time of day before the first of them.
    fn timed(&mut self, tick: Tick, body: &str) -> String {
        let Some((at, unix_ms)) = self.wall.filter(|_| self.time_columns() > 0) else { return body.to_owned() };
        let unix_ms = super::wall_time(at, unix_ms, tick);
        let unix_s = unix_ms.div_euclid(1_000);
        // Many events have the same second, and a time zone is not cheap to ask.
        if self.second.as_ref().is_none_or(|(of, _)| *of != unix_s) {
            self.second = Some((unix_s, self.style.paint(Ink::Dim, &time_of_day(unix_ms, &self.zone))));
        }
        let time = self.second.as_ref().map_or("", |(_, time)| time);
        match body.find(|c| c != '\n') {
            None => body.to_owned(),
            Some(first) => {
                let (blank, rest) = body.split_at(first);
                let (head, more) = rest.split_at(rest.find('\n').map_or(rest.len(), |at| at + 1));
                format!("{blank}{time} {head}{}", self.indented(more))
            }
        }
    }

    /// Indents rows so that they align under a row with the time before it.
    fn indented(&self, rows: &str) -> String {
        let indent = usize::from(self.time_columns());
        rows.split_inclusive('\n')
            .map(|row| if row == "\n" { row.to_owned() } else { format!("{:indent$}{row}", "") })
            .collect()
    }

    fn body(&mut self, tick: Tick, show: &Show) -> String {
        if let Show::Text { role, text, sub_agent: false, .. } = show {
            return self.whole_text(*role, text);
        }
        match show {
            Show::Phase { phase, detail, iteration, goes_on_in_ms: Some(ms) } => {
                self.waits(tick, phase, detail, *iteration, *ms)
            }
            Show::Phase { phase, detail, iteration, goes_on_in_ms: None } => self.phase(phase, detail, *iteration),
            Show::Session { session_id, model, agent_version, permission_mode } => {
                let text = format!(
                    "session {session_id}, {model}, version {agent_version}, permission mode {permission_mode}"
                );
                self.said("  ", Ink::Dim, &text)
            }
            Show::PermissionMode { mode } => self.said("  ", Ink::Dim, &format!("permission mode {mode}")),
            // A notice says it.
            Show::Retrying { .. } => String::new(),
            Show::Turn { kind, text } => self.turn(*kind, text),
            Show::Text { role, text, sub_agent, under: _ } => self.text(*role, text, *sub_agent),
            Show::Tool { role, id, name, target, edit, under: _ } => {
                self.denials.started(id, (name.clone(), target.clone()));
                // The change is shown once its place in the file is known.
                self.status.tools.started(id, name, tick, edit.as_ref().filter(|_| self.style.live));
                self.tool(*role, name, target, edit.as_ref())
            }
            Show::ToolEnded { id, failed, error, hunks, .. } => self.tool_ended(id, *failed, error, hunks),
            Show::Denied { role, tool, target } => {
                self.tools_denied = self.tools_denied.saturating_add(u32::from(*role == Role::Agent));
                if !self.denials.denied(&(tool.clone(), target.clone())) {
                    return String::new();
                }
                let whom = match role {
                    Role::Agent => "denied: ",
                    Role::Critic => "denied to the critic: ",
                };
                self.row("⊘ ", Ink::Warn, &format!("{whom}{tool} {target}"))
            }
            Show::Check { command, passed, summary, duration_ms, tail, setup, not_run } => {
                self.not_run.retain(|(known, _)| known != command);
                self.not_run.extend(not_run.clone().map(|why| (command.clone(), why)));
                self.check(command, *passed, summary, *duration_ms, tail, *setup)
            }
            Show::Verdict { verdict, text, iteration } => self.verdict(verdict, text, *iteration),
            Show::Context { .. } => String::new(),
            Show::Cost { usd } => {
                self.status.cost_usd = *usd;
                String::new()
            }
            Show::Notice { text } => self.said("! ", Ink::Warn, text),
            Show::Information { text } => self.said("  ", Ink::Dim, text),
            Show::Awaited { role, what, for_ms, left_ms, then, alive } => {
                self.said("  ", Ink::Dim, &awaited(*role, what, *for_ms, *left_ms, *then, *alive))
            }
            Show::Rotation { from, to, why } => self.said("↻ ", Ink::Warn, &format!("rotated to {to} ({from}: {why})")),
            Show::Spent { tokens, until_unix_ms, waits, now_unix_ms } => {
                self.said("! ", Ink::Warn, &limits::spent(tokens, *until_unix_ms, *waits, *now_unix_ms, &self.zone))
            }
            Show::Question { question, now_unix_ms } => {
                let text = question::asked(question, *now_unix_ms, &self.zone);
                self.said("? ", Ink::Bold, &text)
            }
            Show::Thinking { .. } | Show::Todo { .. } | Show::Windows { .. } | Show::Offers { .. } => String::new(),
            Show::Asked { ask } => {
                self.denials.asked(ask.id, (ask.tool.clone(), ask.target.clone()));
                self.row("? ", Ink::Bold, &requests::asked(ask))
            }
            Show::Settled { ask, how, words } => {
                self.denials.settled(*ask, matches!(how, SettledHow::Denied | SettledHow::Policy));
                let words = if words.is_empty() { String::new() } else { format!(": {words}") };
                self.row("  ", Ink::Dim, &format!("request {ask}: {}{words}", how.in_words()))
            }
            Show::Queue { turns } => match turns.as_slice() {
                [] => String::new(),
                [one] => self.row("  ", Ink::Dim, &format!("queued: {}", one.text)),
                [.., last] => self.row("  ", Ink::Dim, &format!("{} queued, the last: {}", turns.len(), last.text)),
            },
            Show::Attended { clients } => self.row("  ", Ink::Dim, &format!("attended by {clients}")),
            Show::Rests { reason, .. } if reason.is_empty() => String::new(),
            Show::Rests { reason, .. } => self.said("  ", Ink::Dim, reason),
            Show::Finished { .. } => {
                self.status.phase = None;
                String::new()
            }
        }
    }

    /// Enters a phase; true when it differs from the one before.
    fn enters(&mut self, phase: &str, detail: &str, iteration: u32) -> bool {
        let status = &mut self.status;
        let entered = status.phase.as_deref() != Some(phase) || status.iteration != iteration;
        if entered {
            status.tools.forget();
            self.streamed = Streamed::default();
        }
        status.typing = String::new();
        status.iteration = iteration;
        detail.clone_into(&mut status.detail);
        status.phase = Some(phase.to_owned());
        entered
    }

    /// A wait: its end, which stays on the screen and in a log, and in the rows below the reason.
    fn waits(&mut self, tick: Tick, phase: &str, detail: &str, iteration: u32, ms: u64) -> String {
        let phase = clean::one_line(phase, PIPED_CHARS);
        let entered = self.enters(&phase, &clean::one_line(detail, PIPED_CHARS), iteration);
        let until = match self.wall {
            Some((at, unix_ms)) => {
                let now_unix_ms = super::wall_time(at, unix_ms, tick);
                let until_unix_ms = now_unix_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
                format!("until {}", due(until_unix_ms, now_unix_ms, &self.zone))
            }
            None => format!("for {}", seconds(ms)),
        };
        let gap = if entered { self.gap() } else { "" };
        let head = self.painted_row("▸ ", &format!("{phase} {until}"), Ink::Bold);
        let why = if detail.trim().is_empty() { String::new() } else { self.said("  ", Ink::Dim, detail) };
        format!("{gap}{head}{why}")
    }

    fn phase(&mut self, phase: &str, detail: &str, iteration: u32) -> String {
        let phase = clean::one_line(phase, PIPED_CHARS);
        let detail = Outcome::named(detail).filter(|_| phase == "ending").map_or(detail, |outcome| outcome.in_words());
        let detail = clean::one_line(detail, PIPED_CHARS);
        let changed = self.status.detail != detail;
        let entered = self.enters(&phase, &detail, iteration);
        // On a terminal the status line shows a changed detail.
        if !(entered || (!self.style.live && changed)) {
            return String::new();
        }
        let mut text = phase;
        if let Some(iteration) = self.status.iteration_text("iteration ", " of ") {
            text.push_str(" · ");
            text.push_str(&iteration);
        }
        if !detail.is_empty() {
            text.push_str(" · ");
            text.push_str(&detail);
        }
        let row = self.painted_row("▸ ", &text, Ink::Bold);
        format!("{}{row}", self.gap())
    }

    /// A blank row that separates a phase from the output before it.
    fn gap(&self) -> &'static str {
        if self.style.live && !self.below_head { "\n" } else { "" }
    }

    fn turn(&mut self, kind: TurnKind, text: &str) -> String {
        self.denials.begin_turn();
        match kind {
            TurnKind::Task => self.said_hanging("task: ", Ink::Bold, text, TEXT_INDENT, columns::wrap),
            TurnKind::Worker => self.said_hanging("worker: ", Ink::Bold, text, TEXT_INDENT, columns::wrap),
            TurnKind::Operator => self.said_hanging("you: ", Ink::Bold, text, TEXT_INDENT, columns::wrap),
            // ccc wrote this text, so a terminal shows only its beginning.
            TurnKind::Continue if self.style.live => self.row("→ continue: ", Ink::Dim, text),
            TurnKind::Continue => self.said("→ continue: ", Ink::Dim, text),
            // The text of these turns was shown just before, with the verdict or the checks.
            TurnKind::Feedback => self.row("→ ", Ink::Dim, "the agent is given the critic's feedback"),
            TurnKind::CheckFailure => self.row("→ ", Ink::Dim, "the agent is given the output of the checks"),
            TurnKind::Compact => self.row("→ ", Ink::Dim, "the session is compacted"),
            TurnKind::Brief => self.row("→ ", Ink::Dim, "the critic is briefed"),
        }
    }

    fn text(&self, role: Role, text: &str, sub_agent: bool) -> String {
        if text.trim().is_empty() {
            return String::new();
        }
        let (lead, hang) = text_lead(role, sub_agent);
        self.said_hanging(lead, Ink::Dim, text, hang, columns::wrap)
    }

    /// A complete text: shows the part that was not streamed.
    fn whole_text(&mut self, role: Role, text: &str) -> String {
        self.status.typing = String::new();
        if role == Role::Critic {
            beginning(text, TEXT_BYTES).trim().clone_into(&mut self.critic_said);
        }
        match self.streamed.rest_of(role, text) {
            None => self.text(role, without_marker(role, text), false),
            Some(rest) => {
                let rest = without_marker(role, rest);
                let (lead, hang) = text_lead(role, false);
                let rows: Vec<String> = clean::lines(beginning(rest.trim_end(), TEXT_BYTES))
                    .split('\n')
                    .flat_map(|line| {
                        let room = self.room(hang.max(columns::of(lead)));
                        if self.style.wraps { columns::wrap(line, room) } else { vec![line.to_owned()] }
                    })
                    .take(TEXT_ROWS)
                    .collect();
                if rest.trim().is_empty() { String::new() } else { self.text_rows(lead, &rows, true) }
            }
        }
    }

    /// The rows of a text. The first has the lead, unless the text's beginning was shown before.
    fn text_rows(&self, lead: &str, rows: &[String], begun: bool) -> String {
        let hang = columns::of(lead);
        let mut out = String::new();
        for (at, row) in rows.iter().enumerate() {
            if at == 0 && !begun {
                out.push_str(&self.style.paint(Ink::Dim, lead));
            } else if !row.is_empty() {
                out.push_str(&" ".repeat(hang));
            }
            out.push_str(row);
            out.push('\n');
        }
        out
    }

    fn tool(&self, role: Role, name: &str, target: &str, edit: Option<&Edit>) -> String {
        let lead = match role {
            Role::Agent => "● ",
            Role::Critic => "critic ● ",
        };
        let Some(edit) = edit else {
            return self.row(lead, Ink::Tool, &format!("{name} {}", self.relative(target)));
        };
        let size = Change::of(edit).size();
        self.row(lead, Ink::Tool, &format!("{name} {} {size}", self.relative(&edit.path)))
    }

    fn relative<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.directory.as_str()).unwrap_or(path)
    }

    fn tool_ended(&mut self, id: &str, failed: bool, error: &str, hunks: &[Hunk]) -> String {
        let is_told = self.denials.ended(id, failed);
        let ended = self.status.tools.ended(id);
        let (name, edit) = ended.map_or_else(|| ("a tool".to_owned(), None), |tool| (tool.name, tool.edit));
        if !failed {
            let Some(edit) = edit else { return String::new() };
            let text = Change::made(&edit, hunks).text(self.inner_style());
            // Something else was shown meanwhile, so the file is named again.
            let is_below = self.below_tool.as_deref() == Some(id);
            let head = if is_below { String::new() } else { self.row("  ⎿ ", Ink::Dim, self.relative(&edit.path)) };
            return format!("{head}{text}");
        }
        if is_told {
            return String::new();
        }
        let why = if error.is_empty() { String::new() } else { format!(": {error}") };
        // The reason often stands behind a long path.
        let room = if self.style.wraps { self.room(TEXT_INDENT).saturating_mul(FAILURE_ROWS) } else { PIPED_CHARS };
        self.said("  ✗ ", Ink::Bad, &clean::one_line(&format!("{name} failed{why}"), room))
    }

    fn check(&self, command: &str, passed: bool, summary: &str, duration_ms: u64, tail: &str, setup: bool) -> String {
        let (took, what) = (span(duration_ms), if setup { "setup" } else { "check" });
        if passed {
            return self.row("✓ ", Ink::Good, &format!("{what} passed: {command} ({took})"));
        }
        let text = format!("{what} failed: {command} ({took}): {summary}");
        // Why it failed stands at the end of this line, so the line is wrapped and not cut.
        let text = clean::one_line(text.trim_end_matches([':', ' ']), PIPED_CHARS);
        let mut out = self.said("✗ ", Ink::Bad, &text);
        let tail = end(tail.trim_end(), TAIL_BYTES);
        let lines: Vec<&str> = tail.lines().collect();
        let Some((result, before)) = lines.split_last() else { return out };
        for line in before.iter().skip(lines.len().saturating_sub(TAIL_ROWS)) {
            out.push_str(&self.row("    ", Ink::Dim, line));
        }
        let lead = "    ";
        let result = clean::one_line(result, TAIL_BYTES);
        let room = if self.style.wraps { self.room(lead.len()) } else { PIPED_CHARS };
        // A word that is wider than a row is not broken, so there is one row then.
        let is_wide = result.split(' ').any(|word| columns::of(word) > room);
        let rows = if self.style.wraps && !is_wide { RESULT_ROWS } else { 1 };
        let result = columns::cut_front(&result, room.saturating_mul(rows));
        out.push_str(&self.said(lead, Ink::Dim, &result));
        out
    }

    fn verdict(&mut self, verdict: &str, text: &str, iteration: u32) -> String {
        let (sign, ink) = match verdict {
            "completed" => ("✓ ", Ink::Good),
            "feedback" => ("↻ ", Ink::Warn),
            "needs_user" => ("? ", Ink::Warn),
            _ => ("✗ ", Ink::Bad),
        };
        let of = self.status.max_iterations.map_or_else(String::new, |n| format!(" of {n}"));
        let head = format!(
            "verdict {iteration}{of}: {}",
            Outcome::named(verdict).map_or(verdict, |outcome| outcome.in_words())
        );
        let text = without_marker(Role::Critic, text.trim());
        let repeated = std::mem::take(&mut self.critic_said).contains(text);
        if text.is_empty() || repeated {
            return self.painted_row(sign, &head, ink);
        }
        let mut out = self.painted_row(sign, &head, ink);
        out.push_str(&self.said("    ", Ink::Dim, text));
        out
    }

    /// The text in exactly one line; only `lead` is coloured. Where rows are wrapped and no status line is, nothing of
    /// the text is cut off: it may take several rows.
    fn row(&self, lead: &str, ink: Ink, text: &str) -> String {
        if self.style.wraps && !self.style.live {
            return self.said(lead, ink, &clean::one_line(text, PIPED_CHARS));
        }
        let text = self.fitted(lead, text);
        format!("{}{text}\n", self.style.paint(ink, lead))
    }

    /// The text in exactly one line, all of it coloured.
    fn painted_row(&self, lead: &str, text: &str, ink: Ink) -> String {
        if self.style.wraps && !self.style.live {
            return self.said(lead, ink, &clean::one_line(text, PIPED_CHARS));
        }
        let text = self.fitted(lead, text);
        format!("{}\n", self.style.paint(ink, &format!("{lead}{text}")))
    }

    fn fitted(&self, lead: &str, text: &str) -> String {
        if self.style.live {
            let room = self.room(columns::of(lead));
            columns::cut(&clean::folded(text.trim_end(), room.saturating_add(1), clean::TAB), room)
        } else {
            clean::one_line(text, PIPED_CHARS)
        }
    }

    /// A text in its own lines, wrapped on a terminal. Later rows are aligned under the first.
    fn said(&self, lead: &str, ink: Ink, text: &str) -> String {
        self.said_hanging(lead, ink, text, columns::of(lead).min(TEXT_INDENT), wrapped)
    }

    /// As [`Plain::said`], with later rows indented by `hang`. `wrap` is [`wrapped`] for a text of ccc, and
    /// [`columns::wrap`] for that of another, of which nothing is left out.
    fn said_hanging(
        &self,
        lead: &str,
        ink: Ink,
        text: &str,
        hang: usize,
        wrap: fn(&str, usize) -> Vec<String>,
    ) -> String {
        let room = self.room(hang.max(columns::of(lead)));
        let text = text.trim_matches(['\n', '\r']).trim_end();
        let limit = if self.style.live { TEXT_BYTES } else { PIPED_CHARS };
        let seen = beginning(text, limit);
        let unseen = text.get(seen.len()..).unwrap_or_default();
        let mut out = self.style.paint(ink, lead);
        let mut shown = 0;
        let mut left = unseen.lines().count();
        for line in clean::lines(seen).split('\n') {
            let rows = if self.style.wraps { wrap(line, room) } else { vec![line.trim_end().to_owned()] };
            for row in rows {
                if shown == TEXT_ROWS {
                    left += 1;
                    continue;
                }
                if shown > 0 && !row.is_empty() {
                    out.push_str(&format!("{:hang$}", ""));
                }
                out.push_str(&row);
                out.push('\n');
                shown += 1;
            }
        }
        if left > 0 {
            let more = format!("{:hang$}… {}", "", count(left, "more line"));
            out.push_str(&self.style.paint(Ink::Dim, &more));
            out.push('\n');
        }
        out
    }
}

/// The lead before a role's text, and the indentation of later rows.
fn text_lead(role: Role, sub_agent: bool) -> (&'static str, usize) {
    match (role, sub_agent) {
        (Role::Agent, false) => ("", 0),
        (Role::Agent, true) => ("  ↳ ", TEXT_INDENT),
        (Role::Critic, false) => ("critic: ", "critic: ".len()),
        (Role::Critic, true) => ("critic ↳ ", TEXT_INDENT),
    }
}

/// The text without the marker that ends a critic's answer: the row of the verdict says what it means.
fn without_marker(role: Role, text: &str) -> &str {
    let ends = |marker: &&str| text.trim_end().strip_suffix(*marker).filter(|t| t.is_empty() || t.ends_with('\n'));
    match role {
        Role::Critic => MARKERS.iter().find_map(ends).unwrap_or(text).trim_end(),
        Role::Agent => text,
    }
}

/// The beginning of `text`, at most `bytes` of it.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The end of `text`, at most `bytes` of it.
fn end(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}
