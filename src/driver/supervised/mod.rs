//! The real world of a supervised command: its program, the user's terminal, the heartbeat file, the tokens.
//!
//! The loop is that of an agent's run; whatever blocks runs on its own thread. The program's output never passes through the
//! loop: the console carries it from the program's terminal to the user's, and also writes ccc's own messages.
//!
//! Ctrl-C: while the program has its own terminal, the user's terminal is raw, and the key goes to the program's terminal,
//! which makes a signal of it or not. In a pipeline the terminal signals ccc, and ccc signals the program's process group.
//! While the program is stopped, and between two starts, ccc reads the keys.

mod beat_file;
mod perform;
mod world;

pub use world::{CommandEnd, CommandRun, CommandSetup, Looked, TokenSupply, run_command};
