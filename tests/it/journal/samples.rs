//! Plans, inputs and actions of every kind, and a disk in memory that can fail.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::rc::Rc;

use ccc::agent::{AgentKind, Role, ToolRequest, TurnKind};
use ccc::core::supervised::{
    BeatReading, CommandAction, CommandExit, CommandInput, CommandOperator, CommandPlan, CommandSignal,
};
use ccc::core::{
    About, Action, Amount, Answer, AskId, AtLimit, Bound, Budgets, Change, CheckEnd, CheckId, CheckPlan, CheckResult,
    CheckpointAt, CheckpointFact, CheckpointId, CriticLimits, CriticPlan, CriticPrompt, Decision, ExitFact, Finish,
    Guard, Image, Input, Launch, LineFact, MeasureId, Needs, Note, OperatorInput, Outcome, Plan, ProcId,
    ProtectedFiles, Push, Question, Ruling, Send, SessionStart, SetupPlan, Signal, Spawn, SpawnFault, SpentBound,
    TestTouch, Timeouts, TokenFact, TokenId, TokenKind, TokenReport, TouchedTest, TouchedTests, TreeFact, TreeFault,
    TurnId, Unattended, WallsPlan, WindowFact,
};
use ccc::journal::{Entry, EntryKind, Header, JournalReader, ReadError, Sink};
use proptest::prelude::*;
use serde_json::value::RawValue;

pub(crate) fn plan() -> Plan {
    Plan {
        interface_settings: Some("/runs/run/interface-settings.json".to_owned()),
        seed: "5eed".to_owned(),
        run_id: "20261120-191822-k3f9".to_owned(),
        task: "Make the tests pass.".to_owned(),
        cwd: "/home/alice/shop".to_owned(),
        earlier_turns: Vec::new(),
        new_ids_when_resumed: false,
        denials_as_they_occurred: false,
        agent: AgentKind::CLAUDE_CODE,
        agent_version: "2.1.329".to_owned(),
        agent_program: "/usr/bin/claude".to_owned(),
        agent_first_args: Vec::new(),
        agent_args: vec!["--model".to_owned(), "opus".to_owned()],
        session: SessionStart::New("3f2b8c1e-0000-4000-8000-000000000001".to_owned()),
        setup: Vec::new(),
        checks: vec![CheckPlan { command: "cargo test".to_owned(), timeout_ms: 900_000 }],
        protect: vec!["tests/**".to_owned()],
        critic: CriticPlan {
            prompt: "Judge.".to_owned(),
            prompt_as: CriticPrompt::Message,
            prompt_file: None,
            model: None,
            allow: vec![],
            limits: CriticLimits { max_failures: 3, timeout_ms: 600_000, watch_ms: 250 },
            without_hooks: true,
            settings_file: Some("/state/run/critic-settings.json".to_owned()),
            on_a_copy: true,
        },
        budgets: Budgets {
            max_cost_usd: Some(12.5),
            max_wait_ms: Some(7_200_000),
            until_unix_ms: Some(1_800_000_000_000),
            ..Budgets::DEFAULT
        },
        timeouts: Timeouts {
            start_ms: 60_000,
            stall_ms: 180_000,
            tool_ms: 900_000,
            tool_given: true,
            background_ms: Some(600_000),
            grace_ms: 5_000,
        },
        one_tree: true,
        allow_checks: true,
        share_prompt_prefix: true,
        no_wait: false,
        rotate_at: 0.95,
        interactive: false,
        answer_timeout_ms: 60_000,
        approvals: ccc::core::Approvals::Ask { unattended: Unattended::Wait { timeout_ms: 600_000 } },
        conversation: true,
        supervised: false,
        without_critic: true,
        checkpoints: true,
        tests_compared: true,
        agent_memory_max_bytes: Some(4 << 30),
        agent_tasks_max: Some(512),
        walls: WallsPlan {
            guard: Guard::Auto,
            write: vec!["~/builds".to_owned()],
            push: Push::AgentBranches,
            env_deny: vec!["AWS_*".to_owned()],
            sandbox: Some(ccc::core::SandboxSettings {
                agent: "/home/alice/run/agent-settings.json".to_owned(),
                critic: "/home/alice/run/critic-settings.json".to_owned(),
            }),
        },
        conversation_patience_ms: 3_600_000,
        given: None,
    }
}

