//! Turns that the agent begins by itself: a schedule of its own fires, late background work ends.
//!
//! Such a turn changes the work while it is judged, so ccc abandons the review and starts another at the next stop. A job that
//! fires more often than a review lasts would repeat that for ever. After [`MAX_ABANDONED`] times ccc therefore ends the agent's
//! process for the time of the review.

use super::Core;
use super::machine::Stage;
use super::policy::{Clock, Pause};
use super::process::Process;
use super::reviewing::Reviewing;

/// How often in a row the judging is given up because the agent goes on by itself.
const MAX_ABANDONED: u32 = 2;

/// Scheduled turns that ended with their process and are named in the outcome.
const MAX_ENDED: usize = 20;

/// What is remembered of them.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnTurns {
    /// How often in a row the judging was given up.
    abandoned: u32,
    /// What was scheduled in a process that was ended to judge its work.
    ended_with_process: Vec<String>,
    /// A wait for a reset that was broken off by such a turn. The first answer since then clears it: the wait is not needed.
    broken_off: Option<Pause>,
    /// The user knows that it is ended.
    held_told: bool,
    /// The user knows that the model's answers are cut at the output limit.
    cut_told: bool,
}

impl OwnTurns {
    /// A turn was answered.
    pub(super) fn turn_answered(&mut self) {
        self.broken_off = None;
    }

    /// The wait for a reset that was broken off and is not over.
    pub(super) fn take_broken_off(&mut self, clock: Clock) -> Option<Pause> {
        self.broken_off.take().filter(|reset| !reset.is_over(clock))
    }

    /// The judging is given up because the agent goes on by itself. Gives how often that was so in a row.
    fn judging_given_up(&mut self) -> u32 {
        self.abandoned += 1;
        self.abandoned
    }

    /// Whether that was so too often.
    fn is_too_often(&self) -> bool {
        self.abandoned >= MAX_ABANDONED
    }

    /// A stop was judged with the agent's process alive. Where it had to be ended for that, the next stop is no different.
    fn judged_beside_agent(&mut self) {
        self.abandoned = 0;
    }

    /// The agent's process is ended, and with it what it has scheduled. True when the user does not know that yet.
    fn ended(&mut self, scheduled: &[String]) -> bool {
        let known = &self.ended_with_process;
        let new: Vec<String> = scheduled.iter().filter(|name| !known.contains(*name)).cloned().collect();
        let tells = !std::mem::replace(&mut self.held_told, true) || !new.is_empty();
        self.ended_with_process.extend(new);
        self.ended_with_process.truncate(MAX_ENDED);
        tells
    }

    /// What to add to the reason of a completed run: this, which is scheduled still, and what had been, ends with it.
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

    /// An answer was cut at the output limit. True when the user does not know yet that they are.
    fn answer_cut(&mut self) -> bool {
        !std::mem::replace(&mut self.cut_told, true)
    }
}

impl Core {
    /// The idle agent began a turn by itself: what is being judged is no longer what will be there.
    pub(super) fn agent_woke(&mut self) {
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
        if let Some(pause) = self.stage().review().and_then(Reviewing::pause) {
            self.end_wait(&pause);
            self.own_turns.broken_off = Some(pause).filter(|pause| pause.until_unix_ms().is_some());
        }
        self.abandon_review();
        // Not judged, and told so. How often that may be is bounded.
        self.leave_unjudged();
        self.enter(Stage::Working);
    }

    /// Ends the agent's process before its work is judged, when it has gone on by itself too often. True while that is to come.
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

    /// The agent goes on by itself at this moment, so that nothing said of its work holds.
    pub(super) fn agent_goes_on(&self) -> bool {
        self.processes.agent().is_some_and(|agent| !agent.is_ending() && !agent.is_idle())
    }

    /// What the agent has scheduled for itself and is still to come.
    pub(super) fn scheduled(&self) -> Vec<String> {
        self.processes.agent().map(Process::scheduled_names).unwrap_or_default()
    }

    /// What to add to the reason of a completed run: what the agent had scheduled, which ends with it.
    pub(super) fn schedule_proviso(&self) -> String {
        self.own_turns.proviso(self.scheduled())
    }

    /// The CLI lets the model go on after an answer that was cut.
    pub(super) fn cut_short(&mut self) {
        if self.own_turns.answer_cut() {
            self.tell_user("an answer was cut at the output limit; the agent's CLI lets the model continue it");
        }
    }
}

fn why(scheduled: &[String]) -> String {
    if scheduled.is_empty() { String::new() } else { format!(" ({})", scheduled.join("; ")) }
}
