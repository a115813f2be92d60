//! The thread `control`: it listens, tracks the clients, reads requests and writes events.
//!
//! It has its own runtime, so that clients cost the run's loop nothing but their orders, of which at most [`ORDERS`] are
//! queued. Every limit of a client is enforced here; a client that exceeds one is told why, if possible, and disconnected.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::bounds::{Bucket, Counted, HELLO, Lines, OVERRATE_LIMIT, write};
use super::family::{Family, LostWorker, Owner, Peer, Wanted};
use super::hooks::{HOOK, HOOKS, Hook, Hooks};
use super::hub::{Follower, ForClient, Hub};
use super::orders::{Order, input_of};
use super::place::{Place, Places, sweep};
use super::protocol::{
    Code, Event, Fault, FromRun, Greeting, HELLO_BYTES, Hello, PROTOCOL, REQUEST_BYTES, Reply, Request, Welcome, You,
    decode_hello, decode_request, encode, encode_event,
};
use crate::core::{Finish, OperatorInput};
use crate::process::{is_inside, knows_ancestors};

/// The most clients of the operator.
const CLIENTS: u32 = 16;
/// The most clients inside the run, in addition: they take no slot of the operator. Hooks are counted separately.
const INSIDE: u32 = 4;
/// The most attending clients.
const ATTENDING: u32 = 8;
/// The most queued orders of all clients.
const ORDERS: usize = 32;
/// The most requests of one client that wait for replies.
const IN_FLIGHT: usize = 8;
/// The timeout for one write to a client.
const WRITE: Duration = Duration::from_secs(30);
/// How often the socket's path is checked where the system does not report its removal.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is checked where it does: moving a directory is not reported.
const SELDOM: Duration = Duration::from_secs(600);
/// The shortest time between two reports of the number of attending clients.
const ATTENDANCE: Duration = Duration::from_millis(250);
/// How long clients may read the remaining events at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The shortest time between two remarks on disconnected clients.
const NOTE: Duration = Duration::from_secs(60);
/// The pause after a failed accept (no descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// The size of one read.
const CHUNK_BYTES: usize = 16 * 1024;

/// What clients cause in the run.
#[derive(Debug)]
pub enum ToRun {
    /// An operator's input.
    Order(Order),
    /// A report of a hook of the agent's own interface.
    Hook(Hook),
    /// How many clients attend now.
    Attending(u32),
    /// A remark on clients for the user.
    Remark(String),
}

/// What the server needs to know about the run.
#[derive(Debug, Clone)]
pub struct Served {
    /// The candidate locations of the socket.
    pub places: Places,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The run's id.
    pub run: String,
    /// `agent` or `command`.
    pub kind: &'static str,
    /// The agent's working directory.
    pub cwd: String,
    /// The journal.
    pub journal: PathBuf,
    /// When the run began, unix milliseconds.
    pub started_unix_ms: i64,
    /// The key of the hooks of the agent's own interface; without a key hooks are not served.
    pub hook_key: Option<String>,
    /// The requests that this kind of run accepts.
    pub caps: Vec<&'static str>,
    /// The other runs that this one knows.
    pub family: Option<Arc<dyn Family>>,
}

