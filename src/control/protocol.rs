//! The messages between a run and its clients. Pure: bytes in, values out.
//!
//! Each line is one JSON document. The run sends its [`Greeting`], the client its [`Hello`], the run its [`Welcome`]; after
//! that requests and events are interleaved, and each reply names its request. Unknown fields are skipped, so a minor version
//! only adds. The form of the first line and of [`Fault`] never changes: a client of another major version can read why it is
//! refused.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::agent::Role;
use crate::core::{Answer, AskId, Budgets, Change, Finish, Ruling, Show};
use crate::json::from_json;
use crate::json::from_json_value;
use crate::words::Image;

/// The version that this ccc speaks.
pub const PROTOCOL: Protocol = Protocol { major: 1, minor: 1 };
/// The longest line before the hello, in bytes.
pub const HELLO_BYTES: usize = 4 * 1024;
/// The longest request, in bytes: a turn with images.
pub const REQUEST_BYTES: usize = 24 * 1024 * 1024;
/// The longest line that a client reads, in bytes: an event may hold a whole text of the agent.
pub const EVENT_BYTES: usize = 64 * 1024 * 1024;
/// How much capacity a line buffer keeps between lines.
const KEPT_BYTES: usize = 64 * 1024;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Different majors are incompatible.
    pub major: u32,
    /// A higher minor only adds.
    pub minor: u32,
}

/// The first line from a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The run's protocol.
    pub protocol: Protocol,
    /// The version of the run's ccc.
    pub version: String,
    /// The run's id.
    pub run: String,
    /// `agent` or `command`.
    pub kind: String,
    /// The run's process.
    pub pid: u32,
    /// The client's permissions.
    pub you: You,
}

/// The permissions of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum You {
    /// Everything.
    Operator,
    /// The client is a process inside the run, or inside a run that is not related to it: it may watch. Inside the run of a
    /// manager it may ask for a new agent.
    Inside,
    /// The client is inside the run of this run's manager, or of one of its workers: it may watch and send text. Since 1.1.
    Relative,
}

/// A client's description of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The client's protocol.
    pub protocol: Protocol,
    /// The version of its ccc; any text for another program.
    pub version: String,
    /// The kind of client, for example `attach`.
    #[serde(rename = "as", default)]
    pub client: String,
    /// A user is present who can answer questions.
    #[serde(default)]
    pub attends: bool,
}

impl Hello {
    /// The hello of this ccc.
    #[must_use]
    pub fn new(client: &str, attends: bool) -> Hello {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Hello { protocol: PROTOCOL, version, client: client.to_owned(), attends }
    }
}

/// The state of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The journal number of the latest fact with something to show.
    pub n: u64,
    /// The phase of the run.
    pub phase: String,
    /// How many stops were judged.
    pub iteration: u32,
    /// The agent's working directory.
    pub cwd: String,
    /// The journal.
    pub journal: String,
    /// When the run began, unix milliseconds.
    #[serde(default)]
    pub started_unix_ms: i64,
    /// The run's present time, in microseconds.
    #[serde(default)]
    pub t: u64,
    /// The requests that this client may make.
    pub caps: Vec<String>,
    /// How many clients are attending.
    pub attending: u32,
    /// The current state: the latest event of each kind whose events replace each other, and the open requests. Each is the
    /// `show` of an event.
    #[serde(default)]
    pub standing: Vec<Value>,
    /// The bounds in force, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Budgets>,
}

