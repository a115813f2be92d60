use ccc::tokens::{Credential, CredentialKind, Provider as Company, probe};
use secrecy::SecretString;

use super::probing::{SECRET, http};
use super::server::{Provider, Reply};

fn verdict(pairs: &[(&str, &str)], kind: CredentialKind) -> String {
    let secret = SecretString::from(SECRET);
    let credential = Credential::held("L", kind, Company::Anthropic, secret.clone());
    probe(&http(pairs), &credential, &secret, 0).verdict.to_string()
}

#[test]
fn plain_http_to_another_machine_is_refused_before_anything_is_sent() {
    // Nobody listens there: an attempt would say something else.
    let seen = verdict(&[("ANTHROPIC_BASE_URL", "http://192.0.2.1:9")], CredentialKind::ApiKey);
    assert!(seen.starts_with("unknown: ANTHROPIC_BASE_URL is plain http to another machine"), "{seen}");
}

#[test]
fn behind_a_gateway_the_usage_endpoint_is_not_asked() {
    let gateway = Provider::start();
    gateway.answers("/v1/messages", Reply::of(200, "{}"));
    gateway.answers("/api/oauth/usage", Reply::of(200, "{}"));
    assert_eq!(verdict(&[("ANTHROPIC_BASE_URL", &gateway.url())], CredentialKind::OAuth), "ready");
    assert_eq!(gateway.lines(), ["POST /v1/messages"]);
}

#[test]
fn across_the_network_the_proxy_of_the_environment_is_asked() {
    let proxy = Provider::start();
    let url = proxy.url();
    let pairs = [("ANTHROPIC_BASE_URL", "https://gateway.invalid"), ("HTTPS_PROXY", url.as_str())];
    let seen = verdict(&pairs, CredentialKind::ApiKey);
    assert_eq!(seen, "not reached: the proxy in HTTPS_PROXY does not connect to gateway.invalid");
    let asked = proxy.asked();
    let [asked] = asked.as_slice() else { panic!("one connection: {asked:?}") };
    assert_eq!(asked.line, "CONNECT gateway.invalid:443");
    assert!(!format!("{asked:?}").contains(SECRET));
}
