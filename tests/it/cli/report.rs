//! `ccc report` as a user types it, with the program by which Linux opens a page.

use std::path::Path;

use super::sandbox::Sandbox;

const JOURNAL: &str = "fixtures/runs/demo/journal.jsonl";

/// What `ccc report JOURNAL -o page.html --open` says.
fn opened(sandbox: &Sandbox) -> String {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join(JOURNAL);
    sandbox.run(&["report", journal.to_str().expect("UTF-8"), "-o", "page.html", "--open"])
}

#[test]
fn the_page_is_opened_by_the_systems_program_and_one_that_cannot_be_is_written_and_named() {
    let sandbox = Sandbox::new();
    sandbox.script("bin/xdg-open", r#"echo "$1" > "$HOME/opened""#);
    assert_eq!(opened(&sandbox), "exit code 0\n--- stdout\n[ROOT]/project/page.html\n--- stderr\n");
    let page = sandbox.path("project/page.html");
    assert_eq!(sandbox.read("home/opened").trim_end(), page.display().to_string());
    assert!(sandbox.read("project/page.html").contains("</html>"));

    let said = |fault: &str| {
        format!(
            "exit code 0\n--- stdout\n[ROOT]/project/page.html\n--- stderr\nwarning: the report is written, but not shown: {fault}\n\
             \x20 hint: open this file in a browser: [ROOT]/project/page.html\n"
        )
    };
    sandbox.script("bin/xdg-open", "exit 3");
    assert_eq!(opened(&sandbox), said("xdg-open failed (exit status: 3)"));
    std::fs::remove_file(sandbox.path("bin/xdg-open")).expect("removed");
    assert_eq!(opened(&sandbox), said("xdg-open cannot be started: No such file or directory (os error 2)"));
}
