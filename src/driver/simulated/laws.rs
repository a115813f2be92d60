//! What must hold, seen from outside: from what was done to the agents and what reached the model.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::TurnKind;
use crate::core::{Finish, Outcome, Send};

/// Restarts are counted within this time.
const RESTART_WINDOW_MS: i64 = 3_600_000;

/// The bookkeeping of the invariants. Every method gives the words of what does not hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Laws {
    /// How often each uuid reached the model.
    taken: BTreeMap<String, u32>,
    /// The turns whose good result was written.
    answered: BTreeSet<String>,
    /// The turn that the agent is in, or was in last.
    in_turn: Option<String>,
    /// What was sent to the agent last.
    sent: Option<String>,
    /// Under which uuid the user's words were sent.
    words: BTreeMap<String, String>,
    /// What the user said during the run.
    said: Vec<String>,
    /// When the agent ended while it was needed since its last good result, milliseconds of the run.
    deaths_ms: Vec<i64>,
    /// The run's time, as far as it was told.
    now_ms: i64,
    interrupted: bool,
    approved: bool,
    /// Until when the provider takes nothing, unix seconds.
    limited_until_s: i64,
    /// The same, told in a turn that has not ended yet.
    limit_told_s: Option<i64>,
    /// Background tasks of the session that have not ended.
    open_tasks: u32,
    /// The wall clock at tick zero, as the core was told, unix milliseconds.
    wall_zero_ms: i64,
}

impl Laws {
    /// A user turn reached the model.
    pub(super) fn reached_the_model(&mut self, uuid: &str) -> Result<(), String> {
        self.approved = false;
        self.in_turn = Some(uuid.to_owned());
        let times = self.taken.entry(uuid.to_owned()).or_default();
        *times += 1;
        if *times > 1 { Err(format!("turn {uuid} reached the model {times} times")) } else { Ok(()) }
    }

    /// The agent wrote a good result.
    pub(super) fn answered(&mut self) {
        self.answered.extend(self.in_turn.clone());
    }

    /// A critic whose word counts said this at last.
    pub(super) fn critic_said(&mut self, text: &str, innocent: bool) {
        let last = text.trim_end().lines().next_back().unwrap_or_default();
        if innocent && last.trim_matches('*') == "[TASK_COMPLETED]" {
            self.approved = true;
        }
    }

    /// The core heard that the provider takes nothing before this time, unix seconds.
    pub(super) fn limit_told(&mut self, until_s: i64) {
        self.limit_told_s = Some(until_s);
    }

    /// The core heard that the process is idle after the turn in which that was told.
    pub(super) fn idle(&mut self) {
        // With a background task open the turn is not over, and the adapter keeps what it came to until its end: a
        // process that dies before it takes the limit with it, and the next request is one too many.
        let told_s = self.limit_told_s.take().filter(|_| self.open_tasks == 0);
        self.limited_until_s = told_s.unwrap_or(self.limited_until_s);
    }

    /// A background task began, or ended.
    pub(super) fn task(&mut self, began: bool) {
        self.open_tasks = if began { self.open_tasks + 1 } else { self.open_tasks.saturating_sub(1) };
    }

    /// The core is at this tick, and perhaps was told the time: by its clock, as far as it knows it, a reset may have
    /// passed, and has passed for good even if the clock is set back later.
    pub(super) fn time(&mut self, tick_ms: i64, told_unix_ms: Option<i64>) {
        self.now_ms = tick_ms;
        if let Some(unix_ms) = told_unix_ms {
            self.wall_zero_ms = unix_ms - tick_ms;
        }
        if (self.wall_zero_ms + tick_ms).div_euclid(1_000) >= self.limited_until_s {
            self.limited_until_s = 0;
        }
    }

    /// Something is asked of the provider.
    pub(super) fn asks_the_provider(&self) -> Result<(), String> {
        match self.limited_until_s {
            0 => Ok(()),
            until_s => {
                Err(format!("the provider is asked before {until_s}, when it said it would take requests again"))
            }
        }
    }

    /// A turn is sent to the agent.
    pub(super) fn send(&mut self, send: &Send) -> Result<(), String> {
        let uuid = &send.turn.0;
        if let Some(before) = self.sent.replace(uuid.clone())
            && before != *uuid
        {
            if !self.taken.contains_key(&before) {
                return Err(format!("turn {before} never reached the model, and {uuid} is sent"));
            }
            if send.kind != TurnKind::Continue && !self.answered.contains(&before) {
                return Err(format!("turn {before} was not answered, and {uuid} ({:?}) is sent", send.kind));
            }
        }
        if matches!(send.kind, TurnKind::Task | TurnKind::Operator)
            && let Some(earlier) = self.words.insert(send.text.clone(), uuid.clone())
            && earlier != *uuid
        {
            return Err(format!("the words of turn {earlier} are said again as {uuid}"));
        }
        Ok(())
    }

    /// The user said something that the run has to pass on.
    pub(super) fn said(&mut self, text: String) {
        self.said.push(text);
    }

    /// The agent ended while it was needed.
    pub(super) fn agent_died(&mut self) {
        self.deaths_ms.push(self.now_ms);
    }

