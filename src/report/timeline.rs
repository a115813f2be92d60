//! What the run did at each time, in one row per token.

use serde::Serialize;

use super::text::Text;

/// Into how many parts a row is divided at the most; what is shorter joins what took more of its part.
const PARTS: u64 = 1_000;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// The agent's process is started, for the first time or again, or the setup runs.
    Restart,
    /// The model works.
    Working,
    /// A tool runs.
    Tool,
    /// ccc runs the checks.
    Checking,
    /// The critic looks at the work.
    Review,
    /// The run waits for a limit, an answer, its workers or the user.
    Waiting,
    /// No ccc runs, or the machine sleeps.
    Away,
}

impl Activity {
    /// All of them.
    pub const ALL: [Activity; 7] = [
        Activity::Working,
        Activity::Tool,
        Activity::Checking,
        Activity::Review,
        Activity::Waiting,
        Activity::Restart,
        Activity::Away,
    ];

    /// The word in JSON, and the class in HTML.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Activity::Restart => "restart",
            Activity::Working => "working",
            Activity::Tool => "tool",
            Activity::Checking => "checking",
            Activity::Review => "review",
            Activity::Waiting => "waiting",
            Activity::Away => "away",
        }
    }

    /// The words for the user.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Activity::Restart => "start or restart",
            Activity::Working => "working",
            Activity::Tool => "tool",
            Activity::Checking => "checking",
            Activity::Review => "review",
            Activity::Waiting => "waiting",
            Activity::Away => "ccc not running, or asleep",
        }
    }

    /// The activity of a phase ([`crate::core::Show::Phase`]); `None` when the run is over or ends.
    #[must_use]
    pub(super) fn of_phase(phase: &str) -> Option<Activity> {
        match phase {
            "setting up" | "starting" | "restarting" => Some(Activity::Restart),
            "checking" => Some(Activity::Checking),
            "reviewing" => Some(Activity::Review),
            "asking" | "waiting" | "paused" | "resting" => Some(Activity::Waiting),
            "ending" | "finished" => None,
            _ => Some(Activity::Working),
        }
    }
}

/// A time in which a run did one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// What it did.
    pub activity: Activity,
    /// Its beginning, milliseconds after the run's.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
}

/// The times in which a token was in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// The token's label.
    pub token: Text,
    /// In order, without overlap.
    pub stretches: Vec<Stretch>,
}

/// The timeline of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Its end, milliseconds after the run's beginning on the wall clock.
    pub end_ms: u64,
    /// A row per token, in the order of their first use.
    pub lanes: Vec<Lane>,
}

/// A timeline that is being recorded.
#[derive(Debug, Default)]
pub(super) struct TimelineRecorder {
    lanes: Vec<Lane>,
    /// The row, and what the run does since when.
    now: Option<(usize, Activity, u64)>,
}

impl TimelineRecorder {
    /// From now on the run does this, with this token; `None` ends the timeline for now.
    pub(super) fn set(&mut self, at_ms: u64, token: &Text, activity: Option<Activity>) {
        let lane = activity.map(|_| self.lane(token));
        let next = lane.zip(activity);
        if self.now.map(|(lane, activity, _)| (lane, activity)) == next {
            return;
        }
        if let Some((lane, activity, from_ms)) = self.now
            && from_ms < at_ms
            && let Some(lane) = self.lanes.get_mut(lane)
        {
            lane.stretches.push(Stretch { activity, from_ms, to_ms: at_ms });
        }
        self.now = next.map(|(lane, activity)| (lane, activity, at_ms));
    }

    /// What the run does.
    pub(super) fn activity(&self) -> Option<Activity> {
        self.now.map(|(_, activity, _)| activity)
    }

    fn lane(&mut self, token: &Text) -> usize {
        if let Some(at) = self.lanes.iter().position(|lane| lane.token == *token) {
            return at;
        }
        self.lanes.push(Lane { token: token.clone(), stretches: Vec::new() });
        self.lanes.len() - 1
    }

