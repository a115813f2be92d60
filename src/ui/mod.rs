//! Shows a run: printers turn its events into text, and the screen writes the text.
//!
//! The two halves share only [`ScreenOutput`]:
//!
//! - A [`Printer`] is pure: it turns a moment of the run and a [`crate::core::Show`] into text, and reads no clock, no
//!   environment and no terminal. So the live run, a replay, an export and the tests show the same. The properties of
//!   the terminal are passed in as a [`Style`], and later by [`Printer::resize`].
//! - A [`Screen`] owns the two streams and writes from a thread of its own. A terminal that accepts nothing (Ctrl-S, a pager that
//!   hangs) loses lines of progress, which are counted, and never delays the run.
//!
//! stdout carries data (the final result, JSON), stderr messages. Text of a model, a tool or a check is not trusted:
//! all text shown passes through [`clean`], so it cannot move the cursor, set a title, ring the bell or reorder
//! characters.
//!
//! The order of calls: [`Printer::start`] once, [`Printer::render`] for each event, [`Printer::status`] at most once a
//! second, [`Printer::finish`] once. Each output goes to [`Screen::put`] at once; [`Screen::finish`] is the last call.
//!
//! # `--output-format json`
//!
//! One object at the end, on one line, with these fields and no others:
//!
//! | field | value |
//! |---|---|
//! | `outcome` | `completed`, `needs_user`, `budget`, `stuck`, `limits`, `failed` or `interrupted` |
//! | `reason` | why, in one sentence |
//! | `run_id` | the run's id |
//! | `session_id` | the agent's session; `null` if it was never known |
//! | `iterations` | stops judged |
//! | `restarts` | times the agent was started again |
//! | `rotations` | times another token was taken |
//! | `waited_ms` | milliseconds spent waiting for limits |
//! | `duration_ms` | milliseconds of working time (the machine's sleep does not count) |
//! | `cost_usd` | money spent; `null` while unknown, never 0 for unknown |
//! | `result` | the agent's last answer |
//! | `tests_touched` | the files of tests and of checks that were not as at the run's beginning when the agent stopped last: `path`, `touches` (`removed`, `skipped`, `fewer_assertions`, `of_check` …) |
//! | `protected` | what the checks had of the protected files: `restored` (those that were as at the run's beginning and not as the agent has them), `more`, `without_content`, `written_meanwhile`, `unmatched`, or `no_effect`; `null` if none are protected |
//! | `report` | path of the report; `null` while there is none |
//! | `resume` | the shell command that continues the run or, after a completed run, its session; `null` if there is none |
//!
//! # `--output-format stream-json`
//!
//! One object per line, for each event as it happens. Each begins with `"v"` (the version of this format, 1), `"type"`,
//! `"t_ms"` (milliseconds since the run began) and `"unix_ms"` (the wall clock then; `null` where it is not known).
//! Within a version, fields and types are only added: readers skip those that they do not know. Characters that could
//! act on a terminal are written as `\uXXXX`, so the text is complete and harmless.
//!
//! | `type` | further fields |
//! |---|---|
//! | `run` (always the first) | see below |
//! | `phase` | `phase` `detail` `iteration` (the one under way: while the agent works, that of its next stop) |
//! | `session` | `session_id` `model` `agent_version` `permission_mode` |
//! | `permission_mode` | `mode` (another one than before) |
//! | `retrying` | `role` `attempt` `max_attempts` `delay_ms`: a request failed, and the agent's CLI tries again; a `notice` says so, too |
//! | `turn` | `kind` (`task`, `operator`, `worker`, `feedback`, `check_failure`, `continue`, `compact`, `brief`) `text` |
//! | `text` | `role` (`agent`, `critic`) `sub_agent` `text` `under`⁰ (the call that began the sub-agent) |
//! | `thinking` | `role` `text` `under`⁰ |
//! | `tool` | `role` `id` `name` `target` `edit`⁰ (`path` `old` `new`) `under`⁰ |
//! | `tool_ended` | `role` `id` `failed` `output`⁰ (`head` `tail` `lines`) `hunks`⁰ (what it changed in its file, each `old_start` `new_start` `lines`) |
//! | `denied` | `role` `tool` `target` |
//! | `setup` | the fields of `check`: a command of the setup has ended |
//! | `check` | `command` `passed` `summary` `duration_ms` `tail` |
//! | `verdict` | `verdict` (`completed`, `feedback`, `needs_user`, `unusable`) `iteration` `text` |
//! | `cost` | `cost_usd`⁰ |
//! | `context` | `used_tokens`⁰ `window_tokens`⁰: how much of the model's context the agent's conversation uses |
//! | `notice` | `text` |
//! | `awaited` | `role` `what` `for_ms` (how long there has been no progress) `left_ms` `then` (`hung`, `judged`, `goes_on`) `alive` |
//! | `rotation` | `from` `to` (labels) `why` |
//! | `spent` | `tokens` (each `label` `until_unix_ms`⁰ `refused` `held`) `until_unix_ms` `waits` |
//! | `question` | `number` `token` `next`⁰ `until_unix_ms`⁰ (about a permission `permission` in the place of these three) `choices` `default` `timeout_ms` |
//! | `asked` | `id` `kind` (`permission`, `choices`, `plan`, `form`) `tool` `target`, and as they apply `input` `input_is_cut` `edit` `said` `reason` `rules` `questions` `plan` `fields` `under` `deny_in_ms` |
//! | `settled` | `id` `how` (`allowed`, `allowed_for_session`, `denied`, `answered`, `withdrawn`, `gone`, `policy`) `words` |
//! | `queue` | `turns` (each `key` `text`) |
//! | `todo` | `items` (each `text` `state`) |
//! | `offers` | `commands` (each `name` `description` `argument_hint`) `models` `permission_modes`⁰ |
//! | `attended` | `clients` |
//! | `rests` | `why` (`no_task`, `interrupted`, `judged`, `unsupervised`, `paused`, `taken_up`, `workers`) `outcome`⁰ `reason` |
//! | `windows` | `label` `five_hour`⁰ `seven_day`⁰ |
//! | `words` (only from `ccc follow --words`) | `role` `kind` (`text`, `thinking`) `text`: a part of a text in progress; the complete text follows as `text` or `thinking` |
//! | `finished` | `outcome` `reason` |
//! | `result` (always the last) | the fields of `--output-format json` |
//!
//! The fields of `run`: `run_id` `run_dir` `cwd` `session_id`⁰ `agent_path` `agent_version` `credential`,
//! the key of each of [`Bound::ALL`](crate::core::Bound::ALL) in their order (`null` where there is no such bound),
//! `stall_timeout_ms` `tool_timeout_ms` `checks` `prompt_origin`.
//!
//! ⁰ may be `null`.