    /// A good result reached the core.
    pub(super) fn result_came(&mut self) {
        self.deaths_ms.clear();
        // Whoever answers takes requests.
        self.limited_until_s = 0;
    }

    /// A process is started.
    pub(super) fn spawn(&mut self, agent: bool, live_agents: usize, max_restarts: u32) -> Result<(), String> {
        if self.interrupted {
            return Err("a process is started after the user asked for the end".to_owned());
        }
        if agent && live_agents > 0 {
            return Err("a second agent is started beside a live one".to_owned());
        }
        let within = self.deaths_ms.iter().filter(|&&ms| self.now_ms - ms < RESTART_WINDOW_MS).count();
        if agent && u32::try_from(within).is_ok_and(|within| within > max_restarts) {
            return Err(format!("{within} restarts in a row within an hour, and {max_restarts} are allowed"));
        }
        Ok(())
    }

    pub(super) fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// ccc died and goes on: the user wants the run again.
    pub(super) fn resumed(&mut self) {
        self.limit_told_s = None;
        self.interrupted = false;
        self.deaths_ms.clear();
    }

    /// The run is over.
    pub(super) fn finish(&self, finish: &Finish) -> Result<(), String> {
        if finish.outcome != Outcome::Completed {
            return Ok(());
        }
        if !self.approved {
            return Err("the run completed, and no critic agreed since the agent's last turn".to_owned());
        }
        if let Some(sent) = self.sent.as_ref().filter(|sent| !self.answered.contains(*sent)) {
            return Err(format!("the run completed, and turn {sent} was not answered"));
        }
        match self.said.iter().find(|text| !self.words.contains_key(*text)) {
            Some(lost) => Err(format!("the run completed, and the user's words were lost: {lost}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Laws;
    use crate::agent::TurnKind;
    use crate::core::{Finish, Outcome, ProcId, Send, TurnId};

    fn send(uuid: &str, kind: TurnKind) -> Send {
        Send { proc: ProcId(1), turn: TurnId(uuid.to_owned()), kind, text: format!("text of {uuid}") }
    }

    fn completed() -> Finish {
        Finish {
            outcome: Outcome::Completed,
            reason: String::new(),
            result: String::new(),
            session_id: None,
            iterations: 1,
            restarts: 0,
            rotations: 0,
            waited_ms: 0,
            cost_usd: None,
        }
    }

    #[test]
    fn a_turn_reaches_the_model_once_and_is_not_left_unanswered() {
        let mut laws = Laws::default();
        assert!(laws.send(&send("a", TurnKind::Task)).is_ok());
        assert!(laws.clone().send(&send("b", TurnKind::Continue)).is_err(), "a never arrived");
        assert!(laws.reached_the_model("a").is_ok());
        assert!(laws.clone().reached_the_model("a").is_err(), "twice");
        assert!(laws.clone().send(&send("b", TurnKind::Feedback)).is_err(), "a is not answered");
        assert!(laws.clone().send(&send("b", TurnKind::Continue)).is_ok());
        laws.answered();
        assert!(laws.send(&send("b", TurnKind::Feedback)).is_ok());
    }

    #[test]
    fn only_an_innocent_critic_after_the_last_turn_completes_a_run() {
        let mut laws = Laws::default();
        assert!(laws.send(&send("a", TurnKind::Task)).is_ok() && laws.reached_the_model("a").is_ok());
        laws.answered();
        assert!(laws.finish(&completed()).is_err(), "nobody agreed");
        laws.critic_said("Fine.\n\n[TASK_COMPLETED]", false);
        assert!(laws.finish(&completed()).is_err(), "it had changed the tree");
        laws.critic_said("Fine.\n\n[TASK_COMPLETED]", true);
        assert!(laws.finish(&completed()).is_ok());
        laws.said("and one more thing".to_owned());
        assert!(laws.finish(&completed()).is_err(), "the user's words are lost");
    }

    #[test]
    fn a_limit_holds_until_its_reset_has_passed_by_the_clock_that_the_core_was_told() {
        let mut laws = Laws::default();
        laws.limit_told(5_000);
        assert!(laws.asks_the_provider().is_ok(), "the turn has not ended yet");
        laws.idle();
        laws.time(0, Some(4_000_000));
        assert!(laws.asks_the_provider().is_err());
        laws.time(999_999, None);
        assert!(laws.asks_the_provider().is_err());
        laws.time(1_000_000, None);
        laws.time(1_000_001, Some(0));
        assert!(laws.asks_the_provider().is_ok(), "it had passed");
    }

    #[test]
    fn processes_are_bounded() {
        let mut laws = Laws::default();
        assert!(laws.spawn(true, 0, 1).is_ok());
        assert!(laws.spawn(true, 1, 1).is_err());
        assert!(laws.spawn(false, 1, 1).is_ok(), "a critic may live beside the agent");
        laws.agent_died();
        assert!(laws.spawn(true, 0, 1).is_ok());
        laws.agent_died();
        assert!(laws.spawn(true, 0, 1).is_err());
        laws.resumed();
        assert!(laws.spawn(true, 0, 1).is_ok());
        laws.interrupted();
        assert!(laws.spawn(false, 0, 1).is_err());
    }
}
