use super::sandbox::Sandbox;

#[test]
fn init_writes_a_valid_configuration_and_the_prompt_that_is_then_in_force() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["init"]));
    insta::assert_snapshot!(sandbox.read("project/.ccc.json"));
    assert_eq!(sandbox.read("project/SUPERVISOR.md"), ccc::config::prompt::BUILT_IN);
    let shown = sandbox.run(&["config"]);
    assert!(shown.starts_with("exit code 0\n") && shown.ends_with("--- stderr\n"), "{shown}");
    assert!(sandbox.run(&["prompt", "--path"]).contains("[ROOT]/project/SUPERVISOR.md\n"));
}

#[test]
fn init_never_overwrites_without_force_and_then_writes_nothing_at_all() {
    let sandbox = Sandbox::new();
    sandbox.write("project/.ccc.json", "{}");
    insta::assert_snapshot!(sandbox.run(&["init"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: [ROOT]/project/.ccc.json already exists; nothing was written
      hint: edit it, or overwrite both files: ccc init --force
    ");
    assert_eq!(sandbox.read("project/.ccc.json"), "{}");
    assert!(!sandbox.path("project/SUPERVISOR.md").exists());
    assert!(sandbox.run(&["init", "--force"]).starts_with("exit code 0\n"));
    assert_ne!(sandbox.read("project/.ccc.json"), "{}");
}

#[test]
fn init_writes_to_the_top_of_the_repository() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("project/.git")).expect("mkdir");
    std::fs::create_dir_all(sandbox.path("project/part")).expect("mkdir");
    let mut command = sandbox.ccc(&["init"]);
    command.current_dir(sandbox.path("project/part"));
    assert!(sandbox.seen(command).starts_with("exit code 0\n"));
    assert!(sandbox.path("project/SUPERVISOR.md").exists());
    assert!(!sandbox.path("project/part/SUPERVISOR.md").exists());
}
