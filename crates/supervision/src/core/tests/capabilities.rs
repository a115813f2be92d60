//! How the core handles a missing capability of the CLI. The CLI here speaks like Claude Code and lacks one capability.

use super::*;
use crate::agent::{Adapter, Caps, ExitCause, Installation, LaunchRequest, Protocol};
use crate::core::TokenFact;
use crate::words::Provider;

#[derive(Debug)]
struct Lacking(Caps);

const CLAUDE: AgentKind = AgentKind::CLAUDE_CODE;
const ALL: Caps = Caps {
    fork: true,
    read_only_critic: true,
    interrupt: true,
    hot_tokens: &[TokenKind::OAuth],
    limit_events: true,
    prompt_snapshot: true,
    own_interface: false,
};
static NO_FORK: Lacking = Lacking(Caps { fork: false, ..ALL });
static NO_READ_ONLY: Lacking = Lacking(Caps { read_only_critic: false, ..ALL });
static NO_INTERRUPT: Lacking = Lacking(Caps { interrupt: false, ..ALL });
static NO_LIMIT_EVENTS: Lacking = Lacking(Caps { limit_events: false, ..ALL });
static HOT_KEYS: Lacking = Lacking(Caps { hot_tokens: &[TokenKind::ApiKey], ..ALL });

impl Adapter for Lacking {
    fn name(&self) -> &'static str {
        "lacking"
    }

    fn caps(&self, _: &str) -> Caps {
        self.0
    }

    fn program(&self) -> &'static str {
        CLAUDE.program()
    }

    fn installation(&self) -> Installation {
        CLAUDE.installation()
    }

    fn provider(&self) -> Provider {
        CLAUDE.provider()
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Launch {
        CLAUDE.launch(request)
    }

    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol> {
        CLAUDE.protocol(request)
    }

    fn exit_cause(&self, exit: &ExitFact, session_begun: bool) -> ExitCause {
        CLAUDE.exit_cause(exit, session_begun)
    }
}

fn plan_of(agent: &'static Lacking) -> Plan {
    Plan { agent: AgentKind::of(agent), ..plan() }
}

#[test]
fn without_a_fork_the_critic_begins_a_session_of_its_own_and_is_told_the_conversation() {
    for (plan, forks) in [(plan(), true), (plan_of(&NO_FORK), false)] {
        let (mut run, turn) = working(plan);
        let actions = run.work(1, &turn, "The parser parses.");
        let args = &spawn(&actions).expect("a critic").launch.args;
        let own = args.iter().position(|arg| arg == "--session-id").and_then(|at| args.get(at + 1));
        assert_eq!(args.contains(&"--fork-session".to_owned()), forks, "{args:?}");
        assert_eq!(own.is_some_and(|id| id != SESSION), !forks, "{args:?}");
        let actions = run.judge(2, 1, "t", "Add a test for empty input.");
        let sends = actions.iter().rev().find_map(|action| sent(std::slice::from_ref(action)));
        let second = sends.expect("the feedback is said").turn.clone();
        let actions = run.work(1, &second, "Tested.");
        assert!(spawn(&actions).is_some(), "{actions:?}");
        let mut actions = run.spawned(3);
        actions.extend(run.measured(3, "t2", &[]));
        let brief = &sent(&actions).expect("a brief").text;
        let told = ["write a parser", "Tested.", "You have not seen the conversation"];
        assert_eq!(told.map(|words| brief.contains(words)), [true, !forks, !forks], "{brief}");
    }
}

#[test]
fn where_no_critic_can_be_kept_from_writing_an_approval_counts_only_on_an_unchanged_tree() {
    for (plan, counts) in [(plan(), true), (plan_of(&NO_READ_ONLY), false)] {
        let mut run = reviewing(plan);
        run.spawned(2);
        let actions = run.measured(1, "t", &[]);
        let brief = sent(&actions).expect("a brief").turn.clone();
        run.lines(2, &accepted(&brief));
        run.lines(2, &answered(&brief, "Seen.\n\n[TASK_COMPLETED]"));
        // Another process has written meanwhile, or this critic has: the change is ignored only if the critic cannot write.
        let actions = run.measured(2, "t2", &["src/lib.rs"]);
        assert_eq!(decisions(&actions).contains(&"end as completed"), counts, "{actions:?}");
    }
}

