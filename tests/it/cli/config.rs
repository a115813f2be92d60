use super::sandbox::Sandbox;

#[test]
fn without_files_the_defaults_are_shown_as_such() {
    insta::assert_snapshot!(Sandbox::new().run(&["config"]));
}

/// Each layer sets a key that all higher ones leave alone, and one that they do not.
fn layered() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "project/.ccc.json",
        r#"{"$schema": "ccc.schema.json", "checks": ["cargo test", {"command": "cargo clippy", "timeout": "5m"}],
           "critic": {"prompt_file": "critic.md", "allow": ["Bash(cargo test:*)"]}, "stall_timeout": "4m"}"#,
    );
    sandbox.write(
        "home/.config/ccc/ccc.json",
        r#"{"agent": {"path": "~/bin/claude", "args": ["--model", "opus"]}, "stall_timeout": "5m", "grace": "5s",
           "checks": [], "critic": {"model": null}}"#,
    );
    sandbox.write(
        "home/.claude/ccc.json",
        r#"{"providers": {"kimi": {}}, "current_provider": "kimi", "grace": "6s", "transport": "pipe",
           "critic": {"model": "sonnet"}}"#,
    );
    sandbox.trust();
    sandbox
}

#[test]
fn each_value_comes_from_the_strongest_layer_that_has_one() {
    let sandbox = layered();
    let mut command = sandbox.ccc(&["config", "show"]);
    command
        .env("CCC_MAX_ITERATIONS", "7")
        .env("CCC_MAX_COST_USD", "2.50")
        .env("CCC_NO_WAIT", "yes")
        .env("CCC_CRITIC_TIMEOUT", "");
    // The columns are as wide as the temporary directory's name is long.
    let seen: Vec<String> =
        sandbox.seen(command).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[test]
fn the_same_can_be_had_as_json() {
    let sandbox = layered();
    insta::assert_snapshot!(sandbox.run(&["config", "show", "--json"]));
}

#[test]
fn the_files_are_listed_with_the_overrides_of_the_directories() {
    let sandbox = layered();
    let plain = sandbox.run(&["config", "path"]);
    let mut moved = sandbox.ccc(&["config", "path", "--json"]);
    moved.env("CCC_CONFIG_DIR", sandbox.path("elsewhere")).env("CCC_STATE_DIR", sandbox.path("state"));
    insta::assert_snapshot!(format!("{plain}\n{}", sandbox.seen(moved)));
}

#[test]
fn the_schema_is_published() {
    insta::assert_snapshot!(Sandbox::new().run(&["config", "schema"]));
}

#[test]
fn in_a_part_of_a_repository_its_own_file_counts_before_that_of_the_top() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("project/.git")).expect("mkdir");
    sandbox.write("project/.ccc.json", r#"{"grace": "7s"}"#);
    sandbox.write("project/a/empty", "");
    sandbox.write("project/b/.ccc.json", r#"{"grace": "8s"}"#);
    let grace = |dir: &str| {
        let mut command = sandbox.ccc(&["config"]);
        command.current_dir(sandbox.path(dir));
        sandbox.seen(command).lines().find(|line| line.starts_with("grace")).expect("a line").to_owned()
    };
    assert!(grace("project/a").contains("\"7s\""));
    assert!(grace("project/b").contains("\"8s\""));
}

#[test]
fn what_cannot_be_understood_is_named_with_file_and_place() {
    let cases: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("cut off", b"{\n  \"checks\": ["),
        ("trailing comma", b"{\n  \"no_wait\": true,\n}"),
        ("comment", b"{\n  // no\n}"),
        ("array", b"[1]"),
        ("string", b"\"x\""),
        ("not UTF-8", b"{\"agent\": {\"path\": \"\xff\"}}"),
        ("number as duration", b"{\n  \"stall_timeout\": 90\n}"),
        ("duration without unit", b"{\n  \"grace\": \"90\"\n}"),
        ("group as string", b"{\n  \"budgets\": \"many\"\n}"),
        ("group as array", b"{\n  \"critic\": [\"x\"]\n}"),
        ("nested type", b"{\n  \"budgets\": {\n    \"max_iterations\": \"ten\"\n  }\n}"),
        ("zero iterations", b"{\"budgets\": {\"max_iterations\": 0}}"),
        ("negative cost", b"{\"budgets\": {\"max_cost_usd\": -1}}"),
        ("too large", b"{\"budgets\": {\"max_restarts\": 4294967296}}"),
        ("unknown word", b"{\"transport\": \"ptty\"}"),
        ("check of a wrong kind", b"{\"checks\": [\"cargo test\", 5]}"),
        ("check with an unknown key", b"{\"checks\": [{\"command\": \"x\", \"timout\": \"5m\"}]}"),
        ("check without command", b"{\"checks\": [{\"timeout\": \"5m\"}]}"),
        ("blank check", b"{\"checks\": [\" \"]}"),
        ("empty program", b"{\"agent\": {\"path\": \"\"}}"),
        ("the same key twice", b"{\n  \"no_wait\": true,\n  \"no_wait\": false\n}"),
        ("number as word", b"{\n  \"transport\": 1\n}"),
        ("two faults", b"{\n  \"transport\": 1,\n  \"grace\": 2\n}"),
        ("deep", &[b'['; 5000]),
    ];
    let seen: Vec<String> = cases
        .iter()
        .map(|(name, content)| {
            let sandbox = Sandbox::new();
            sandbox.write("project/.ccc.json", content);
            format!("# {name}\n{}", sandbox.run(&["config"]))
        })
        .collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_an_error() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("project/.ccc.json")).expect("mkdir");
    insta::assert_snapshot!(sandbox.run(&["config"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: [ROOT]/project/.ccc.json: is a directory, not a regular file
      hint: put a regular file in its place, or remove it
    ");
}

#[test]
fn a_key_that_nobody_knows_is_refused_with_its_place_and_the_nearest_name() {
    let seen: Vec<String> = [
        ("project/.ccc.json", "{\n  \"budgets\": {\n    \"max_cost\": 5\n  }\n}"),
        ("project/.ccc.json", "{\n  \"max_iterations\": 3\n}"),
        ("project/.ccc.json", r#"{"critic": {"modle": "x"}}"#),
        ("project/.ccc.json", r#"{"check": ["cargo test"]}"#),
        ("project/.ccc.json", r#"{"zebra": 1}"#),
        ("project/.ccc.json", r#"{"providers": {}}"#),
        ("home/.config/ccc/ccc.json", r#"{"stal_timeout": "5m"}"#),
        ("home/.claude/ccc.json", r#"{"providers": {}, "stal_timeout": "5m"}"#),
    ]
    .iter()
    .map(|(file, content)| {
        let sandbox = Sandbox::new();
        sandbox.write(file, content);
        format!("# {file}: {content}\n{}", sandbox.run(&["prompt", "--path"]))
    })
    .collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[test]
fn keys_of_the_older_ccc_and_mistyped_variables_are_told_and_stop_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.claude/ccc.json", r#"{"providers": {}, "settings": {}, "zebra": 1}"#);
    let mut command = sandbox.ccc(&["config", "path"]);
    command.env("CCC_MAX_ITERATION", "3");
    let silent = sandbox.seen(command);
    assert!(silent.ends_with("--- stderr\n"), "paths need no settings: {silent}");
    let mut command = sandbox.ccc(&["prompt", "--path"]);
    command
        .env("CCC_MAX_ITERATION", "3")
        .env("CCC_RUN_ID", "a-cookie")
        .env("CCC_ATTEMPT", "3")
        .env("CCC_LOG", "debug")
        .env("CCC_OF_ANOTHER_PROGRAM", "x");
    insta::assert_snapshot!(sandbox.seen(command));
}

#[test]
fn variables_that_do_not_fit_are_errors() {
    let sandbox = Sandbox::new();
    let seen: Vec<String> = [
        ("CCC_MAX_ITERATIONS", "many"),
        ("CCC_MAX_ITERATIONS", "0"),
        ("CCC_STALL_TIMEOUT", "90"),
        ("CCC_NO_WAIT", "perhaps"),
        ("CCC_TRANSPORT", "tty"),
        ("CCC_MAX_COST_USD", "free"),
        ("CCC_CHECK", " "),
    ]
    .iter()
    .map(|(name, value)| {
        let mut command = sandbox.ccc(&["config"]);
        command.env(name, value);
        format!("# {name}={value}\n{}", sandbox.seen(command))
    })
    .collect();
    insta::assert_snapshot!(seen.join("\n"));
}

/// `CCC_WRITE_PAGE=1` writes the page instead of comparing it.
#[test]
fn the_page_of_the_documentation_is_the_one_that_the_table_gives() {
    let page = crate::doc_pages::configuration(&ccc::cli::ExitCode::all());
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("CCC_WRITE_PAGE").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let stands = std::fs::read_to_string(&path).expect("the page");
    assert!(stands == page, "write it anew: CCC_WRITE_PAGE=1 cargo nextest run the_page_of_the_documentation");
}

#[test]
fn every_setting_is_in_the_schema_the_list_the_help_and_the_documentation() {
    let sandbox = Sandbox::new();
    let (listed, help) = (sandbox.run(&["config", "show", "--json"]), sandbox.run(&["--help"]));
    let schema: serde_json::Value = ccc::config::schema();
    let page = crate::doc_pages::configuration(&ccc::cli::ExitCode::all());
    for key in ccc::config::KEYS.iter() {
        let name = key.path.rsplit('.').next().expect("a name");
        let group = key.path.split_once('.').map(|(group, _)| group);
        let place = group.map_or(&schema["properties"], |group| {
            let reference = schema["properties"][group]["$ref"].as_str().expect("a group");
            &schema.pointer(reference.trim_start_matches('#')).expect("it is defined")["properties"]
        });
        assert!(place[name]["description"].is_string(), "{} is not in the schema", key.path);
        assert!(listed.contains(&format!("\"{}\": {{", key.path)), "{} is not listed", key.path);
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", key.path)));
        let row = row.unwrap_or_else(|| panic!("{} is not in the documentation", key.path));
        for said in [key.variable, key.flag].into_iter().flatten() {
            assert!(row.contains(said), "{said} is not in the documentation");
        }
        for flag in
            [key.flag.filter(|flag| *flag != "--"), key.taken_back_by.map(|(flag, _)| flag)].into_iter().flatten()
        {
            assert!(help.contains(&format!("      {flag}")), "{flag} is not in the help");
        }
    }
    let page_codes = ccc::cli::ExitCode::all().into_iter().all(|(code, ..)| page.contains(&format!("\n| {code} | ")));
    assert!(page_codes, "an exit code is not in the documentation");
}

#[test]
fn a_bound_on_tokens_is_given_by_option_variable_or_file_and_must_be_a_number_above_zero() {
    let sandbox = Sandbox::new();
    sandbox.write("project/.ccc.json", r#"{"budgets": {"max_tokens": 5000000}}"#);
    let shown = |value: Option<&str>| {
        let mut command = sandbox.ccc(&["config"]);
        if let Some(value) = value {
            command.env("CCC_MAX_TOKENS", value);
        }
        sandbox.seen(command)
    };
    let row = |text: &str| text.lines().find(|line| line.starts_with("budgets.max_tokens")).map(str::to_owned);
    assert!(row(&shown(None)).expect("a row").contains(" 5000000 "));
    assert!(row(&shown(Some("7"))).expect("a row").ends_with("$CCC_MAX_TOKENS"));
    for wrong in ["0", "many", "-1"] {
        assert!(shown(Some(wrong)).contains("CCC_MAX_TOKENS (`budgets.max_tokens`) cannot be used"), "{wrong}");
        let typed = sandbox.run(&["--supervisor", "-p", "x", "--max-tokens", wrong]);
        assert!(typed.contains("'--max-tokens <N>': it must be a whole number above zero"), "{typed}");
    }
}

#[test]
fn a_projects_file_adds_to_the_protected_files_and_takes_none_away() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.config/ccc/ccc.json", r#"{"protect": ["tests/**", "spec/**"]}"#);
    let shown = |given: Option<&str>| {
        let mut command = sandbox.ccc(&["config", "show", "--json"]);
        if let Some(given) = given {
            command.env("CCC_PROTECT", given);
        }
        sandbox.seen(command)
    };
    for (project, all) in [
        (r#"{"protect": ["e2e/**", "tests/**"]}"#, r#"["tests/**","spec/**","e2e/**"]"#),
        (r#"{"protect": []}"#, r#"["tests/**","spec/**"]"#),
        (r#"{"protect": null}"#, r#"["tests/**","spec/**"]"#),
    ] {
        sandbox.write("project/.ccc.json", project);
        let seen = shown(None).split_whitespace().collect::<String>();
        assert!(seen.contains(all), "{project}: {seen}");
    }
    sandbox.write("project/.ccc.json", r#"{"protect": ["e2e/**"]}"#);
    let given = shown(Some("mine/*")).split_whitespace().collect::<String>();
    assert!(given.contains(r#"["mine/*","e2e/**"]"#), "{given}");
    // It needs no agreement, because it starts nothing.
    assert!(!sandbox.run(&["config", "show"]).contains("ccc trust"));
}

#[test]
fn a_wrong_pattern_of_protected_files_is_named_with_its_key_and_its_place() {
    let sandbox = Sandbox::new();
    let why = "the pattern `tests/[a` is invalid: `[` is not closed";
    sandbox.write("project/.ccc.json", r#"{"protect": ["tests/[a"]}"#);
    let seen = sandbox.run(&["config", "show"]);
    assert!(seen.contains("`protect`") && seen.contains("line 1") && seen.contains(why), "{seen}");
    sandbox.write("project/.ccc.json", "{}");
    let mut command = sandbox.ccc(&["config", "show"]);
    command.env("CCC_PROTECT", "tests/[a");
    let seen = sandbox.seen(command);
    assert!(seen.contains("CCC_PROTECT (`protect`)") && seen.contains(why), "{seen}");
    let typed = sandbox.run(&["--supervisor", "-p", "x", "--protect", "tests/[a"]);
    assert!(typed.contains("'--protect <GLOB>'") && typed.contains(why), "{typed}");
}
