//! A small blocking HTTP client: one request, one bounded answer, one timeout for everything.
//!
//! It runs in the calling thread. A secret goes into one header, which is marked sensitive, and never into a URL.
//! Redirects are not followed, because they would send that header elsewhere. No error quotes what was sent or
//! received.

use std::fmt;
use std::io;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use ureq::http::header::{HeaderName, HeaderValue};
use ureq::http::{Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::hosts::{BaseUrl, HostError, Hosts};
use super::offers::{Sent, Service};
use crate::config::Env;
use crate::files::{self, CERTIFICATES};

/// The timeout for everything together: DNS lookup, connection, TLS, request and answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// How many bytes of an answer's body are read.
pub const BODY_LIMIT_BYTES: u64 = 256 * 1024;
/// The largest size of an answer's headers, in bytes.
const HEADERS_LIMIT_BYTES: usize = 64 * 1024;
/// The user agent. It names ccc and never imitates another program.
const USER_AGENT: &str = concat!("ccc/", env!("CARGO_PKG_VERSION"));

/// Variables that name a proxy for `https`; the first one that is set counts. Requests to this machine use no proxy.
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// Variables that list hosts without a proxy.
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// Names a PEM file with the certificates to trust instead of Mozilla's, for networks that intercept TLS.
const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

/// The client for requests to providers.
#[derive(Clone)]
pub struct Http {
    hosts: Hosts,
    near: Agent,
    /// A setup error affects only requests over the network.
    far: Result<Far, HttpFault>,
}

/// The agent for requests over the network.
#[derive(Clone)]
struct Far {
    agent: Agent,
    /// The variable that named the proxy.
    proxy: Option<&'static str>,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    pub(super) service: Service,
    /// Overrides the service's usual base URL.
    pub(super) base: Option<&'a Result<BaseUrl, HostError>>,
    /// Relative to the base URL, including the query.
    pub(super) path: &'a str,
    /// If present, it is sent by POST, as JSON; otherwise the request is a GET.
    pub(super) body: Option<&'a str>,
    pub(super) headers: &'a [(&'static str, &'static str)],
    pub(super) secret: &'a SecretString,
    pub(super) sent: Sent,
}

/// An answer, whatever its status. `Debug` shows no header and no body.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    /// `None` when it was too large or came too late.
    pub(super) body: Option<Vec<u8>>,
}

/// Why a connection failed, if the system's error has a kind; most DNS errors have none.
fn why_not_connected(kind: io::ErrorKind) -> String {
    match kind.to_string().as_str() {
        "uncategorized error" | "other error" => "its name cannot be resolved, or the network is down".to_owned(),
        words => words.to_owned(),
    }
}

/// Why there is no answer. No message contains any part of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// No request was sent.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The timeout passed.
    #[error("{host} did not answer within {}s", TIMEOUT.as_secs())]
    Timeout {
        /// The host that was asked.
        host: String,
    },
    /// There is no such host, or no name server.
    #[error("the name {host} cannot be looked up")]
    NoSuchHost {
        /// The host that was asked.
        host: String,
    },
    /// No connection, or it broke.
    #[error("no connection to {host}: {}", why_not_connected(*.kind))]
    Connection {
        /// The host that was asked.
        host: String,
        /// The system's error.
        kind: io::ErrorKind,
    },
    /// The TLS connection failed.
    #[error("no secure connection to {host}: {why}")]
    Tls {
        /// The host that was asked.
        host: String,
        /// The TLS error.
        why: String,
    },
    /// The answer is not HTTP, or its headers are too large.
    #[error("{host} did not answer with valid HTTP")]
    Protocol {
        /// The host that was asked.
        host: String,
    },
    /// The proxy refused the connection.
    #[error("the proxy in {variable} does not connect to {host}")]
    ProxyRefused {
        /// The variable that names it.
        variable: &'static str,
        /// The host that was asked.
        host: String,
    },
    /// The proxy's URL is invalid.
    #[error("{variable} is not a usable proxy URL; correct it or unset it")]
    Proxy {
        /// The variable.
        variable: &'static str,
    },
    /// The certificate file cannot be used.
    #[error("{SSL_CERT_FILE} names {path}, which {why}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The token contains characters that a header cannot hold.
    #[error("the token contains characters that are not valid in a token")]
    NoToken,
}

impl HttpFault {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            HttpFault::Timeout { .. }
            | HttpFault::NoSuchHost { .. }
            | HttpFault::Connection { .. }
            | HttpFault::ProxyRefused { .. }
            | HttpFault::Protocol { .. } => true,
            HttpFault::Host(_)
            | HttpFault::Tls { .. }
            | HttpFault::Proxy { .. }
            | HttpFault::Certificates { .. }
            | HttpFault::NoToken => false,
        }
    }
}

