//! The traits of an adapter: one [`Adapter`] per CLI family, one [`Protocol`] per process.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    AgentEvent, AmendedArgs, ArgsProblem, Asked, Branch, Caps, ExitCause, Installation, InterfaceArgs, LaunchRequest,
    Role, TurnEnd, TurnKind, UserArgs, Vocabulary,
};
use crate::stream::Envelope;
use crate::words::{ExitFact, Image, Launch, Provider, SandboxPlaces, TurnId};

/// One CLI family: what it can do, how it is started, what its exit means. It has no state between two calls.
///
/// Methods with a default body are for features that not every CLI has.
pub trait Adapter: fmt::Debug + Sync {
    /// The family's name in the journal: lower-case letters and `_`. It must never change.
    fn name(&self) -> &'static str;

    /// What the CLI can do in this version (its own version string; empty when unknown).
    fn caps(&self, agent_version: &str) -> Caps;

    /// The program to start, unless the user names another path.
    fn program(&self) -> &'static str;

    /// Where the CLI and its files are.
    fn installation(&self) -> Installation;

    /// The provider of the tokens that it gets.
    fn provider(&self) -> Provider;

    /// Whether a file with this name, in the folder of [`Installation::records`], is the record of this session.
    fn is_record(&self, file_name: &str, session_id: &str) -> bool {
        file_name.strip_suffix(".jsonl") == Some(session_id)
    }

    /// The subfolder of [`Installation::records`] that holds the records of the sessions of this directory.
    fn records_of(&self, cwd: &str) -> Option<String> {
        let _ = cwd;
        None
    }

    /// Arguments, environment and directory of a process, without credentials.
    fn launch(&self, request: &LaunchRequest<'_>) -> Launch;

    /// Follows the process that is started for this request.
    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol>;

    /// What the exit of a process means. `session_begun`: its session had begun ([`AgentEvent::SessionKnown`]), in
    /// this process or an earlier one.
    fn exit_cause(&self, exit: &ExitFact, session_begun: bool) -> ExitCause;

    /// Whether the process says that it ended because an allocation failed. Asked only where one can fail, because each process
    /// has a limit.
    fn lacked_memory(&self, _exit: &ExitFact) -> bool {
        false
    }

    /// The words of the CLI itself, which carry no user data and on which a run's decisions depend (with numbers and
    /// text similarity).
    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::default()
    }

    /// What the user's own arguments for the agent mean; called once, before the run begins.
    ///
    /// # Errors
    /// An argument is one that ccc sets itself, that cannot be supervised, or that is not an option; the message says
    /// what to do.
    fn read_user_args(&self, args: &[String]) -> Result<UserArgs, ArgsProblem> {
        let _ = args;
        Ok(UserArgs::default())
    }

    /// Whether the CLI has a sandbox of its own, which [`LaunchRequest::sandbox`] switches on and which the CLI does not start
    /// without.
    fn has_sandbox(&self) -> bool {
        false
    }

    /// The user's own settings, as JSON, with the sandbox and its places; without hooks, if the process of this role gets none.
    ///
    /// # Errors
    /// A message, when the text holds no settings.
    fn settings_in_sandbox(
        &self,
        own: Option<&str>,
        places: &SandboxPlaces,
        role: Role,
        without_hooks: bool,
    ) -> Result<String, String> {
        let _ = (places, role, without_hooks);
        Ok(own.unwrap_or("{}").to_owned())
    }

    /// How the CLI is started to see whether its sandbox works in this directory, without a request to its provider: its
    /// arguments and its input.
    fn sandbox_trial(&self, dir: &str) -> Option<(Vec<String>, String)> {
        let _ = dir;
        None
    }

    /// Whether the output of that start says that the sandbox is in force; `None` when it says nothing of it.
    fn sandbox_in_force(&self, output: &str) -> Option<bool> {
        let _ = output;
        None
    }