impl Welcome {
    /// The current state, without kinds that this ccc does not know.
    pub fn standing(&self) -> impl Iterator<Item = Show> + '_ {
        self.standing.iter().filter_map(|show| Show::deserialize(show).ok())
    }
}

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Request {
    /// The state of the run: answered with a [`Welcome`].
    Status {},
    /// Subscribes to events; before new ones come the latest `tail` that are kept, or all after the journal number `since`.
    /// With `words`, also texts in progress.
    Follow {
        #[serde(default)]
        tail: Option<u64>,
        #[serde(default)]
        since: Option<u64>,
        #[serde(default)]
        words: bool,
    },
    /// The client cannot answer for now (Ctrl-Z).
    Away {},
    /// The client can answer again.
    Back {},
    /// Sends a message to the agent: its next turn. With a `key` it is sent only once, however often it is requested.
    Say {
        #[serde(default)]
        key: Option<String>,
        text: String,
        #[serde(default)]
        images: Vec<Image>,
    },
    /// Takes back the queued message with this key.
    TakeBack { key: String },
    /// Interrupts the present turn; the run continues.
    Interrupt {},
    /// Starts nothing new until `continue`.
    Pause {},
    /// Ends a pause.
    Continue {},
    /// Answers the request `ask` of the agent.
    Answer {
        ask: AskId,
        #[serde(default)]
        key: Option<String>,
        ruling: Ruling,
    },
    /// Answers the question `question` of ccc.
    Choose { question: u32, choice: Answer },
    /// Has the work judged now.
    Judge {},
    /// Switches to another token: the one with this label, or the best one.
    Rotate {
        #[serde(default)]
        to: Option<String>,
    },
    /// Changes settings of the run.
    Set(Change),
    /// A report of a hook of the agent's own interface: `input` is the hook's stdin. With `wait` the reply comes when the run
    /// has decided. Only for a connection with `hook` in its hello, and only with the key that the run gave to its agent.
    Hook {
        key: String,
        attempt: u32,
        #[serde(default)]
        wait: bool,
        input: String,
    },
    /// Starts an agent whose manager is this run's agent: `args` are those of `ccc new`, `cwd` is where it was typed, `stdin` what
    /// was piped to it. Only from inside the run. Since 1.1.
    New {
        #[serde(default)]
        args: Vec<String>,
        cwd: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stdin: Option<String>,
    },
    /// A worker of this run has ended; `text` is told to the agent, once for each id and time of the end. Only from the worker's own
    /// ccc. Since 1.1, like the next two.
    WorkerEnded {
        id: String,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_unix_ms: Option<i64>,
    },
    /// A worker of this run was continued after its end. Only from the worker's own ccc.
    WorkerResumed { id: String },
    /// A worker of this run has died, and nothing continues it. The run looks for itself, and tells its agent.
    WorkerLost { id: String },
    /// Ends the run: the first time cleanly, the second time at once.
    Stop {
        #[serde(default)]
        reason: Option<String>,
    },
}

/// The name of each request, as it stands in a line.
macro_rules! names {
    ($($request:ident => $name:literal,)+) => {
        impl Request {
            /// All names.
            pub const NAMES: &[&'static str] = &[$($name),+];

            /// Its name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {$(
                    Request::$request { .. } => $name,
                )+}
            }
        }
    };
}

names! {
    Status => "status",
    Follow => "follow",
    Away => "away",
    Back => "back",
    Say => "say",
    TakeBack => "take_back",
    Interrupt => "interrupt",
    Pause => "pause",
    Continue => "continue",
    Answer => "answer",
    Choose => "choose",
    Judge => "judge",
    Rotate => "rotate",
    Set => "set",
    Hook => "hook",
    New => "new",
    WorkerEnded => "worker_ended",
    WorkerResumed => "worker_resumed",
    WorkerLost => "worker_lost",
    Stop => "stop",
}

impl Request {
    /// Whether it only watches, and is allowed inside the run as well.
    #[must_use]
    pub fn only_watches(&self) -> bool {
        matches!(self, Request::Status {} | Request::Follow { .. })
    }
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Reply {
    /// It is done.
    Done,
    /// Queued behind `ahead` other turns.
    Queued { ahead: u32 },
    /// It was done before, with the same key.
    Already,
    /// Events follow: everything shown for the fact with the journal number `from` and for later ones. Earlier events are in
    /// the journal.
    Following { from: u64 },
    /// How the run stands.
    Status(Box<Welcome>),
    /// The output of a hook, for its stdout.
    Output(String),
    /// An agent was started: the id of its run, and its name.
    Started { id: String, name: String },
    /// It was not done.
    Fault(Fault),
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Fault {
    /// The kind of fault.
    pub code: Code,
    /// What failed, and what to do, as text.
    pub message: String,
}

impl Fault {
    /// A fault.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    /// Whether the run is over, or about to be.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.code == Code::Ending
    }
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The client's protocol is newer than the run's.
    TooNew,
    /// The client's protocol is older.
    TooOld,
    /// The client belongs to another user.
    NotYours,
    /// The client is a process inside the run, and may only watch.
    Inside,
    /// There are too many clients.
    Busy,
    /// The line is not a request.
    BadRequest,
    /// The line is too long.
    TooLong,
    /// The run does not know the request.
    UnknownRequest,
    /// The subject of the request is not open any more.
    NotOpen,
    /// The run refuses the request.
    Refused,
    /// The run is ending.
    Ending,
    /// The client is over its rate limit.
    Overloaded,
    /// It is done, but the run's journal cannot be written: it is lost when the run's ccc dies.
    NotSafe,
    /// A code that this ccc does not know.
    #[serde(other)]
    Unknown,
}

/// An event of the run.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Event {
    /// Something to show.
    Show(Box<Shown>),
    /// A part of a text in progress; the whole text follows as [`Show`].
    /// `part` is its number in its text, in which a number is missing where text is; an older ccc gives none.
    Words { role: Role, kind: WordsOf, part: Option<u64>, text: String },
    /// The run is over.
    End { finish: Option<Box<Finish>> },
    /// The run disconnects this client, for this reason.
    Gone { why: String },
    /// An event that this ccc does not know, by its name.
    Unknown(String),
}