pub(super) fn header() -> Header {
    Header::new(&plan(), "0.1.0").unwrap()
}

pub(crate) fn command_plan() -> CommandPlan {
    CommandPlan {
        seed: "5eed".to_owned(),
        run_id: "20261121-101822-c0de".to_owned(),
        command: vec!["./train.sh".to_owned(), "--long".to_owned()],
        cwd: "/home/alice/shop".to_owned(),
        provider: Some("Anthropic".to_owned()),
        rotate_at: 0.95,
        monitor_interval_ms: 60_000,
        heartbeat: None,
        restart_on: ccc::core::supervised::RestartOn::Signal,
        restart_delay_ms: 5_000,
        max_restarts: 3,
        grace_ms: 3_000,
        no_wait: false,
        interactive: true,
        answer_timeout_ms: 60_000,
    }
}

pub(super) fn command_header() -> Header {
    Header::of_command(&command_plan(), "0.1.0").unwrap()
}

pub(super) fn json_line(json: &str) -> Input {
    Input::Line { proc: ProcId(1), line: LineFact::Json(RawValue::from_string(json.to_owned()).unwrap()) }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "\\PC{0,20}", Just("line\nline\r\n\u{0}\u{1b}[0m\"\\".to_owned()),]
}

/// JSON documents, compact and with white space in odd places.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        text().prop_map(serde_json::Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| { serde_json::Value::Object(map.into_iter().collect()) }),
        ]
    });
    (value, any::<bool>()).prop_map(|(value, spaced)| {
        if spaced { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() }
    })
}

fn proc() -> impl Strategy<Value = ProcId> {
    any::<u32>().prop_map(ProcId)
}

fn line() -> impl Strategy<Value = LineFact> {
    prop_oneof![
        json().prop_map(|json| LineFact::Json(RawValue::from_string(json).unwrap())),
        text().prop_map(LineFact::Noise),
        any::<u64>().prop_map(LineFact::TooLong),
    ]
}

fn spawn_fault() -> impl Strategy<Value = SpawnFault> {
    prop_oneof![
        Just(SpawnFault::NotFound),
        Just(SpawnFault::NotExecutable),
        Just(SpawnFault::BadDirectory),
        Just(SpawnFault::NotAgreed),
        Just(SpawnFault::Exhausted),
        Just(SpawnFault::Other),
    ]
}

fn protected() -> impl Strategy<Value = ProtectedFiles> {
    (text(), any::<u64>(), proptest::option::of(text())).prop_map(|(path, more, not_put_back)| ProtectedFiles {
        restored: vec![path.clone()],
        more,
        without_content: vec![path.clone()],
        written_meanwhile: vec![path.clone()],
        unmatched: vec![path],
        not_exchanged: not_put_back.clone(),
        no_effect: not_put_back.clone(),
        not_put_back,
    })
}

fn check_end() -> impl Strategy<Value = CheckEnd> {
    prop_oneof![
        any::<i32>().prop_map(CheckEnd::Exited),
        any::<i32>().prop_map(CheckEnd::Signalled),
        Just(CheckEnd::TimedOut),
        text().prop_map(CheckEnd::NotStarted),
        Just(CheckEnd::Cancelled),
    ]
}

fn token_id() -> impl Strategy<Value = TokenId> {
    text().prop_map(TokenId)
}

fn window() -> impl Strategy<Value = WindowFact> {
    (text(), proptest::option::of(0u32..200), any::<Option<i64>>()).prop_map(|(name, percent, resets_at_unix_s)| {
        let utilization = percent.map(|percent| f64::from(percent) / 100.0);
        WindowFact { name, utilization, resets_at_unix_s }
    })
}

