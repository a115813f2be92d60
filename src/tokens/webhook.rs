//! Sends what a run tells to a webhook that the user's own configuration names.
//!
//! It stands here because only this room uses the network and sees the values of secrets: a webhook's URL is often one, and
//! the values of its headers are. As for every request, plain `http` is for this machine only, redirects are not followed, and
//! no error quotes what was sent or received.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use ureq::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use ureq::http::{HeaderMap, Request};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use super::hosts::{BaseUrl, UrlFault};
use super::http::{HttpFault, base_config, fault, proxy, roots};
use crate::config::{Env, WebhookPlace};

/// How much of an answer is read: nothing of it is used.
const ANSWER_LIMIT_BYTES: u64 = 16 * 1024;

/// A webhook: its URL and its headers.
#[derive(Clone)]
pub struct Webhook {
    base: BaseUrl,
    /// The URL itself.
    url: SecretString,
    headers: HeaderMap,
}

/// Why a webhook cannot be used. No message quotes the URL or a header's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFault {
    /// Its URL is invalid.
    #[error("{0}")]
    Url(&'static str),
    /// A variable is not set.
    #[error("the variable {0} is not set")]
    NoVariable(String),
    /// The value of a variable cannot be sent.
    #[error("the variable {0} holds characters that a header cannot have")]
    NoHeader(String),
    /// For ntfy the URL's path must be a topic.
    #[error("the URL names no topic: for ntfy it is such as https://ntfy.sh/my-topic")]
    NoTopic,
}

/// How a webhook has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status.
    pub status: u16,
    /// How long it asks to wait before the next try.
    pub retry_after: Option<Duration>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The time has passed.
    #[error("{host} did not answer within {}s", timeout.as_secs_f32())]
    Timeout {
        /// The host.
        host: String,
        /// The limit.
        timeout: Duration,
    },
    /// Another reason.
    #[error(transparent)]
    Http(HttpFault),
}

const fn in_words(fault: UrlFault) -> &'static str {
    match fault {
        UrlFault::NotAUrl => "the URL is not one such as https://example.com/hook",
        UrlFault::OtherScheme => "the URL does not begin with https://",
        UrlFault::PlainHttp => {
            "the URL is plain http to another machine, so that others could read what is sent; use https"
        }
        UrlFault::UserInfo => "the URL contains a user name or password; give them in `headers`",
        UrlFault::Query => "the URL contains #; leave it out",
    }
}