/// Something to show, with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The journal number of the fact that it belongs to.
    pub n: u64,
    /// Its index among the fact's items; `None` for a remark of ccc's own, which is not in the journal.
    pub i: Option<u32>,
    /// The run's time, in microseconds.
    pub t: u64,
    /// The wall clock, unix milliseconds.
    pub at: i64,
    /// What is shown.
    pub show: Show,
}

/// The kinds of text in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordsOf {
    /// An answer.
    Text,
    /// A thought of the model.
    Thinking,
}

/// A line from a run.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum FromRun {
    /// The first line.
    Greeting(Greeting),
    /// The answer to the hello.
    Welcome(Box<Welcome>),
    /// The answer to the request `re`.
    Reply { re: u64, reply: Reply },
    /// An event.
    Event(Event),
    /// Why the connection is closed.
    Fault(Fault),
}

/// A line that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadLine(pub String);

/// Decodes a client's hello.
///
/// # Errors
/// When the line is not a hello.
pub fn decode_hello(line: &[u8]) -> Result<Hello, Fault> {
    #[derive(Deserialize)]
    struct Line {
        hello: Hello,
    }
    let bad = |error| Fault::new(Code::BadRequest, format!("the first line of a client must be its hello: {error}"));
    from_json::<Line>(line).map(|line| line.hello).map_err(bad)
}

/// Decodes a request and its number.
///
/// # Errors
/// When the line is not a request; with its number, if it has one.
pub fn decode_request(line: &[u8]) -> Result<(u64, Request), (Option<u64>, Fault)> {
    let bad = |error: &dyn fmt::Display| Fault::new(Code::BadRequest, format!("this is not a valid request: {error}"));
    let mut map: Map<String, Value> = from_json(line).map_err(|error| (None, bad(&error)))?;
    let id = map.remove("id").and_then(|id| id.as_u64());
    let Some(id) = id else { return Err((None, bad(&"it has no number (`id`)"))) };
    let mut known = map.iter_mut().filter(|(name, _)| Request::NAMES.contains(&name.as_str()));
    let found = known.next().map(|(name, value)| (name.clone(), value.take()));
    if known.next().is_some() {
        return Err((Some(id), bad(&"it contains two requests")));
    }
    let Some((name, body)) = found else {
        let name = map.keys().next().map_or("nothing", String::as_str);
        let message = format!(
            "this run's ccc {} does not know the request `{}`; a newer ccc may",
            env!("CARGO_PKG_VERSION"),
            beginning(name)
        );
        return Err((Some(id), Fault::new(Code::UnknownRequest, message)));
    };
    match from_json_value(&Value::Object(Map::from_iter([(name, body)]))) {
        Ok(request) => Ok((id, request)),
        Err(error) => Err((Some(id), bad(&error))),
    }
}