fn token() -> impl Strategy<Value = TokenFact> {
    let kinds = [TokenKind::ApiKey, TokenKind::AuthToken, TokenKind::OAuth, TokenKind::Helper, TokenKind::Login];
    let windows = proptest::collection::vec(window(), 0..3);
    let service = (proptest::option::of(text()), proptest::option::of(text()));
    (
        token_id(),
        text(),
        proptest::sample::select(kinds.to_vec()),
        service,
        windows,
        any::<Option<i64>>(),
        any::<bool>(),
    )
        .prop_map(|(id, label, kind, (hot_group, model), windows, limited_until_unix_ms, refused)| TokenFact {
            id,
            label,
            kind,
            hot_group,
            model,
            windows,
            limited_until_unix_ms,
            refused,
        })
}

fn tokens() -> impl Strategy<Value = Vec<TokenFact>> {
    proptest::collection::vec(token(), 0..3)
}

fn report() -> impl Strategy<Value = TokenReport> {
    prop_oneof![
        proptest::collection::vec(window(), 0..3).prop_map(TokenReport::Windows),
        (any::<i64>(), proptest::option::of(text()))
            .prop_map(|(until_unix_ms, window)| TokenReport::Limited { until_unix_ms, window }),
        any::<i64>().prop_map(|until_unix_ms| TokenReport::Throttled { until_unix_ms }),
        Just(TokenReport::Refused),
        Just(TokenReport::Works),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    proptest::sample::select(vec![
        Answer::Rotate,
        Answer::Wait,
        Answer::Exit,
        Answer::KeepGoing,
        Answer::Allow,
        Answer::Deny,
    ])
}

/// What the user does in mid-run.
fn steering() -> impl Strategy<Value = OperatorInput> {
    let key = || proptest::option::of(text());
    let image = (text(), text()).prop_map(|(media_type, data)| Image { media_type, data });
    let answers = || proptest::collection::btree_map(text(), text(), 0..3);
    let ruling = prop_oneof![
        (any::<bool>(), key()).prop_map(|(for_session, input)| Ruling::Allow { for_session, input }),
        text().prop_map(|reason| Ruling::Deny { reason }),
        (answers(), answers()).prop_map(|(answers, notes)| Ruling::Answers { answers, notes }),
        text().prop_map(|content| Ruling::Fill { content }),
    ];
    let change = prop_oneof![
        any::<bool>().prop_map(Change::Supervisor),
        text().prop_map(Change::Model),
        text().prop_map(Change::PermissionMode),
        key().prop_map(Change::CriticModel),
        Just(Change::Budgets(Budgets::DEFAULT)),
        Just(Change::Unattended(Unattended::Deny)),
        any::<u32>().prop_map(|ms| Change::Unattended(Unattended::Wait { timeout_ms: ms.into() })),
    ];
    prop_oneof![
        (key(), text(), proptest::collection::vec(image, 0..2)).prop_map(|(key, text, images)| OperatorInput::Say {
            key,
            text,
            images
        }),
        text().prop_map(|key| OperatorInput::TakeBack { key }),
        Just(OperatorInput::StopTurn),
        Just(OperatorInput::Pause),
        Just(OperatorInput::Continue),
        (any::<u32>(), key(), ruling).prop_map(|(ask, key, ruling)| OperatorInput::Rule {
            ask: AskId(ask),
            key,
            ruling
        }),
        Just(OperatorInput::Judge),
        Just(OperatorInput::TakeUp),
        proptest::option::of(token_id()).prop_map(|to| OperatorInput::Rotate { to }),
        change.prop_map(OperatorInput::Set),
        (any::<u32>(), key()).prop_map(|(clients, why)| OperatorInput::Attended { clients, why }),
    ]
}

/// Every kind of input.
pub(super) fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        (any::<i64>(), any::<bool>(), any::<Option<bool>>(), tokens()).prop_map(
            |(unix_ms, resumed, turn_recorded, tokens)| Input::Began { unix_ms, resumed, turn_recorded, tokens }
        ),
        (any::<Option<u32>>(), tokens(), any::<Option<i64>>()).prop_map(|(request, tokens, unix_ms)| Input::Tokens {
            request,
            tokens,
            unix_ms
        }),
        (any::<u32>(), answer()).prop_map(|(number, choice)| Input::Operator(OperatorInput::Answer { number, choice })),
        (proc(), any::<u32>(), text()).prop_map(|(proc, pid, transport)| Input::Spawned { proc, pid, transport }),
        (proc(), spawn_fault(), text()).prop_map(|(proc, fault, message)| Input::SpawnFailed { proc, fault, message }),
        (proc(), line()).prop_map(|(proc, line)| Input::Line { proc, line }),
        (proc(), any::<u64>(), any::<u64>(), line()).prop_map(|(proc, lines, bytes, sample)| Input::Noise {
            proc,
            lines,
            bytes,
            sample
        }),
        proc().prop_map(|proc| Input::Progress { proc }),
        (proc(), text()).prop_map(|(proc, message)| Input::WriteFailed { proc, message }),
        any::<bool>().prop_map(|is_cut| Input::BranchLost { is_cut }),
        (proc(), any::<Option<i32>>(), any::<Option<i32>>(), text(), any::<u32>()).prop_map(
            |(proc, code, signal, stderr_tail, swept)| Input::Exited {
                proc,
                exit: ExitFact {
                    code,
                    signal,
                    stderr_tail,
                    swept,
                    turn_recorded: code.map(|code| code == 0),
                    dropped_lines: u64::from(swept),
                    leaked: swept % 3,
                    out_of_memory: swept % 2 == 1,
                },
            }
        ),
        (
            any::<u32>(),
            check_end(),
            any::<u64>(),
            text(),
            any::<u64>(),
            proptest::option::of(text()),
            proptest::option::of(protected())
        )
            .prop_map(|(check, end, duration_ms, tail, omitted_bytes, missing, protected)| {
                Input::CheckFinished {
                    check: CheckId(check),
                    result: CheckResult {
                        end,
                        duration_ms,
                        tail,
                        omitted_bytes,
                        missing,
                        protected: protected.map(Box::new),
                    },
                }
            }),
        (any::<u32>(), proptest::option::of(text()), proptest::collection::vec(text(), 0..3)).prop_map(
            |(measure, fingerprint, changed)| Input::TreeMeasured {
                measure: MeasureId(measure),
                tree: TreeFact { fingerprint, changed, ignored: Some("00ff".to_owned()), ..TreeFact::default() },
            }
        ),
        (any::<u32>(), text(), proptest::collection::vec(text(), 0..3)).prop_map(|(measure, trouble, running)| {
            let fault = [TreeFault::Hung, TreeFault::Failed, TreeFault::TooLarge][measure as usize % 3];
            let idle = running.iter().rev().cloned().collect();
            let not_agreed = running.first().cloned();
            let (trouble, fault) = (Some(trouble), Some(fault));
            let tree = TreeFact { trouble, fault, running, idle, not_agreed, ..TreeFact::default() };
            Input::TreeMeasured { measure: MeasureId(measure), tree }
        }),
        (any::<u32>(), proptest::option::of(any::<u64>()), proptest::option::of(text()), text()).prop_map(
            |(checkpoint, number, trouble, path)| Input::CheckpointTaken {
                checkpoint: CheckpointId(checkpoint),
                fact: CheckpointFact {
                    number,
                    commit: number.map(|number| format!("{number:040x}")),
                    is_new: number.is_some(),
                    left_out: vec![path],
                    more_left_out: u64::from(checkpoint),
                    set_again: u64::from(checkpoint) / 2,
                    none: number.is_none() && trouble.is_none(),
                    trouble,
                },
            }
        ),
        (any::<u32>(), proptest::option::of(text()), text()).prop_map(|(checkpoint, trouble, path)| {
            let touches = vec![TestTouch::Skipped, TestTouch::OfCheck];
            Input::TestsCompared {
                checkpoint: CheckpointId(checkpoint),
                tests: TouchedTests { files: vec![TouchedTest { path, touches }], more: u64::from(checkpoint) },
                trouble,
            }
        }),
        text().prop_map(|reason| Input::Operator(OperatorInput::Interrupt { reason })),
        text().prop_map(|text| Input::Operator(OperatorInput::Turn { text })),
        (text(), proptest::collection::vec(text(), 0..3))
            .prop_map(|(text, instead_of)| Input::Operator(OperatorInput::Restate { text, instead_of })),
        text().prop_map(|real| Input::Operator(OperatorInput::Moved { real })),
        (text(), text()).prop_map(|(setting, why)| Input::Operator(OperatorInput::NotEnforced { setting, why })),
        (text(), text(), any::<bool>()).prop_map(|(id, name, again)| Input::Operator(OperatorInput::WorkerStarted {
            id,
            name,
            again
        })),
        (text(), text(), text(), proptest::option::of(0..1_900_000_000_000_i64)).prop_map(
            |(id, name, text, at_unix_ms)| {
                Input::Operator(OperatorInput::WorkerEnded { id, name, text, at_unix_ms })
            }
        ),
        steering().prop_map(Input::Operator),
        text().prop_map(|text| {
            let given = Some(serde_json::json!({ "agent_args": [text.clone()] }));
            let setup = vec![SetupPlan { command: text.clone(), timeout_ms: 900_000 }];
            Input::Operator(OperatorInput::Plan(Box::new(Plan { setup, agent_args: vec![text], given, ..plan() })))
        }),
        any::<i64>().prop_map(|unix_ms| Input::Elapsed { unix_ms }),
    ]
}

