//! The transitions of the state machine of a command.

use proptest::prelude::*;

use super::machine::Stage;
use super::{
    BeatPlan, BeatReading, CommandAction, CommandCore, CommandExit, CommandInput, CommandOperator, CommandPlan,
    CommandSignal, KeysFor, RestartOn,
};
use crate::core::{About, Answer, Outcome, Show, SpawnFault, Tick, TokenFact, TokenId, TokenKind, WindowFact};

const NOW: i64 = 1_800_000_000_000;

fn plan() -> CommandPlan {
    CommandPlan {
        seed: "seed".to_owned(),
        run_id: "run".to_owned(),
        command: vec!["prog".to_owned()],
        cwd: "/".to_owned(),
        provider: None,
        rotate_at: 0.95,
        monitor_interval_ms: 60_000,
        heartbeat: None,
        restart_on: RestartOn::Failure,
        restart_delay_ms: 5_000,
        max_restarts: 3,
        grace_ms: 3_000,
        no_wait: false,
        interactive: false,
        answer_timeout_ms: 60_000,
    }
}

fn with_heart() -> CommandPlan {
    let heart = BeatPlan { file: "/hb".to_owned(), timeout_ms: 30_000, interval_ms: 2_000, grace_ms: 60_000 };
    CommandPlan { heartbeat: Some(heart), ..plan() }
}

fn token(id: &str) -> TokenFact {
    TokenFact {
        id: TokenId(id.to_owned()),
        label: id.to_uppercase(),
        kind: TokenKind::ApiKey,
        hot_group: None,
        model: None,
        windows: Vec::new(),
        limited_until_unix_ms: None,
        refused: false,
    }
}

fn limited(id: &str, in_ms: i64) -> TokenFact {
    TokenFact { limited_until_unix_ms: Some(NOW + in_ms), ..token(id) }
}

fn crowded(id: &str) -> TokenFact {
    let window =
        WindowFact { name: "five_hour".to_owned(), utilization: Some(0.96), resets_at_unix_s: Some(NOW / 1_000 + 600) };
    TokenFact { windows: vec![window], ..token(id) }
}

/// A core with a clock.
#[derive(Clone)]
struct Run {
    core: CommandCore,
    ms: u64,
}

impl Run {
    fn new(plan: CommandPlan) -> Run {
        Run { core: CommandCore::new(plan), ms: 0 }
    }

    /// Feeds an input; gives the actions, without texts.
    fn feed(&mut self, input: CommandInput) -> Vec<CommandAction> {
        self.all(input)
            .into_iter()
            .filter(|action| {
                !matches!(action, CommandAction::Decide(_) | CommandAction::Note(_) | CommandAction::Show(_))
            })
            .collect()
    }

    fn all(&mut self, input: CommandInput) -> Vec<CommandAction> {
        self.core.handle(Tick::ZERO.plus_ms(self.ms), input);
        std::iter::from_fn(|| self.core.poll_action()).collect()
    }

    fn unix_ms(&self) -> i64 {
        NOW + i64::try_from(self.ms).unwrap()
    }

    fn begin(&mut self, tokens: Vec<TokenFact>) -> Vec<CommandAction> {
        let unix_ms = self.unix_ms();
        self.feed(CommandInput::Began { unix_ms, tokens })
    }

    /// Advances the time.
    fn after(&mut self, ms: u64) -> Vec<CommandAction> {
        self.ms += ms;
        let unix_ms = self.unix_ms();
        self.feed(CommandInput::Elapsed { unix_ms })
    }

    fn spawned(&mut self, life: u32) -> Vec<CommandAction> {
        self.feed(CommandInput::Spawned { life, pid: 7 })
    }

    fn exited(&mut self, life: u32, code: i32) -> Vec<CommandAction> {
        self.feed(CommandInput::Exited { life, exit: CommandExit { code: Some(code), ..CommandExit::default() } })
    }

    fn signalled(&mut self, life: u32, signal: i32) -> Vec<CommandAction> {
        self.feed(CommandInput::Exited { life, exit: CommandExit { signal: Some(signal), ..CommandExit::default() } })
    }

    fn tokens(&mut self, request: u32, tokens: Vec<TokenFact>) -> Vec<CommandAction> {
        let unix_ms = self.unix_ms();
        self.feed(CommandInput::Tokens { request, tokens, unix_ms, spent: None })
    }

