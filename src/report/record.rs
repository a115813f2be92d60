//! Follows a run from its beginning to its end and makes its report. It sees what a replay sees, and reads nothing else.

use std::collections::{BTreeMap, HashMap};

use super::model::{
    AskedFor, CheckTold, Denied, EditedFile, Interruption, InterruptionKind, Iteration, LastVerdict, Moment,
    MomentKind, REPORT_VERSION, Report, RunFacts, RunState, Spending, TestFinding, TestsSource, TestsTouched,
    TokenWindows, Totals, WindowPoint,
};
use super::points::points;
use super::text::{Excerpt, Text, Washer};
use super::timeline::{Activity, TimelineRecorder};
use super::transcript::{Entry, EntryKind, TranscriptRecorder};
use crate::agent::{Edit, Role, TokenCount, TurnKind};
use crate::core::{
    Action, Core, Finish, Input, Outcome, Plan, ProcId, Show, TestTouch, Tick, TokenFact, TokenId, Tone,
};
use crate::journal::RunKind;
use crate::order::sort_by;
use crate::patch::{FileDiff, findings};
use crate::ui::format;

/// How many protected files are named.
const NAMED: usize = 20;
/// How many characters of a title, a reason and the like are shown.
const LINE_CHARS: usize = 300;
/// How many bytes of a message of the user are shown in full.
const ASKED_BYTES: usize = 8_000;
/// How many bytes of a feedback are shown.
const FEEDBACK_BYTES: usize = 6_000;
/// How many bytes of a failed check's output are shown in its iteration.
const CHECK_BYTES: usize = 3_000;
/// How many messages of the user are shown above the transcript.
const ASKED: usize = 100;
/// How many moments are kept.
const MOMENTS: usize = 1_000;
/// How many iterations are kept of the beginning, and of the end.
const ITERATIONS: usize = 100;
/// How many interruptions are kept.
const INTERRUPTIONS: usize = 500;
/// How many kinds of denied calls are kept.
const DENIED: usize = 200;
/// How many files an iteration names.
const EDITS: usize = 200;
/// How many checks an iteration has.
const CHECKS: usize = 50;
/// How many findings about tests are kept.
const FINDINGS: usize = 300;
/// How many points a chart has.
const POINTS: usize = 400;
/// How many tokens have a chart.
const TOKENS: usize = 20;
/// How many calls are followed until their end.
const OPEN_CALLS: usize = 1_000;
/// The wall clock may run ahead of the run's own by this much before it counts as the machine's sleep.
const SLEEP_MS: u64 = 60_000;

/// What is added to a report at its end.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// Why the report does not cover the whole run.
    pub incomplete: Option<String>,
    /// Whether a ccc works on the run.
    pub is_running: bool,
}

/// A call that has not ended.
#[derive(Debug)]
struct OpenCall {
    entry: u64,
    edit: Option<Edit>,
    is_top: bool,
    role: Role,
}

/// Records a run.
#[derive(Debug)]
pub struct Recorder {
    washer: Washer,
    run: RunFacts,
    cwd: String,
    clock: Clock,
    state: RunState,
    outcome: Option<Outcome>,
    reason: Text,
    asked: Vec<AskedFor>,
    verdict: Option<LastVerdict>,
    totals: Totals,
    timeline: TimelineRecorder,
    phase: Option<Activity>,
    moments: Vec<Moment>,
    moments_left_out: usize,
    iterations: Vec<Iteration>,
    iterations_left_out: usize,
    current: Iteration,
    /// Whether something was judged in the current iteration.
    is_judged: bool,
    spending: Vec<Spending>,
    spent_before: (f64, u64),
    windows: Vec<TokenWindows>,
    interruptions: Vec<Interruption>,
    waits: bool,
    denied: Vec<Denied>,
    tests: Vec<TestFinding>,
    tests_left_out: usize,
    protected: Text,
    /// The files that commands of checks name and that differ at the end from what they were.
    of_checks: Vec<Text>,
    transcript: TranscriptRecorder,
    calls: HashMap<String, OpenCall>,
    roles: BTreeMap<ProcId, Role>,
    labels: BTreeMap<TokenId, Text>,
    agent_token: Text,
    critic_token: Text,
}

