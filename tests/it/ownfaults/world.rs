//! A [`Ground`] with a scripted agent whose script can be changed between two lives of ccc, and what such a run left.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::whole_runs::harness::{Ended, Ground, Running, action, input, journal, look_until, text};

/// What the user wants of the agent, told from all that ccc says.
pub(crate) const TASK: &str = "Build the thing that was asked for.";
/// What the critic says first.
pub(crate) const FEEDBACK: &str = "The second half of the thing is missing.";
/// Nobody listens there; the scripted agent asks nobody.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A project with a scripted agent.
pub(crate) struct World {
    pub(crate) ground: Ground,
    pub(crate) agent: PathBuf,
}

impl World {
    /// A world whose agent plays this script.
    pub(crate) fn new(script: &Value) -> World {
        World::on(Ground::without_git(), script)
    }

    /// The same on a ground of the test's own.
    pub(crate) fn on(ground: Ground, script: &Value) -> World {
        World::with_prelude(ground, script, "")
    }

    /// The same, and each agent and critic does this first, in the shell: `$role` says which it is, `$home` where.
    pub(crate) fn with_prelude(ground: Ground, script: &Value, prelude: &str) -> World {
        let home = ground.home();
        let (old, survivors) = (home.join("old-pids"), home.join("survivors"));
        let hold = home.join("hold");
        // Before an agent or critic says anything: which processes of the life before are still there? And: hold here?
        let body = format!(
            "export CCC_SCRIPT='{script}' CCC_SCRIPTED_HOME='{sessions}'\n\
             if [ \"$1\" = -p ]; then\n\
               [ ! -e '{old}' ] || while read pid; do\n\
                 [ -z \"$(tr -d '\\0' < \"/proc/$pid/cmdline\" 2>/dev/null)\" ] || echo \"$pid\" >> '{survivors}'\n\
               done < '{old}'\n\
               role=agent; case \" $* \" in *' --fork-session '*) role=critic ;; esac\n\
               if [ -e '{hold}'-$role ]; then echo $$ > '{home}/held'; exec sleep 600; fi\n\
               home='{home}'\n\
               {prelude}\n\
             fi\n\
             exec '{ccc}' scripted-agent \"$@\"",
            script = home.join("script.json").display(),
            sessions = home.join("scripted").display(),
            old = old.display(),
            survivors = survivors.display(),
            hold = hold.display(),
            home = home.display(),
            ccc = crate::program::ccc(),
        );
        let agent = ground.script("agent", &body);
        let world = World { ground, agent };
        world.play(script);
        world
    }

    /// From the next process on, this is played.
    pub(crate) fn play(&self, script: &Value) {
        fs::write(self.ground.home().join("script.json"), script.to_string()).expect("the script is written");
    }

    /// Agents (or critics) that are started from now on say nothing and do nothing.
    pub(crate) fn hold(&self, role: &str) {
        fs::write(self.ground.home().join(format!("hold-{role}")), "").expect("write");
    }

    /// No longer.
    pub(crate) fn release(&self, role: &str) {
        drop(fs::remove_file(self.ground.home().join(format!("hold-{role}"))));
    }

