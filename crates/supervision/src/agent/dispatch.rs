//! Which adapter answers: one arm for each CLI family.

use super::claude::{self, ClaudeProtocol};
use super::{
    AgentEvent, AgentKind, AmendedArgs, ArgsProblem, Caps, ExitCause, LaunchRequest, Role, TurnEnd, TurnKind, UserArgs,
    Vocabulary,
};
use crate::stream::{self, encode};
use crate::words::{ExitFact, Launch, TurnId};

impl AgentKind {
    /// What the CLI can do in this version (as it names itself; empty when unknown).
    #[must_use]
    pub fn caps(self, agent_version: &str) -> Caps {
        match self {
            AgentKind::ClaudeCode => Caps {
                fork: true,
                read_only_fork: true,
                interrupt: true,
                hot_credential: true,
                limit_events: true,
                prompt_snapshot: claude::has_prompt_snapshot(agent_version),
            },
        }
    }

    /// The words that are the CLI's own and nobody's: what a run is decided by, besides numbers and likeness.
    pub fn vocabulary(self) -> Vocabulary {
        match self {
            AgentKind::ClaudeCode => claude::vocabulary(),
        }
    }

    /// The program to start, unless the user names another path.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            AgentKind::ClaudeCode => claude::PROGRAM,
        }
    }

    /// The versions that this adapter was tested with; another one is used all the same.
    #[must_use]
    pub fn known_versions(self) -> &'static [&'static str] {
        match self {
            AgentKind::ClaudeCode => claude::KNOWN_VERSIONS,
        }
    }

    /// Arguments, environment and directory of a process. Credentials are not part of it.
    #[must_use]
    pub fn launch(self, request: &LaunchRequest<'_>) -> Launch {
        match self {
            AgentKind::ClaudeCode => claude::launch(request),
        }
    }

    /// What the user's own arguments for the agent mean; asked once, before the run begins.
    ///
    /// # Errors
    /// An argument is one that ccc owns, that cannot be supervised, or that is no option; the message says what to do.
    pub fn read_user_args(self, args: &[String]) -> Result<UserArgs, ArgsProblem> {
        match self {
            AgentKind::ClaudeCode => claude::user_args(args),
        }
    }

    /// The text of a settings file of the user's, changed so that none of its hooks runs.
    ///
    /// # Errors
    /// In words, when the text holds no settings.
    pub fn hookless_settings(self, text: &str) -> Result<String, String> {
        match self {
            AgentKind::ClaudeCode => claude::hookless_settings(text),
        }
    }

    /// The user's arguments given first and those given later, in one line; of an option that takes one value the later counts, and
    /// of one with an argument that is spoilt.
    #[must_use]
    pub fn merged_args(self, before: &[String], later: &[String], is_spoilt: &dyn Fn(&str) -> bool) -> Vec<String> {
        match self {
            AgentKind::ClaudeCode => claude::merged(before, later, is_spoilt),
        }
    }

    /// The user's arguments without the options that have such an argument, and the names of those.
    #[must_use]
    pub fn args_apart(self, args: &[String], is_such: &dyn Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
        match self {
            AgentKind::ClaudeCode => claude::apart(args, is_such),
        }
    }

    /// What of the user's arguments remains after a complaint of the CLI about them; `proven` have been taken before.
    #[must_use]
    pub fn amended_args(self, args: &[String], proven: &[String], complaint: &str) -> AmendedArgs {
        match self {
            AgentKind::ClaudeCode => claude::amended(args, proven, complaint),
        }
    }

    /// Those of the user's arguments that the agent's own interface takes when it goes on with the session.
    #[must_use]
    pub fn args_for_hand_over(self, args: &[String]) -> Vec<String> {
        match self {
            AgentKind::ClaudeCode => claude::for_interface(args),
        }
    }

    /// Whether this turn stands in a session's record; see [`AgentKind::user_turns`].
    #[must_use]
    pub fn has_turn(self, transcript: &str, turn: &TurnId) -> bool {
        match self {
            AgentKind::ClaudeCode => claude::has_turn(transcript, &turn.0),
        }
    }

    /// What the user has said in a session, from the CLI's own record of it: a file named after the session, with `.jsonl`
    /// behind it, in one of the folders of `projects` in the CLI's directory (facts §2).
    #[must_use]
    pub fn user_turns(self, transcript: &str) -> Vec<String> {
        match self {
            AgentKind::ClaudeCode => claude::user_turns(transcript),
        }
    }

    /// A user turn as bytes for stdin, one line with its end. Only what the user says may be a command of the CLI's own.
    #[must_use]
    pub fn encode_turn(self, turn: &TurnId, kind: TurnKind, text: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => encode::user_turn(&turn.0, &claude::wording(kind, text), None).into_bytes(),
        }
    }

    /// The request to interrupt the running turn as bytes for stdin, one line with its end. `request_id` comes back in the reply.
    #[must_use]
    pub fn encode_interrupt(self, request_id: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => encode::interrupt(request_id).into_bytes(),
        }
    }

    /// The request to use another credential from now on as bytes for stdin, one line with its end: `variable` is the one
    /// by which the process was given the present one. Answered by [`AgentEvent::CredentialAnswered`].
    #[must_use]
    pub fn encode_credential(self, number: u32, variable: &str, value: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => {
                let request_id = format!("{}{number}", claude::CREDENTIAL_REQUEST);
                encode::update_environment(&request_id, &[(variable, value)]).into_bytes()
            }
        }
    }

    /// The question what the process has cost so far as bytes for stdin, one line with its end. The first of a process has the
    /// number 1 and is asked before it is given a turn. Answered by [`AgentEvent::CostAnswered`].
    #[must_use]
    pub fn encode_cost_question(self, number: u32) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => {
                encode::get_session_cost(&format!("{}{number}", claude::COST_REQUEST)).into_bytes()
            }
        }
    }

    /// The request to work in another permission mode from now on, as bytes for stdin, one line with its end. When it is so,
    /// [`AgentEvent::PermissionMode`] tells.
    #[must_use]
    pub fn encode_permission_mode(self, request_id: &str, mode: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => encode::set_permission_mode(request_id, mode).into_bytes(),
        }
    }

    /// Whether in this permission mode the agent may only plan and change nothing.
    #[must_use]
    pub fn only_plans_in(self, permission_mode: &str) -> bool {
        match self {
            AgentKind::ClaudeCode => permission_mode == claude::PLAN_MODE,
        }
    }

    /// The answer to a question whether a tool may be used ([`AgentEvent::Question`]), as bytes for stdin: no. The model
    /// reads `words`.
    #[must_use]
    pub fn encode_denial(self, request_id: &str, words: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => encode::deny_tool(request_id, words).into_bytes(),
        }
    }

    /// The answer to a question that wants something filled in ([`super::Ask::Form`]), as bytes for stdin: cancelled.
    #[must_use]
    pub fn encode_cancel(self, request_id: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => encode::cancel_form(request_id).into_bytes(),
        }
    }

    /// The answer to any other question, as bytes for stdin: an error, which says why.
    #[must_use]
    pub fn encode_refusal(self, request_id: &str, why: &str) -> Vec<u8> {
        match self {
            AgentKind::ClaudeCode => encode::control_error(request_id, why).into_bytes(),
        }
    }

    /// What the end of a process means. `session_begun`: its session had begun ([`AgentEvent::SessionKnown`]), in this
    /// process or an earlier one.
    #[must_use]
    pub fn exit_cause(self, exit: &ExitFact, session_begun: bool) -> ExitCause {
        match self {
            AgentKind::ClaudeCode => claude::exit_cause(exit, session_begun),
        }
    }

    /// The text that such a piece adds to what the agent itself (and not a sub-agent) is saying.
    #[must_use]
    pub fn partial_text(self, line: &stream::Envelope<'_>) -> Option<String> {
        match self {
            AgentKind::ClaudeCode => claude::partial_text(line),
        }
    }

    /// Whether the line is a piece of a message that follows whole later: at most progress, and nothing more.
    #[must_use]
    pub fn is_partial(self, line: &stream::Envelope<'_>) -> bool {
        match self {
            AgentKind::ClaudeCode => line.is_partial(),
        }
    }

    /// Whether a partial line carries something, and so is progress.
    #[must_use]
    pub fn partial_is_progress(self, line: &stream::Envelope<'_>) -> bool {
        match self {
            AgentKind::ClaudeCode => claude::partial_is_progress(line),
        }
    }

    /// Whether the line says nothing about what the agent does, and proves no progress. One such line may stand for many.
    #[must_use]
    pub fn says_nothing(self, line: &stream::Envelope<'_>) -> bool {
        match self {
            AgentKind::ClaudeCode => claude::says_nothing(line),
        }
    }
}

