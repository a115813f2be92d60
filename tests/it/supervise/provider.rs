//! A stand-in for a provider: it answers each key's question as the test says, on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a key's question is answered with.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// This share of the five-hour window is used.
    Used(f64),
    /// Rejected until so many seconds after this was set, and from then on as good as new.
    RejectedUntil(i64),
    /// Not accepted.
    Refused,
}

/// The stand-in.
pub(super) struct Provider {
    pub(super) url: String,
    states: Arc<Mutex<BTreeMap<String, State>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let states: Arc<Mutex<BTreeMap<String, State>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (theirs, heard) = (Arc::clone(&states), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (states, asked) = (Arc::clone(&theirs), Arc::clone(&heard));
                std::thread::spawn(move || answer(stream, &states, &asked));
            }
        });
        Self { url, states, asked }
    }

    pub(super) fn set(&self, key: &str, state: State) {
        self.states.lock().unwrap().insert(key.to_owned(), state);
    }

    /// How often this key was asked about.
    pub(super) fn asked_about(&self, key: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == key).count()
    }
}

pub(super) fn unix_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn answer(mut stream: TcpStream, states: &Mutex<BTreeMap<String, State>>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "x-api-key" => key = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    drop(reader.read_exact(&mut body));
    asked.lock().unwrap().push(key.clone());
    let state = states.lock().unwrap().get(&key).copied();
    let now = unix_s();
    let window = |used: f64, reset: i64| {
        format!(
            "anthropic-ratelimit-unified-5h-utilization: {used}\r\nanthropic-ratelimit-unified-5h-reset: {reset}\r\n\
             anthropic-ratelimit-unified-reset: {reset}\r\n"
        )
    };
    let (status, headers) = match state {
        Some(State::RejectedUntil(reset)) if reset > now => (
            "429 Too Many Requests",
            format!(
                "anthropic-ratelimit-unified-status: rejected\r\n\
                 anthropic-ratelimit-unified-representative-claim: five_hour\r\n{}",
                window(1.0, reset)
            ),
        ),
        Some(State::Used(used)) => {
            ("200 OK", format!("anthropic-ratelimit-unified-status: allowed\r\n{}", window(used, now + 3_600)))
        }
        Some(State::Refused) => ("401 Unauthorized", String::new()),
        Some(State::RejectedUntil(_)) | None => {
            ("200 OK", format!("anthropic-ratelimit-unified-status: allowed\r\n{}", window(0.0, now + 3_600)))
        }
    };
    let body = r#"{"type":"message","content":[]}"#;
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
}