    /// The same, with the provider's report whether the current token is limited.
    fn told(&mut self, request: u32, tokens: Vec<TokenFact>, spent: bool) -> Vec<CommandAction> {
        let unix_ms = self.unix_ms();
        self.feed(CommandInput::Tokens { request, tokens, unix_ms, spent: Some(spent) })
    }

    fn beat(&mut self, life: u32, unix_ms: i64) -> Vec<CommandAction> {
        self.feed(CommandInput::Beat { life, reading: BeatReading::At { unix_ms, age_ms: 0 } })
    }

    fn operator(&mut self, operator: CommandOperator) -> Vec<CommandAction> {
        self.feed(CommandInput::Operator(operator))
    }
}

/// A run with a running program and these tokens, which have been asked about once.
fn running(plan: CommandPlan, tokens: &[TokenFact]) -> Run {
    let mut run = Run::new(plan);
    run.begin(tokens.to_vec());
    run.spawned(1);
    if !tokens.is_empty() {
        assert_eq!(run.tokens(1, tokens.to_vec()), []);
    }
    run
}

fn spawn(life: u32, token: Option<&str>) -> CommandAction {
    CommandAction::Spawn { life, token: token.map(|id| TokenId(id.to_owned())) }
}

fn look(request: u32, token: &str) -> CommandAction {
    CommandAction::LookAtToken { request, token: TokenId(token.to_owned()) }
}

fn signal(life: u32, signal: CommandSignal) -> CommandAction {
    CommandAction::Signal { life, signal }
}

#[track_caller]
fn outcome(actions: &[CommandAction]) -> (Outcome, String) {
    match actions.last() {
        Some(CommandAction::Finish(finish)) => (finish.outcome, finish.reason.clone()),
        _ => panic!("no end in {actions:?}"),
    }
}

#[test]
fn exit_code_0_ends_the_run() {
    let mut run = running(plan(), &[]);
    assert_eq!(run.core.poll_timeout(), None, "an idle program costs nothing");
    let ended = run.exited(1, 0);
    assert_eq!(outcome(&ended).0, Outcome::Completed);
    assert!(run.core.is_finished());
    assert_eq!(run.exited(1, 0), [], "nothing follows the end");
}

#[test]
fn a_crash_is_followed_by_a_restart_after_the_delay_and_the_fourth_by_the_end() {
    let mut run = running(plan(), &[]);
    for life in 1..=3 {
        assert_eq!(run.exited(life, 3), []);
        assert_eq!(run.after(4_999), []);
        assert_eq!(run.after(1), [spawn(life + 1, None)]);
        run.spawned(life + 1);
    }
    let (outcome, reason) = outcome(&run.signalled(4, 11));
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(
        reason,
        "the program was ended by signal 11; it was restarted 3 times already within 60 min, the most that --max-restarts allows"
    );
}

#[test]
fn what_a_shell_does_not_find_is_not_looked_for_again() {
    for code in [126, 127] {
        let ended = running(plan(), &[]).exited(1, code);
        assert_eq!(outcome(&ended).0, Outcome::Failed, "{code}");
        assert!(outcome(&ended).1.contains("not started again"), "{ended:?}");
    }
    for (fault, ends) in [
        (SpawnFault::NotFound, true),
        (SpawnFault::NotExecutable, true),
        (SpawnFault::BadDirectory, true),
        (SpawnFault::Exhausted, false),
        (SpawnFault::Other, false),
    ] {
        let mut run = Run::new(plan());
        run.begin(vec![]);
        run.feed(CommandInput::SpawnFailed { life: 1, fault, message: "m".to_owned() });
        assert_eq!(run.core.is_finished(), ends, "{fault:?}");
    }
}

#[test]
fn a_ctrl_c_that_ends_the_program_is_the_users_end() {
    let outcome_of = |prepare: &dyn Fn(&mut Run), end: &dyn Fn(&mut Run) -> Vec<CommandAction>| {
        let mut run = running(plan(), &[]);
        prepare(&mut run);
        end(&mut run);
        run.core.is_finished()
    };
    let none = |_: &mut Run| {};
    assert!(outcome_of(&none, &|run| run.signalled(1, 2)), "SIGINT");
    assert!(outcome_of(&none, &|run| run.signalled(1, 3)), "SIGQUIT");
    assert!(outcome_of(&none, &|run| run.exited(1, 130)), "as a shell says it");
    assert!(!outcome_of(&none, &|run| run.exited(1, 1)));
    for (as_signal, later_ms, users) in
        [(true, 30_000, true), (true, 30_001, false), (false, 3_000, true), (false, 3_001, false)]
    {
        let typed = |run: &mut Run| {
            run.feed(CommandInput::CtrlC { as_signal });
            run.ms += later_ms;
        };
        assert_eq!(outcome_of(&typed, &|run| run.exited(1, 1)), users, "{as_signal} {later_ms}");
    }
}