/// Follows one process: what its lines mean, given what was sent to it. It is copied with the core.
#[derive(Debug, Clone)]
pub struct Protocol {
    family: Family,
}

#[derive(Debug, Clone)]
enum Family {
    ClaudeCode(Box<ClaudeProtocol>),
}

impl Protocol {
    /// For a process that is about to be started. Agents and critics of today's CLIs speak alike; what counts as an answer
    /// differs.
    #[must_use]
    pub fn new(kind: AgentKind, role: Role) -> Protocol {
        let protocol = match (kind, role) {
            (AgentKind::ClaudeCode, Role::Agent) => ClaudeProtocol::default(),
            (AgentKind::ClaudeCode, Role::Critic) => ClaudeProtocol::of_critic(),
        };
        Protocol { family: Family::ClaudeCode(Box::new(protocol)) }
    }

    /// We wrote this turn to its stdin.
    pub fn turn_sent(&mut self, turn: &TurnId) {
        match &mut self.family {
            Family::ClaudeCode(protocol) => protocol.turn_sent(turn),
        }
    }

    /// One JSON line of its stdout. At least one event is added to `out`.
    pub fn line(&mut self, json: &str, out: &mut Vec<AgentEvent>) {
        match &mut self.family {
            Family::ClaudeCode(protocol) => protocol.line(json, out),
        }
    }

