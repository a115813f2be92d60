//! The report of a run, for the morning: what was asked and what became of it, in one page.
//!
//! [`Recorder`] follows a journal as a replay does and makes a [`Report`], which is the JSON format. HTML and Markdown are
//! views of it. The parts that are pure: all but [`of_run`] and [`changes`], which read the journal and git.
//!
//! Everything that an agent, a tool, a check or a file says is hostile. It enters a report only as a
//! [`Text`](text::Text), without secrets and without characters that act on a reader; the templates escape it; the page
//! forbids every script but its own, by the script's hash, and every request.
//!
//! Every list of a report has a limit, so that a page stays under 5 MB however long the run was.

mod changes;
mod html;
mod markdown;
mod model;
mod next;
mod nights;
mod of_run;
mod points;
mod record;
pub mod text;
mod timeline;
mod transcript;
mod words;

pub use changes::{Changes, Difference, changes};
pub use html::page;
pub use markdown::markdown;
pub use model::{REPORT_VERSION, Report, RunState, Step};
pub use next::Place;
pub use nights::{NightRow, NightRun, Nights, OutcomeCount};
pub use of_run::{OfRun, of_run};
pub use record::{Closing, Recorder};

#[cfg(test)]
mod tests;