#[test]
fn a_ctrl_c_that_reaches_ccc_is_the_programs_while_it_runs_and_the_end_otherwise() {
    let mut run = running(plan(), &[]);
    assert_eq!(run.operator(CommandOperator::Interrupt), [signal(1, CommandSignal::Int)]);
    run.ms += 60_000;
    run.exited(1, 3);
    let ended = run.operator(CommandOperator::Interrupt);
    assert_eq!(outcome(&ended).0, Outcome::Interrupted);
}

#[test]
fn an_end_that_is_asked_for_is_a_term_then_a_kill_and_a_second_time_a_kill_at_once() {
    let end = || CommandOperator::End { reason: "why".to_owned() };
    let mut run = running(plan(), &[]);
    assert_eq!(run.operator(end()), [signal(1, CommandSignal::Term)]);
    let mut patient = run.clone();
    assert_eq!(patient.after(2_999), []);
    assert_eq!(patient.after(1), [CommandAction::KillTree { life: 1 }]);
    assert_eq!(outcome(&patient.signalled(1, 9)), (Outcome::Interrupted, "why".to_owned()));
    assert_eq!(run.operator(end()), [CommandAction::KillTree { life: 1 }]);
    assert_eq!(run.operator(end()), [], "more than dead it cannot be");
    let given_up = run.after(15_000);
    assert_eq!(outcome(&given_up).0, Outcome::Failed, "stuck in the kernel");
}

#[test]
fn a_program_that_is_stopped_stops_ccc_and_goes_on_with_it() {
    let mut run = running(with_heart(), &[]);
    assert_eq!(run.feed(CommandInput::Stopped { life: 1, signal: 20 }), [CommandAction::Suspend]);
    assert_eq!(run.core.poll_timeout(), None, "no timer runs meanwhile");
    assert_eq!(
        run.core.keys(),
        KeysFor::Nobody,
        "what is typed now is for the shell, or for the program when it goes on"
    );
    run.ms += 3_600_000;
    let unix_ms = run.unix_ms();
    assert_eq!(run.feed(CommandInput::Resumed { unix_ms }), [signal(1, CommandSignal::Cont)]);
    assert_eq!(run.after(2_000), [CommandAction::ReadBeat { life: 1 }]);
    assert_eq!(run.feed(CommandInput::Beat { life: 1, reading: BeatReading::Missing }), [], "its time began anew");
}

#[test]
fn a_ctrl_z_that_reaches_ccc_is_handed_to_the_program_first() {
    let mut run = running(plan(), &[]);
    assert_eq!(run.operator(CommandOperator::Suspend), [signal(1, CommandSignal::Tstp)]);
    assert_eq!(run.feed(CommandInput::Stopped { life: 1, signal: 20 }), [CommandAction::Suspend]);
    assert_eq!(run.operator(CommandOperator::Suspend), []);
    let mut between = running(plan(), &[]);
    between.exited(1, 3);
    assert_eq!(between.operator(CommandOperator::Suspend), [CommandAction::Suspend]);
}

#[test]
fn a_heart_that_stands_still_is_ended_and_started_again() {
    let mut run = Run::new(with_heart());
    assert_eq!(run.begin(vec![]), [CommandAction::ReadBeat { life: 1 }, spawn(1, None)], "what was left is read first");
    run.beat(1, 5);
    run.spawned(1);
    assert_eq!(run.after(2_000), [CommandAction::ReadBeat { life: 1 }]);
    assert_eq!(run.beat(1, 6), []);
    for _ in 0..14 {
        assert_eq!(run.after(2_000), [CommandAction::ReadBeat { life: 1 }]);
        assert_eq!(run.beat(1, 6), []);
    }
    assert_eq!(run.after(2_000), [CommandAction::ReadBeat { life: 1 }]);
    assert_eq!(run.beat(1, 6), [signal(1, CommandSignal::Term)], "30 s after the last one");
    assert_eq!(run.after(3_000), [CommandAction::KillTree { life: 1 }]);
    assert_eq!(run.signalled(1, 9), []);
    assert_eq!(run.after(5_000), [CommandAction::ReadBeat { life: 2 }, spawn(2, None)]);
}