/// Serves a run until it is dropped.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    place: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve this run.
    ///
    /// # Errors
    /// When no location for a socket works, or there is no thread.
    pub fn start(served: Served, hub: Hub, run: impl Fn(ToRun) + Send + Sync + 'static) -> io::Result<Server> {
        let (listener, place) = served.places.clone().bind()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let at = place.path().to_owned();
        let state = Arc::new(ServerState {
            served,
            hub: hub.clone(),
            run: Box::new(run),
            clients: AtomicU32::new(0),
            inside: AtomicU32::new(0),
            watching: AtomicU32::new(0),
            hooks: Hooks::default(),
            attending: watch::Sender::new(0),
            held: AtomicUsize::new(0),
            orders: Arc::new(Semaphore::new(ORDERS)),
            notes: Mutex::default(),
        });
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            sweep(&state.served.state_dir);
            runtime.block_on(listen(&state, listener, place, stopped));
            runtime.shutdown_background();
        })?;
        Ok(Server { hub, place: at, stop: Some(stop), thread: Some(thread) })
    }

    /// The socket's path when the server started; it may have been removed since.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The run is over: clients are told, and the server stops.
    pub fn end(self, finish: Option<Finish>) {
        self.hub.end(finish);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.hub.is_over() {
            self.hub.end(None);
        }
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The state that all clients share.
struct ServerState {
    served: Served,
    hub: Hub,
    run: Box<dyn Fn(ToRun) + Send + Sync>,
    /// Connections of the operator.
    clients: AtomicU32,
    /// Connections from inside the run.
    inside: AtomicU32,
    /// Connections from inside the run that are not hooks, after their hello.
    watching: AtomicU32,
    hooks: Hooks,
    attending: watch::Sender<u32>,
    /// Bytes of unfinished requests.
    held: AtomicUsize,
    orders: Arc<Semaphore>,
    notes: Mutex<Notes>,
}

/// The remarks on disconnected clients.
#[derive(Default)]
struct Notes {
    told: Option<Instant>,
    untold: u32,
}

async fn listen(state: &Arc<ServerState>, listener: StdListener, place: Place, mut stopped: oneshot::Receiver<()>) {
    let Ok(mut listener) = UnixListener::from_std(listener) else { return };
    let mut place = place;
    tokio::spawn(tell_attendance(Arc::clone(state)));
    let mut name = NameWatch::of(&place);
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(serve(Arc::clone(state), stream))),
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            },
            () = name.is_to_be_looked_at() => {
                let again = if place.is_found() { None } else { Some(place.again()) };
                match again {
                    None => name.was_looked_at(),
                    Some(Ok((fresh, there))) => {
                        if let Ok(fresh) = UnixListener::from_std(fresh) {
                            (listener, place) = (fresh, there);
                        }
                        name = NameWatch::of(&place);
                    }
                    Some(Err(_)) => name = NameWatch::without(),
                }
            }
        }
    }
    drop(place);
    drop(listener);
    let end = Instant::now() + DRAIN_TIMEOUT;
    while state.has_clients() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Decides when to check the socket's path, without waking an idle run.
struct NameWatch {
    told: Option<AsyncFd<OwnedFd>>,
    due: Instant,
}

impl NameWatch {
    #[allow(
        deprecated,
        reason = "an owned descriptor stays open while it is registered; the successor asks for a promise that process/ alone may give"
    )]
    fn of(place: &Place) -> NameWatch {
        let told = place.watch().and_then(|watch| AsyncFd::with_interest(watch, Interest::READABLE).ok());
        let mut name = NameWatch { told, due: Instant::now() };
        name.was_looked_at();
        name
    }

    /// The path is gone, and binding again has failed.
    fn without() -> NameWatch {
        NameWatch { told: None, due: Instant::now() + LOOK }
    }

    fn was_looked_at(&mut self) {
        self.due = Instant::now() + if self.told.is_some() { SELDOM } else { LOOK };
    }

    async fn is_to_be_looked_at(&self) {
        tokio::select! {
            () = self.is_told() => {}
            () = tokio::time::sleep_until(self.due) => {}
        }
    }

    async fn is_told(&self) {
        let Some(told) = &self.told else { return std::future::pending().await };
        let Ok(mut ready) = told.readable().await else { return std::future::pending().await };
        let mut what = [0; 1_024];
        while rustix::io::read(told.get_ref(), &mut what).is_ok_and(|count| count > 0) {}
        ready.clear_ready();
    }
}

/// Reports the number of attending clients to the run: each change, rate-limited, and always the last one.
async fn tell_attendance(state: Arc<ServerState>) {
    let mut attending = state.attending.subscribe();
    let mut told = 0;
    while attending.changed().await.is_ok() {
        let now = *attending.borrow_and_update();
        if now != told {
            told = now;
            (state.run)(ToRun::Attending(now));
            tokio::time::sleep(ATTENDANCE).await;
        }
    }
}

