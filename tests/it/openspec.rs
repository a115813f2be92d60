//! The specifications under `openspec/specs/`: each scenario names the test that shows it, and that test exists.
//!
//! A scenario names its tests in a bullet, `- **TEST** ` and paths in backticks: `core::verdict::tests::name` for a test
//! in a crate's `src/`, `it::ui::forms::name` for one in `tests/it/`. The form of the files is checked by the OpenSpec tool.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A scenario, as far as its tests go.
#[derive(Debug, PartialEq, Eq)]
struct Scenario {
    requirement: String,
    title: String,
    tests: Vec<String>,
}

/// The scenarios of a specification.
fn scenarios(text: &str) -> Vec<Scenario> {
    let mut found: Vec<Scenario> = Vec::new();
    let mut requirement = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### Requirement:") {
            requirement = title.trim().to_owned();
        } else if let Some(title) = line.strip_prefix("#### Scenario:") {
            found.push(Scenario {
                requirement: requirement.clone(),
                title: title.trim().to_owned(),
                tests: Vec::new(),
            });
        } else if let (Some(scenario), Some(named)) = (found.last_mut(), line.strip_prefix("- **TEST** ")) {
            scenario.tests.extend(named.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// What is wrong with the scenarios of one specification, given the tests that exist.
fn faults(spec: &str, text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let all = scenarios(text);
    if all.is_empty() {
        found.push(format!("{spec}: no scenario"));
    }
    for scenario in all {
        let place = format!("{spec}: {}: {}", scenario.requirement, scenario.title);
        if scenario.tests.is_empty() {
            found.push(format!("{place}: names no test"));
        }
        let missing = scenario.tests.iter().filter(|test| !tests.contains(*test));
        found.extend(missing.map(|test| format!("{place}: there is no test `{test}`")));
    }
    found
}

/// The paths of all tests under a source directory, each with the prefix.
fn tests_under(root: &Path, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust_files(root) {
        let relative = file.strip_prefix(root).unwrap().with_extension("");
        let mut module: Vec<&str> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
            module.pop();
        }
        let text = fs::read_to_string(&file).unwrap();
        found.extend(tests_in(&text).into_iter().map(|test| {
            let path: Vec<&str> = module.iter().copied().chain([test.as_str()]).collect();
            format!("{prefix}{}", path.join("::"))
        }));
    }
    found
}

/// The tests of one file, with the modules inside it that they stand in. Relies on the indentation of `cargo fmt`.
///
/// What stands in `on_both!` is one test for each real CLI; here it has one name, without the CLI's.
fn tests_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside: Vec<(usize, &str)> = Vec::new();
    let mut marked = false;
    let mut on_both = None;
    let mut template = None;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if template.is_some() {
            template = template.filter(|at| !(code == "}" && *at == indent));
        } else if code.starts_with("macro_rules!") {
            template = Some(indent);
        } else if code == "on_both! {" {
            on_both = Some(indent);
        } else if on_both == Some(indent) && code == "}" {
            on_both = None;
        } else if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(name) = module_opened(code) {
            inside.push((indent, name));
        } else if code == "}" && inside.last().is_some_and(|(at, _)| *at == indent) {
            inside.pop();
        } else if let (true, Some(name)) = (marked || on_both.is_some_and(|at| indent == at + 4), function(code)) {
            marked = false;
            let path: Vec<&str> = inside.iter().map(|(_, module)| *module).chain([name]).collect();
            found.push(path.join("::"));
        }
    }
    found
}

fn module_opened(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("mod ")?;
    let opens = before.is_empty() || before.starts_with("pub");
    opens.then(|| rest.strip_suffix(" {")).flatten()
}

fn function(code: &str) -> Option<&str> {
    let rest = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_scenario_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = tests_under(&root.join("tests/it"), "it::");
    tests.extend(tests_under(&root.join("src"), ""));
    tests.extend(tests_under(&root.join("crates/supervision/src"), ""));
    tests.extend(tests_under(&root.join("crates/redaction/src"), "redaction::"));
    tests.extend(tests_under(&root.join("crates/simulation/src"), "simulation::"));
    tests.extend(tests_under(&root.join("crates/simulation/tests/it"), "simulation::it::"));
    assert!(tests.contains("it::openspec::every_scenario_names_a_test_that_exists"), "tests are not found: {tests:?}");
    let mut all = Vec::new();
    let mut specs = 0;
    for entry in fs::read_dir(root.join("openspec/specs")).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(dir.join("spec.md")).unwrap_or_else(|error| panic!("{name}/spec.md: {error}"));
        all.extend(faults(&name, &text, &tests));
        specs += 1;
    }
    assert!(specs > 0, "there are no specifications");
    assert_eq!(all, Vec::<String>::new());
}

#[test]
fn a_scenario_without_a_test_or_with_one_that_is_gone_is_a_fault() {
    let tests = BTreeSet::from(["a::tests::is".to_owned()]);
    let spec = "### Requirement: R\nIt SHALL.\n\n#### Scenario: good\n- **WHEN** x\n- **TEST** `a::tests::is`\n\n\
                #### Scenario: none\n- **WHEN** `a::tests::is`\n\n#### Scenario: gone\n- **TEST** `a::tests::is`, `a::tests::was`\n";
    assert_eq!(
        faults("s", spec, &tests),
        ["s: R: none: names no test", "s: R: gone: there is no test `a::tests::was`"]
    );
    assert_eq!(faults("s", "# nothing", &tests), ["s: no scenario"]);
}

#[test]
fn tests_are_found_with_the_modules_they_stand_in() {
    let text = "fn plain() {}\n#[test]\nfn top() {\n    if x {\n    }\n}\n\nproptest! {\n    #[test]\n    fn any(x in 0..9) {\n    }\n}\n\
                #[cfg(test)]\nmod tests {\n    #[test]\n    #[cfg(unix)]\n    fn inner() {\n    }\n    fn help() {}\n\n    mod deep {\n\
                \x20       #[tokio::test(start_paused = true)]\n        async fn far() {\n        }\n    }\n}\n#[test]\nfn last() {}\n\
                macro_rules! on_both {\n    () => {\n        #[test]\n        fn written() {\n        }\n    };\n}\n\
                on_both! {\n    fn each(cli) {\n        fn inside() {}\n    }\n}\nfn helper() {}\n";
    assert_eq!(tests_in(text), ["top", "any", "tests::inner", "tests::deep::far", "last", "each"]);
}
