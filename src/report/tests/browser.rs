//! Reports in a real browser: `tests/browser/look.mjs` reads pages in Chromium as a person does.
//!
//! Without Chromium, node or the packages of `tests/browser` a test says so and passes; where `CI` is set it fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::tz::TimeZone;

use super::{PAYLOADS, changes_of_tests, demo_events, html, nights_with_hostile_texts, poisoned_report, report};
use crate::report::text::Washer;
use crate::report::{Place, Report};

/// Makes another browser of Chromium's family the one to look with.
const BROWSER: &str = "CHROMIUM";

/// What pages are looked at with; `None` if something of it is missing.
struct Looker {
    node: PathBuf,
    chromium: PathBuf,
    script: PathBuf,
}

impl Looker {
    fn find() -> Option<Looker> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        let named = std::env::var_os(BROWSER).map(PathBuf::from);
        let chromium =
            named.or_else(|| ["chromium", "chromium-browser", "google-chrome", "chrome"].into_iter().find_map(program));
        let packages = dir.join("node_modules/playwright-core").is_dir();
        let missing = match (program("node"), chromium) {
            (Some(node), Some(chromium)) if packages => {
                return Some(Looker { node, chromium, script: dir.join("look.mjs") });
            }
            (None, _) => "node (Debian: apt-get install nodejs)",
            (_, None) => "Chromium (Debian: apt-get install chromium), or another one as CHROMIUM=PATH",
            (_, _) => "the packages of tests/browser: npm ci --prefix tests/browser",
        };
        assert!(std::env::var_os("CI").is_none(), "missing: {missing}");
        eprintln!("\n*** SKIPPED: no look at pages in a browser; missing: {missing} ***\n");
        None
    }

    /// Looks at pages in one way; every fault that is found fails the test.
    #[track_caller]
    fn look(&self, what: &str, pages: &[(&str, String)]) {
        let dir = tempfile::tempdir().expect("a directory");
        let paths: Vec<PathBuf> = pages.iter().map(|(name, _)| dir.path().join(name).with_extension("html")).collect();
        for (path, (_, page)) in paths.iter().zip(pages) {
            std::fs::write(path, page).expect("written");
        }
        let mut command = Command::new(&self.node);
        command.arg(&self.script).arg(what).args(&paths).env(BROWSER, &self.chromium);
        let output = command.output().expect("node starts");
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}{}", told(&output.stdout), told(&output.stderr));
    }
}

/// The program of this name on the path.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The demonstration's report with all that a report may have.
fn full() -> Report {
    let mut report = report("runs/demo");
    let washer = Washer::default();
    report.add_changes(&changes_of_tests(&report), &washer);
    let place = Place::Checkpoints { first: 1 };
    report.add_steps("20261120-202521-bphr", Some("ccc resume 20261120-202521-bphr"), None, &place, &washer);
    report
}

#[test]
fn a_page_is_used_with_mouse_search_links_and_keyboard() {
    let Some(looker) = Looker::find() else { return };
    looker.look("use", &[("demo", html(&full()))]);
}

#[test]
fn a_page_fits_a_phone_in_light_and_dark_and_has_no_serious_fault_of_access() {
    let Some(looker) = Looker::find() else { return };
    let nights = nights_with_hostile_texts().page(&TimeZone::UTC).expect("a page");
    looker.look("places", &[("demo", html(&full())), ("nights", nights)]);
}

#[test]
fn a_page_on_paper_has_its_folds_open() {
    let Some(looker) = Looker::find() else { return };
    looker.look("paper", &[("demo", html(&full()))]);
}

#[test]
fn nothing_that_a_run_wrote_runs_in_a_browser() {
    let Some(looker) = Looker::find() else { return };
    let (plan, shows) = demo_events();
    let all = PAYLOADS.concat();
    let mixed = html(&poisoned_report(&shows, &plan, &all));
    // A comment or a plain text that opens and does not close would hide what follows it.
    let open = html(&poisoned_report(&shows, &plan, "</script><script>alert(1)</script><img src=x onerror=alert(1)>"));
    looker.look("hostile", &[("mixed", mixed), ("open", open)]);
}