    /// The core's limit for [`AgentEvent::Waiting`] has passed: the end of the answered turn as it stands, with what is still
    /// open given up. `None` when no answered turn waits.
    pub fn settle(&mut self) -> Option<TurnEnd> {
        match &mut self.family {
            Family::ClaudeCode(protocol) => protocol.settle(),
        }
    }

    /// Whether a turn may be sent: none is under way, and the CLI is not running one of its own.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match &self.family {
            Family::ClaudeCode(protocol) => protocol.is_idle(),
        }
    }

    /// Whether the process has said a line of its protocol at all: else it may be no agent.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        match &self.family {
            Family::ClaudeCode(protocol) => protocol.has_spoken(),
        }
    }

    /// Whether it has run a command, or another tool that can write a file; one that was denied did not run.
    #[must_use]
    pub fn could_write(&self) -> bool {
        match &self.family {
            Family::ClaudeCode(protocol) => protocol.could_write(),
        }
    }

    /// Background tasks that the turn waits for, or would wait for.
    #[must_use]
    pub fn open_tasks(&self) -> usize {
        match &self.family {
            Family::ClaudeCode(protocol) => protocol.open_tasks(),
        }
    }

    /// What those are, in the words of the calls that began them, and what else the turn waits for.
    #[must_use]
    pub fn open_task_names(&self) -> Vec<String> {
        match &self.family {
            Family::ClaudeCode(protocol) => protocol.open_task_names(),
        }
    }

    /// What the agent has scheduled for itself and is still to come; it ends with the process.
    #[must_use]
    pub fn scheduled_names(&self) -> Vec<String> {
        match &self.family {
            Family::ClaudeCode(protocol) => protocol.scheduled_names(),
        }
    }
}
