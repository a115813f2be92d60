//! The only place that touches PTYs, pipes and process trees and that sends signals, and the only one that may use `unsafe`.
//! (Which signals reach ccc itself is read by the host of a run, `driver/signals.rs`.)
//!
//! # Theory of operation
//!
//! Every child is started in a session of its own, by [`spawn`] (an agent or a critic) or [`run_command`] (a check).
//! Its stdin is a pipe, its stdout the slave of a PTY that is its controlling terminal (so our death hangs it up) or a pipe, its stderr a pipe.
//! Per child four threads with small stacks wait for events and call the [`ChildSink`]: stdout, stderr, stdin, and the end.
//!
//! A child's end has a fixed order: it has exited but is not reaped, so its pid cannot be used again → what it left running is
//! killed → what is still buffered is read, within limits → it is reaped → [`ChildSink::exited`].
//! When `exited` is called, no descendant of that child is alive, except for those that [`Exit::leaked`] counts.
//!
//! A command has no terminal that would hang it up when ccc dies. So a keeper process stands between: when ccc dies, it kills the
//! command with all that the command has started.
//!
//! # Interactive programs
//!
//! A program that must behave as if it had been started directly ([`spawn_interactive`]) gets its own terminal with the modes of
//! the user's ([`UserTerminal`]); every key is passed on ([`Keys`]). A monitor process leads its session, so that Ctrl-Z stops it as
//! it would below a shell. If stdout is no terminal, the program gets the descriptors that ccc was given.
//!
//! # Whose process is it?
//!
//! Agents run their tools in separate sessions, so a signal to the group misses them. A process is known as a child's by, in this order:
//! its session, its process tree (now, and as seen while the child lived), the environment cookie that only this start has ([`SPAWN_VARIABLE`]),
//! the PTY or pipe of the child that the process still holds, and, for orphans that became our children ([`become_subreaper`]),
//! elimination. An orphan that could belong to another live child is left until that child ends. If every orphan becomes our child
//! and none lives, nothing is left, and the table of all processes is not read.
//!
//! After ccc was killed, the next ccc uses the cookie ([`sweep_run`]) and the record of what was seen below the children
//! ([`record_descendants`], [`end_recorded`]): a daemon with an environment of its own is known by its pid and its start.
//!
//! # What this module relies on
//!
//! * A sink's methods return soon and never wait for the child: while stdout's sink is busy, the child's output is not read.
//! * Several runs may start children in one process. Each ends only its own: by [`Child::kill_tree`] and [`Cancel::kill`]. Whatever
//!   concerns the whole process ([`reap_orphans`], [`stop_children`]) is for the host of the runs.
//! * No other code of this process starts children in separate sessions: [`reap_orphans`] and the sweep take such a process for an orphan.
//!   Children in our own session (`std::process::Command`) are never touched.
//!
//! # What it must not do
//!
//! Judge: what an exit or a line means is for the core. Print or log: results are returned or handed to the sink.
//!
//! # Other systems
//!
//! Without Linux's `/proc` there is no table of processes: a sweep is then a `SIGKILL` to the child's group, orphans go to init,
//! and start-up sweeps find nothing. Everything else is the same.

mod child;
mod echo;
mod error;
mod input;
mod interactive;
mod keys;
mod launch;
mod leftovers;
mod lookup;
mod monitor;
mod one_shot;
mod output;
mod pty;
mod record;
mod registry;
mod saved_modes;
mod signal;
mod spec;
mod suspend;
mod sweep;
mod system;
mod user_terminal;
mod wake;

pub use child::{Below, Child, ChildSink, Exit, spawn, spawn_on, spawn_or_pipe};
pub use echo::TypedEcho;
pub use error::{SpawnError, StdinError};
pub use input::STDIN_QUEUE_LIMIT_BYTES;
pub use interactive::{CTRL_C, InteractiveChild, InteractiveSink, InteractiveTerminal, Likeness, spawn_interactive};
pub use keys::{KeySink, Keys};
pub use leftovers::LeftRunning;
pub use lookup::{is_executable, missing_program, on_path};
pub use one_shot::{Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, run_command};
pub use output::{DRAIN_LIMIT_BYTES, DRAIN_QUIET_MS};
pub use pty::{Ptys, SystemPtys};
pub use record::Survivor;
pub use registry::{Recording, observe_run, record_descendants};
pub use saved_modes::SavedModes;
pub use signal::Signal;
pub use spec::{ATTEMPT_VARIABLE, ChildSpec, Cookie, InteractiveSpec, RUN_ID_VARIABLE, SPAWN_VARIABLE, Transport};
pub use suspend::{Stopped, stop_children};
pub use sweep::{SWEEP_LIMIT_MS, SWEEP_PASSES_LIMIT, Swept, become_subreaper, end_recorded, reap_orphans, sweep_run};
pub use system::is_ignored;
pub use user_terminal::{TerminalGuard, UserTerminal, own_job_can_stop, stop_own_job};
