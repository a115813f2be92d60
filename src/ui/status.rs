use super::columns;
use super::format::{money, seconds};
use super::piece::ERASE;
use super::style::{Ink, Style};
use crate::core::Tick;

/// The line kept at the bottom of a terminal: what the run is at, how far it is, for how long, for how much.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    /// The phase, clean; `None` before the first and after the end, when there is no line.
    pub(super) phase: Option<String>,
    /// More about the phase, clean.
    pub(super) detail: String,
    /// Which iteration; 0 before the first.
    pub(super) iteration: u32,
    /// Of how many.
    pub(super) max_iterations: Option<u32>,
    /// Money spent, when known.
    pub(super) cost_usd: Option<f64>,
}

/// Columns below which a terminal is too narrow for any status line.
const COLUMNS_MIN: usize = 8;

/// Columns that must be left for the detail to be worth showing.
const DETAIL_MIN: usize = 10;

const BETWEEN: &str = " · ";

impl Status {
    /// Erases the old line and draws the new one, the cursor parked in its first column. Only the erasing while there
    /// is nothing to draw.
    pub(super) fn draw(&self, tick: Tick, style: Style) -> String {
        match self.row(tick, usize::from(style.columns)) {
            Some(row) => format!("{ERASE}{}\r", style.paint(Ink::Dim, &row)),
            None => ERASE.to_owned(),
        }
    }

    /// The line itself. The last column stays free: a terminal that breaks there would scroll.
    fn row(&self, tick: Tick, columns: usize) -> Option<String> {
        let phase = self.phase.as_deref()?;
        if columns < COLUMNS_MIN {
            return None;
        }
        let room = columns - 1;
        let elapsed = seconds(tick.as_ms());
        let cost = self.cost_usd.map(|usd| money(Some(usd)));
        let long = self.iteration_text("iteration ", " of ");
        let short = self.iteration_text("", "/");
        let candidates = [
            [Some(phase), long.as_deref(), Some(&elapsed), cost.as_deref()],
            [Some(phase), short.as_deref(), Some(&elapsed), cost.as_deref()],
            [Some(phase), short.as_deref(), Some(&elapsed), None],
            [Some(phase), None, Some(&elapsed), None],
        ];
        for parts in candidates {
            let row = parts.into_iter().flatten().collect::<Vec<_>>().join(BETWEEN);
            let left = room.checked_sub(columns::of(&row));
            let Some(left) = left else { continue };
            let detail = left.saturating_sub(BETWEEN.chars().count());
            if self.detail.is_empty() || detail < DETAIL_MIN {
                return Some(row);
            }
            return Some(format!("{row}{BETWEEN}{}", columns::cut(&self.detail, detail)));
        }
        Some(columns::cut(phase, room))
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