#[test]
fn an_exit_by_our_own_term_is_no_end_of_the_run() {
    let mut run = running(plan(), &[token("a"), token("b")]);
    run.ms = 60_000;
    assert_eq!(run.after(0), [look(2, "a")]);
    assert_eq!(run.tokens(2, vec![crowded("a"), token("b")]), [signal(1, CommandSignal::Term)]);
    assert_eq!(run.exited(1, 0), [spawn(2, Some("b"))], "it obeyed; it was not done");
    assert_eq!(run.core.rotations(), 1);
    assert_eq!(run.core.restarts(), 0);
}

#[test]
fn the_provider_is_asked_at_once_and_then_at_each_interval() {
    let mut run = Run::new(plan());
    assert_eq!(run.begin(vec![token("a")]), [spawn(1, Some("a"))]);
    assert_eq!(run.spawned(1), [look(1, "a")]);
    assert_eq!(run.after(44_999), []);
    assert_eq!(run.after(1), [], "no answer: it is given up");
    assert_eq!(run.tokens(1, vec![limited("a", 9_000_000)]), [], "and a late one is not taken");
    assert_eq!(run.after(15_000), [look(2, "a")]);
    assert_eq!(run.tokens(2, vec![token("a")]), []);
}

/// A program whose tokens are all limited for an hour.
fn waiting() -> Run {
    let mut run = running(plan(), &[token("a")]);
    run.ms = 60_000;
    run.after(0);
    assert_eq!(run.told(2, vec![limited("a", 3_600_000)], true), [CommandAction::Hold { life: 1 }]);
    run
}

#[test]
fn a_clock_that_is_set_back_makes_no_wait_longer_or_shorter() {
    for set_back_ms in [60_000, 6 * 3_600_000, 50 * 365 * 24 * 3_600_000] {
        let mut run = waiting();
        let clock = |run: &Run| run.unix_ms() - set_back_ms;
        let mut actions = Vec::new();
        let mut looks = 0;
        while actions.is_empty() {
            run.ms = run.core.poll_timeout().expect("a deadline").as_ms();
            let unix_ms = clock(&run);
            actions = run.feed(CommandInput::Elapsed { unix_ms });
            looks += 1;
            assert!(looks < 10, "{set_back_ms}: it waits on");
        }
        assert_eq!(actions, [look(3, "a")], "{set_back_ms}");
        assert!((3_600_000..3_650_000).contains(&run.ms), "{set_back_ms}: {} ms", run.ms);
        let mut unreached = run.clone();
        // The known reset is by the clock that was right.
        let (unix_ms, tokens) = (clock(&run), vec![limited("a", 3_600_000)]);
        let told = |spent| CommandInput::Tokens { request: 3, tokens: tokens.clone(), unix_ms, spent };
        assert_eq!(unreached.feed(told(None)), [CommandAction::Continue { life: 1 }], "{set_back_ms}");
        assert_eq!(run.feed(told(Some(true))), [], "{set_back_ms}: the provider has the last word");
    }
}

#[test]
fn a_clock_that_is_set_forward_ends_the_wait_and_the_provider_says_whether_it_is_over() {
    let mut run = waiting();
    let mut asked_ms = Vec::new();
    for _ in 0..4 {
        let ahead_ms = i64::try_from(run.core.poll_timeout().expect("a deadline").as_ms()).expect("a time") - 60_000;
        assert!(ahead_ms > 0, "it waits for something");
        // By the clock that was set forward the reset has passed already.
        run.ms =
            if asked_ms.is_empty() { run.ms + 1_000 } else { run.core.poll_timeout().expect("a deadline").as_ms() };
        let (request, unix_ms) = (u32::try_from(asked_ms.len()).expect("few") + 3, run.unix_ms() + 6 * 3_600_000);
        assert_eq!(run.feed(CommandInput::Elapsed { unix_ms }), [look(request, "a")]);
        asked_ms.push(run.ms);
        let tokens = vec![limited("a", 3_600_000)];
        let answer = CommandInput::Tokens { request, tokens, unix_ms, spent: Some(true) };
        assert_eq!(run.feed(answer), [], "it is still held");
    }
    let pauses: Vec<u64> = asked_ms.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.windows(2).all(|two| two[1] > two[0]) && pauses[0] >= 2_000, "{pauses:?}");
}

