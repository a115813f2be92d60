//! Nothing outlives its child, and nothing of another child is touched.

use std::process::{Command, Stdio};

use ccc::process::{Child, Cookie, LeftRunning, Transport, reap_orphans, spawn, sweep_run};

use super::observer::{
    Fifo, OutputReader, PTY, alive, alone, children, number, reader, run_id, shell, wait_gone, zombies,
};

/// Every way known to us in which a tool outlives the agent. Each says its pid as `name=pid`.
const FORMS: [(&str, &str); 7] = [
    ("background", "sleep 1000 & echo background=$!"),
    ("stubborn", "(trap '' TERM HUP INT; exec sleep 1000) & echo stubborn=$!"),
    ("session", "setsid sleep 1000 & echo session=$!"),
    ("double", "(setsid sh -c 'sleep 1000 & echo double=$!')"),
    ("silent", "setsid sh -c 'exec sleep 1000' </dev/null >/dev/null 2>&1 & echo silent=$!"),
    ("clean", "env -i /usr/bin/setsid /bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo clean=$!"),
    ("daemon", "(env -i /usr/bin/setsid /bin/sh -c 'sleep 1000 & echo daemon=$!')"),
];

fn every_form() -> String {
    FORMS.map(|(_, script)| script).join("\n")
}

fn living(text: &str) -> Vec<&'static str> {
    FORMS.iter().map(|(name, _)| *name).filter(|name| alive(number(text, name))).collect()
}

/// A child that has started one orphan-to-be of every form and waits for a line.
fn with_orphans(transport: Transport, cookie: Cookie) -> (Child, OutputReader, String) {
    let (sink, mut reader) = reader();
    let mut spec = shell(&format!("{}\necho all; read -r go; exit 3", every_form()), transport);
    spec.cookie = cookie;
    let child = spawn(&spec, sink).unwrap();
    let text = reader.until("all\n");
    assert_eq!(living(&text).len(), FORMS.len());
    (child, reader, text)
}

fn cookie(name: &str) -> Cookie {
    Cookie { run_id: run_id(name), attempt: 1 }
}

#[test]
fn an_exit_leaves_no_orphan_of_any_form_and_no_zombie() {
    let _turn = alone();
    for transport in [PTY, Transport::Pipe] {
        let (child, mut reader, text) = with_orphans(transport, cookie("forms"));
        child.close_stdin();
        let exit = reader.exit();
        assert_eq!(living(&text), Vec::<&str>::new());
        assert_eq!(exit.code, Some(3));
        assert_eq!(exit.leaked, 0);
        // A terminal's hangup at the end of its session may have been faster than the sweep with some that share the session.
        assert!((5..=FORMS.len()).contains(&(exit.swept as usize)), "{exit:?}");
        assert_eq!(zombies(), Vec::<u32>::new());
    }
}

#[test]
fn a_crash_leaves_no_orphan_either() {
    let _turn = alone();
    let (child, mut reader, text) = with_orphans(PTY, cookie("crash"));
    child.signal(ccc::process::Signal::Kill);
    assert_eq!(reader.exit().signal, Some(9));
    assert_eq!(living(&text), Vec::<&str>::new());
    assert_eq!(zombies(), Vec::<u32>::new());
}

#[test]
fn the_critics_end_does_not_touch_the_agents_tools() {
    let _turn = alone();
    // The same run and the same attempt: only the start tells them apart.
    let shared = cookie("shared");
    let (agent, mut agent_ears, agents) = with_orphans(PTY, shared.clone());
    let (critic, mut critic_ears, critics) = with_orphans(PTY, shared);
    critic.close_stdin();
    assert_eq!(critic_ears.exit().leaked, 0);
    assert_eq!(living(&critics), Vec::<&str>::new());
    assert_eq!(living(&agents).len(), FORMS.len());
    agent.close_stdin();
    agent_ears.exit();
    assert_eq!(living(&agents), Vec::<&str>::new());
}

#[test]
fn an_agent_that_ends_first_does_not_take_the_critics_tools_along() {
    let _turn = alone();
    let (agent, mut agent_ears, agents) = with_orphans(PTY, cookie("agent"));
    let (critic, mut critic_ears, critics) = with_orphans(PTY, cookie("critic"));
    agent.close_stdin();
    agent_ears.exit();
    assert_eq!(living(&agents), Vec::<&str>::new());
    assert_eq!(living(&critics).len(), FORMS.len());
    critic.close_stdin();
    critic_ears.exit();
    assert_eq!(living(&critics), Vec::<&str>::new());
}

