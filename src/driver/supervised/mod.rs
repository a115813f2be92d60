//! The real world of a supervised command: its program, the user's terminal, the heartbeat file, the tokens.
//!
//! The loop is that of an agent's run; what waits has a thread of its own. The program's own output never passes through the
//! loop: between its terminal and the user's it goes by [`console`], which also gets what ccc itself has to say.
//!
//! Who sends what on Ctrl-C: while the program has a terminal of its own, the user's is raw and the key goes to the
//! program's, which makes a signal of it or not. In a pipeline the terminal signals ccc, and ccc the program's group. While
//! the program stands still, or between two starts, keys are ccc's.

mod beat_file;
mod console;
mod perform;
mod world;

pub use world::{CommandEnd, CommandRun, CommandSetup, Looked, TokenSupply, run_command};
