//! The journal of a run: record, read, redact, export; and the directory and locks around it.
//!
//! A run is a directory `<state>/runs/<id>/` (0700, files 0600) with `run.json` ([`RunSummary`], replaced as a whole),
//! `journal.jsonl`, `blobs/` and `lock`. Replays, resumes, reports and explanations are made from the journal, so every action,
//! and every input before it, is written before the action is performed.
//!
//! # Format 1.3
//! One JSON document a line, each line ended by `\n`:
//!
//! ```text
//! {"ccc":{"major":1,"minor":3},"run":…,"seed":…,"prompt_sha256":…,"version":…,"plan":{…}}      the header
//! {"n":1,"t":0,"in":{"began":{…}}}                                  an input: number, µs of the run, core::Input
//! {"n":2,"t":0,"act":{"spawn":{…}}}                                 an action: core::Action, all but Show
//! {"n":3,"t":9,"in_blob":{"sha256":…,"bytes":…,"kind":"line"}}      an input over 64 KiB, in blobs/<sha256>
//! {"n":4,"t":9,"act_blob":{…}}                                      an action over 64 KiB
//! {"t":9,"gap":{"from":5,"to":9,"error":…}}                         entries that could not be written
//! {"t":9,"synced":4}                                                entries up to 4 are on the disk, payloads too
//! ```
//!
//! The run of a command (`ccc supervise`) has `"kind":"command"` in its header, and the plan, inputs and actions of
//! [`crate::core::supervised`]; without the field the run is an agent's. An older ccc cannot read such a plan and refuses the
//! journal.
//!
//! Inputs and actions share one numbering without holes. An agent's JSON line stands verbatim inside its input, except
//! that line ends in its white space become blanks. Other lines are text; invalid UTF-8 was replaced when they were read,
//! so no base64 is needed. `run`, `seed` and `prompt_sha256` repeat or summarize the plan for `jq`.
//!
//! # Old and new readers and writers
//! | | old journal | new journal |
//! |---|---|---|
//! | **old ccc** | reads | major higher: refused by name. Minor higher: unknown fields and kinds of lines are skipped; an unknown kind of *input* is refused with its line, because a replay without it would be another run; an unknown kind of *action* is text that compares unequal. |
//! | **new ccc** | reads every minor of its major; `fixtures/compat/` has a journal for each released format and kind of run, with added unknown fields. | reads |
//!
//! So a new optional field or kind of line raises no number, a new kind of input or a new variant inside one raises the
//! minor, and a changed meaning raises the major. A field added to [`crate::core::Plan`] or an input needs a default for
//! journals that lack it. The same rules stop an old ccc that would *append* to a newer journal (resume), because it reads
//! the journal first.
//!
//! # Power cuts
//! A thread syncs (`sync.rs`), in this order: payloads, the directory of the payloads, the journal, and at the beginning
//! the directories above; then `run.json`, which is written to a temporary file, synced and renamed, and its directory. It
//! syncs with every turn that is sent, and otherwise with every heartbeat, at most five seconds apart.
//!
//! The promise: **a turn reaches the agent only after its record, and all before it, is on the disk.** The child's writer
//! waits for that, not the loop, and at most two seconds; the user is told of a slower disk. So a power cut can only take
//! facts since the last turn that was sent, and of these only the last five seconds. A ccc that was killed a little earlier
//! would not have known them either, and a resume finds them in the session's own record.
//!
//! A `synced` line records how much of the journal was on the disk. Damage after the last of these lines (zeros, or a line or
//! payload that is truncated, missing or wrong) is the torn end of a power cut: it is dropped, and the user is told. Damage
//! before it is reported as such, and the journal cannot be continued. A ccc that wrote no such lines has no `marks` in the
//! header; in its journals only an incomplete last line and a payload of the very last entry count as a torn end.
//!
//! `lock` and the sessions' locks are not synced, because a reboot frees them; nor is `heartbeat.json`, which means nothing
//! after a power cut.
//!
//! # Trust
//! The core knows no secrets, and [`Redactor`](redaction::Redactor) redacts every encoded line, payload and summary. A
//! replay must get exactly the same inputs, so the driver redacts an agent's line
//! ([`Redactor::json_str`](redaction::Redactor::json_str)) before the core sees it, and the writer's redaction then changes
//! nothing. What the user typed (task, turns) is redacted only in the journal; a replay redacts the actions that it
//! produces before it compares them.
//!
//! Not here: clocks (times are arguments), the terminal, and decisions about faults. A disk that accepts nothing never fails
//! the run ([`JournalWriter`]).

mod decisions;
pub mod disk;
mod disk_thread;
pub mod export;
mod lock;
mod log;
mod lookup;
mod reader;
mod record;
mod run_dir;
mod run_name;
mod sink;
mod summary;
mod sync;
mod word;
mod writer;

pub use decisions::{DatedDecision, Decisions, decisions};
pub use lock::{FileLock, Holder, LockError};
pub use log::{LogEntry, RunLog, Written, Wrote};
pub use reader::{Entry, EntryKind, JournalReader, ReadError, Tail, Torn, run_kind};
pub use record::{
    BLOB_THRESHOLD_BYTES, BlobRef, FORMAT_MAJOR, FORMAT_MINOR, FormatVersion, Gap, Header, JournalAction, JournalInput,
    MAX_LINE_BYTES, RunKind, sha256_hex,
};
pub use run_dir::{RunDir, RunDirError, RunList, run_id};
pub use run_name::{NameError, RunNames, is_run_name, name_of_task};
pub use sink::{CLOSE_WAIT_MS, FileSink, Sink};
pub use summary::{RunSummary, SUMMARY_VERSION, SummaryError, TASK_CHARS};
pub use sync::{Durable, SYNC_WAIT_MS};
pub use word::Word;
pub use writer::{BACKLOG_LIMIT_BYTES, JournalNews, JournalWriter, Lost, TRY_AGAIN_MS};

/// The journal's file in a run's directory.
pub const JOURNAL_FILE: &str = "journal.jsonl";
/// The directory of big payloads in a run's directory.
pub const BLOBS_DIR: &str = "blobs";