/// A child beside an older one, with a tool in a session of its own and without cookie or descriptor. It ends by itself while the older one
/// lives on. Returns whether the tool outlived it, and whether it outlived the older one.
fn tool_of_the_younger(last_word: &str) -> (bool, bool) {
    let (older_sink, mut older_ears) = reader();
    let older = spawn(&shell("read -r go", PTY), older_sink).unwrap();
    let (sink, mut reader) = reader();
    let (fifo, end) = (Fifo::new(), Fifo::new());
    let script = format!(
        "env -i /usr/bin/setsid /bin/sh -c 'echo $$ >{0}; exec /bin/sleep 1000' </dev/null >/dev/null 2>&1 &
         {last_word}; read -r go <{1}",
        fifo.path.display(),
        end.path.display()
    );
    let _younger = spawn(&shell(&script, PTY), sink).unwrap();
    let pid: u32 = fifo.line().parse().unwrap();
    if last_word.starts_with("echo") {
        reader.until("\n");
    }
    std::fs::write(&end.path, "go\n").unwrap();
    reader.exit();
    let outlived = alive(pid);
    older.close_stdin();
    older_ears.exit();
    (outlived, alive(pid))
}

#[test]
fn an_orphan_that_could_be_anothers_is_left_to_the_others_end() {
    let _turn = alone();
    // Never says a word, so nobody looked at what is below it.
    assert_eq!(tool_of_the_younger(":"), (true, false));
}

#[test]
fn what_was_seen_below_a_talking_child_is_known_for_its_own() {
    let _turn = alone();
    assert_eq!(tool_of_the_younger("echo word"), (false, false));
}

#[test]
fn a_chain_of_forks_in_one_session_does_not_escape() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    // Each link starts the next and ends; the last one stops by itself should all else fail.
    std::fs::write(&link, "[ $1 -gt 20000 ] || sh $0 $(($1 + 1)) &\n").unwrap();
    let (sink, mut reader) = reader();
    let script = format!("trap '' HUP; sh {} 0 & echo started; read -r go", link.display());
    let child = spawn(&shell(&script, PTY), sink).unwrap();
    reader.until("started");
    child.close_stdin();
    let exit = reader.exit();
    assert_eq!(exit.leaked, 0);
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn statuses_of_registered_and_plain_children_are_never_stolen() {
    let _turn = alone();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                reap_orphans();
            }
        });
        for code in 0..20 {
            let (sink, mut reader) = reader();
            let _child = spawn(&shell(&format!("exit {code}"), Transport::Pipe), sink).unwrap();
            let plain = Command::new("/bin/sh").args(["-c", &format!("exit {code}")]).status();
            assert_eq!(reader.exit().code, Some(code));
            assert_eq!(plain.unwrap().code(), Some(code));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn an_orphan_that_ends_by_itself_is_reaped_at_its_signal() {
    let _turn = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut died = signal(SignalKind::child()).unwrap();
        let (sink, mut reader) = reader();
        let script = "(setsid sh -c 'read -r go <&3; exit 9' &) 3<&0; echo ready; exec sleep 1000";
        let child = spawn(&shell(script, PTY), sink).unwrap();
        reader.until("ready");
        child.write(b"go\n".to_vec()).unwrap();
        let reaped = tokio::time::timeout(super::observer::DEADLINE, async {
            loop {
                died.recv().await;
                let reaped = reap_orphans();
                if reaped > 0 {
                    return reaped;
                }
            }
        });
        assert_eq!(reaped.await.expect("no orphan came to us"), 1);
        assert_eq!(zombies(), Vec::<u32>::new());
        assert!(alive(child.pid()));
        child.kill_tree();
        assert_eq!(reader.exit().signal, Some(9));
    });
}

