//! The loop that joins the core and a world.
//!
//! One loop (`engine`) drives an agent's run and a command's. Their worlds perform the decisions, and report what happens as
//! facts. A run has a host (`control`), which handles what concerns the whole process. A replay takes the facts from a journal
//! and compares the actions. The driver decides nothing, because no replay could show such a decision.

mod alarm;
mod answers;
mod child_env;
mod clock;
mod control;
mod copy;
mod engine;
mod heartbeat;
mod host;
mod inbox;
mod machine;
mod measured;
mod noise;
mod output_reader;
mod perform;
mod real;
mod replay;
mod saying;
mod sessions;
mod signals;
mod supervised;

mod credentials;
mod summary;
mod timer;
mod told;
mod tree;
mod worker;

pub use answers::keyboard;
pub use child_env::ChildEnv;
pub use clock::unix_ms;
pub use control::{Control, Controller, Controls, Request, controls};
pub use copy::{Copied, CopyError, copy_run};
pub use credentials::Credentials;
pub use real::{End, Program, Run, Setup, journal_news, run};
pub use replay::{
    Comparison, Difference, Rebuilt, ReplayError, bless, compare, compare_from, rebuild, rebuild_from, retell,
    retell_command,
};
pub use sessions::session_record;
pub use supervised::{CommandEnd, CommandRun, CommandSetup, Looked, TokenSupply, run_command};
pub use told::told;
pub use tree::{Ours, Snapshot, Visibility, git_root};

/// The width of the terminal that stderr is, when it is one.
#[must_use]
pub fn terminal_columns() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
