//! `guard.mode = agent-sandbox`: the sandbox of the agent's CLI in place of the walls.

use std::fs;

use serde_json::{Value, json};

use super::ground::World;
use crate::scripted_api::{Block, Reply, ScriptedApi};
use crate::whole_runs::harness::{approval, bash, script, text};
use crate::whole_runs::requests::tool_results;

/// The programs that the sandbox uses.
const HELPERS: [&str; 2] = ["bwrap", "socat"];
const IN_SANDBOX: [&str; 2] = ["--guard", "agent-sandbox"];

/// Whether the sandbox can be tested here; says loudly if not, and fails under CI.
fn can_be_had() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing: Vec<&str> = HELPERS.into_iter().filter(|program| !there(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "not on PATH: {missing:?}");
    eprintln!("\n*** NOT TESTED: the sandbox of the agent's CLI needs {missing:?} ***\n");
    false
}

fn write(file: &str) -> Block {
    Block::tool("Write", json!({"file_path": file, "content": "x"}))
}

fn shell(command: &str) -> Block {
    Block::tool("Bash", json!({"command": super::ground::guarded(command), "description": "a step"}))
}

on_both! {
    fn commands_and_edits_reach_the_tree_and_nothing_outside_also_where_nothing_asks(cli) {
        if !can_be_had() {
            return;
        }
        let world = World::new();
        let (home, project) = (world.home().display().to_string(), world.project().display().to_string());
        let inside = [
            shell("echo x > by-bash && echo BASH-WORKS"),
            write(&format!("{project}/by-write")),
            shell("git add by-bash && git commit -qm more && echo GIT-WORKS"),
        ];
        let (sibling, alike) = (format!("{project}/../sibling/made"), format!("{project}s/made"));
        let outside = [
            shell("echo x > ../sibling/made"),
            shell("echo x >> \"$HOME/.ssh/authorized_keys\""),
            shell("cd .. && python3 -c 'open(\"sibling/made\", \"w\")' || sh -c 'cp project/README.md sibling/made'"),
            write(&format!("{home}/.ssh/made")),
            write(&format!("{home}/.zshrc")),
            write(&format!("{home}/Documents/made")),
            write(&sibling),
            write(&alike),
            write(&format!("{project}/link/made")),
            write(&format!("{project}/.git/hooks/pre-commit")),
            write(&format!("{project}/.claude/settings.json")),
            write("/etc/made-by-a-test-of-ccc"),
        ];
        std::os::unix::fs::symlink(world.home().join(".ssh"), world.project().join("link")).unwrap();
        let calls = inside.iter().chain(&outside).cloned().collect();
        let critic = "echo x > by-critic";
        let agent = vec![Reply::blocks(calls), Reply::text("Done.")];
        let api = ScriptedApi::start(script(agent, vec![bash(critic), approval()])).unwrap();
        let check = "(echo x > ../sibling/by-check) 2>/dev/null; test -f by-bash && test -f by-write";
        // The user's own settings by a file are kept, without what would switch the sandbox off.
        let own = json!({"sandbox": {"enabled": false}, "permissions": {"deny": ["WebFetch"]}});
        let file = world.home().join("s.json").display().to_string();
        fs::write(&file, own.to_string()).unwrap();
        // The CLI itself, which is outside of its sandbox, adds this line where it is missing (2.1.332).
        let ignored = world.home().join(".config/git/ignore");
        fs::create_dir_all(ignored.parent().unwrap()).unwrap();
        fs::write(&ignored, "**/.claude/.cc-writes/\n").unwrap();
        let before = world.seen();
        let mode = ["--", "--permission-mode", "bypassPermissions", "--settings", &file];
        let args = ["-p", "do it", "--check", check].into_iter().chain(mode);
        let args: Vec<&str> = IN_SANDBOX.into_iter().chain(args).collect();
        let ended = world.ground.supervise(&api.base_url(), &cli.path, &args).end();
        let requests = api.requests();
        let results = tool_results(&requests[1].body);
        ended.assert_code(0);
        assert_eq!(results.len(), inside.len() + outside.len(), "{results:#?}");
        for (result, says) in results.iter().zip(["BASH-WORKS", "created successfully", "GIT-WORKS"]) {
            assert!(result.contains(says), "{result}");
        }
        for (call, result) in outside.iter().zip(&results[inside.len()..]) {
            let denied = ["Read-only file system", "denied"].iter().any(|denial| result.contains(denial));
            assert!(denied, "{call:?}: {result}");
        }
        world.assert_unharmed(&before);
        assert!(!std::path::Path::new("/etc/made-by-a-test-of-ccc").exists() && !std::path::Path::new(&alike).exists());
        assert!(!world.project().join(".claude/settings.json").exists());
        assert!(!world.project().join("by-critic").exists(), "the critic runs nothing unasked");
        // What the sandbox puts over files that are not there is gone again.
        assert_eq!(world.ground.git(&["status", "--short", "-uall"]), "?? by-write\n?? link\n");

        let kept: Value =
            serde_json::from_str(&fs::read_to_string(ended.run_dir().join("agent-in-sandbox.json")).unwrap()).unwrap();
        assert_eq!((&kept["sandbox"]["enabled"], &kept["permissions"]["deny"][0]), (&json!(true), &json!("WebFetch")));

        // What is in force is said, as it stands in the journal.
        let journal = fs::read_to_string(ended.run_dir().join("journal.jsonl")).unwrap();
        let header: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        let in_force = text(&header["walls"]);
        assert!(in_force.starts_with("the sandbox of the agent's CLI; around checks: "), "{header}");
        assert!(ended.stderr.contains(&in_force), "{}", ended.stderr);
    }

    fn without_its_helpers_nothing_is_started(cli) {
        let world = World::new();
        let bin = world.home().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        for program in ["sh", "git", "env", "ls"] {
            let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
            std::os::unix::fs::symlink(found.expect("a program of every system"), bin.join(program)).unwrap();
        }
        let api = ScriptedApi::start(script(vec![Reply::text("Done.")], vec![approval()])).unwrap();
        let ground = world.ground.env("PATH", &bin);
        let args: Vec<&str> = IN_SANDBOX.into_iter().chain(["-p", "do it"]).collect();
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).wait();
        ended.assert_code(2);
        assert!(ended.stderr.contains("`bwrap` and `socat` are not on PATH"), "{}", ended.stderr);
        assert!(ended.stderr.contains("apt install bubblewrap socat"), "{}", ended.stderr);
        assert!(ground.runs().is_empty() && api.requests().is_empty(), "nothing was begun");

        let doctor = ground.command("http://127.0.0.1:9", ["doctor", "--offline"])
            .env("CCC_GUARD", "agent-sandbox").env("CCC_AGENT", &cli.path).output().unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        let line = said.lines().find(|line| line.contains("agent's sandbox")).unwrap_or_default();
        assert!(line.starts_with("fail") && line.contains("`bwrap` and `socat` are not on PATH"), "{said}");
    }

    fn the_doctor_starts_the_cli_with_it_and_says_what_the_cli_says(cli) {
        if !can_be_had() {
            return;
        }
        let world = World::new();
        let doctor = world.ground.command("http://127.0.0.1:9", ["doctor", "--offline"])
            .env("CCC_GUARD", "agent-sandbox").env("CCC_AGENT", &cli.path).output().unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        let line = said.lines().find(|line| line.contains("agent's sandbox")).unwrap_or_default();
        assert!(line.starts_with("ok"), "{said}");
        let says = if cli.version == "2.1.197" { "does not say" } else { "sandbox_enabled: true" };
        assert!(said.contains(says), "{said}");
    }
}
