//! The scripted agent: speaks the protocol of the real Claude Code CLI and follows a script.
//!
//! `ccc demo` and the tests run it as a process, the tests under a real PTY; the simulation runs many machines in one thread.
//! [`ScriptedAgent`] is pure: lines and time go in, [`Effect`]s come out. The host performs them, and may write a file or only
//! count it.
//!
//! # The script
//!
//! ```json
//! {"agent":  [ [STEP, …], … ],
//!  "critic": [ [STEP, …], … ]}
//! ```
//!
//! The list of turn *k* is played when *k* turns of the session have ended. The turns of critics (forks) are counted over all
//! critics of the session. A turn ends with its result, good or failed, or when its own script ends or hangs the process
//! (`crash`, `stall`): a resumed session continues with the next list. A turn that was cut off from outside (killed, interrupted)
//! is played again. After the last list the agent says that the script has no further turn, and a critic agrees that the task is
//! done.
//!
//! | step | what happens |
//! |---|---|
//! | `{"say": TEXT}`, `{"think": TEXT}` | a block of the model; the last text is the result |
//! | `{"tool": {"name", "input", "result", "failed", "ms", "real", "open", "unchecked", "patch"}}` | a tool call; `real` does it, `open` leaves it running |
//! | `{"deny": {"name", "input"}}` | a tool call that is denied |
//! | `{"ask": {"tool", "suggestions", "reason", "withdrawn_ms"}}` | a tool call that needs permission; denied without `--permission-prompt-tool stdio` |
//! | `{"questions": [{"question", "header", "options", "multiSelect"}]}`, `{"plan": TEXT}` | questions to the user; a plan to be approved |
//! | `{"form": {"server", "message", "schema"}}` | an MCP server asks for a form |
//! | `{"sleep_ms": N}` | a pause |
//! | `{"crash": {"signal": N}}`, `{"crash": {"code": N}}`, `"stall"` | the end of the process, or of its progress |
//! | `"stop_reading"`, `"ignore_signals"` | it stops reading stdin; signals have no effect |
//! | `{"garbage": TEXT}`, `"half_line"`, `{"huge_line": BYTES}`, `"unknown_message"`, `{"stderr": TEXT}` | odd output |
//! | `{"retry": {"attempts", "status", "delay_ms"}}` | the provider fails and recovers |
//! | `{"api_error": {"status", "error", "message", "api_error", "api_type", "terminal_reason"}}`, `{"limit": {"resets_in_s", "window"}}` | the turn fails |
//! | `{"limit_warning": {"utilization", "resets_in_s"}}` | a window is nearly spent |
//! | `{"background": {"ms", "command", "then"}}` | a background command, and the turn after its end |
//! | `{"sub_agent": MS}` | a sub-agent in the foreground, with a tool of its own |
//! | `{"schedule": {"ms", "then"}}` | a turn that the CLI begins by itself, once it is idle |
//! | `"refuse"` | the model refuses, and the turn fails |
//! | `{"compact_ms": N}`, `{"cost_usd": X}` | compaction; cost |
//! | `{"orphan": {"ms", "holds_stdout"}}` | a process that outlives the agent |
//!
//! Differences from the real CLI: a message that arrives during a tool waits for the next turn instead of being
//! injected; there are no hooks and no slash commands but `/compact`; the transcript's rows have another form.

mod machine;
mod messages;
mod options;
mod requests;
mod script;
mod transcript;
mod turn;

pub use machine::{Effect, ScriptedAgent, Signalled};
pub use messages::Moment;
pub use options::{CliVersion, Open, Options, Parsed};
pub use script::{
    ApiError, AskedTool, Background, Crash, Deny, Form, Limit, LimitWarning, Orphan, Retry, Schedule, Script, Step,
    Tool,
};
pub use transcript::{Row, Transcript};
