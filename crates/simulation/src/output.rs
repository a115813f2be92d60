//! The output of processes, and its way to the core.

use super::law::{Broken, Law};
use super::process::{OutputItem, Process, Proves};
use super::script::JOB_SAYS;
use super::world::{Event, World};
use ccc::demo::scripted::{Effect, Moment, Row};
use supervision::agent::Role;
use supervision::core::{Input, LineFact, ProcId};

/// A killed process and its descendants end within this time, in milliseconds; shorter than the grace period.
const SWEPT_WITHIN_MS: u64 = 2_000;
/// What stands in the answer to an exchange of the credential.
const EXCHANGE: &str = r#""request_id":"credential-"#;
/// Unix times above this are milliseconds, as in the adapter.
const LATEST_PLAUSIBLE_UNIX_S: i64 = 100_000_000_000;

/// Lines that prove only that the process is alive.
const SIGNS_OF_LIFE: &[&str] = &[
    r#"{"type":"keep_alive"}"#,
    r#"{"type":"tool_progress","tool_use_id":"t-heartbeat-0","tool_name":"Bash","elapsed_time_seconds":30,"heartbeat":true}"#,
    r#"{"type":"news"}"#,
    "{}",
    "x",
    "still here",
];

impl World {
    /// Applies `act` to a live process, then performs the effects.
    pub(super) fn with_process(&mut self, proc: ProcId, act: impl FnOnce(&mut Process, Moment)) -> Result<(), Broken> {
        let now = Moment { ms: self.now_us / 1_000, unix_ms: self.true_ms() };
        let Some(process) = self.processes.get_mut(&proc).filter(|process| process.acts()) else { return Ok(()) };
        act(process, now);
        self.pump(proc)
    }

    /// As [`World::with_process`], for an `act` in which the process may send a request to its provider.
    pub(super) fn with_provider(&mut self, proc: ProcId, act: impl FnOnce(&mut Process, Moment)) -> Result<(), Broken> {
        let before = self.processes.get(&proc).map_or(0, |process| process.tries);
        let (steps, rejected) = self.provider_says(proc);
        let asked = steps.len();
        let mut played = false;
        self.with_process(proc, |process, now| {
            process.agent.interpose(steps);
            act(process, now);
            played = asked > 0 && process.agent.interposed() < asked;
            if asked > 0 && !played {
                // The process sent no request after all.
                process.tries = before;
            }
            process.agent.interpose(Vec::new());
        })?;
        if let Some(rejected) = rejected.filter(|_| played) {
            self.counts.add(rejected);
        }
        Ok(())
    }

