//! What is seen of the tokens of a program under care, and what is left of a token's command.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::provider::{Provider, State, unix_s};
use super::tty::Tty;
use super::{NOWHERE, supervise};
use crate::whole_runs::harness::Ground;
use crate::whole_runs::onlooker::Onlooker;
use crate::whole_runs::vault::{assert_nothing_is_left, hanging, locked};

#[test]
fn no_argument_list_of_a_program_under_care_holds_a_token_and_it_has_the_one_in_use() {
    let provider = Provider::start();
    let ground = Ground::without_git();
    let unique: String = ground.home().display().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let values = ["first", "second"].map(|which| format!("sk-ant-api03-{which}{unique}"));
    let ground = ground.env("ANTHROPIC_API_KEY", &values[0]).env("ANTHROPIC_API_KEY_2", &values[1]);
    let onlooker = Onlooker::of(&ground);
    let lives = ["first-life", "second-life"];
    let script = format!(
        "if [ ! -e lived ]; then touch lived; {}; sleep 600; fi; {}",
        onlooker.waits_for_a_look(lives[0]),
        onlooker.waits_for_a_look(lives[1])
    );
    let options = ["--provider", "anthropic", "--monitor-interval", "100ms"];
    let running = supervise(&ground, &provider.url, &options, &script);
    onlooker.look_at(lives[0]);
    provider.set(&values[0], State::RejectedUntil(unix_s() + 3_600));
    onlooker.look_at(lives[1]);
    running.end().assert_code(0);
    onlooker.assert_no_secret_in_arguments(&values);
    for (sighting, value) in onlooker.sightings().iter().zip(&values) {
        let in_use = [("ANTHROPIC_API_KEY", value.as_str())];
        let others: Vec<_> = sighting.processes.iter().filter(|process| !process.is_ccc).collect();
        for process in &others {
            // Of one that the program has started and that just ends, nothing is to be seen.
            let held = process.credentials(&values);
            assert!(held.is_empty() || held == in_use, "{}: {}: {held:?}", sighting.at, process.args);
        }
        let program = others.iter().find(|process| process.args.starts_with("sh -c ")).expect("the program waits");
        assert_eq!(program.credentials(&values), in_use, "{}: {}", sighting.at, program.args);
    }
}

#[test]
fn an_interrupt_while_a_password_manager_hangs_ends_the_care_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let ground = Ground::without_git().env("ANTHROPIC_API_KEY", "");
        locked(&ground);
        let running = supervise(&ground, NOWHERE, &["--provider", "anthropic"], "touch \"$HOME/started\"");
        let pids = hanging(&ground);
        let asked = Instant::now();
        running.signal(signal);
        let ended = running.end();
        assert!(asked.elapsed() < Duration::from_secs(8), "{signal:?}: it took {:?}", asked.elapsed());
        ended.assert_code(130);
        assert_nothing_is_left(&ground, &pids);
    }
}

#[test]
fn ctrl_c_at_the_terminal_while_a_password_manager_hangs_ends_the_care_at_once() {
    let ground = Ground::without_git().env("ANTHROPIC_API_KEY", "");
    locked(&ground);
    let args = ["supervise", "--provider", "anthropic", "--", "sh", "-c", "touch \"$HOME/started\""];
    let mut tty = Tty::start(&ground.command(NOWHERE, args));
    let pids = hanging(&ground);
    let pid = tty.pid();
    let asked = Instant::now();
    tty.type_in(b"\x03");
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert!(asked.elapsed() < Duration::from_secs(8), "it took {:?}", asked.elapsed());
    assert!(ground.alive(pid).is_empty(), "{:#?}", ground.alive(pid));
    assert_nothing_is_left(&ground, &pids);
    ground.assert_sound();
}
