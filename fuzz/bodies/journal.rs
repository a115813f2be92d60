//! The journal reader, and the core that is rebuilt from what it accepts.

use std::io;
use std::path::Path;

use ccc::core::supervised::{CommandCore, CommandInput, CommandOperator};
use ccc::core::{Core, Input, OperatorInput, Tick};
use ccc::journal::{Entry, EntryKind, JournalInput, JournalReader, JournalWriter, Sink, Tail};
use redaction::Redactor;

/// The header of a small run, for inputs that begin behind it.
const HEADER: &str = concat!(
    r#"{"ccc":{"major":1,"minor":0},"run":"r","seed":"s","prompt_sha256":"","version":"0","plan":{"seed":"s","#,
    r#""run_id":"r","task":"t","cwd":"/p","agent":"claude_code","agent_version":"2.1.329","agent_args":[],"#,
    r#""session":{"new":"11111111-0000-4000-8000-000000000001"},"checks":[{"command":"make","timeout_ms":1000}],"#,
    r#""critic":{"prompt":"Judge.","prompt_as":"message","prompt_file":null,"model":null,"allow":[],"max_failures":3,"#,
    r#""timeout_ms":600000},"budgets":{"max_iterations":5,"max_duration_ms":null,"max_cost_usd":null,"max_restarts":3,"#,
    r#""max_repeats":3},"timeouts":{"stall_ms":180000,"tool_ms":900000,"grace_ms":3000},"share_prompt_prefix":true,"#,
    r#""no_wait":false}}"#,
    "\n"
);

/// The same for the run of a command.
const COMMAND_HEADER: &str = concat!(
    r#"{"ccc":{"major":1,"minor":1},"run":"r","seed":"s","prompt_sha256":"","version":"0","kind":"command","plan":{"#,
    r#""seed":"s","run_id":"r","command":["c"],"cwd":"/p","provider":"Anthropic","rotate_at":0.95,"#,
    r#""monitor_interval_ms":60000,"heartbeat":{"file":"/p/h","timeout_ms":30000,"interval_ms":2000,"grace_ms":60000},"#,
    r#""restart_delay_ms":5000,"max_restarts":3,"grace_ms":3000,"no_wait":false,"interactive":true,"#,
    r#""answer_timeout_ms":60000}}"#,
    "\n"
);
/// Its entries begin with this byte.
const OF_COMMAND: u8 = b'c';

/// No journal of these sizes asks for more of one input.
const MOST_ACTIONS: usize = 10_000;

/// `data` is a whole journal when it begins with `{`, else its first byte says which header is put before the rest.
pub(crate) fn check(data: &[u8]) {
    let (first, entries) = data.split_first().unwrap_or((&0, &[]));
    match *first {
        b'{' => check_journal(data),
        OF_COMMAND => check_journal(&[COMMAND_HEADER.as_bytes(), entries].concat()),
        _ => check_journal(&[HEADER.as_bytes(), entries].concat()),
    }
}

fn open(bytes: &[u8]) -> Option<JournalReader<&[u8]>> {
    JournalReader::from_reader(Path::new("/nowhere/journal.jsonl"), bytes).ok()
}

fn open_command(bytes: &[u8]) -> Option<JournalReader<&[u8], CommandInput>> {
    JournalReader::command_from_reader(Path::new("/nowhere/journal.jsonl"), bytes).ok()
}

/// All entries before the first error, and the end when there was none.
fn read<I: JournalInput>(mut reader: JournalReader<&[u8], I>) -> (Vec<Entry<I>>, Option<Tail>) {
    let mut entries = Vec::new();
    let mut whole = true;
    for entry in &mut reader {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                whole = false;
            }
        }
    }
    assert!(reader.next().is_none(), "goes on after its end");
    let tail = whole.then(|| reader.tail());
    (entries, tail)
}

fn check_journal(bytes: &[u8]) {
    if let Some(reader) = open_command(bytes) {
        assert!(open(bytes).is_none(), "the run of a command is no agent's");
        let plan = reader.command_plan();
        let (entries, tail) = read(reader);
        in_order(bytes, &entries, tail);
        if let Some(tail) = tail {
            let elapsed = CommandInput::Elapsed { unix_ms: 1 };
            goes_on(bytes, &tail, entries.len(), &elapsed, |disk| open_command(disk).map(read));
        }
        if let Ok(plan) = plan {
            is_retold(CommandCore::new(plan), entries);
        }
        return;
    }
    let Some((entries, tail)) = open(bytes).map(read) else { return };
    in_order(bytes, &entries, tail);
    if let Some(tail) = tail {
        goes_on(bytes, &tail, entries.len(), &Input::Elapsed { unix_ms: 1 }, |disk| open(disk).map(read));
    }
    resumes(bytes, entries, tail);
}

