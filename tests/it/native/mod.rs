//! `ccc --supervisor --native`: the agent's own interface under supervision.
//!
//! Must not: wait without an event and a deadline.

#![cfg(test)]

mod real;
mod refused;
mod scripted;
mod steered;
mod suspended;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::supervise::tty::Tty;
use crate::whole_runs::harness::{Ground, action, journal, text};

/// Nobody listens there.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

/// A project, an interface that plays turns, and critics that play a script.
pub(super) struct NativeProject {
    pub(super) ground: Ground,
    agent: PathBuf,
}

impl NativeProject {
    /// What the agent does in each turn, as shell, and what each critic says.
    pub(super) fn new(turns: &[&str], critics: &[&str]) -> NativeProject {
        let critics: Vec<Value> = critics.iter().map(|said| json!([{"say": said}])).collect();
        NativeProject::with_critics(turns, &critics)
    }

    /// The same with what each critic does.
    pub(super) fn with_critics(turns: &[&str], critics: &[Value]) -> NativeProject {
        let ground = Ground::without_git();
        let critic = ground.scripted_agent(&json!({"agent": [], "critic": critics}));
        let home = ground.home();
        let turns_dir = home.join("turns");
        fs::create_dir_all(&turns_dir).expect("a directory");
        for (number, turn) in turns.iter().enumerate() {
            fs::write(turns_dir.join((number + 1).to_string()), format!("{turn}\n")).expect("a turn");
        }
        let body = format!(
            "case \" $* \" in *' -p '*|*' --version '*) exec '{critic}' \"$@\" ;; esac\n\
             TURNS='{turns}' CCC_SCRIPTED_HOME='{home}/scripted'\n\
             {interface}",
            critic = critic.display(),
            turns = turns_dir.display(),
            home = home.display(),
            interface = include_str!("interface.sh"),
        );
        let agent = ground.script("interface", &body);
        NativeProject { ground, agent }
    }

    /// `ccc --supervisor --native` with these arguments.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let agent = self.agent.display().to_string();
        let fixed = ["--supervisor", "--native", "--agent", &agent];
        let mut command = self.ground.command(NOWHERE, fixed.into_iter().chain(args.iter().copied()));
        command.env("CCC_GRACE", "1s");
        command
    }

    /// The same on a terminal.
    pub(super) fn start(&self, args: &[&str]) -> Tty {
        Tty::start(&self.command(args))
    }

    /// Leaves the interface at its prompt: the run has ended well, and left nothing behind.
    #[track_caller]
    pub(super) fn leave(&self, tty: &mut Tty) {
        tty.until("> ");
        tty.type_in(b"/exit\r");
        assert_eq!(tty.end(), 0, "{}", tty.text());
        self.ground.assert_sound();
    }

    /// Another command of ccc's.
    #[track_caller]
    pub(super) fn ccc(&self, args: &[&str]) -> (i32, String) {
        let output = self.ground.command(NOWHERE, args).output().expect("ccc runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), said)
    }

    /// The journal of the last run.
    pub(super) fn journal(&self) -> Vec<Value> {
        self.ground.runs().pop().map(|run| journal(&run)).unwrap_or_default()
    }

    /// How the last run has ended: its outcome and the reason.
    #[track_caller]
    pub(super) fn finish(&self) -> (String, String) {
        let journal = self.journal();
        let finish = journal.iter().rev().find_map(|entry| action(entry, "finish")).expect("the run has ended");
        (text(&finish["outcome"]), text(&finish["reason"]))
    }
}

/// A critic that agrees.
pub(super) const APPROVAL: &str = "All is there.\n\n[TASK_COMPLETED]";
