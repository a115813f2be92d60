//! The facts that reach the core, in the past tense. Each is journalled before it is handled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strum::{IntoStaticStr, VariantNames};

use super::{
    Answer, Approvals, Budgets, CheckId, CheckpointId, MeasureId, Plan, TokenFact, TokenId, Unattended, WindowFact,
};
use crate::order::map_of;
use crate::words::{AskId, CheckEnd, CheckResult, ExitFact, Image, ProcId, ProtectedFiles, TouchedTest, TouchedTests};

/// A fact that reached the core. Every input is journalled before it is handled.
#[derive(Debug, Clone, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Input {
    /// The run begins, or continues after ccc ended; `unix_ms` is the wall clock. `turn_recorded` as in [`ExitFact`].
    Began {
        unix_ms: i64,
        resumed: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn_recorded: Option<bool>,
        /// The available tokens; empty if the CLI is to find a credential by itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tokens: Vec<TokenFact>,
    },
    /// The shared state of the tokens: the answer to `ReportToken` and `ReadTokens` of this number, or to `ProbeToken`.
    Tokens {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<u32>,
        tokens: Vec<TokenFact>,
        /// The wall clock that the resets are compared with; absent in journals before 1.2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unix_ms: Option<i64>,
    },
    /// A process was started.
    Spawned { proc: ProcId, pid: u32, transport: String },
    /// A process could not be started.
    SpawnFailed { proc: ProcId, fault: SpawnFault, message: String },
    /// A process wrote one line to its stdout.
    Line { proc: ProcId, line: LineFact },
    /// A process wrote `lines` lines of noise or of repetitions, `bytes` in all, too many to report each. `sample` is the first
    /// of them. At most one a second for each kind. With no line, `bytes` were dropped that are no whole line: stderr, or a
    /// part of a line over the limit.
    Noise { proc: ProcId, lines: u64, bytes: u64, sample: LineFact },
    /// The process wrote partial output since its last input; at most one a second (design §9).
    Progress { proc: ProcId },
    /// A turn could not be written to the process's stdin.
    WriteFailed { proc: ProcId, message: String },
    /// A resume of the session would not continue its latest turns (see [`Branch`](crate::agent::Branch)): it is continued in a
    /// copy. `is_cut`: it does not have them already. It comes before the `Began` or `Exited` that it belongs to.
    BranchLost { is_cut: bool },
    /// The process has ended, its output has been read to the end and no descendant of it is alive.
    Exited { proc: ProcId, exit: ExitFact },
    /// A check ended.
    CheckFinished { check: CheckId, result: CheckResult },
    /// The working tree was measured.
    TreeMeasured { measure: MeasureId, tree: TreeFact },
    /// A checkpoint was taken, or could not be.
    CheckpointTaken { checkpoint: CheckpointId, fact: CheckpointFact },
    /// The tests at the stop of this checkpoint were compared with those at the run's beginning, or could not be: `trouble`.
    TestsCompared {
        checkpoint: CheckpointId,
        #[serde(default)]
        tests: TouchedTests,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    /// The user's input.
    Operator(OperatorInput),
    /// The deadline of `poll_timeout` has passed.
    Elapsed { unix_ms: i64 },
}

impl Input {
    /// The wall clock in the input, if it has one, in unix milliseconds.
    #[must_use]
    pub fn unix_ms(&self) -> Option<i64> {
        if let Input::Began { unix_ms, .. } | Input::Elapsed { unix_ms } = self {
            Some(*unix_ms)
        } else if let Input::Tokens { unix_ms, .. } = self {
            *unix_ms
        } else {
            None
        }
    }