fn in_order<I>(bytes: &[u8], entries: &[Entry<I>], tail: Option<Tail>) {
    let mut due = 1;
    for entry in entries {
        assert!(entry.n >= due, "entry {} comes after {due}", entry.n);
        due = entry.n + 1;
    }
    if let Some(tail) = tail {
        let torn = tail.torn.map_or(0, |torn| torn.bytes);
        assert_eq!(tail.good_bytes + torn, bytes.len() as u64, "every byte is read or torn");
    }
}

/// What is appended after the end can be read again.
fn goes_on<I: JournalInput>(
    bytes: &[u8],
    tail: &Tail,
    entries: usize,
    next: &I,
    read: impl Fn(&[u8]) -> Option<(Vec<Entry<I>>, Option<Tail>)>,
) {
    let good = usize::try_from(tail.good_bytes).expect("a length of ours");
    let mut disk = bytes[..good].to_vec();
    let mut writer = JournalWriter::resumed(Disk(&mut disk), tail, Redactor::new());
    let now = tail.last_tick.plus_ms(1);
    assert_eq!(writer.input(now, next), tail.next_n);
    assert_eq!(writer.close(), None);
    let (again, end) = read(&disk).expect("the header is the same");
    let end = end.expect("what ccc wrote itself is read");
    assert_eq!((again.len(), end.next_n, end.torn), (entries + 1, tail.next_n + 1, None));
    assert!(end.last_tick >= tail.last_tick, "time runs backwards");
}

/// A command's core takes any inputs that were accepted, and comes to its end when it is asked to.
fn is_retold(mut core: CommandCore, entries: Vec<Entry<CommandInput>>) {
    let mut last = Tick::ZERO;
    for entry in entries {
        last = last.max(entry.tick);
        match entry.kind {
            EntryKind::In(input) => tell_command(&mut core, entry.tick, input),
            EntryKind::Act(_) => {}
            EntryKind::Gap(_) => return,
        }
    }
    for step in 1..3 {
        let end = CommandOperator::End { reason: "enough".to_owned() };
        tell_command(&mut core, last.plus_ms(step), CommandInput::Operator(end));
    }
    tell_command(&mut core, last.plus_ms(60_000), CommandInput::Elapsed { unix_ms: 1_800_000_060_000 });
}

/// Takes all actions; each can be written down, and there is an end of them.
fn drain(mut next: impl FnMut() -> Option<serde_json::Result<String>>) {
    let mut actions = 0;
    while let Some(written) = next() {
        written.expect("an action is written as JSON");
        actions += 1;
        assert!(actions < MOST_ACTIONS, "no end of actions");
    }
}

fn tell_command(core: &mut CommandCore, now: Tick, input: CommandInput) {
    core.handle(now, input);
    drain(|| core.poll_action().map(|action| serde_json::to_string(&action)));
    let _ = (core.poll_timeout(), core.phase());
}

/// A core can be rebuilt from any entries that were accepted, and goes on to an end.
fn resumes(bytes: &[u8], entries: Vec<Entry>, tail: Option<Tail>) {
    let Some(Ok(plan)) = open(bytes).map(|reader| reader.plan()) else { return };
    let mut core = Core::new(plan);
    let mut last_tick = Tick::ZERO;
    for entry in entries {
        last_tick = last_tick.max(entry.tick);
        match entry.kind {
            EntryKind::In(input) => tell(&mut core, entry.tick, input),
            EntryKind::Act(_) => {}
            EntryKind::Gap(_) => return,
        }
    }
    if let Some(tail) = tail {
        // Lines of kinds that this ccc passes over have their times, too.
        assert!(tail.last_tick >= last_tick, "a resumed run goes on from before its latest moment");
    }
    let now = last_tick.plus_ms(1_000);
    tell(
        &mut core,
        now,
        Input::Began { unix_ms: 1_800_000_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() },
    );
    tell(&mut core, now, Input::Elapsed { unix_ms: 1_800_000_000_000 });
    let interrupt = || Input::Operator(OperatorInput::Interrupt { reason: "enough".to_owned() });
    tell(&mut core, now, interrupt());
    tell(&mut core, now, interrupt());
    tell(&mut core, now.plus_ms(60_000), Input::Elapsed { unix_ms: 1_800_000_060_000 });
}

fn tell(core: &mut Core, now: Tick, input: Input) {
    core.handle(now, input);
    drain(|| core.poll_action().map(|action| serde_json::to_string(&action)));
    let _ = (core.poll_timeout(), core.phase(), core.cost_usd(), core.unanswered_turn());
}

/// A disk in memory.
struct Disk<'a>(&'a mut Vec<u8>);

impl Sink for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(len_bytes).unwrap_or(usize::MAX));
        Ok(())
    }

    fn put_blob(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_soon(&mut self, _: u64) -> Option<ccc::journal::Durable> {
        None
    }

    fn take_sync_error(&mut self) -> Option<String> {
        None
    }

    fn close(self) {}
}
