//! Lists of tasks for `ccc night` ([docs/night.md](../../docs/night.md)): reads a list, and keeps what is remembered about it.
//!
//! [`read_list`] turns a text into tasks: one a line, the items of a Markdown list, or JSON with options for each. [`NightDir`] is
//! the directory of a list in the state directory, with its lock and its record. What is done next is decided in
//! [`crate::agenda`]; this room starts nothing, asks nobody and prints nothing. It does not write to a list.

mod entry;
mod fault;
mod json;
mod lines;
mod list;
mod record;

pub use entry::{TaskEntry, TaskOptions};
pub use fault::{EntryFault, ListFault};
pub use list::{List, read_list};
pub use record::{NIGHTS_DIR, NightDir, NightRecord};
