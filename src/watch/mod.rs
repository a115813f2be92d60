//! The dashboard on a terminal: connects the files of all agents, the sockets of the active ones, the keyboard and the screen to
//! `ui/dashboard`, which decides what is shown and done.
//!
//! One thread holds everything (`session`): the sockets of all runs, the keys, and the changes of the runs' directories, which the
//! system reports; nothing is asked in a circle. Reading the files of runs and journals, asking git which files an agent has changed,
//! writing to the terminal and waiting for a command that has the terminal have threads of their own, few and independent of the number of agents.
//!
//! The dashboard does not attend the runs: it changes nothing about what they do while nobody attends. Only the run of the
//! selected agent sends the words in progress.
//!
//! This room decides nothing about a run. It may touch the files of runs (reading), the control sockets, the usage cache
//! (reading) and the user's terminal, which is restored on every exit path.

mod link;
mod message;
mod overlaps;
mod paper;
mod past;
mod roster;
mod session;
mod states;
mod usage;

pub use overlaps::ChangedFiles;
pub use session::{Answers, WatchEnd, WatchSetup, watch};
pub use states::follow_states;
pub use usage::usage_known;