fn turn_kind() -> impl Strategy<Value = TurnKind> {
    prop_oneof![
        Just(TurnKind::Task),
        Just(TurnKind::Operator),
        Just(TurnKind::Worker),
        Just(TurnKind::Feedback),
        Just(TurnKind::CheckFailure),
        Just(TurnKind::Continue),
        Just(TurnKind::Brief),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Completed),
        Just(Outcome::NeedsUser),
        Just(Outcome::Budget),
        Just(Outcome::Stuck),
        Just(Outcome::Limits),
        Just(Outcome::Failed),
        Just(Outcome::Interrupted),
    ]
}

/// Every kind of action that is journalled.
pub(super) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (proc(), any::<bool>(), proptest::collection::vec(text(), 0..4), text(), text()).prop_map(
            |(proc, agent, args, key, cwd)| Action::Spawn(Spawn {
                proc,
                token: agent.then(|| TokenId(key.clone())),
                role: if agent { Role::Agent } else { Role::Critic },
                launch: Launch { args, env_set: vec![(key.clone(), key.clone())], env_unset: vec![key], cwd },
            })
        ),
        (proc(), text(), turn_kind(), text()).prop_map(|(proc, turn, kind, text)| Action::Send(Send {
            proc,
            turn: TurnId(turn),
            kind,
            images: vec![Image { media_type: "image/png".to_owned(), data: text.clone() }],
            text
        })),
        proc().prop_map(|proc| Action::Interrupt { proc }),
        (proc(), text(), text()).prop_map(|(proc, request_id, denial)| Action::DenyTool { proc, request_id, denial }),
        (proc(), text()).prop_map(|(proc, request_id)| Action::CancelForm { proc, request_id }),
        (proc(), text(), text()).prop_map(|(proc, request_id, why)| Action::Refuse { proc, request_id, why }),
        (proc(), any::<u32>()).prop_map(|(proc, number)| Action::AskCost { proc, number }),
        (proc(), text()).prop_map(|(proc, mode)| Action::SetPermissionMode { proc, mode }),
        proc().prop_map(|proc| Action::CloseStdin { proc }),
        (proc(), token_id()).prop_map(|(proc, token)| Action::SetCredential { proc, token }),
        (any::<u32>(), token_id(), report()).prop_map(|(request, token, report)| Action::ReportToken {
            request,
            token,
            report
        }),
        any::<u32>().prop_map(|request| Action::ReadTokens { request }),
        token_id().prop_map(|token| Action::ProbeToken { token }),
        (any::<u32>(), text(), proptest::option::of(text()), any::<Option<i64>>(), answer()).prop_map(
            |(number, token, next, until_unix_ms, default)| {
                let about = About::Limit(AtLimit { token, next, until_unix_ms });
                Action::Ask(Question { number, about, default, timeout_ms: 60_000 })
            }
        ),
        (any::<u32>(), text(), text(), text(), answer()).prop_map(|(number, tool, target, input, default)| {
            let about = About::Permission(ToolRequest { tool, target, input });
            Action::Ask(Question { number, about, default, timeout_ms: 60_000 })
        }),
        (proc(), text(), proptest::option::of(text()), proptest::collection::vec(text(), 0..2))
            .prop_map(|(proc, request_id, input, updates)| Action::AllowTool { proc, request_id, input, updates }),
        (proc(), text(), text()).prop_map(|(proc, request_id, content)| Action::FillForm { proc, request_id, content }),
        (proc(), text()).prop_map(|(proc, model)| Action::SetModel { proc, model }),
        proc().prop_map(|proc| Action::ReleaseStop { proc }),
        (proc(), any::<bool>())
            .prop_map(|(proc, int)| Action::Signal { proc, signal: if int { Signal::Int } else { Signal::Term } }),
        proc().prop_map(|proc| Action::KillTree { proc }),
        (any::<u32>(), text(), any::<u64>(), any::<Option<u64>>()).prop_map(|(check, command, timeout_ms, base)| {
            Action::RunCheck { check: CheckId(check), command, timeout_ms, base }
        }),
        any::<u32>().prop_map(|check| Action::CancelCheck { check: CheckId(check) }),
        (any::<u32>(), any::<Option<u32>>(), proptest::collection::vec(text(), 0..3)).prop_map(
            |(measure, since, moving)| Action::MeasureTree {
                measure: MeasureId(measure),
                since: since.map(MeasureId),
                moving,
            }
        ),
        any::<u32>().prop_map(|checkpoint| {
            let at = [CheckpointAt::Start, CheckpointAt::Stop, CheckpointAt::Restart][checkpoint as usize % 3];
            Action::TakeCheckpoint { checkpoint: CheckpointId(checkpoint), at }
        }),
        any::<u32>().prop_map(|checkpoint| Action::CompareTests {
            checkpoint: CheckpointId(checkpoint),
            from: 1,
            to: u64::from(checkpoint),
        }),
        (text(), text()).prop_map(|(what, why)| Action::Decide(Decision { what, why })),
        (text(), text()).prop_map(|(about, text)| Action::Note(Note { about, text })),
        (outcome(), text(), any::<Option<u32>>(), any::<u64>(), needs()).prop_map(
            |(outcome, reason, cents, waited_ms, needs)| {
                let touches = vec![TestTouch::FewerTests];
                Action::Finish(Finish {
                    outcome,
                    tests: Box::new(TouchedTests {
                        files: vec![TouchedTest { path: reason.clone(), touches }],
                        more: waited_ms,
                    }),
                    result: reason.clone(),
                    session_id: Some(reason.clone()),
                    reason,
                    iterations: 2,
                    restarts: 1,
                    rotations: 0,
                    waited_ms,
                    cost_usd: cents.map(|cents| f64::from(cents) / 100.0),
                    session_rejected: false,
                    tokens_used: None,
                    needs,
                    protected: Some(Box::new(ProtectedFiles { more: waited_ms, ..ProtectedFiles::default() })),
                    spent: Some(SpentBound {
                        bound: Bound::Tokens,
                        used: Amount::Count(waited_ms),
                        limit: Amount::Count(1),
                    }),
                })
            }
        ),
    ]
}