/// The part of a client's text that is repeated in an error.
fn beginning(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

/// Decodes a line from a run.
///
/// # Errors
/// When this ccc cannot decode it.
pub fn decode(line: &[u8]) -> Result<FromRun, BadLine> {
    #[derive(Deserialize)]
    struct Line<'a> {
        ccc: Option<Greeting>,
        welcome: Option<Box<Welcome>>,
        re: Option<u64>,
        taken: Option<String>,
        #[serde(default)]
        ahead: u32,
        from: Option<u64>,
        status: Option<Box<Welcome>>,
        output: Option<String>,
        started: Option<String>,
        name: Option<String>,
        error: Option<Fault>,
        ev: Option<String>,
        #[serde(default)]
        n: u64,
        i: Option<u32>,
        #[serde(default)]
        t: u64,
        #[serde(default)]
        at: i64,
        #[serde(borrow)]
        show: Option<&'a RawValue>,
        role: Option<Role>,
        kind: Option<WordsOf>,
        part: Option<u64>,
        text: Option<String>,
        finish: Option<Box<Finish>>,
        why: Option<String>,
    }
    let line: Line<'_> = from_json(line).map_err(|error| BadLine(error.to_string()))?;
    let nothing = || BadLine("this ccc does not know this kind of line".to_owned());
    if let Some(name) = line.ev {
        return Ok(FromRun::Event(match (name.as_str(), line.show, line.role, line.text) {
            ("show", Some(show), ..) => match serde_json::from_str(show.get()) {
                Ok(show) => Event::Show(Box::new(Shown { n: line.n, i: line.i, t: line.t, at: line.at, show })),
                Err(_) => Event::Unknown(name),
            },
            ("words", _, Some(role), Some(text)) => {
                Event::Words { role, kind: line.kind.unwrap_or(WordsOf::Text), part: line.part, text }
            }
            ("end", ..) => Event::End { finish: line.finish },
            ("gone", ..) => Event::Gone { why: line.why.unwrap_or_default() },
            _ => Event::Unknown(name),
        }));
    }
    if let Some(re) = line.re {
        if let Some(output) = line.output {
            return Ok(FromRun::Reply { re, reply: Reply::Output(output) });
        }
        if let Some(id) = line.started {
            return Ok(FromRun::Reply { re, reply: Reply::Started { id, name: line.name.unwrap_or_default() } });
        }
        let reply = match (line.taken.as_deref(), line.from, line.status, line.error) {
            (.., Some(fault)) => Reply::Fault(fault),
            (_, _, Some(status), _) => Reply::Status(status),
            (_, Some(from), ..) => Reply::Following { from },
            (Some("queued"), ..) => Reply::Queued { ahead: line.ahead },
            (Some("already"), ..) => Reply::Already,
            (Some(_), ..) => Reply::Done,
            (None, None, None, None) => return Err(nothing()),
        };
        return Ok(FromRun::Reply { re, reply });
    }
    match (line.ccc, line.welcome, line.error) {
        (Some(greeting), ..) => Ok(FromRun::Greeting(greeting)),
        (_, Some(welcome), _) => Ok(FromRun::Welcome(welcome)),
        (_, _, Some(fault)) => Ok(FromRun::Fault(fault)),
        (None, None, None) => Err(nothing()),
    }
}

/// Encodes a document as a line.
fn line(document: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    // Only a map with keys that are not strings could fail, and our values have none.
    if serde_json::to_writer(&mut line, document).is_err() {
        line.clear();
    }
    line.push(b'\n');
    line
}

/// What stands alone in its line, under its name.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Under<'a> {
    Ccc(&'a Greeting),
    Hello(&'a Hello),
    Welcome(&'a Welcome),
    Error(&'a Fault),
}

/// Encodes a hello as a line.
#[must_use]
pub fn encode_hello(hello: &Hello) -> Vec<u8> {
    line(&Under::Hello(hello))
}

/// Encodes a request as a line.
#[must_use]
pub fn encode_request(id: u64, request: &Request) -> Vec<u8> {
    let mut text = format!("{{\"id\":{id},").into_bytes();
    let body = line(request);
    text.extend_from_slice(body.get(1..).unwrap_or_default());
    text
}

/// Encodes a line from a run; empty for an unknown event.
#[must_use]
pub fn encode(said: &FromRun) -> Vec<u8> {
    match said {
        FromRun::Greeting(greeting) => line(&Under::Ccc(greeting)),
        FromRun::Welcome(welcome) => line(&Under::Welcome(welcome)),
        FromRun::Fault(fault) => line(&Under::Error(fault)),
        FromRun::Reply { re, reply } => encode_reply(*re, reply),
        FromRun::Event(event) => encode_event(event),
    }
}

fn encode_reply(re: u64, reply: &Reply) -> Vec<u8> {
    #[derive(Serialize, Default)]
    struct Line<'a> {
        re: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        taken: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ahead: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'a Welcome>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        started: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a Fault>,
    }
    let of = Line { re, ..Line::default() };
    line(&match reply {
        Reply::Done => Line { taken: Some("done"), ..of },
        Reply::Queued { ahead } => Line { taken: Some("queued"), ahead: Some(*ahead), ..of },
        Reply::Already => Line { taken: Some("already"), ..of },
        Reply::Following { from } => Line { from: Some(*from), ..of },
        Reply::Status(status) => Line { status: Some(status), ..of },
        Reply::Started { id, name } => Line { started: Some(id), name: Some(name), ..of },
        Reply::Output(output) => Line { output: Some(output), ..of },
        Reply::Fault(fault) => Line { error: Some(fault), ..of },
    })
}

/// Encodes an event as a line.
pub(super) fn encode_event(event: &Event) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(tag = "ev", rename_all = "snake_case")]
    enum Line<'a> {
        Show {
            n: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            i: Option<u32>,
            t: u64,
            at: i64,
            show: &'a Show,
        },
        Words {
            role: Role,
            kind: WordsOf,
            #[serde(skip_serializing_if = "Option::is_none")]
            part: Option<u64>,
            text: &'a str,
        },
        End {
            finish: Option<&'a Finish>,
        },
        Gone {
            why: &'a str,
        },
    }
    line(&match event {
        Event::Show(shown) => {
            let Shown { n, i, t, at, show } = shown.as_ref();
            Line::Show { n: *n, i: *i, t: *t, at: *at, show }
        }
        Event::Words { role, kind, part, text } => Line::Words { role: *role, kind: *kind, part: *part, text },
        Event::End { finish } => Line::End { finish: finish.as_deref() },
        Event::Gone { why } => Line::Gone { why },
        Event::Unknown(_) => return Vec::new(),
    })
}

