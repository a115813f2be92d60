use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::config::Env;
use crate::git::Place;
use crate::git::tests::{Ground, write};

/// A repository whose branch main is at the remote origin.
struct Published {
    ground: Ground,
}

impl Published {
    fn new() -> Published {
        let published = Published { ground: Ground::new() };
        published.remote("origin");
        published.ground.git(&["push", "-q", "-u", "origin", "main"]);
        published
    }

    /// Makes a bare repository of this name, and a remote that leads there.
    fn remote(&self, name: &str) -> PathBuf {
        let path = self.ground.at(&format!("{name}.git"));
        let path_text = path.display().to_string();
        self.ground.git(&["init", "-q", "--bare", "-b", "main", &path_text]);
        self.ground.git(&["remote", "add", name, &path_text]);
        path
    }

    fn env(&self) -> Env {
        Env::from_pairs(self.ground.env())
    }

    fn pusher(&self) -> Pusher {
        Pusher::new(&self.env(), &self.ground.project())
    }

    fn place(&self) -> Place {
        Place::tree(&self.ground.project())
    }

    fn upstream(&self) -> Result<Target, NoTarget> {
        upstream(&self.ground.ours(), &self.place(), &self.ground.project(), "main").expect("asked")
    }

    fn remote_for_main(&self) -> Result<String, NoTarget> {
        remote_for(&self.ground.ours(), &self.place(), &self.ground.project(), Some("main")).expect("asked")
    }

    /// What a remote has.
    fn there(&self, name: &str) -> String {
        self.ground.git_in(&self.ground.at(&format!("{name}.git")), &["for-each-ref", "--format=%(refname)"])
    }