impl Webhook {
    /// The webhook that an entry of the configuration names. `headers` are names, each with the variable of its value.
    ///
    /// # Errors
    /// When the URL is invalid, or a variable is missing.
    pub fn of(place: &WebhookPlace, headers: &BTreeMap<String, String>, env: &Env) -> Result<Webhook, WebhookFault> {
        let text = |variable: &str| {
            let missing = || WebhookFault::NoVariable(variable.to_owned());
            env.get(variable).and_then(|value| value.to_str()).map(str::trim).ok_or_else(missing)
        };
        let url = match place {
            WebhookPlace::Given(url) => url.get().as_str(),
            WebhookPlace::Env(variable) => text(variable)?,
        };
        // A query is part of a webhook, and none of the URL of a service.
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        if query.contains('#') {
            return Err(WebhookFault::Url(in_words(UrlFault::Query)));
        }
        let base = BaseUrl::parse(path).map_err(|fault| WebhookFault::Url(in_words(fault)))?;
        let mut values = HeaderMap::new();
        for (name, variable) in headers {
            let unusable = || WebhookFault::NoHeader(variable.clone());
            let value = SecretString::from(text(variable)?);
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| unusable())?;
            value.set_sensitive(true);
            values.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
        }
        Ok(Webhook { base, url: SecretString::from(url.trim().to_owned()), headers: values })
    }

    /// The same without the last part of the URL's path, and that part: the server of ntfy and the topic.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn topic(&self) -> Result<(Webhook, String), WebhookFault> {
        let url = self.url.expose_secret();
        let path = url.split('?').next().unwrap_or_default().trim_end_matches('/');
        let (server, topic) = path.rsplit_once('/').ok_or(WebhookFault::NoTopic)?;
        if topic.is_empty() || server.ends_with('/') {
            return Err(WebhookFault::NoTopic);
        }
        let query = url.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
        let url = SecretString::from(format!("{server}/{query}"));
        Ok((Webhook { url, ..self.clone() }, topic.to_owned()))
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.host()
    }

    /// Sends JSON by POST, and waits for the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn post(&self, json: &str, env: &Env, timeout: Duration) -> Result<WebhookAnswer, PostError> {
        let (agent, through) = if self.base.is_loopback() {
            (agent(None, RootCerts::WebPki, timeout), None)
        } else {
            let (variable, proxy) = proxy(env).map_err(PostError::Http)?.unzip();
            (agent(proxy, roots(env).map_err(PostError::Http)?, timeout), variable)
        };
        let mut request = Request::post(self.url.expose_secret()).header(CONTENT_TYPE, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let sent = request.body(json).map_err(ureq::Error::from).and_then(|request| agent.run(request));
        let answer = sent.map_err(|error| match fault(error, &self.base, through) {
            HttpFault::Timeout { host } => PostError::Timeout { host, timeout },
            other @ (HttpFault::Host(_)
            | HttpFault::NoSuchHost { .. }
            | HttpFault::Connection { .. }
            | HttpFault::Tls { .. }
            | HttpFault::Protocol { .. }
            | HttpFault::ProxyRefused { .. }
            | HttpFault::Proxy { .. }
            | HttpFault::Certificates { .. }
            | HttpFault::NoToken) => PostError::Http(other),
        })?;
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let status = answer.status().as_u16();
        // A server may take a client amiss that closes the connection before the end of the answer.
        let _ = answer.into_body().into_with_config().limit(ANSWER_LIMIT_BYTES).read_to_vec();
        Ok(WebhookAnswer { status, retry_after: seconds.map(Duration::from_secs) })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.base.host()).finish_non_exhaustive()
    }
}