/// Splits bytes into lines; never buffers a line over its limit.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Lines before this index were taken.
    start: usize,
    /// There is no line end between `start` and this index.
    looked: usize,
    limit: usize,
}

/// A line is longer than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {0} bytes")]
pub struct TooLong(pub usize);

impl LineBuffer {
    /// For lines of at most `limit` bytes, without their ends.
    #[must_use]
    pub fn new(limit: usize) -> LineBuffer {
        LineBuffer { bytes: Vec::new(), start: 0, looked: 0, limit }
    }

    /// Changes the limit of later lines.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.looked -= self.start;
        self.start = 0;
        // Release the memory of a long line.
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes are buffered.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next complete line, without its end; `None` when there is none.
    ///
    /// # Errors
    /// When the line is too long, complete or not. The buffer is unusable after that.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = self.bytes.get(self.looked..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map(|at| at + self.looked);
        self.looked = end.map_or(self.bytes.len(), |end| end + 1);
        if end.unwrap_or(self.bytes.len()) - self.start > self.limit {
            return Err(TooLong(self.limit));
        }
        let Some(end) = end else { return Ok(None) };
        let line = self.bytes.get(self.start..end).unwrap_or_default().to_vec();
        self.start = self.looked;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Request> {
        let text = |text: &str| text.to_owned();
        vec![
            Request::Status {},
            Request::Follow { tail: Some(400), since: None, words: true },
            Request::Away {},
            Request::Back {},
            Request::Say {
                key: Some(text("9f")),
                text: text("Use tabs.\nAnd \"this\"."),
                images: vec![Image { media_type: text("image/png"), data: text("AAAA") }],
            },
            Request::TakeBack { key: text("9f") },
            Request::Interrupt {},
            Request::Pause {},
            Request::Continue {},
            Request::Answer { ask: AskId(3), key: None, ruling: Ruling::Allow { for_session: true, input: None } },
            Request::Answer { ask: AskId(3), key: Some(text("k")), ruling: Ruling::Deny { reason: text("no") } },
            Request::Choose { question: 2, choice: Answer::Wait },
            Request::Judge {},
            Request::Rotate { to: Some(text("max-2")) },
            Request::Set(Change::Supervisor(false)),
            Request::Set(Change::Model(text("opus"))),
            Request::Set(Change::PermissionMode(text("acceptEdits"))),
            Request::Hook { key: text("0f"), attempt: 2, wait: true, input: text("{\"hook_event_name\":\"Stop\"}") },
            Request::New { args: vec![text("Do it."), text("--worker")], cwd: text("/p"), stdin: Some(text("x")) },
            Request::WorkerEnded {
                id: text("20261120-191822-k3f9"),
                text: text("It is done."),
                at_unix_ms: Some(1_800_000_000_000),
            },
            Request::WorkerResumed { id: text("20261120-191822-k3f9") },
            Request::WorkerLost { id: text("20261120-191822-k3f9") },
            Request::Stop { reason: Some(text("ccc stop")) },
        ]
    }

