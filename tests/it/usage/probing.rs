use std::path::Path;

use ccc::config::{Dirs, Env, Project};
use ccc::core::WindowFact;
use ccc::tokens::{Credential, CredentialKind, Hosts, Http, ProbeVerdict, Probed, Provider as Company, probe};
use secrecy::SecretString;

use super::server::{Provider, Reply};

pub(super) const SECRET: &str = "sk-made-up-secret-0123456789";

/// A client whose every host is this one.
pub(super) fn http(pairs: &[(&str, &str)]) -> Http {
    let home = tempfile::tempdir().expect("tempdir");
    let env = Env::from_pairs(pairs.iter().copied());
    let dirs = Dirs::new(home.path(), home.path(), home.path(), &env);
    let project = Project { cwd: home.path().join("project"), git_root: None };
    let usage = env.get("CCC_USAGE_BASE_URL").map(|url| url.to_str().expect("UTF-8").to_owned());
    Http::new(Hosts::read(&env, &dirs, &project, Path::new("/nowhere"), usage.as_deref()), &env)
}

fn ask(provider: &Provider, company: Company, kind: CredentialKind) -> Probed {
    let url = provider.url();
    let http = http(&[
        ("ANTHROPIC_BASE_URL", &url),
        ("CCC_USAGE_BASE_URL", &url),
        ("OPENAI_BASE_URL", &url),
        ("GEMINI_BASE_URL", &url),
        ("CO_API_URL", &url),
        // Nothing on this machine is asked by a proxy.
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ]);
    let secret = SecretString::from(SECRET);
    let credential = Credential::held("L", kind, company, secret.clone());
    let probed = probe(&http, &credential, &secret, super::server::now_ms());
    assert!(!format!("{probed:?} {http:?}").contains(SECRET), "{probed:?}");
    for asked in provider.asked() {
        assert!(!asked.line.contains(SECRET) && !asked.body.contains(SECRET), "{asked:?}");
    }
    probed
}

#[test]
fn each_kind_of_token_is_sent_as_its_provider_wants_it() {
    use CredentialKind::{ApiKey, AuthToken, OAuth};
    let bearer = format!("Bearer {SECRET}");
    for (company, kind, line, header, value, beta) in [
        (Company::Anthropic, ApiKey, "POST /v1/messages", "x-api-key", SECRET, None),
        (Company::Anthropic, AuthToken, "POST /v1/messages", "authorization", &bearer, None),
        (Company::Anthropic, OAuth, "GET /api/oauth/usage", "authorization", &bearer, Some("oauth-2025-04-20")),
        (Company::OpenAi, ApiKey, "GET /models", "authorization", &bearer, None),
        (Company::Google, ApiKey, "GET /v1beta/models?pageSize=1", "x-goog-api-key", SECRET, None),
        (Company::Cohere, ApiKey, "GET /v1/models?page_size=1", "authorization", &bearer, None),
    ] {
        let provider = Provider::start();
        for path in ["/v1/messages", "/api/oauth/usage", "/models", "/v1beta/models", "/v1/models"] {
            provider.answers(path, Reply::of(200, "{}"));
        }
        assert_eq!(ask(&provider, company, kind).verdict, ProbeVerdict::Valid, "{company} {kind}");
        let asked = provider.asked();
        let [asked] = asked.as_slice() else { panic!("one question: {asked:?}") };
        assert_eq!(asked.line, line);
        assert_eq!(asked.headers.get(header).map(String::as_str), Some(value), "{company} {kind}");
        assert_eq!(asked.headers.get("anthropic-beta").map(String::as_str), beta);
        assert!(asked.headers["user-agent"].starts_with("ccc/"), "it says who asks");
        let keys = ["x-api-key", "authorization", "x-goog-api-key"];
        assert_eq!(keys.iter().filter(|key| asked.headers.contains_key(**key)).count(), 1, "{asked:?}");
    }
}

