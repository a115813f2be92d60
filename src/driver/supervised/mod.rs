//! The real world of a supervised command: its program, the user's terminal, the heartbeat file, the tokens.
//!
//! The loop is that of an agent's run; what waits has a thread of its own. The program's own output never passes through the
//! loop: between its terminal and the user's it goes by [`console`], which also gets what ccc itself has to say.
//!
//! Ctrl-C: while the program has its own terminal, the user's terminal is raw and the key goes to the program's, which makes a
//! signal of it or not. In a pipeline the terminal signals ccc, and ccc signals the program's group. While the program is
//! stopped, and between two starts, ccc reads the keys.

mod beat_file;
mod console;
mod perform;
mod world;

pub use world::{CommandEnd, CommandRun, CommandSetup, Looked, TokenSupply, run_command};
