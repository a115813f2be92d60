//! The status row. When there is no room, the least important part is removed first.

use super::super::columns;
use super::super::format::{count, money, seconds};
use super::super::paint::{Look, Row};
use crate::core::RestKind;

/// The values of the status row.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    /// The phase of the run; empty while unknown.
    pub(super) phase: String,
    /// Details of the phase.
    pub(super) detail: String,
    pub(super) iteration: u32,
    pub(super) max_iterations: Option<u32>,
    /// The token in use.
    pub(super) label: String,
    /// The used shares of its two windows, 0 to 1.
    pub(super) windows: (Option<f64>, Option<f64>),
    pub(super) cost_usd: Option<f64>,
    /// How many clients are attached.
    pub(super) attending: u32,
    /// The run's time at which a wait ends.
    pub(super) goes_on_at_ms: Option<u64>,
    /// Whether the user has paused the run, as far as this client knows.
    pub(super) is_paused: bool,
    /// Why the run rests, if it does.
    pub(super) rest: Option<RestKind>,
    /// The run's time at which the present activity began, if known.
    pub(super) since_ms: Option<u64>,
    /// The agent's permission mode; empty while unknown.
    pub(super) mode: String,
    /// The request that the agent's CLI tries again.
    pub(super) retry: Option<Retry>,
}

/// A request that failed and is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    /// The run's time at which it is tried again.
    pub(super) at_ms: u64,
}

/// The permission mode that is not named.
const USUAL_MODE: &str = "default";

const BETWEEN: &str = " · ";

impl Status {
    /// The present activity in one word. An outcome with which the run rests has its own row.
    fn word(&self, thinks: bool) -> &str {
        match (self.rest, self.phase.as_str()) {
            (Some(RestKind::Paused), _) => "paused",
            (Some(_), _) if self.is_paused => "paused",
            (
                Some(
                    RestKind::NoTask
                    | RestKind::Interrupted
                    | RestKind::Judged
                    | RestKind::Unsupervised
                    | RestKind::TakenUp,
                ),
                _,
            ) => "ready",
            (Some(RestKind::Workers), _) => "waiting",
            (None, "") => "starting…",
            (None, "working") if thinks => "thinking",
            (None, "asking") => "asks you",
            (None, phase) => phase,
        }
    }

    /// Further details.
    fn more(&self) -> &str {
        match self.rest {
            Some(_) if self.is_paused => "type /continue",
            Some(RestKind::NoTask | RestKind::Judged) => "",
            Some(RestKind::Interrupted) => "interrupted",
            Some(RestKind::Unsupervised) => "nothing is reviewed",
            Some(RestKind::Paused) => "type /continue",
            Some(RestKind::TakenUp) => "taken up",
            Some(RestKind::Workers) | None => &self.detail,
        }
    }

    /// Enters a phase. A question within a turn is part of the turn.
    pub(super) fn enters(&mut self, phase: String, run_ms: u64) {
        let in_turn = |phase: &str| matches!(phase, "working" | "asking");
        if self.phase != phase && !(in_turn(&self.phase) && in_turn(&phase)) {
            self.since_ms = Some(run_ms);
        }
        self.phase = phase;
    }