#[test]
fn verdicts_come_with_the_windows_of_the_answer() {
    let now_s = super::server::now_ms() / 1_000;
    let provider = Provider::start();
    let rejected = Reply::of(429, "{}")
        .header("anthropic-ratelimit-unified-status", "rejected")
        .header("anthropic-ratelimit-unified-reset", now_s + 600)
        .header("anthropic-ratelimit-unified-representative-claim", "five_hour")
        .header("anthropic-ratelimit-unified-5h-utilization", "1.0")
        .header("anthropic-ratelimit-unified-5h-reset", now_s + 600)
        .header("retry-after", "600");
    provider.answers("/api/oauth/usage", Reply::of(403, "{}"));
    provider.answers("/v1/messages", rejected);
    let probed = ask(&provider, Company::Anthropic, CredentialKind::OAuth);
    assert_eq!(provider.lines(), ["GET /api/oauth/usage", "POST /v1/messages"], "a setup-token may not read its usage");
    let limited =
        ProbeVerdict::Limited { until_unix_ms: Some((now_s + 600) * 1_000), window: Some("five_hour".to_owned()) };
    assert_eq!(probed.verdict, limited);
    let window =
        WindowFact { name: "five_hour".to_owned(), utilization: Some(1.0), resets_at_unix_s: Some(now_s + 600) };
    assert_eq!(probed.windows, [window]);
}

#[test]
fn each_status_has_its_verdict_over_the_wire() {
    let provider = Provider::start();
    for (reply, expected) in [
        (Reply::of(401, "{}"), "refused (HTTP 401)"),
        (Reply::of(403, "{}"), "refused (HTTP 403)"),
        (Reply::of(429, "{}").header("retry-after", 1), "throttled for a moment"),
        (Reply::of(429, "{}").header("retry-after", 300), "limited"),
        (Reply::of(500, "{}"), "not reached: the provider answered with HTTP 500"),
        (Reply::of(529, "{}"), "not reached: the provider answered with HTTP 529"),
        (Reply::of(400, "{}"), "unknown: the provider answered with HTTP 400"),
        (Reply::of(200, &"x".repeat(1 << 20)), "ready"),
    ] {
        provider.answers("/v1/messages", reply);
        let probed = ask(&provider, Company::Anthropic, CredentialKind::ApiKey);
        assert_eq!(probed.verdict.to_string(), expected);
    }
}

#[test]
fn a_model_that_is_not_known_there_is_no_verdict_on_the_token() {
    let provider = Provider::start();
    provider.answers("/v1/models", Reply::of(200, "{}"));
    assert_eq!(ask(&provider, Company::Anthropic, CredentialKind::ApiKey).verdict, ProbeVerdict::Valid);
    assert_eq!(provider.lines(), ["POST /v1/messages", "GET /v1/models?limit=1"]);
    provider.answers("/v1/models", Reply::of(401, "{}"));
    let probed = ask(&provider, Company::Anthropic, CredentialKind::ApiKey);
    assert_eq!(probed.verdict, ProbeVerdict::Refused { status: 401 });
}

#[test]
fn a_redirect_takes_no_token_elsewhere() {
    let (provider, other) = (Provider::start(), Provider::start());
    other.answers("/v1/messages", Reply::of(200, "{}"));
    provider.answers("/v1/messages", Reply::of(307, "").header("location", format!("{}/v1/messages", other.url())));
    let probed = ask(&provider, Company::Anthropic, CredentialKind::ApiKey);
    assert!(matches!(probed.verdict, ProbeVerdict::Unknown { .. }), "{probed:?}");
    assert_eq!(other.asked().len(), 0);
}

#[test]
fn who_does_not_answer_is_waited_for_within_the_limit() {
    let provider = Provider::start();
    provider.answers("/v1/messages", Reply::silent());
    let started = std::time::Instant::now();
    let probed = ask(&provider, Company::Anthropic, CredentialKind::ApiKey);
    assert!(probed.verdict.to_string().contains("did not answer within 5s"), "{probed:?}");
    assert!(started.elapsed() >= ccc::tokens::HTTP_TIMEOUT, "it was waited for");
    assert!(started.elapsed() < ccc::tokens::HTTP_TIMEOUT * 2, "and no longer");
}

#[test]
fn nobody_there_is_said() {
    let url = Provider::start().url();
    let http = http(&[("ANTHROPIC_BASE_URL", &url)]);
    let secret = SecretString::from(SECRET);
    let credential = Credential::held("L", CredentialKind::ApiKey, Company::Anthropic, secret.clone());
    let verdict = probe(&http, &credential, &secret, 0).verdict.to_string();
    assert!(verdict.starts_with("not reached: no connection to 127.0.0.1:"), "{verdict}");
}
