use std::collections::VecDeque;

use jiff::tz::TimeZone;

use super::clean;
use super::columns;
use super::diff::Change;
use super::format::{count, seconds, span};
use super::limits;
use super::piece::ERASE;
use super::status::Status;
use super::style::{Ink, Style};
use super::{Banner, Ending, Piece, PieceKind, Stream};
use crate::agent::{Edit, Role, TurnKind};
use crate::core::{Show, Then, Tick};

/// What is waited for, since when, until when, and what comes then.
fn awaited(role: Role, what: &str, for_ms: u64, left_ms: u64, then: Then, alive: bool) -> String {
    let whose = match role {
        Role::Agent => "",
        Role::Critic => "the critic: ",
    };
    let so_far = match (then, for_ms) {
        (Then::Judged, 0) => String::new(),
        (Then::Judged | Then::GoesOn, _) => format!(" for {}", seconds(for_ms)),
        (Then::Hung, _) if alive => format!(" for {}; the process lives, and nothing moves on", seconds(for_ms)),
        (Then::Hung, _) => format!(" for {}; nothing else was heard", seconds(for_ms)),
    };
    let left = seconds(left_ms);
    let then = match then {
        Then::Hung => format!("taken for hung in {left}"),
        Then::Judged => format!("judged without it in {left} (--background-timeout)"),
        Then::GoesOn => format!("{left} left"),
    };
    format!("waiting for {whose}{what}{so_far}; {then}")
}

/// Characters of an event's line where there is no terminal; the journal has the whole.
const PIPED_CHARS: usize = 1_000;

/// Rows of one text on a terminal; the journal has the whole.
const TEXT_ROWS: usize = 200;

/// Bytes of one text that are looked at on a terminal.
const TEXT_BYTES: usize = 64 * 1024;

/// Rows of a failed check's output on a terminal.
const TAIL_ROWS: usize = 20;

/// Bytes of a failed check's output that are looked at.
const TAIL_BYTES: usize = 16 * 1024;

/// Tools that may be open at once and still be named when they fail; the oldest is forgotten first.
const OPEN_TOOLS: usize = 64;

/// The form for people: talk on stderr, the agent's final result on stdout.
///
/// On a terminal, text is wrapped and kept in its lines, edits are shown as diffs, and a status line stands at the
/// bottom. Every piece for a terminal begins with [`ERASE`] and ends with the status line, so a lost piece leaves no
/// trace. Elsewhere an event is one line, its inner line ends shown as `⏎`, and there is no status line.
#[derive(Debug, Clone)]
pub struct Plain {
    style: Style,
    status: Status,
    open_tools: VecDeque<(String, String)>,
    /// The directory the agent works in, with a `/` at its end; empty while unknown.
    directory: String,
    /// What the critic said last: a verdict that repeats it is not shown twice.
    critic_said: String,
    /// In which the times of resets are told.
    zone: TimeZone,
}

impl Plain {
    /// Nothing shown yet.
    #[must_use]
    pub fn new(style: Style) -> Plain {
        Plain {
            style,
            status: Status::default(),
            open_tools: VecDeque::new(),
            directory: String::new(),
            critic_said: String::new(),
            zone: TimeZone::UTC,
        }
    }

    /// The banner.
    pub fn start(&mut self, _tick: Tick, banner: &Banner) -> Piece {
        self.status.max_iterations = Some(banner.max_iterations);
        self.in_directory(&banner.cwd);
        Piece::talk(banner.text(self.style))
    }

    /// Paths below this directory are shown without it.
    pub fn in_directory(&mut self, cwd: &str) {
        self.directory = format!("{}/", cwd.trim_end_matches('/'));
    }

    /// The times of resets are told in this zone; in UTC unless this is called.
    pub fn in_zone(&mut self, zone: TimeZone) {
        self.zone = zone;
    }

    /// What is said of an event.
    pub fn render(&mut self, tick: Tick, show: &Show) -> Piece {
        let over = matches!(show, Show::Finished { .. });
        let body = self.body(show);
        if !self.style.live || (body.is_empty() && !over) {
            return Piece::talk(body);
        }
        let mut text = format!("{ERASE}{body}");
        if self.status.phase.is_some() {
            let status = self.status.draw(tick, self.style);
            text.push_str(status.strip_prefix(ERASE).unwrap_or(&status));
        }
        Piece::talk(text)
    }

    /// The status line; `None` without a terminal, before the first phase and after the end.
    pub fn status(&mut self, tick: Tick) -> Option<Piece> {
        (self.style.live && self.status.phase.is_some()).then(|| Piece::status(self.status.draw(tick, self.style)))
    }

    /// The terminal has another width now.
    pub fn resize(&mut self, columns: u16) {
        if columns > 0 {
            self.style.columns = columns;
        }
    }