#[test]
fn a_token_that_is_spent_without_a_reset_is_left_alone_for_seconds_longer_each_time() {
    let mut other = running(plan(), &[token("a"), token("b")]);
    other.ms = 60_000;
    other.after(0);
    let both = vec![token("a"), token("b")];
    assert_eq!(other.told(2, both, true), [signal(1, CommandSignal::Term)], "another token is taken");
    assert_eq!(other.signalled(1, 15), [spawn(2, Some("b"))]);

    let mut run = running(plan(), &[token("a")]);
    run.ms = 60_000;
    run.after(0);
    let mut held_ms = vec![run.ms];
    let mut actions = run.told(2, vec![token("a")], true);
    assert_eq!(actions, [CommandAction::Hold { life: 1 }]);
    for request in 3..7 {
        run.ms = run.core.poll_timeout().expect("a wait").as_ms();
        held_ms.push(run.ms);
        assert_eq!(run.after(0), [look(request, "a")]);
        actions = run.told(request, vec![token("a")], request < 6);
    }
    assert_eq!(actions, [CommandAction::Continue { life: 1 }], "the provider says that it is free");
    let pauses: Vec<u64> = held_ms.windows(2).map(|two| (two[1] - two[0]) / 1_000).collect();
    assert_eq!(pauses, [2, 4, 8, 16], "seconds, and no flat five minutes");
}

#[test]
fn while_all_are_spent_the_program_stands_still_until_the_reset() {
    let tokens = [token("a"), token("b")];
    let mut run = running(plan(), &tokens);
    run.ms = 60_000;
    run.after(0);
    let spent = vec![limited("a", 300_000), limited("b", 200_000)];
    assert_eq!(run.tokens(2, spent.clone()), [CommandAction::Hold { life: 1 }]);
    let timeout = run.core.poll_timeout().expect("a bound on the wait");
    assert!((200_000..=205_000).contains(&timeout.as_ms()), "one look: {timeout:?}");
    let until = run.core.poll_wall_timeout().unwrap();
    assert!((NOW + 200_000..=NOW + 205_000).contains(&until), "{until}");
    assert_eq!(run.core.keys(), KeysFor::Ourselves);
    // Its token is still limited, the other one is ready: a restart.
    let mut other = run.clone();
    assert_eq!(other.after(143_000), [look(3, "a")]);
    let free = vec![limited("a", 300_000), token("b")];
    assert_eq!(other.tokens(3, free), [signal(1, CommandSignal::Term), CommandAction::Continue { life: 1 }]);
    assert_eq!(other.signalled(1, 15), [spawn(2, Some("b"))]);
    // Its own token is ready again: it is continued.
    assert_eq!(run.after(143_000), [look(3, "a")]);
    assert_eq!(run.tokens(3, vec![token("a"), token("b")]), [CommandAction::Continue { life: 1 }]);
    assert_eq!(run.core.keys(), KeysFor::Program);
    let finish = run.exited(1, 0);
    let Some(CommandAction::Finish(finish)) = finish.last() else { panic!("{finish:?}") };
    assert_eq!(finish.waited_ms, 143_000);
}

#[test]
fn a_start_while_all_are_spent_waits_and_then_starts() {
    let mut run = Run::new(plan());
    assert_eq!(run.begin(vec![limited("a", 10_000)]), []);
    assert_eq!(run.core.phase(), "waiting");
    // The machine slept: ticks stopped, the wall clock did not.
    let unix_ms = NOW + 3_600_000;
    assert_eq!(run.feed(CommandInput::Elapsed { unix_ms }), [spawn(1, Some("a"))]);
}

#[test]
fn without_waiting_a_spent_pool_ends_the_run() {
    let no_wait = CommandPlan { no_wait: true, ..plan() };
    let mut run = Run::new(no_wait.clone());
    assert_eq!(outcome(&run.begin(vec![limited("a", 10_000)])).0, Outcome::Limits);
    let mut run = running(no_wait, &[token("a")]);
    run.ms = 60_000;
    run.after(0);
    assert_eq!(run.tokens(2, vec![limited("a", 900_000)]), [signal(1, CommandSignal::Term)]);
    assert_eq!(outcome(&run.signalled(1, 15)).0, Outcome::Limits);
}

#[test]
fn tokens_that_were_all_refused_start_nothing_and_stop_nothing() {
    let refused = TokenFact { refused: true, ..token("a") };
    let mut run = Run::new(plan());
    let (outcome, reason) = outcome(&run.begin(vec![refused.clone()]));
    assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "every token was refused by the provider: A"));
    let mut run = running(plan(), &[token("a")]);
    run.ms = 60_000;
    run.after(0);
    assert_eq!(run.tokens(2, vec![refused.clone()]), [], "the program may know another way");
    assert_eq!(run.core.phase(), "running");
}