/// Every kind of input of a command's run.
pub(super) fn command_input() -> impl Strategy<Value = CommandInput> {
    let life = any::<u32>;
    let exit = (any::<Option<i32>>(), any::<Option<i32>>(), any::<u32>(), any::<u32>(), any::<Option<u64>>()).prop_map(
        |(code, signal, swept, leaked, output_bytes)| CommandExit { code, signal, swept, leaked, output_bytes },
    );
    let reading = prop_oneof![
        (any::<i64>(), any::<u64>()).prop_map(|(unix_ms, age_ms)| BeatReading::At { unix_ms, age_ms }),
        Just(BeatReading::Missing),
        text().prop_map(BeatReading::Malformed),
    ];
    let operator = prop_oneof![
        Just(CommandOperator::Interrupt),
        Just(CommandOperator::Suspend),
        text().prop_map(|reason| CommandOperator::End { reason }),
        (any::<u32>(), answer()).prop_map(|(number, choice)| CommandOperator::Answer { number, choice }),
    ];
    prop_oneof![
        (any::<i64>(), tokens()).prop_map(|(unix_ms, tokens)| CommandInput::Began { unix_ms, tokens }),
        (life(), any::<u32>()).prop_map(|(life, pid)| CommandInput::Spawned { life, pid }),
        (life(), spawn_fault(), text()).prop_map(|(life, fault, message)| CommandInput::SpawnFailed {
            life,
            fault,
            message
        }),
        (life(), exit).prop_map(|(life, exit)| CommandInput::Exited { life, exit }),
        (life(), any::<i32>()).prop_map(|(life, signal)| CommandInput::Stopped { life, signal }),
        any::<bool>().prop_map(|as_signal| CommandInput::CtrlC { as_signal }),
        (life(), reading).prop_map(|(life, reading)| CommandInput::Beat { life, reading }),
        (any::<u32>(), tokens(), any::<i64>(), any::<Option<bool>>())
            .prop_map(|(request, tokens, unix_ms, spent)| { CommandInput::Tokens { request, tokens, unix_ms, spent } }),
        operator.prop_map(CommandInput::Operator),
        any::<i64>().prop_map(|unix_ms| CommandInput::Resumed { unix_ms }),
        any::<i64>().prop_map(|unix_ms| CommandInput::Elapsed { unix_ms }),
    ]
}

