//! Providers as tokens of a run.

use std::fs;

use serde_json::{Value, json};

use super::{SECRET, ccc, ground};
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{Ground, action};

/// A provider with a model of its own.
fn kimi() -> Value {
    json!({"env": {"ANTHROPIC_BASE_URL": "https://kimi.example", "ANTHROPIC_AUTH_TOKEN": {"env": "KIMI_KEY"}}, "model": "kimi-k2"})
}

#[test]
fn a_run_goes_on_at_another_provider_with_its_host_credential_and_model_and_the_critic_follows() {
    let ground = Ground::without_git().env("KIMI_KEY", SECRET);
    ground.user_config(&json!({"pool": ["ANTHROPIC_API_KEY", "kimi"], "providers": {"kimi": kimi()}}));
    let note = "n=$(ls \"$home\" | grep -c '^env-'); { printf 'arg=%s\\n' \"$@\"; env; } > \"$home/env-$n-$role\"";
    let script = json!({
        "agent": [[{"limit": {"resets_in_s": 3_600}}], [{"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    });
    let world = World::with_prelude(ground, &script, note);
    let ended = world.start(&["--", "--model", "opus"]).end();
    ended.assert_code(0);
    assert!(
        ended.journal().iter().any(|entry| action(entry, "spawn").is_some_and(|it| it.to_string().contains("kimi-k2")))
    );
    let seen = |name: &str| fs::read_to_string(world.ground.home().join(name)).expect(name);
    let first = seen("env-0-agent");
    assert!(!first.contains("KIMI_KEY") && !first.contains("kimi"), "{first}");
    assert!(first.contains("ANTHROPIC_API_KEY=") && first.contains("arg=opus"), "{first}");
    for name in ["env-1-agent", "env-2-critic"] {
        let text = seen(name);
        for part in
            ["ANTHROPIC_BASE_URL=https://kimi.example\n", &format!("ANTHROPIC_AUTH_TOKEN={SECRET}\n"), "arg=kimi-k2\n"]
        {
            assert!(text.contains(part), "{name}: no {part:?} in {text}");
        }
        assert!(!text.contains("ANTHROPIC_API_KEY=") && !text.contains("KIMI_KEY="), "{name}: {text}");
        // Of two the last one would count.
        let last = text.lines().filter(|line| line.starts_with("arg=")).collect::<Vec<_>>();
        let models: Vec<&&str> = last.iter().filter(|arg| ["arg=opus", "arg=kimi-k2"].contains(arg)).collect();
        assert_eq!(models.last(), Some(&&"arg=kimi-k2"), "{name}: {last:?}");
    }
    for file in [world.run_dir().join("journal.jsonl"), world.run_dir().join("run.json")] {
        assert!(!fs::read_to_string(&file).expect("a file").contains(SECRET), "{}", file.display());
    }
}

#[test]
fn a_pool_of_other_names_is_refused_by_what_is_wrong_with_it() {
    let two = json!({"env": {"ANTHROPIC_API_KEY": "a-made-up-key", "ANTHROPIC_AUTH_TOKEN": "another-made-up"}});
    let command = json!({"env": {"ANTHROPIC_API_KEY": "a-made-up-key", "ANTHROPIC_BASE_URL": {"command": "echo x"}}});
    for (pool, provider, says) in [
        (json!(["zebra"]), kimi(), "`pool` contains zebra"),
        (json!(["kimi"]), json!({}), "it has no credential"),
        (json!(["kimi"]), two, "it has several credentials: ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN"),
        (json!(["kimi"]), command, "its ANTHROPIC_BASE_URL comes from a command"),
        (json!(["kimi"]), kimi(), "KIMI_KEY, which is not set"),
    ] {
        let ground = ground(&json!({"pool": pool, "providers": {"kimi": provider}}));
        let (_, code, _, stderr) = ccc(&ground, &["tokens"]);
        assert!(code == Some(2) && stderr.contains(says) && stderr.contains("hint:"), "{says}: {stderr}");
    }
}

#[test]
fn the_pool_gives_the_tokens_in_its_order_and_no_others() {
    let ground = ground(&json!({"pool": ["kimi", "ANTHROPIC_API_KEY_3"], "providers": {"kimi": kimi()}}))
        .env("KIMI_KEY", SECRET)
        .env("ANTHROPIC_API_KEY_3", "a-third-made-up-key");
    let (_, code, listed, stderr) = ccc(&ground, &["tokens"]);
    assert_eq!(code, Some(0), "{stderr}");
    let labels: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(labels, ["kimi", "ANTHROPIC_API_KEY_3"], "{listed}");
}
