use super::sandbox::Sandbox;

#[test]
fn the_prompt_is_looked_for_in_the_documented_order() {
    let sandbox = Sandbox::new();
    let path = || sandbox.run(&["prompt", "--path"]).lines().nth(2).expect("a path").to_owned();
    assert_eq!(path(), "built-in");
    for file in ["home/.claude/SUPERVISOR.md", "project/.claude/SUPERVISOR.md", "project/SUPERVISOR.md"] {
        sandbox.write(file, "Judge.");
        assert_eq!(path(), format!("[ROOT]/{file}"));
    }
    sandbox.write("project/mine.md", "Judge.");
    sandbox.write("project/.ccc.json", r#"{"critic": {"prompt_file": "mine.md"}}"#);
    assert_eq!(path(), "[ROOT]/project/mine.md");
    sandbox.write("project/other.md", "Judge.");
    let mut command = sandbox.ccc(&["prompt", "--path"]);
    command.env("CCC_SUPERVISOR_PROMPT", "other.md");
    assert!(sandbox.seen(command).contains("[ROOT]/project/other.md\n"));
}

#[test]
fn the_text_is_data_and_the_reason_is_talk() {
    let sandbox = Sandbox::new();
    sandbox.write("project/SUPERVISOR.md", "Judge well.");
    insta::assert_snapshot!(sandbox.run(&["prompt"]), @r"
    exit code 0
    --- stdout
    Judge well.
    --- stderr
    [ROOT]/project/SUPERVISOR.md: the project has a SUPERVISOR.md
    ");
    insta::assert_snapshot!(sandbox.run(&["prompt", "--json"]));
}

#[test]
fn a_prompt_in_force_that_cannot_be_used_is_an_error_and_no_other_takes_its_place() {
    let mut seen = Vec::new();
    for (name, content) in [("empty", &b""[..]), ("blank", b" \n\n"), ("not UTF-8", b"Judge \xff")] {
        let sandbox = Sandbox::new();
        sandbox.write("project/SUPERVISOR.md", content);
        seen.push(format!("# {name}\n{}", sandbox.run(&["prompt"])));
    }
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("project/SUPERVISOR.md")).expect("mkdir");
    seen.push(format!("# directory\n{}", sandbox.run(&["prompt"])));
    let sandbox = Sandbox::new();
    sandbox.script("bin/claude", "echo 2.1.329");
    let missing = ["--supervisor", "-p", "x", "--supervisor-prompt", "no.md"];
    seen.push(format!("# missing\n{}", sandbox.run(&missing)));
    insta::assert_snapshot!(seen.join("\n"));
}