    /// Waits for a file of the home that a held process makes.
    #[track_caller]
    pub(crate) fn until_file(&self, name: &str) -> String {
        let path = self.ground.home().join(name);
        look_until(name, || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')))
    }

    /// The command of a supervised run that prints its events.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.ground.command(
            NOWHERE,
            ["--supervisor", "-p", TASK, "--output-format", "stream-json", "--agent"].map(OsStr::new),
        );
        command.arg(&self.agent).args(args).env("CCC_GRACE", "500ms");
        command
    }

    /// Starts it.
    pub(crate) fn start(&self, args: &[&str]) -> Running<'_> {
        Running::spawn(&self.ground, &mut self.command(args))
    }

    /// Any command of ccc.
    pub(crate) fn ccc(&self, args: &[&str]) -> Command {
        let mut command = self.ground.command(NOWHERE, args);
        command.env("CCC_GRACE", "500ms");
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended<'_> {
        Running::spawn(&self.ground, &mut self.ccc(args)).wait()
    }

    /// Starts `ccc resume` of the last run, printing events.
    pub(crate) fn resume(&self, args: &[&str]) -> Running<'_> {
        let id = self.run_id();
        let all: Vec<&str> =
            ["resume", id.as_str(), "--output-format", "stream-json"].into_iter().chain(args.iter().copied()).collect();
        Running::spawn(&self.ground, &mut self.ccc(&all))
    }

    /// The id of the last run.
    pub(crate) fn run_id(&self) -> String {
        text(&json!(self.run_dir().file_name().and_then(OsStr::to_str)))
    }

    /// The directory of the last run.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.ground.runs().pop().expect("there is a run")
    }

    /// How many ccc have begun to write the last run's journal.
    pub(crate) fn lives(&self) -> usize {
        journal(&self.run_dir()).iter().filter(|entry| input(entry, "began").is_some()).count()
    }

    /// Waits until the last run's journal has an entry of which this holds.
    #[track_caller]
    pub(crate) fn until_entry(&self, what: &str, pass: impl Fn(&Value) -> bool) -> Value {
        look_until(what, || journal(&self.ground.runs().pop()?).into_iter().find(|entry| pass(entry)))
    }

    /// Kills ccc as a full memory would, and notes which processes it leaves: a next agent looks for them.
    pub(crate) fn kill(&self, running: Running<'_>) {
        let pid = running.pid();
        let before = self.ground.alive(pid);
        running.signal(rustix::process::Signal::KILL);
        let ended = running.wait();
        assert_eq!(ended.status.code(), None, "it had ended before it was killed: {}{}", ended.stdout, ended.stderr);
        let pids: Vec<String> = before.iter().map(|(pid, _)| format!("{pid}\n")).collect();
        fs::write(self.ground.home().join("old-pids"), pids.concat()).expect("write");
    }

    /// Asserts that no process of the killed life was there when an agent or critic of the next began.
    #[track_caller]
    pub(crate) fn assert_no_survivors(&self) {
        let survivors = fs::read_to_string(self.ground.home().join("survivors")).unwrap_or_default();
        assert!(survivors.is_empty(), "left alive by the dead run when the next agent began: {survivors}");
    }

    /// The user turns of the only session, in order: uuid and text.
    pub(crate) fn turns(&self) -> Vec<(String, String)> {
        let rows = self.rows();
        rows.iter().filter(|row| row["type"] == "user").map(|row| (text(&row["uuid"]), text(&row["text"]))).collect()
    }

    /// How many turns the agent has ended.
    pub(crate) fn ended_turns(&self) -> usize {
        self.rows().iter().filter(|row| row["type"] == "turn_ended").count()
    }

    fn rows(&self) -> Vec<Value> {
        let dir = self.ground.home().join("scripted");
        let sessions: Vec<PathBuf> = fs::read_dir(&dir)
            .expect("sessions")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some(OsStr::new("jsonl")))
            .collect();
        let [session] = sessions.as_slice() else { panic!("not one session: {sessions:?}") };
        rows(session)
    }

    /// Asserts that each of these was said to the agent exactly once, that no uuid was taken twice, and that what else
    /// was said are words of ccc to go on.
    #[track_caller]
    pub(crate) fn assert_said_once(&self, texts: &[&str]) {
        let turns = self.turns();
        let mut uuids: Vec<&String> = turns.iter().map(|(uuid, _)| uuid).collect();
        uuids.sort();
        uuids.dedup();
        assert_eq!(uuids.len(), turns.len(), "a turn stands twice in the session: {turns:#?}");
        for wanted in texts {
            let times = turns.iter().filter(|(_, said)| said.contains(wanted)).count();
            assert_eq!(times, 1, "{wanted:?} was said {times} times: {turns:#?}");
        }
        let others = turns.iter().filter(|(_, said)| !texts.iter().any(|wanted| said.contains(wanted)));
        for (_, other) in others {
            assert!(other.contains("Go on with the work from where you were"), "who said {other:?}?");
        }
    }
}

fn rows(session: &Path) -> Vec<Value> {
    let text = fs::read_to_string(session).expect("a transcript");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether the entry is this action.
pub(crate) fn acts(entry: &Value, kind: &str) -> bool {
    action(entry, kind).is_some()
}

/// Whether the entry is a line of a process that holds these words.
pub(crate) fn is_line_with(entry: &Value, words: &str) -> bool {
    input(entry, "line").is_some_and(|line| line.to_string().contains(words))
}

/// A step that does not end by itself.
pub(crate) fn forever() -> Value {
    json!({"sleep_ms": 600_000})
}

/// Two turns with one review between them: feedback, then agreement.
pub(crate) fn two_turns() -> Value {
    json!({
        "agent": [
            [{"think": "How?"}, {"say": "I begin."}, {"tool": {"name": "Read", "input": {"file_path": "a"}, "result": "a"}}, {"say": "First half done."}],
            [{"say": "Second half done."}],
        ],
        "critic": [[{"say": FEEDBACK}], [{"say": "Both halves are there.\n\n[TASK_COMPLETED]"}]],
    })
}