/// Every kind of action of a command's run that is journalled.
pub(super) fn command_action() -> impl Strategy<Value = CommandAction> {
    let life = any::<u32>;
    let signals = vec![CommandSignal::Int, CommandSignal::Term, CommandSignal::Tstp, CommandSignal::Cont];
    prop_oneof![
        (life(), proptest::option::of(token_id())).prop_map(|(life, token)| CommandAction::Spawn { life, token }),
        (life(), proptest::sample::select(signals)).prop_map(|(life, signal)| CommandAction::Signal { life, signal }),
        life().prop_map(|life| CommandAction::Hold { life }),
        life().prop_map(|life| CommandAction::Continue { life }),
        life().prop_map(|life| CommandAction::KillTree { life }),
        Just(CommandAction::Suspend),
        life().prop_map(|life| CommandAction::ReadBeat { life }),
        (any::<u32>(), token_id()).prop_map(|(request, token)| CommandAction::LookAtToken { request, token }),
        (any::<u32>(), text(), answer()).prop_map(|(number, token, default)| {
            CommandAction::Ask(Question {
                number,
                about: About::Limit(AtLimit { token, next: None, until_unix_ms: None }),
                default,
                timeout_ms: 60_000,
            })
        }),
        any::<u32>().prop_map(|number| CommandAction::AskNoMore { number }),
        (text(), text()).prop_map(|(what, why)| CommandAction::Decide(Decision { what, why })),
        (text(), text()).prop_map(|(about, text)| CommandAction::Note(Note { about, text })),
        (outcome(), text()).prop_map(|(outcome, reason)| {
            CommandAction::Finish(Finish { restarts: 1, rotations: 2, waited_ms: 3, ..Finish::new(outcome, reason) })
        }),
    ]
}