    /// The result on stdout and the final block on stderr. The status line is gone before either.
    pub fn finish(&mut self, tick: Tick, ending: &Ending<'_>) -> Vec<Piece> {
        self.status.phase = None;
        let must_arrive = |text| Piece { stream: Stream::Err, kind: PieceKind::Data, text };
        let mut pieces = Vec::new();
        if self.style.live {
            pieces.push(must_arrive(ERASE.to_owned()));
        }
        let mut result = clean::data(&ending.finish.result);
        if !result.is_empty() {
            if !result.ends_with('\n') {
                result.push('\n');
            }
            pieces.push(Piece::data(result));
        }
        let gap = if self.style.live { "\n" } else { "" };
        let block = ending.text(tick, self.style);
        pieces.push(must_arrive(format!("{gap}{block}")));
        pieces
    }

    fn body(&mut self, show: &Show) -> String {
        match show {
            Show::Phase { phase, detail, iteration } => self.phase(phase, detail, *iteration),
            Show::Session { session_id, model, agent_version, permission_mode } => {
                let text = format!(
                    "session {session_id}, {model}, version {agent_version}, permission mode {permission_mode}"
                );
                self.said("  ", Ink::Dim, &text)
            }
            Show::Turn { kind, text } => self.turn(*kind, text),
            Show::Text { role, text, sub_agent } => self.text(*role, text, *sub_agent),
            Show::Tool { role, id, name, target, edit } => self.tool(*role, id, name, target, edit.as_ref()),
            Show::ToolEnded { id, failed, .. } => self.tool_ended(id, *failed),
            Show::Denied { role, tool, target } => {
                let whom = match role {
                    Role::Agent => "denied: ",
                    Role::Critic => "denied to the critic: ",
                };
                self.row("⊘ ", Ink::Warn, &format!("{whom}{tool} {target}"))
            }
            Show::Check { command, passed, summary, duration_ms, tail } => {
                self.check(command, *passed, summary, *duration_ms, tail)
            }
            Show::Verdict { verdict, text, iteration } => self.verdict(verdict, text, *iteration),
            Show::Cost { usd } => {
                self.status.cost_usd = *usd;
                String::new()
            }
            Show::Notice { text } => self.said("! ", Ink::Warn, text),
            Show::Awaited { role, what, for_ms, left_ms, then, alive } => {
                self.said("  ", Ink::Dim, &awaited(*role, what, *for_ms, *left_ms, *then, *alive))
            }
            Show::Rotation { from, to, why } => {
                self.said("↻ ", Ink::Warn, &format!("another token from now on: {to} instead of {from} ({why})"))
            }
            Show::Spent { tokens, until_unix_ms, waits, now_unix_ms } => {
                self.said("! ", Ink::Warn, &limits::spent(tokens, *until_unix_ms, *waits, *now_unix_ms, &self.zone))
            }
            Show::Question { question, now_unix_ms } => {
                let text = limits::question(question, *now_unix_ms, &self.zone);
                self.said("? ", Ink::Bold, &text)
            }
            Show::Finished { .. } => {
                self.status.phase = None;
                String::new()
            }
        }
    }

