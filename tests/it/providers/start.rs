//! `ccc NAME -- ARGS`, and `ccc` alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{CODE, NOWHERE, SECRET, ccc, content, ground, started};
use crate::supervise::tty::Tty;

fn kimi() -> Value {
    json!({"providers": {"kimi": {
        "env": {"ANTHROPIC_BASE_URL": "https://kimi.example/anthropic", "ANTHROPIC_AUTH_TOKEN": SECRET},
        "model": "kimi-k2",
    }}})
}

#[test]
fn the_agent_takes_the_place_of_ccc_under_the_provider() {
    let mut config = kimi();
    config["settings"] =
        json!({"env": {"SHARED": "1", "API_TIMEOUT_MS": 3000}, "permissions": {"allow": ["Read"]}, "a": 1});
    config["claude_args"] = json!(["--verbose"]);
    config["providers"]["kimi"]["settings"] =
        json!({"permissions": {"deny": ["Bash"]}, "env": {"API_TIMEOUT_MS": "6000"}});
    config["providers"]["kimi"]["claude_args"] = json!(["--ide"]);
    let ground = ground(&config);
    let agents = content(&ground.home().join(".claude"));
    let (pid, code, stdout, stderr) =
        ccc(&ground, &["kimi", "--", "-p", "hello", "--settings", r#"{"a": 2, "env": {"MINE": "x"}}"#]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(CODE), "", ""));
    let started = started(&ground).expect("it was started");
    assert_eq!(started.pid, pid, "it is another process");
    let settings: Value = serde_json::from_slice(&fs::read(&started.args[1]).expect("a file")).expect("JSON");
    assert_eq!(settings, json!({"permissions": {"allow": ["Read"], "deny": ["Bash"]}, "a": 2}));
    let expected = ["--settings", started.args[1].as_str(), "--model", "kimi-k2", "--verbose", "--ide", "-p", "hello"];
    assert_eq!(started.args, expected);
    for (name, value) in [
        ("ANTHROPIC_BASE_URL", Some("https://kimi.example/anthropic")),
        ("ANTHROPIC_AUTH_TOKEN", Some(SECRET)),
        // The user's own key would stand beside it.
        ("ANTHROPIC_API_KEY", None),
        ("SHARED", Some("1")),
        ("API_TIMEOUT_MS", Some("6000")),
        ("MINE", Some("x")),
        ("HOME", ground.home().to_str()),
    ] {
        assert_eq!(started.env.get(name).map(String::as_str), value, "{name}");
    }
    assert_eq!(content(&ground.home().join(".claude")), agents, "something was written into the agent's directory");
    assert!(ground.runs().is_empty(), "it is no run");
}

#[test]
fn the_users_own_model_counts_and_without_settings_no_argument_is_added() {
    let ground = ground(&kimi());
    let (_, code, ..) = ccc(&ground, &["kimi", "--", "--model", "other"]);
    assert_eq!(code, Some(CODE));
    assert_eq!(started(&ground).expect("started").args, ["--model", "other"]);
}

#[test]
fn values_come_from_variables_files_and_commands_and_a_missing_one_starts_nothing() {
    let value = |place: Value| json!({"providers": {"kimi": {"env": {"ANTHROPIC_AUTH_TOKEN": place}}}});
    let ground = ground(&value(json!({"env": "KIMI_KEY"}))).env("KIMI_KEY", SECRET);
    fs::write(ground.home().join("key"), format!("{SECRET}\n")).expect("written");
    for place in [json!({"env": "KIMI_KEY"}), json!({"file": "~/key"}), json!({"command": "echo \"$KIMI_KEY\""})] {
        ground.user_config(&value(place.clone()));
        assert_eq!(ccc(&ground, &["kimi"]).1, Some(CODE), "{place}");
        let env = started(&ground).expect("started").env;
        assert_eq!(env.get("ANTHROPIC_AUTH_TOKEN").map(String::as_str), Some(SECRET), "{place}");
        fs::remove_file(ground.home().join("started")).expect("removed");
    }
    for (place, says) in [
        (json!({"env": "NO_SUCH"}), "takes its value from the variable NO_SUCH, which is not set"),
        (json!({"file": "~/none"}), "takes its value from the file"),
        (json!({"command": "exit 3"}), "failed with"),
    ] {
        ground.user_config(&value(place.clone()));
        let (_, code, _, stderr) = ccc(&ground, &["kimi"]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says) && stderr.contains("providers.kimi.env.ANTHROPIC_AUTH_TOKEN"), "{stderr}");
        assert!(started(&ground).is_none(), "{place}: it was started");
    }
}

#[test]
fn what_the_agents_settings_set_otherwise_is_named_and_nothing_is_started() {
    let ground = ground(&kimi());
    let same = json!({"env": {"ANTHROPIC_BASE_URL": "https://kimi.example/anthropic", "OTHER": "1"}});
    ground.user_settings(&same);
    assert_eq!(ccc(&ground, &["kimi"]).1, Some(CODE), "equal values are no conflict");
    fs::remove_file(ground.home().join("started")).expect("removed");
    let other = json!({"env": {"ANTHROPIC_BASE_URL": "https://other.example", "ANTHROPIC_AUTH_TOKEN": "x"}});
    ground.user_settings(&other);
    let (_, code, stdout, stderr) = ccc(&ground, &["kimi"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let file = ground.home().join(".claude/settings.json").display().to_string();
    for part in ["`env.ANTHROPIC_AUTH_TOKEN`, `env.ANTHROPIC_BASE_URL`", &file, "hint: remove them there"] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    // Another credential would stand beside the provider's.
    ground.user_settings(&json!({"env": {"ANTHROPIC_API_KEY": "x"}}));
    let (_, code, _, stderr) = ccc(&ground, &["kimi"]);
    assert!(code == Some(2) && stderr.contains("`env.ANTHROPIC_API_KEY`"), "{stderr}");
    assert!(started(&ground).is_none() && !stderr.contains(SECRET), "{stderr}");
}

#[test]
fn settings_reach_the_agent_as_a_file_of_the_users_alone_whatever_is_in_them() {
    let mut config = kimi();
    // Nothing of this looks like a secret to a reader who knows only the common forms.
    config["providers"]["kimi"]["settings"] = json!({
        "x": "https://user:made-up@host/", "pass": "made-up", "dbPasswd": "made-up",
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "psql --password=made-up"}]}]},
    });
    let ground = ground(&config);
    assert_eq!(ccc(&ground, &["kimi"]).1, Some(CODE));
    let started_first = started(&ground).expect("started");
    assert!(!started_first.args.concat().contains("made-up"), "every user can read an argument");
    let file = std::path::Path::new(&started_first.args[1]);
    let given: Value = serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON");
    assert_eq!(given, config["providers"]["kimi"]["settings"]);
    assert_eq!(file.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
    ground.user_config(&kimi());
    assert_eq!(ccc(&ground, &["kimi"]).1, Some(CODE));
    assert!(!file.exists(), "it is left behind");
}