    /// Passes each text that is not ccc's own to `editor`, which may change it: an export replaces them. Every field is named,
    /// so that the compiler reports a new one.
    pub fn edit_texts(&mut self, editor: &mut dyn TextEditor) {
        match self {
            Input::Began { unix_ms: _, resumed: _, turn_recorded: _, tokens }
            | Input::Tokens { request: _, tokens, unix_ms: _ } => edit_tokens(tokens, editor),
            Input::Spawned { proc: _, pid: _, transport: text }
            | Input::SpawnFailed { proc: _, fault: _, message: text }
            | Input::WriteFailed { proc: _, message: text } => editor.text(text),
            Input::Line { proc: _, line } | Input::Noise { proc: _, lines: _, bytes: _, sample: line } => match line {
                LineFact::Json(json) => editor.raw_json(json),
                LineFact::Noise(text) => editor.text(text),
                LineFact::TooLong(_) => {}
            },
            Input::Exited { proc: _, exit } => {
                let ExitFact {
                    code: _,
                    signal: _,
                    stderr_tail,
                    swept: _,
                    turn_recorded: _,
                    dropped_lines: _,
                    leaked: _,
                    out_of_memory: _,
                } = exit;
                editor.text(stderr_tail);
            }
            Input::CheckFinished { check: _, result } => {
                let CheckResult { end, duration_ms: _, tail, omitted_bytes: _, missing, protected } = result;
                match end {
                    CheckEnd::NotStarted(why) => editor.text(why),
                    CheckEnd::Exited(_) | CheckEnd::Signalled(_) | CheckEnd::TimedOut | CheckEnd::Cancelled => {}
                }
                editor.texts(missing.as_mut_slice());
                if let Some(protected) = protected {
                    edit_protected(protected, editor);
                }
                editor.text(tail);
            }
            Input::TreeMeasured { measure: _, tree } => {
                let TreeFact { fingerprint, changed, trouble, fault: _, ignored, running, idle, not_agreed } = tree;
                editor.texts(fingerprint.as_mut_slice());
                editor.texts(changed);
                editor.texts(trouble.as_mut_slice());
                editor.texts(ignored.as_mut_slice());
                editor.texts(running);
                editor.texts(idle);
                editor.texts(not_agreed.as_mut_slice());
            }
            Input::CheckpointTaken { checkpoint: _, fact } => {
                let CheckpointFact {
                    number: _,
                    commit,
                    is_new: _,
                    left_out,
                    more_left_out: _,
                    none: _,
                    trouble,
                    set_again: _,
                } = fact;
                editor.texts(commit.as_mut_slice());
                editor.texts(left_out);
                editor.texts(trouble.as_mut_slice());
            }
            Input::TestsCompared { checkpoint: _, tests, trouble } => {
                let TouchedTests { files, more: _ } = tests;
                for TouchedTest { path, touches: _ } in files {
                    editor.text(path);
                }
                editor.texts(trouble.as_mut_slice());
            }
            Input::Operator(operator) => operator.edit_texts(editor),
            Input::BranchLost { is_cut: _ } | Input::Progress { proc: _ } | Input::Elapsed { unix_ms: _ } => {}
        }
    }
}

/// Passes the texts about protected files to `editor`.
pub(super) fn edit_protected(protected: &mut ProtectedFiles, editor: &mut dyn TextEditor) {
    let ProtectedFiles {
        restored,
        more: _,
        without_content,
        written_meanwhile,
        unmatched,
        not_exchanged,
        not_put_back,
        no_effect,
    } = protected;
    for texts in [restored, without_content, written_meanwhile, unmatched] {
        editor.texts(texts);
    }
    editor.texts(not_exchanged.as_mut_slice());
    editor.texts(not_put_back.as_mut_slice());
    editor.texts(no_effect.as_mut_slice());
}

/// Passes the texts in these tokens to `editor`.
pub(super) fn edit_tokens(tokens: &mut [TokenFact], editor: &mut dyn TextEditor) {
    for TokenFact { id, label, kind: _, hot_group, model, windows, limited_until_unix_ms: _, refused: _ } in tokens {
        for WindowFact { name, utilization: _, resets_at_unix_s: _ } in windows {
            editor.text(name);
        }
        editor.texts(hot_group.as_mut_slice());
        editor.texts(model.as_mut_slice());
        editor.text(&mut id.0);
        editor.text(label);
    }
}

