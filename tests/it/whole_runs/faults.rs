//! Faults of the provider, in a run that has two tokens: they lie with no token, so none of them pays for it.

use std::net::Ipv4Addr;

use serde_json::Value;
use tokio::net::TcpSocket;

use super::harness::{BRIEF, DEADLINE, Ended, Ground, approval, bash, text};
use super::limits::{assert_no_secret, assert_task_seen_once, rotations, used, when, with_keys, with_oauth};
use crate::scripted_api::{Recorded, Reply, Rule, Script, ScriptedApi, Times, When};

const DANGEROUS: [&str; 4] = ["-p", "do it", "--", "--dangerously-skip-permissions"];

/// Two tokens of one kind, and a CLI that soon leaves the waiting to ccc.
fn with_two(oauth: bool) -> Ground {
    let ground = Ground::new().env("CLAUDE_CODE_MAX_RETRIES", "1");
    if oauth { with_oauth(ground, 2) } else { with_keys(ground, 2) }
}

/// What a fault of the provider must leave behind: a run that waited and went on alone, with the token that it had.
fn assert_nobodys_fault(ground: &Ground, ended: &Ended<'_>, requests: &[Recorded]) {
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["completed"]);
    assert_eq!(rotations(ended), 0, "{:#?}", ended.decisions());
    assert_eq!(ended.result()["restarts"], 0, "{:#?}", ended.decisions());
    assert!(ended.of_type("rotation").is_empty() && ended.of_type("spent").is_empty(), "{}", ended.stdout);
    let waits = ended.decisions().iter().filter(|decision| decision.contains("the provider failed")).count();
    assert!(waits >= 1, "it is ccc that waits: {:#?}", ended.decisions());
    assert!(ended.result()["waited_ms"].as_u64().unwrap() >= 5_000, "{}", ended.result());
    assert!(used(requests).iter().all(|&token| token == 0), "{:?}", used(requests));
    assert_no_token_blamed(ground);
    assert_task_seen_once(requests);
    assert_no_secret(ground, ended);
}

/// What all ccc processes of the user know says of no token that it is limited or refused.
fn assert_no_token_blamed(ground: &Ground) {
    let Ok(file) = std::fs::read_to_string(ground.state().join("tokens.json")) else { return };
    let known: Value = serde_json::from_str(&file).expect("tokens.json is JSON");
    for (id, token) in known["tokens"].as_object().expect("the tokens") {
        let blame = ["limited_until_unix_ms", "limited_window", "refused_value"].map(|name| token[name].clone());
        assert!(blame.iter().all(Value::is_null), "{id} is blamed: {token}");
    }
}

/// Agent and critic meet this failure three times each: that is one turn given up by the CLI, and one announced retry.
fn failing(failure: &Reply) -> Script {
    let agent = || When::no_user_text(BRIEF);
    let critic = || When::any_user_text(BRIEF);
    let rules: [Rule; 5] = [
        when(agent(), Times::Once, bash("echo one >> steps.txt")),
        when(agent(), Times::N(3), failure.clone()),
        when(agent(), Times::Once, Reply::text("Done.")),
        when(critic(), Times::N(3), failure.clone()),
        when(critic(), Times::Once, approval()),
    ];
    rules.into_iter().fold(Script::new(), Script::rule)
}

