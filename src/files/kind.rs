//! The kinds of files that ccc reads, and the size limit of each.

use std::fmt;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A kind of file: its name and its size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind {
    /// Its name in messages.
    pub name: &'static str,
    /// The size limit, in bytes. A longer file is refused, not cut.
    pub limit_bytes: u64,
}

const fn kind(name: &'static str, limit_bytes: u64) -> FileKind {
    FileKind { name, limit_bytes }
}

/// `.ccc.json` and `ccc.json`.
pub const CONFIGURATION: FileKind = kind("configuration file", MIB);
/// SUPERVISOR.md. A critic's model reads all of it at each stop, so a larger one is a mistake. It must also fit, with
/// the user's turns, into the queue for a child's stdin.
pub const PROMPT: FileKind = kind("critic's prompt", 256 * KIB);
/// `--prompt-file`. The agent's CLI has accepted a message of 10 MB (facts §5).
pub const TASK: FileKind = kind("task", 10 * MIB);
/// A list of tasks.
pub const TASK_LIST: FileKind = kind("list of tasks", MIB);
/// What is remembered about a list of tasks.
pub const NIGHT: FileKind = kind("record of a list of tasks", 16 * MIB);
/// Which warnings the runs of a list have given.
pub const WARNED: FileKind = kind("list of warnings", MIB);
/// Settings and login of the agent's CLI.
pub const AGENT_SETTINGS: FileKind = kind("settings file of the agent", 4 * MIB);
/// Files of tokens, one per line.
pub const TOKENS: FileKind = kind("file of tokens", MIB);
/// `tokens.json` and `usage-cache.json`.
pub const SHARED_STATE: FileKind = kind("shared state file", 4 * MIB);
/// The processes that a run has started.
pub const PROCESSES: FileKind = kind("record of processes", MIB);
/// `run.json`.
pub const SUMMARY: FileKind = kind("run's summary", 4 * MIB);
/// What ccc remembers about a project: consent, and the prompt of the last run.
pub const PROJECT_RECORD: FileKind = kind("project's record", MIB);
/// `agent.json`: what makes a run an agent of a fleet.
pub const AGENT_RECORD: FileKind = kind("agent's record", 64 * KIB);
/// `queued.json`: the plan of an agent that waits, with its task.
pub const QUEUED_AGENT: FileKind = kind("record of a waiting agent", 32 * MIB);
/// A message of a run that is to be sent.
pub const NOTIFICATION: FileKind = kind("message that is to be sent", 64 * KIB);
/// What the keeper remembers.
pub const KEEPER: FileKind = kind("keeper's state", 16 * MIB);
/// The file of a run's name.
pub const RUN_NAME: FileKind = kind("run's name", KIB);
/// What ccc remembers about an agent's working tree, and its ports.
pub const WORKTREE_RECORD: FileKind = kind("record of a worktree", 64 * KIB);
/// `.worktreeinclude`.
pub const WORKTREE_INCLUDE: FileKind = kind("list of files for worktrees", 256 * KIB);
/// The holder that a lock's file names.
pub const LOCK: FileKind = kind("lock file", 4 * KIB);
/// Where a run's control socket is.
pub const CONTROL: FileKind = kind("record of the control socket", 4 * KIB);
/// A large payload of a journal: an agent's line, or a check's output.
pub const PAYLOAD: FileKind = kind("journal's payload", 256 * MIB);
/// The agent's own record of a session.
pub const SESSION_RECORD: FileKind = kind("session record", 256 * MIB);
/// Certificates that the user trusts.
pub const CERTIFICATES: FileKind = kind("file of certificates", 16 * MIB);
/// The file that a supervised command writes to show that it is alive.
pub const HEARTBEAT: FileKind = kind("heartbeat file", 64 * KIB);
/// The file that `TZ` names.
pub const TIME_ZONE: FileKind = kind("file of a time zone", MIB);
/// An image that the user sends; the limit is the largest size that an agent accepts.
pub const IMAGE: FileKind = kind("image", 5 * MIB);
/// The configuration of systemd-logind.
pub const LOGIND: FileKind = kind("settings file of logind", MIB);
/// Git's own files: HEAD, packed references, the file `.git` of a worktree or submodule.
pub const GIT_STATE: FileKind = kind("file of git's", 16 * MIB);

/// The limit in words, such as `256 KiB`.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => write!(f, "{} MiB", bytes / MIB),
            bytes if bytes >= KIB && bytes.is_multiple_of(KIB) => write!(f, "{} KiB", bytes / KIB),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}
