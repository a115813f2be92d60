//! `ccc providers list` and `ccc providers check`.

use serde_json::{Value, json};

use super::{SECRET, ccc, ground};
use crate::usage::server::{Provider, Reply};

#[test]
fn providers_are_listed_without_any_value() {
    let config = json!({
        "current_provider": "kimi",
        "providers": {
            "kimi": {"env": {"ANTHROPIC_BASE_URL": "https://kimi.example/x", "ANTHROPIC_AUTH_TOKEN": SECRET}, "model": "kimi-k2"},
            "own": {},
            "unset": {"env": {"ANTHROPIC_API_KEY": {"env": "NO_SUCH"}}},
            "vault": {"env": {"ANTHROPIC_API_KEY": {"command": "pass show x"}, "ANTHROPIC_MODEL": "m"}},
        },
    });
    let ground = ground(&config);
    let (_, code, listed, stderr) = ccc(&ground, &["providers"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let words: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..4], ["*", "kimi", "kimi.example", "kimi-k2"], "{listed}");
    assert!(words[0].join(" ").ends_with("ANTHROPIC_AUTH_TOKEN written in the configuration"), "{listed}");
    assert!(words[1].join(" ").ends_with("the agent's own credential"), "{listed}");
    assert!(words[2].join(" ").ends_with("the variable NO_SUCH, which is not set"), "{listed}");
    assert!(words[3].join(" ").ends_with("m ANTHROPIC_API_KEY from a command"), "{listed}");
    let (_, _, json, _) = ccc(&ground, &["providers", "list", "--json"]);
    let rows: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&rows["current"], &rows["providers"][0]["host"]), (&json!("kimi"), &json!("kimi.example")));
    let (_, _, config, _) = ccc(&ground, &["config"]);
    for shown in [listed, json, config] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn the_choice_stands_over_the_configuration() {
    let ground = ground(&json!({"current_provider": "a", "providers": {"a": {}, "b": {}}}));
    let current = || {
        let listed = ccc(&ground, &["providers"]).2;
        listed.lines().find(|line| line.starts_with('*')).map(|line| line[2..3].to_owned())
    };
    assert_eq!(current().as_deref(), Some("a"));
    assert_eq!(ccc(&ground, &["providers", "use", "b"]).1, Some(0));
    assert_eq!(current().as_deref(), Some("b"));
    ground.user_config(&json!({"current_provider": "a", "providers": {"a": {}}}));
    let (_, code, _, stderr) = ccc(&ground, &["providers"]);
    assert!(code == Some(0) && stderr.contains("the current provider is b, which is not configured"), "{stderr}");
}

#[test]
fn a_check_asks_each_provider_at_its_own_host_for_its_own_model_and_says_what_is_in_the_way() {
    let (good, bad) = (Provider::start(), Provider::start());
    good.answers("/v1/messages", Reply::of(200, "{}"));
    bad.answers("/v1/messages", Reply::of(401, "{}"));
    let provider = |url: String, token: &str| json!({"env": {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": token}, "model": "kimi-k2"});
    let other = "sk-made-up-other-0123456789abcdef";
    let config = json!({"providers": {"good": provider(good.url(), SECRET), "bad": provider(bad.url(), other)}});
    let ground = ground(&config);
    let (_, code, stdout, stderr) = ccc(&ground, &["providers", "check", "good"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "good  ready\n", ""));
    let asked = good.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers.get("authorization"), Some(&format!("Bearer {SECRET}")));
    assert!(asked[0].body.contains("\"kimi-k2\""), "{}", asked[0].body);
    assert!(bad.asked().is_empty(), "it was not meant");

    ground.user_settings(&json!({"env": {"ANTHROPIC_BASE_URL": good.url()}}));
    let (_, code, stdout, _) = ccc(&ground, &["providers", "check", "--json"]);
    assert_eq!(code, Some(1));
    let said: Value = serde_json::from_str(&stdout).expect("JSON");
    let faults = said["providers"][0]["faults"].as_array().expect("faults");
    assert_eq!((&said["ok"], &said["providers"][0]["name"], faults.len()), (&json!(false), &json!("bad"), 2), "{said}");
    assert!(faults[0].as_str().is_some_and(|text| text.contains("`env.ANTHROPIC_BASE_URL`")), "{said}");
    assert!(faults[1].as_str().is_some_and(|text| text.contains("refused (HTTP 401)")), "{said}");
    assert_eq!(said["providers"][1]["ok"], json!(true), "{said}");
    assert!(bad.asked().iter().all(|asked| !asked.body.contains(SECRET)));
    assert!(!stdout.contains(SECRET) && !stdout.contains(other), "{stdout}");
}
