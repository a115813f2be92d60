//! The program that the tests drive: the one that cargo has built with them, or the one that `scripts/test --binary PATH` names,
//! such as one of a package.

use std::path::Path;
use std::sync::OnceLock;

/// The variable by which `scripts/test --binary` names the program. No process of a test inherits it for a purpose.
const VARIABLE: &str = "BINARY_UNDER_TEST";

/// The path of the program, an absolute one.
pub(crate) fn ccc() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::var(VARIABLE).unwrap_or_else(|_| env!("CARGO_BIN_EXE_ccc").to_owned());
        let named = Path::new(&path);
        // A shell in which `ccc` is typed gets its directory as PATH.
        assert!(named.is_absolute() && named.ends_with("ccc") && named.is_file(), "{VARIABLE}: {path}");
        path
    })
}

#[test]
fn no_other_file_names_the_program() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut open = vec![here.clone()];
    let mut naming = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                if text.contains("CARGO_BIN_EXE_ccc") || text.contains(&["cargo_bin!(\"", "ccc\")"].concat()) {
                    naming.push(path.strip_prefix(&here).expect("below it").display().to_string());
                }
            }
        }
    }
    naming.sort();
    // The storm needs an example that cargo builds beside the program.
    assert_eq!(naming, ["conversation/storm.rs", "program.rs"]);
}