mod advice;
mod banner;
pub mod clean;
pub(crate) mod columns;
pub mod composer;
pub mod conversation;
pub mod dashboard;
mod denials;
mod diff;
mod ending;
pub(crate) mod format;
mod json;
pub mod keys;
mod limits;
pub mod markdown;
mod modes;
mod object;
mod output;
pub mod paint;
pub mod parts;
mod plain;
mod printer;
mod question;
mod requests;
pub(crate) mod rows;
pub mod run_summary;
mod screen;
mod status;
mod streamed;
mod style;
pub(crate) mod token_state;
mod tools;

pub use advice::raised;
pub use banner::Banner;
pub use ending::Ending;
pub use json::{FORMAT_VERSION, Json, StreamJson};
pub use modes::ScreenModes;
pub use object::harmless_json;
pub use output::{ERASE, OutputKind, ScreenOutput, Stream};
pub use plain::Plain;
pub use printer::{Form, Printer};
pub use requests::{Words as RequestWords, block as request_block, filled_form};
pub use screen::{Flushed, Limits, Screen, ScreenError, stdio_is_one_place};
pub use status::Awaited;
pub use style::Style;

/// The wall time at `tick`, given that the wall clock showed `unix_ms` at `at`.
fn wall_time(at: crate::core::Tick, unix_ms: i64, tick: crate::core::Tick) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    unix_ms.saturating_add(ms(tick.ms_since(at))).saturating_sub(ms(at.ms_since(tick)))
}
