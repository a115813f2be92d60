//! The wall clock of ccc alone is set while a command runs and while it waits.

use super::provider::{Provider, State, unix_s};
use super::{state_of, supervise, until_lines};
use crate::real_cli::CleanHome;
use crate::whole_runs::clock::{STEP_S, SteppedClock, assert_replays};
use crate::whole_runs::harness::{Ground, look_until};

const FIRST: &str = CleanHome::KEY;
const SECOND: &str = "sk-ant-api03-second-key-that-nobody-may-see-000000000000000000000000000000000";
const OPTIONS: [&str; 4] = ["--provider", "anthropic", "--monitor-interval", "100ms"];

#[test]
fn a_step_of_the_clock_leads_to_the_other_token() {
    for step_s in [STEP_S, -STEP_S] {
        let provider = Provider::start();
        let (ground, clock) = SteppedClock::on(Ground::without_git().env("ANTHROPIC_API_KEY_2", SECOND));
        let script = "echo life >> lives; [ $(wc -l < lives) -lt 2 ] || exit 0; sleep 600";
        let running = supervise(&ground, &provider.url, &OPTIONS, script);
        until_lines(&ground.project().join("lives"), 1);
        clock.set(step_s);
        provider.set(FIRST, State::RejectedUntil(unix_s() + 3_600));
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ground.read("lives"), "life\nlife\n", "{step_s} s");
        assert!(ended.stderr.contains("rotated to ANTHROPIC_API_KEY_2"), "{}", ended.stderr);
        assert_replays(&ground, &ended);
    }
}

#[test]
fn a_step_of_the_clock_makes_a_wait_neither_longer_nor_shorter() {
    for step_s in [STEP_S, -STEP_S] {
        let provider = Provider::start();
        let (ground, clock) = SteppedClock::on(Ground::without_git());
        let script = "echo $$ > pid; while [ ! -e free ]; do sleep 0.05; done; exit 0";
        let mut running = supervise(&ground, &provider.url, &OPTIONS, script);
        let program = until_lines(&ground.project().join("pid"), 1)[0].parse().expect("a process");
        let reset = unix_s() + 6;
        provider.set(FIRST, State::RejectedUntil(reset));
        running.until_stderr("limited until");
        // The stop is on its way when the limit is told: a program that may end before it arrives does not wait.
        look_until("the program to stand still", || (state_of(program) == Some('T')).then_some(()));
        clock.set(step_s);
        let asked = provider.asked_about(FIRST);
        ground.write("free", "");
        let ended = running.end();
        ended.assert_code(0);
        assert!(unix_s() >= reset, "{step_s} s: it went on before the reset");
        assert!(unix_s() < reset + 60, "{step_s} s: it waited as long as the clock was set back");
        assert!(provider.asked_about(FIRST) - asked <= 8, "{step_s} s: a storm of questions");
        assert_replays(&ground, &ended);
    }
}
