//! A scrubbed copy of a run, to be shown to others or kept as a test: private names are mapped, the same everywhere, in
//! the plan, the inputs and the actions, so that a replay of the copy still matches.
//!
//! Kept: session ids and uuids (random, and the turns' follow from the seed), times, all texts. A decision that depends
//! on the *length* of a mapped name (a text cut in the middle of a path) can differ; `ccc replay --check` on the copy tells.

use std::io;
use std::path::{Path, PathBuf};

use aho_corasick::{AhoCorasick, Input as Haystack, MatchKind};
use serde_json::value::RawValue;

use crate::core::{Input, Plan};
use crate::journal::redact::begins_a_word;
use crate::journal::{
    EntryKind, FileSink, Header, JournalReader, JournalWriter, ReadError, Redactor, RunDir, RunDirError, RunSummary,
    SummaryError,
};

/// The shortest user or host name that is mapped: shorter ones stand inside too many other words.
const MIN_NAME_BYTES: usize = 3;
/// Words of the protocols and of everyday output. A user of that name is not told by it, and mapping it would break the
/// messages themselves.
const PUBLIC_WORDS: [&str; 24] = [
    "agent",
    "assistant",
    "build",
    "claude",
    "code",
    "content",
    "critic",
    "error",
    "home",
    "host",
    "line",
    "localhost",
    "message",
    "model",
    "name",
    "project",
    "result",
    "root",
    "system",
    "task",
    "text",
    "tool",
    "type",
    "user",
];

/// What is private about the machine of a run; the command that exports knows it from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private {
    /// The user's home directory.
    pub home: Option<String>,
    /// The user's name.
    pub user: Option<String>,
    /// The machine's names.
    pub hosts: Vec<String>,
}

/// Why a run could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Its journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy's directory cannot be made.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// Its summary cannot be read or written.
    #[error(transparent)]
    Summary(#[from] SummaryError),
    /// The copy cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The copy's journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Entries are missing in the journal: a replay of the copy could not match.
    #[error("{}: entries {from} to {to} are missing in the journal, so a copy could not be replayed", path.display())]
    Gap {
        /// The journal.
        path: PathBuf,
        /// The first missing entry.
        from: u64,
        /// The last missing entry.
        to: u64,
    },
    /// An entry does not mean the same once names are mapped.
    #[error("{}: entry {n} cannot be scrubbed: {source}", path.display())]
    Unscrubbable {
        /// The journal.
        path: PathBuf,
        /// The entry.
        n: u64,
        /// What went wrong.
        source: serde_json::Error,
    },
}

/// Maps private names; the same name always to the same.
#[derive(Debug)]
pub struct Scrubber {
    finder: Option<AhoCorasick>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    from: String,
    to: String,
    whole: Whole,
}

/// What must not stand beside a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// A path: no more of the same component after it.
    Path,
    /// A path written with `-` for `/`, as Claude Code names its project directories: no letter or digit after it.
    Slug,
    /// A name: no word character on either side.
    Word,
}

impl Scrubber {
    /// The scrubber of a run in `cwd` on this machine.
    #[must_use]
    pub fn new(cwd: &str, private: &Private) -> Scrubber {
        let mut rules = Vec::new();
        path_rules(&mut rules, cwd, "/project");
        if let Some(home) = &private.home {
            path_rules(&mut rules, home, "/home/user");
        }
        if let Some(user) = &private.user {
            name_rule(&mut rules, user, "user");
        }
        for (index, host) in private.hosts.iter().enumerate() {
            name_rule(&mut rules, host, &format!("host{}", index + 1));
        }
        // Of two names at one place the longer one counts: the project before the home it lies in.
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.from.len()));
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(rules.iter().map(|rule| rule.from.as_str()))
            .ok();
        Scrubber { finder, rules }
    }

    /// Maps the names in a text or a JSON document.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let Some(finder) = &self.finder else {
            return text.to_owned();
        };
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        let mut look_from = 0;
        while let Some(hit) = finder.find(Haystack::new(bytes).range(look_from..)) {
            let at = hit.start();
            look_from = at + 1;
            // The longest may not fit (`/home/a/shopping`) where a shorter one does (`/home/a`).
            let fits = |rule: &&Rule| {
                bytes[at..].starts_with(rule.from.as_bytes()) && rule.fits(bytes, at, at + rule.from.len())
            };
            if let Some(rule) = self.rules.iter().find(fits) {
                out.push_str(&text[copied..at]);
                out.push_str(&rule.to);
                copied = at + rule.from.len();
                look_from = copied;
            }
        }
        out.push_str(&text[copied..]);
        out
    }
}

