//! One policy: the agent's run and the supervised command decide the same about tokens, waits and restarts. Each row is a case
//! in which the two machines once differed.

use super::*;
use crate::core::supervised::{CommandAction, CommandCore, CommandExit, CommandInput, CommandPlan, RestartOn};

const BEGAN_MS: i64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;
const MAX_RESTARTS: u32 = 3;

/// The actions of one machine so far.
#[derive(Debug, Default)]
struct Orders {
    spawns: Vec<Option<TokenId>>,
    end: Option<(Outcome, String)>,
}

/// Either machine, with the inputs that both have in common.
enum Machine {
    Agent(Box<Core>),
    Command(Box<CommandCore>),
}

struct Scene {
    machine: Machine,
    now: Tick,
    /// How far the wall clock was changed since the beginning.
    wrong_ms: i64,
    orders: Orders,
    deaths: usize,
}

/// Both machines, with these tokens.
fn both(tokens: &[TokenFact]) -> [Scene; 2] {
    let agent = Plan { budgets: Budgets { max_restarts: MAX_RESTARTS, ..plan().budgets }, ..plan() };
    let command = CommandPlan {
        seed: agent.seed.clone(),
        run_id: "run".to_owned(),
        command: vec!["prog".to_owned()],
        cwd: "/".to_owned(),
        provider: None,
        rotate_at: agent.rotate_at,
        monitor_interval_ms: 60_000,
        heartbeat: None,
        restart_on: RestartOn::Failure,
        restart_delay_ms: 0,
        max_restarts: MAX_RESTARTS,
        grace_ms: 3_000,
        no_wait: false,
        interactive: false,
        answer_timeout_ms: 60_000,
    };
    [Machine::Agent(Box::new(Core::new(agent))), Machine::Command(Box::new(CommandCore::new(command)))].map(|machine| {
        let mut scene = Scene { machine, now: Tick::ZERO, wrong_ms: 0, orders: Orders::default(), deaths: 0 };
        let (unix_ms, tokens) = (scene.wall_ms(), tokens.to_vec());
        match &mut scene.machine {
            Machine::Agent(core) => {
                core.handle(Tick::ZERO, Input::Began { unix_ms, resumed: false, turn_recorded: None, tokens });
            }
            Machine::Command(core) => core.handle(Tick::ZERO, CommandInput::Began { unix_ms, tokens }),
        }
        scene.drain();
        scene
    })
}

impl Scene {
    fn name(&self) -> &'static str {
        match self.machine {
            Machine::Agent(_) => "the agent's run",
            Machine::Command(_) => "the command",
        }
    }

    fn wall_ms(&self) -> i64 {
        BEGAN_MS + i64::try_from(self.now.as_ms()).expect("a time") + self.wrong_ms
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only what both machines order is looked at")]
    fn drain(&mut self) {
        match &mut self.machine {
            Machine::Agent(core) => {
                while let Some(action) = core.poll_action() {
                    match action {
                        Action::Spawn(spawn) => self.orders.spawns.push(spawn.token),
                        Action::Finish(finish) => self.orders.end = Some((finish.outcome, finish.reason)),
                        _ => {}
                    }
                }
            }
            Machine::Command(core) => {
                while let Some(action) = core.poll_action() {
                    match action {
                        CommandAction::Spawn { token, .. } => self.orders.spawns.push(token),
                        CommandAction::Finish(finish) => self.orders.end = Some((finish.outcome, finish.reason)),
                        _ => {}
                    }
                }
            }
        }
    }

    fn elapse(&mut self) {
        let (now, unix_ms) = (self.now, self.wall_ms());
        match &mut self.machine {
            Machine::Agent(core) => core.handle(now, Input::Elapsed { unix_ms }),
            Machine::Command(core) => core.handle(now, CommandInput::Elapsed { unix_ms }),
        }
        self.drain();
    }

    /// Lets each deadline pass until the killed process is started again.
    fn until_spawn(&mut self) {
        for _ in 0..1_000 {
            if self.orders.spawns.len() > self.deaths || self.orders.end.is_some() {
                return;
            }
            let due = match &self.machine {
                Machine::Agent(core) => core.poll_timeout(),
                Machine::Command(core) => core.poll_timeout(),
            };
            self.now = self.now.max(due.expect("a deadline"));
            self.elapse();
        }
        panic!("{}: nothing is started", self.name());
    }

    fn wall_timeout(&self) -> Option<i64> {
        match &self.machine {
            Machine::Agent(core) => core.poll_wall_timeout(),
            Machine::Command(core) => core.poll_wall_timeout(),
        }
    }

    /// The process is killed, and the immediate actions are handled.
    fn killed(&mut self) {
        self.deaths += 1;
        let (now, life) = (self.now, u32::try_from(self.deaths).expect("few"));
        match &mut self.machine {
            Machine::Agent(core) => {
                let proc = ProcId(life);
                core.handle(now, Input::Spawned { proc, pid: 7, transport: "pty".to_owned() });
                let exit = ExitFact { code: None, signal: Some(9), ..ExitFact::default() };
                core.handle(now, Input::Exited { proc, exit });
            }
            Machine::Command(core) => {
                core.handle(now, CommandInput::Spawned { life, pid: 7 });
                let exit = CommandExit { signal: Some(9), ..CommandExit::default() };
                core.handle(now, CommandInput::Exited { life, exit });
            }
        }
        self.drain();
    }
}

