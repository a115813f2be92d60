//! The only place that handles PTYs, pipes and process trees, that sends signals, and that may use `unsafe`. (The host of a run
//! handles the signals to ccc itself: `driver/signals.rs`.)
//!
//! # Theory of operation
//!
//! Every child is started in its own session, by [`spawn`] (an agent or a critic) or [`run_command`] (a check). Its stdin is a
//! pipe. Its stdout is a pipe, or the slave of a PTY that is its controlling terminal, so that it gets SIGHUP when ccc dies.
//! Its stderr is a pipe. Four threads per child with small stacks wait for events and call the [`ChildSink`]: for stdout,
//! stderr, stdin, and the end.
//!
//! A child's end has a fixed order. It has exited but is not reaped, so its pid cannot be reused → the processes that it left
//! are killed → buffered output is read, within limits → it is reaped → [`ChildSink::exited`]. When `exited` is called, no
//! descendant of that child is alive, except for those that [`Exit::leaked`] counts.
//!
//! A command has no terminal whose SIGHUP would end it when ccc dies. So a keeper process runs between ccc and the command:
//! when ccc dies, it kills the command and all its descendants.
//!
//! # Interactive programs
//!
//! A program that must behave as if it had been started directly ([`spawn_interactive`]) gets a separate terminal with the
//! modes of the user's terminal ([`UserTerminal`]); every key is passed on ([`Keys`]). A monitor process leads its session, so
//! that Ctrl-Z stops it as it would under a shell. If stdout is not a terminal, the program inherits ccc's descriptors.
//!
//! # Whose process is it?
//!
//! Agents run their tools in separate sessions, so a signal to the group misses them. A process is attributed to a child by, in
//! this order: its session, its process tree (now, and as seen while the child lived), the environment cookie of this start
//! ([`SPAWN_VARIABLE`]), the child's PTY or pipe if the process still holds it, and, for orphans that became our children
//! ([`become_subreaper`]), elimination. An orphan that could belong to another live child is left until that child ends. On a
//! system where every orphan becomes ccc's child, no orphan means that nothing is left, so the process table need not be read.
//!
//! After ccc was killed, the next ccc uses the cookie ([`sweep_run`]) and the record of the children's descendants
//! ([`record_descendants`], [`end_recorded`]), which identifies a daemon without the cookie by its pid and start time.
//!
//! # Walls
//!
//! A child may be started behind [`Walls`], which say what it may write, with everything that it starts. They are raised in the
//! child itself, after the processes that ccc puts between (monitor and keeper) have split off. If they cannot be raised, nothing
//! is executed ([`SpawnError::NoWalls`]).
//!
//! # What this module relies on
//!
//! * A sink's methods return soon and never wait for the child: while stdout's sink is busy, the child's output is not read.
//! * Several runs may start children in one process. Each ends only its own: by [`Child::kill_tree`] and
//!   [`Cancel::kill`]. The host of the runs does what concerns the whole process ([`reap_orphans`], [`stop_children`]).
//! * No other code of this process starts children in separate sessions: [`reap_orphans`] and the sweep would treat
//!   such a process as an orphan. The ccc of another run is excluded ([`Apart`]). Children in ccc's own session (`std::process::Command`) are never touched.
//!
//! # What it must not do
//!
//! It decides nothing: the core interprets exits and lines. It does not print or log: results are returned or passed to the
//! sink.
//!
//! # Other systems
//!
//! What differs by system stands in `system/`. On macOS the process table, sessions and environments are read, but orphans go to
//! launchd and the environment of Apple's own programs is hidden, and a command has no keeper. On a system without a process table
//! a sweep is a `SIGKILL` to the child's group, and sweeps at start-up find nothing. docs/systems.md says what this means for the
//! user. Everything else is the same.

mod apart;
mod awake;
mod child;
mod descriptors;
mod echo;
mod error;
mod exec;
mod foreground;
mod hosted;
mod ids;
mod input;
mod interactive;
mod keys;
mod launch;
mod leftovers;
mod limits_probe;
mod lookup;
mod monitor;
mod one_shot;
mod other_host;
mod output;
mod peer;
mod pty;
mod record;
mod registry;
mod saved_modes;
mod scope;
mod scope_probe;
mod signal;
mod spec;
mod suspend;
mod sweep;
mod system;
mod user_terminal;
mod wake;
mod walls;

pub use apart::{EndedApart, Others, Watched, booted_unix_ms, is_below_ccc, leave_apart, let_go, ring, run_apart};
pub use awake::{Awake, Inhibitor};
pub use child::{Below, Child, ChildSink, Exit, spawn, spawn_on, spawn_or_pipe};
pub use echo::TypedEcho;
pub use error::{SpawnError, StdinError};
pub use exec::exec;
pub use foreground::Foreground;
pub use hosted::{Detached, Host, bound_host_log, detach};
pub use input::STDIN_QUEUE_LIMIT_BYTES;
pub use interactive::{
    CTRL_BACKSLASH, CTRL_C, CTRL_Z, InteractiveChild, InteractiveSink, InteractiveTerminal, Likeness, spawn_interactive,
};
pub use keys::{KeySink, Keys};
pub use leftovers::LeftRunning;
pub use limits_probe::{Lacking, Limiting};
pub use lookup::{is_executable, missing_program, on_path, unmade_program};
pub use one_shot::{Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, EndedWithCcc, run_command};
pub use other_host::Apart;
pub use output::{DRAIN_LIMIT_BYTES, DRAIN_QUIET_MS};
pub use peer::{ancestors, is_inside, knows_ancestors, marks_above, own_mark};
pub use pty::{Ptys, SystemPtys};
pub use record::Survivor;
pub use registry::{Recording, observe_run, record_descendants};
pub use saved_modes::SavedModes;
pub use scope::{Limited, Limiter, NoScope, ScopeLimits};
pub use signal::{Signal, bear_file_limits, end_by_interrupt, is_ignored};
pub use spec::{ATTEMPT_VARIABLE, ChildSpec, Cookie, InteractiveSpec, RUN_ID_VARIABLE, SPAWN_VARIABLE, Transport};
pub use suspend::{Stopped, stop_children};
pub use sweep::{SWEEP_LIMIT_MS, SWEEP_PASSES_LIMIT, Swept, become_subreaper, end_recorded, reap_orphans, sweep_run};
pub use system::{ChangedEntry, Copied, DirWatch, MachineLoad, Wall, Walls, machine_load, use_one_heap, watch_names};
pub use user_terminal::{TerminalGuard, UserTerminal, own_job_can_stop, stop_own_job};
pub(crate) use wake::poll;
pub use walls::Means;