#[test]
fn a_turn_that_no_message_interrupts_is_ended_by_a_signal() {
    for (plan, by_message) in [(plan(), true), (plan_of(&NO_INTERRUPT), false)] {
        let (mut run, _) = working(plan);
        let actions = run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
        let proc = ProcId(1);
        assert_eq!(actions.contains(&Action::Interrupt { proc }), by_message, "{actions:?}");
        assert_eq!(actions.contains(&Action::Signal { proc, signal: Signal::Int }), !by_message, "{actions:?}");
    }
}

/// The actions after the agent's turn failed with status 429, with two tokens of this kind.
fn crowded(plan: Plan, kind: TokenKind) -> Vec<Action> {
    crowded_in(plan, kind, [None, None])
}

/// The same, with tokens of these groups.
fn crowded_in(plan: Plan, kind: TokenKind, groups: [Option<&str>; 2]) -> Vec<Action> {
    let token = |id: &str, group: Option<&str>| TokenFact {
        id: TokenId(id.to_owned()),
        label: id.to_uppercase(),
        kind,
        hot_group: group.map(str::to_owned),
        model: None,
        windows: Vec::new(),
        limited_until_unix_ms: None,
        refused: false,
    };
    let tokens = vec![token("a", groups[0]), token("b", groups[1])];
    let mut run = Run { core: Core::new(plan), now: Tick::ZERO, shown: Vec::new() };
    run.feed(Input::Began { unix_ms: 1_000_000, resumed: false, turn_recorded: None, tokens: tokens.clone() });
    let turn = sent(&run.spawned(1)).expect("the task").turn.clone();
    run.lines(1, &accepted(&turn));
    let mut actions = run.lines(1, &failed(&turn, 429, "rate_limit"));
    let asks = actions
        .iter()
        .find_map(|action| if let Action::ReadTokens { request } = action { Some(*request) } else { None });
    if let Some(request) = asks {
        actions.extend(run.feed(Input::Tokens { request: Some(request), tokens, unix_ms: None }));
    }
    actions
}

#[test]
fn a_subscription_is_left_for_another_where_the_cli_cannot_tell_a_crowd_from_a_spent_window() {
    for (plan, rotates) in [(plan(), false), (plan_of(&NO_LIMIT_EVENTS), true)] {
        let actions = crowded(plan, TokenKind::OAuth);
        assert_eq!(decisions(&actions).contains(&"rotate from A to B"), rotates, "{actions:?}");
    }
}

#[test]
fn which_kinds_of_token_swap_in_a_live_process_is_the_clis_own() {
    for (plan, kind, hot) in [(plan(), TokenKind::ApiKey, false), (plan_of(&HOT_KEYS), TokenKind::ApiKey, true)] {
        let actions = crowded(plan, kind);
        let token = TokenId("b".to_owned());
        assert_eq!(actions.contains(&Action::SetCredential { proc: ProcId(1), token }), hot, "{actions:?}");
        assert_eq!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), !hot, "{actions:?}");
    }
}

#[test]
fn a_token_of_another_group_needs_a_process_of_its_own() {
    let group = Some("gateway");
    for (groups, hot) in [([group, group], true), ([group, Some("other")], false), ([group, None], false)] {
        let actions = crowded_in(plan_of(&HOT_KEYS), TokenKind::ApiKey, groups);
        let token = TokenId("b".to_owned());
        assert_eq!(actions.contains(&Action::SetCredential { proc: ProcId(1), token }), hot, "{groups:?}: {actions:?}");
    }
}
