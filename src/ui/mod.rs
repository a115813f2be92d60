//! What a run shows: the printers that turn events into text, and the screen that writes it.
//!
//! Two halves that know nothing of each other but [`ScreenOutput`]:
//!
//! - A [`Printer`] is pure. It takes a moment of the run and a [`crate::core::Show`] and gives the text to write; it
//!   reads no clock, no environment and no terminal. The live run, a replay, an export and the tests therefore show
//!   the same. What it must know of the terminal is handed in as a [`Style`], and later by [`Printer::resize`].
//! - A [`Screen`] owns the two streams. A thread of its own writes, so a terminal that takes nothing (Ctrl-S, a pager
//!   that hangs) costs lines of progress, which are counted, and never holds up the run.
//!
//! stdout carries data (the final result, JSON), stderr talk. Text that comes from a model, a tool or a check is not
//! trusted: whatever is shown has gone through [`clean`], so it cannot move the cursor, set a title, ring or reorder.
//!
//! The order of calls: [`Printer::start`] once, [`Printer::render`] for each event, [`Printer::status`] at most once a
//! second, [`Printer::finish`] once; each output goes to [`Screen::put`] as it comes, and [`Screen::finish`] ends it.
//!
//! # `--output-format json`
//!
//! One object at the end, on one line, with these fields and no others:
//!
//! | field | value |
//! |---|---|
//! | `outcome` | `completed`, `needs_user`, `budget`, `stuck`, `limits`, `failed` or `interrupted` |
//! | `reason` | one sentence that says why |
//! | `run_id` | the run's name |
//! | `session_id` | the agent's session; `null` when it was never known |
//! | `iterations` | stops judged |
//! | `restarts` | times the agent was started again |
//! | `rotations` | times another token was taken |
//! | `waited_ms` | milliseconds spent waiting for limits |
//! | `duration_ms` | milliseconds of working time (the machine's sleep does not count) |
//! | `cost_usd` | money spent; `null` while unknown, never 0 for unknown |
//! | `result` | the agent's last answer |
//! | `report` | path of the report; `null` while there is none |
//! | `resume` | the shell command to go on with: that of the run or, of a completed one, of its session; `null` when there is none |
//!
//! # `--output-format stream-json`
//!
//! One object a line, as it happens. Each begins with `"v"` (the version of this format, 1), `"type"`, `"t_ms"`
//! (milliseconds since the run began) and `"unix_ms"` (the wall clock then; `null` where it is not known). Within a version fields and types are only added: readers skip what they do
//! not know. Characters that could act on a terminal stand as `\uXXXX`, so the text is complete and harmless.
//!
//! | `type` | further fields |
//! |---|---|
//! | `run` (always the first) | `run_id` `run_dir` `cwd` `session_id`⁰ `agent_path` `agent_version` `credential` `max_iterations` `max_duration_ms`⁰ `until_unix_ms`⁰ `max_wait_ms`⁰ `max_cost_usd`⁰ `max_tokens`⁰ `max_restarts` `stall_timeout_ms` `tool_timeout_ms` `checks` `prompt_origin` |
//! | `phase` | `phase` `detail` `iteration` |
//! | `session` | `session_id` `model` `agent_version` `permission_mode` |
//! | `turn` | `kind` (`task`, `operator`, `feedback`, `check_failure`, `continue`, `brief`) `text` |
//! | `text` | `role` (`agent`, `critic`) `sub_agent` `text` |
//! | `tool` | `role` `id` `name` `target` `edit`⁰ (`path` `old` `new`) |
//! | `tool_ended` | `role` `id` `failed` |
//! | `denied` | `role` `tool` `target` |
//! | `check` | `command` `passed` `summary` `duration_ms` `tail` |
//! | `verdict` | `verdict` (`completed`, `feedback`, `needs_user`, `unusable`) `iteration` `text` |
//! | `cost` | `cost_usd`⁰ |
//! | `notice` | `text` |
//! | `awaited` | `role` `what` `for_ms` (so long nothing has moved on) `left_ms` `then` (`hung`, `judged`, `goes_on`) `alive` |
//! | `rotation` | `from` `to` (labels) `why` |
//! | `spent` | `tokens` (each `label` `until_unix_ms`⁰ `refused`) `until_unix_ms` |
//! | `question` | `number` `token` `next`⁰ `until_unix_ms`⁰ `choices` `default` `timeout_ms` |
//! | `finished` | `outcome` `reason` |
//! | `result` (always the last) | the fields of `--output-format json` |
//!
//! ⁰ may be `null`.

mod advice;
mod banner;
pub mod clean;
pub(crate) mod columns;
mod diff;
mod ending;
pub(crate) mod format;
mod json;
mod limits;
mod modes;
mod object;
mod output;
mod plain;
mod printer;
mod question;
pub(crate) mod rows;
mod screen;
mod status;
mod streamed;
mod style;
pub(crate) mod token_state;
mod tools;

pub use banner::Banner;
pub use ending::Ending;
pub use json::{FORMAT_VERSION, Json, StreamJson};
pub use modes::ScreenModes;
pub use object::harmless_json;
pub use output::{ERASE, OutputKind, ScreenOutput, Stream};
pub use plain::Plain;
pub use printer::{Form, Printer};
pub use screen::{Flushed, Limits, Screen, ScreenError};
pub use status::Standing;
pub use style::Style;

/// The wall time at `tick`, when the wall clock showed `unix_ms` at `at`.
fn wall_time(at: crate::core::Tick, unix_ms: i64, tick: crate::core::Tick) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    unix_ms.saturating_add(ms(tick.ms_since(at))).saturating_sub(ms(at.ms_since(tick)))
}
