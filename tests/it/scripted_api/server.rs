//! The listening side: one thread, one single-threaded runtime, one shared book of what was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::serve::ListenerExt;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::request::{Recorded, is_conversation, is_streamed, matches};
use super::script::{Message, Reply, Script, Times};
use super::wire::{self, Last};

/// A request body above this is refused, so that a runaway client cannot eat the machine.
const MAX_BODY_BYTES: usize = 256 << 20;

/// A running scripted API; dropping it closes its port and all its connections.
#[derive(Debug)]
pub(crate) struct ScriptedApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    book: Mutex<Book>,
    grown: Condvar,
    watch: Watch,
}

/// What is done at each conversational request before it is answered: whoever asked is alive then, and waits.
struct Watch(Box<dyn Fn(&Recorded) + Send + Sync>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

#[derive(Debug)]
struct Book {
    script: Script,
    used: Vec<u32>,
    requests: Vec<Recorded>,
    side: Vec<String>,
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl ScriptedApi {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had or the thread cannot be started.
    pub(crate) fn start(script: Script) -> io::Result<Self> {
        Self::start_on(script, 0)
    }

    /// Listens on this port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken or the thread cannot be started.
    pub(crate) fn start_on(script: Script, port: u16) -> io::Result<Self> {
        Self::start_watched(script, port, |_| ())
    }

    /// Listens on this port of 127.0.0.1, and does this at each conversational request before it is answered.
    ///
    /// # Errors
    /// When the port is taken or the thread cannot be started.
    pub(crate) fn start_watched(
        script: Script,
        port: u16,
        watch: impl Fn(&Recorded) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            started: Instant::now(),
            book: Mutex::new(Book {
                used: vec![0; script.rules.len()],
                script,
                requests: Vec::new(),
                side: Vec::new(),
            }),
            grown: Condvar::new(),
            watch: Watch(Box::new(watch)),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("scripted-api".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                // Small writes must leave at once, or every delta waits for an acknowledgement.
                let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
                let app = axum::Router::new().fallback(answer).with_state(state);
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
            // The runtime goes here, and with it the connections that stall.
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// What `ANTHROPIC_BASE_URL` is to be set to.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All conversational requests so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// How many conversational requests came so far.
    pub(crate) fn request_count(&self) -> usize {
        self.shared.lock().requests.len()
    }

    /// The conversational requests that no rule answered.
    pub(crate) fn unmatched(&self) -> Vec<Recorded> {
        self.shared.lock().requests.iter().filter(|r| r.rule.is_none()).cloned().collect()
    }

    /// Method and path of everything else that was asked.
    pub(crate) fn side_requests(&self) -> Vec<String> {
        self.shared.lock().side.clone()
    }

    /// Waits until so many conversational requests have come.
    ///
    /// # Errors
    /// When the deadline passes first; the error says how many there were.
    pub(crate) fn wait_for_requests(&self, n: usize, deadline: Duration) -> io::Result<Vec<Recorded>> {
        let book = self.shared.lock();
        let (book, waited) = self
            .shared
            .grown
            .wait_timeout_while(book, deadline, |book| book.requests.len() < n)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let text = format!("{} of {n} requests after {deadline:?}", book.requests.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(book.requests.clone())
    }
}

impl Drop for ScriptedApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread was printed there; a drop has nothing to add.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a conversational request and finds its answer.
    fn take(&self, headers: BTreeMap<String, String>, body: Value) -> (u64, Option<Reply>) {
        let mut guard = self.lock();
        let book = &mut *guard;
        let number = book.requests.len() as u64 + 1;
        let rule = book.script.rules.iter().zip(&book.used).position(|(rule, &used)| {
            let left = match rule.times {
                Times::Once => used < 1,
                Times::N(n) => used < n,
                Times::Forever => true,
            };
            left && matches(&rule.when, number, &headers, &body)
        });
        let reply = rule.map(|index| {
            book.used[index] += 1;
            book.script.rules[index].reply.clone()
        });
        let request = Recorded { number, at: self.started.elapsed(), headers, body, rule };
        book.requests.push(request.clone());
        drop(guard);
        (self.watch.0)(&request);
        self.grown.notify_all();
        (number, reply)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return json_response(413, &wire::error_body("request_too_large", "body too large"), BTreeMap::new());
    };
    if parts.method == Method::POST && path == "/v1/messages" {
        let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
            let text = wire::error_body("invalid_request_error", "the body is not JSON");
            return json_response(400, &text, BTreeMap::new());
        };
        if is_conversation(&body) {
            let headers = parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect();
            let model = body.get("model").and_then(Value::as_str).unwrap_or("unknown").to_owned();
            let streamed = is_streamed(&body);
            let (number, reply) = shared.take(headers, body);
            return render(reply, number, &model, streamed).await;
        }
        let side = {
            let mut book = shared.lock();
            book.side.push(format!("{} {path} (side question)", parts.method));
            book.script.side.clone()
        };
        let reply = side.unwrap_or_else(|| Reply::text("Scripted session"));
        return render(Some(reply), 0, "unknown", is_streamed(&body)).await;
    }
    shared.lock().side.push(format!("{} {path}", parts.method));
    match (&parts.method, path) {
        (&Method::POST, "/v1/messages/count_tokens") => {
            json_response(200, &json!({"input_tokens": bytes.len() / 4}), BTreeMap::new())
        }
        (&Method::GET, "/v1/models") => {
            let list = json!({"data": [], "has_more": false, "first_id": null, "last_id": null});
            json_response(200, &list, BTreeMap::new())
        }
        (&Method::HEAD, _) => empty(200),
        _ => json_response(200, &json!({}), BTreeMap::new()),
    }
}

async fn render(reply: Option<Reply>, number: u64, model: &str, streamed: bool) -> Response<Body> {
    match reply {
        Some(Reply::Message(message)) => deliver(message, number, model, streamed).await,
        Some(Reply::Error { status, error_type, message, mut headers, limit }) => {
            if let Some(limit) = limit {
                headers.extend(wire::limit_headers(&limit, unix_s()));
            }
            // The API itself names a request that it rejects; a network on the way to it does not.
            if error_type.ends_with("_error") {
                headers.entry("request-id".to_owned()).or_insert_with(|| format!("req_{number:06}"));
            }
            json_response(status, &wire::error_body(&error_type, &message), headers)
        }
        Some(Reply::StallBeforeHeaders) => std::future::pending().await,
        Some(Reply::Garbage { body }) => {
            respond(200, "text/event-stream; charset=utf-8", Body::from(body), BTreeMap::new())
        }
        None => {
            let body = wire::error_body("invalid_request_error", "no rule of the script matches this request");
            json_response(400, &body, BTreeMap::new())
        }
    }
}

async fn deliver(mut message: Message, number: u64, model: &str, streamed: bool) -> Response<Body> {
    let mut headers = std::mem::take(&mut message.headers);
    headers.insert("request-id".to_owned(), format!("req_{number:06}"));
    if let Some(limit) = &message.limit {
        headers.extend(wire::limit_headers(limit, unix_s()));
    }
    if message.first_delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(message.first_delay_ms)).await;
    }
    if !streamed {
        return json_response(200, &wire::whole(&message, number, model), headers);
    }
    let plan = wire::plan(&message, number, model);
    let body = if plan.last == Last::End && plan.pieces.iter().all(|(pause_ms, _)| *pause_ms == 0) {
        Body::from(plan.pieces.into_iter().map(|(_, piece)| piece).collect::<String>())
    } else {
        Body::from_stream(stream::unfold((plan.pieces.into_iter(), plan.last), |(mut pieces, last)| async move {
            match (pieces.next(), last) {
                (Some((pause_ms, piece)), _) => {
                    if pause_ms > 0 {
                        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                    }
                    Some((Ok::<_, io::Error>(Bytes::from(piece)), (pieces, last)))
                }
                (None, Last::End) => None,
                (None, Last::Stall) => std::future::pending().await,
                (None, Last::Cut) => {
                    // What was said must have left before the connection goes.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), (pieces, last)))
                }
            }
        }))
    };
    respond(200, "text/event-stream; charset=utf-8", body, headers)
}

fn json_response(status: u16, body: &Value, headers: BTreeMap<String, String>) -> Response<Body> {
    respond(status, "application/json", Body::from(body.to_string()), headers)
}

fn empty(status: u16) -> Response<Body> {
    respond(status, "text/plain", Body::empty(), BTreeMap::new())
}

/// Headers that HTTP does not allow are left out: a script cannot bring the server down.
fn respond(status: u16, content_type: &'static str, body: Body, headers: BTreeMap<String, String>) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
