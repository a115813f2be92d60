//! Files of a project and of the user that are no files, or far too large: refused by name, never waited for, never read whole.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;

use super::sandbox::Sandbox;

/// What may stand where a file belongs, and what is said of it.
const ODD: [(&str, &str); 4] = [
    ("fifo", "is a FIFO, not a regular file"),
    ("directory", "is a directory, not a regular file"),
    ("device", "is a device, not a regular file"),
    ("sparse", "is larger than"),
];

fn plant(kind: &str, path: &Path) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    match kind {
        "fifo" => crate::fifo::make_fifo(path),
        "directory" => fs::create_dir(path).expect("mkdir"),
        "device" => symlink("/dev/zero", path).expect("link"),
        "sparse" => File::create(path).expect("create").set_len(3 << 30).expect("a sparse file"),
        other => panic!("{other}?"),
    }
}

/// Runs ccc with a gigabyte of address space, and takes its exit code and stderr. One that waits is a failed test.
fn bounded(sandbox: &Sandbox, args: &[&str]) -> (Option<i32>, String) {
    bounded_in_zone(sandbox, "UTC", args)
}

/// The same with this `TZ`.
fn bounded_in_zone(sandbox: &Sandbox, zone: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\"", crate::program::ccc()])
        .args(args)
        .env_clear()
        .env("HOME", sandbox.path("home"))
        .env("TZ", zone)
        .env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()))
        .env("ANTHROPIC_API_KEYS_FILE", sandbox.path("keys"))
        .current_dir(sandbox.path("project"))
        .write_stdin("")
        .timeout(Duration::from_secs(30))
        .output()
        .expect("ccc runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// A command that meets an odd file, and its exit code then.
type Met = (&'static [&'static str], i32);

/// Where an odd file stands, and which commands meet it with which exit code.
fn places() -> Vec<(&'static str, Vec<Met>)> {
    const RUN: &[&str] = &["--supervisor", "-p", "x"];
    let configuration: Vec<Met> =
        vec![(&["config"], 2), (&["prompt"], 2), (&["tokens"], 2), (&["doctor", "--offline"][..], 1), (RUN, 2)];
    vec![
        ("project/.ccc.json", configuration.clone()),
        ("home/.config/ccc/ccc.json", configuration.clone()),
        ("home/.claude/ccc.json", configuration),
        ("project/SUPERVISOR.md", vec![(&["prompt"], 2), (&["doctor", "--offline"][..], 1), (RUN, 2)]),
        ("project/.claude/SUPERVISOR.md", vec![(&["prompt"], 2), (RUN, 2)]),
        ("home/.claude/SUPERVISOR.md", vec![(&["prompt"], 2), (RUN, 2)]),
        ("project/named.md", vec![(&["--supervisor", "-p", "x", "--supervisor-prompt", "named.md"], 2)]),
        ("project/task.md", vec![(&["--supervisor", "--prompt-file", "task.md"], 2)]),
        ("keys", vec![(&["tokens"], 2), (&["tokens", "check"], 2), (&["doctor", "--offline"][..], 1), (RUN, 2)]),
        ("project/.claude/settings.json", vec![(&["tokens"], 2), (&["doctor", "--offline"][..], 1), (RUN, 2)]),
        ("home/.claude/settings.json", vec![(&["tokens"], 2), (&["doctor", "--offline"][..], 1), (RUN, 2)]),
    ]
}

#[test]
fn what_is_no_regular_file_or_too_large_is_refused_by_name_and_never_waited_for() {
    for (kind, says) in ODD {
        for (place, commands) in places() {
            let sandbox = Sandbox::new();
            sandbox.script("bin/claude", "echo '2.1.329 (Claude Code)'");
            sandbox.write("keys", "");
            if place == "keys" {
                fs::remove_file(sandbox.path("keys")).expect("removed");
            }
            plant(kind, &sandbox.path(place));
            for (args, expected) in commands {
                let (code, said) = bounded(&sandbox, args);
                let about = format!("{kind} as {place}, ccc {args:?}: {code:?} {said}");
                assert_eq!(code, Some(expected), "{about}");
                let name = Path::new(place).file_name().expect("a name").to_str().expect("UTF-8");
                assert!(said.contains(name) && said.contains(says), "{about}");
            }
        }
    }
}

#[test]
fn odd_files_in_the_state_directory_are_refused_and_never_waited_for() {
    for name in ["tokens.json", "usage-cache.json", "tokens.lock"] {
        for kind in ["fifo", "directory", "device"] {
            let sandbox = Sandbox::new();
            plant(kind, &sandbox.path(&format!("home/.local/state/ccc/{name}")));
            rustix::fs::chmod(sandbox.path("home/.local/state/ccc"), rustix::fs::Mode::RWXU).expect("chmod");
            for args in [&["tokens"][..], &["doctor", "--offline"], &["usage"]] {
                let (code, said) = bounded(&sandbox, args);
                assert!(code.is_some_and(|code| code <= 2), "{kind} as {name}, ccc {args:?}: {code:?} {said}");
            }
        }
    }
}

#[test]
fn a_time_zone_that_is_an_odd_file_is_passed_over_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write("keys", "");
    for kind in ["fifo", "directory", "device", "sparse"] {
        let zone = sandbox.path(&format!("project/{kind}"));
        plant(kind, &zone);
        let zone = zone.display().to_string();
        for zone in [zone.as_str(), &format!(":{zone}"), kind] {
            for args in [&["runs"][..], &["tokens"], &["doctor", "--offline"]] {
                let (code, said) = bounded_in_zone(&sandbox, zone, args);
                assert!(code.is_some_and(|code| code <= 1), "TZ={zone} ccc {args:?}: {code:?} {said}");
                assert!(said.contains("warning: TZ does not name a time zone: "), "TZ={zone} ccc {args:?}: {said}");
            }
        }
    }
}