    fn pump(&mut self, proc: ProcId) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        let mut end = None;
        while let Some(effect) = self.processes.get_mut(&proc).and_then(|process| process.agent.poll_effect()) {
            match effect {
                Effect::Line(line) => {
                    self.see_line(proc, &line);
                    bytes.extend_from_slice(line.as_bytes());
                    bytes.push(b'\n');
                }
                Effect::Raw(raw) => bytes.extend_from_slice(&raw),
                Effect::Stderr(line) => {
                    if let Some(process) = self.processes.get_mut(&proc) {
                        process.exit.stderr_tail = line;
                    }
                }
                Effect::Append(row) => self.append(proc, &row)?,
                Effect::CountCritic => self.critics_ended += 1,
                Effect::WriteFile { .. } | Effect::EditFile { .. } => {
                    self.tree += 1;
                    if let Some(process) = self.processes.get_mut(&proc) {
                        process.changed_the_tree = true;
                    }
                }
                Effect::Run { .. } => {
                    let ms = self.dice.between(1, 5_000);
                    self.schedule(ms, Event::CommandEnds(proc));
                }
                Effect::StopCommand => {}
                Effect::Orphan { .. } => {
                    if let Some(process) = self.processes.get_mut(&proc) {
                        process.exit.swept += 1;
                    }
                }
                Effect::StopReading => {
                    if let Some(process) = self.processes.get_mut(&proc) {
                        process.reading = false;
                    }
                }
                Effect::Exit(code) => end = Some((Some(i32::from(code)), None)),
                Effect::Die(signal) => end = Some((None, Some(signal))),
            }
        }
        self.put_out(proc, bytes);
        if let Some((code, signal)) = end {
            self.end_process(proc, code, signal);
        }
        let now_us = self.now_us;
        if let Some(process) = self.processes.get_mut(&proc) {
            for oddity in process.agent.take_oddities() {
                self.counts.add(oddity);
            }
            if let Some(at_ms) = process.agent.wake_at() {
                let at = (at_ms * 1_000).max(now_us + 1);
                if process.wake_us.is_none_or(|wake| at < wake) {
                    process.wake_us = Some(at);
                    self.at(at, Event::Wake(proc));
                }
            }
        }
        Ok(())
    }

    /// Inspects a line when it is written, before ccc reads it.
    fn see_line(&mut self, proc: ProcId, line: &str) {
        if !line.contains(r#""type":"result""#) || !is_good_result(line) || line.contains(r#""origin":"#) {
            return;
        }
        let Some(process) = self.processes.get(&proc) else { return };
        match process.role {
            Role::Agent => self.laws.answered(),
            Role::Critic => {
                let result = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
                let text = result.get("result").and_then(serde_json::Value::as_str).unwrap_or_default();
                // The text comes from a scheduled job that the fork inherited, so it is not a verdict.
                if text == JOB_SAYS {
                    return;
                }
                // It is unknown who changed the tree if the tree is not measured in time, or while background work of the agent
                // runs.
                let tells = self.rates.unmeasured == 0 && self.rates.late == 0 && !self.laws.has_open_tasks();
                let innocent = !process.changed_the_tree || !tells;
                self.laws.critic_said(text, innocent);
            }
        }
    }

    fn append(&mut self, proc: ProcId, row: &Row) -> Result<(), Broken> {
        let session = self.processes.get(&proc).map(|process| process.session.clone()).unwrap_or_default();
        if matches!(row, Row::Compacted) {
            self.counts.add("history made shorter");
            self.rejections.compacted(&session);
        }
        self.transcripts.entry(session.clone()).or_default().add(row);
        match row {
            Row::User { uuid: Some(uuid), .. } => self.laws.reached_the_model(uuid, &session),
            Row::User { uuid: None, .. } => Err(Law::ExactlyOnce.broken("a turn without a uuid reached the model")),
            Row::TaskStarted { .. } | Row::TaskEnded { .. } => {
                self.laws.task(matches!(row, Row::TaskStarted { .. }));
                Ok(())
            }
            Row::Assistant { .. } | Row::TurnEnded | Row::Compacted | Row::Cost { .. } | Row::Scheduled { .. } => {
                Ok(())
            }
        }
    }

    /// Writes a line that proves only that the process is alive, even if it hangs, and schedules the next.
    pub(super) fn chatter(&mut self, proc: ProcId) {
        if !self.processes.get(&proc).is_some_and(Process::acts) {
            return;
        }
        let Some(dice) = &mut self.chatter else { return };
        let line = dice.choose(SIGNS_OF_LIFE, "x");
        let ms = dice.between(1_000, 30_000);
        self.counts.add("sign of life");
        self.put_out(proc, format!("{line}\n").into_bytes());
        self.schedule(ms, Event::Chatter(proc));
    }

    /// Schedules the arrival of output: in order, in one or two chunks, cut anywhere.
    fn put_out(&mut self, proc: ProcId, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let cut = if self.dice.percent(10) { self.dice.between(0, bytes.len() as u64) } else { 0 };
        let cut = usize::try_from(cut).unwrap_or(0);
        let mut first = bytes;
        let second = first.split_off(if cut == 0 { first.len() } else { cut });
        for part in [first, second] {
            if part.is_empty() {
                continue;
            }
            let us = self.dice.between(20, 5_000);
            let Some(process) = self.processes.get_mut(&proc) else { return };
            process.out_us = process.out_us.max(self.now_us + us);
            process.in_transit += 1;
            let at = process.out_us;
            self.at(at, Event::Output(proc, part));
        }
    }

    /// Ends a process. ccc learns of the exit after the output has arrived and the descendants have been ended.
    pub(super) fn end_process(&mut self, proc: ProcId, code: Option<i32>, signal: Option<i32>) {
        let late = self.fault(self.rates.late);
        let ms = self.dice.between(0, if late { SWEPT_WITHIN_MS } else { 20 });
        let Some(process) = self.processes.get_mut(&proc).filter(|process| process.alive) else { return };
        process.alive = false;
        process.exit.code = code;
        process.exit.signal = signal;
        let at = process.out_us.max(self.now_us + ms * 1_000);
        self.at(at, Event::Exited(proc));
    }

    pub(super) fn output(&mut self, proc: ProcId, chunk: Option<&[u8]>) -> Result<(), Broken> {
        let (kind, now_us, lives) = (self.plan.agent, self.now_us, self.lives);
        let Some(process) = self.processes.get_mut(&proc) else { return Ok(()) };
        process.in_transit -= usize::from(chunk.is_some());
        let heard = process.hear(kind, now_us, chunk);
        process.in_transit += heard.len();
        for heard in heard {
            // ccc may die while it handles a line; the remaining lines are then lost with its pipes.
            let Some(process) = self.processes.get_mut(&proc).filter(|_| self.lives == lives) else { return Ok(()) };
            process.in_transit -= 1;
            match heard {
                OutputItem::Line(line) => self.feed(Input::Line { proc, line })?,
                OutputItem::Progress => self.feed(Input::Progress { proc })?,
            }
        }
        Ok(())
    }

    /// Informs the laws of what the core learns from an input.
    pub(super) fn core_hears(&mut self, input: &Input) {
        if let Input::Line { proc, line } | Input::Noise { proc, sample: line, .. } = input {
            let now_us = self.now_us;
            let Some(process) = self.processes.get_mut(proc) else { return };
            let proves = Proves::of(line);
            if proves == Proves::Progress {
                process.moved_us = now_us;
            }
            if proves != Proves::Life {
                process.stirred_us = now_us;
                process.spoke = true;
            }
            match line {
                LineFact::Json(json) => self.core_hears_line(*proc, json.get()),
                LineFact::Noise(text) => process.lost_line |= text.starts_with('{'),
                LineFact::TooLong(_) => {}
            }
        } else if let Input::Progress { proc } = input {
            let now_us = self.now_us;
            if let Some(process) = self.processes.get_mut(proc) {
                (process.moved_us, process.stirred_us) = (now_us, now_us);
                process.spoke = true;
            }
        } else if let Input::Tokens { tokens, .. } = input {
            self.laws.tokens_told(tokens, false);
        } else if let Input::Began { tokens, turn_recorded, .. } = input {
            self.laws.tokens_told(tokens, true);
            self.laws.steering.record_told(None, *turn_recorded);
        } else if let Input::Exited { proc, exit } = input {
            self.laws.steering.record_told(Some(*proc), exit.turn_recorded);
        }
    }

    /// Records that the core read the answer to an exchange of the credential.
    fn core_hears_of_exchange(&mut self, proc: ProcId, json: &str) {
        if !json.contains(r#""type":"control_response""#) || !json.contains(EXCHANGE) {
            return;
        }
        let answer = serde_json::from_str::<serde_json::Value>(json).unwrap_or_default();
        let succeeds = answer.pointer("/response/subtype").is_some_and(|subtype| subtype == "success");
        // A CLI that does not say what it took may have taken it.
        let took = answer.pointer("/response/response/applied").and_then(serde_json::Value::as_array);
        if let Some(process) = self.processes.get_mut(&proc) {
            process.exchanged(succeeds && took.is_none_or(|took| !took.is_empty()));
        }
    }

    /// Records that the core read a request of the CLI, or its withdrawal.
    fn core_hears_request(&mut self, proc: ProcId, json: &str) {
        let (asks, takes_back) =
            (json.contains(r#""type":"control_request""#), json.contains(r#""type":"control_cancel_request""#));
        if !asks && !takes_back {
            return;
        }
        let request = serde_json::from_str::<serde_json::Value>(json).unwrap_or_default();
        let id = request.get("request_id").and_then(serde_json::Value::as_str).unwrap_or_default();
        if asks { self.laws.steering.asked(proc, id) } else { self.laws.steering.withdrawn(proc, id) }
    }

    fn core_hears_line(&mut self, proc: ProcId, json: &str) {
        let result = json.contains(r#""type":"result""#);
        let ends = if self.cli.session_states { json.contains(r#""state":"idle""#) } else { result };
        let rejected = !result && json.contains(r#""status":"rejected""#);
        let answers = json.contains(r#""type":"assistant""#) && !json.contains(r#""model":"<synthetic>""#);
        if (answers || (result && is_good_result(json)))
            && let Some(process) = self.processes.get(&proc)
        {
            self.laws.progress(process.given.as_ref());
        }
        self.core_hears_request(proc, json);
        self.core_hears_of_exchange(proc, json);
        if !result && !ends && !rejected {
            return;
        }
        let Some(process) = self.processes.get_mut(&proc) else { return };
        if result && is_good_result(json) && !json.contains(r#""num_turns":0"#) {
            // An answer that comes before the exchange is about the token before.
            process.unproven = process.exchange.is_some();
            self.laws.result_came(process.given.as_ref(), process.role == Role::Agent);
        }
        if rejected {
            let event = serde_json::from_str::<serde_json::Value>(json).unwrap_or_default();
            let resets = event.pointer("/rate_limit_info/resetsAt").and_then(serde_json::Value::as_i64);
            process.spent_ms =
                resets.map(|at| if at > LATEST_PLAUSIBLE_UNIX_S { at } else { at.saturating_mul(1_000) });
        }
        if ends {
            process.asked = false;
            // While a process is being ended, its end ends the interruption.
            if process.role == Role::Agent && !process.ending {
                self.laws.steering.turn_is_over();
            }
            // A limit is uncertain in three cases: after an exchange of the credential, the failure may be about the token
            // before; a process that has stopped reading may be answering an earlier request; and a lost line may have said what
            // the failure was about.
            let is_clear = !process.unproven && process.reading && !process.lost_line;
            match process.spent_ms.take() {
                Some(resets_at_unix_ms) if is_clear => self.laws.spent(process.given.as_ref(), resets_at_unix_ms),
                Some(resets_at_unix_ms) => {
                    self.laws.named(process.given.as_ref(), resets_at_unix_ms);
                }
                None => {}
            }
        }
    }

    pub(super) fn exited(&mut self, proc: ProcId) -> Result<(), Broken> {
        let lives = self.lives;
        self.output(proc, None)?;
        let Some(process) = self.processes.get(&proc).filter(|_| self.lives == lives) else { return Ok(()) };
        let mut exit = process.exit.clone();
        let (role, leaves) = (process.role, process.leaves);
        exit.turn_recorded = self.turn_recorded();
        // The core counted this end when it gave up the process after the kill.
        let given_up = process.frozen;
        // An end after the user has interrupted the turn does not count.
        let stopped = role == Role::Agent && self.laws.steering.stops();
        if role == Role::Agent && !leaves && !given_up && !stopped && needs_agent(self.core.phase()) {
            self.laws.agent_died();
        }
        if stopped {
            self.laws.steering.turn_is_over();
        }
        self.laws.steering.gone(proc);
        self.feed_maybe_twice(Input::Exited { proc, exit })?;
        if self.lives == lives {
            self.processes.remove(&proc);
        }
        Ok(())
    }
}

/// Whether the agent is needed in this phase.
fn needs_agent(phase: &str) -> bool {
    matches!(phase, "starting" | "working" | "asking")
}

fn is_good_result(line: &str) -> bool {
    line.contains(r#""is_error":false"#)
}
