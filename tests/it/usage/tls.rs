//! A server with TLS whose certificate nobody but this test trusts. Key and certificate stand in `tls/`, made by
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -addext
//! subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE`.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use ccc::tokens::{Credential, CredentialKind, ProbeVerdict, Provider as Company, probe};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use secrecy::SecretString;

use super::probing::{SECRET, http};

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/usage/tls/certificate.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/usage/tls/key.pem");

/// Answers one question; gives its head, or none when the client did not trust it.
fn serve_one() -> (String, JoinHandle<Option<String>>) {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(KEY).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a configuration");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let url = format!("https://127.0.0.1:{}", listener.local_addr().expect("address").port());
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        let connection = ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut stream = BufReader::new(StreamOwned::new(connection, socket));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.get_mut().write_all(answer).and_then(|()| stream.get_mut().flush()).expect("an answer");
        Some(head)
    });
    (url, server)
}

fn verdict(pairs: &[(&str, &str)]) -> ProbeVerdict {
    let secret = SecretString::from(SECRET);
    let credential = Credential::held("L", CredentialKind::ApiKey, Company::OpenAi, secret.clone());
    probe(&http(pairs), &credential, &secret, 0).verdict
}

#[test]
fn a_certificate_that_the_user_trusts_is_enough() {
    let (url, server) = serve_one();
    assert_eq!(verdict(&[("OPENAI_BASE_URL", &url), ("SSL_CERT_FILE", CERTIFICATE)]), ProbeVerdict::Valid);
    let head = server.join().expect("the server").expect("a question");
    assert!(head.contains(&format!("Bearer {SECRET}")), "{head}");
}

#[test]
fn a_certificate_that_nobody_vouches_for_gets_no_token() {
    let (url, server) = serve_one();
    let verdict = verdict(&[("OPENAI_BASE_URL", &url)]).to_string();
    assert!(verdict.starts_with("not reached: no secure connection to 127.0.0.1:"), "{verdict}");
    assert_eq!(server.join().expect("the server"), None, "nothing was sent");
}
