//! A whole night as the core would show it: one of each event at least.

use ccc::agent::{Edit, Hunk, Role, TurnKind};
use ccc::core::{Budgets, Finish, Outcome, Plan, Show, TestTouch, Tick, TouchedTest, TouchedTests};
use ccc::ui::{Banner, Ending, Form, Printer, ScreenOutput, Stream, Style};

use crate::journal::samples;

pub(super) const SESSION: &str = "6f0c2e9a-0000-4000-8000-000000000001";

pub(super) fn banner() -> Banner {
    Banner {
        run_id: "20261120-ab12".into(),
        resumed_task: None,
        run_dir: "/home/me/.local/state/ccc/runs/20261120-ab12".into(),
        cwd: "/home/me/my work".into(),
        session_id: Some(SESSION.into()),
        agent_path: "/usr/bin/claude".into(),
        agent_version: "2.1.329".into(),
        credential: "ANTHROPIC_API_KEY (API key, 3fa9c1)".into(),
        budgets: Budgets { max_duration_ms: Some(8 * 3_600_000), ..Budgets::DEFAULT },
        stall_timeout_ms: 180_000,
        tool_timeout_ms: 900_000,
        checks: vec!["cargo test".into()],
        protect: Vec::new(),
        prompt_origin: "./SUPERVISOR.md".into(),
        walls: "Landlock 7, with mounts; the critic gets a copy of the tree".into(),
    }
}

pub(super) fn phase(phase: &str, detail: &str, iteration: u32) -> Show {
    Show::Phase { phase: phase.into(), detail: detail.into(), iteration, goes_on_in_ms: None }
}

/// The run waits for so long.
fn waits(detail: &str, goes_on_in_ms: u64, iteration: u32) -> Show {
    Show::Phase { phase: "waiting".into(), detail: detail.into(), iteration, goes_on_in_ms: Some(goes_on_in_ms) }
}

pub(super) fn said(role: Role, text: &str) -> Show {
    Show::Text { role, text: text.into(), sub_agent: false, under: None }
}

pub(super) fn tool(role: Role, id: &str, name: &str, target: &str) -> Show {
    Show::Tool { role, id: id.into(), name: name.into(), target: target.into(), edit: None, under: None }
}

pub(super) fn ended(role: Role, id: &str, failed: bool) -> Show {
    let error = if failed { "Exit code 101: test sum ... FAILED" } else { "" };
    Show::ToolEnded { role, id: id.into(), failed, error: error.into(), output: None, hunks: Vec::new() }
}

/// The end of the edit below.
fn edited(id: &str) -> Show {
    let lines = [" ", " fn sum(a: u32, b: u32) -> u32 {", "-    a + b - 1", "+\ta + b", " }"];
    let hunk = Hunk { old_start: 41, new_start: 41, lines: lines.map(str::to_owned).to_vec() };
    Show::ToolEnded {
        role: Role::Agent,
        id: id.into(),
        failed: false,
        error: String::new(),
        output: None,
        hunks: vec![hunk],
    }
}

pub(super) fn edit(path: &str, old: &str, new: &str) -> Show {
    Show::Tool {
        role: Role::Agent,
        id: "t2".into(),
        name: "Edit".into(),
        target: path.into(),
        edit: Some(Edit { path: path.into(), old: old.into(), new: new.into() }),
        under: None,
    }
}

fn turn(kind: TurnKind, text: &str) -> Show {
    Show::Turn { kind, text: text.into() }
}

