//! What an adapter has to say: one [`Adapter`] for each CLI family, one [`Protocol`] for each of its processes.

use std::fmt;

use super::{
    AgentEvent, AmendedArgs, ArgsProblem, Caps, ExitCause, Installation, LaunchRequest, TurnEnd, TurnKind, UserArgs,
    Vocabulary,
};
use crate::stream::Envelope;
use crate::words::{ExitFact, Launch, Provider, TurnId};

/// One CLI family: what it can do, how it is started, what its end means. It keeps nothing between two calls.
///
/// The methods with a body are for what not every CLI has.
pub trait Adapter: fmt::Debug + Sync {
    /// The family's name in the journal: lower-case letters and `_`. It never changes.
    fn name(&self) -> &'static str;

    /// What the CLI can do in this version (as it names itself; empty when unknown).
    fn caps(&self, agent_version: &str) -> Caps;

    /// The program to start, unless the user names another path.
    fn program(&self) -> &'static str;

    /// Where the CLI and what it keeps are found.
    fn installation(&self) -> Installation;

    /// Whose tokens it is given.
    fn provider(&self) -> Provider;

    /// Whether a file of this name, in the place that [`Installation::records`] says, is the record of this session.
    fn is_record(&self, file_name: &str, session_id: &str) -> bool {
        file_name.strip_suffix(".jsonl") == Some(session_id)
    }

    /// Arguments, environment and directory of a process. Credentials are not part of it.
    fn launch(&self, request: &LaunchRequest<'_>) -> Launch;

    /// Follows the process that is started for this request.
    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol>;

    /// What the end of a process means. `session_begun`: its session had begun ([`AgentEvent::SessionKnown`]), in this
    /// process or an earlier one.
    fn exit_cause(&self, exit: &ExitFact, session_begun: bool) -> ExitCause;

    /// The words that are the CLI's own and nobody's: what a run is decided by, besides numbers and likeness.
    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::default()
    }

    /// What the user's own arguments for the agent mean; asked once, before the run begins.
    ///
    /// # Errors
    /// An argument is one that ccc owns, that cannot be supervised, or that is no option; the message says what to do.
    fn read_user_args(&self, args: &[String]) -> Result<UserArgs, ArgsProblem> {
        let _ = args;
        Ok(UserArgs::default())
    }

    /// The text of a settings file of the user's, changed so that none of its hooks runs.
    ///
    /// # Errors
    /// In words, when the text holds no settings.
    fn hookless_settings(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    /// The user's arguments given first and those given later, in one line; of an option that takes one value the later counts, and
    /// of one with an argument that is spoilt.
    fn merged_args(&self, before: &[String], later: &[String], is_spoilt: &dyn Fn(&str) -> bool) -> Vec<String> {
        before.iter().filter(|arg| !is_spoilt(arg)).chain(later).cloned().collect()
    }

    /// The user's arguments without the options that have such an argument, and the names of those.
    fn args_apart(&self, args: &[String], is_such: &dyn Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
        (args.iter().filter(|arg| !is_such(arg)).cloned().collect(), Vec::new())
    }

    /// What of the user's arguments remains after a complaint of the CLI about them; `proven` have been taken before.
    fn amended_args(&self, args: &[String], proven: &[String], complaint: &str) -> AmendedArgs {
        let _ = (proven, complaint);
        AmendedArgs { kept: args.to_vec(), ..AmendedArgs::default() }
    }

    /// The arguments with which the agent's own interface goes on with this session: its own, and those of the user's that the
    /// interface takes. `None` where there is no such interface.
    fn interface_args(&self, session_id: &str, args: &[String]) -> Option<Vec<String>> {
        let _ = (session_id, args);
        None
    }

    /// How the user logs in, as a clause of a hint.
    fn log_in(&self) -> String {
        format!("run `{}` and log in", self.program())
    }

    /// The folders, below the directory that it is started in, in which the CLI makes working trees of its own.
    fn own_trees(&self) -> &'static [&'static str] {
        &[]
    }

    /// The arguments that allow this command and others with it; `None` where exactly this one can be allowed.
    fn allowing_more(&self, command: &str) -> Option<Vec<String>> {
        let _ = command;
        None
    }

    /// The arguments that allow every command, also those for which the CLI has no rule.
    fn allowing_all_commands(&self) -> Vec<String> {
        Vec::new()
    }

