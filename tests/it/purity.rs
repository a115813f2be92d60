//! The invariants of the layout that are absences, and so can be seen in the source: which room knows what not.
//!
//! A test module may know more than the code that it tests; it, and comments, are left out.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that must not stand in some rooms.
struct Rule {
    /// What the rule says, for the failure.
    says: &'static str,
    /// Whether a file, named from its crate's `src/`, is bound by it.
    binds: fn(&str) -> bool,
    /// Names or paths, matched at the borders of identifiers.
    absent: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        says: "stream/ knows only itself",
        binds: |file| within(file, "stream"),
        absent: &["crate::core", "crate::agent", "crate::words"],
    },
    Rule {
        says: "agent/ does not know the core: what both speak of stands in words.rs",
        binds: |file| within(file, "agent"),
        absent: &["crate::core"],
    },
    Rule {
        says: "agenda/ knows of the core only how a run ends",
        binds: |file| within(file, "agenda"),
        absent: &[
            "crate::agent",
            "crate::stream",
            "crate::words",
            "core::Core",
            "core::Plan",
            "core::Input",
            "core::Action",
        ],
    },
    Rule {
        says: "words.rs is below all",
        binds: |file| file == "words.rs",
        absent: &["crate::core", "crate::agent", "crate::stream"],
    },
    Rule {
        says: "core/ and cli/ name no CLI family and none of its options: they ask the adapter",
        binds: |file| within(file, "core") || within(file, "cli"),
        absent: &["claude", "Claude", "CLAUDE_CODE", "CLAUDE_CONFIG_DIR", "--permission-mode"],
    },
    Rule {
        says: "only process/ may use unsafe",
        binds: |file| !within(file, "process"),
        absent: &["unsafe", "unsafe_code"],
    },
    Rule {
        says: "only tokens/ asks the network",
        // A port is tested by binding it on this machine; nothing is connected.
        binds: |file| !within(file, "tokens") && file != "worktree/ports.rs",
        absent: &["ureq", "rustls", "TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs"],
    },
    Rule {
        says: "nothing outside ui/ and cli/ prints",
        // The scripted agent is a program of its own: its stdout is its protocol, not ccc's.
        binds: |file| !within(file, "ui") && !within(file, "cli") && file != "demo/process.rs",
        absent: &["println!", "print!", "eprintln!", "eprint!", "dbg!", "io::stdout", "io::stderr"],
    },
    Rule {
        says: "only tokens/ and process/ see the value of a secret",
        binds: |file| !within(file, "tokens") && !within(file, "process"),
        absent: &["ExposeSecret", "expose_secret"],
    },
    Rule {
        says: "a file that others may have put there is opened in files/: a FIFO would hang whoever opens it",
        binds: opens_no_file,
        absent: &["fs::read", "fs::read_to_string", "File::open", "File::options"],
    },
    Rule {
        says: "only control/ opens local sockets",
        binds: |file| !within(file, "control") && !within(file, "attach"),
        absent: &["UnixStream", "UnixListener", "UnixDatagram"],
    },
    Rule {
        says: "what stands on the wire is pure",
        binds: |file| file == "control/protocol.rs",
        absent: &["std::fs", "std::io", "std::net", "std::time", "tokio", "rustix", "std::process", "std::thread"],
    },
    Rule {
        says: "the conversation, what it is written in and what draws it know no file, clock, socket or process",
        binds: |file| {
            ["ui/paint", "ui/keys", "ui/composer", "ui/markdown", "ui/conversation", "ui/dashboard"]
                .iter()
                .any(|room| within(file, room))
        },
        absent: &[
            "std::fs",
            "std::io",
            "std::env",
            "std::process",
            "std::thread",
            "std::net",
            "std::time",
            "UnixStream",
            "Instant",
            "SystemTime",
            "rustix",
            "tokio",
            "crate::process",
            "crate::files",
        ],
    },
    Rule { says: "a wait is for an event with a deadline, never a sleep", binds: |_| true, absent: &["thread::sleep"] },
];

