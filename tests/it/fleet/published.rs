//! `ccc merge --push` and `--pr`, with remotes on this machine and a `gh` of the tests' own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ended, Ground, Running, look_until};

/// A `gh` that keeps a log and its pull requests in the home. While `hold-view` or `hold-create` exist, it waits: before it answers,
/// and after it has opened one.
const GH: &str = r#"#!/bin/sh
echo "$@" >> "$HOME/gh.log"
hold() { while [ -e "$HOME/hold-$1" ]; do sleep 0.02; done; }
case "$2" in
view)
    hold view
    if [ -e "$HOME/open" ]; then echo '{"url":"https://example.org/pull/1","state":"OPEN"}'; exit 0; fi
    echo 'no pull requests found for branch' >&2; exit 1 ;;
create)
    if [ -e "$HOME/gh-fails" ]; then echo 'HTTP 401: Bad credentials' >&2; exit 4; fi
    echo opened >> "$HOME/open"
    cat "${6#--body-file=}" > "$HOME/body"
    hold create
    echo 'Creating pull request'
    echo https://example.org/pull/1 ;;
esac
"#;

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// The agent `login` has ended, and its work is not merged. Its branch has one commit on top of main, which is at the remote.
struct Shop {
    world: World,
}

impl Shop {
    fn new() -> Shop {
        Shop::with("true", "main")
    }

    /// The agent first types this command, and its branch begins at this one, which is made where main is.
    fn with(command: &str, base: &str) -> Shop {
        let commit = "echo one > one.txt && git add one.txt && git -c user.name=a -c user.email=a@b commit -qm One";
        let bash = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
        let script = json!({
            "agent": [[bash(command), bash(commit), {"say": "First done."}]],
            "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
        });
        let shop = Shop { world: World::on(Ground::new(), &script) };
        let remote = shop.remote().display().to_string();
        shop.world.ground.git(&["init", "-q", "--bare", "-b", "main", &remote]);
        shop.world.ground.git(&["remote", "add", "origin", &remote]);
        shop.world.ground.git(&["push", "-q", "-u", "origin", "main"]);
        if base != "main" {
            shop.world.ground.git(&["branch", "-q", base, "main"]);
        }
        let agent = shop.world.agent.display().to_string();
        let new = ["new", TASK, "--agent", &agent, "--name", "login", "--check", "true", "--base", base];
        shop.world.run(&new).assert_code(0);
        shop.world.run(&["wait", "login"]).assert_code(0);
        shop
    }

    fn home(&self, name: &str) -> PathBuf {
        self.world.ground.home().join(name)
    }

    fn remote(&self) -> PathBuf {
        self.home("remote.git")
    }

    /// A commit of a branch here or at the remote.
    fn at(&self, there: bool, branch: &str) -> String {
        let remote = self.remote().display().to_string();
        let dir = if there { ["--git-dir", remote.as_str()] } else { ["-C", "."] };
        let args = dir.iter().chain(&["rev-parse", "-q", "--verify", branch]).copied().collect::<Vec<_>>();
        self.world.ground.git(&args).trim().to_owned()
    }

    /// The branches and tags of the remote.
    fn there(&self) -> String {
        let remote = self.remote().display().to_string();
        self.world.ground.git(&["--git-dir", &remote, "for-each-ref", "--format=%(refname)"]).trim().to_owned()
    }

    fn merge(&self, args: &[&str]) -> Ended<'_> {
        Running::spawn(&self.world.ground, &mut self.merging(args)).wait()
    }

    /// The command, with the tests' `gh`.
    fn merging(&self, args: &[&str]) -> std::process::Command {
        program(&self.home("bin/gh"), GH);
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = [self.home("bin")].into_iter().chain(std::env::split_paths(&rest));
        let args: Vec<&str> = ["merge", "login"].iter().chain(args).copied().collect();
        let mut command = self.world.ccc(&args);
        command.env("PATH", std::env::join_paths(path).expect("a PATH"));
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home("gh.log")).unwrap_or_default()
    }
}

#[test]
fn the_branch_that_was_merged_into_is_pushed_and_nothing_else() {
    let shop = Shop::new();
    let git = |args: &[&str]| shop.world.ground.git(args);
    git(&["config", "push.followTags", "true"]);
    git(&["tag", "-a", "-m", "tagged", "v1"]);
    let merged = shop.merge(&["--push", "--json"]);
    merged.assert_code(0);
    let said: Vec<Value> = merged.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((said[0]["name"].as_str(), said[0]["outcome"].as_str()), (Some("login"), Some("merged")));
    let pushed = json!({"branch": "main", "remote": "origin", "reference": "refs/heads/main", "outcome": "pushed", "reason": null});
    assert_eq!(said[1], pushed);
    assert_eq!(shop.at(true, "main"), shop.at(false, "main"));
    assert_eq!(shop.at(true, "main"), shop.at(false, "agent/login"));
    assert_eq!(shop.there(), "refs/heads/main");
    // Again, also for all.
    let again = shop.merge(&["--push"]);
    again.assert_code(0);
    assert_eq!(again.stdout, "login: has nothing to merge\nmain: origin/main has it\n");
    let all = shop.world.run(&["merge", "--all", "--push"]);
    all.assert_code(0);
    assert_eq!(all.stdout, again.stdout);
}