fn agent(proxy: Option<Proxy>, roots: RootCerts, timeout: Duration) -> Agent {
    let tls = TlsConfig::builder().root_certs(roots).build();
    Agent::new_with_config(base_config().timeout_global(Some(timeout)).proxy(proxy).tls_config(tls).build())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::config::Unshown;

    fn given(url: &str) -> WebhookPlace {
        WebhookPlace::Given(Unshown::new(url.to_owned()))
    }

    fn webhook(url: &str) -> Result<Webhook, WebhookFault> {
        Webhook::of(&given(url), &BTreeMap::new(), &Env::default())
    }

    /// A server that gives each request in turn one of these answers, and tells what it got.
    pub(crate) fn server(answers: &[&str]) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
                while !request.ends_with(b"}") {
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => request.extend_from_slice(&chunk[..count]),
                    }
                }
                let _ = tell.send(String::from_utf8_lossy(&request).into_owned());
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (url, told)
    }

    const SECOND: Duration = Duration::from_secs(20);

    #[test]
    fn a_webhook_gets_json_and_its_headers_and_says_when_to_come_again() {
        let (url, told) = server(&["HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"]);
        let env = Env::from_pairs([("AUTH", "Bearer hush")]);
        let headers = BTreeMap::from([("X-Auth".to_owned(), "AUTH".to_owned())]);
        let webhook = Webhook::of(&given(&format!("{url}/hook?wait=true")), &headers, &env).expect("a webhook");
        assert!(!format!("{webhook:?}").contains("hush"));
        let answer = webhook.post(r#"{"a":1}"#, &env, SECOND).expect("an answer");
        assert_eq!(answer, WebhookAnswer { status: 429, retry_after: Some(Duration::from_secs(7)) });
        let request = told.recv().expect("a request").to_ascii_lowercase();
        assert!(request.starts_with("post /hook?wait=true http/1.1\r\n"), "{request}");
        for part in ["content-type: application/json", "x-auth: bearer hush", "{\"a\":1}"] {
            assert!(request.contains(part), "{part}: {request}");
        }
    }

    #[test]
    fn a_redirect_is_not_followed_so_that_no_header_goes_elsewhere() {
        let (elsewhere, told_elsewhere) = server(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
        let redirect = format!("HTTP/1.1 307 There\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        let (url, _told) = server(&[&redirect]);
        let answer = webhook(&url).expect("a webhook").post("{}", &Env::default(), SECOND).expect("an answer");
        assert_eq!(answer.status, 307);
        assert!(told_elsewhere.try_recv().is_err(), "the redirect was followed");
    }

    #[test]
    fn without_an_answer_the_host_is_named_and_not_the_url() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let hanging = webhook(&format!("http://{address}/hush")).expect("a webhook");
        let timeout = Duration::from_millis(200);
        let error = hanging.post("{}", &Env::default(), timeout).expect_err("it hangs");
        assert_eq!(error.to_string(), format!("{address} did not answer within 0.2s"));
        drop(listener);
        let error = hanging.post("{}", &Env::default(), SECOND).expect_err("nobody listens");
        assert_eq!(error.to_string(), format!("no connection to {address}: connection refused"));
    }

    #[test]
    fn what_is_wrong_with_a_webhook_is_said_without_its_url() {
        for (url, says) in [
            ("hush", "not one such as"),
            ("http://hush.example/x", "plain http to another machine"),
            ("https://me:hush@x.example/", "user name or password"),
            ("ftp://hush.example/x", "begin with https://"),
            ("https://x.example/a?b#hush", "contains #"),
        ] {
            let error = webhook(url).expect_err(url).to_string();
            assert!(error.contains(says) && !error.contains("hush"), "{url}: {error}");
        }
        let env = Env::from_pairs([("BAD", "hu\nsh"), ("URL", "https://x.example/a")]);
        let of = |headers: &[(&str, &str)], place: WebhookPlace| {
            let headers = headers.iter().map(|(name, variable)| ((*name).to_owned(), (*variable).to_owned())).collect();
            Webhook::of(&place, &headers, &env)
        };
        assert!(of(&[], WebhookPlace::Env("URL".to_owned())).is_ok());
        let missing = of(&[("A", "GONE")], WebhookPlace::Env("URL".to_owned())).expect_err("no variable");
        assert_eq!(missing, WebhookFault::NoVariable("GONE".to_owned()));
        let bad = of(&[("A", "BAD")], WebhookPlace::Env("URL".to_owned())).expect_err("no header");
        assert_eq!(bad, WebhookFault::NoHeader("BAD".to_owned()));
        assert_eq!(
            of(&[], WebhookPlace::Env("GONE".to_owned())).expect_err("no variable"),
            WebhookFault::NoVariable("GONE".to_owned())
        );
    }

    #[test]
    fn the_topic_of_ntfy_is_the_last_part_of_the_path() {
        let topic = |url: &str| {
            let (server, topic) = webhook(url).expect("a webhook").topic()?;
            Ok((server.url.expose_secret().to_owned(), topic))
        };
        let split = |url: &str, name: &str| Ok((url.to_owned(), name.to_owned()));
        assert_eq!(topic("https://ntfy.sh/mine"), split("https://ntfy.sh/", "mine"));
        assert_eq!(topic("https://x.example/ntfy/mine/?auth=a"), split("https://x.example/ntfy/?auth=a", "mine"));
        for url in ["https://ntfy.sh", "https://ntfy.sh/"] {
            assert_eq!(topic(url), Err(WebhookFault::NoTopic), "{url}");
        }
    }
}
