//! A server on loopback that answers each path with what it was told, and writes down what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Nothing is answered at all: the connection stays open.
    silent: bool,
    /// Waits this long before it answers, so that others can come in between.
    delay: Duration,
}

impl Reply {
    pub(crate) fn of(status: u16, body: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { status, headers: Vec::new(), body, silent: false, delay: Duration::ZERO }
    }

    pub(crate) fn silent() -> Self {
        Self { silent: true, ..Self::of(200, "") }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// The usage of each token was asked so long ago that it is asked again.
pub(crate) fn usage_is_due(state: &Path) {
    let path = state.join("usage-cache.json");
    let mut cache: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a cache")).expect("JSON");
    for identity in cache["identities"].as_object_mut().expect("identities").values_mut() {
        identity["next_unix_ms"] = Value::Null;
        identity["fetched_unix_ms"] = json!(now_ms() - 3_600_000);
    }
    fs::write(&path, cache.to_string()).expect("written");
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `GET /api/oauth/usage`, with the query.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

#[derive(Default)]
struct Book {
    replies: BTreeMap<String, Reply>,
    asked: Vec<Asked>,
}

/// The server; dropping it closes it.
pub(crate) struct Provider {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("address");
        let book = Arc::new(Mutex::new(Book::default()));
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let state = Arc::clone(&book);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
                let app = axum::Router::new().fallback(answer).with_state(state);
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, book, stop: Some(stop), thread: Some(thread) }
    }

    /// From now on the path is answered so; any other is a 404.
    pub(crate) fn answers(&self, path: &str, reply: Reply) {
        self.book.lock().expect("book").replies.insert(path.to_owned(), reply);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.book.lock().expect("book").asked.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(State(book): State<Arc<Mutex<Book>>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let line = format!("{} {}", parts.method, parts.uri);
    let headers =
        parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
    let asked = Asked { line, headers: headers.collect(), body: String::from_utf8_lossy(&body).into_owned() };
    let reply = {
        let mut book = book.lock().expect("book");
        book.asked.push(asked);
        book.replies.get(parts.uri.path()).cloned().unwrap_or_else(|| Reply::of(404, "{}"))
    };
    if reply.silent {
        std::future::pending::<()>().await;
    }
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a response")
}

/// The wall clock, unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    ccc::driver::unix_ms()
}

/// An answer of the usage endpoint: the two windows in percent, with their resets in seconds from now.
pub(crate) fn account(five_hour: f64, seven_day: f64) -> Reply {
    let iso = |in_s: i64| jiff::Timestamp::from_second(now_ms() / 1_000 + in_s).expect("a time").to_string();
    let (five_at, seven_at) = (iso(8_130), iso(273_630));
    Reply::of(
        200,
        &serde_json::json!({
            "five_hour": {"utilization": five_hour, "resets_at": five_at},
            "seven_day": {"utilization": seven_day, "resets_at": seven_at},
            "seven_day_opus": {"utilization": null, "resets_at": null},
            "extra_usage": {"is_enabled": false},
        })
        .to_string(),
    )
}
