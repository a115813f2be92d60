//! What cannot be combined with the interface is refused in words that say what to do.

use super::NativeProject;
use crate::supervise::tty::Tty;

#[test]
fn without_a_terminal_it_is_refused() {
    let project = NativeProject::new(&[], &[]);
    let output = project.command(&[]).output().expect("ccc runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--native needs a terminal"), "{said}");
    assert!(project.ground.runs().is_empty(), "nothing was begun");
}

#[test]
fn what_has_no_place_beside_the_interface_is_refused() {
    let project = NativeProject::new(&[], &[]);
    for (args, part) in [
        (&["--detach"][..], "--detach leaves it"),
        (&["--output-format", "json"], "ccc follow last --json"),
        (&["--transport", "pipe"], "--transport"),
        (&["--interactive"], "--interactive"),
        (&["--max-cost-usd", "5"], "--max-cost-usd does not work"),
    ] {
        let mut tty = Tty::start(&project.command(args));
        assert_eq!(tty.end(), 2, "{}", tty.text());
        let said = tty.text();
        // Broken into lines.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(project.ground.runs().is_empty(), "nothing was begun");
}