#[test]
fn a_settings_file_that_the_arguments_name_must_hold_settings() {
    let sandbox = Sandbox::new();
    sandbox
        .script("bin/claude", "case $1 in --version) echo '2.1.332 (Claude Code)';; *) touch \"$HOME/started\";; esac");
    sandbox.write("keys", "made-up\n");
    sandbox.write("project/mine/list.json", "[]");
    sandbox.write("project/mine/half.json", "{\"hooks\":");
    plant("fifo", &sandbox.path("project/mine/fifo.json"));
    for (file, said) in [
        ("mine/gone.json", "does not exist"),
        ("mine/list.json", "contains no valid settings: it is no JSON object"),
        ("mine/half.json", "contains no valid settings: EOF"),
        ("mine/fifo.json", "is a FIFO, not a regular file"),
    ] {
        let (code, text) = bounded(&sandbox, &["--supervisor", "-p", "x", "--", "--settings", file]);
        assert_eq!(code, Some(2), "{file}: {text}");
        assert!(text.contains("the agent's settings file ") && text.contains(&format!("{file} {said}")), "{text}");
    }
    assert!(!sandbox.path("home/started").exists());
}

#[test]
fn a_prompt_that_links_out_of_the_project_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.ssh/secret", "of the user's");
    sandbox.write("project/docs/critic.md", "Look at it.");
    for (name, args) in
        [("SUPERVISOR.md", &["prompt"][..]), (".claude/SUPERVISOR.md", &["prompt"]), ("named.md", &["prompt"])]
    {
        let link = sandbox.path(&format!("project/{name}"));
        fs::create_dir_all(link.parent().expect("a parent")).expect("mkdir");
        if name == "named.md" {
            sandbox.write("project/.ccc.json", r#"{"critic": {"prompt_file": "named.md"}}"#);
        }
        symlink(sandbox.path("home/.ssh/secret"), &link).expect("link");
        let seen = sandbox.run(args);
        assert!(seen.starts_with("exit code 2\n") && !seen.contains("of the user's"), "{name}: {seen}");
        assert!(seen.contains(name) && seen.contains("a link to a file outside of the project"), "{name}: {seen}");
        fs::remove_file(&link).expect("removed");
        symlink(sandbox.path("project/docs/critic.md"), &link).expect("link");
        let seen = sandbox.run(args);
        assert!(seen.starts_with("exit code 0\n") && seen.contains("Look at it."), "{name}: {seen}");
        fs::remove_file(&link).expect("removed");
    }
    sandbox.write("project/.ccc.json", r#"{"critic": {"prompt_file": "../home/.ssh/secret"}}"#);
    let seen = sandbox.run(&["prompt"]);
    assert!(seen.starts_with("exit code 2\n") && seen.contains("a link to a file outside of the project"), "{seen}");
    // What the user names may be anywhere.
    sandbox.write("project/.ccc.json", "{}");
    sandbox.write("home/.config/ccc/ccc.json", r#"{"critic": {"prompt_file": "~/.ssh/secret"}}"#);
    assert!(sandbox.run(&["prompt"]).contains("of the user's"));
}

#[test]
fn a_prompt_as_long_as_no_critic_reads_is_refused_at_the_start() {
    let sandbox = Sandbox::new();
    sandbox.script("bin/claude", "echo '2.1.329 (Claude Code)'");
    sandbox.write("project/SUPERVISOR.md", "Look at it. ".repeat(40 * 1024 * 1024 / 12));
    let (code, said) = bounded(&sandbox, &["--supervisor", "-p", "x"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is larger than 256 KiB, the limit for a critic's prompt"), "{said}");
    sandbox.write("project/SUPERVISOR.md", "x".repeat(256 * 1024));
    assert!(sandbox.run(&["prompt", "--path"]).starts_with("exit code 0\n"));
}

#[test]
fn a_task_that_would_not_fit_into_the_agents_stdin_is_refused_at_the_start() {
    let sandbox = Sandbox::new();
    sandbox.write("project/task.md", "\u{1}".repeat(9 * 1024 * 1024));
    let (code, said) = bounded(&sandbox, &["--supervisor", "--prompt-file", "task.md"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("task.md contains too many control characters"), "{said}");
}

#[test]
fn a_heartbeat_that_is_a_fifo_freezes_nobody() {
    let sandbox = Sandbox::new();
    plant("fifo", &sandbox.path("project/beat"));
    let args =
        ["supervise", "--no-tokens", "--heartbeat", "beat", "--heartbeat-interval", "50ms", "--", "/bin/sleep", "0.5"];
    let (code, said) = bounded(&sandbox, &args);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn init_writes_neither_through_a_link_nor_into_a_fifo() {
    for kind in ["fifo", "link"] {
        let sandbox = Sandbox::new();
        let target = sandbox.write("elsewhere", "untouched");
        match kind {
            "fifo" => plant("fifo", &sandbox.path("project/SUPERVISOR.md")),
            _ => symlink(&target, sandbox.path("project/SUPERVISOR.md")).expect("link"),
        }
        let mut command = sandbox.ccc(&["init", "--force"]);
        command.timeout(Duration::from_secs(20));
        let seen = sandbox.seen(command);
        assert!(
            seen.starts_with("exit code 1\n") && seen.contains("SUPERVISOR.md cannot be written"),
            "{kind}: {seen}"
        );
        assert_eq!(sandbox.read("elsewhere"), "untouched");
    }
}