/// One thing to journal.
#[derive(Debug, Clone)]
pub(super) enum Item {
    In(Input),
    Act(Action),
}

pub(super) fn item() -> impl Strategy<Value = Item> {
    prop_oneof![input().prop_map(Item::In), action().prop_map(Item::Act)]
}

/// What one write to the disk does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Takes at most so many bytes.
    Short(usize),
    /// Takes nothing and says so.
    Full,
    /// Is interrupted.
    Interrupted,
}

/// A disk in memory; its clones are the same disk. Faults are used up one per call of `write`.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Rc<RefCell<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    bytes: Vec<u8>,
    blobs: HashMap<String, Vec<u8>>,
    faults: VecDeque<Fault>,
    full: bool,
    blobs_fail: bool,
    writes: usize,
}

impl Disk {
    pub(super) fn with_faults(faults: impl IntoIterator<Item = Fault>) -> Disk {
        let disk = Disk::default();
        disk.0.borrow_mut().faults = faults.into_iter().collect();
        disk
    }
    pub(super) fn set_full(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }
    pub(super) fn set_blobs_fail(&self, fail: bool) {
        self.0.borrow_mut().blobs_fail = fail;
    }
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }
    pub(super) fn blobs(&self) -> HashMap<String, Vec<u8>> {
        self.0.borrow().blobs.clone()
    }
    pub(super) fn writes(&self) -> usize {
        self.0.borrow().writes
    }
}

