//! The restart policy: what to do when the agent's process has ended without a request.
//!
//! | the end | within the limit | beyond it |
//! |---|---|---|
//! | clean, crash, hung, not started for lack of a resource | restart after a pause | give up |
//! | its memory was used up | restart after a pause, at most twice | give up |
//! | the session is in use | resume it | give up |
//! | the session is unknown, and ccc chose its id | begin it | give up |
//! | the session is unknown, and the user named it | give up | give up |
//! | bad usage, refused to start, no program, no agent | give up | give up |
//!
//! The limit counts ends within an hour without a finished turn between them. A usage limit and a refused credential are not
//! ends of a process but failures of a turn.

use super::policy::WINDOW_MS;
use crate::agent::ExitCause;

/// After its memory was used up, the agent is started again this often in a row: the same work needs the same memory again.
const RESTARTS_WITHOUT_MEMORY: u32 = 2;

/// Why the agent's process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AgentEnd {
    /// It ended by itself.
    Exited(ExitCause),
    /// It hung and was ended for that.
    Hung,
    /// The system lacked the resources to start it.
    NotStarted,
    /// It cannot be started: no such program, not executable, no such directory.
    NoProgram,
    /// The program is not an agent: it never wrote a line of the protocol.
    NoAgent,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restart {
    /// Start again.
    Again,
    /// Start again and resume the session, which exists after all.
    Resuming,
    /// Start again and begin the session, which does not exist after all.
    Beginning,
    /// Do not start again.
    GiveUp { reason: String },
}

/// The other facts of the decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestartContext<'a> {
    /// Ends within the window, this one included.
    pub(super) ends: u32,
    /// The most ends that lead to a restart.
    pub(super) max_restarts: u32,
    /// Whether ccc chose the session's id.
    pub(super) session_is_ours: bool,
    /// The agent's program, for messages.
    pub(super) program: &'a str,
    /// Whether the process is the agent's own interface, which does not speak the protocol.
    pub(super) has_interface: bool,
    /// How the process ended, as a phrase that follows "it".
    pub(super) how: &'a str,
}