    /// The arguments of a permission mode in which the agent may change files: the option, then the mode. None where the CLI has no
    /// such modes.
    fn args_to_work(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether in this permission mode the agent may only plan and change nothing.
    fn only_plans_in(&self, permission_mode: &str) -> bool {
        let _ = permission_mode;
        false
    }

    /// Whether this turn stands in a session's record.
    fn has_turn(&self, transcript: &str, turn: &TurnId) -> bool {
        transcript.contains(&turn.0)
    }

    /// What the user has said in a session, from the CLI's own record of it.
    fn user_turns(&self, transcript: &str) -> Vec<String> {
        let _ = transcript;
        Vec::new()
    }

    /// Whether the line is a piece of a message that follows whole later: at most progress, and nothing more.
    fn is_partial(&self, line: &Envelope<'_>) -> bool {
        let _ = line;
        false
    }

    /// Whether a partial line carries something, and so is progress.
    fn partial_is_progress(&self, line: &Envelope<'_>) -> bool {
        self.is_partial(line)
    }

    /// The text that such a piece adds to what the agent itself (and not a sub-agent) is saying.
    fn partial_text(&self, line: &Envelope<'_>) -> Option<String> {
        let _ = line;
        None
    }

    /// Whether the line says nothing about what the agent does, and proves no progress. One such line may stand for many.
    fn says_nothing(&self, line: &Envelope<'_>) -> bool {
        let _ = line;
        false
    }
}

/// Follows one process: what its lines mean, given what was sent to it, and the bytes of what is said to it. The core owns it,
/// and it is copied with the core.
///
/// Bytes reach the process's stdin in two ways. What the core decides to say, the driver asks for by [`Protocol::encode`] when
/// it performs the decision. What the protocol itself needs (a handshake, opening a session) waits in
/// [`Protocol::poll_send`], is no decision and is not recorded: the same lines lead to the same bytes.
pub trait Protocol: fmt::Debug + Send + Sync {
    /// A copy that goes on by itself.
    fn copied(&self) -> Box<dyn Protocol>;

    /// The process runs: bytes may be sent from now on.
    fn started(&mut self) {}

    /// Bytes that the protocol has to send by itself, in order; asked for until `None` after each fact.
    fn poll_send(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// What is said to the process as bytes for its stdin, with their end; `None` where the CLI has no such message.
    fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>>;

    /// We wrote this turn to its stdin.
    fn turn_sent(&mut self, turn: &TurnId);

    /// We say to it whether the tool of this question may be used. What was denied so, unless it has been told already.
    fn tool_answered(&mut self, _request_id: &str, _is_allowed: bool) -> Option<super::Denial> {
        None
    }

    /// One JSON line of its stdout. At least one event is added to `out`.
    fn line(&mut self, json: &str, out: &mut Vec<AgentEvent>);

    /// The core's limit for [`AgentEvent::Waiting`] has passed: the end of the answered turn as it stands, with what is still
    /// open given up. `None` when no answered turn waits.
    fn settle(&mut self) -> Option<TurnEnd> {
        None
    }

    /// Whether a turn may be sent: the session is open, no turn is under way, and the CLI is not running one of its own.
    fn is_idle(&self) -> bool;

    /// Whether the process has said a line of its protocol at all: else it may be no agent.
    fn has_spoken(&self) -> bool;

    /// Whether it has run a command, or another tool that can write a file; one that was denied did not run.
    fn could_write(&self) -> bool;

    /// Background tasks that the turn waits for, or would wait for.
    fn open_tasks(&self) -> usize {
        0
    }

    /// What those are, in the words of the calls that began them, and what else the turn waits for.
    fn open_task_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the agent has scheduled for itself and is still to come; it ends with the process.
    fn scheduled_names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Clone for Box<dyn Protocol> {
    fn clone(&self) -> Self {
        self.copied()
    }
}

/// What is said to a process.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Say<'a> {
    /// A user turn. Only what the user says may be a command of the CLI's own.
    Turn { turn: &'a TurnId, kind: TurnKind, text: &'a str },
    /// Interrupt the running turn.
    Interrupt,
    /// Use another credential from now on: names and values of the variables by which a new process would be given it. Answered by
    /// [`AgentEvent::CredentialAnswered`].
    Credential { variables: &'a [(&'a str, &'a str)] },
    /// What has the process cost so far? The first question to a process has the number 1 and comes before its first turn.
    /// Answered by [`AgentEvent::CostAnswered`].
    CostQuestion { number: u32 },
    /// Work in another permission mode from now on. When it is so, [`AgentEvent::PermissionMode`] tells.
    PermissionMode { mode: &'a str },
    /// The answer to a question whether a tool may be used ([`super::Ask::Permission`]): yes, this once.
    Permission { request_id: &'a str },
    /// The answer to a question whether a tool may be used ([`AgentEvent::Question`]): no. The model reads `words`.
    Denial { request_id: &'a str, words: &'a str },
    /// The answer to a question that wants something filled in ([`super::Ask::Form`]): cancelled.
    Cancel { request_id: &'a str },
    /// The answer to any other question: an error, which says why.
    Refusal { request_id: &'a str, why: &'a str },
}