impl ServerState {
    fn has_clients(&self) -> bool {
        [&self.clients, &self.inside].iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn welcome(&self, you: You) -> Welcome {
        let may = |name: &&&str| match you {
            You::Operator => !matches!(**name, "new" | "worker_ended"),
            You::Relative => matches!(**name, "status" | "follow" | "say"),
            You::Inside => matches!(**name, "status" | "follow"),
        };
        let caps = self.served.caps.iter().filter(may);
        self.hub.welcome(Welcome {
            n: 0,
            phase: String::new(),
            iteration: 0,
            cwd: self.served.cwd.clone(),
            journal: self.served.journal.display().to_string(),
            started_unix_ms: self.served.started_unix_ms,
            t: 0,
            caps: caps.map(|name| (*name).to_owned()).collect(),
            attending: *self.attending.borrow(),
            standing: Vec::new(),
            bounds: None,
        })
    }

    /// Sends a remark on a disconnected client to the run; of many only the count.
    fn note(&self, why: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.told.is_some_and(|told| told.elapsed() < NOTE) {
            notes.untold += 1;
            return;
        }
        notes.told = Some(Instant::now());
        let before = match std::mem::take(&mut notes.untold) {
            0 => String::new(),
            untold => format!("; {untold} more since the last time"),
        };
        drop(notes);
        (self.run)(ToRun::Remark(format!("a client of the control socket was let go: {why}{before}")));
    }
}

/// Counts an attending client until it is dropped.
struct Attending(Arc<ServerState>);

impl Attending {
    fn new(state: &Arc<ServerState>) -> Option<Attending> {
        let counted = state.attending.send_if_modified(|now| {
            let fits = *now < ATTENDING;
            *now += u32::from(fits);
            fits
        });
        counted.then(|| Attending(Arc::clone(state)))
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.attending.send_modify(|now| *now -= 1);
    }
}

/// Serves one client until it leaves or is disconnected.
async fn serve(state: Arc<ServerState>, mut stream: UnixStream) {
    let Ok(peer) = stream.peer_cred() else { return };
    if peer.uid() != rustix::process::geteuid().as_raw() {
        let fault = Fault::new(Code::NotYours, "the run belongs to another user");
        return refuse(&state, &mut stream, fault).await;
    }
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    let peer = peer_of(pid, state.served.family.as_deref());
    let you = match &peer {
        Peer::Operator => You::Operator,
        Peer::Of(Owner { kin: Some(_), .. }) => You::Relative,
        Peer::Own | Peer::Of(_) | Peer::Stranger => You::Inside,
    };
    let hooks = if state.served.hook_key.is_some() { HOOKS } else { 0 };
    let (count, most, places) = match you {
        You::Operator => (&state.clients, CLIENTS, CLIENTS),
        You::Inside | You::Relative => (&state.inside, INSIDE + hooks, INSIDE),
    };
    let busy = || Fault::new(Code::Busy, format!("the run has {places} clients already; close one of them"));
    let Some(_counted) = Counted::up_to(count, most) else {
        return refuse(&state, &mut stream, busy()).await;
    };
    let greeting = FromRun::Greeting(Greeting {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: state.served.run.clone(),
        kind: state.served.kind.to_owned(),
        pid: std::process::id(),
        you,
    });
    if !write(&mut stream, &encode(&greeting)).await {
        return;
    }
    let mut lines = Lines::new(&state.held, HELLO_BYTES);
    let hello = match timeout(HELLO, hello(&mut stream, &mut lines)).await {
        Ok(Ok(Some(hello))) => hello,
        Ok(Ok(None)) => return,
        Ok(Err(fault)) => return refuse(&state, &mut stream, fault).await,
        Err(_) => {
            let fault = Fault::new(Code::BadRequest, format!("no hello came within {} s", HELLO.as_secs()));
            return refuse(&state, &mut stream, fault).await;
        }
    };
    if let (HOOK, Some(key)) = (hello.client.as_str(), &state.served.hook_key) {
        lines.set_limit(REQUEST_BYTES);
        return state.hooks.serve(stream, &mut lines, key, &|hook| (state.run)(ToRun::Hook(hook))).await;
    }
    let watching = if peer.is_inside() { Counted::up_to(&state.watching, INSIDE) } else { None };
    if peer.is_inside() && watching.is_none() {
        return refuse(&state, &mut stream, busy()).await;
    }
    let attends = hello.attends && you == You::Operator;
    let attending = if attends { Attending::new(&state) } else { None };
    if attends && attending.is_none() {
        let fault = Fault::new(Code::Busy, format!("{ATTENDING} clients attend to the run already; close one of them"));
        return refuse(&state, &mut stream, fault).await;
    }
    if !write(&mut stream, &encode(&FromRun::Welcome(Box::new(state.welcome(you))))).await {
        return;
    }
    lines.set_limit(REQUEST_BYTES);
    let (reader, writer) = stream.into_split();
    let (to_client, from_us) = mpsc::channel(2 * IN_FLIGHT);
    let writing = tokio::spawn(write_to(writer, from_us));
    let client = Client {
        state: &state,
        you,
        peer,
        attends,
        to_client: to_client.clone(),
        waiting: Arc::new(Semaphore::new(IN_FLIGHT)),
    };
    if let Err(fault) = client.read(reader, &mut lines, attending).await {
        state.note(&fault.message);
        let _ = to_client.send(ToClient::Last(encode(&FromRun::Fault(fault)))).await;
    }
    drop((client, to_client));
    let _ = timeout(HELLO, writing).await;
}

/// Who the client is.
fn peer_of(pid: Option<u32>, family: Option<&dyn Family>) -> Peer {
    let Some(pid) = pid else { return Peer::Stranger };
    if let Some(owner) = family.and_then(|family| family.owner(pid)) {
        return Peer::Of(owner);
    }
    match is_inside(pid) {
        true if crate::process::ancestors(pid).contains(&std::process::id()) => Peer::Own,
        true => Peer::Stranger,
        false => Peer::Operator,
    }
}

/// Tells a client why it is disconnected.
async fn refuse(state: &ServerState, stream: &mut UnixStream, fault: Fault) {
    state.note(&fault.message);
    write(stream, &encode(&FromRun::Fault(fault))).await;
}

/// The hello of a client; `None` when it has disconnected.
async fn hello(stream: &mut UnixStream, lines: &mut Lines<'_>) -> Result<Option<Hello>, Fault> {
    let mut chunk = [0; 1024];
    let line = loop {
        if let Some(line) = lines.next()? {
            break line;
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(count) => lines.push(chunk.get(..count).unwrap_or_default())?,
        }
    };
    let hello = decode_hello(&line)?;
    let (theirs, ours) = (hello.protocol.major, PROTOCOL.major);
    let message = |what: &str| {
        format!(
            "this run's ccc {} uses version {ours} of the control protocol, and the client {} version {theirs}: use {what}",
            env!("CARGO_PKG_VERSION"),
            hello.version
        )
    };
    match theirs.cmp(&ours) {
        std::cmp::Ordering::Equal => Ok(Some(hello)),
        std::cmp::Ordering::Greater => Err(Fault::new(Code::TooNew, message("the ccc that started the run"))),
        std::cmp::Ordering::Less => {
            Err(Fault::new(Code::TooOld, message("the ccc that started the run, or a newer one")))
        }
    }
}

/// A message to the task that writes to a client.
enum ToClient {
    /// A reply.
    Line(Vec<u8>),
    /// Why the client is disconnected. Nothing follows, because later replies would hide it.
    Last(Vec<u8>),
    /// Start to send these events.
    Follow(Follower),
}

/// Reads from a client.
struct Client<'a> {
    state: &'a Arc<ServerState>,
    you: You,
    peer: Peer,
    attends: bool,
    to_client: mpsc::Sender<ToClient>,
    /// A permit for each request that waits for its reply.
    waiting: Arc<Semaphore>,
}

