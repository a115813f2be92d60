//! Turns that the agent begins by itself, when its schedule fires or late background work ends.
//!
//! Such a turn changes the work while it is judged, so ccc abandons the review and starts another at the next stop. A job that
//! fires more often than a review lasts would repeat that forever. After [`MAX_ABANDONED`] times ccc therefore ends the agent's
//! process for the time of the review.

use super::machine::Stage;
use super::policy::{Clock, Pause};
use super::process::Process;
use super::stop_under_review::StopUnderReview;
use super::{Core, RestKind};

/// The most consecutive reviews that are abandoned because the agent began a turn.
const MAX_ABANDONED: u32 = 2;

/// The most ended schedules that the outcome names.
const MAX_ENDED: usize = 20;

/// The state of such turns.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnTurns {
    /// Consecutive abandoned reviews.
    abandoned: u32,
    /// Schedules of processes that were ended for a review.
    ended_with_process: Vec<String>,
    /// A wait for a reset that such a turn interrupted. The next answer clears it, because it shows that the wait is not needed.
    broken_off: Option<Pause>,
    /// The user has been told that the process is ended.
    held_told: bool,
    /// The user has been told that answers are cut at the output limit.
    cut_told: bool,
}

impl OwnTurns {
    /// A turn was answered.
    pub(super) fn turn_answered(&mut self) {
        self.broken_off = None;
    }

    /// This wait was interrupted.
    pub(super) fn breaks_off(&mut self, pause: Pause) {
        self.broken_off = Some(pause).filter(Pause::is_at_limit);
    }

    /// The interrupted wait for a reset, if it is not over.
    pub(super) fn take_broken_off(&mut self, clock: Clock) -> Option<Pause> {
        self.broken_off.take().filter(|reset| !reset.is_over(clock))
    }

    /// A review was abandoned because the agent began a turn. Gives the consecutive number.
    fn judging_given_up(&mut self) -> u32 {
        self.abandoned += 1;
        self.abandoned
    }

    /// Whether too many reviews were abandoned.
    fn is_too_often(&self) -> bool {
        self.abandoned >= MAX_ABANDONED
    }

    /// A stop was judged with the agent's process alive. Not called if the process was ended for it: the next stop will be the
    /// same.
    fn judged_beside_agent(&mut self) {
        self.abandoned = 0;
    }

    /// The agent's process is ended, and its schedules with it. True if the user must be told.
    fn ended(&mut self, scheduled: &[String]) -> bool {
        let known = &self.ended_with_process;
        let new: Vec<String> = scheduled.iter().filter(|name| !known.contains(*name)).cloned().collect();
        let tells = !std::mem::replace(&mut self.held_told, true) || !new.is_empty();
        self.ended_with_process.extend(new);
        self.ended_with_process.truncate(MAX_ENDED);
        tells
    }

    /// What the reason of a completed run adds: the open and the ended schedules.
    fn proviso(&self, mut scheduled: Vec<String>) -> String {
        for ended in &self.ended_with_process {
            if !scheduled.contains(ended) {
                scheduled.push(ended.clone());
            }
        }
        match scheduled.is_empty() {
            true => String::new(),
            false => format!("; what it had scheduled ends with it: {}", scheduled.join("; ")),
        }
    }

    /// An answer was cut at the output limit. True if the user must be told.
    fn answer_cut(&mut self) -> bool {
        !std::mem::replace(&mut self.cut_told, true)
    }
}

impl Core {
    /// The idle agent began a turn by itself, which invalidates the running review or the last verdict.
    pub(super) fn agent_woke(&mut self) {
        if let Stage::Resting(resting) = self.stage() {
            // A turn after a verdict invalidates it. After an interruption and in a pause, the user's next message decides.
            if resting.kind() == RestKind::Judged {
                self.decide("judge again later", "the agent began a turn by itself after the verdict");
                self.enter(Stage::Working);
            }
            return;
        }
        if !matches!(self.stage(), Stage::Checking(_) | Stage::Reviewing(_)) {
            return;
        }
        self.decide("judge again later", "the agent began a turn by itself during the review");
        let times = self.own_turns.judging_given_up();
        self.tell_user(format!(
                "the agent began to work by itself{} while its work was judged; that is judged anew when it stops ({times} of at \
                 most {MAX_ABANDONED} times in a row)",
                why(&self.scheduled())
            ));
        // The stop stays unjudged and the user is told. The number of times is bounded.
        self.give_up_judging();
        self.enter(Stage::Working);
    }

    /// Abandons the review of the current stop.
    pub(super) fn give_up_judging(&mut self) {
        if let Some(pause) = self.stage().review().and_then(StopUnderReview::pause) {
            self.end_wait(&pause);
            self.own_turns.breaks_off(pause);
        }
        self.abandon_review();
        self.leave_unjudged();
    }

    /// Ends the agent's process before a review, if too many were abandoned. True while the process is ending.
    pub(super) fn holds_agent(&mut self) -> bool {
        if !self.own_turns.is_too_often() {
            return false;
        }
        let scheduled = self.scheduled();
        let Some(proc) = self.agent_proc() else { return false };
        self.decide("end the agent's process while its work is judged", "it goes on by itself each time it is judged");
        if self.own_turns.ended(&scheduled) {
            self.tell_user(format!(
                    "the agent began to work by itself{} each time its work was judged: its process is ended until that is done, and \
                     with it what it has scheduled",
                    why(&scheduled)
                ));
        }
        self.order(proc, Process::leave);
        true
    }

    /// A stop was judged.
    pub(super) fn stop_is_judged(&mut self) {
        if self.processes.agent().is_some() {
            self.own_turns.judged_beside_agent();
        }
    }

    /// Whether the agent is working by itself, which would invalidate a verdict.
    pub(super) fn agent_goes_on(&self) -> bool {
        self.processes.agent().is_some_and(|agent| !agent.is_ending() && !agent.is_idle())
    }

    /// The agent's open schedules.
    pub(super) fn scheduled(&self) -> Vec<String> {
        self.processes.agent().map(Process::scheduled_names).unwrap_or_default()
    }

    /// What the reason of a completed run adds: the agent's schedules, which end with it.
    pub(super) fn schedule_proviso(&self) -> String {
        self.own_turns.proviso(self.scheduled())
    }

    /// The CLI lets the model continue an answer that was cut.
    pub(super) fn cut_short(&mut self) {
        if self.own_turns.answer_cut() {
            self.tell_user("an answer was cut at the output limit; the agent's CLI lets the model continue it");
        }
    }
}

fn why(scheduled: &[String]) -> String {
    if scheduled.is_empty() { String::new() } else { format!(" ({})", scheduled.join("; ")) }
}
