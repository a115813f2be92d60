//! A server on loopback that answers each path with what it was told, and writes down what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use tokio::sync::oneshot;

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Nothing is answered at all: the connection stays open.
    silent: bool,
    /// Waits this long before it answers, so that others can come in between.
    delay: Duration,
}

impl Reply {
    pub(super) fn of(status: u16, body: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { status, headers: Vec::new(), body, silent: false, delay: Duration::ZERO }
    }

    pub(super) fn silent() -> Self {
        Self { silent: true, ..Self::of(200, "") }
    }

    pub(super) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// `GET /api/oauth/usage`, with the query.
    pub(super) line: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

#[derive(Default)]
struct Book {
    replies: BTreeMap<String, Reply>,
    asked: Vec<Asked>,
}

/// The server; dropping it closes it.
pub(super) struct Provider {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    pub(super) fn start() -> Self {
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
    pub(super) fn answers(&self, path: &str, reply: Reply) {
        self.book.lock().expect("book").replies.insert(path.to_owned(), reply);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.book.lock().expect("book").asked.clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
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
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
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
