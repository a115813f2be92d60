//! What processes do, and how it reaches the core.

use super::process::{Heard, Process};
use super::world::{Event, World};
use crate::agent::Role;
use crate::core::{Input, LineFact, ProcId};
use crate::demo::scripted::{Effect, Moment, Row};

/// A killed process and its descendants are gone within this time, in milliseconds; shorter than the grace period.
const SWEPT_WITHIN_MS: u64 = 2_000;

impl World {
    /// Lets something happen to a live process, and does what it wants done.
    pub(super) fn with_process(&mut self, proc: ProcId, act: impl FnOnce(&mut Process, Moment)) -> Result<(), String> {
        let now = Moment { ms: self.now_us / 1_000, unix_ms: self.true_ms() };
        let Some(process) = self.processes.get_mut(&proc).filter(|process| process.alive) else { return Ok(()) };
        act(process, now);
        self.pump(proc)
    }

    fn pump(&mut self, proc: ProcId) -> Result<(), String> {
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
                Effect::Append(row) => self.append(&row)?,
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
        if let Some(process) = self.processes.get_mut(&proc)
            && let Some(at_ms) = process.agent.wake_at()
        {
            let at = (at_ms * 1_000).max(now_us + 1);
            if process.wake_us.is_none_or(|wake| at < wake) {
                process.wake_us = Some(at);
                self.at(at, Event::Wake(proc));
            }
        }
        Ok(())
    }

    fn see_line(&mut self, proc: ProcId, line: &str) {
        if !line.contains(r#""is_error":false"#)
            || !line.contains(r#""type":"result""#)
            || line.contains(r#""origin":"#)
        {
            return;
        }
        let Some(process) = self.processes.get(&proc) else { return };
        match process.role {
            Role::Agent => self.laws.answered(),
            Role::Critic => {
                let result = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
                let text = result.get("result").and_then(serde_json::Value::as_str).unwrap_or_default();
                // Where the tree cannot be measured, nobody can tell.
                let innocent = !process.changed_the_tree || self.rates.unmeasured > 0;
                self.laws.critic_said(text, innocent);
            }
        }
    }

    fn append(&mut self, row: &Row) -> Result<(), String> {
        self.transcript.get_or_insert_default().add(row);
        match row {
            Row::User { uuid: Some(uuid), .. } => self.laws.reached_the_model(uuid),
            Row::User { uuid: None, .. } => Err("a turn without a uuid reached the model".to_owned()),
            Row::TaskStarted { .. } | Row::TaskEnded { .. } => {
                self.laws.task(matches!(row, Row::TaskStarted { .. }));
                Ok(())
            }
            Row::Assistant { .. } | Row::TurnEnded | Row::Cost { .. } => Ok(()),
        }
    }

    /// Output arrives in order, in one chunk or cut anywhere in two.
    fn put_out(&mut self, proc: ProcId, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let cut = if self.dice.one_in_thousand(100) { self.dice.between(0, bytes.len() as u64) } else { 0 };
        let (first, second) = bytes.split_at(usize::try_from(cut).unwrap_or(0));
        for part in [first, second] {
            if part.is_empty() {
                continue;
            }
            let us = self.dice.between(20, 5_000);
            let Some(process) = self.processes.get_mut(&proc) else { return };
            process.out_us = process.out_us.max(self.now_us + us);
            process.in_transit += 1;
            let at = process.out_us;
            self.at(at, Event::Output(proc, part.to_vec()));
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

    pub(super) fn output(&mut self, proc: ProcId, chunk: Option<&[u8]>) -> Result<(), String> {
        let (kind, now_us, deaths) = (self.plan.agent, self.now_us, self.deaths);
        let Some(process) = self.processes.get_mut(&proc) else { return Ok(()) };
        process.in_transit -= usize::from(chunk.is_some());
        let heard = process.hear(kind, now_us, chunk);
        process.in_transit += heard.len();
        for heard in heard {
            // ccc may die over any line; the rest is lost with its pipes.
            let Some(process) = self.processes.get_mut(&proc).filter(|_| self.deaths == deaths) else { return Ok(()) };
            process.in_transit -= 1;
            match heard {
                Heard::Line(line) => {
                    if let LineFact::Json(json) = &line {
                        self.note_line(json.get());
                    }
                    self.feed(Input::Line { proc, line })?;
                }
                Heard::Progress => self.feed(Input::Progress { proc })?,
            }
        }
        Ok(())
    }

    /// What the core learns from this line, for the invariants.
    fn note_line(&mut self, json: &str) {
        let result = json.contains(r#""type":"result""#);
        if result && json.contains(r#""is_error":false"#) {
            self.laws.result_came();
        }
        if json.contains(r#""status":"rejected""#) {
            let event = serde_json::from_str::<serde_json::Value>(json).unwrap_or_default();
            let until_s = event.pointer("/rate_limit_info/resetsAt").and_then(serde_json::Value::as_i64);
            self.laws.limit_told(until_s.unwrap_or_default());
        }
        if if self.cli.session_states { json.contains(r#""state":"idle""#) } else { result } {
            self.laws.idle();
        }
    }

    pub(super) fn exited(&mut self, proc: ProcId) -> Result<(), String> {
        let deaths = self.deaths;
        self.output(proc, None)?;
        let Some(process) = self.processes.get(&proc).filter(|_| self.deaths == deaths) else { return Ok(()) };
        let mut exit = process.exit.clone();
        exit.turn_recorded = self.turn_recorded();
        if process.role == Role::Agent && matches!(self.core.phase(), "starting" | "working") {
            self.laws.agent_died();
        }
        self.feed(Input::Exited { proc, exit: exit.clone() })?;
        if self.deaths == deaths && self.finish.is_none() && self.fault(self.rates.doubled) {
            self.feed(Input::Exited { proc, exit })?;
        }
        if self.deaths == deaths {
            self.processes.remove(&proc);
        }
        Ok(())
    }
}