    #[test]
    fn every_request_is_one_line_and_comes_back() {
        for request in samples() {
            let line = encode_request(7, &request);
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "{request:?}");
            assert_eq!(decode_request(&line), Ok((7, request.clone())), "{}", String::from_utf8_lossy(&line));
            assert!(Request::NAMES.contains(&request.name()));
        }
        for name in Request::NAMES {
            assert!(samples().iter().any(|request| request.name() == *name), "{name} has no sample");
        }
    }

    #[test]
    fn what_a_client_may_send_is_read_and_the_rest_is_named() {
        let read = |text: &str| decode_request(text.as_bytes());
        // The shortest form, and fields of a later version.
        assert_eq!(read(r#"{"id":1,"pause":{}}"#), Ok((1, Request::Pause {})));
        let say = Request::Say { key: None, text: "Hi".to_owned(), images: Vec::new() };
        assert_eq!(read(r#"{"say":{"text":"Hi","mood":1},"id":2,"trace":[1]}"#), Ok((2, say)));
        for (text, id, code, part) in [
            ("", None, Code::BadRequest, "not a valid request"),
            ("[]", None, Code::BadRequest, "not a valid request"),
            ("{\"id\":1", None, Code::BadRequest, "not a valid request"),
            ("\u{feff}{}", None, Code::BadRequest, "not a valid request"),
            (r#"{"pause":{}}"#, None, Code::BadRequest, "number"),
            (r#"{"id":-1,"pause":{}}"#, None, Code::BadRequest, "number"),
            (r#"{"id":1}"#, Some(1), Code::UnknownRequest, "nothing"),
            (r#"{"id":1,"dream":{}}"#, Some(1), Code::UnknownRequest, "`dream`"),
            (r#"{"id":1,"pause":{},"stop":{}}"#, Some(1), Code::BadRequest, "two requests"),
            (r#"{"id":1,"say":{"text":7}}"#, Some(1), Code::BadRequest, "string"),
            (r#"{"id":1,"answer":{"ask":3,"ruling":{"shrug":{}}}}"#, Some(1), Code::BadRequest, "shrug"),
        ] {
            let (found, fault) = read(text).expect_err(text);
            assert_eq!((found, fault.code), (id, code), "{text}");
            assert!(fault.message.contains(part), "{text}: {}", fault.message);
        }
        assert!(decode_request(b"{\"id\":1,\"say\":{\"text\":\"\xff\"}}").is_err(), "invalid UTF-8");
        let long = format!("{{\"id\":1,\"{}\":{{}}}}", "x".repeat(100_000));
        assert!(read(&long).expect_err("unknown").1.message.len() < 300);
    }

    #[test]
    fn what_a_run_says_comes_back_and_what_a_newer_one_adds_is_passed_over() {
        let greeting = Greeting {
            protocol: PROTOCOL,
            version: "0.1.0".to_owned(),
            run: "20261120-191822-k3f9".to_owned(),
            kind: "agent".to_owned(),
            pid: 4711,
            you: You::Inside,
        };
        let show = Show::Notice { text: "a remark".to_owned() };
        let welcome = Welcome {
            n: 12,
            phase: "working".to_owned(),
            iteration: 3,
            cwd: "/p".to_owned(),
            journal: "/s/journal.jsonl".to_owned(),
            started_unix_ms: 5,
            t: 6,
            caps: vec!["say".to_owned()],
            attending: 2,
            standing: vec![serde_json::to_value(&show).expect("JSON"), serde_json::json!({"event": "dream"})],
            bounds: Some(Budgets::DEFAULT),
        };
        assert_eq!(welcome.standing().collect::<Vec<_>>(), std::slice::from_ref(&show));
        let shown = Shown { n: 12, i: Some(0), t: 81_234_567, at: 1_795_202_692_900, show };
        let reply = |reply| FromRun::Reply { re: 7, reply };
        for said in [
            FromRun::Greeting(greeting),
            FromRun::Welcome(Box::new(welcome.clone())),
            FromRun::Fault(Fault::new(Code::Busy, "16 clients")),
            reply(Reply::Done),
            reply(Reply::Queued { ahead: 1 }),
            reply(Reply::Already),
            reply(Reply::Following { from: 9 }),
            reply(Reply::Status(Box::new(welcome))),
            reply(Reply::Started { id: "20261120-191822-k3f9".to_owned(), name: "fixer".to_owned() }),
            reply(Reply::Output("{\"decision\":\"block\"}".to_owned())),
            reply(Reply::Fault(Fault::new(Code::NotOpen, "settled"))),
            FromRun::Event(Event::Show(Box::new(shown.clone()))),
            FromRun::Event(Event::Show(Box::new(Shown { i: None, ..shown }))),
            FromRun::Event(Event::Words {
                role: Role::Agent,
                kind: WordsOf::Thinking,
                part: Some(3),
                text: "I ".to_owned(),
            }),
            FromRun::Event(Event::Words {
                role: Role::Agent,
                kind: WordsOf::Text,
                part: None,
                text: "as an older ccc says it ".to_owned(),
            }),
            FromRun::Event(Event::End { finish: None }),
            FromRun::Event(Event::Gone { why: "did not read".to_owned() }),
        ] {
            let line = encode(&said);
            assert_eq!(decode(&line), Ok(said), "{}", String::from_utf8_lossy(&line));
        }
        let event = |text: &str| decode(text.as_bytes()).expect(text);
        for later in [r#"{"ev":"dream","of":"sheep"}"#, r#"{"ev":"show","n":3,"t":1,"at":1,"show":{"event":"dream"}}"#]
        {
            assert!(matches!(event(later), FromRun::Event(Event::Unknown(_))), "{later}");
        }
        let fault = event(r#"{"error":{"code":"tired","message":"later"},"more":1}"#);
        assert_eq!(fault, FromRun::Fault(Fault::new(Code::Unknown, "later")));
        for bad in ["", "{}", "7", r#"{"re":1}"#] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hello_is_read_with_what_a_newer_client_adds() {
        let hello = Hello::new("attach", true);
        assert_eq!(decode_hello(&encode_hello(&hello)), Ok(hello));
        let least = decode_hello(br#"{"hello":{"protocol":{"major":9,"minor":2,"patch":1},"version":"x"}}"#);
        let least = least.expect("a hello");
        assert_eq!((least.protocol.major, least.client.as_str(), least.attends), (9, "", false));
        for bad in ["", "{}", "GET / HTTP/1.1", r#"{"hello":{}}"#] {
            assert_eq!(decode_hello(bad.as_bytes()).expect_err(bad).code, Code::BadRequest);
        }
    }

    #[test]
    fn the_lines_of_version_1_0_are_read_with_what_later_ones_add() {
        let fixture = |name: &str| {
            let path = format!("{}/fixtures/control/1.0/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).expect("a fixture")
        };
        let later = ["new", "worker_ended", "worker_resumed", "worker_lost"];
        let requests = fixture("requests.jsonl");
        let (hello, requests) = requests.split_once('\n').expect("lines");
        assert_eq!(decode_hello(hello.as_bytes()).map(|hello| hello.client), Ok("attach".to_owned()));
        let read: Vec<&str> = requests
            .lines()
            .map(|line| decode_request(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error:?}")).1.name())
            .collect();
        assert!(Request::NAMES.iter().all(|name| read.contains(name) != later.contains(name)), "{read:?}");
        let (mut known, mut unknown) = (0, 0);
        for line in fixture("run.jsonl").lines() {
            match decode(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}")) {
                FromRun::Event(Event::Unknown(_)) => unknown += 1,
                FromRun::Greeting(_)
                | FromRun::Welcome(_)
                | FromRun::Reply { .. }
                | FromRun::Event(_)
                | FromRun::Fault(_) => {
                    known += 1;
                }
            }
        }
        assert_eq!((known, unknown), (14, 2));
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come_and_no_long_one_is_held() {
        let text = b"one\n\ntwo three\nfour";
        for size in 1..=text.len() {
            let mut buffer = LineBuffer::new(9);
            let mut lines = Vec::new();
            for chunk in text.chunks(size) {
                buffer.push(chunk);
                while let Some(line) = buffer.next_line().expect("short lines") {
                    lines.push(String::from_utf8(line).expect("text"));
                }
            }
            assert_eq!(lines, ["one", "", "two three"], "{size}");
            assert_eq!(buffer.held_bytes(), 4, "{size}");
        }
        for long in ["0123456789\n", "0123456789"] {
            let mut buffer = LineBuffer::new(9);
            buffer.push(long.as_bytes());
            assert_eq!(buffer.next_line(), Err(TooLong(9)), "{long:?}");
        }
    }
}