/// The two clocks of a run.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    started_unix_ms: Option<i64>,
    unix_ms: i64,
    tick: Tick,
    /// Milliseconds after the beginning on the wall clock; never goes back.
    at_ms: u64,
}

impl Recorder {
    /// Begins the report of an agent's run.
    #[must_use]
    pub fn of_agent(plan: &Plan, washer: Washer) -> Recorder {
        let mut recorder = Recorder::new(&plan.run_id, RunKind::Agent, &plan.cwd, washer);
        recorder.run.agent_version =
            (!plan.agent_version.is_empty()).then(|| recorder.washer.line(&plan.agent_version, LINE_CHARS));
        for earlier in plan.earlier_turns.iter().take(ASKED) {
            let text = recorder.washer.excerpt(earlier, ASKED_BYTES);
            recorder.asked.push(AskedFor { at_ms: None, entry: None, text });
        }
        recorder
    }

    /// Begins the report of a command's run.
    #[must_use]
    pub fn of_command(run_id: &str, cwd: &str, command: &str, washer: Washer) -> Recorder {
        let mut recorder = Recorder::new(run_id, RunKind::Command, cwd, washer);
        let text = recorder.washer.excerpt(command, ASKED_BYTES);
        recorder.asked.push(AskedFor { at_ms: None, entry: None, text });
        recorder
    }

    fn new(run_id: &str, kind: RunKind, cwd: &str, washer: Washer) -> Recorder {
        let unknown = washer.text("chosen by the agent's CLI");
        Recorder {
            run: RunFacts {
                id: washer.line(run_id, LINE_CHARS),
                kind,
                cwd: washer.line(cwd, LINE_CHARS),
                session_id: None,
                model: None,
                agent_version: None,
                started_unix_ms: 0,
                until_unix_ms: 0,
                elapsed_ms: 0,
            },
            cwd: cwd.to_owned(),
            clock: Clock::default(),
            state: RunState::Broken,
            outcome: None,
            reason: Text::default(),
            asked: Vec::new(),
            verdict: None,
            totals: Totals::default(),
            timeline: TimelineRecorder::default(),
            phase: None,
            moments: Vec::new(),
            moments_left_out: 0,
            iterations: Vec::new(),
            iterations_left_out: 0,
            current: Iteration { number: 1, ..Iteration::default() },
            is_judged: false,
            spending: Vec::new(),
            spent_before: (0.0, 0),
            windows: Vec::new(),
            interruptions: Vec::new(),
            waits: false,
            denied: Vec::new(),
            tests: Vec::new(),
            tests_left_out: 0,
            protected: Text::default(),
            of_checks: Vec::new(),
            transcript: TranscriptRecorder::default(),
            calls: HashMap::new(),
            roles: BTreeMap::new(),
            labels: BTreeMap::new(),
            agent_token: unknown.clone(),
            critic_token: unknown,
            washer,
        }
    }

