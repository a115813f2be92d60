//! The recorded scenes: for each kind of stream, the API's script and the processes.

mod asking;
mod trouble;
mod work;

use std::path::Path;

use serde_json::{Value, json};

use crate::scripted_api::{Block, Ending, Limit, Message, Reply, Rule, Script, Times, When, Window};

/// One fixture.
pub(crate) struct Scene {
    /// The file's name.
    pub(crate) name: &'static str,
    /// What it shows, for `exits.json`.
    pub(crate) about: &'static str,
    /// Files of the project, by path inside it.
    pub(crate) files: Vec<(&'static str, &'static str)>,
    /// The API's side; the argument is the project directory.
    pub(crate) script: Box<dyn Fn(&Path) -> Script>,
    /// The processes, run one after the other; the lines of the last one are kept.
    pub(crate) lives: Vec<Life>,
}

/// One process.
#[derive(Default)]
pub(crate) struct Life {
    /// Arguments after ccc's own; `{SID}` is the session of the process before it.
    pub(crate) args: Vec<&'static str>,
    /// Additional environment variables.
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// Whether it gets an OAuth token instead of the key.
    pub(crate) oauth: bool,
    /// The steps, after which its stdin is closed.
    pub(crate) steps: Vec<Step>,
}

/// One step of a process.
pub(crate) enum Step {
    /// Sends a turn and waits for its end.
    Turn(&'static str),
    /// Sends a turn.
    Say(&'static str),
    /// Sends a turn with the uuid of the n-th turn.
    Again(usize, &'static str),
    /// Waits for a result and then for idle.
    Over,
    /// Waits for a line whose kind starts with the first text and which contains the second.
    Until(&'static str, &'static str),
    /// Waits until a transcript contains this; 2.1.197 writes it up to 0.1 s after it reported idle.
    OnDisk(&'static str),
    /// Sends an interrupt.
    Interrupt,
    /// Writes this line.
    Raw(Value),
    /// Answers the last request with the result of this function.
    Answer(fn(&Value) -> Value),
    /// Writes the plan's file, which the CLI's prompt names, in the model's place.
    Plan(&'static str),
    /// Kills the process at the end instead of closing its stdin.
    Kill,
}

const DO_ALL: [&str; 2] = ["--permission-mode", "bypassPermissions"];
const RESUME: [&str; 2] = ["--resume", "{SID}"];
const IDLE: &str = "system/session_state_changed/idle";

fn scene(name: &'static str, about: &'static str, script: Script, steps: Vec<Step>) -> Scene {
    Scene {
        name,
        about,
        files: Vec::new(),
        script: Box::new(move |_| script.clone()),
        lives: vec![Life { steps, ..Life::default() }],
    }
}

impl Scene {
    fn args(mut self, args: &[&'static str]) -> Self {
        if let Some(life) = self.lives.last_mut() {
            life.args.extend(args);
        }
        self
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        if let Some(life) = self.lives.last_mut() {
            life.env.push((name, value));
        }
        self
    }

    fn oauth(mut self) -> Self {
        if let Some(life) = self.lives.last_mut() {
            life.oauth = true;
        }
        self
    }

    fn file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.push((path, text));
        self
    }

    fn script(mut self, script: impl Fn(&Path) -> Script + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// Adds a process after the present ones.
    fn then(mut self, steps: Vec<Step>) -> Self {
        self.lives.push(Life { steps, ..Life::default() });
        self
    }
}

fn bash(command: &str) -> Reply {
    Reply::tool("Bash", json!({"command": command, "description": "Runs it"}))
}

fn bash_in_background(command: &str) -> Reply {
    Reply::tool("Bash", json!({"command": command, "description": "Runs behind", "run_in_background": true}))
}

fn agent(background: bool) -> Reply {
    Reply::tool(
        "Agent",
        json!({"description": "Looks around", "prompt": "SUBTASK look around", "subagent_type": "general-purpose",
               "run_in_background": background}),
    )
}

fn ending(text: &str, ending: Ending) -> Reply {
    Reply::Message(Message { blocks: vec![Block::text(text)], chunks: 4, ending, ..Message::default() })
}

fn stopped(text: &str, reason: &str) -> Reply {
    Reply::Message(Message {
        blocks: vec![Block::text(text)],
        stop_reason: Some(reason.to_owned()),
        ..Message::default()
    })
}

fn error(times: u32, status: u16, error_type: &str, message: &str) -> Script {
    let reply = Reply::error(status, error_type, message);
    Script::new().rule(Rule { when: When::default(), times: Times::N(times), reply }).always(Reply::text("back again"))
}

fn limited(status: &str, five_hour: f64, threshold: Option<f64>) -> Reply {
    Reply::Message(Message {
        blocks: vec![Block::text("fine")],
        limit: Some(Limit {
            status: status.to_owned(),
            claim: "five_hour".to_owned(),
            reset_in_s: 3600,
            five_hour: Some(Window { utilization: five_hour, reset_in_s: 3600, surpassed_threshold: threshold }),
            seven_day: Some(Window { utilization: 0.4, reset_in_s: 86_400, surpassed_threshold: None }),
        }),
        ..Message::default()
    })
}

fn done() -> Script {
    Script::new().always(Reply::text("done"))
}

/// All scenes.
pub(crate) fn all() -> Vec<Scene> {
    let mut all = work::turns();
    all.extend(work::tools());
    all.extend(work::waits());
    all.extend(asking::all());
    all.extend(trouble::failures());
    all.extend(trouble::limits());
    all.extend(work::sessions());
    all
}
