//! The status line at the bottom of a terminal.

use super::columns;
use super::format::{money, seconds};
use super::output::ERASE;
use super::style::{Ink, Style};
use super::tools::Tools;
use crate::core::{AfterWait, Tick};

/// What the run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Since when there has been no progress.
    pub since: Tick,
    /// When the next step is due, if that is known.
    pub until: Option<Tick>,
    /// What happens then.
    pub then: AfterWait,
}

/// The line at the bottom of a terminal: phase and iteration, the running tool, the length of the silence, the end of a wait, the
/// time and money used, and the time left.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    /// The phase, clean; `None` before the first and after the end, when there is no line.
    pub(super) phase: Option<String>,
    /// Details of the phase, clean.
    pub(super) detail: String,
    /// The iteration; 0 before the first.
    pub(super) iteration: u32,
    /// The bound on iterations.
    pub(super) max_iterations: Option<u32>,
    /// The bound on working time.
    pub(super) max_duration_ms: Option<u64>,
    /// The cost, if known.
    pub(super) cost_usd: Option<f64>,
    /// The running tools.
    pub(super) tools: Tools,
    /// What the run waits for.
    pub(super) standing: Option<Awaited>,
    /// The end of the text in progress, clean.
    pub(super) typing: String,
}

/// A shorter silence is not shown.
const SILENCE_MS: u64 = 10_000;

/// A narrower terminal has no status line.
const COLUMNS_MIN: usize = 8;

/// With fewer columns left, the detail is not shown.
const DETAIL_MIN: usize = 10;

const BETWEEN: &str = " · ";

impl Status {
    /// Erases the old line and draws the new one, with the cursor in its first column. Only erases when there is
    /// nothing to draw.
    pub(super) fn draw(&self, tick: Tick, style: Style) -> String {
        match self.row(tick, usize::from(style.columns)) {
            Some(row) => format!("{ERASE}{}\r", style.paint(Ink::Dim, &row)),
            None => ERASE.to_owned(),
        }
    }

    /// The line. The last column stays free, because some terminals break a line there and scroll.
    fn row(&self, tick: Tick, columns: usize) -> Option<String> {
        let phase = self.phase.as_deref()?;
        if columns < COLUMNS_MIN {
            return None;
        }
        let room = columns - 1;
        let more = if self.typing.is_empty() { &self.detail } else { &self.typing };
        let mut parts = self.parts(phase, tick);
        if !more.is_empty() {
            // The detail needs the room more than the word beside the time.
            parts.iter_mut().filter(|part| part.rank == WORD_ONLY).for_each(Part::shorten);
        }
        let width = |parts: &[Part]| {
            let text: usize = parts.iter().map(|part| columns::of(&part.text)).sum();
            text + BETWEEN.chars().count() * parts.len().saturating_sub(1)
        };
        // The least important parts are shortened or removed first. The phase stays, cut if necessary.
        while parts.len() > 1 && width(&parts) > room {
            let least = (0..parts.len()).max_by_key(|&at| parts.get(at).map_or(0, |part| part.rank)).unwrap_or(0);
            let Some(part) = parts.get_mut(least) else { break };
            if part.shorter.is_some() {
                part.shorten();
            } else {
                parts.remove(least);
            }
        }
        let row = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(BETWEEN);
        let left = room.saturating_sub(columns::of(&row) + BETWEEN.chars().count());
        if more.is_empty() || left < DETAIL_MIN {
            return Some(columns::cut(&row, room));
        }
        let more = if self.typing.is_empty() { columns::cut(more, left) } else { columns::cut_front(more, left) };
        Some(format!("{row}{BETWEEN}{more}"))
    }