impl Client<'_> {
    /// Reads until the client leaves; an error when it must be disconnected.
    async fn read(
        &self,
        mut reader: OwnedReadHalf,
        lines: &mut Lines<'_>,
        mut attending: Option<Attending>,
    ) -> Result<(), Fault> {
        let mut bucket = Bucket::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            while let Some(line) = lines.next()? {
                let wait = bucket.take(Instant::now())?;
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                let (id, request) = match decode_request(&line) {
                    Ok(request) => request,
                    Err((Some(id), fault)) => {
                        self.reply(id, Reply::Fault(fault)).await;
                        continue;
                    }
                    Err((None, fault)) => return Err(fault),
                };
                if let Err(fault) = self.peer.may(&request, knows_ancestors()) {
                    self.reply(id, Reply::Fault(fault)).await;
                    continue;
                }
                if request == (Request::Away {}) {
                    attending = None;
                }
                if request == (Request::Back {}) && self.attends && attending.is_none() {
                    attending = Attending::new(self.state);
                }
                self.handle(id, request).await?;
            }
            let count = tokio::select! {
                read = reader.read(&mut chunk) => read.unwrap_or(0),
                // It does not read, or everything was sent.
                () = self.to_client.closed() => 0,
            };
            if count == 0 {
                return Ok(());
            }
            lines.push(chunk.get(..count).unwrap_or_default())?;
        }
    }

    async fn reply(&self, re: u64, reply: Reply) {
        let _ = self.to_client.send(ToClient::Line(encode(&FromRun::Reply { re, reply }))).await;
    }

    async fn handle(&self, id: u64, request: Request) -> Result<(), Fault> {
        if let Request::Follow { tail, since, words } = request {
            let (follower, from) = self.state.hub.follow(tail, since, words);
            self.reply(id, Reply::Following { from }).await;
            let _ = self.to_client.send(ToClient::Follow(follower)).await;
            return Ok(());
        }
        let (name, served) = (request.name(), &self.state.served);
        if served.caps.contains(&name) {
            if let Request::New { args, cwd, stdin } = request {
                return self.start(id, Wanted { args, cwd, stdin }).await;
            }
            if let Request::WorkerEnded { id: worker, text, at_unix_ms } = request {
                let input = |id: String, name: String| OperatorInput::WorkerEnded { id, name, text, at_unix_ms };
                return self.about_worker(id, worker, input).await;
            }
            if let Request::WorkerResumed { id: worker } = request {
                let input = |id: String, name: String| OperatorInput::WorkerStarted { id, name, again: true };
                return self.about_worker(id, worker, input).await;
            }
            if let Request::WorkerLost { id: worker } = request {
                return self.worker_lost(id, worker).await;
            }
        }
        let request = self.as_said(request);
        let reply = match input_of(request) {
            // A hook identifies itself in its hello.
            None if name == "hook" => {
                Reply::Fault(Fault::new(Code::Refused, "only a hook of the agent can send `hook`"))
            }
            None if matches!(name, "new" | "worker_ended" | "worker_resumed" | "worker_lost") => {
                Reply::Fault(Fault::new(Code::Refused, format!("this run does not accept `{name}`")))
            }
            None if name == "status" => Reply::Status(Box::new(self.state.welcome(self.you))),
            None => Reply::Done,
            _ if !served.caps.contains(&name) => {
                let run = if served.kind == "command" { "this run supervises a command, and" } else { "this run" };
                Reply::Fault(Fault::new(Code::Refused, format!("{run} does not accept `{name}`")))
            }
            Some(input) => return self.order(id, input).await,
        };
        self.reply(id, reply).await;
        Ok(())
    }

    /// A message names the run that it is from, if it is not the user's. Its key cannot be one of the user's.
    fn as_said(&self, request: Request) -> Request {
        if let (Request::Say { key, text, images }, Peer::Of(owner)) = (&request, &self.peer) {
            let key = key.as_ref().map(|key| format!("{}:{key}", owner.run));
            return Request::Say { key, text: self.peer.says(text), images: images.clone() };
        }
        request
    }

    /// Starts an agent for the agent of this run. It may take as long as the checkout of a worktree, so the client waits in a
    /// task of its own.
    async fn start(&self, id: u64, wanted: Wanted) -> Result<(), Fault> {
        let permits = (permit(&self.waiting).await?, permit(&self.state.orders).await?);
        let (state, to_client) = (Arc::clone(self.state), self.to_client.clone());
        tokio::spawn(async move {
            let starting = Arc::clone(&state);
            let started = tokio::task::spawn_blocking(move || match &starting.served.family {
                Some(family) => family.start(&wanted),
                None => Err(Fault::new(Code::Refused, "this run starts no agents")),
            });
            let reply = match started.await {
                Ok(Ok(started)) => {
                    let (done, answer) = oneshot::channel();
                    let (worker, name) = (started.id.clone(), started.name.clone());
                    let input = OperatorInput::WorkerStarted { id: worker, name, again: false };
                    (state.run)(ToRun::Order(Order { input, done }));
                    // The worker runs, whatever becomes of this run: it is told all the same.
                    drop(answer.await);
                    Reply::Started { id: started.id, name: started.name }
                }
                Ok(Err(fault)) => Reply::Fault(fault),
                Err(_) => Reply::Fault(Fault::new(Code::Refused, "the start of the agent was broken off")),
            };
            let _ = to_client.send(ToClient::Line(encode(&FromRun::Reply { re: id, reply }))).await;
            drop(permits);
        });
        Ok(())
    }

    /// What the ccc of a worker says about it.
    async fn about_worker(
        &self,
        id: u64,
        worker: String,
        input: impl FnOnce(String, String) -> OperatorInput,
    ) -> Result<(), Fault> {
        let Some(family) = self.state.served.family.clone() else {
            self.reply(id, Reply::Fault(Fault::new(Code::Refused, "this run has no workers"))).await;
            return Ok(());
        };
        match family.worker(&worker) {
            Ok(name) => self.order(id, input(worker, name)).await,
            Err(fault) => {
                self.reply(id, Reply::Fault(fault)).await;
                Ok(())
            }
        }
    }

    /// A worker has died. Its end is looked for in its files, which may take as long as git.
    async fn worker_lost(&self, id: u64, worker: String) -> Result<(), Fault> {
        let state = Arc::clone(self.state);
        let looked = worker.clone();
        let lost = tokio::task::spawn_blocking(move || match &state.served.family {
            Some(family) => family.lost(&looked),
            None => Err(Fault::new(Code::Refused, "this run has no workers")),
        });
        let broken_off = |_| Err(Fault::new(Code::Refused, "the look at the worker was broken off"));
        match lost.await.unwrap_or_else(broken_off) {
            Ok(LostWorker { name, text, at_unix_ms }) => {
                let at_unix_ms = Some(at_unix_ms);
                self.order(id, OperatorInput::WorkerEnded { id: worker, name, text, at_unix_ms }).await
            }
            Err(fault) => {
                self.reply(id, Reply::Fault(fault)).await;
                Ok(())
            }
        }
    }

    /// Sends an order to the run; the reply follows when the run has handled it.
    async fn order(&self, id: u64, input: OperatorInput) -> Result<(), Fault> {
        let permits = (permit(&self.waiting).await?, permit(&self.state.orders).await?);
        let (done, answer) = oneshot::channel();
        (self.state.run)(ToRun::Order(Order { input, done }));
        let to_client = self.to_client.clone();
        tokio::spawn(async move {
            let reply = answer.await.unwrap_or_else(|_| Reply::Fault(Fault::new(Code::Ending, "the run is ending")));
            let _ = to_client.send(ToClient::Line(encode(&FromRun::Reply { re: id, reply }))).await;
            drop(permits);
        });
        Ok(())
    }
}