#[test]
fn a_crash_by_a_spent_token_is_no_failure() {
    let mut run = running(plan(), &[token("a"), token("b")]);
    assert_eq!(run.exited(1, 1), [look(2, "a")], "was it the token?");
    let mut innocent = run.clone();
    assert_eq!(run.tokens(2, vec![limited("a", 900_000), token("b")]), [spawn(2, Some("b"))]);
    assert_eq!((run.core.restarts(), run.core.rotations()), (0, 1));
    assert_eq!(innocent.tokens(2, vec![token("a"), token("b")]), []);
    assert_eq!(innocent.core.restarts(), 1);
    let mut unanswered = running(plan(), &[token("a")]);
    unanswered.exited(1, 1);
    unanswered.after(45_000);
    assert_eq!(unanswered.core.restarts(), 1, "nobody answered: it counts as a failure");
}

#[test]
fn a_token_whose_value_cannot_be_had_gives_way() {
    let mut run = Run::new(plan());
    run.begin(vec![token("a"), token("b")]);
    let failed = CommandInput::SpawnFailed { life: 1, fault: SpawnFault::NoCredential, message: "no".to_owned() };
    assert_eq!(run.feed(failed), [spawn(2, Some("b"))]);
    let last = CommandInput::SpawnFailed { life: 2, fault: SpawnFault::NoCredential, message: "locked".to_owned() };
    let (outcome, reason) = outcome(&run.feed(last));
    assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "there is no credential: locked"));
}

#[test]
fn going_on_in_spite_of_a_limit_lasts_until_the_provider_says_that_the_token_is_free() {
    let keep = CommandOperator::Answer { number: 1, choice: Answer::KeepGoing };
    let mut run = asking(false);
    run.operator(keep);
    let spent = || vec![limited("a", 900_000)];
    run.after(60_000);
    assert_eq!(run.told(3, spent(), true), [], "the user has said so");
    let mut crashing = run.clone();
    for life in 1..=3 {
        crashing.exited(life, 1);
        crashing.told(2 * life + 2, spent(), true);
        assert_eq!(crashing.core.restarts(), life, "it is started again with that token, and that is a failure");
        crashing.after(5_000);
        crashing.spawned(life + 1);
        crashing.told(2 * life + 3, spent(), true);
    }
    run.after(60_000);
    assert_eq!(run.told(4, vec![token("a")], false), []);
    run.after(60_000);
    let asked = run.told(5, spent(), true);
    assert!(matches!(asked.last(), Some(CommandAction::Ask(question)) if question.number == 2), "{asked:?}");
}

/// A run with an open question and a stopped program.
fn asking(next: bool) -> Run {
    let tokens: Vec<TokenFact> = if next { vec![token("a"), token("b")] } else { vec![token("a")] };
    let mut run = running(CommandPlan { interactive: true, ..plan() }, &tokens);
    run.ms = 60_000;
    run.after(0);
    let mut known = vec![limited("a", 300_000)];
    known.extend(next.then(|| token("b")));
    let actions = run.tokens(2, known);
    assert_eq!(actions[0], CommandAction::Hold { life: 1 });
    let CommandAction::Ask(question) = &actions[1] else { panic!("{actions:?}") };
    assert_eq!(question.default, if next { Answer::Rotate } else { Answer::Wait });
    let About::Limit(about) = &question.about else { panic!("{question:?}") };
    assert_eq!(about.until_unix_ms, Some(NOW + 300_000));
    run
}

#[test]
fn each_answer_at_a_limit_has_its_consequence() {
    let answer = |choice| CommandOperator::Answer { number: 1, choice };
    let no_more = CommandAction::AskNoMore { number: 1 };
    let ends = [no_more.clone(), signal(1, CommandSignal::Term), CommandAction::Continue { life: 1 }];
    let mut rotate = asking(true);
    assert_eq!(rotate.operator(answer(Answer::Rotate)), ends);
    assert_eq!(rotate.signalled(1, 15), [spawn(2, Some("b"))]);
    let mut wait = asking(true);
    assert_eq!(wait.operator(answer(Answer::Wait)), std::slice::from_ref(&no_more));
    assert_eq!(wait.core.phase(), "waiting");
    let mut exit = asking(true);
    assert_eq!(exit.operator(answer(Answer::Exit)), ends);
    assert_eq!(outcome(&exit.signalled(1, 15)).0, Outcome::Limits);
    let mut keep = asking(true);
    assert_eq!(keep.operator(answer(Answer::KeepGoing)), [no_more.clone(), CommandAction::Continue { life: 1 }]);
    keep.after(60_000);
    assert_eq!(keep.tokens(3, vec![limited("a", 300_000), token("b")]), [], "it was said: keep going");
    let mut stale = asking(true);
    assert_eq!(stale.operator(CommandOperator::Answer { number: 7, choice: Answer::Exit }), []);
}