    fn phase(&mut self, phase: &str, detail: &str, iteration: u32) -> String {
        let phase = clean::one_line(phase, PIPED_CHARS);
        let detail = clean::one_line(detail, PIPED_CHARS);
        let status = &mut self.status;
        let entered = status.phase.as_deref() != Some(phase.as_str()) || status.iteration != iteration;
        let told = entered || (!self.style.live && status.detail != detail);
        status.iteration = iteration;
        status.detail.clone_from(&detail);
        status.phase = Some(phase.clone());
        // On a terminal the status line follows the detail by itself.
        if !told {
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
        if self.style.live { format!("\n{row}") } else { row }
    }

    fn turn(&self, kind: TurnKind, text: &str) -> String {
        match kind {
            TurnKind::Task => self.said("task: ", Ink::Bold, text),
            TurnKind::Operator => self.said("you: ", Ink::Bold, text),
            TurnKind::Continue => self.said("→ continue: ", Ink::Dim, text),
            // The text of these has just been shown: with the verdict, with the checks.
            TurnKind::Feedback => self.row("→ ", Ink::Dim, "the agent gets the critic's feedback"),
            TurnKind::CheckFailure => self.row("→ ", Ink::Dim, "the agent gets the output of the checks"),
            TurnKind::Compact => self.row("→ ", Ink::Dim, "the session is compacted"),
            TurnKind::Brief => self.row("→ ", Ink::Dim, "the critic is briefed"),
        }
    }

    fn text(&mut self, role: Role, text: &str, sub_agent: bool) -> String {
        if text.trim().is_empty() {
            return String::new();
        }
        let lead = match (role, sub_agent) {
            (Role::Agent, false) => "",
            (Role::Agent, true) => "  ↳ ",
            (Role::Critic, false) => "critic: ",
            (Role::Critic, true) => "critic ↳ ",
        };
        if role == Role::Critic && !sub_agent {
            beginning(text, TEXT_BYTES).trim().clone_into(&mut self.critic_said);
        }
        self.said(lead, Ink::Dim, text)
    }

    fn tool(&mut self, role: Role, id: &str, name: &str, target: &str, edit: Option<&Edit>) -> String {
        if self.open_tools.len() == OPEN_TOOLS {
            self.open_tools.pop_front();
        }
        let short = clean::one_line(name, PIPED_CHARS);
        self.open_tools.push_back((id.to_owned(), short));
        let lead = match role {
            Role::Agent => "● ",
            Role::Critic => "critic ● ",
        };
        let Some(edit) = edit else {
            return self.row(lead, Ink::Tool, &format!("{name} {}", self.relative(target)));
        };
        let change = Change::of(edit);
        let size = change.size();
        let mut out = self.row(lead, Ink::Tool, &format!("{name} {} {size}", self.relative(&edit.path)));
        if self.style.live {
            out.push_str(&change.text(self.style));
        }
        out
    }

    fn relative<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.directory.as_str()).unwrap_or(path)
    }

    fn tool_ended(&mut self, id: &str, failed: bool) -> String {
        let at = self.open_tools.iter().position(|(open, _)| open == id);
        let name = at.and_then(|at| self.open_tools.remove(at));
        if !failed {
            return String::new();
        }
        let name = name.map_or_else(|| "a tool".to_owned(), |(_, name)| name);
        self.row("  ✗ ", Ink::Bad, &format!("{name} failed"))
    }

    fn check(&self, command: &str, passed: bool, summary: &str, duration_ms: u64, tail: &str) -> String {
        let took = span(duration_ms);
        if passed {
            return self.row("✓ ", Ink::Good, &format!("check passed: {command} ({took})"));
        }
        let mut text = format!("check failed: {command} ({took})");
        if !summary.is_empty() {
            text.push_str(": ");
            text.push_str(summary);
        }
        let tail = end(tail.trim_end(), TAIL_BYTES);
        if self.style.live {
            let mut out = self.row("✗ ", Ink::Bad, &text);
            let skipped = tail.lines().count().saturating_sub(TAIL_ROWS);
            for line in tail.lines().skip(skipped) {
                out.push_str(&self.row("    ", Ink::Dim, line));
            }
            out
        } else {
            if !tail.is_empty() {
                text.push('\n');
                text.push_str(tail);
            }
            self.row("✗ ", Ink::Bad, &text)
        }
    }

    fn verdict(&mut self, verdict: &str, text: &str, iteration: u32) -> String {
        let (sign, ink) = match verdict {
            "completed" => ("✓ ", Ink::Good),
            "feedback" => ("↻ ", Ink::Warn),
            "needs_user" => ("? ", Ink::Warn),
            _ => ("✗ ", Ink::Bad),
        };
        let of = self.status.max_iterations.map_or_else(String::new, |n| format!(" of {n}"));
        let head = format!("verdict {iteration}{of}: {verdict}");
        let text = text.trim();
        let repeated = std::mem::take(&mut self.critic_said).contains(text);
        if text.is_empty() || repeated {
            return self.painted_row(sign, &head, ink);
        }
        if self.style.live {
            let mut out = self.painted_row(sign, &head, ink);
            out.push_str(&self.said("    ", Ink::Dim, text));
            out
        } else {
            self.row(sign, ink, &format!("{head}: {text}"))
        }
    }

    /// One line whatever the text; `lead` alone is painted.
    fn row(&self, lead: &str, ink: Ink, text: &str) -> String {
        let text = self.fitted(lead, text);
        format!("{}{text}\n", self.style.paint(ink, lead))
    }

    /// One line whatever the text, all of it painted.
    fn painted_row(&self, lead: &str, text: &str, ink: Ink) -> String {
        let text = self.fitted(lead, text);
        format!("{}\n", self.style.paint(ink, &format!("{lead}{text}")))
    }

    fn fitted(&self, lead: &str, text: &str) -> String {
        if self.style.live {
            let room = usize::from(self.style.columns).saturating_sub(columns::of(lead));
            columns::cut(&clean::folded(text.trim_end(), room.saturating_add(1), clean::TAB), room)
        } else {
            clean::one_line(text, PIPED_CHARS)
        }
    }

    /// A text in its own lines on a terminal, in one line elsewhere. Later rows stand under the first.
    fn said(&self, lead: &str, ink: Ink, text: &str) -> String {
        if !self.style.live {
            return self.row(lead, ink, text);
        }
        let hang = columns::of(lead);
        let room = usize::from(self.style.columns).saturating_sub(hang);
        let text = text.trim_matches(['\n', '\r']).trim_end();
        let seen = beginning(text, TEXT_BYTES);
        let unseen = text.get(seen.len()..).unwrap_or_default();
        let mut out = self.style.paint(ink, lead);
        let mut shown = 0;
        let mut left = unseen.lines().count();
        for line in clean::lines(seen).split('\n') {
            for row in columns::wrap(line, room) {
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

/// The beginning of `text`, at most `bytes` of it.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The end of `text`, at most `bytes` of it.
fn end(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}