impl Rule {
    fn fits(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        let after = bytes.get(end).copied().unwrap_or(b' ');
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
        match self.whole {
            Whole::Path => !word(after) && after != b'-',
            Whole::Slug => !word(after),
            Whole::Word => {
                // `\n` before `ame` is an escape of JSON and not the name `name`.
                let in_escape = start > 0 && bytes[start - 1] == b'\\';
                !word(after) && !in_escape && begins_a_word(bytes, start, 0)
            }
        }
    }
}

fn path_rules(rules: &mut Vec<Rule>, path: &str, to: &str) {
    let path = path.trim_end_matches('/');
    if path.len() < 2 {
        return;
    }
    let mut add = |from: String, to: String, whole| {
        if rules.iter().all(|rule| rule.from != from) {
            rules.push(Rule { from, to, whole });
        }
    };
    // As it stands in a JSON string; the same for all but odd paths.
    let quoted = serde_json::Value::String(path.to_owned()).to_string();
    add(quoted[1..quoted.len() - 1].to_owned(), to.to_owned(), Whole::Path);
    let slug =
        |path: &str| -> String { path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect() };
    add(slug(path), slug(to), Whole::Slug);
}

fn name_rule(rules: &mut Vec<Rule>, name: &str, to: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() < MIN_NAME_BYTES
        || !name.bytes().all(plain)
        || name.bytes().all(|byte| byte.is_ascii_digit())
        || PUBLIC_WORDS.contains(&name.to_ascii_lowercase().as_str())
        || rules.iter().any(|rule| rule.from == name)
    {
        return;
    }
    rules.push(Rule { from: name.to_owned(), to: to.to_owned(), whole: Whole::Word });
}

/// Writes a scrubbed copy of the run in `run` (a run's directory) into the state directory `into`, under the same id.
///
/// # Errors
/// When the run cannot be read or has a gap, or the copy cannot be written.
pub fn export_fixture(run: &Path, into: &Path, private: &Private, redactor: &Redactor) -> Result<RunDir, ExportError> {
    let mut reader = JournalReader::open(run)?;
    let journal = run.join(crate::journal::JOURNAL_FILE);
    let plan = reader.plan()?;
    let scrubber = Scrubber::new(&plan.cwd, private);
    let unscrubbable = |n: u64| {
        let path = journal.clone();
        move |source| ExportError::Unscrubbable { path, n, source }
    };
    let mut scrubbed: Plan =
        serde_json::from_str(&scrubber.text(reader.header().plan.get())).map_err(unscrubbable(0))?;
    // Where programs are installed says much about a machine, and no decision depends on it.
    if let Some(name) = Path::new(&scrubbed.agent_program).file_name() {
        scrubbed.agent_program = name.to_string_lossy().into_owned();
    }
    let header = Header::new(&scrubbed, &reader.header().version).map_err(unscrubbable(0))?;

    let dir = RunDir::create(into, &plan.run_id)?;
    let write = |source| ExportError::Write { path: dir.journal(), source };
    let sink = FileSink::open(&dir.journal(), &dir.blobs()).map_err(write)?;
    let mut writer = JournalWriter::with_sink(sink, &header, redactor.clone()).map_err(unscrubbable(0))?;
    for entry in &mut reader {
        let entry = entry?;
        let n = entry.n;
        match entry.kind {
            EntryKind::In(input) => {
                let json = serde_json::to_string(&input).map_err(unscrubbable(n))?;
                let input: Input = serde_json::from_str(&scrubber.text(&json)).map_err(unscrubbable(n))?;
                writer.input(entry.tick, &input);
            }
            EntryKind::Act(action) => {
                let action = RawValue::from_string(scrubber.text(action.get())).map_err(unscrubbable(n))?;
                writer.raw_action(entry.tick, &action);
            }
            EntryKind::Gap(gap) => {
                return Err(ExportError::Gap { path: journal, from: gap.from, to: gap.to });
            }
        }
        if let Some(news) = writer.commit() {
            return Err(write(io::Error::other(format!("{news:?}"))));
        }
    }
    if let Some(news) = writer.close() {
        return Err(write(io::Error::other(format!("{news:?}"))));
    }
    copy_summary(run, &dir, &scrubber, redactor)?;
    Ok(dir)
}

/// A run without a readable summary is exported without one: a replay does not need it.
fn copy_summary(run: &Path, dir: &RunDir, scrubber: &Scrubber, redactor: &Redactor) -> Result<(), ExportError> {
    let Ok(mut summary) = RunSummary::read(&run.join("run.json")) else {
        return Ok(());
    };
    summary.task = scrubber.text(&summary.task);
    summary.cwd = scrubber.text(&summary.cwd);
    for text in [&mut summary.reason, &mut summary.result, &mut summary.resume] {
        *text = text.as_deref().map(|text| scrubber.text(text));
    }
    summary.write(&dir.summary(), redactor)?;
    Ok(())
}