impl Http {
    /// A client for these hosts, with the environment's proxy and certificates. It opens nothing except a named
    /// certificate file.
    #[must_use]
    pub fn new(hosts: Hosts, env: &Env) -> Self {
        let roots = roots(env);
        let tls = |roots| TlsConfig::builder().root_certs(roots).build();
        let near_tls = tls(roots.clone().unwrap_or(RootCerts::WebPki));
        let near = Agent::new_with_config(base_config().proxy(None).tls_config(near_tls).build());
        let far = proxy(env).and_then(|named| {
            let (variable, proxy) = named.unzip();
            let tls = tls(roots?);
            let agent = Agent::new_with_config(base_config().proxy(proxy).tls_config(tls).build());
            Ok(Far { agent, proxy: variable })
        });
        Self { hosts, near, far }
    }

    /// The hosts of the requests.
    #[must_use]
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Sends a request, and waits for the answer within [`TIMEOUT`].
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Answer, HttpFault> {
        let base = match question.base {
            Some(base) => base.as_ref().map_err(Clone::clone)?,
            None => self.hosts.base(question.service)?,
        };
        let (agent, proxy) = if base.is_loopback() {
            (&self.near, None)
        } else {
            self.far.as_ref().map(|far| (&far.agent, far.proxy)).map_err(Clone::clone)?
        };
        let url = base.join(question.path);
        let fault = |error| fault(error, base, proxy);
        let (key, value) = question.sent.header(question.secret)?;
        let mut request = Request::builder().uri(url).header(key, value);
        for (name, value) in question.headers {
            request = request.header(*name, *value);
        }
        let answered = match question.body {
            None => request.method("GET").body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request)),
            Some(body) => request
                .method("POST")
                .header("content-type", "application/json")
                .body(body)
                .map_err(ureq::Error::from)
                .and_then(|request| agent.run(request)),
        };
        answered.map(Answer::read).map_err(fault)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The proxy agent may contain a password.
        f.debug_struct("Http").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Sent {
    fn header(self, secret: &SecretString) -> Result<(HeaderName, HeaderValue), HttpFault> {
        let (name, value) = match self {
            Sent::Bearer => {
                let text = SecretString::from(format!("Bearer {}", secret.expose_secret()));
                (ureq::http::header::AUTHORIZATION, HeaderValue::from_str(text.expose_secret()))
            }
            Sent::Header(name) => (HeaderName::from_static(name), HeaderValue::from_str(secret.expose_secret())),
        };
        let mut value = value.map_err(|_| HttpFault::NoToken)?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

impl Answer {
    fn read(response: Response<Body>) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().iter().filter_map(|(name, value)| {
            // No code here reads a header that is not text.
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let headers = headers.collect();
        let body = response.into_body().into_with_config().limit(BODY_LIMIT_BYTES).read_to_vec().ok();
        Self { status, headers, body }
    }

    /// All headers, with their names in lower case.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.trim()))
    }

    #[cfg(test)]
    pub(super) fn made_up(status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, headers, body: None }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

pub(super) fn base_config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(HEADERS_LIMIT_BYTES)
        .max_idle_connections(0)
        .user_agent(USER_AGENT)
}

/// The proxy, and the variable that names it.
pub(super) fn proxy(env: &Env) -> Result<Option<(&'static str, Proxy)>, HttpFault> {
    let set = PROXY_VARIABLES.into_iter().find_map(|name| Some((name, env.get(name)?)));
    let Some((variable, value)) = set else { return Ok(None) };
    let unusable = HttpFault::Proxy { variable };
    let url = value.to_str().map(str::trim).ok_or_else(|| unusable.clone())?;
    let named = Proxy::new(url).map_err(|_| unusable.clone())?;
    let mut builder = Proxy::builder(named.protocol()).host(named.host()).port(named.port());
    if let Some(username) = named.username() {
        builder = builder.username(username);
    }
    if let Some(password) = named.password() {
        builder = builder.password(password);
    }
    let exempt = NO_PROXY_VARIABLES.into_iter().find_map(|name| env.get(name)?.to_str());
    for host in exempt.unwrap_or_default().split(',').map(str::trim).filter(|host| !host.is_empty()) {
        builder = builder.no_proxy(host);
    }
    builder.build().map(|proxy| Some((variable, proxy))).map_err(|_| unusable)
}

/// Mozilla's certificates, which are built in, unless the user names others.
pub(super) fn roots(env: &Env) -> Result<RootCerts, HttpFault> {
    let Some(path) = env.get(SSL_CERT_FILE) else { return Ok(RootCerts::WebPki) };
    let unusable = |why: String| HttpFault::Certificates { path: path.to_string_lossy().into_owned(), why };
    let pem = files::read(path.as_ref(), CERTIFICATES).map_err(|fault| unusable(fault.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            // Keys, and item kinds that a later version of the crate may add.
            Ok(_) => {}
            Err(_) => return Err(unusable("is not valid PEM".to_owned())),
        }
    }
    if certificates.is_empty() {
        return Err(unusable("contains no certificate".to_owned()));
    }
    Ok(RootCerts::from(certificates))
}

/// The meaning of an error, without texts that could quote a secret.
#[allow(clippy::wildcard_enum_match_arm, reason = "the client's list of errors is open")]
pub(super) fn fault(error: ureq::Error, base: &BaseUrl, proxy: Option<&'static str>) -> HttpFault {
    let host = base.host().to_owned();
    match error {
        ureq::Error::Timeout(_) => HttpFault::Timeout { host },
        ureq::Error::HostNotFound => HttpFault::NoSuchHost { host },
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => HttpFault::Timeout { host },
            // TLS alerts and certificate errors arrive with this kind.
            io::ErrorKind::InvalidData => HttpFault::Tls { host, why: error.to_string() },
            kind => HttpFault::Connection { host, kind },
        },
        ureq::Error::ConnectionFailed => HttpFault::Connection { host, kind: io::ErrorKind::NotConnected },
        ureq::Error::Tls(why) => HttpFault::Tls { host, why: why.to_owned() },
        ureq::Error::Rustls(error) => HttpFault::Tls { host, why: error.to_string() },
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => match proxy {
            Some(variable) => HttpFault::ProxyRefused { variable, host },
            None => HttpFault::Protocol { host },
        },
        _ => HttpFault::Protocol { host },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(pairs: &[(&str, &str)]) -> Result<Option<Proxy>, HttpFault> {
        proxy(&Env::from_pairs(pairs.iter().copied())).map(|named| named.map(|(_, proxy)| proxy))
    }

    #[test]
    fn the_environments_proxy_is_used_and_its_exemptions_are_kept() {
        assert!(far(&[]).expect("no proxy").is_none());
        let pairs = [("HTTPS_PROXY", "http://me:hush@proxy.example:3128"), ("NO_PROXY", "localhost, .inner.example")];
        let proxy = far(&pairs).expect("a proxy").expect("a proxy");
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        assert_eq!((proxy.username(), proxy.password()), (Some("me"), Some("hush")));
        let exempt = |url: &str| proxy.is_no_proxy(&url.parse().expect("a URL"));
        assert!(exempt("https://a.inner.example/"));
        assert!(!exempt("https://api.anthropic.com/"));
        for (variable, others) in [("https_proxy", "HTTPS_PROXY"), ("HTTPS_PROXY", "ALL_PROXY"), ("all_proxy", "x")] {
            let proxy = far(&[(variable, "one.example:1"), (others, "two.example:2")]).expect("a proxy");
            assert_eq!(proxy.expect("a proxy").host(), "one.example", "{variable} over {others}");
        }
        assert!(far(&[("HTTP_PROXY", "http://proxy.example")]).expect("none").is_none(), "that is for plain http");
    }

    #[test]
    fn what_is_wrong_with_proxy_or_certificates_is_said_to_who_asks_across_the_network() {
        let error = far(&[("HTTPS_PROXY", "nonsense://me:hush@proxy")]).expect_err("no proxy");
        assert_eq!(error, HttpFault::Proxy { variable: "HTTPS_PROXY" });
        assert!(!error.to_string().contains("hush"));
        let dir = tempfile::tempdir().expect("tempdir");
        for (content, says) in [(None, "does not exist"), (Some("x"), "contains no certificate")] {
            let path = dir.path().join("roots.pem");
            if let Some(content) = content {
                std::fs::write(&path, content).expect("write");
            }
            let env = Env::from_pairs([(SSL_CERT_FILE, path.as_os_str())]);
            let error = roots(&env).expect_err("no certificates");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused_without_being_quoted() {
        let secret = SecretString::from("sk-made\nup");
        let error = Sent::Bearer.header(&secret).expect_err("no header");
        assert_eq!(error, HttpFault::NoToken);
        let (_, value) = Sent::Bearer.header(&SecretString::from("sk-made-up")).expect("a header");
        assert!(value.is_sensitive());
        assert!(!format!("{value:?}").contains("made-up"));
    }
}