/// Waits for a slot for one more request.
async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
    match timeout(OVERRATE_LIMIT, Arc::clone(semaphore).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) => Err(Fault::new(Code::Ending, "the run is ending")),
        Err(_) => {
            let message = format!("the run has not answered earlier requests within {} s", OVERRATE_LIMIT.as_secs());
            Err(Fault::new(Code::Overloaded, message))
        }
    }
}

/// Writes replies and events until the client is disconnected, does not read, or has everything.
async fn write_to(mut writer: OwnedWriteHalf, mut from_us: mpsc::Receiver<ToClient>) {
    let mut follower: Option<Follower> = None;
    let mut more = false;
    loop {
        let message = if more {
            match from_us.try_recv() {
                Ok(message) => Some(message),
                Err(mpsc::error::TryRecvError::Empty) => None,
                Err(mpsc::error::TryRecvError::Disconnected) => return,
            }
        } else {
            tokio::select! {
                biased;
                message = from_us.recv() => match message {
                    Some(message) => Some(message),
                    None => return,
                },
                () = moved(follower.as_mut()) => None,
            }
        };
        let (bytes, is_last) = match message {
            Some(ToClient::Line(line)) => {
                more = follower.is_some();
                (line, false)
            }
            Some(ToClient::Last(line)) => (line, true),
            Some(ToClient::Follow(fresh)) => {
                (follower, more) = (Some(fresh), true);
                continue;
            }
            None => match follower.as_mut().map(Follower::take) {
                Some(ForClient::Lines(bytes)) => {
                    more = true;
                    (bytes, false)
                }
                Some(ForClient::Nothing) | None => {
                    more = false;
                    continue;
                }
                Some(ForClient::Over) => return,
                Some(ForClient::Overtaken) => {
                    let why = "it did not read the events of the run".to_owned();
                    (encode_event(&Event::Gone { why }), true)
                }
            },
        };
        let written = timeout(WRITE, writer.write_all(&bytes)).await;
        if is_last || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

async fn moved(follower: Option<&mut Follower>) {
    match follower {
        Some(follower) => follower.moved().await,
        None => std::future::pending().await,
    }
}