/// What a run that died long ago left behind: not a child of this module.
fn remainder(run_id: &str, script: &str) -> std::process::Child {
    Command::new("setsid")
        .args(["sh", "-c", script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("CCC_RUN_ID", run_id)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn first_line(child: &mut std::process::Child) -> String {
    let from = child.stdout.take().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(from), &mut line).unwrap();
    line
}

/// Killed at once, a git would leave its locks in the user's repository.
#[test]
fn what_a_dead_run_has_left_may_tidy_up_and_is_killed_if_it_does_not_end() {
    let _turn = alone();
    let dead = run_id("tidy");
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("lock");
    let line = format!(
        "touch '{lock}'; (trap 'rm \"{lock}\"; exit' TERM; echo ready=1; while :; do sleep 0.02; done) &
         env -u CCC_RUN_ID sh -c 'trap \"\" TERM; echo stubborn=$$; while :; do sleep 1000; done'",
        lock = lock.display()
    );
    let mut child = remainder(&dead, &line);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut said: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
    said.sort();
    let stubborn = number(&said[1], "stubborn");
    // Two loops, their sleeps, and the shell that waits for them.
    let swept = sweep_run(&dead);
    assert!(swept.killed >= 4 && swept.leaked == 0, "{swept:?}");
    assert!(!lock.exists(), "it could not tidy up");
    assert!(!alive(stubborn));
    drop(child);
}

#[test]
fn a_dead_runs_remains_are_swept_and_nobody_elses() {
    let _turn = alone();
    let (dead, other) = (run_id("dead"), run_id("dead-too"));
    let mut dead_child = remainder(
        &dead,
        "sleep 1000 & a=$!; env -i /usr/bin/setsid /bin/sleep 1000 & echo a=$a b=$! c=$$; exec sleep 1000",
    );
    let dead_ones = first_line(&mut dead_child);
    let mut bystander = remainder(&other, "echo here; exec sleep 1000");
    first_line(&mut bystander);
    let bystander = bystander.id();
    // A living child of ours has the dead run's id, as after `ccc resume`.
    let (sink, mut reader) = reader();
    let mut spec = shell("setsid sleep 1000 & echo tool=$!; read -r go", PTY);
    spec.cookie.run_id = dead.clone();
    let resumed = spawn(&spec, sink).unwrap();
    let tool = number(&reader.until("\n"), "tool");

    let swept = sweep_run(&dead);

    assert_eq!((swept.killed, swept.leaked), (3, 0));
    for name in ["a", "b", "c"] {
        assert!(!alive(number(&dead_ones, name)), "{name} of {dead_ones}");
    }
    assert!(alive(bystander) && alive(resumed.pid()) && alive(tool));
    assert_eq!(sweep_run(&dead).killed, 0);
    assert_eq!(sweep_run("").killed, 0);
    assert_eq!(sweep_run(&other).killed, 1);
    wait_gone(bystander);
    resumed.close_stdin();
    reader.exit();
    assert!(!alive(tool));
    assert_eq!(zombies(), Vec::<u32>::new());
}

#[test]
fn what_a_child_left_running_is_told_by_whether_it_wrote() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let [fifo, never, out, after] = ["fifo", "never", "out", "after"].map(|name| dir.path().join(name));
    assert!(Command::new("mkfifo").args([&fifo, &never]).status().unwrap().success());
    let script = format!(
        "setsid sleep 1000 </dev/null >/dev/null 2>&1 & setsid sh -c 'read -r go <{0}; echo x >{1}; : >{2}; read -r go <{3}' & echo all; read -r go",
        fifo.display(),
        out.display(),
        after.display(),
        never.display()
    );
    let (sink, mut reader) = reader();
    let child = spawn(&shell(&script, PTY), sink).unwrap();
    reader.until("all\n");
    let names = |list: &[String]| {
        list.iter().filter_map(|told| Some(told.split_once(" (pid ")?.0.to_owned())).collect::<Vec<_>>()
    };
    let below = child.below();
    let first = loop {
        let seen = below.left_running();
        let (wrote, idle) = seen.written_since(&LeftRunning::default());
        let mut all = names(&[wrote, idle].concat());
        all.sort();
        if all == ["sh", "sleep"] {
            break seen;
        }
    };
    let (wrote, idle) = below.left_running().written_since(&first);
    assert_eq!((wrote.len(), idle.len()), (0, 2), "{wrote:?} {idle:?}");
    std::fs::write(&fifo, "go\n").unwrap();
    // The kernel counts what was written after it can be read: a second file is made when the write is over.
    while !after.exists() {
        std::thread::yield_now();
    }
    let (wrote, idle) = below.left_running().written_since(&first);
    assert_eq!((names(&wrote), names(&idle)), (vec!["sh".to_owned()], vec!["sleep".to_owned()]));
    child.kill_tree();
    reader.exit();
    assert!(below.left_running().is_empty(), "nothing is left of a child that is gone");
}