#[test]
fn a_managers_branch_is_not_pushed_with_those_of_all() {
    let shop = Shop::with("true", "agent/lead");
    let named = shop.merge(&["--push"]);
    named.assert_code(2);
    assert!(named.stderr.contains("push -u origin agent/lead"), "{}", named.stderr);
    assert_ne!(shop.at(false, "agent/lead"), shop.at(false, "agent/login"));
    shop.world.run(&["merge", "--all", "--push"]).assert_code(0);
    assert_eq!(shop.at(false, "agent/lead"), shop.at(false, "agent/login"));
    assert_eq!(shop.there(), "refs/heads/main");
}

#[test]
fn what_cannot_be_pushed_is_known_before_anything_is_merged() {
    let shop = Shop::new();
    let git = |args: &[&str]| shop.world.ground.git(args);
    let before = shop.at(false, "main");
    let project = shop.world.ground.project().canonicalize().expect("a directory").display().to_string();
    git(&["branch", "--unset-upstream", "main"]);
    let refused = shop.merge(&["--push"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains(&format!("git -C {project} push -u origin main")), "{}", refused.stderr);
    git(&["branch", "--set-upstream-to=origin/main", "main"]);
    // Somebody else has pushed.
    let clone = shop.home("clone").display().to_string();
    git(&["clone", "-q", &shop.remote().display().to_string(), &clone]);
    git(&["-C", &clone, "-c", "user.name=b", "-c", "user.email=b@c", "commit", "-q", "--allow-empty", "-m", "Theirs"]);
    git(&["-C", &clone, "push", "-q", "origin", "main"]);
    let mine = git(&["commit-tree", "-p", "main", "-m", "Mine", "main^{tree}"]);
    git(&["update-ref", "refs/heads/main", mine.trim()]);
    let mine = shop.at(false, "main");
    let refused = shop.merge(&["--push"]);
    refused.assert_code(1);
    let said = &refused.stderr;
    assert!(said.contains("nothing is merged") && said.contains("[rejected] (fetch first)"), "{said}");
    assert!(said.contains(&format!("git -C {project} fetch origin main")), "{said}");
    assert_eq!(shop.at(false, "main"), mine);
    git(&["remote", "remove", "origin"]);
    git(&["update-ref", "refs/heads/main", &before]);
    let refused = shop.merge(&["--push"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains(&format!("git -C {project} remote add origin URL")), "{}", refused.stderr);
    let refused = shop.merge(&["--pr"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains("has no remote"), "{}", refused.stderr);
    assert_eq!((shop.at(false, "main"), shop.log().as_str()), (before, ""));
}

#[test]
fn a_rejected_push_leaves_the_merge_and_is_repeated_by_the_same_command() {
    let shop = Shop::new();
    let before = shop.at(true, "main");
    let hook = shop.remote().join("hooks/pre-receive");
    program(&hook, "#!/bin/sh\necho 'Not on a Friday.' >&2\nexit 1\n");
    let rejected = shop.merge(&["--push"]);
    rejected.assert_code(1);
    let said = &rejected.stderr;
    assert!(said.contains("main is merged here, but was not pushed to origin/main"), "{said}");
    assert!(said.contains("pre-receive hook declined") && said.contains("Not on a Friday."), "{said}");
    assert!(said.contains("ccc merge login --push") && said.contains("not pushed: main"), "{said}");
    assert_eq!(shop.at(false, "main"), shop.at(false, "agent/login"));
    assert_eq!(shop.at(true, "main"), before);
    fs::remove_file(hook).expect("removed");
    let again = shop.merge(&["--push"]);
    again.assert_code(0);
    assert_eq!(again.stdout, "login: has nothing to merge\nmain: pushed to origin/main\n");
    assert_eq!(shop.at(true, "main"), shop.at(false, "main"));
}

#[test]
fn a_pull_request_is_opened_once_with_what_the_run_was_asked() {
    let shop = Shop::new();
    let before = shop.at(false, "main");
    let proposed = shop.merge(&["--pr"]);
    proposed.assert_code(0);
    assert_eq!(proposed.stdout, "login: pull request https://example.org/pull/1\n");
    assert_eq!((shop.at(false, "main"), shop.at(true, "main")), (before.clone(), before));
    assert_eq!(shop.at(true, "agent/login"), shop.at(false, "agent/login"));
    let log = shop.log();
    assert!(
        log.starts_with("pr view agent/login --json url,state\npr create --head=agent/login --base=main "),
        "{log}"
    );
    assert!(log.contains(&format!("--title={TASK} ")), "{log}");
    let body = fs::read_to_string(shop.home("body")).expect("a body");
    for part in ["**completed**", TASK, "- `true`: passed", "1 file, 1 line added, 0 removed", "one.txt"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let again = shop.merge(&["--pr", "--json"]);
    again.assert_code(0);
    let said: Value = serde_json::from_str(again.stdout.trim()).expect("JSON");
    assert_eq!(
        (said["outcome"].as_str(), said["url"].as_str()),
        (Some("was_open"), Some("https://example.org/pull/1"))
    );
    assert_eq!(shop.log().matches("pr create").count(), 1);
}

#[test]
fn a_command_that_was_killed_between_push_and_pull_request_opens_no_second_one() {
    let shop = Shop::new();
    for (held, opened) in [("view", 0), ("create", 1)] {
        fs::write(shop.home(&format!("hold-{held}")), "").expect("written");
        let mut command = shop.merging(&["--pr"]);
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("ccc");
        let count = || fs::read_to_string(shop.home("open")).unwrap_or_default().lines().count();
        look_until("a gh that waits", || {
            (shop.log().contains(&format!("pr {held}")) && count() == opened).then_some(())
        });
        child.kill().expect("killed");
        child.wait().expect("it ends");
        assert_eq!(shop.at(true, "agent/login"), shop.at(false, "agent/login"), "it is pushed");
        fs::remove_file(shop.home(&format!("hold-{held}"))).expect("removed");
    }
    let again = shop.merge(&["--pr"]);
    again.assert_code(0);
    assert_eq!(again.stdout, "login: pushed to the open pull request https://example.org/pull/1\n");
    assert_eq!(shop.log().matches("pr create").count(), 1);
}

#[test]
fn without_gh_or_with_one_that_fails_the_branch_is_pushed_and_what_to_type_is_told() {
    let shop = Shop::new();
    // A PATH without gh.
    let bin = shop.home("few");
    fs::create_dir(&bin).expect("made");
    let rest = std::env::var_os("PATH").unwrap_or_default();
    for name in ["git", "sh", "cat"] {
        let found = std::env::split_paths(&rest).map(|dir| dir.join(name)).find(|path| path.is_file());
        symlink(found.expect("a program"), bin.join(name)).expect("linked");
    }
    let mut command = shop.world.ccc(&["merge", "login", "--pr"]);
    let without = Running::spawn(&shop.world.ground, command.env("PATH", OsString::from(&bin))).wait();
    without.assert_code(1);
    assert!(
        without.stderr.contains("is pushed to origin/agent/login, but there is no pull request"),
        "{}",
        without.stderr
    );
    assert!(without.stderr.contains("ccc merge login --pr"), "{}", without.stderr);
    assert_eq!(shop.at(true, "agent/login"), shop.at(false, "agent/login"));
    fs::write(shop.home("gh-fails"), "").expect("written");
    let failed = shop.merge(&["--pr"]);
    failed.assert_code(1);
    assert!(failed.stderr.contains("HTTP 401: Bad credentials"), "{}", failed.stderr);
    assert!(failed.stderr.contains("gh pr create --head agent/login --base main"), "{}", failed.stderr);
    fs::remove_file(shop.home("gh-fails")).expect("removed");
    shop.merge(&["--pr"]).assert_code(0);
}

#[test]
fn an_agent_may_neither_push_nor_open_a_pull_request() {
    let types = "for option in --push --pr; do ccc merge login $option; echo \"exit $?\"; done > \"$HOME/said\" 2>&1";
    let shop = Shop::with(types, "main");
    let said = fs::read_to_string(shop.home("said")).expect("what ccc said");
    assert_eq!(said.matches("an agent may not use it").count(), 2, "{said}");
    assert_eq!(said.matches("exit 2").count(), 2, "{said}");
    assert_eq!(shop.there(), "refs/heads/main");
}

#[test]
fn a_nested_repository_that_only_the_worktree_has_is_neither_merged_nor_proposed() {
    let nested = "git init -q inner && git -C inner -c user.name=a -c user.email=a@b commit -q --allow-empty -m In && git add inner";
    let shop = Shop::with(nested, "main");
    let (before, there) = (shop.at(false, "main"), shop.there());
    for option in [None, Some("--push"), Some("--pr")] {
        let refused = shop.merge(option.as_slice());
        refused.assert_code(1);
        let said = &refused.stderr;
        assert!(said.contains("inner is a repository of its own") && said.contains("type `git clone "), "{said}");
        assert_eq!((shop.at(false, "main"), shop.there()), (before.clone(), there.clone()));
    }
    assert!(!shop.log().contains("pr create"), "{}", shop.log());
    let json = shop.merge(&["--json"]);
    json.assert_code(1);
    let line: Value = serde_json::from_str(json.stdout.trim()).expect("an object");
    assert_eq!(line["outcome"], "refused");
}