    /// A settings file of the user, changed so that none of its hooks runs.
    ///
    /// # Errors
    /// A message, when the text holds no settings.
    fn hookless_settings(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    /// A settings file of the user, with the hooks that report to ccc what happens in the CLI's own interface
    /// ([`Caps::own_interface`]); everything of the user's is kept.
    ///
    /// # Errors
    /// A message, when the text holds no settings.
    fn settings_with_hooks(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    /// The user's earlier and later arguments in one command line. The later one wins for an option that takes one value,
    /// and for an option with an argument for which `is_redacted` holds.
    fn merged_args(&self, before: &[String], later: &[String], is_redacted: &dyn Fn(&str) -> bool) -> Vec<String> {
        before.iter().filter(|arg| !is_redacted(arg)).chain(later).cloned().collect()
    }

    /// The user's arguments without the options that have an argument matching `is_such`, and the names of those
    /// options.
    fn args_apart(&self, args: &[String], is_such: &dyn Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
        (args.iter().filter(|arg| !is_such(arg)).cloned().collect(), Vec::new())
    }

    /// The user's arguments without those that the CLI's complaint is about; the CLI has accepted `proven` before.
    fn amended_args(&self, args: &[String], proven: &[String], complaint: &str) -> AmendedArgs {
        let _ = (proven, complaint);
        AmendedArgs { kept: args.to_vec(), ..AmendedArgs::default() }
    }

    /// The arguments with which the agent's own interface resumes this session: its own, and those of the user's that
    /// the interface accepts. `None` when there is no such interface.
    fn interface_args(&self, session_id: &str, args: &[String]) -> Option<Vec<String>> {
        let _ = (session_id, args);
        None
    }

    /// The name of the family that supervises the CLI's own interface ([`Caps::own_interface`]); `None` when it has none.
    fn interface_name(&self) -> Option<&'static str> {
        None
    }

    /// The user's arguments for the agent's own interface, parsed for a start without supervision.
    fn read_interface_args(&self, args: &[String]) -> InterfaceArgs {
        InterfaceArgs { rest: args.to_vec(), ..InterfaceArgs::default() }
    }

    /// The arguments that set these settings, as JSON or as a file, and this model. Empty when the CLI accepts
    /// neither.
    fn args_of_provider(&self, settings: Option<&str>, model: Option<&str>) -> Vec<String> {
        let _ = (settings, model);
        Vec::new()
    }

    /// How the user logs in, as a clause of a hint.
    fn log_in(&self) -> String {
        format!("run `{}` and log in", self.program())
    }

    /// The folders, below its start directory, in which the CLI creates working trees of its own.
    fn own_trees(&self) -> &'static [&'static str] {
        &[]
    }

    /// The arguments that allow this command and others with it; `None` when exactly this command can be allowed.
    fn allowing_more(&self, command: &str) -> Option<Vec<String>> {
        let _ = command;
        None
    }

    /// The arguments that allow every command, including those that no rule of the CLI can match.
    fn allowing_all_commands(&self) -> Vec<String> {
        Vec::new()
    }

    /// The arguments of a permission mode in which the agent may change files: the option, then the mode. Empty when
    /// the CLI has no such modes.
    fn args_to_work(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether in this permission mode the agent may only plan and change nothing.
    fn only_plans_in(&self, permission_mode: &str) -> bool {
        let _ = permission_mode;
        false
    }

    /// Whether in this permission mode the agent may change a file only when a user or a rule allows it; `None` stands for the
    /// mode in which a session begins when nobody names one.
    fn asks_before_changes_in(&self, permission_mode: Option<&str>) -> bool {
        let _ = permission_mode;
        false
    }

    /// Whether this permission rule allows changes of files, directly or by any command.
    fn is_rule_for_changes(&self, rule: &str) -> bool {
        let _ = rule;
        false
    }

    /// The tool input (JSON) with which a request is allowed once the user has answered its questions. `None` when
    /// the answers can only be given as text.
    fn answered_input(
        &self,
        asked: &Asked,
        answers: &BTreeMap<String, String>,
        notes: &BTreeMap<String, String>,
    ) -> Option<String> {
        let _ = (asked, answers, notes);
        None
    }

    /// Whether a session's record contains this turn; `None` when a record does not name the turns.
    fn has_turn(&self, transcript: &str, turn: &TurnId) -> Option<bool> {
        Some(transcript.contains(&turn.0))
    }

    /// What this version of the CLI loads of the session when it resumes it.
    fn branch(&self, transcript: &str, agent_version: &str) -> Branch {
        let _ = (transcript, agent_version);
        Branch::Whole
    }

    /// The user's messages in a session, from the CLI's own record of it.
    fn user_turns(&self, transcript: &str) -> Vec<String> {
        let _ = transcript;
        Vec::new()
    }

    /// Whether the line is a fragment of a message that follows whole later; such a line proves progress at most.
    fn is_partial(&self, line: &Envelope<'_>) -> bool {
        let _ = line;
        false
    }

    /// Whether a partial line has content, and so proves progress.
    fn partial_is_progress(&self, line: &Envelope<'_>) -> bool {
        self.is_partial(line)
    }

    /// The text that such a fragment adds to the agent's own answer (not a sub-agent's).
    fn partial_text(&self, line: &Envelope<'_>) -> Option<String> {
        let _ = line;
        None
    }

    /// The text that such a fragment adds to the agent's own thinking.
    fn partial_thought(&self, line: &Envelope<'_>) -> Option<String> {
        let _ = line;
        None
    }

    /// Whether such a fragment begins another text or thought of the agent's own.
    fn begins_text(&self, line: &Envelope<'_>) -> bool {
        let _ = line;
        false
    }

    /// Whether the line says nothing about the agent's work and proves no progress. One such line may stand for many.
    fn says_nothing(&self, line: &Envelope<'_>) -> bool {
        let _ = line;
        false
    }
}

/// Follows one process: what its lines mean, given what was sent to it, and how messages to it are encoded. The core
/// owns it and copies it with itself.
///
/// Bytes reach the process's stdin in two ways. Messages that the core decides on are encoded by [`Protocol::encode`]
/// when the driver performs the decision. Bytes that the protocol itself needs (a handshake, opening a session) come
/// from [`Protocol::poll_send`]. They are not decisions and are not recorded: the same lines produce the same bytes.
pub trait Protocol: fmt::Debug + Send + Sync {
    /// An independent copy.
    fn copied(&self) -> Box<dyn Protocol>;