#[test]
fn nobody_who_answers_takes_the_default() {
    let mut rotate = asking(true);
    assert_eq!(rotate.after(59_999), []);
    assert_eq!(rotate.after(1)[1], signal(1, CommandSignal::Term));
    let mut wait = asking(false);
    wait.after(60_000);
    assert_eq!(wait.core.phase(), "waiting");
}

#[test]
fn a_malformed_heartbeat_is_told_once() {
    let mut run = running(with_heart(), &[]);
    let malformed = || CommandInput::Beat { life: 1, reading: BeatReading::Malformed("why".to_owned()) };
    let told = |actions: Vec<CommandAction>| {
        actions.iter().filter(|action| matches!(action, CommandAction::Show(Show::Notice { .. }))).count()
    };
    assert_eq!(told(run.all(malformed())), 1);
    assert_eq!(told(run.all(malformed())), 0);
}

/// A run in each stage.
fn stages() -> Vec<(&'static str, Run)> {
    let heart = CommandPlan { interactive: false, ..with_heart() };
    let mut starting = Run::new(heart.clone());
    starting.begin(vec![]);
    let mut suspended = running(heart.clone(), &[]);
    suspended.feed(CommandInput::Stopped { life: 1, signal: 20 });
    let mut waiting = running(heart.clone(), &[token("a")]);
    waiting.ms = 60_000;
    waiting.after(0);
    waiting.tokens(2, vec![limited("a", 900_000)]);
    let mut ending = running(heart.clone(), &[]);
    ending.operator(CommandOperator::End { reason: "why".to_owned() });
    let mut judging = running(heart.clone(), &[token("a")]);
    judging.exited(1, 1);
    let mut pausing = running(heart.clone(), &[]);
    pausing.exited(1, 1);
    let mut finished = running(heart.clone(), &[]);
    finished.exited(1, 0);
    vec![
        ("not begun", Run::new(heart.clone())),
        ("starting", starting),
        ("running", running(heart, &[token("a"), token("b")])),
        ("paused", suspended),
        ("asking", asking(true)),
        ("waiting", waiting),
        ("ending", ending),
        ("judging", judging),
        ("pausing", pausing),
        ("finished", finished),
    ]
}

fn inputs() -> Vec<CommandInput> {
    vec![
        CommandInput::Began { unix_ms: NOW, tokens: vec![token("a")] },
        CommandInput::Spawned { life: 1, pid: 1 },
        CommandInput::Spawned { life: 9, pid: 1 },
        CommandInput::SpawnFailed { life: 1, fault: SpawnFault::Other, message: "m".to_owned() },
        CommandInput::Exited { life: 1, exit: CommandExit { code: Some(1), ..CommandExit::default() } },
        CommandInput::Exited { life: 9, exit: CommandExit::default() },
        CommandInput::Stopped { life: 1, signal: 20 },
        CommandInput::CtrlC { as_signal: true },
        CommandInput::Beat { life: 1, reading: BeatReading::Missing },
        CommandInput::Tokens { request: 1, tokens: vec![limited("a", 5)], unix_ms: NOW, spent: Some(true) },
        CommandInput::Tokens { request: 2, tokens: vec![limited("a", 900_000), token("b")], unix_ms: NOW, spent: None },
        CommandInput::Operator(CommandOperator::Interrupt),
        CommandInput::Operator(CommandOperator::Suspend),
        CommandInput::Operator(CommandOperator::End { reason: "why".to_owned() }),
        CommandInput::Operator(CommandOperator::Answer { number: 1, choice: Answer::KeepGoing }),
        CommandInput::Resumed { unix_ms: NOW },
        CommandInput::Elapsed { unix_ms: NOW + 10_000_000 },
    ]
}

/// The invariants after any step; `lives` counts the starts that have not ended.
fn check(core: &CommandCore, actions: &[CommandAction], was_finished: bool, what: &str) {
    assert!(!was_finished || actions.is_empty(), "{what}: {actions:?} after the end");
    let spawns = actions.iter().filter(|action| matches!(action, CommandAction::Spawn { .. })).count();
    assert!(spawns <= 1, "{what}: {actions:?}");
    let finishes = actions.iter().filter(|action| matches!(action, CommandAction::Finish(_))).count();
    assert_eq!(finishes, usize::from(core.is_finished() && !was_finished), "{what}: {actions:?}");
    let alive = core.is_alive();
    let needs_life = matches!(core.stage(), Stage::Starting | Stage::Running | Stage::Ending { .. });
    assert!(alive || !needs_life, "{what}: {} without a program", core.phase());
    assert!(!alive || !matches!(core.stage(), Stage::Pausing { .. } | Stage::Judging { .. }), "{what}");
}

