//! What an adapter has to say: one [`Adapter`] for each CLI family, one [`Protocol`] for each of its processes.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::claude::Claude;
use super::{
    AgentEvent, AmendedArgs, ArgsProblem, Caps, ExitCause, Installation, LaunchRequest, TurnEnd, TurnKind, UserArgs,
    Vocabulary,
};
use crate::stream::Envelope;
use crate::words::{ExitFact, Launch, TurnId};

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

    /// Those of the user's arguments that the agent's own interface takes when it goes on with the session.
    fn args_for_hand_over(&self, args: &[String]) -> Vec<String> {
        args.to_vec()
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
    /// Use another credential from now on: `variable` is the one by which the process was given the present one. Answered by
    /// [`AgentEvent::CredentialAnswered`].
    Credential { variable: &'a str, value: &'a str },
    /// What has the process cost so far? The first question to a process has the number 1 and comes before its first turn.
    /// Answered by [`AgentEvent::CostAnswered`].
    CostQuestion { number: u32 },
    /// Work in another permission mode from now on. When it is so, [`AgentEvent::PermissionMode`] tells.
    PermissionMode { mode: &'a str },
    /// The answer to a question whether a tool may be used ([`AgentEvent::Question`]): no. The model reads `words`.
    Denial { request_id: &'a str, words: &'a str },
    /// The answer to a question that wants something filled in ([`super::Ask::Form`]): cancelled.
    Cancel { request_id: &'a str },
    /// The answer to any other question: an error, which says why.
    Refusal { request_id: &'a str, why: &'a str },
}

/// Which CLI family does the work: its [`Adapter`], and in a journal its name.
#[derive(Clone, Copy)]
pub struct AgentKind(&'static dyn Adapter);

/// Families that the embedding program has brought with it.
static BROUGHT: OnceLock<&'static [&'static dyn Adapter]> = OnceLock::new();

impl AgentKind {
    /// Claude Code.
    pub const CLAUDE_CODE: AgentKind = AgentKind(&Claude);

    /// The family of this adapter. Its name is read from a journal again only if it is one of those brought in by
    /// [`AgentKind::bring`].
    #[must_use]
    pub const fn of(adapter: &'static dyn Adapter) -> AgentKind {
        AgentKind(adapter)
    }

    /// Makes further families known by their names, for a program that embeds this one: once, before a journal is read.
    /// Later calls change nothing.
    pub fn bring(adapters: &'static [&'static dyn Adapter]) {
        BROUGHT.get_or_init(|| adapters);
    }

    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<AgentKind> {
        let brought = BROUGHT.get().copied().unwrap_or_default().iter().map(|adapter| AgentKind(*adapter));
        std::iter::once(AgentKind::CLAUDE_CODE).chain(brought).find(|kind| kind.name() == name)
    }
}

impl Deref for AgentKind {
    type Target = dyn Adapter;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for AgentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for AgentKind {
    fn eq(&self, other: &AgentKind) -> bool {
        self.name() == other.name()
    }
}

impl Eq for AgentKind {}

impl Serialize for AgentKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for AgentKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AgentKind, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        AgentKind::named(&name)
            .ok_or_else(|| de::Error::custom(format_args!("this ccc cannot drive the agent `{name}`")))
    }
}