/// One line of a process's stdout, without its line end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFact {
    /// A JSON document, kept verbatim.
    Json(Box<RawValue>),
    /// Anything else, as text with invalid UTF-8 replaced.
    Noise(String),
    /// A line over the limit was dropped; its length in bytes.
    TooLong(u64),
}

/// Why a process could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFault {
    /// There is no such program.
    NotFound,
    /// It may not be executed.
    NotExecutable,
    /// The working directory does not exist.
    BadDirectory,
    /// The command that prints the credential failed.
    NoCredential,
    /// The project's files make it run a program, or send its credential to a host, without the user's agreement; in journals
    /// since 1.2.
    NotAgreed,
    /// The system lacks a resource (processes, memory, descriptors); may be transient.
    Exhausted,
    /// Anything else.
    Other,
}

/// The result of a measurement of the working tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TreeFact {
    /// A hash over head commit, index and files, of nested repositories too; `None` when the tree could not be measured.
    pub fingerprint: Option<String>,
    /// Paths that differ from the compared measurement (at most 200); empty without one.
    pub changed: Vec<String>,
    /// Why the measurement failed, if it did.
    pub trouble: Option<String>,
    /// The kind of that failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<TreeFault>,
    /// A rough hash over ignored files, at the stop. It only shows whether the agent makes progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// Processes of the agent that still ran and may have written since the compared measurement; listed only if something
    /// changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<String>,
    /// Processes of the agent that still ran but have not written since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// What the project's settings of the agent now ask for without the user's agreement, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_agreed: Option<String>,
}

/// The result of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckpointFact {
    /// The number under which the tree is kept in the run's checkpoints; `None` if it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The commit that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the tree or `HEAD` had changed since the checkpoint before. If not, this is that checkpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_new: bool,
    /// Files of the working tree that are not in it (at most 20).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_left_out: u64,
    /// The directory has no working tree of git that could be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub none: bool,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The references of so many earlier checkpoints were not as ccc had made them, and were set again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_again: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if takes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// When a checkpoint is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CheckpointAt {
    /// Before the run's first process.
    Start,
    /// At the end of a turn of the agent.
    Stop,
    /// Before a later process of the agent, after a restart, a change of the token or a resume.
    Restart,
}

/// Why a tree could not be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeFault {
    /// A program that measures it exceeded its timeout and was killed.
    Hung,
    /// A program that measures it failed or could not be started.
    Failed,
    /// It is larger than the limits allow.
    TooLarge,
}