/// Milliseconds since the run began, and what happens then.
pub(super) fn night() -> Vec<(u64, Show)> {
    vec![
        (0, phase("starting", "", 0)),
        (
            900,
            Show::Session {
                session_id: SESSION.into(),
                model: "claude-opus-4-8".into(),
                agent_version: "2.1.329".into(),
                permission_mode: "acceptEdits".into(),
            },
        ),
        (1_000, turn(TurnKind::Task, "Make the tests pass.\nThen stop.")),
        (1_000, phase("working", "", 1)),
        (
            4_000,
            said(
                Role::Agent,
                "I look at the failing test first, because it says `left: 3, right: 4`:\n\n- src/lib.rs\n  - the sum",
            ),
        ),
        (5_000, tool(Role::Agent, "t1", "Bash", "cargo test\n2>&1")),
        (15_000, ended(Role::Agent, "t1", true)),
        (
            16_000,
            edit(
                "src/lib.rs",
                "fn sum(a: u32, b: u32) -> u32 {\n    a + b - 1\n}\n",
                "fn sum(a: u32, b: u32) -> u32 {\n\ta + b\n}\n",
            ),
        ),
        (16_100, edited("t2")),
        (17_000, Show::Denied { role: Role::Agent, tool: "Bash".into(), target: "git push --force".into() }),
        (
            18_000,
            Show::Text {
                role: Role::Agent, text: "Searching 日本語 🦀 names".into(), sub_agent: true, under: None
            },
        ),
        (20_000, said(Role::Agent, "Done. All tests pass.")),
        (20_100, Show::Cost { usd: Some(0.417) }),
        (20_200, phase("checking", "cargo test", 1)),
        (
            32_500,
            Show::Check {
                command: "cargo test".into(),
                passed: false,
                summary: "exit code 101".into(),
                duration_ms: 12_345,
                tail: "test sum ... ok\n\x1b[31mtest product ... FAILED\x1b[0m\n".into(),
                setup: false,
                not_run: None,
            },
        ),
        (32_600, turn(TurnKind::CheckFailure, "`cargo test` fails: …")),
        (32_600, phase("working", "", 2)),
        (40_000, Show::Notice { text: "API key 3fa9c1 is limited until 03:00; going on with key 77b0de".into() }),
        (
            40_100,
            waits(
                "API Error: Request rejected (429) · This request would exceed your organization's rate limit of 50,000 \
                 input tokens per minute",
                3_559_900,
                2,
            ),
        ),
        (60_000, waits("the provider, before it is asked again", 3_540_000, 2)),
        (3_600_000, phase("restarting", "the model was silent for 180s", 2)),
        (3_601_000, turn(TurnKind::Continue, "Go on.")),
        (3_700_000, phase("reviewing", "", 2)),
        (3_700_100, turn(TurnKind::Brief, "You are the critic …")),
        (3_701_000, tool(Role::Critic, "c1", "Read", "src/lib.rs")),
        (3_702_000, ended(Role::Critic, "c1", false)),
        (3_703_000, said(Role::Critic, "`product` has no test for zero.")),
        (
            3_703_100,
            Show::Verdict { verdict: "feedback".into(), text: "`product` has no test for zero.".into(), iteration: 2 },
        ),
        (3_703_200, turn(TurnKind::Feedback, "`product` has no test for zero.")),
        (3_703_300, phase("working", "", 3)),
        (3_720_000, turn(TurnKind::Operator, "And keep it short.")),
        (
            3_730_000,
            Show::Check {
                command: "cargo test".into(),
                passed: true,
                summary: String::new(),
                duration_ms: 9_000,
                tail: String::new(),
                setup: false,
                not_run: None,
            },
        ),
        (
            3_740_000,
            Show::Verdict {
                verdict: "completed".into(),
                text: "Everything asked for is there.\nI ran the tests.".into(),
                iteration: 3,
            },
        ),
        (
            3_740_100,
            Show::Finished { outcome: Outcome::Completed, reason: "the critic agrees that the task is done".into() },
        ),
    ]
}

/// Fri 2026-11-20 18:06:57 UTC.
pub(super) const BEGAN_UNIX_MS: i64 = 1_795_198_017_000;

pub(super) const NIGHT_ENDS_MS: u64 = 3_741_000;

pub(super) fn finish() -> Finish {
    Finish {
        result: "Done: `sum` and `product` are right,\nand tested.".into(),
        session_id: Some(SESSION.into()),
        iterations: 3,
        restarts: 1,
        rotations: 1,
        waited_ms: 3_500_000,
        cost_usd: Some(0.417),
        tests: Box::new(TouchedTests {
            files: vec![TouchedTest { path: "tests/sum.rs".into(), touches: vec![TestTouch::FewerAssertions] }],
            more: 1,
        }),
        ..Finish::new(Outcome::Completed, "the critic agrees that the task is done")
    }
}

/// What the run went by.
pub(super) fn plan() -> Plan {
    Plan { run_id: "20261120-ab12".into(), cwd: "/home/me/my work".into(), agent_args: Vec::new(), ..samples::plan() }
}

pub(super) fn ending<'a>(finish: &'a Finish, plan: &'a Plan) -> Ending<'a> {
    let run_dir = "/home/me/.local/state/ccc/runs/20261120-ab12";
    Ending {
        finish,
        plan,
        run_dir,
        agent: "claude",
        left_out: &[],
        report: None,
        diff: None,
        restore: None,
        journal_missing: None,
        labels_result: false,
    }
}

/// All pieces of the night.
pub(super) fn outputs(form: Form, style: Style) -> Vec<ScreenOutput> {
    let mut printer = Printer::new(form, style);
    printer.clock(Tick::ZERO, BEGAN_UNIX_MS);
    let mut outputs = printer.start(Tick::ZERO, &banner());
    for (ms, show) in night() {
        outputs.push(printer.render(Tick::ZERO.plus_ms(ms), &show));
    }
    let end = Tick::ZERO.plus_ms(NIGHT_ENDS_MS);
    outputs.extend(printer.finish(end, &ending(&finish(), &plan())));
    outputs
}

/// What went to one stream.
pub(super) fn text_of(outputs: &[ScreenOutput], stream: Stream) -> String {
    outputs.iter().filter(|output| output.stream == stream).map(|output| output.text.as_str()).collect()
}
