//! A resting run: at most an idle agent runs, until the user's next message.
//!
//! A run rests before its first message, after an interruption, after a verdict while a client is attached, while it is paused,
//! and after a stop that is not judged. A rest does not count as working time. Without attached clients it ends after a while.

use super::machine::Stage;
use super::{Core, Outcome, RestKind, Show, Tick, bound_in_words};

/// How long a detached client may take to come back, for example after a broken connection or a suspended terminal. Nothing is
/// decided for lack of a client before that.
pub(super) const AWAY_MS: u64 = 60_000;

/// Why a run rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    kind: RestKind,
    /// How the run would end now, if there is a verdict.
    verdict: Option<(Outcome, String)>,
}

impl Rest {
    pub(super) fn of(kind: RestKind) -> Rest {
        Rest { kind, verdict: None }
    }

    pub(super) fn kind(&self) -> RestKind {
        self.kind
    }

    /// A rest after this verdict.
    pub(super) fn judged(outcome: Outcome, reason: &str) -> Rest {
        Rest { kind: RestKind::Judged, verdict: Some((outcome, reason.to_owned())) }
    }

    /// A rest of a reopened run; `ended` is how it had ended, if it had.
    pub(super) fn taken_up(ended: Option<(Outcome, String)>) -> Rest {
        Rest { kind: RestKind::TakenUp, verdict: ended }
    }
}

/// A current rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resting {
    rest: Rest,
    since: Tick,
}

impl Resting {
    pub(super) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(super) fn kind(&self) -> RestKind {
        self.rest.kind
    }

    pub(super) fn since(&self) -> Tick {
        self.since
    }

    /// How the run ends if the user ends it now.
    pub(super) fn outcome(&self) -> Option<(Outcome, String)> {
        self.rest.verdict.clone()
    }

    /// The word for what the run is doing.
    pub(super) fn phase(&self) -> &'static str {
        match (self.rest.kind, &self.rest.verdict) {
            (_, Some((outcome, _))) => outcome.as_str(),
            (RestKind::Paused, None) => "paused",
            (
                RestKind::NoTask
                | RestKind::Interrupted
                | RestKind::Judged
                | RestKind::Unsupervised
                | RestKind::TakenUp
                | RestKind::Workers,
                None,
            ) => "waiting",
        }
    }
}

impl Core {
    /// Begins a rest.
    pub(super) fn rest(&mut self, rest: Rest) {
        if self.is_closing() {
            return;
        }
        let since = self.now();
        let (why, resting) = (rest.kind, Resting { rest, since });
        let (outcome, reason) = resting.outcome().unzip();
        self.decide("rest", why.in_words());
        let detail = if why == RestKind::Workers { self.for_workers() } else { why.in_words().to_owned() };
        let phase = resting.phase();
        self.enter(Stage::Resting(resting));
        self.phase_changes(phase, &detail);
        self.show(Show::Rests { why, outcome, reason: reason.unwrap_or_default() });
    }

    /// Begins a rest, unless a queued message can be sent now.
    pub(super) fn rest_unless_queued(&mut self, kind: RestKind) {
        if self.turns.has_queued() && !self.is_paused() {
            self.enter(Stage::Working);
        } else {
            self.rest(Rest::of(kind));
        }
    }

    /// Whether the run rests after a verdict, because a client can give the next message. The last one may have left less than
    /// [`AWAY_MS`] ago: it can come back.
    pub(super) fn rests_after_verdict(&self) -> bool {
        let may_be_back = |since: Tick| self.was_attended() && self.now() < since.plus_ms(AWAY_MS);
        self.plan.conversation && self.alone_since().is_none_or(may_be_back)
    }

    /// There is a verdict: the run ends, or rests if a client can continue the conversation.
    pub(super) fn ends_or_rests(&mut self, outcome: Outcome, reason: &str) {
        if self.rests_after_verdict() {
            self.rest(Rest::judged(outcome, reason));
        } else {
            self.close(outcome, reason);
        }
    }

    /// When a rest without attached clients ends.
    pub(super) fn rest_deadline(&self) -> Option<Tick> {
        let Stage::Resting(resting) = self.stage() else { return None };
        // Its own bounds end it: `workers_lost_at`, and those of the run.
        if resting.kind() == RestKind::Workers {
            return None;
        }
        let alone_since = self.alone_since()?.max(resting.since());
        let patience_ms = match resting.kind() {
            RestKind::Judged | RestKind::TakenUp => AWAY_MS,
            // The last client left without a message; before the first one comes, the longer patience applies.
            RestKind::NoTask if self.was_attended() => AWAY_MS,
            // A run with a task has no user at it: a client that steers it sends the next message at once or never.
            RestKind::Interrupted | RestKind::Unsupervised if !self.plan.conversation => AWAY_MS,
            RestKind::NoTask
            | RestKind::Interrupted
            | RestKind::Unsupervised
            | RestKind::Paused
            | RestKind::Workers => self.plan.conversation_patience_ms,
        };
        Some(alone_since.plus_ms(patience_ms))
    }

    /// Whether it rests because a bound was spent that the user has raised since.
    pub(super) fn has_room_again(&self, resting: &Resting) -> bool {
        matches!(resting.outcome(), Some((Outcome::Budget, _))) && self.spent_budget().is_none()
    }

    /// Whether a queued message ends the rest.
    pub(super) fn rest_is_over(&self) -> bool {
        let Stage::Resting(resting) = self.stage() else { return false };
        // Nobody may be at the interface: it is started again for what is to be said about a worker.
        if resting.kind() == RestKind::Workers {
            return self.turns.has_queued() || self.workers_running() == 0;
        }
        resting.kind() != RestKind::Paused && self.turns.has_queued() && !self.has_interface()
    }

    pub(super) fn rest_elapsed(&mut self) {
        if self.rest_deadline().is_none_or(|due| self.now() < due) {
            return;
        }
        let Stage::Resting(resting) = self.stage() else { return };
        // A queued message ends the rest now.
        if self.rest_is_over() {
            return;
        }
        let (outcome, reason) = resting.outcome().unwrap_or_else(|| {
            let reason = match resting.kind() {
                RestKind::NoTask | RestKind::TakenUp => "nothing was said".to_owned(),
                RestKind::Interrupted | RestKind::Unsupervised if !self.plan.conversation => format!(
                    "{}, and nobody has said anything for {}",
                    if resting.kind() == RestKind::Interrupted {
                        "the turn was interrupted"
                    } else {
                        "the agent has stopped, and nothing is judged"
                    },
                    bound_in_words(AWAY_MS)
                ),
                RestKind::Interrupted
                | RestKind::Judged
                | RestKind::Unsupervised
                | RestKind::Paused
                | RestKind::Workers => {
                    let patience = bound_in_words(self.plan.conversation_patience_ms);
                    format!("the run rested, and nobody has attended it for {patience}")
                }
            };
            (Outcome::Interrupted, reason)
        });
        self.close(outcome, &reason);
    }
}