/// The rooms of the program, the lowest first; of one row none knows another.
const ROOMS: &[&[&str]] = &[
    &["files", "patch", "process", "ui"],
    &["journal", "config"],
    &["control", "git", "tokens"],
    &["checkpoint", "guard", "notify", "publish", "tasks"],
    &["protect", "worktree"],
    &["fleet"],
    &["keeper", "retention"],
    &["driver", "demo"],
    &["attach", "report"],
    &["watch"],
    &["cli"],
];

/// Names of modules that say nothing about their subject.
const NAMELESS: &[&str] = &["utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"];

/// What the kernel makes (`/proc`, the terminal), and the demonstration's own files, are nobody else's.
fn opens_no_file(file: &str) -> bool {
    let kernels = ["process/system/linux/mod.rs", "process/signal.rs", "driver/answers.rs"];
    !within(file, "files") && !within(file, "demo") && file != "recordings.rs" && !kernels.contains(&file)
}

/// Whether the file is the room's own: `core.rs`, or anything under `core/`.
fn within(file: &str, room: &str) -> bool {
    file.strip_prefix(room).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// A source file of the program.
pub(crate) struct Source {
    /// Its path from its crate's `src/`, with `/`: the rooms of all crates have names of their own.
    pub(crate) file: String,
    pub(crate) text: String,
}

/// A line that a rule forbids.
#[derive(PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    name: String,
    says: &'static str,
}

