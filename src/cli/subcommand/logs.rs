//! `ccc logs RUN`.

use std::io;
use std::os::fd::AsFd as _;

use clap::Args;

use crate::agent::Role;
use crate::cli::{CliError, Context, ExitCode, inside, pager, steer, zone};
use crate::control::protocol::Hello;
use crate::control::{Client, ClientError};
use crate::journal::{JournalReader, LogEntry, ReadError, RunDir, RunKind, RunLog, Written, Wrote, run_kind};
use crate::ui::{clean, format};

/// How much of the journal's end is read again for what has come since, besides what it has grown by: more than two lines, whose
/// limit is 64 KiB.
const OVERLAP_BYTES: u64 = 256 * 1024;

/// Show what the processes of a run wrote besides their answers, with the time.
///
/// These are the output of the checks, the stderr of agent and critic at their end, and lines of theirs that are no message, such as
/// warnings. What agent and critic said and did is not among it: see `ccc look` and `ccc report`; why ccc acted is told by
/// `ccc explain`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LogsArgs {
    /// Its name, its id, or the beginning of either; without it, the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Go on with what comes, until the run ends.
    #[arg(long, short)]
    pub follow: bool,

    /// Show only the last N lines.
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<usize>,

    /// Show only what the agent's processes wrote. May be given with --critic and --check.
    #[arg(long)]
    pub agent: bool,

    /// Show only what the critic's processes wrote.
    #[arg(long)]
    pub critic: bool,

    /// Show only the output of the checks.
    #[arg(long)]
    pub check: bool,

    /// Print one JSON object for each piece.
    #[arg(long)]
    pub json: bool,

    /// Do not use a pager.
    #[arg(long)]
    pub no_pager: bool,
}

impl LogsArgs {
    fn wants(&self, by: &Wrote) -> bool {
        if !(self.agent || self.critic || self.check) {
            return true;
        }
        match by {
            Wrote::Process { role: Some(Role::Critic), .. } => self.critic,
            Wrote::Process { role: Some(Role::Agent) | None, .. } => self.agent,
            Wrote::Check { .. } => self.check,
        }
    }
}

/// Shows the log.
///
/// # Errors
/// When there is no such run, or its journal cannot be read.
pub fn run(args: &LogsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let run = steer::find_begun_or_last(args.run.as_deref(), context)?;
    inside::may_read(&run, "logs", context)?;
    let failed = |error: &ReadError| {
        let failed = CliError::failed(error);
        let has_none = matches!(error, ReadError::NoHeader { .. });
        if has_none { failed.hint(format!("to see how it stands: ccc status {}", run.id())) } else { failed }
    };
    if run_kind(&run.journal()).map_err(|error| failed(&error))? == RunKind::Command {
        return Err(CliError::usage(format!(
            "run {} is one of `ccc supervise`: its output goes to its terminal and is not kept",
            run.id()
        ))
        .hint(format!("to see what ccc did: ccc explain {}", run.id())));
    }
    // Before the journal is read, so that nothing falls between.
    let client = if args.follow { follower(&run)? } else { None };
    let mut log = RunLog::default();
    let mut shown: Vec<String> = Vec::new();
    let read = JournalReader::open(&run.journal()).and_then(|reader| {
        log.read(reader, &mut |entry| {
            if args.wants(&entry.by) {
                shown.extend(lines(&entry, args.json));
            }
        })
    });
    let from = args.lines.map_or(0, |last| shown.len().saturating_sub(last));
    let shown = shown.split_off(from.min(shown.len()));
    read.map_err(|error| failed(&error))?;
    if shown.is_empty() && !args.json && client.is_none() {
        context.printer.talk("no process of the run wrote anything that is no message");
    }
    if args.json || client.is_some() {
        print(&shown, args.json, context);
    } else {
        pager::show(&shown, !args.no_pager, context);
    }
    if let Some(client) = client {
        follow(client, &run, log, args, context)?;
    }
    Ok(ExitCode::COMPLETED)
}

/// Connects to the run, if it is at work.
fn follower(run: &RunDir) -> Result<Option<Client>, CliError> {
    match Client::connect(run, &Hello::new("logs", false)) {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(steer::unreachable(&error)),
    }
}

