//! What processes do, and how it reaches the core.

use super::laws::{Broken, Law};
use super::process::{Heard, Process, Proves};
use super::script::JOB_SAYS;
use super::world::{Event, World};
use ccc::demo::scripted::{Effect, Moment, Row};
use supervision::agent::Role;
use supervision::core::{Input, LineFact, ProcId};

/// A killed process and its descendants are gone within this time, in milliseconds; shorter than the grace period.
const SWEPT_WITHIN_MS: u64 = 2_000;
/// Unix times above this are milliseconds, as the adapter reads them.
const LATEST_PLAUSIBLE_UNIX_S: i64 = 100_000_000_000;

/// What proves nothing but a live process.
const SIGNS_OF_LIFE: &[&str] = &[
    r#"{"type":"keep_alive"}"#,
    r#"{"type":"tool_progress","tool_use_id":"t-heartbeat-0","tool_name":"Bash","elapsed_time_seconds":30,"heartbeat":true}"#,
    r#"{"type":"news"}"#,
    "{}",
    "x",
    "still here",
];

impl World {
    /// Lets something happen to a live process, and does what it wants done.
    pub(super) fn with_process(&mut self, proc: ProcId, act: impl FnOnce(&mut Process, Moment)) -> Result<(), Broken> {
        let now = Moment { ms: self.now_us / 1_000, unix_ms: self.true_ms() };
        let Some(process) = self.processes.get_mut(&proc).filter(|process| process.acts()) else { return Ok(()) };
        act(process, now);
        self.pump(proc)
    }

    /// The same for what may lead it to ask something of its provider.
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
                // Nothing was asked of the provider after all.
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

    /// A line as it is written, before anybody reads it.
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
                // A turn of its own: the job that its session has is no verdict.
                if text == JOB_SAYS {
                    return;
                }
                // Where the tree cannot be measured, or not in time, nobody can tell; nor beside work of the agent's own.
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

    /// A process writes what proves nothing but that it lives, and will again; also while it hangs.
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

    /// Output arrives in order, in one chunk or cut anywhere in two.
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

    /// The process is no more; its exit is known when its output is read and what it left behind is swept.
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
            // ccc may die over any line; the rest is lost with its pipes.
            let Some(process) = self.processes.get_mut(&proc).filter(|_| self.lives == lives) else { return Ok(()) };
            process.in_transit -= 1;
            match heard {
                Heard::Line(line) => self.feed(Input::Line { proc, line })?,
                Heard::Progress => self.feed(Input::Progress { proc })?,
            }
        }
        Ok(())
    }

    /// What the core learns from an input, for the laws.
    pub(super) fn core_hears(&mut self, input: &Input) {
        match input {
            Input::Line { proc, line } | Input::Noise { proc, sample: line, .. } => {
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
            }
            Input::Progress { proc } => {
                let now_us = self.now_us;
                if let Some(process) = self.processes.get_mut(proc) {
                    (process.moved_us, process.stirred_us) = (now_us, now_us);
                    process.spoke = true;
                }
            }
            Input::Tokens { tokens, .. } => self.laws.tokens_told(tokens, false),
            Input::Began { tokens, .. } => self.laws.tokens_told(tokens, true),
            Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::WriteFailed { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::Operator(_)
            | Input::Elapsed { .. } => {}
        }
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
        if !result && !ends && !rejected {
            return;
        }
        let Some(process) = self.processes.get_mut(&proc) else { return };
        if result && is_good_result(json) && !json.contains(r#""num_turns":0"#) {
            process.unproven = false;
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
            // What fails after an exchange may be about the token before; and of one that has not read what it was asked
            // nobody can say what it has answered, nor where the line is lost that would have said so.
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
        // The end of one that had survived its kill was counted when it was given up.
        let given_up = process.frozen;
        if role == Role::Agent && !leaves && !given_up && matches!(self.core.phase(), "starting" | "working") {
            self.laws.agent_died();
        }
        self.feed_maybe_twice(Input::Exited { proc, exit })?;
        if self.lives == lives {
            self.processes.remove(&proc);
        }
        Ok(())
    }
}

fn is_good_result(line: &str) -> bool {
    line.contains(r#""is_error":false"#)
}