    /// The row at this time of the run. `queued` is the number of queued turns; `thinks`: the agent is thinking.
    pub(super) fn row(&self, now_ms: u64, queued: usize, thinks: bool, columns: usize) -> Row {
        let mut parts: Vec<(u8, String)> = vec![(0, self.word(thinks).to_owned())];
        let is_over = self.rest.is_some() || matches!(self.phase.as_str(), "" | "ended");
        if let Some(since) = self.since_ms.filter(|_| !is_over) {
            parts.push((3, seconds(now_ms.saturating_sub(since))));
        }
        if let Some(at) = self.goes_on_at_ms.filter(|at| *at > now_ms) {
            parts.push((1, format!("continues in {}", seconds(at - now_ms))));
        }
        if let Some(Retry { attempt, max_attempts, at_ms }) = self.retry.filter(|_| !is_over) {
            let left = at_ms.saturating_sub(now_ms);
            let due = if left > 0 { format!(" in {}", seconds(left)) } else { String::new() };
            parts.push((1, format!("retry {attempt}/{max_attempts}{due}")));
        }
        if !self.mode.is_empty() && self.mode != USUAL_MODE {
            parts.push((2, format!("mode {}", self.mode)));
        }
        if self.iteration > 0 {
            let of = self.max_iterations.map_or_else(String::new, |most| format!("/{most}"));
            parts.push((4, format!("{}{of}", self.iteration)));
        }
        if !self.label.is_empty() {
            parts.push((6, self.label.clone()));
        }
        if self.windows != (None, None) {
            let percent =
                |used: Option<f64>| used.map_or_else(|| "?".to_owned(), |used| format!("{:.0}%", used * 100.0));
            parts.push((5, format!("{}/{}", percent(self.windows.0), percent(self.windows.1))));
        }
        if let Some(usd) = self.cost_usd {
            parts.push((7, money(Some(usd))));
        }
        if queued > 0 {
            parts.push((2, format!("{queued} queued")));
        }
        if self.attending > 1 {
            parts.push((
                8,
                format!("{} attend", count(usize::try_from(self.attending).unwrap_or(usize::MAX), "client")),
            ));
        }
        let width = |parts: &[(u8, String)]| {
            let text: usize = parts.iter().map(|(_, text)| columns::of(text)).sum();
            text + BETWEEN.chars().count() * parts.len().saturating_sub(1)
        };
        while parts.len() > 1 && width(&parts) > columns {
            let least = (0..parts.len()).max_by_key(|&at| parts.get(at).map_or(0, |(rank, _)| *rank)).unwrap_or(0);
            parts.remove(least);
        }
        let row = parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(BETWEEN);
        let left = columns.saturating_sub(columns::of(&row) + BETWEEN.chars().count());
        let more = self.more();
        let row =
            if more.is_empty() || left < 10 { row } else { format!("{row}{BETWEEN}{}", columns::cut(more, left)) };
        Row::of(Look::DIM, &row).cut(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_goes_first() {
        let status = Status {
            phase: "working".to_owned(),
            iteration: 3,
            max_iterations: Some(20),
            label: "max-1".to_owned(),
            windows: (Some(0.45), Some(0.62)),
            cost_usd: Some(1.2),
            attending: 2,
            since_ms: Some(713_000),
            ..Status::default()
        };
        let row = |columns| status.row(725_000, 2, false, columns).text();
        assert_eq!(row(100), "working · 12s · 3/20 · max-1 · 45%/62% · $1.20 · 2 queued · 2 clients attend");
        assert_eq!(row(60), "working · 12s · 3/20 · max-1 · 45%/62% · $1.20 · 2 queued");
        assert_eq!(row(30), "working · 12s · 2 queued");
        assert_eq!(row(8), "working");
        assert_eq!(Status::default().row(0, 0, false, 40).text(), "starting…");
    }

    #[test]
    fn the_word_is_what_is_done_now_and_ready_when_nothing_is() {
        let row = |rest, phase: &str, thinks| {
            let status = Status {
                rest,
                phase: phase.to_owned(),
                detail: "d".to_owned(),
                since_ms: Some(1_000),
                ..Status::default()
            };
            status.row(13_000, 0, thinks, 60).text()
        };
        assert_eq!(row(None, "working", true), "thinking · 12s · d");
        assert_eq!(row(None, "asking", false), "asks you · 12s · d");
        assert_eq!(row(Some(RestKind::NoTask), "starting", false), "ready");
        assert_eq!(row(Some(RestKind::Judged), "needs_user", false), "ready");
        assert_eq!(row(Some(RestKind::Interrupted), "waiting", false), "ready · interrupted");
        assert_eq!(row(Some(RestKind::Paused), "paused", false), "paused · type /continue");
        let at_rest = Status { is_paused: true, rest: Some(RestKind::Judged), ..Status::default() };
        assert_eq!(at_rest.row(0, 0, false, 60).text(), "paused · type /continue");
    }

    #[test]
    fn a_retry_counts_down_and_a_mode_is_named_unless_it_is_the_usual_one() {
        let retry = Some(Retry { attempt: 3, max_attempts: 10, at_ms: 20_000 });
        let mut status = Status { phase: "working".to_owned(), retry, mode: "default".to_owned(), ..Status::default() };
        let row = |status: &Status, now_ms| status.row(now_ms, 0, false, 60).text();
        assert_eq!(row(&status, 8_000), "working · retry 3/10 in 12s");
        assert_eq!(row(&status, 20_500), "working · retry 3/10");
        status.rest = Some(RestKind::Judged);
        assert_eq!(row(&status, 8_000), "ready");
        status.mode = "acceptEdits".to_owned();
        assert_eq!(row(&status, 8_000), "ready · mode acceptEdits");
    }

    #[test]
    fn a_question_within_a_turn_begins_no_time_of_its_own() {
        let mut status = Status::default();
        for (phase, at, since) in [("working", 5, 5), ("asking", 9, 5), ("working", 12, 5), ("reviewing", 20, 20)] {
            status.enters(phase.to_owned(), at);
            assert_eq!(status.since_ms, Some(since), "{phase}");
        }
    }
}