    pub(super) fn end(mut self, at_ms: u64) -> Timeline {
        self.set(at_ms, &Text::default(), None);
        let lanes = self.lanes.into_iter().filter(|lane| !lane.stretches.is_empty());
        let lanes = lanes.map(|lane| Lane { stretches: coarse(&lane.stretches, at_ms), ..lane });
        Timeline { end_ms: at_ms, lanes: lanes.collect() }
    }
}

/// The same, in parts of a thousandth of the whole: each part is what took most of it.
fn coarse(stretches: &[Stretch], end_ms: u64) -> Vec<Stretch> {
    let part_ms = end_ms.div_ceil(PARTS).max(1);
    if stretches.iter().all(|stretch| stretch.to_ms - stretch.from_ms >= part_ms) {
        return stretches.to_vec();
    }
    let mut out: Vec<Stretch> = Vec::new();
    // The part, and how long each activity took in it.
    let mut open: Option<(u64, [(Activity, u64); Activity::ALL.len()])> = None;
    let mut close = |open: Option<(u64, [(Activity, u64); Activity::ALL.len()])>| {
        let Some((part, took)) = open else { return };
        let Some((activity, _)) = took.into_iter().max_by_key(|(_, ms)| *ms).filter(|(_, ms)| *ms > 0) else { return };
        let (from_ms, to_ms) = (part * part_ms, ((part + 1) * part_ms).min(end_ms));
        match out.last_mut() {
            Some(last) if last.activity == activity && last.to_ms == from_ms => last.to_ms = to_ms,
            _ => out.push(Stretch { activity, from_ms, to_ms }),
        }
    };
    for stretch in stretches {
        let mut from_ms = stretch.from_ms;
        while from_ms < stretch.to_ms {
            let part = from_ms / part_ms;
            let to_ms = ((part + 1) * part_ms).min(stretch.to_ms);
            if open.is_none_or(|(other, _)| other != part) {
                close(open.take());
            }
            let (_, took) = open.get_or_insert((part, Activity::ALL.map(|activity| (activity, 0))));
            for (activity, ms) in took.iter_mut().filter(|(activity, _)| *activity == stretch.activity) {
                debug_assert_eq!(*activity, stretch.activity);
                *ms += to_ms - from_ms;
            }
            from_ms = to_ms;
        }
    }
    close(open.take());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::Washer;

    #[test]
    fn each_token_has_a_row_and_short_times_are_joined() {
        let washer = Washer::default();
        let (one, two) = (washer.text("ONE"), washer.text("TWO"));
        let mut recorder = TimelineRecorder::default();
        recorder.set(0, &one, Some(Activity::Restart));
        recorder.set(10, &one, Some(Activity::Working));
        for n in 1..50_000_u64 {
            recorder.set(n * 1_000, &one, Some(Activity::Tool));
            recorder.set(n * 1_000 + 10, &one, Some(Activity::Working));
        }
        recorder.set(50_000_000, &two, Some(Activity::Waiting));
        let timeline = recorder.end(60_000_000);
        let rows: Vec<(&str, usize)> =
            timeline.lanes.iter().map(|lane| (lane.token.as_str(), lane.stretches.len())).collect();
        assert_eq!(rows, [("ONE", 1), ("TWO", 1)]);
        let all = &timeline.lanes[1].stretches[0];
        assert_eq!((all.activity, all.from_ms, all.to_ms), (Activity::Waiting, 50_000_000, 60_000_000));
    }

    #[test]
    fn a_row_never_has_more_than_its_parts() {
        let washer = Washer::default();
        let token = washer.text("ONE");
        let mut recorder = TimelineRecorder::default();
        for n in 0..100_000_u64 {
            let activity = if n % 2 == 0 { Activity::Tool } else { Activity::Review };
            recorder.set(n * 777, &token, Some(activity));
        }
        let timeline = recorder.end(77_700_000);
        let stretches = &timeline.lanes[0].stretches;
        assert!(stretches.len() <= PARTS as usize + 1, "{}", stretches.len());
        assert!(stretches.windows(2).all(|two| two[0].to_ms <= two[1].from_ms));
    }
}