fn limited(id: &str, for_ms: u64) -> TokenFact {
    TokenFact {
        id: TokenId(id.to_owned()),
        label: id.to_uppercase(),
        kind: TokenKind::OAuth,
        hot_group: None,
        model: None,
        windows: Vec::new(),
        limited_until_unix_ms: Some(BEGAN_MS + i64::try_from(for_ms).expect("a time")),
        refused: false,
    }
}

/// The agent's run reads the shared state before it continues after a wait.
fn answer_what_is_known(scene: &mut Scene, tokens: &[TokenFact]) {
    let (now, unix_ms) = (scene.now, scene.wall_ms());
    if let Machine::Agent(core) = &mut scene.machine {
        core.handle(now, Input::Tokens { request: Some(1), tokens: tokens.to_vec(), unix_ms: Some(unix_ms) });
    }
    scene.drain();
}

#[test]
fn a_wait_for_a_reset_is_as_long_whatever_the_clock_is_set_to_and_has_the_same_jitter() {
    for reset_ms in [60_000, HOUR_MS, 5 * HOUR_MS, 7 * 24 * HOUR_MS] {
        for back_ms in [0, 60_000, 6 * HOUR_MS, 50 * 365 * 24 * HOUR_MS] {
            let tokens = [limited("a", reset_ms)];
            for mut scene in both(&tokens) {
                let what = format!("{}, {reset_ms} ms, set back by {back_ms} ms", scene.name());
                let wall = scene.wall_timeout().expect("a reset");
                let jitter_ms = wall - BEGAN_MS - i64::try_from(reset_ms).expect("a time");
                assert!((0..=5_000).contains(&jitter_ms), "{what}: {jitter_ms} ms of jitter");
                scene.wrong_ms = -i64::try_from(back_ms).expect("a time");
                for _ in 0..20_000 {
                    scene.now = match &scene.machine {
                        Machine::Agent(core) => core.poll_timeout(),
                        Machine::Command(core) => core.poll_timeout(),
                    }
                    .unwrap_or(scene.now)
                    .max(scene.now);
                    scene.elapse();
                    answer_what_is_known(&mut scene, &tokens);
                    if !scene.orders.spawns.is_empty() {
                        break;
                    }
                }
                assert_eq!(scene.orders.spawns, [Some(TokenId("a".to_owned()))], "{what}");
                let (least, most) = (reset_ms, reset_ms + 5_000 + 5_000);
                assert!((least..=most).contains(&scene.now.as_ms()), "{what}: {} ms", scene.now.as_ms());
            }
        }
    }
}

#[test]
fn time_in_which_ccc_stood_still_ends_a_wait_for_a_reset_and_no_other() {
    let tokens = [limited("a", HOUR_MS)];
    for mut scene in both(&tokens) {
        // Ticks stopped, the wall clock did not.
        scene.wrong_ms = i64::try_from(2 * HOUR_MS).expect("a time");
        scene.elapse();
        answer_what_is_known(&mut scene, &tokens);
        assert_eq!(scene.orders.spawns.len(), 1, "{}: the reset has come", scene.name());
    }
    for mut scene in both(&[]) {
        scene.killed();
        scene.until_spawn();
        scene.killed();
        scene.wrong_ms = i64::try_from(2 * HOUR_MS).expect("a time");
        scene.elapse();
        assert_eq!(scene.orders.spawns.len(), 2, "{}: a pause before a restart is the run's own", scene.name());
        scene.until_spawn();
        assert_eq!(scene.orders.spawns.len(), 3, "{}", scene.name());
    }
}

#[test]
fn restarts_count_within_an_hour_and_back_off() {
    // A process that lasts is restarted forever.
    for mut scene in both(&[]) {
        for day in 0..10 {
            scene.killed();
            scene.until_spawn();
            assert_eq!(scene.orders.end, None, "{}, day {day}", scene.name());
            scene.now = scene.now.plus_ms(24 * HOUR_MS);
        }
    }
    // The most restarts within an hour; the next end ends the run unless the first is an hour ago.
    for (between_ms, ends) in [(0, true), (HOUR_MS / 4, true), (HOUR_MS / 3 + 1_000, false)] {
        let mut pauses = Vec::new();
        for mut scene in both(&[]) {
            let mut its_pauses = Vec::new();
            for _ in 0..MAX_RESTARTS {
                scene.killed();
                let since = scene.now;
                scene.until_spawn();
                its_pauses.push(scene.now.ms_since(since));
                scene.now = scene.now.plus_ms(between_ms);
            }
            scene.killed();
            assert_eq!(scene.orders.end.is_some(), ends, "{}: {between_ms} ms between", scene.name());
            if let Some((outcome, reason)) = &scene.orders.end {
                assert_eq!(*outcome, Outcome::Failed, "{reason}");
                assert!(reason.contains("within 60 min") && reason.contains("--max-restarts"), "{reason}");
            }
            pauses.push(its_pauses);
        }
        assert_eq!(pauses[0], pauses[1], "{between_ms} ms between");
        assert!(pauses[0].is_sorted() && pauses[0][0] == 0 && pauses[0][2] >= 2_000, "{pauses:?}");
    }
}