impl Sink for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        disk.writes += 1;
        if disk.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let take = match disk.faults.pop_front() {
            None => bytes.len(),
            Some(Fault::Short(most)) => bytes.len().min(most.max(1)),
            Some(Fault::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
        };
        disk.bytes.extend_from_slice(&bytes[..take]);
        Ok(take)
    }
    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        let len = usize::try_from(len_bytes).unwrap();
        assert!(len <= disk.bytes.len(), "truncation never makes a file longer");
        disk.bytes.truncate(len);
        Ok(())
    }
    fn put_blob(&mut self, sha256: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        if disk.blobs_fail {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.blobs.insert(sha256.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn sync_soon(&mut self, _: u64) -> Option<ccc::journal::Durable> {
        None
    }
    fn take_sync_error(&mut self) -> Option<String> {
        None
    }
    fn close(self) {}
}

pub(super) fn read(bytes: &[u8]) -> Result<JournalReader<&[u8]>, ReadError> {
    JournalReader::from_reader(Path::new("/nowhere/journal.jsonl"), bytes)
}

pub(super) fn entries(bytes: &[u8]) -> Vec<Entry> {
    read(bytes).unwrap().map(|entry| entry.unwrap()).collect()
}

/// An entry as text, for comparisons: inputs hold raw values, which cannot be compared.
pub(super) fn shown(entry: &Entry) -> String {
    match &entry.kind {
        EntryKind::In(input) => serde_json::to_string(input).unwrap(),
        EntryKind::Act(action) => action.get().to_owned(),
        EntryKind::Gap(gap) => format!("gap {} to {}", gap.from, gap.to),
    }
}

fn needs() -> impl Strategy<Value = Option<Needs>> {
    let list = || proptest::collection::vec(text(), 0..3);
    proptest::option::of(prop_oneof![
        (list(), any::<bool>()).prop_map(|(proven, falls_back)| Needs::Arguments { proven, falls_back }),
        list().prop_map(|arguments| Needs::Permission { arguments }),
        (any::<i64>(), any::<bool>(), any::<i64>()).prop_map(|(at_unix_ms, announced, now_unix_ms)| Needs::Reset {
            at_unix_ms,
            announced,
            now_unix_ms
        }),
        list().prop_map(|commands| Needs::Checks { commands }),
        Just(Needs::Agreement),
    ])
}