/// The user's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum OperatorInput {
    /// Ends the run: the first time cleanly, the second time at once.
    Interrupt { reason: String },
    /// A message to the agent: its next turn. While a turn runs, is checked or is judged, the message is queued; it precedes
    /// the critic's feedback.
    Turn { text: String },
    /// On resume, replaces messages that the journal holds redacted: `text` replaces these texts, whether they are unsent or
    /// sent.
    Restate { text: String, instead_of: Vec<String> },
    /// The run's directory was moved and is reachable under its name again; `real` is its new place.
    Moved { real: String },
    /// This setting asks for what is not possible here. Since 1.5.
    NotEnforced { setting: String, why: String },
    /// On resume, sets other bounds; since 1.2 `Plan` does.
    Budgets(Budgets),
    /// On resume, sets other settings: those of this plan that may change during a run ([`Plan::changed_to`]).
    Plan(Box<Plan>),
    /// Answers the question of this number.
    Answer { number: u32, choice: Answer },
    /// A message to the agent during the run: its next turn, as soon as it can be sent; once for each `key`. Since 1.3, like
    /// all that follow.
    Say {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        text: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<Image>,
    },
    /// Withdraws the unsent message with this key.
    TakeBack { key: String },
    /// Interrupts the agent, the checks or the critic; the run continues with the user's next message.
    StopTurn,
    /// Begins nothing new; what runs is finished.
    Pause,
    /// Continues after a pause.
    Continue,
    /// Settles a request of the agent.
    Rule {
        ask: AskId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        ruling: Ruling,
    },
    /// Has the work judged: now, or as soon as the agent stops.
    Judge,
    /// Changes to another token: this one (handle or label), or the best of the others.
    Rotate {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<TokenId>,
    },
    /// Changes a setting of the run.
    Set(Change),
    /// Reopens a conversation before the run is resumed: the run rests until the user's next message instead of working.
    TakeUp,
    /// A worker of the agent was started: a run with this id and name. Once for each id, unless it works `again` after its end.
    /// Since 1.4, like the next.
    WorkerStarted {
        id: String,
        name: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// A worker of the agent has ended: the agent is told this text. Once for each id and `at_unix_ms`, the time of that end.
    WorkerEnded {
        id: String,
        name: String,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_unix_ms: Option<i64>,
    },
    /// The number of attached clients, which could answer a request. None when a ccc begins.
    Attended {
        clients: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

/// The user's decision about a request of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Ruling {
    /// Yes. `for_session`: also allow the request's rules for the lifetime of the agent's process. `input`: a JSON object that
    /// replaces the request's input.
    Allow {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        for_session: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
    },
    /// No. The agent reads the reason.
    Deny {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// The answers by the text of the question, and the user's notes to some of them.
    Answers {
        answers: BTreeMap<String, String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        notes: BTreeMap<String, String>,
    },
    /// The content of a form: a JSON object.
    Fill { content: String },
}

/// A setting that may change during the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Whether the agent's stops are judged.
    Supervisor(bool),
    /// The agent's model.
    Model(String),
    /// The critic's model; `None` is the agent's.
    CriticModel(Option<String>),
    /// The bounds.
    Budgets(Budgets),
    /// How requests are handled while no client is attached.
    Unattended(Unattended),
    /// The agent's permission mode, in its CLI's own word.
    PermissionMode(String),
}

impl OperatorInput {
    /// Whether a run whose ccc has ended takes this input before [`Input::Began`] resumes it.
    #[must_use]
    pub fn may_precede_a_life(&self) -> bool {
        matches!(
            self,
            OperatorInput::Turn { .. }
                | OperatorInput::Restate { .. }
                | OperatorInput::Moved { .. }
                | OperatorInput::Budgets(_)
                | OperatorInput::Plan(_)
                | OperatorInput::TakeUp
                | OperatorInput::WorkerStarted { .. }
                | OperatorInput::WorkerEnded { .. }
        )
    }

    /// Whether a run that is ending takes it, too.
    pub(super) fn is_heard_at_the_end(&self) -> bool {
        let ends = matches!(self, OperatorInput::Interrupt { .. } | OperatorInput::Answer { .. });
        ends || matches!(self, OperatorInput::Attended { .. }) || self.may_precede_a_life()
    }

    /// The plan after this input.
    #[must_use]
    pub fn applied_to(&self, plan: &Plan) -> Plan {
        if let OperatorInput::Budgets(budgets) = self {
            Plan { budgets: budgets.clone(), ..plan.clone() }
        } else if let OperatorInput::Plan(other) = self {
            plan.changed_to((**other).clone())
        } else if let OperatorInput::Set(change) = self {
            change.applied_to(plan)
        } else if let OperatorInput::Restate { text, instead_of } = self
            && instead_of.contains(&plan.task)
        {
            Plan { task: text.clone(), ..plan.clone() }
        } else {
            plan.clone()
        }
    }

    /// Passes each text of the user to `editor`, which may change it: an export replaces them.
    pub fn edit_texts(&mut self, editor: &mut dyn TextEditor) {
        match self {
            OperatorInput::Interrupt { reason: text }
            | OperatorInput::Turn { text }
            | OperatorInput::Moved { real: text }
            | OperatorInput::NotEnforced { setting: _, why: text }
            | OperatorInput::TakeBack { key: text } => editor.text(text),
            OperatorInput::Restate { text, instead_of } => {
                editor.text(text);
                editor.texts(instead_of);
            }
            OperatorInput::Plan(plan) => editor.plan(plan),
            OperatorInput::WorkerStarted { id, name, again: _ } => {
                editor.text(id);
                editor.text(name);
            }
            OperatorInput::WorkerEnded { id, name, text, at_unix_ms: _ } => {
                editor.text(id);
                editor.text(name);
                editor.text(text);
            }
            OperatorInput::Say { key, text, images } => {
                editor.texts(key.as_mut_slice());
                editor.text(text);
                for Image { media_type: _, data } in images {
                    editor.text(data);
                }
            }
            OperatorInput::Rule { ask: _, key, ruling } => {
                editor.texts(key.as_mut_slice());
                ruling.edit_texts(editor);
            }
            OperatorInput::Rotate { to } => to.iter_mut().for_each(|TokenId(id)| editor.text(id)),
            OperatorInput::Set(change) => match change {
                Change::Model(text) | Change::PermissionMode(text) => editor.text(text),
                Change::CriticModel(model) => editor.texts(model.as_mut_slice()),
                Change::Supervisor(_) | Change::Budgets(_) | Change::Unattended(_) => {}
            },
            OperatorInput::Attended { clients: _, why } => editor.texts(why.as_mut_slice()),
            OperatorInput::Budgets(_)
            | OperatorInput::Answer { number: _, choice: _ }
            | OperatorInput::StopTurn
            | OperatorInput::Pause
            | OperatorInput::Continue
            | OperatorInput::Judge
            | OperatorInput::TakeUp => {}
        }
    }
}

impl Change {
    /// This plan with the setting changed. The agent's model and permission mode are not part of the plan: the
    /// session holds them.
    #[must_use]
    pub fn applied_to(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        match self {
            Change::Supervisor(supervised) => plan.supervised = *supervised,
            Change::Model(_) | Change::PermissionMode(_) => {}
            Change::CriticModel(model) => plan.critic.model.clone_from(model),
            Change::Budgets(budgets) => plan.budgets = budgets.clone(),
            Change::Unattended(unattended) => {
                if let Approvals::Ask { unattended: before } = &mut plan.approvals {
                    *before = *unattended;
                }
            }
        }
        plan
    }
}

impl Ruling {
    fn edit_texts(&mut self, editor: &mut dyn TextEditor) {
        match self {
            Ruling::Allow { for_session: _, input } => input.iter_mut().for_each(|input| editor.json(input)),
            Ruling::Fill { content } => editor.json(content),
            Ruling::Deny { reason } => editor.text(reason),
            Ruling::Answers { answers, notes } => {
                for told in [answers, notes] {
                    *told = map_of(std::mem::take(told).into_iter().map(|(mut question, mut answer)| {
                        editor.text(&mut question);
                        editor.text(&mut answer);
                        (question, answer)
                    }));
                }
            }
        }
    }
}

/// Changes the texts of an input, one after the other ([`Input::edit_texts`]).
pub trait TextEditor {
    /// A text.
    fn text(&mut self, text: &mut String);

    /// A text that is JSON and must stay JSON.
    fn json(&mut self, text: &mut String);

    /// A JSON document from the agent.
    fn raw_json(&mut self, json: &mut Box<RawValue>);

    /// The texts of a whole plan.
    fn plan(&mut self, plan: &mut Plan);

    /// Several texts.
    fn texts(&mut self, texts: &mut [String]) {
        texts.iter_mut().for_each(|text| self.text(text));
    }
}