on_both! {
    fn a_provider_that_fails_for_a_while_costs_no_token(cli) {
        let failures = [(500, "api_error"), (529, "overloaded_error")];
        let cases = failures.iter().flat_map(|failure| [(failure, true), (failure, false)]);
        let nights: Vec<_> = cases
            .map(|(&(status, error), oauth)| {
                let api = ScriptedApi::start(failing(&Reply::error(status, error, "scripted"))).unwrap();
                (with_two(oauth), api)
            })
            .collect();
        // All of them wait for the most part.
        let running: Vec<_> =
            nights.iter().map(|(ground, api)| ground.supervise(&api.base_url(), &cli.path, &DANGEROUS)).collect();
        for ((ground, api), running) in nights.iter().zip(running) {
            let ended = running.end();
            assert_nobodys_fault(ground, &ended, &api.requests());
            assert_eq!(ground.read("steps.txt"), "one\n");
            assert!(api.unmatched().is_empty());
            assert_eq!(ended.result()["iterations"], 1);
        }
    }

    fn a_provider_that_is_not_reached_for_a_while_costs_no_token(cli) {
        for oauth in [true, false] {
            let ground = with_two(oauth);
            let port = Port::hold();
            let at_first = api(Script::new().then(bash("until [ -e go ]; do sleep 0.05; done; echo one >> steps.txt")), &port);
            let base_url = at_first.base_url();
            let mut running = ground.supervise(&base_url, &cli.path, &DANGEROUS);
            let mut requests = at_first.wait_for_requests(1, DEADLINE).unwrap();
            // In mid-turn, while a tool runs, the provider goes: whoever calls it is refused the connection.
            drop(at_first);
            ground.write("go", "");
            running.until("a wait for the provider", |event| event["type"] == "phase" && event["phase"] == "waiting");
            assert_eq!(ground.read("steps.txt"), "one\n");
            let again = api(Script::new().then(Reply::text("Done.")).then(approval()), &port);
            let ended = running.end();
            requests.extend(again.requests());
            assert_nobodys_fault(&ground, &ended, &requests);
            assert_eq!(ground.read("steps.txt"), "one\n");
            assert_eq!(requests.len(), 3);
        }
    }

    fn a_provider_that_is_not_reached_at_first_costs_no_token(cli) {
        let nights: Vec<_> = [true, false].map(|oauth| (with_two(oauth), Port::hold())).into();
        let mut running: Vec<_> = nights
            .iter()
            .map(|(ground, port)| ground.supervise(&port.base_url(), &cli.path, &["-p", "do it"]))
            .collect();
        // Each provider is there before the first wait of its run is over.
        let mut apis = Vec::new();
        for ((_, port), running) in nights.iter().zip(&mut running) {
            running.until("a wait for the provider", |event| event["type"] == "phase" && event["phase"] == "waiting");
            apis.push(api(Script::new().then(Reply::text("Done.")).then(approval()), port));
        }
        for (((ground, _), api), running) in nights.iter().zip(apis).zip(running) {
            let ended = running.end();
            assert_nobodys_fault(ground, &ended, &api.requests());
            assert_eq!(api.request_count(), 2);
            let sent: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
            assert_eq!(sent, ["task", "continue"]);
        }
    }

    fn where_no_route_leads_to_the_provider_the_run_waits_and_blames_no_token(cli) {
        // Nobody's name, and an address to which there is no way (RFC 2606 and RFC 6666).
        let nights: Vec<_> =
            ["http://provider.invalid", "http://[100::1]:9"].map(|base_url| (with_two(true), base_url)).into();
        let mut running: Vec<_> =
            nights.iter().map(|(ground, base_url)| ground.supervise(base_url, &cli.path, &["-p", "do it"])).collect();
        for running in &mut running {
            // The second one is past the first, so the run goes on by itself.
            for _ in 0..2 {
                running.until("a wait", |event| event["type"] == "phase" && event["phase"] == "waiting");
            }
            running.signal(rustix::process::Signal::INT);
        }
        for ((ground, _), running) in nights.iter().zip(running) {
            let ended = running.end();
            ended.assert_code(130);
            assert_eq!(rotations(&ended), 0, "{:#?}", ended.decisions());
            assert_eq!(ended.result()["restarts"], 0, "{:#?}", ended.decisions());
            assert_no_token_blamed(ground);
            assert_no_secret(ground, &ended);
        }
    }
}

/// A port of loopback that nobody else gets while nobody listens there: it is bound, and connections are refused.
struct Port {
    number: u16,
    _bound: TcpSocket,
}

impl Port {
    fn hold() -> Self {
        let bound = TcpSocket::new_v4().expect("a socket");
        // Lets a scripted API bind it, too.
        bound.set_reuseaddr(true).expect("a shared port");
        bound.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        Self { number: bound.local_addr().expect("its address").port(), _bound: bound }
    }

    fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.number)
    }
}

fn api(script: Script, port: &Port) -> ScriptedApi {
    ScriptedApi::start_on(script, port.number).expect("the port is ours")
}
