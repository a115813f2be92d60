//! The loop that joins the core and a world.
//!
//! One loop (`engine`) drives an agent's run and a command's. Their worlds perform the decisions and report facts. A run has a
//! host (`control`), which handles what concerns the whole process. A replay takes the facts from a journal and compares the
//! actions. The driver decides nothing, because no replay could show such a decision.

mod agent_world;
mod alarm;
mod answers;
mod catch_up;
mod checkpoints;
mod child_env;
mod clock;
mod console;
mod control;
mod copy;
mod engine;
mod heartbeat;
mod host;
mod inbox;
mod keep_awake;
mod machine;
mod measured;
mod native;
mod noise;
mod output_reader;
mod pending;
mod perform;
mod protected_check;
mod replay;
mod saying;
mod sessions;
mod signals;
mod supervised;

mod credentials;
mod shown_plan;
mod summary;
mod tests_compared;
mod timer;
mod tree;
mod worker;

pub use agent_world::{End, NotEnforced, Program, Run, Setup, journal_news, run};
pub use answers::keyboard;
pub use catch_up::catch_up;
pub use child_env::ChildEnv;
pub use clock::unix_ms;
pub use control::{Control, Controller, Controls, Request, controls};
pub use copy::{Copied, CopyError, copy_run};
pub use credentials::Credentials;
pub use keep_awake::KeepAwake;
pub use native::Interface;
pub use protected_check::written_in_words;
pub use replay::{
    Comparison, Difference, Rebuilt, ReplayError, Retold, bless, compare, compare_from, rebuild, rebuild_from, retell,
    retell_all, retell_command,
};
pub use sessions::{latest_session, session_record};
pub use shown_plan::shown_plan;
pub use signals::{at_each_end, at_interrupt};
pub use supervised::{CommandEnd, CommandRun, CommandSetup, Looked, TokenSupply, run_command};
pub use tree::{Snapshot, TreeObserver, Visibility, file_names, git_root};
pub use worker::{CommandWorkers, Worker, WorkerTimeouts, Workers};

/// The width of the terminal on stderr, if it is one.
#[must_use]
pub fn terminal_columns() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