    /// The process runs: bytes may be sent from now on.
    fn started(&mut self) {}

    /// The next bytes that the protocol itself has to send; called until `None` after each fact.
    fn poll_send(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// The message as bytes for the process's stdin, with its line end; `None` when the CLI has no such message.
    fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>>;

    /// This turn was written to the process's stdin. In the CLI's own interface ([`Caps::own_interface`]) it was
    /// instead given at the start of the process, or as the answer to a held stop, or it is the id of what the user
    /// has just said ([`AgentEvent::UserSaid`]).
    fn turn_sent(&mut self, turn: &TurnId);

    /// The held stop is over: the process was told so ([`Say::ReleaseStop`]).
    fn stop_released(&mut self) {}

    /// Records the answer to a permission question. Returns the denial if it was denied and not reported yet.
    fn tool_answered(&mut self, _request_id: &str, _is_allowed: bool) -> Option<super::Denial> {
        None
    }

    /// One JSON line of its stdout. It adds at least one event to `out`.
    fn line(&mut self, json: &str, out: &mut Vec<AgentEvent>);

    /// The core's limit for [`AgentEvent::Waiting`] has passed: the answered turn ends as it is, and its open tasks
    /// are given up. `None` when no answered turn waits.
    fn settle(&mut self) -> Option<TurnEnd> {
        None
    }

    /// Whether a turn may be sent: the session is open, no turn is running, and the CLI is not running one of its
    /// own.
    fn is_idle(&self) -> bool;

    /// The turn was interrupted by a key, which the process does not report ([`Caps::own_interface`]).
    fn interrupted(&mut self) {}

    /// Whether an idle process can receive a turn now. The CLI's own interface can only while it holds a stop for
    /// ccc.
    fn takes_turn(&self) -> bool {
        self.is_idle()
    }

    /// Whether the process has written any line of its protocol; otherwise it may not be an agent.
    fn has_spoken(&self) -> bool;

    /// Whether it has run a command or another tool that can write a file. A denied tool did not run.
    fn could_write(&self) -> bool;

    /// Background tasks that the turn waits for, or would wait for.
    fn open_tasks(&self) -> usize {
        0
    }

    /// Names of those tasks, from the calls that started them, and of anything else the turn waits for.
    fn open_task_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the agent has scheduled for itself and is still due; it ends with the process.
    fn scheduled_names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Clone for Box<dyn Protocol> {
    fn clone(&self) -> Self {
        self.copied()
    }
}

/// A message to a process.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Say<'a> {
    /// A user turn. Only the user's own text may be a command of the CLI.
    Turn { turn: &'a TurnId, kind: TurnKind, text: &'a str, images: &'a [Image] },
    /// Interrupt the running turn.
    Interrupt,
    /// No message: the held stop is accepted, and the user has control again ([`Caps::own_interface`]).
    ReleaseStop,
    /// Use another credential from now on: names and values of the variables through which a new process would get
    /// it. Answered by [`AgentEvent::CredentialAnswered`].
    Credential { variables: &'a [(&'a str, &'a str)] },
    /// Ask what the process has cost so far. The first question to a process has number 1 and precedes its first
    /// turn. Answered by [`AgentEvent::CostAnswered`].
    CostQuestion { number: u32 },
    /// Use another permission mode from now on. [`AgentEvent::PermissionMode`] confirms it.
    PermissionMode { mode: &'a str },
    /// Use another model from now on.
    Model { model: &'a str },
    /// Allow a tool ([`AgentEvent::Question`]). `input`: a JSON object that replaces the tool's own input. `updates`:
    /// further permissions to grant ([`super::Asked::updates`]).
    Permission { request_id: &'a str, input: Option<&'a str>, updates: &'a [String] },
    /// The answer to a form ([`super::AskedKind::Form`]): a JSON object.
    Filled { request_id: &'a str, content: &'a str },
    /// Deny a tool ([`AgentEvent::Question`]). The model reads `words`.
    Denial { request_id: &'a str, words: &'a str },
    /// Cancel a form ([`super::AskedKind::Form`]).
    Cancel { request_id: &'a str },
    /// The answer to any other question: an error with its reason.
    Refusal { request_id: &'a str, why: &'a str },
}
