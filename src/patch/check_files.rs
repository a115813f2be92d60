//! Which files the command of a check names: the script that it runs, or the file in which a build tool reads what to run.
//!
//! A command is split at the shell's marks and blanks and not understood further. A file that such a script runs in its turn is
//! not named by it.

use std::path::{Component, Path, PathBuf};

/// Programs whose targets or scripts stand in a file that the command does not name.
const READ_BY: &[(&[&str], &[&str])] = &[
    (&["make", "gmake"], &["Makefile", "makefile", "GNUmakefile"]),
    (&["just"], &["justfile", "Justfile", ".justfile"]),
    (&["npm", "pnpm", "yarn", "bun"], &["package.json"]),
    (&["task"], &["Taskfile.yml", "Taskfile.yaml"]),
    (&["rake"], &["Rakefile"]),
    (&["tox"], &["tox.ini"]),
    (&["nox"], &["noxfile.py"]),
];

/// How a command names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// By its path.
    Path,
    /// By a program that reads the file if it is there: a new one changes what the command does.
    Program,
}

/// Whether this command, run in `cwd`, names this file, and how. `path` is the file's, seen from `cwd`.
#[must_use]
pub fn names_file(command: &str, cwd: &Path, path: &str) -> Option<NamedBy> {
    let wanted = Path::new(path);
    // A command often begins with a change of directory.
    let mut dirs = vec![PathBuf::new()];
    let mut words = words(command);
    let mut after_values = false;
    while let Some((word, is_first)) = words.next() {
        let begins = is_first || after_values;
        after_values = begins && word.contains('=');
        if begins && word == "cd" {
            if let Some((dir, _)) = words.next() {
                let dir = below(cwd, Path::new(dir));
                dirs.extend(dir.map(|dir| normal(&dirs[0].join(dir))));
            }
            continue;
        }
        let program = word.rsplit('/').next().unwrap_or(word);
        let read = READ_BY.iter().filter(|(programs, _)| programs.contains(&program)).flat_map(|(_, files)| *files);
        let value = word.split_once('=').map(|(_, value)| value);
        let by_path = [word].into_iter().chain(value).map(|named| (named, NamedBy::Path));
        for (named, by) in read.map(|named| (*named, NamedBy::Program)).chain(by_path) {
            let Some(named) = below(cwd, Path::new(named)) else { continue };
            if dirs.iter().any(|dir| normal(&dir.join(&named)) == wanted) {
                return Some(by);
            }
        }
    }
    None
}

/// The words of a command, each with whether a new command begins with it.
fn words(command: &str) -> impl Iterator<Item = (&str, bool)> {
    let is_mark = |c: char| matches!(c, ';' | '|' | '&' | '(' | ')' | '`' | '\n' | '{' | '}');
    command.split(is_mark).flat_map(|part| {
        let blank = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '$');
        part.split(blank).filter(|word| !word.is_empty()).enumerate().map(|(at, word)| (word, at == 0))
    })
}

/// The path seen from `cwd`; `None` if it is absolute and elsewhere.
fn below(cwd: &Path, path: &Path) -> Option<PathBuf> {
    if path.is_absolute() { path.strip_prefix(cwd).ok().map(Path::to_owned) } else { Some(path.to_owned()) }
}

/// The path without `.` and `..`, as far as it names directories for those.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if normal.file_name().is_some() => {
                normal.pop();
            }
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                normal.push(part);
            }
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NamedBy, names_file};

    #[test]
    fn the_files_that_a_command_names_are_known() {
        for (command, path) in [
            ("sh scripts/verify.sh", "scripts/verify.sh"),
            ("./verify.sh --all", "verify.sh"),
            ("scripts/../verify.sh", "verify.sh"),
            ("/p/verify.sh", "verify.sh"),
            ("cd web && sh ./check.sh", "web/check.sh"),
            ("cd /p/web; node check.js", "web/check.js"),
            ("CI=1 \"./verify.sh\" | tee log", "verify.sh"),
            ("bash -c './verify.sh fast'", "verify.sh"),
            ("pytest --config=ci/pytest.ini", "ci/pytest.ini"),
            ("make test", "Makefile"),
            ("cd web && npm test", "web/package.json"),
            ("(just check)", "justfile"),
        ] {
            let by_program = ["Makefile", "package.json", "justfile"].iter().any(|file| path.ends_with(file));
            let by = if by_program { NamedBy::Program } else { NamedBy::Path };
            assert_eq!(names_file(command, Path::new("/p"), path), Some(by), "{command}: {path}");
        }
        for (command, path) in [
            ("sh scripts/verify.sh", "verify.sh"),
            ("sh verify.sh", "verify.sh.bak"),
            ("/elsewhere/verify.sh", "verify.sh"),
            ("cargo test", "Cargo.toml"),
            ("cmake .", "Makefile"),
            ("", "Makefile"),
            ("cd ../..; cd", "Makefile"),
        ] {
            assert_eq!(names_file(command, Path::new("/p"), path), None, "{command}: {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_command_breaks_it(command in "(cd |make|/|\\.\\.|[a-z =;&|'\"]){0,30}") {
            let _ = names_file(&command, Path::new("/p"), "a/b");
        }
    }
}