/// Decides by the table of the module.
pub(super) fn policy(death: &AgentEnd, standing: RestartContext<'_>) -> Restart {
    let RestartContext { ends, max_restarts, session_is_ours, program, has_interface, how } = standing;
    let give_up = |reason: String| Restart::GiveUp { reason };
    match death {
        AgentEnd::Exited(ExitCause::BadUsage { message }) => {
            give_up(format!("the agent's CLI refused its arguments: {message}"))
        }
        AgentEnd::Exited(ExitCause::RefusedToStart { message }) => {
            give_up(format!("the agent's CLI refused to start: {message}"))
        }
        AgentEnd::NoProgram => give_up(format!("the agent {how}")),
        AgentEnd::NoAgent if has_interface => give_up(format!(
            "the agent's interface {how}; to see it alone: {program}; to name another program: --agent PATH"
        )),
        AgentEnd::NoAgent => give_up(format!(
            "`{program}` is no agent that ccc can drive: it {how}, and has not said one line of the agent's protocol; name \
             the agent's program with --agent PATH"
        )),
        AgentEnd::Exited(ExitCause::SessionUnknown) if !session_is_ours => {
            give_up("the session to resume does not exist in this directory".to_owned())
        }
        AgentEnd::Exited(ExitCause::OutOfMemory) if ends > max_restarts.min(RESTARTS_WITHOUT_MEMORY) => {
            give_up(format!(
                "the agent's process {how}, after {ends} starts in a row that finished no turn; to give it more, set agent.memory_max \
             (0 is no limit) and continue the run with --reload"
            ))
        }
        AgentEnd::Exited(ExitCause::SessionInUse | ExitCause::SessionUnknown | ExitCause::Clean | ExitCause::Crash)
        | AgentEnd::Hung
        | AgentEnd::NotStarted
            if ends > max_restarts =>
        {
            let minutes = WINDOW_MS / 60_000;
            give_up(format!(
                "the agent's process ended {ends} times in a row without finishing a turn, all within {minutes} min, \
                 and --max-restarts is {max_restarts}; the last time it {how}"
            ))
        }
        AgentEnd::Exited(ExitCause::SessionInUse) => Restart::Resuming,
        AgentEnd::Exited(ExitCause::SessionUnknown) => Restart::Beginning,
        AgentEnd::Exited(ExitCause::Clean | ExitCause::Crash | ExitCause::OutOfMemory)
        | AgentEnd::Hung
        | AgentEnd::NotStarted => Restart::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::describe_start;
    use super::{AgentEnd, Restart, RestartContext, policy};
    use crate::agent::ExitCause;
    use crate::words::ExitFact;

    /// A cell of the table.
    #[derive(Debug, PartialEq, Eq, Clone, Copy)]
    enum Cell {
        Again,
        Resume,
        Begin,
        /// With a reason that contains this.
        GiveUp(&'static str),
    }
    use Cell::{Again, Begin, GiveUp, Resume};

    #[test]
    fn every_cell_of_the_table() {
        let exited = AgentEnd::Exited;
        let bad = || exited(ExitCause::BadUsage { message: "unknown option".to_owned() });
        let refused = || exited(ExitCause::RefusedToStart { message: "not as root".to_owned() });
        const BEYOND: Cell = GiveUp(
            "ended 6 times in a row without finishing a turn, all within 60 min, and --max-restarts is 5; the last time it ended so",
        );
        const WITHOUT_MEMORY: Cell = GiveUp("ended so, after ");
        const NAMED: Cell = GiveUp("the session to resume does not exist");
        // The end; within the limit, with a session id chosen by ccc and by the user; beyond the limit, the same.
        let rows = [
            (exited(ExitCause::Clean), [Again, Again, BEYOND, BEYOND]),
            (exited(ExitCause::Crash), [Again, Again, BEYOND, BEYOND]),
            (exited(ExitCause::OutOfMemory), [WITHOUT_MEMORY; 4]),
            (AgentEnd::Hung, [Again, Again, BEYOND, BEYOND]),
            (AgentEnd::NotStarted, [Again, Again, BEYOND, BEYOND]),
            (exited(ExitCause::SessionInUse), [Resume, Resume, BEYOND, BEYOND]),
            (exited(ExitCause::SessionUnknown), [Begin, NAMED, BEYOND, NAMED]),
            (bad(), [GiveUp("refused its arguments: unknown option"); 4]),
            (refused(), [GiveUp("refused to start: not as root"); 4]),
            (AgentEnd::NoProgram, [GiveUp("the agent ended so"); 4]),
            (AgentEnd::NoAgent, [GiveUp("`/bin/ls` is no agent"); 4]),
        ];
        for (death, cells) in rows {
            let at = [(5, true), (5, false), (6, true), (6, false)];
            for ((ends, session_is_ours), cell) in at.into_iter().zip(cells) {
                let standing = RestartContext {
                    ends,
                    max_restarts: 5,
                    session_is_ours,
                    program: "/bin/ls",
                    has_interface: false,
                    how: "ended so",
                };
                let place = format!("{death:?}, end {ends}, session ours: {session_is_ours}");
                match (policy(&death, standing), cell) {
                    (Restart::Again, Again) | (Restart::Resuming, Resume) | (Restart::Beginning, Begin) => {}
                    (Restart::GiveUp { reason }, GiveUp(part)) => assert!(reason.contains(part), "{place}: {reason}"),
                    (restart, cell) => panic!("{place}: {restart:?} instead of {cell:?}"),
                }
            }
        }
    }

    #[test]
    fn an_agent_without_memory_is_started_again_twice_at_most() {
        let at = |ends, max_restarts| {
            let how = "was killed by the system";
            let (program, session_is_ours, has_interface) = ("claude", true, false);
            let standing = RestartContext { ends, max_restarts, session_is_ours, program, has_interface, how };
            policy(&AgentEnd::Exited(ExitCause::OutOfMemory), standing)
        };
        assert_eq!((at(1, 5), at(2, 5)), (Restart::Again, Restart::Again));
        let Restart::GiveUp { reason } = at(3, 5) else { panic!("it is given up") };
        assert!(reason.contains("was killed by the system") && reason.contains("agent.memory_max"), "{reason}");
        assert!(matches!(at(1, 0), Restart::GiveUp { .. }), "the user wants no restart");
    }

    #[test]
    fn an_interface_that_ended_at_once_is_not_reproached_with_the_protocol() {
        let how = "exited with code 1 and said: no / yes";
        let standing = RestartContext {
            ends: 1,
            max_restarts: 5,
            session_is_ours: true,
            program: "claude",
            has_interface: true,
            how,
        };
        let Restart::GiveUp { reason } = policy(&AgentEnd::NoAgent, standing) else { panic!("it is given up") };
        assert!(reason.contains(how) && reason.contains("interface") && !reason.contains("protocol"), "{reason}");
    }

    #[test]
    fn what_a_program_said_first_is_quoted_too() {
        let said = |stderr: &str| {
            describe_start(&ExitFact { code: Some(1), stderr_tail: stderr.to_owned(), ..ExitFact::default() })
        };
        assert_eq!(said(""), "exited with code 1");
        assert_eq!(said("not available\n\n at here\n"), "exited with code 1 and said: not available / at here");
        let long = "native binary not installed\na\nb\nc\nd\nend";
        assert_eq!(said(long), "exited with code 1 and said: native binary not installed / a / b / … / end");
    }
}
