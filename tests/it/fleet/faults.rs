//! Faults around agents: one name for many, a full disk, a worktree that is gone, sockets that are not the run's.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use ccc::fleet::KeptDown;
use ccc::journal::RunDir;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::agents::{bash, go, listed, new, tree_of, waits};
use crate::ownfaults::disk::through_shell;
use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ended, Ground, Running, files, look_until, send, text};

/// A user that is nobody here.
const NOBODY: u32 = 65_534;

/// A world whose project is a git repository, and whose agents do this in their first turn.
fn world(first: &Value) -> World {
    let world = World::on(Ground::new(), &Value::Null);
    plays(&world, first);
    world
}

fn plays(world: &World, first: &Value) {
    world.play(&json!({
        "agent": [first, [{"say": "Second done."}], [{"say": "Third done."}]],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
}

fn commit(file: &str) -> String {
    format!("echo {file} > {file} && git add {file} && git -c user.name=a -c user.email=a@b commit -qm {file}")
}

/// The names that are given away.
fn names(world: &World) -> Vec<String> {
    let Ok(entries) = fs::read_dir(world.ground.state().join("names")) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

fn run_of(world: &World, agent: &Value) -> RunDir {
    RunDir::at(&world.ground.state(), &text(&agent["id"])).expect("a run")
}

/// The ccc of an agent.
fn host(run: &RunDir) -> Option<u32> {
    ccc::journal::FileLock::holder(&run.lock()).ok()?.map(|holder| holder.pid)
}

/// Kills the ccc of an agent for good: no keeper continues it.
fn dies(run: &RunDir) {
    KeptDown::write(run, "the test", 1).expect("written");
    send(host(run).expect("a ccc"), Signal::KILL);
    look_until("its end", || host(run).is_none().then_some(()));
}

fn begun(world: &World) -> usize {
    fs::read_to_string(world.ground.home().join("begun")).map_or(0, |text| text.lines().count())
}

fn error_lines(ended: &Ended<'_>) -> usize {
    ended.stderr.lines().filter(|line| line.starts_with("error: ")).count()
}

#[test]
fn of_several_agents_of_one_name_at_once_one_is_started_and_the_others_say_so() {
    let world = world(&json!([{"say": "First done."}]));
    let agent = world.agent.display().to_string();
    let at_once = |count: &str| -> Vec<Ended<'_>> {
        let args = ["new", TASK, "--agent", &agent, "--name", "same", "--count", count];
        let starting: Vec<_> = (0..4).map(|_| Running::spawn(&world.ground, &mut world.ccc(&args))).collect();
        starting.into_iter().map(Running::wait).collect()
    };
    let ended = at_once("1");
    let (started, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|one| one.status.success());
    assert_eq!((started.len(), refused.len()), (1, 3));
    for one in refused {
        one.assert_code(2);
        assert!(one.stderr.contains("the name `same` belongs to run"), "{}", one.stderr);
        assert_eq!((error_lines(one), one.stdout.as_str()), (1, ""), "{}", one.stderr);
    }
    world.run(&["wait", "same"]).assert_code(0);
    assert_eq!((world.ground.runs().len(), listed(&world).len()), (1, 1));
    assert_eq!(world.ground.git(&["branch", "--list", "agent/*"]).lines().count(), 1);
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 2);
    // Several of one name get numbers.
    for one in at_once("2") {
        one.assert_code(0);
    }
    let mut names: Vec<String> = listed(&world).iter().map(|agent| text(&agent["name"])).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    let numbered = (2..=9).map(|number| format!("same-{number}"));
    assert_eq!(names, std::iter::once("same".to_owned()).chain(numbered).collect::<Vec<_>>());
    let all: Vec<&str> = std::iter::once("wait").chain(names.iter().map(String::as_str)).collect();
    world.run(&all).assert_code(0);
    assert_eq!(world.ground.git(&["branch", "--list", "agent/*"]).lines().count(), 9);
}

#[test]
fn a_full_disk_refuses_a_new_agent_and_leaves_nothing_behind() {
    let mounts = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !mounts {
        eprintln!("\n*** SKIPPED: a small disk can be had by root only ***\n");
        return;
    }
    let world = world(&json!([{"say": "First done."}]));
    // More than the largest of the disks, and not to be compressed by anybody.
    world.ground.write("big.txt", &"0123456789abcdef".repeat(32 * 1024));
    world.ground.git(&["add", "."]);
    world.ground.git(&["commit", "-q", "-m", "Big"]);
    let (state, home) = (world.ground.state(), world.ground.home());
    fs::create_dir_all(&state).expect("mkdir");
    let agent = world.agent.display().to_string();
    for pages in [2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 48, 96] {
        let (dir, size, copy) = (state.display(), pages * 4, home.join(format!("left-{pages}")));
        let shell = format!(
            "mount -t tmpfs -o size={size}k,mode=0700 none '{dir}' && {{ \"$@\"; code=$?; cp -R '{dir}' '{}'; exit $code; }}",
            copy.display()
        );
        let plain = through_shell(&world, &shell, &world.ccc(&["new", TASK, "--agent", &agent, "--name", "full"]));
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(plain.get_program()).args(plain.get_args()).env_clear();
        command
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(world.ground.project());
        let ended = Running::spawn(&world.ground, &mut command).wait();
        assert!(matches!(ended.status.code(), Some(1 | 2)), "{pages} pages: {:?}\n{}", ended.status, ended.stderr);
        assert_eq!((ended.stdout.as_str(), error_lines(&ended)), ("", 1), "{pages} pages: {}", ended.stderr);
        assert!(ended.stderr.contains("hint: free some disk space"), "{pages} pages: {}", ended.stderr);
        let left: Vec<PathBuf> = files(&copy).into_iter().filter(|path| is_of_an_agent(path, &copy)).collect();
        assert!(left.is_empty(), "{pages} pages: {left:#?}\n{}", ended.stderr);
        assert_eq!(world.ground.git(&["branch", "--list", "agent/*"]), "", "{pages} pages");
        assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 1, "{pages} pages");
    }
    look_until("no process", || world.ground.alive(0).is_empty().then_some(()));
    // With room again it is as if nothing had been.
    new(&world, &["--name", "full"]).assert_code(0);
    world.run(&["wait", "full"]).assert_code(0);
}

/// Whether a file of the state directory belongs to an agent, and is no lock.
fn is_of_an_agent(path: &Path, state: &Path) -> bool {
    let below = path.strip_prefix(state).expect("below");
    let of_agents = ["runs", "names", "worktrees", "ports", "trees", "sessions"];
    of_agents.iter().any(|dir| below.starts_with(dir))
        && !path.to_string_lossy().ends_with("lock")
        && path.metadata().is_ok_and(|meta| meta.len() > 0)
}

#[test]
fn a_worktree_that_is_removed_under_its_agent_is_said_and_its_commits_are_kept() {
    let world = world(&Value::Null);
    let first = json!([bash(&commit("one.txt")), bash("echo two > two.txt"), waits(&world), {"say": "First done."}]);
    plays(&world, &first);
    new(&world, &["--name", "homeless"]).assert_code(0);
    look_until("an agent that works", || (begun(&world) == 1).then_some(()));
    let tree = tree_of(&listed(&world)[0]);
    fs::remove_dir_all(&tree).expect("removed");
    go(&world);
    let waited = world.run(&["wait", "homeless", "--json"]);
    let end: Value = serde_json::from_str(waited.stdout.trim()).expect("JSON");
    assert_eq!((waited.status.code(), text(&end["outcome"]).as_str()), (Some(1), "failed"), "{end}");
    let gone = format!("the working directory `{}` does not exist any more", tree.display());
    assert!(text(&end["reason"]).contains(&gone), "{end}");
    assert_eq!(text(&listed(&world)[0]["state"]), "failed");
    let diff = world.run(&["diff", "homeless"]);
    diff.assert_code(0);
    assert!(diff.stdout.contains("+one.txt") && !diff.stdout.contains("two"), "{}", diff.stdout);
    let resumed = world.run(&["resume", "homeless", "--detach"]);
    resumed.assert_code(2);
    assert!(resumed.stderr.contains("does not exist any more") && error_lines(&resumed) == 1, "{}", resumed.stderr);
    let merged = world.run(&["merge", "homeless"]);
    merged.assert_code(0);
    assert_eq!(world.ground.read("one.txt").trim(), "one.txt");
    let cleared = world.run(&["gc"]);
    assert_eq!((cleared.status.code(), cleared.stdout.as_str()), (Some(0), ""), "it has not completed");
    // What the hint says is typed, and it goes on.
    let (_, again) = resumed.stderr.split_once("to have its worktree again: ").expect("a command");
    let again = again.split_whitespace().collect::<Vec<_>>().join(" ");
    let status = Command::new("/bin/sh").args(["-c", &again]).current_dir(world.ground.home()).output().expect("git");
    assert!(status.status.success(), "{again}: {}", String::from_utf8_lossy(&status.stderr));
    world.run(&["resume", "homeless", "--detach"]).assert_code(0);
    world.run(&["wait", "homeless"]).assert_code(0);
    let cleared = world.run(&["gc"]);
    cleared.assert_code(0);
    assert_eq!(
        cleared.stdout.trim(),
        "removed the worktree of homeless and its branch agent/homeless: its work is merged"
    );
    world.run(&["kill", "homeless", "--yes"]).assert_code(0);
    assert!(listed(&world).is_empty());
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(world.ground.git(&["show", "main:one.txt"]).trim(), "one.txt");

    // One that still works, and whose work is not merged.
    fs::remove_file(world.ground.home().join("go")).expect("removed");
    fs::remove_file(world.ground.home().join("begun")).expect("removed");
    plays(&world, &json!([bash(&commit("three.txt")), waits(&world), {"say": "First done."}]));
    new(&world, &["--name", "working"]).assert_code(0);
    look_until("an agent that works", || (begun(&world) == 1).then_some(()));
    fs::remove_dir_all(tree_of(&listed(&world)[0])).expect("removed");
    let killed = world.run(&["kill", "working", "--yes"]);
    killed.assert_code(0);
    assert!(killed.stderr.contains("agent/working is kept: 1 of its commits is not merged"), "{}", killed.stderr);
    assert_eq!(world.ground.git(&["show", "agent/working:three.txt"]).trim(), "three.txt");
    look_until("no process", || world.ground.alive(0).is_empty().then_some(()));
}

/// Where the run of an agent listens.
fn socket(run: &RunDir) -> PathBuf {
    look_until("a control socket", || {
        let text = fs::read_to_string(run.path().join("control.json")).ok()?;
        let record: Value = serde_json::from_str(&text).ok()?;
        record["path"].as_str().map(PathBuf::from)
    })
}

/// A process that is not the run's takes the place of its socket, answers with this and keeps the connection.
fn occupies(path: &Path, answer: &'static str) -> std::sync::mpsc::Receiver<UnixStream> {
    use std::io::Write as _;
    let own = path.with_extension("foreign");
    let listener = UnixListener::bind(&own).expect("bound");
    fs::rename(&own, path).expect("moved");
    let (sender, kept) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(answer.as_bytes());
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    kept
}

#[test]
fn sockets_that_are_stale_occupied_or_of_another_user_mislead_no_command() {
    let world = world(&Value::Null);
    plays(&world, &json!([waits(&world), {"say": "First done."}]));
    for name in ["stale", "silent", "babbling", "living", "theirs"] {
        new(&world, &["--name", name]).assert_code(0);
    }
    look_until("agents that work", || (begun(&world) == 5).then_some(()));
    let agents = listed(&world);
    let run = |name: &str| run_of(&world, agents.iter().find(|agent| agent["name"] == name).expect("an agent"));
    for name in ["stale", "silent", "babbling"] {
        dies(&run(name));
    }
    let _silent = occupies(&socket(&run("silent")), "");
    let _babbling = occupies(&socket(&run("babbling")), "HTTP/1.1 400 Bad Request\r\n\r\n");
    // A socket whose name is taken is bound anew, because its ccc lives.
    let _living = occupies(&socket(&run("living")), "");
    let states = |world: &World| -> Vec<(String, String)> {
        listed(world).iter().map(|agent| (text(&agent["name"]), text(&agent["state"]))).collect()
    };
    for (name, state) in states(&world) {
        let expected = if ["living", "theirs"].contains(&name.as_str()) { "working" } else { "died" };
        assert_eq!(state, expected, "{name}");
    }
    for name in ["stale", "silent", "babbling"] {
        let sent = world.run(&["send", name, "Hello."]);
        sent.assert_code(2);
        assert!(sent.stderr.contains("is not running") && sent.stderr.contains("ccc resume"), "{}", sent.stderr);
        assert_eq!(error_lines(&sent), 1, "{}", sent.stderr);
    }
    look_until("a socket of its own", || world.run(&["send", "living", "Hello."]).status.success().then_some(()));
    if rustix::process::geteuid().is_root() {
        let path = socket(&run("theirs"));
        std::os::unix::fs::lchown(&path, Some(NOBODY), None).expect("chown");
        let sent = world.run(&["send", "theirs", "A secret."]);
        assert!(!sent.status.success(), "{}", sent.stdout);
        assert!(sent.stderr.contains("it belongs to another user (uid 65534)"), "{}", sent.stderr);
        std::os::unix::fs::lchown(&path, Some(0), None).expect("chown");
    }
    // A dead agent is removed and a living one is reached, whoever has listened.
    for name in ["stale", "silent", "babbling", "living", "theirs"] {
        let killed = world.run(&["kill", name, "--yes"]);
        killed.assert_code(0);
        assert!(host(&run(name)).is_none());
    }
    assert!(listed(&world).is_empty());
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(names(&world), Vec::<String>::new());
    look_until("no process", || world.ground.alive(0).is_empty().then_some(()));
}
