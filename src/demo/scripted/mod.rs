//! The scripted agent: it speaks the protocol of the real Claude Code CLI and does what a script says.
//!
//! There is one of it, and it serves all: `ccc demo` runs it as a process, tests run it as a process under a real
//! PTY, and the simulation runs many of it as machines in one thread. [`ScriptedAgent`] is pure: lines and time go in,
//! [`Effect`]s come out. Who performs them decides whether a file is written or a counter moves.
//!
//! # The script
//!
//! ```json
//! {"agent":  [ [STEP, …], … ],
//!  "critic": [ [STEP, …], … ]}
//! ```
//!
//! The list of turn *k* is played when *k* turns of the session have ended; for critics (forks) they are counted over
//! all critics of the session. A turn has ended when its result was given, also a failed one, and when its own script
//! ended or hung the process (`crash`, `stall`): a resumed session goes on with the next list. A turn that was cut off
//! from outside (killed, interrupted) is played again. After the last list the agent says that the script has no more,
//! and a critic agrees that the task is done.
//!
//! | step | what happens |
//! |---|---|
//! | `{"say": TEXT}`, `{"think": TEXT}` | a block of the model's; the last text is the result |
//! | `{"tool": {"name", "input", "result", "failed", "ms", "real", "open", "unchecked"}}` | a tool call; `real` does it, `open` leaves it running |
//! | `{"deny": {"name", "input"}}` | a tool call that is denied |
//! | `{"sleep_ms": N}` | a pause |
//! | `{"crash": {"signal": N}}`, `{"crash": {"code": N}}`, `"stall"` | the end of the process, or of its progress |
//! | `"stop_reading"`, `"ignore_signals"` | it reads no more; it cannot be asked to end |
//! | `{"garbage": TEXT}`, `"half_line"`, `{"huge_line": BYTES}`, `"unknown_message"`, `{"stderr": TEXT}` | odd output |
//! | `{"retry": {"attempts", "status", "delay_ms"}}` | the provider fails and recovers |
//! | `{"api_error": {"status", "error", "message", "api_error", "api_type", "terminal_reason"}}`, `{"limit": {"resets_in_s", "window"}}` | the turn fails |
//! | `{"limit_warning": {"utilization", "resets_in_s"}}` | a window is nearly spent |
//! | `{"background": {"ms", "command", "then"}}` | a background command, and the turn that its end brings |
//! | `{"sub_agent": MS}` | a sub-agent in the foreground, with a tool of its own |
//! | `{"schedule": {"ms", "then"}}` | a turn that the CLI begins by itself, once it is idle |
//! | `"refuse"` | the model refuses, and the turn fails |
//! | `{"compact_ms": N}`, `{"cost_usd": X}` | compacting; money |
//! | `{"orphan": {"ms", "holds_stdout"}}` | a process that outlives the agent |
//!
//! What the real CLI does and this does not: messages that arrive during a tool wait for the next turn instead of
//! being injected; hooks and slash commands do not exist; the transcript's rows are its own.

mod machine;
mod messages;
mod options;
mod script;
mod transcript;
mod turn;

pub use machine::{Effect, ScriptedAgent, Signalled};
pub use messages::Moment;
pub use options::{CliVersion, Open, Options, Parsed};
pub use script::{ApiError, Background, Crash, Deny, Limit, LimitWarning, Orphan, Retry, Schedule, Script, Step, Tool};
pub use transcript::{Row, Transcript};