/// Prints what comes, until the run ends: each event says that the journal has grown.
fn follow(
    mut client: Client,
    run: &RunDir,
    mut log: RunLog,
    args: &LogsArgs,
    context: &Context,
) -> Result<(), CliError> {
    let length = || std::fs::metadata(run.journal()).map_or(0, |meta| meta.len());
    client.follow(None, None, false).map_err(|error| steer::unreachable(&error))?;
    if let Ok(output) = io::stdout().as_fd().try_clone_to_owned() {
        client.stops_without_reader_of(output);
    }
    let (mut read_bytes, mut is_over) = (0, false);
    loop {
        let now_bytes = length();
        let grown = if read_bytes == 0 { u64::MAX / 2 } else { now_bytes.saturating_sub(read_bytes) };
        let mut shown = Vec::new();
        let read = JournalReader::open_end(&run.journal(), grown.saturating_add(OVERLAP_BYTES)).and_then(|reader| {
            log.read(reader, &mut |entry| {
                if args.wants(&entry.by) {
                    shown.extend(lines(&entry, args.json));
                }
            })
        });
        read_bytes = now_bytes;
        print(&shown, args.json, context);
        read.map_err(CliError::failed)?;
        if context.printer.reader_has_gone() || is_over {
            return Ok(());
        }
        // After the last event the journal is complete.
        is_over = !matches!(client.next_event(), Ok(Some(_)));
    }
}

fn print(lines: &[String], as_json: bool, context: &Context) {
    for line in lines {
        if as_json {
            context.printer.json(line);
        } else {
            context.printer.line(line);
        }
    }
}

/// The lines of one piece; none for an end that says nothing.
fn lines(entry: &LogEntry, as_json: bool) -> Vec<String> {
    if as_json {
        return vec![json(entry).to_string()];
    }
    let zone = zone::of_process();
    let time = entry.unix_ms.map_or_else(|| " ".repeat(8), |unix_ms| format::time_of_day(unix_ms, &zone));
    let by = match &entry.by {
        Wrote::Process { proc, role: Some(Role::Agent) } => format!("agent (process {})", proc.0),
        Wrote::Process { proc, role: Some(Role::Critic) } => format!("critic (process {})", proc.0),
        Wrote::Process { proc, role: None } => format!("process {}", proc.0),
        Wrote::Check { command } => format!("check `{}`", clean::one_line(command, 100)),
    };
    let text = clean::lines(entry.text());
    // A terminal's own sequences leave nothing.
    if matches!(entry.what, Written::Output { .. }) && text.trim().is_empty() {
        return Vec::new();
    }
    let head = match (&entry.what, entry.end()) {
        (Written::Output { more, .. }, _) => {
            let more = if *more > 0 { format!(", and {more} more like it") } else { String::new() };
            return vec![format!("{time} {by}: {}{more}", clean::one_line(&text, 4_000))];
        }
        (Written::Fault(_), _) => return vec![format!("{time} {by}: {}", clean::one_line(&text, 4_000))],
        (Written::Exit(_) | Written::CheckEnded(_), end) => end.unwrap_or_default(),
    };
    let omitted = match &entry.what {
        Written::CheckEnded(result) if result.omitted_bytes > 0 => {
            format!(" ({} before it are not kept)", format::bytes(result.omitted_bytes))
        }
        Written::CheckEnded(_) | Written::Exit(_) | Written::Output { .. } | Written::Fault(_) => String::new(),
    };
    let colon = if text.trim().is_empty() { "" } else { ":" };
    let mut lines = vec![format!("{time} {by} {}{omitted}{colon}", clean::one_line(&head, 400))];
    lines.extend(text.trim_end().lines().map(|line| format!("    {line}")));
    lines
}

