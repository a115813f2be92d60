//! The journal of a run: record, read, redact, export; and the directory and locks around it.
//!
//! A run is a directory `<state>/runs/<id>/` (0700, files 0600) with `run.json` ([`RunSummary`], replaced as a whole),
//! `journal.jsonl`, `blobs/` and `lock`. The journal is what a replay, a resume, a report and an explanation are made of:
//! every action, and every input before it, before it is performed.
//!
//! # Format 1.2
//! One JSON document a line, each line ended by `\n`:
//!
//! ```text
//! {"ccc":{"major":1,"minor":2},"run":…,"seed":…,"prompt_sha256":…,"version":…,"plan":{…}}      the header
//! {"n":1,"t":0,"in":{"began":{…}}}                                  an input: number, µs of the run, core::Input
//! {"n":2,"t":0,"act":{"spawn":{…}}}                                 an action: core::Action, all but Show
//! {"n":3,"t":9,"in_blob":{"sha256":…,"bytes":…,"kind":"line"}}      an input over 64 KiB, in blobs/<sha256>
//! {"n":4,"t":9,"act_blob":{…}}                                      an action over 64 KiB
//! {"t":9,"gap":{"from":5,"to":9,"error":…}}                         entries that the disk did not take
//! {"t":9,"synced":4}                                                entries up to 4 are on the disk, payloads too
//! ```
//!
//! The run of a command (`ccc supervise`) has `"kind":"command"` in its header, and [`crate::core::supervised`]'s plan, inputs and
//! actions; without the field it is an agent's. An older ccc refuses such a journal at its plan.
//!
//! Inputs and actions share one numbering without holes. An agent's JSON line stands verbatim inside its input (only
//! white space that is a line end becomes a blank); other lines are text, in which invalid UTF-8 was replaced when they
//! were read, so no base64 is needed. `run`, `seed` and `prompt_sha256` repeat or sum up the plan for `jq`.
//!
//! # Old and new readers and writers
//! | | old journal | new journal |
//! |---|---|---|
//! | **old ccc** | reads | major higher: refused by name. Minor higher: unknown fields and unknown kinds of lines are passed over; an unknown kind of *input* is refused with its line, since a replay without it would be another run. An unknown kind of *action* is just text that will not compare equal. |
//! | **new ccc** | must read every minor of its major; `fixtures/compat/` holds one journal per released format and kind of run, with fields of the future in it. | reads |
//!
//! So a new optional field or kind of line raises nothing, a new kind of input or a new variant inside one raises the
//! minor, a changed meaning raises the major. A field added to [`crate::core::Plan`] or an input needs a default for
//! journals that lack it. An old ccc that *appends* to a newer journal (resume) is stopped by the same rules, because it
//! reads the journal first.
//!
//! # Power cuts
//! A thread syncs (`sync.rs`), in this order: payloads, the names of the payloads, the journal, and at the beginning the
//! directories above; then `run.json`, written beside its place, synced, renamed, and the directory synced. It is asked
//! with every turn that is sent, and otherwise with every beat of the heartbeat, at most five seconds apart.
//!
//! The promise: **a turn reaches the agent only after its record, and all before it, is on the disk.** The child's writer
//! waits for that, not the loop, and for two seconds at most; a disk that takes longer is told. So what a power cut can
//! take are facts since the last turn that was sent, and of these the last five seconds. That is what a ccc that was
//! killed a little earlier would not have known either, and a resume finds out from the session's own record.
//!
//! `synced` lines say how far the journal was on the disk. Damage (a hole of zeros, a line or payload cut short, missing
//! or wrong) after the last of them is the torn tail of a power cut: it is dropped, and told. Damage before it is named
//! damage: the journal cannot be continued. A header without `marks` is of a ccc that wrote no such lines; there
//! only a last line without its end, and a payload of the very last entry, are a torn tail.
//!
//! `lock` and the sessions' locks are not synced, since a reboot frees them, nor is `heartbeat.json`, which says nothing
//! after a power cut.
//!
//! # Trust
//! The core knows no secrets, and [`Redactor`](redaction::Redactor) goes over every encoded line, payload and summary.
//! For a replay to meet the very same inputs, the driver redacts an agent's line ([`Redactor::json_str`](redaction::Redactor::json_str)) before the core
//! sees it; the writer's own pass then changes nothing. What the user typed (task, turns) is redacted in the journal only;
//! replay redacts an action it made before it compares.
//!
//! Not here: clocks (times are arguments), the terminal, the decision what to do about trouble. A disk that takes
//! nothing never fails the run ([`JournalWriter`]).

mod decisions;
pub mod disk;
mod disk_thread;
pub mod export;
mod lock;
mod reader;
mod record;
mod run_dir;
mod sink;
mod summary;
mod sync;
mod word;
mod writer;

pub use decisions::{Decisions, Told, decisions};
pub use lock::{FileLock, Holder, LockError};
pub use reader::{Entry, EntryKind, JournalReader, ReadError, Tail, Torn, run_kind};
pub use record::{
    BLOB_THRESHOLD_BYTES, BlobRef, FORMAT_MAJOR, FORMAT_MINOR, FormatVersion, Gap, Header, JournalAction, JournalInput,
    MAX_LINE_BYTES, RunKind, sha256_hex,
};
pub use run_dir::{RunDir, RunDirError, RunList, run_id};
pub use sink::{CLOSE_WAIT_MS, FileSink, Sink};
pub use summary::{RunSummary, SUMMARY_VERSION, SummaryError, TASK_CHARS};
pub use sync::{Durable, SYNC_WAIT_MS};
pub use word::Word;
pub use writer::{BACKLOG_LIMIT_BYTES, JournalNews, JournalWriter, Lost, TRY_AGAIN_MS};

/// The journal's file in a run's directory.
pub const JOURNAL_FILE: &str = "journal.jsonl";
/// The directory of big payloads in a run's directory.
pub const BLOBS_DIR: &str = "blobs";