    /// A fact of an agent's run, before the core handles it.
    pub fn input(&mut self, tick: Tick, input: &Input) {
        match input {
            Input::Began { unix_ms, resumed, turn_recorded: _, tokens } => {
                let gone_ms = self.follow(tick, *unix_ms);
                if *resumed {
                    self.goes_on();
                    self.away(gone_ms, "ccc had ended, and the run was resumed");
                }
                self.tokens(tokens);
            }
            Input::Tokens { request: _, tokens, unix_ms } => {
                if let Some(unix_ms) = unix_ms {
                    self.slept(tick, *unix_ms);
                }
                self.tokens(tokens);
            }
            Input::Elapsed { unix_ms } => self.slept(tick, *unix_ms),
            Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::Line { .. }
            | Input::Noise { .. }
            | Input::Progress { .. }
            | Input::WriteFailed { .. }
            | Input::BranchLost { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::CheckpointTaken { .. }
            | Input::TestsCompared { .. }
            | Input::Operator(_) => {}
        }
    }

    /// An action of an agent's run, with the core after the input that led to it.
    pub fn action(&mut self, core: &Core, tick: Tick, action: &Action) {
        self.follow(tick, core.wall_ms());
        match action {
            Action::Spawn(spawn) => {
                self.roles.insert(spawn.proc, spawn.role);
                self.calls.clear();
                if let Some(token) = &spawn.token {
                    let label = self.label(token);
                    match spawn.role {
                        Role::Agent => self.agent_token = label,
                        Role::Critic => self.critic_token = label,
                    }
                }
                self.enter();
            }
            Action::SetCredential { proc, token } => {
                let label = self.label(token);
                match self.roles.get(proc) {
                    Some(Role::Critic) => self.critic_token = label,
                    Some(Role::Agent) | None => self.agent_token = label,
                }
                self.enter();
            }
            Action::Show(show) => {
                if let Show::Cost { .. } | Show::Verdict { .. } | Show::Finished { .. } = show {
                    self.spent(core);
                }
                self.show(show);
            }
            Action::Finish(finish) => {
                self.spent(core);
                self.finish(finish);
            }
            Action::Send(_)
            | Action::Interrupt { .. }
            | Action::DenyTool { .. }
            | Action::AllowTool { .. }
            | Action::FillForm { .. }
            | Action::CancelForm { .. }
            | Action::Refuse { .. }
            | Action::AskCost { .. }
            | Action::SetPermissionMode { .. }
            | Action::SetModel { .. }
            | Action::ReleaseStop { .. }
            | Action::CloseStdin { .. }
            | Action::Signal { .. }
            | Action::KillTree { .. }
            | Action::ReportToken { .. }
            | Action::ReadTokens { .. }
            | Action::ProbeToken { .. }
            | Action::Ask(_)
            | Action::RunCheck { .. }
            | Action::CancelCheck { .. }
            | Action::MeasureTree { .. }
            | Action::TakeCheckpoint { .. }
            | Action::CompareTests { .. }
            | Action::Decide(_)
            | Action::Note(_) => {}
        }
    }

    /// An event of a command's run.
    pub fn command_show(&mut self, unix_ms: i64, tick: Tick, show: &Show) {
        self.follow(tick, unix_ms);
        self.show(show);
        if let Show::Finished { outcome, reason } = show {
            self.ended(*outcome, reason);
        }
    }

    /// Sets the clocks; returns by how much the wall clock is ahead of the run's own since the last time.
    fn follow(&mut self, tick: Tick, unix_ms: i64) -> u64 {
        let clock = &mut self.clock;
        let Some(started_unix_ms) = clock.started_unix_ms else {
            (clock.started_unix_ms, clock.unix_ms, clock.tick) = (Some(unix_ms), unix_ms, tick);
            return 0;
        };
        let went_ms = u64::try_from(unix_ms.saturating_sub(clock.unix_ms)).unwrap_or(0);
        let ahead_ms = went_ms.saturating_sub(tick.ms_since(clock.tick));
        clock.at_ms = clock.at_ms.max(u64::try_from(unix_ms.saturating_sub(started_unix_ms)).unwrap_or(0));
        (clock.unix_ms, clock.tick) = (unix_ms, tick);
        ahead_ms
    }

    fn slept(&mut self, tick: Tick, unix_ms: i64) {
        let before = self.clock;
        let ahead_ms = self.follow(tick, unix_ms);
        if before.started_unix_ms.is_some() && ahead_ms > SLEEP_MS {
            self.away(ahead_ms, "the machine slept, or its clock was set");
        }
    }

    /// The run was not at work for this long, up to now.
    fn away(&mut self, ms: u64, why: &str) {
        let to_ms = self.clock.at_ms;
        let from_ms = to_ms.saturating_sub(ms);
        let activity = self.timeline.activity();
        let token = self.token_of(activity);
        self.timeline.set(from_ms, &token, Some(Activity::Away));
        self.timeline.set(to_ms, &token, activity);
        self.interrupted(InterruptionKind::Away, from_ms, Some(ms), why);
        self.moment(MomentKind::Away, Some(Tone::Warn), &format!("{why} ({})", format::seconds(ms)));
    }

    fn tokens(&mut self, tokens: &[TokenFact]) {
        for token in tokens {
            let label = self.washer.line(&token.label, LINE_CHARS);
            self.labels.insert(token.id.clone(), label);
        }
    }

    fn label(&self, token: &TokenId) -> Text {
        self.labels.get(token).cloned().unwrap_or_else(|| self.washer.line(&token.0, LINE_CHARS))
    }

    fn token_of(&self, activity: Option<Activity>) -> Text {
        let is_critic = activity == Some(Activity::Review);
        if is_critic { self.critic_token.clone() } else { self.agent_token.clone() }
    }

    /// Enters what the run does now into the timeline.
    fn enter(&mut self) {
        let uses_tool = self.calls.values().any(|call| call.is_top && call.role == Role::Agent);
        let activity = match self.phase {
            Some(Activity::Working) if uses_tool => Some(Activity::Tool),
            phase => phase,
        };
        let token = self.token_of(activity);
        self.timeline.set(self.clock.at_ms, &token, activity);
    }

    fn moment(&mut self, kind: MomentKind, tone: Option<Tone>, text: &str) {
        if self.moments.len() >= MOMENTS && kind != MomentKind::End {
            self.moments_left_out += 1;
            return;
        }
        let text = self.washer.line(text, LINE_CHARS);
        self.moments.push(Moment { at_ms: self.clock.at_ms, kind, tone, text });
    }

    fn interrupted(&mut self, kind: InterruptionKind, at_ms: u64, took_ms: Option<u64>, why: &str) {
        if self.interruptions.len() < INTERRUPTIONS {
            let reason = self.washer.line(why, LINE_CHARS * 2);
            self.interruptions.push(Interruption { kind, at_ms, took_ms, reason });
        }
    }

    fn entry(&mut self, kind: EntryKind, role: Option<Role>, title: &str, body: Excerpt) -> u64 {
        let title = self.washer.line(title, LINE_CHARS);
        let iteration = self.current.number;
        self.transcript.push(Entry { n: 0, at_ms: self.clock.at_ms, iteration, kind, role, failed: false, title, body })
    }

    fn body(&self, text: &str) -> Excerpt {
        self.washer.excerpt(text, self.transcript.cap_bytes())
    }

    fn note(&mut self, text: &str) {
        let body = self.body(text);
        self.entry(EntryKind::Note, None, "", body);
    }

    fn show(&mut self, show: &Show) {
        match show {
            Show::Phase { phase, detail, iteration: _, goes_on_in_ms: _ } => self.enters_phase(phase, detail),
            Show::Session { session_id, model, agent_version, permission_mode: _ } => {
                let known = |text: &String| (!text.is_empty()).then(|| self.washer.line(text, LINE_CHARS));
                let (session, model, version) = (known(session_id), known(model), known(agent_version));
                self.run.session_id = session;
                self.run.model = model.or(self.run.model.take());
                self.run.agent_version = version.or(self.run.agent_version.take());
            }
            Show::Turn { kind, text } => self.turn(*kind, text),
            Show::Text { role, text, sub_agent: _, under: _ } => {
                let body = self.body(text);
                self.entry(EntryKind::Said, Some(*role), "", body);
            }
            Show::Thinking { role, text, under: _ } => {
                let body = self.body(text);
                self.entry(EntryKind::Thought, Some(*role), "", body);
            }
            Show::Tool { role, id, name, target, edit, under } => {
                let title = format!("{name} {}", self.relative(target));
                let entry = self.entry(EntryKind::Tool, Some(*role), &title, Excerpt::default());
                if *role == Role::Agent {
                    self.current.tools = self.current.tools.saturating_add(1);
                }
                if self.calls.len() < OPEN_CALLS {
                    let call = OpenCall { entry, edit: edit.clone(), is_top: under.is_none(), role: *role };
                    self.calls.insert(id.clone(), call);
                }
                self.enter();
            }
            Show::ToolEnded { role: _, id, failed, error, output, hunks } => {
                let Some(call) = self.calls.remove(id) else { return };
                let cap = self.transcript.cap_bytes();
                let body = match output {
                    Some(output) => self.washer.cut_excerpt(&output.head, &output.tail, cap),
                    None => self.washer.excerpt(error, cap),
                };
                self.transcript.change(call.entry, |entry| {
                    entry.failed = *failed;
                    entry.body = body;
                });
                if let Some(edit) = call.edit.filter(|_| !failed && call.role == Role::Agent) {
                    self.edited(&FileDiff::of_edit(&edit, hunks));
                }
                self.enter();
            }
            Show::Denied { role, tool, target } => self.was_denied(*role, tool, target),
            Show::Check { command, passed, summary, duration_ms, tail, setup, not_run: _ } => {
                let title = format!("{} {command}: {summary}", if *setup { "setup" } else { "check" });
                let body = self.body(tail);
                let entry = self.entry(EntryKind::Check, None, &title, body);
                self.transcript.change(entry, |entry| entry.failed = !passed);
                if !passed {
                    self.moment(MomentKind::Check, Some(Tone::Bad), &title);
                }
                if !setup && self.current.checks.len() < CHECKS {
                    let output = if *passed { Excerpt::default() } else { self.washer.excerpt(tail, CHECK_BYTES) };
                    self.current.checks.push(CheckTold {
                        command: self.washer.line(command, LINE_CHARS),
                        passed: *passed,
                        summary: self.washer.line(summary, LINE_CHARS),
                        duration_ms: *duration_ms,
                        output,
                    });
                    self.is_judged = true;
                }
            }
            Show::Verdict { verdict, text, iteration: _ } => self.judged(verdict, text),
            Show::Notice { text } => {
                self.moment(MomentKind::Notice, Some(Tone::Warn), text);
                self.note(text);
            }
            Show::Information { text } => self.note(text),
            Show::Rotation { from, to, why } => {
                let text = format!("from {from} to {to}: {why}");
                self.interrupted(InterruptionKind::Rotation, self.clock.at_ms, None, &text);
                self.moment(MomentKind::Rotation, Some(Tone::Warn), &text);
                self.note(&text);
                self.agent_token = self.washer.line(to, LINE_CHARS);
                self.enter();
            }
            Show::Spent { tokens, until_unix_ms: _, waits: _, now_unix_ms: _ } => {
                let labels: Vec<&str> = tokens.iter().map(|token| token.label.as_str()).collect();
                self.moment(MomentKind::Wait, Some(Tone::Warn), &format!("no token is usable: {}", labels.join(", ")));
            }
            Show::Asked { ask } => {
                let text = format!("the agent asks: {} {} {}", ask.tool, ask.target, ask.said);
                self.moment(MomentKind::Request, None, &text);
                self.note(&text);
            }
            Show::Settled { ask: _, how, words } => {
                let text =
                    format!("the request is {}{}{words}", how.in_words(), if words.is_empty() { "" } else { ": " });
                self.moment(MomentKind::Request, None, &text);
                self.note(&text);
            }
            Show::Windows { label, five_hour, seven_day } => self.windows(label, *five_hour, *seven_day),
            Show::Rests { why, outcome: _, reason } => {
                let text = if reason.is_empty() { why.in_words() } else { reason };
                self.note(text);
            }
            Show::PermissionMode { .. }
            | Show::Retrying { .. }
            | Show::Cost { .. }
            | Show::Awaited { .. }
            | Show::Question { .. }
            | Show::Queue { .. }
            | Show::Todo { .. }
            | Show::Offers { .. }
            | Show::Attended { .. }
            | Show::Context { .. }
            | Show::Finished { .. } => {}
        }
    }

    fn enters_phase(&mut self, phase: &str, detail: &str) {
        let at_ms = self.clock.at_ms;
        let next = Activity::of_phase(phase);
        if self.waits && next != Some(Activity::Waiting) {
            self.waits = false;
            let wait = self.interruptions.iter_mut().rev().find(|other| other.kind == InterruptionKind::Wait);
            if let Some(wait) = wait {
                wait.took_ms = Some(at_ms.saturating_sub(wait.at_ms));
            }
        }
        if next == Some(Activity::Waiting) && !self.waits {
            self.waits = true;
            let why = if detail.is_empty() { phase } else { detail };
            self.interrupted(InterruptionKind::Wait, at_ms, None, why);
            self.moment(MomentKind::Wait, Some(Tone::Warn), &format!("waiting: {why}"));
        }
        if phase == "restarting" {
            self.interrupted(InterruptionKind::Restart, at_ms, None, detail);
            self.moment(MomentKind::Restart, Some(Tone::Warn), &format!("restart: {detail}"));
            self.calls.clear();
        }
        self.phase = next;
        self.enter();
    }

    fn turn(&mut self, kind: TurnKind, text: &str) {
        let goes_on = match kind {
            TurnKind::Task | TurnKind::Operator => {
                self.next_iteration();
                let body = self.body(text);
                let entry = self.entry(EntryKind::User, None, "", body);
                if self.asked.len() < ASKED {
                    let text = self.washer.excerpt(text, ASKED_BYTES);
                    self.asked.push(AskedFor { at_ms: Some(self.clock.at_ms), entry: Some(entry), text });
                }
                self.moment(MomentKind::User, None, &format!("you: {text}"));
                return;
            }
            TurnKind::Feedback => "feedback",
            TurnKind::CheckFailure => "the output of the checks",
            TurnKind::Worker => "a worker has ended",
            TurnKind::Continue => "continue",
            TurnKind::Compact => "compact",
            TurnKind::Brief => return,
        };
        if matches!(kind, TurnKind::Feedback | TurnKind::CheckFailure) {
            if self.current.feedback.is_empty() {
                self.current.feedback = self.washer.excerpt(text, FEEDBACK_BYTES);
            }
            self.next_iteration();
        }
        let body = self.body(text);
        self.entry(EntryKind::Told, None, goes_on, body);
    }

    fn judged(&mut self, verdict: &str, text: &str) {
        let (tone, in_words) = match verdict {
            "completed" => (Tone::Good, "the critic agrees that the task is done"),
            "feedback" => (Tone::Warn, "the critic: something is missing"),
            "needs_user" => (Tone::Warn, "the critic asks you"),
            _ => (Tone::Bad, "the critic gave no usable verdict"),
        };
        self.is_judged = true;
        self.moment(MomentKind::Verdict, Some(tone), in_words);
        let body = self.body(text);
        self.entry(EntryKind::Verdict, Some(Role::Critic), verdict, body);
        let verdict_text = self.washer.line(verdict, LINE_CHARS);
        self.current.verdict = Some(verdict_text.clone());
        self.current.feedback = self.washer.excerpt(text, FEEDBACK_BYTES);
        if tone != Tone::Bad {
            let points = points(text, &self.washer);
            self.verdict = Some(LastVerdict { verdict: verdict_text, iteration: self.current.number, points });
        }
    }

    /// Ends the current iteration, if something was judged in it.
    fn next_iteration(&mut self) {
        if !self.is_judged {
            return;
        }
        self.close_iteration();
        self.is_judged = false;
    }

    fn close_iteration(&mut self) {
        let number = self.current.number;
        let from_ms = self.clock.at_ms;
        let spent = self.spending.last().copied().unwrap_or_default();
        let sums = (spent.agent_usd + spent.critic_usd, spent.agent_tokens + spent.critic_tokens);
        self.current.to_ms = from_ms;
        self.current.cost_usd = self.totals.cost_usd.map(|_| micro((sums.0 - self.spent_before.0).max(0.0)));
        self.current.tokens = sums.1.saturating_sub(self.spent_before.1);
        self.spent_before = sums;
        let next = Iteration { number: number + 1, from_ms, ..Iteration::default() };
        let done = std::mem::replace(&mut self.current, next);
        if self.iterations.len() >= 2 * ITERATIONS {
            self.iterations.remove(ITERATIONS);
            self.iterations_left_out += 1;
        }
        self.iterations.push(done);
    }

    /// A path below the run's directory without that; what is elsewhere, or is no path, as it is.
    fn relative<'t>(&self, path: &'t str) -> &'t str {
        path.strip_prefix(self.cwd.as_str()).and_then(|path| path.strip_prefix('/')).unwrap_or(path)
    }

    fn edited(&mut self, diff: &FileDiff) {
        let (added, removed) = diff.counts();
        let path = self.relative(&diff.path).to_owned();
        let text = self.washer.line(&path, LINE_CHARS);
        let has_room = self.current.edits.len() < EDITS;
        match self.current.edits.iter_mut().find(|file| file.path == text) {
            Some(file) => {
                file.added += added;
                file.removed += removed;
            }
            None if has_room => {
                self.current.edits.push(EditedFile { path: text, added, removed });
            }
            None => {}
        }
        let diff = FileDiff { path, ..diff.clone() };
        for finding in findings(&diff) {
            let finding = TestFinding::of(finding, &self.washer);
            let is_known = |other: &TestFinding| {
                // A new file is still new when it is edited once more.
                let is_still_new = other.touch == TestTouch::Added && finding.touch == TestTouch::Changed;
                other.path == finding.path
                    && (is_still_new || other.touch == finding.touch)
                    && (!finding.touch.is_suspicious() || other.lines == finding.lines)
            };
            if self.tests.iter().any(is_known) {
                continue;
            }
            if self.tests.len() < FINDINGS {
                self.tests.push(finding);
            } else {
                self.tests_left_out += 1;
            }
        }
    }

    fn was_denied(&mut self, role: Role, tool: &str, target: &str) {
        if role == Role::Agent {
            self.totals.tools_denied = self.totals.tools_denied.saturating_add(1);
        }
        let (tool, target) = (self.washer.line(tool, LINE_CHARS), self.washer.line(target, LINE_CHARS));
        let entry_text = format!("denied: {tool} {target}");
        self.note(&entry_text);
        let same = |other: &&mut Denied| other.role == role && other.tool == tool && other.target == target;
        let has_room = self.denied.len() < DENIED;
        match self.denied.iter_mut().find(same) {
            Some(denied) => denied.times = denied.times.saturating_add(1),
            None if has_room => {
                self.denied.push(Denied { role, tool, target, times: 1, at_ms: self.clock.at_ms });
            }
            None => {}
        }
    }

    fn spent(&mut self, core: &Core) {
        let of = |role| move |proc: &ProcId, roles: &BTreeMap<ProcId, Role>| roles.get(proc) == Some(&role);
        let roles = &self.roles;
        let usd = |role| -> f64 {
            core.cost_by_process().iter().filter(|(proc, _)| of(role)(proc, roles)).map(|(_, usd)| usd).sum::<f64>()
                + 0.0
        };
        let count = |role| -> TokenCount {
            let all = core.tokens_by_process().iter().filter(|(proc, _)| of(role)(proc, roles));
            all.map(|(_, count)| *count).fold(TokenCount::default(), TokenCount::plus)
        };
        let (agent_usd, critic_usd) = (micro(usd(Role::Agent)), micro(usd(Role::Critic)));
        let (agent, critic) = (count(Role::Agent), count(Role::Critic));
        self.totals.cost_usd = core.cost_usd();
        self.totals.critic_cost_usd = self.totals.cost_usd.map(|_| critic_usd);
        self.totals.agent_tokens = agent.into();
        self.totals.critic_tokens = critic.into();
        let now = Spending {
            at_ms: self.clock.at_ms,
            agent_usd,
            critic_usd,
            agent_tokens: agent.total(),
            critic_tokens: critic.total(),
        };
        let unchanged = |last: &Spending| Spending { at_ms: now.at_ms, ..*last } == now;
        if !self.spending.last().is_some_and(unchanged) {
            self.spending.push(now);
            thin(&mut self.spending);
        }
    }

    fn windows(&mut self, label: &str, five_hour: Option<f64>, seven_day: Option<f64>) {
        let token = self.washer.line(label, LINE_CHARS);
        let point = WindowPoint { at_ms: self.clock.at_ms, five_hour, seven_day };
        let has_room = self.windows.len() < TOKENS;
        match self.windows.iter_mut().find(|other| other.token == token) {
            Some(windows) => {
                windows.points.push(point);
                thin(&mut windows.points);
            }
            None if has_room => self.windows.push(TokenWindows { token, points: vec![point] }),
            None => {}
        }
    }

    fn ended(&mut self, outcome: Outcome, reason: &str) {
        self.state = RunState::Ended;
        self.outcome = Some(outcome);
        self.reason = self.washer.line(reason, LINE_CHARS * 4);
        self.moment(MomentKind::End, Some(outcome.row().tone), &format!("{}: {reason}", outcome.in_words()));
    }

    pub(super) fn finish(&mut self, finish: &Finish) {
        self.ended(finish.outcome, &finish.reason);
        self.totals.iterations = finish.iterations;
        self.totals.restarts = finish.restarts;
        self.totals.rotations = finish.rotations;
        self.totals.waited_ms = finish.waited_ms;
        self.totals.cost_usd = finish.cost_usd.or(self.totals.cost_usd);
        let protected = finish.protected.as_deref().map(|files| files.at_end(NAMED));
        self.protected = protected.map(|text| self.washer.line(&text, LINE_CHARS * 4)).unwrap_or_default();
        let of_checks = finish.tests.files.iter().filter(|file| file.touches.contains(&TestTouch::OfCheck));
        self.of_checks = of_checks.map(|file| self.washer.line(&file.path, LINE_CHARS)).collect();
    }

    /// A run that ended goes on after it was resumed.
    fn goes_on(&mut self) {
        self.state = RunState::Broken;
        self.outcome = None;
        self.reason = Text::default();
    }

    /// The report of what was recorded.
    #[must_use]
    pub fn end(mut self, closing: Closing) -> Report {
        let has_rest = self.current.tools > 0 || self.is_judged || !self.current.edits.is_empty();
        if has_rest {
            self.close_iteration();
        }
        let Clock { started_unix_ms, unix_ms, tick, at_ms } = self.clock;
        self.run.started_unix_ms = started_unix_ms.unwrap_or_default();
        self.run.until_unix_ms = unix_ms;
        self.run.elapsed_ms = tick.as_ms();
        if self.state != RunState::Ended && closing.is_running {
            self.state = RunState::Running;
        }
        let incomplete = closing.incomplete.map(|why| self.washer.line(&why, LINE_CHARS * 2)).unwrap_or_default();
        let of_check = |path| TestFinding { touch: TestTouch::OfCheck, path, lines: Vec::new() };
        self.tests.extend(self.of_checks.into_iter().map(of_check));
        sort_by(&mut self.tests, Ord::cmp);
        Report {
            report: REPORT_VERSION,
            ccc: env!("CARGO_PKG_VERSION").to_owned(),
            run: self.run,
            state: self.state,
            outcome: self.outcome,
            reason: self.reason,
            incomplete,
            asked: self.asked,
            verdict: self.verdict,
            totals: self.totals,
            timeline: self.timeline.end(at_ms),
            moments: self.moments,
            moments_left_out: self.moments_left_out,
            iterations: self.iterations,
            iterations_left_out: self.iterations_left_out,
            spending: self.spending,
            windows: self.windows,
            interruptions: self.interruptions,
            denied: self.denied,
            tests: TestsTouched { source: TestsSource::Edits, findings: self.tests, left_out: self.tests_left_out },
            protected: self.protected,
            diff: None,
            go_on: Vec::new(),
            undo: Vec::new(),
            transcript: self.transcript.end(),
        }
    }
}

/// Rounded to a millionth of a dollar, as the core does.
fn micro(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}

/// Leaves out every other point but the first and the last when there are too many.
fn thin<T>(points: &mut Vec<T>) {
    if points.len() <= POINTS {
        return;
    }
    let last = points.len() - 1;
    let mut at = 0;
    points.retain(|_| {
        let keep = at % 2 == 0 || at == last;
        at += 1;
        keep
    });
}