fn json(entry: &LogEntry) -> serde_json::Value {
    let (by, process, command) = match &entry.by {
        Wrote::Process { proc, role } => {
            let by = match role {
                Some(Role::Agent) => "agent",
                Some(Role::Critic) => "critic",
                None => "unknown",
            };
            (by, Some(proc.0), None)
        }
        Wrote::Check { command } => ("check", None, Some(command)),
    };
    let (kind, code, signal, duration_ms, omitted_bytes) = match &entry.what {
        Written::Output { .. } => ("output", None, None, None, None),
        Written::Fault(_) => ("fault", None, None, None, None),
        Written::Exit(exit) => ("exit", exit.code, exit.signal, None, None),
        Written::CheckEnded(result) => {
            let (code, signal) = match result.end {
                crate::words::CheckEnd::Exited(code) => (Some(code), None),
                crate::words::CheckEnd::Signalled(signal) => (None, Some(signal)),
                crate::words::CheckEnd::TimedOut
                | crate::words::CheckEnd::NotStarted(_)
                | crate::words::CheckEnd::Cancelled => (None, None),
            };
            ("check", code, signal, Some(result.duration_ms), Some(result.omitted_bytes))
        }
    };
    let more = match entry.what {
        Written::Output { more, .. } => Some(more),
        Written::Fault(_) | Written::Exit(_) | Written::CheckEnded(_) => None,
    };
    serde_json::json!({
        "version": 1,
        "entry": entry.n,
        "unix_ms": entry.unix_ms,
        "at_ms": entry.tick.as_ms(),
        "by": by,
        "process": process,
        "command": command,
        "kind": kind,
        "end": entry.end(),
        "code": code,
        "signal": signal,
        "duration_ms": duration_ms,
        "text": entry.text(),
        "more_lines": more,
        "omitted_bytes": omitted_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;

    const HEADER_OF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/runs/demo/journal.jsonl");

    /// A run whose journal has the header of a recorded one and these entries.
    fn told(entries: &[&str], change: impl FnOnce(&mut LogsArgs)) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let seen = Captured::default();
        let context = seen.context(dir.path(), Some(80));
        let state = context.dirs().expect("directories").state.clone();
        let run_dir = RunDir::create(&state, "20261120-202521-bphr").expect("a run");
        let recorded = std::fs::read_to_string(HEADER_OF).expect("read");
        let header = recorded.lines().next().expect("a header");
        let lines = entries
            .iter()
            .enumerate()
            .map(|(at, entry)| format!("{{\"n\":{},\"t\":{},{}}}\n", at + 1, at * 1_000_000, entry));
        let journal = [format!("{header}\n")].into_iter().chain(lines).collect::<String>();
        std::fs::write(run_dir.journal(), journal).expect("written");
        let mut args = LogsArgs {
            run: Some("last".to_owned()),
            follow: false,
            lines: None,
            agent: false,
            critic: false,
            check: false,
            json: false,
            no_pager: true,
        };
        change(&mut args);
        run(&args, &context).expect("told");
        seen.text()
    }

    const ENTRIES: [&str; 9] = [
        r#""in":{"began":{"unix_ms":1795206321443,"resumed":false}}"#,
        r#""act":{"spawn":{"proc":1,"role":"agent","launch":{"args":[]}}}"#,
        r#""in":{"line":{"proc":1,"line":{"noise":"warning: \u001b[2Jold config"}}}"#,
        r#""in":{"noise":{"proc":1,"lines":40,"bytes":800,"sample":{"noise":"again"}}}"#,
        r#""act":{"run_check":{"check":1,"command":"sh test.sh","timeout_ms":900000}}"#,
        r#""in":{"check_finished":{"check":1,"result":{"end":{"exited":1},"duration_ms":21,"tail":"expected 5\ngot \u001b]0;x\u00072\n","omitted_bytes":2048}}}"#,
        r#""act":{"spawn":{"proc":2,"role":"critic","launch":{"args":[]}}}"#,
        r#""in":{"spawn_failed":{"proc":2,"fault":"not_found","message":"no such program"}}"#,
        r#""in":{"exited":{"proc":1,"exit":{"code":null,"signal":9,"stderr_tail":"panic: at the disco\n","swept":0}}}"#,
    ];

    #[test]
    fn what_processes_and_checks_wrote_is_told_with_its_time_and_harmless() {
        let text = told(&ENTRIES, |_| {});
        let lines: Vec<&str> = text.lines().map(|line| line.get(9..).unwrap_or(line)).collect();
        assert_eq!(lines[0], "agent (process 1): warning: old config");
        assert_eq!(lines[1], "agent (process 1): again, and 39 more like it");
        assert_eq!(lines[2], "check `sh test.sh` exited with 1 (2.0 KiB before it are not kept):");
        assert!(text.contains("    expected 5\n    got \u{241b}]0;x\u{2407}2\n"), "{text}");
        assert!(text.contains("critic (process 2): no such program\n"), "{text}");
        assert!(text.contains("agent (process 1) was ended by signal 9:\n    panic: at the disco\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let time = text.split(' ').next().expect("a time");
        assert_eq!(time.len(), 8, "{text}");
    }

    #[test]
    fn only_what_is_wanted_and_only_its_end_is_told() {
        let of_check = told(&ENTRIES, |args| args.check = true);
        assert!(of_check.contains("expected 5") && !of_check.contains("process"), "{of_check}");
        let of_both = told(&ENTRIES, |args| (args.agent, args.critic) = (true, true));
        assert!(of_both.contains("critic") && of_both.contains("panic") && !of_both.contains("check"), "{of_both}");
        assert_eq!(told(&ENTRIES, |args| args.lines = Some(1)), "    panic: at the disco\n");
        assert_eq!(told(&ENTRIES[..2], |_| {}), "");
    }

    #[test]
    fn in_json_each_piece_is_an_object() {
        let text = told(&ENTRIES, |args| args.json = true);
        let all: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(all.len(), 5);
        let check = &all[2];
        assert_eq!((check["by"].as_str(), check["code"].as_i64()), (Some("check"), Some(1)));
        assert_eq!((check["entry"].as_u64(), check["unix_ms"].as_i64()), (Some(6), Some(1_795_206_326_443)));
        assert_eq!(check["text"], "expected 5\ngot \u{1b}]0;x\u{7}2\n");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(all[1]["more_lines"], 39);
    }
}