#[test]
fn settings_of_claude_args_are_merged_and_a_secret_there_is_told_by_its_name() {
    let mut config = kimi();
    config["settings"] = json!({"a": 1, "b": 1, "c": 1});
    let value = "sk-ant-api03-0123456789012345678901234567890123456789";
    config["providers"]["kimi"]["claude_args"] =
        json!(["--settings", r#"{"b": 2, "c": 2, "env": {"MINE": "y"}}"#, "--header", value, "--model=own"]);
    let ground = ground(&config);
    let (_, code, _, stderr) = ccc(&ground, &["kimi", "--", "--settings", r#"{"c": 3}"#]);
    assert_eq!(code, Some(CODE), "{stderr}");
    let begun = started(&ground).expect("started");
    let settings: Value = serde_json::from_slice(&fs::read(&begun.args[1]).expect("a file")).expect("JSON");
    assert_eq!(settings, json!({"a": 1, "b": 2, "c": 3}));
    assert_eq!(begun.args[2..], ["--header", value, "--model=own"], "settings are given once, and one model");
    assert_eq!(begun.env.get("MINE").map(String::as_str), Some("y"));
    assert!(stderr.contains("(--header)") && !stderr.contains(value), "{stderr}");
}

#[test]
fn two_credentials_in_one_provider_are_refused() {
    let mut config = kimi();
    config["providers"]["kimi"]["settings"] = json!({"env": {"ANTHROPIC_API_KEY": "made-up"}});
    let ground = ground(&config);
    let (_, code, _, stderr) = ccc(&ground, &["kimi"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("several credentials: ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN"), "{stderr}");
    assert!(started(&ground).is_none() && !stderr.contains("made-up"), "{stderr}");
}

#[test]
fn a_name_that_cannot_be_typed_stops_no_other_provider() {
    let mut config = kimi();
    config["providers"]["my kimi"] = json!({});
    let ground = ground(&config);
    assert_eq!(ccc(&ground, &["kimi"]).1, Some(CODE));
    let (_, code, listed, _) = ccc(&ground, &["providers"]);
    assert_eq!(code, Some(0));
    assert!(
        listed.contains("kimi-k2") && listed.contains("not a valid name of a provider: it contains white space"),
        "{listed}"
    );
    let (_, code, _, stderr) = ccc(&ground, &["--provider", "my kimi"]);
    assert!(code == Some(2) && stderr.contains("it contains white space"), "{code:?} {stderr}");
    // And a run is told how a provider gets into it.
    let (_, code, _, stderr) = ccc(&ground, &["--supervisor", "--provider", "kimi", "-p", "x"]);
    assert!(code == Some(2) && stderr.contains(r#""pool": ["login", "kimi"]"#), "{code:?} {stderr}");
}

#[test]
fn the_older_ccc_s_file_is_read() {
    let ground = ground(&json!({}));
    let older = json!({
        "settings": {"permissions": {"allow": ["Read"]}, "env": {"SHARED": "1"}},
        "claude_args": ["--verbose"],
        "current_provider": "glm",
        "supervisor": {"enabled": true, "max_iterations": 20},
        "providers": {"glm": {"env": {"ANTHROPIC_AUTH_TOKEN": SECRET}, "permissions": {"deny": ["Bash"]}}},
    });
    fs::create_dir_all(ground.home().join(".claude")).expect("a folder");
    fs::write(ground.home().join(".claude/ccc.json"), older.to_string()).expect("written");
    let (_, code, _, stderr) = ccc(&ground, &["glm"]);
    assert_eq!((code, stderr.as_str()), (Some(CODE), ""));
    let started = started(&ground).expect("started");
    assert_eq!(started.args[2..], ["--verbose"]);
    let settings: Value = serde_json::from_slice(&fs::read(&started.args[1]).expect("a file")).expect("JSON");
    assert_eq!(settings, json!({"permissions": {"allow": ["Read"], "deny": ["Bash"]}}));
    assert_eq!(started.env.get("SHARED").map(String::as_str), Some("1"));
    // The stronger file's provider of the same name takes its place, and what it does not name stays.
    ground.user_config(&json!({"providers": {"glm": {"model": "glm-5"}, "kimi": {}}}));
    let (_, _, listed, _) = ccc(&ground, &["providers"]);
    assert!(listed.contains("* glm") && listed.contains("glm-5") && listed.contains("  kimi"), "{listed}");
}

#[test]
fn a_name_that_nobody_has_lists_the_near_ones() {
    let ground = ground(&kimi());
    for (args, says) in [
        (&["kim"][..], "there is no command and no provider `kim`\n  hint: did you mean `ccc kimi`?"),
        (&["--provider", "kim"], "there is no provider `kim`\n  hint: did you mean kimi?"),
        (
            &["providers", "use", "zebra"],
            "there is no provider `zebra`\n  hint: known: kimi; to list them: ccc providers",
        ),
        (&["tokns"], "did you mean `ccc tokens`?"),
        (&["kimi", "hello"], "hello"),
    ] {
        let (_, code, stdout, stderr) = ccc(&ground, args);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert!(started(&ground).is_none());
}

#[test]
fn a_provider_that_is_called_like_a_command_is_started_by_the_option() {
    let ground = ground(&json!({"providers": {"usage": {"env": {"MINE": "1"}}}}));
    assert_eq!(ccc(&ground, &["--provider", "usage", "--", "-c"]).1, Some(CODE));
    let started = started(&ground).expect("started");
    assert_eq!(
        (started.args.as_slice(), started.env.get("MINE").map(String::as_str)),
        (&["-c".to_owned()][..], Some("1"))
    );
}

#[test]
fn ccc_alone_at_a_terminal_starts_the_current_provider_and_elsewhere_says_what_there_is() {
    let ground = ground(&kimi());
    let help = || ccc(&ground, &[]);
    assert!(help().2.contains("Usage:"), "nothing is chosen");
    let (_, code, _, stderr) = ccc(&ground, &["providers", "use", "kimi"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(help().2.contains("Usage:"), "nobody sits there");
    assert!(started(&ground).is_none());
    let mut tty = Tty::start(&ground.command(NOWHERE, [""; 0]));
    assert_eq!(tty.end(), CODE.unsigned_abs());
    assert_eq!(tty.text(), "", "the terminal is the agent's");
    assert_eq!(started(&ground).expect("started").args, ["--model", "kimi-k2"]);
    // With arguments it is plain what is meant.
    assert_eq!(ccc(&ground, &["--", "-p", "hello"]).1, Some(CODE));
    assert_eq!(started(&ground).expect("started").args, ["--model", "kimi-k2", "-p", "hello"]);
}

#[test]
fn a_projects_file_names_no_provider_and_its_settings_of_the_agent_need_agreement() {
    let ground = ground(&kimi());
    ground.write(".ccc.json", &json!({"providers": {"kimi": {}}}).to_string());
    let (_, code, _, stderr) = ccc(&ground, &["kimi"]);
    assert!(code == Some(2) && stderr.contains("hint: move `providers` into "), "{stderr}");
    fs::remove_file(ground.project().join(".ccc.json")).expect("removed");
    ground.write(".claude/settings.json", &json!({"env": {"HTTPS_PROXY": "http://proxy.example"}}).to_string());
    let (_, code, _, stderr) = ccc(&ground, &["kimi"]);
    assert!(code == Some(2) && stderr.contains("ccc trust"), "{stderr}");
    assert!(started(&ground).is_none());
    ground.trust();
    assert_eq!(ccc(&ground, &["kimi"]).1, Some(CODE));
}