#[test]
fn every_input_in_every_stage_keeps_what_must_hold() {
    for (stage, run) in stages() {
        for input in inputs() {
            let mut run = run.clone();
            let was_finished = run.core.is_finished();
            let what = format!("{stage}: {input:?}");
            run.ms += 1;
            let actions = run.all(input);
            check(&run.core, &actions, was_finished, &what);
        }
    }
}

proptest! {
    #[test]
    fn no_order_of_inputs_breaks_what_must_hold(
        steps in prop::collection::vec((0..17_usize, 0..70_000_u64), 0..60),
        interactive: bool,
        with_tokens: bool,
    ) {
        let mut run = Run::new(CommandPlan { interactive, ..with_heart() });
        run.begin(if with_tokens { vec![token("a"), token("b")] } else { vec![] });
        let mut life = 1;
        let (mut restarts, mut total) = (Vec::new(), 0);
        for (at, ms) in steps {
            run.ms += ms;
            let was_finished = run.core.is_finished();
            let mut input = inputs().swap_remove(at);
            // Mostly about the current program.
            match &mut input {
                CommandInput::Spawned { life: it, .. } | CommandInput::Exited { life: it, .. }
                | CommandInput::Stopped { life: it, .. } | CommandInput::Beat { life: it, .. }
                | CommandInput::SpawnFailed { life: it, .. } if *it == 1 => *it = life,
                CommandInput::Began { .. }
                | CommandInput::Spawned { .. }
                | CommandInput::SpawnFailed { .. }
                | CommandInput::Exited { .. }
                | CommandInput::Stopped { .. }
                | CommandInput::CtrlC { .. }
                | CommandInput::Beat { .. }
                | CommandInput::Tokens { .. }
                | CommandInput::Operator(_)
                | CommandInput::Resumed { .. }
                | CommandInput::Elapsed { .. } => {}
            }
            let actions = run.all(input.clone());
            check(&run.core, &actions, was_finished, &format!("{input:?}"));
            for action in &actions {
                if let CommandAction::Spawn { life: next, .. } = action {
                    life = *next;
                }
            }
            restarts.extend((run.core.restarts() > total).then_some(run.ms));
            total = run.core.restarts();
            let lately = restarts.iter().filter(|at| run.ms - **at < 3_600_000).count();
            assert!(lately <= plan().max_restarts as usize, "{lately} restarts within an hour");
        }
    }
}

#[test]
fn which_ends_are_restarted_and_whose_code_is_passed_on() {
    #[derive(Debug, Clone, Copy)]
    enum End {
        Code(i32),
        Signal(i32),
    }
    let table = [
        (RestartOn::Failure, End::Code(3), None),
        (RestartOn::Failure, End::Signal(11), None),
        (RestartOn::Signal, End::Code(3), Some(3)),
        (RestartOn::Signal, End::Code(127), Some(127)),
        (RestartOn::Signal, End::Signal(11), None),
        (RestartOn::Never, End::Code(3), Some(3)),
        (RestartOn::Never, End::Code(126), Some(126)),
        (RestartOn::Never, End::Signal(11), Some(139)),
    ];
    for (restart_on, end, passed_on) in table {
        let mut run = running(CommandPlan { restart_on, ..plan() }, &[]);
        match end {
            End::Code(code) => run.exited(1, code),
            End::Signal(signal) => run.signalled(1, signal),
        };
        assert_eq!(run.core.code_to_pass_on(), passed_on, "{restart_on:?} {end:?}");
        assert_eq!(run.core.is_finished(), passed_on.is_some(), "{restart_on:?} {end:?}");
    }
    // An end that ccc caused, for a stale heartbeat, has no exit code to pass on.
    let mut run = running(CommandPlan { restart_on: RestartOn::Never, ..with_heart() }, &[]);
    while run.core.phase() == "running" {
        run.after(60_000);
        run.feed(CommandInput::Beat { life: 1, reading: BeatReading::Missing });
    }
    run.signalled(1, 15);
    assert!(run.core.is_finished());
    assert_eq!(run.core.code_to_pass_on(), None);
}