    /// A program of the tests' own.
    fn program(&self, name: &str, body: &str) -> PathBuf {
        let path = self.ground.at(name);
        write(&path, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }
}

fn to(remote: &str) -> Target {
    Target { remote: remote.to_owned(), reference: "refs/heads/main".to_owned() }
}

#[test]
fn a_branch_is_pushed_to_its_upstream_and_the_command_that_sets_one_is_named() {
    let published = Published::new();
    let (ground, dir) = (&published.ground, published.ground.project().display().to_string());
    assert_eq!(published.upstream(), Ok(to("origin")));
    let remedy = |published: &Published| published.upstream().expect_err("none").remedy();
    ground.git(&["config", "remote.pushDefault", "mine"]);
    assert_eq!(remedy(&published), format!("merge without --push; then: git -C {dir} push mine main"));
    ground.git(&["config", "--unset", "remote.pushDefault"]);
    ground.git(&["config", "branch.main.remote", "gone"]);
    assert_eq!(remedy(&published), format!("to add it: git -C {dir} remote add gone URL"));
    ground.git(&["config", "branch.main.remote", "."]);
    assert!(matches!(published.upstream(), Err(NoTarget::Local { .. })));
    ground.git(&["config", "--remove-section", "branch.main"]);
    assert_eq!(remedy(&published), format!("to set it: git -C {dir} push -u origin main"));
    ground.git(&["remote", "remove", "origin"]);
    assert_eq!(remedy(&published), format!("to add one: git -C {dir} remote add origin URL"));
    let none = upstream(&ground.ours(), &published.place(), &ground.project(), "nothing").expect("asked");
    assert!(matches!(none, Err(NoTarget::NoBranch { .. })));
}

#[test]
fn an_agents_branch_goes_where_the_user_pushes_its_base() {
    let published = Published::new();
    let ground = &published.ground;
    assert_eq!(published.remote_for_main(), Ok("origin".to_owned()));
    published.remote("mine");
    assert_eq!(published.remote_for_main(), Ok("origin".to_owned()));
    let (git, place) = (ground.ours(), published.place());
    let head = |remote: &str| head_of(&git, &place, remote, "main", "agent/x").expect("asked");
    ground.git(&["remote", "set-url", "origin", "https://github.com/team/shop.git"]);
    ground.git(&["remote", "set-url", "mine", "git@github.com:me/shop"]);
    ground.git(&["config", "remote.pushDefault", "mine"]);
    assert_eq!(published.remote_for_main(), Ok("mine".to_owned()));
    assert_eq!((head("origin").as_str(), head("mine").as_str()), ("agent/x", "me:agent/x"));
    ground.git(&["config", "--unset", "remote.pushDefault"]);
    ground.git(&["config", "--remove-section", "branch.main"]);
    ground.git(&["remote", "rename", "origin", "theirs"]);
    assert!(
        matches!(published.remote_for_main(), Err(NoTarget::Which { remotes, .. }) if remotes == ["mine", "theirs"])
    );
}

#[test]
fn one_branch_is_pushed_without_force_and_a_remote_that_has_moved_rejects_it() {
    let published = Published::new();
    let ground = &published.ground;
    ground.git(&["config", "push.followTags", "true"]);
    ground.git(&["branch", "other"]);
    ground.commit("second");
    ground.git(&["tag", "-a", "-m", "tagged", "v1"]);
    let pusher = published.pusher();
    pusher.try_out("main", &to("origin")).expect("it would be taken");
    assert!(ground.git(&["rev-list", "--count", "origin/main..main"]) == "1", "nothing was pushed yet");
    assert!(!pusher.push("main", &to("origin")).expect("pushed").was_there);
    assert!(pusher.push("main", &to("origin")).expect("there").was_there);
    assert_eq!(published.there("origin"), "refs/heads/main");
    // Somebody else pushes.
    let clone = ground.at("clone");
    let remote = ground.at("origin.git");
    ground.git(&["clone", "-q", &remote.display().to_string(), &clone.display().to_string()]);
    ground.git_in(&clone, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    ground.git_in(&clone, &["push", "-q", "origin", "main"]);
    ground.commit("third");
    for rejected in [pusher.try_out("main", &to("origin")), pusher.push("main", &to("origin")).map(drop)] {
        let rejected = rejected.expect_err("rejected");
        assert!(rejected.has_moved, "{rejected:?}");
        assert_eq!(rejected.words, "[rejected] (fetch first)");
    }
    let theirs = ground.git_in(&clone, &["rev-parse", "HEAD"]);
    assert_eq!(ground.git_in(&remote, &["rev-parse", "main"]), theirs);
}

#[test]
fn hooks_here_and_there_decide_and_are_told_in_their_own_words() {
    let published = Published::new();
    let ground = &published.ground;
    ground.commit("second");
    let hook = published.program("origin.git/hooks/pre-receive", "echo 'Not on a Friday.' >&2; exit 1");
    let pusher = published.pusher();
    let rejected = pusher.push("main", &to("origin")).expect_err("rejected");
    assert!(!rejected.has_moved);
    assert!(rejected.words.starts_with("[remote rejected] (pre-receive hook declined)\n"), "{rejected}");
    assert!(rejected.words.contains("remote: Not on a Friday."), "{rejected}");
    fs::remove_file(hook).expect("removed");
    let hook = published.program("project/.git/hooks/pre-push", "echo 'A secret is in it.'; exit 1");
    pusher.try_out("main", &to("origin")).expect("the user's hook is not asked before the work");
    let rejected = pusher.push("main", &to("origin")).expect_err("rejected");
    assert!(rejected.words.contains("A secret is in it."), "{rejected}");
    fs::remove_file(hook).expect("removed");
    published.program("origin.git/hooks/post-receive", "echo 'To open a pull request: https://x/new'");
    let pushed = pusher.push("main", &to("origin")).expect("pushed");
    assert_eq!(pushed.said, "To open a pull request: https://x/new");
}

#[test]
fn a_remote_that_asks_for_a_password_or_is_not_there_is_told_without_a_prompt() {
    let published = Published::new();
    let ground = &published.ground;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    ground.git(&["remote", "set-url", "origin", &format!("http://127.0.0.1:{port}/shop.git")]);
    let rejected = published.pusher().try_out("main", &to("origin")).expect_err("no password");
    assert!(rejected.words.contains("could not read Username"), "{rejected}");
    server.join().expect("served");
    // Nobody listens there any more.
    ground.git(&["remote", "set-url", "origin", &format!("http://me:hunter2@127.0.0.1:{port}/shop.git")]);
    let rejected = published.pusher().try_out("main", &to("origin")).expect_err("nobody answers");
    assert!(rejected.words.contains("unable to access") && !rejected.words.contains("hunter2"), "{rejected}");
    ground.git(&["remote", "set-url", "origin", "/nowhere/at/all"]);
    let rejected = published.pusher().push("main", &to("origin")).expect_err("nothing there");
    assert!(rejected.words.contains("'/nowhere/at/all' does not appear to be a git repository"), "{rejected}");
}

#[test]
fn gh_is_asked_for_an_open_pull_request_before_it_creates_one() {
    let published = Published::new();
    let env = |path: PathBuf| {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([path].into_iter().chain(std::env::split_paths(&rest))).expect("a PATH");
        Env::from_pairs([("PATH", path), ("HOME", published.ground.at("home").into_os_string())])
    };
    let nothing = Env::from_pairs([("PATH", "/nowhere")]);
    assert!(Gh::find(&nothing, &published.ground.project()).is_none());
    let body = "case \"$2\" in\n\
                view) cat \"$HOME/view\" || { echo 'no pull requests found' >&2; exit 1; } ;;\n\
                create) echo \"$3 $4 $5\"; cat \"${6#--body-file=}\" > \"$HOME/body\"; pwd > \"$HOME/pwd\"\n\
                  [ ! -e \"$HOME/fails\" ] || { echo 'HTTP 422: no' >&2; exit 1; }\n\
                  echo https://x/pull/1 ;;\n\
                esac";
    published.program("bin/gh", body);
    let gh = Gh::find(&env(published.ground.at("bin")), &published.ground.project()).expect("a gh");
    let home = |name: &str| published.ground.at("home").join(name);
    assert_eq!(gh.open("agent/x"), None);
    for (state, open) in [("OPEN", Some("https://x/pull/7")), ("MERGED", None), ("CLOSED", None)] {
        write(&home("view"), &format!(r#"{{"url":"https://x/pull/7","state":"{state}"}}"#));
        assert_eq!(gh.open("agent/x").as_deref(), open, "{state}");
    }
    let request = PullRequest {
        head: "agent/x".to_owned(),
        base: "main".to_owned(),
        title: "A title; $(false)".to_owned(),
        body: "The body.".to_owned(),
    };
    assert_eq!(gh.create(&request), Ok("https://x/pull/1".to_owned()));
    assert_eq!(fs::read_to_string(home("body")).expect("written"), "The body.");
    assert_eq!(
        fs::read_to_string(home("pwd")).expect("written").trim(),
        published.ground.project().display().to_string()
    );
    write(&home("fails"), "");
    assert_eq!(gh.create(&request), Err(GhError { words: "HTTP 422: no".to_owned() }));
}
