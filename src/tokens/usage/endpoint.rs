//! Queries a provider for a token's usage.

use secrecy::SecretString;

use super::super::http::{Answer, Http, HttpFault, Question};
use super::super::offers::UsageEndpoint;
use super::statement::Account;

/// The endpoint's answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tokens) enum Said {
    /// The usage.
    Usage(Account),
    /// The token is not valid (any more).
    Refused,
    /// The token may not read its usage, usually because `claude setup-token` made it.
    Forbidden,
    /// Too many requests.
    TooOften,
    /// Another failure, as text that quotes nothing of the answer.
    Failed(String),
}

/// Sends one request.
///
/// # Errors
/// When no request is sent, or there is no answer.
pub(in crate::tokens) fn ask(
    http: &Http,
    endpoint: &UsageEndpoint,
    secret: &SecretString,
    now_unix_ms: i64,
) -> Result<Said, HttpFault> {
    let UsageEndpoint { service, path, headers, sent, read } = *endpoint;
    let answer = http.ask(&Question { service, base: None, path, body: None, headers, secret, sent })?;
    Ok(said(&answer, read, now_unix_ms))
}

fn said(answer: &Answer, read: fn(&[u8], i64) -> Option<Account>, now_unix_ms: i64) -> Said {
    match answer.status {
        200 => match answer.body.as_deref().map(|body| read(body, now_unix_ms)) {
            Some(Some(account)) => Said::Usage(account),
            Some(None) => Said::Failed("the usage endpoint's answer has an unexpected format".to_owned()),
            None => Said::Failed("the usage endpoint's answer was incomplete".to_owned()),
        },
        401 => Said::Refused,
        403 => Said::Forbidden,
        429 => Said::TooOften,
        status => Said::Failed(format!("the usage endpoint answered with HTTP {status}")),
    }
}