impl fmt::Debug for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}`: {}", self.file, self.line, self.name, self.says)
    }
}

/// The source directories of the program's crates, from the repository's root.
const SOURCE_DIRS: &[&str] = &["src", "crates/redaction/src", "crates/supervision/src", "crates/simulation/src"];

pub(crate) fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for dir in SOURCE_DIRS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let mut files = Vec::new();
        collect(&root, &mut files);
        files.sort();
        sources.extend(files.iter().map(|path| Source {
            file: path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"),
            text: fs::read_to_string(path).unwrap(),
        }));
    }
    sources
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

/// Whether the whole file is a test module.
pub(crate) fn is_test(file: &str) -> bool {
    file.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The numbered lines of code: no comments, and nothing from the file's test module on, which stands last.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |(at, line): (usize, &&str)| {
        let item = lines[at..].iter().find(|line| !line.starts_with("#["));
        let cfg = line.starts_with("#[cfg(test)") || line.starts_with("#[cfg(all(test,");
        cfg && item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{'))
    };
    let tests = lines.iter().enumerate().position(begins).unwrap_or(lines.len());
    lines.into_iter().take(tests).enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or(line)))
}

/// Whether the name stands in the line as a whole, not as a part of a longer one.
fn names(line: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        !line[..at].ends_with(part) && (name.ends_with('!') || !line[at + name.len()..].starts_with(part))
    })
}

/// `use std::{fs, io::Read}` names `std::fs`, too.
fn names_in_group(line: &str, name: &str) -> bool {
    let Some((head, tail)) = name.split_once("::") else { return false };
    let opening = format!("{head}::{{");
    line.find(&opening).is_some_and(|at| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') && names(&line[at + opening.len()..], tail)
    })
}

fn breaches(sources: &[Source]) -> Vec<Breach> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(&source.file)) {
        for rule in RULES.iter().filter(|rule| (rule.binds)(&source.file)) {
            for (line, code) in code(&source.text) {
                found.extend(
                    rule.absent.iter().filter(|name| names(code, name) || names_in_group(code, name)).map(|name| {
                        Breach { file: source.file.clone(), line, name: (*name).to_owned(), says: rule.says }
                    }),
                );
            }
        }
    }
    found
}

/// Files, directories and modules without a subject.
fn nameless(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let parts = source.file.trim_end_matches(".rs").split('/');
        found.extend(parts.filter(|part| NAMELESS.contains(part)).map(|part| format!("{}: {part}", source.file)));
        for (number, line) in code(&source.text) {
            let declared = line.split_once("mod ").filter(|(before, _)| before.is_empty() || before.ends_with(' '));
            if let Some((_, rest)) = declared {
                let name = rest.trim_end_matches([' ', '{', ';']);
                if NAMELESS.contains(&name) {
                    found.push(format!("{}:{number}: mod {name}", source.file));
                }
            }
        }
    }
    found
}

#[test]
fn every_room_keeps_its_absences() {
    let sources = sources();
    for room in ["core/", "stream/", "agent/", "process/", "ui/", "cli/"] {
        assert!(sources.iter().any(|source| source.file.starts_with(room)), "{room} was not found");
    }
    assert_eq!(breaches(&sources), []);
}

/// What the deciding crate may depend on: formats, hashes and texts. A clock, a runtime, a system call or chance would stand here.
const PURE: &[&str] = &["memchr", "serde", "serde_json", "sha2", "similar", "strum", "thiserror"];

#[test]
fn the_crate_that_decides_depends_on_nothing_that_touches_the_world() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/supervision/Cargo.toml");
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path"])
        .arg(manifest)
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package =
        metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "supervision").unwrap();
    let mut names: Vec<&str> = package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, PURE);
}

/// Where a room names one beside or above it.
fn upward(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(&source.file)) {
        let Some(row) = ROOMS.iter().position(|row| row.iter().any(|room| within(&source.file, room))) else {
            continue;
        };
        let others = ROOMS[row..].iter().copied().flatten().filter(|room| !within(&source.file, room));
        for room in others {
            let path = format!("crate::{room}");
            let lines = code(&source.text).filter(|(_, code)| names(code, &path) || names_in_group(code, &path));
            found.extend(lines.map(|(line, _)| format!("{}:{line}: {path}", source.file)));
        }
    }
    found
}

#[test]
fn a_room_knows_only_rooms_below_it() {
    assert_eq!(upward(&sources()), Vec::<String>::new());
    let source = |file: &str, text: &str| [Source { file: file.to_owned(), text: text.to_owned() }];
    assert_eq!(
        upward(&source("tokens/x.rs", "use crate::{driver::Run, config::Env};")),
        ["tokens/x.rs:1: crate::driver"]
    );
    assert_eq!(upward(&source("ui/x.rs", "crate::files::read()")), ["ui/x.rs:1: crate::files"]);
    assert_eq!(upward(&source("cli/x.rs", "use crate::driver;")), Vec::<String>::new());
}

#[test]
fn every_module_is_named_by_its_subject() {
    assert_eq!(nameless(&sources()), Vec::<String>::new());
}

#[test]
fn each_forbidden_name_would_be_found() {
    for rule in RULES {
        let bound = [
            "core/x.rs",
            "stream/x.rs",
            "agent/x.rs",
            "agenda/x.rs",
            "words.rs",
            "journal/x.rs",
            "control/protocol.rs",
            "ui/paint/x.rs",
        ]
        .into_iter()
        .find(|file| (rule.binds)(file))
        .unwrap();
        for name in rule.absent {
            let text = format!("// {name}\nfn f() {{ {name}(); }}\n#[cfg(test)]\nmod tests {{\n    {name}\n}}\n");
            let found = breaches(&[Source { file: bound.to_owned(), text }]);
            assert!(
                found.iter().any(|breach| breach.name == *name && breach.line == 2),
                "`{name}` in {bound} went unseen"
            );
            assert!(found.iter().all(|breach| breach.line == 2), "a comment or a test counted: {found:?}");
        }
    }
}

#[test]
fn a_name_in_a_group_is_found_and_a_part_of_a_name_is_not() {
    let source = |text: &str| [Source { file: "core/x.rs".to_owned(), text: text.to_owned() }];
    let names = |text: &str| breaches(&source(text)).into_iter().map(|breach| breach.name).collect::<Vec<_>>();
    assert_eq!(names("use std::thread::{self, sleep};"), ["thread::sleep"]);
    assert_eq!(names("let operand = unsafely(thread::sleeper);"), Vec::<String>::new());
}

#[test]
fn a_module_without_a_subject_would_be_found() {
    let source = |file: &str, text: &str| [Source { file: file.to_owned(), text: text.to_owned() }];
    assert_eq!(nameless(&source("core/utils.rs", "")), ["core/utils.rs: utils"]);
    assert_eq!(nameless(&source("core/x.rs", "pub(crate) mod helpers;")), ["core/x.rs:1: mod helpers"]);
    assert_eq!(nameless(&source("core/x.rs", "// a mod helpers;\nmod helpful;")), Vec::<String>::new());
}