    /// The parts of the line in their order.
    fn parts(&self, phase: &str, tick: Tick) -> Vec<Part> {
        let mut parts = vec![Part::new(0, phase.to_owned())];
        if let (Some(long), Some(short)) = (self.iteration_text("iteration ", " of "), self.iteration_text("", "/")) {
            parts.push(Part { text: long, rank: 9, shorter: Some(short), rank_when_shorter: 3 });
        }
        if let Some((name, since, count)) = self.tools.oldest() {
            let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            let age = seconds(tick.ms_since(since));
            parts.push(Part {
                text: format!("{name}{more} {age}"),
                rank: 8,
                shorter: Some(format!("{name} {age}")),
                rank_when_shorter: 2,
            });
        }
        if let Some(standing) = &self.standing {
            let silent_ms = tick.ms_since(standing.since);
            let left = standing.until.map(|until| seconds(until.ms_since(tick)));
            match left {
                // An overdue step is shown as a silence.
                Some(left)
                    if standing.then == AfterWait::GoesOn
                        && (standing.until > Some(tick) || silent_ms < SILENCE_MS) =>
                {
                    parts.push(Part::new(1, format!("continues in {left}")));
                }
                Some(_) | None if silent_ms >= SILENCE_MS => {
                    let shorter = format!("silent {}", seconds(silent_ms));
                    let then = match standing.then {
                        AfterWait::Judged => "judged",
                        AfterWait::Hung | AfterWait::GoesOn => "restart",
                    };
                    let left = left.filter(|_| standing.then != AfterWait::GoesOn);
                    let text = left.map_or_else(|| shorter.clone(), |left| format!("{shorter} ({then} in {left})"));
                    parts.push(Part { text, rank: 7, shorter: Some(shorter), rank_when_shorter: 4 });
                }
                Some(_) | None => {}
            }
        }
        let elapsed = seconds(tick.as_ms());
        let text = format!("{elapsed} elapsed");
        parts.push(Part { text, rank: WORD_ONLY, shorter: Some(elapsed), rank_when_shorter: 1 });
        if let Some(bound_ms) = self.max_duration_ms {
            let left = seconds(bound_ms.saturating_sub(tick.as_ms()));
            parts.push(Part::new(5, format!("{left} left")));
        }
        if let Some(usd) = self.cost_usd {
            parts.push(Part::new(6, money(Some(usd))));
        }
        parts
    }

    /// `iteration 2 of 20`, or nothing before the first.
    pub(super) fn iteration_text(&self, before: &str, of: &str) -> Option<String> {
        if self.iteration == 0 {
            return None;
        }
        let k = self.iteration;
        Some(self.max_iterations.map_or_else(|| format!("{before}{k}"), |n| format!("{before}{k}{of}{n}")))
    }
}

/// A part of the line. The part with the highest rank is shortened or removed first.
struct Part {
    text: String,
    rank: u8,
    shorter: Option<String>,
    rank_when_shorter: u8,
}

/// The rank of a part that only loses a word when it is shortened.
const WORD_ONLY: u8 = 10;

impl Part {
    fn shorten(&mut self) {
        if let Some(shorter) = self.shorter.take() {
            (self.text, self.rank) = (shorter, self.rank_when_shorter);
        }
    }

    fn new(rank: u8, text: String) -> Part {
        Part { text, rank, shorter: None, rank_when_shorter: rank }
    }
}

#[cfg(test)]
mod tests {
    use super::{Awaited, Status};
    use crate::core::{AfterWait, Tick};

    #[test]
    fn the_line_names_the_tool_its_age_the_silence_and_what_is_left() {
        let mut status = Status {
            phase: Some("working".to_owned()),
            iteration: 2,
            max_iterations: Some(20),
            max_duration_ms: Some(8 * 3_600_000),
            cost_usd: Some(0.42),
            ..Status::default()
        };
        let at = |s: u64| Tick::ZERO.plus_ms(s * 1_000);
        let row = |status: &Status, columns| status.row(at(100), columns).unwrap_or_default();
        assert_eq!(row(&status, 80), "working · iteration 2 of 20 · 1m 40s elapsed · 7h 58m left · $0.42");
        status.tools.started("a", "Bash", at(28), None);
        status.standing = Some(Awaited { since: at(60), until: Some(at(928)), then: AfterWait::Hung });
        assert_eq!(
            row(&status, 120),
            "working · iteration 2 of 20 · Bash 1m 12s · silent 40s (restart in 13m 48s) · 1m 40s elapsed · 7h 58m left · $0.42"
        );
        assert_eq!(row(&status, 80), "working · 2/20 · Bash 1m 12s · silent 40s · 1m 40s · 7h 58m left · $0.42");
        assert_eq!(row(&status, 40), "working · 2/20 · Bash 1m 12s · 1m 40s");
        assert_eq!(row(&status, 12), "working");
        status.tools.started("b", "Read", at(90), None);
        assert!(row(&status, 120).contains("Bash and 1 more 1m 12s"), "{}", row(&status, 120));
        status.tools.forget();
        status.standing = Some(Awaited { since: at(60), until: Some(at(160)), then: AfterWait::GoesOn });
        assert_eq!(row(&status, 50), "working · 2/20 · continues in 1m 00s · 1m 40s");
        status.standing = None;
        status.typing = "I look at the failing test first".to_owned();
        assert!(row(&status, 80).ends_with(" · …ailing test first"), "{}", row(&status, 80));
    }
}
