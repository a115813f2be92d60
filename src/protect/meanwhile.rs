//! What became of protected files while a check ran: which were written, and which were moved away, or a directory on the way to one,
//! also when they are back at its end. Another file stood there meanwhile, which no comparison at the end finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use super::error::ProtectError;
use super::exchange::{Exchange, Exchanged, Tree, seen_from};
use super::put_back::written_of_those_exchanged;
use crate::checkpoint::differing;
use crate::process::{ChangedEntry, DirWatch};

/// A watch of the directories on the way to the protected files.
#[derive(Debug)]
pub struct Moves {
    watch: DirWatch,
    /// The directories by their numbers, seen from the top of the tree, with the entries that matter.
    dirs: BTreeMap<i32, (PathBuf, BTreeSet<OsString>)>,
}

impl Moves {
    /// Watches the files of this exchange from now on. `None` where the system has no such watch, or no room for another one.
    #[must_use]
    pub fn watch(request: &Exchange<'_>, exchanged: &Exchanged) -> Option<Moves> {
        let Tree { top, .. } = Tree::of(request.cwd).ok()?;
        let mut wanted: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
        for file in &exchanged.files {
            for path in file.path.ancestors() {
                if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
                    wanted.entry(dir.to_owned()).or_default().insert(name.to_owned());
                }
            }
        }
        let watch = DirWatch::new().ok()?;
        let mut dirs = BTreeMap::new();
        for (dir, names) in wanted {
            // What is gone was removed by the agent, and its files are not in the tree.
            if let Ok(number) = watch.add(&top.join(&dir)) {
                dirs.insert(number, (dir, names));
            }
        }
        Some(Moves { watch, dirs })
    }

    /// The entries that were made, moved or removed since, seen from the top of the tree.
    pub(super) fn seen(&self) -> Vec<PathBuf> {
        let mut seen: Vec<PathBuf> = Vec::new();
        for change in self.watch.take().unwrap_or_else(|_| vec![ChangedEntry::Unknown]) {
            let moved: Vec<PathBuf> = match change {
                ChangedEntry::In { dir, name } => {
                    let dir = self.dirs.get(&dir).filter(|(_, names)| names.contains(&name));
                    dir.map(|(dir, _)| dir.join(&name)).into_iter().collect()
                }
                // Changes were lost, so each may have been.
                ChangedEntry::Unknown => {
                    self.dirs.values().flat_map(|(dir, names)| names.iter().map(|name| dir.join(name))).collect()
                }
            };
            seen.extend(moved.into_iter().filter(|path| !path.as_os_str().is_empty()));
        }
        seen.sort();
        seen.dedup();
        seen
    }
}

/// The protected files that are not as the commit has them, although an exchange has made them so: something has written them since,
/// also those that were as they should be before. With them what was moved away meanwhile, and may be back. Seen from the top of the
/// tree. To be asked before [`super::put_back()`].
///
/// # Errors
/// When git fails, or a file cannot be read.
pub fn written_since(
    request: &Exchange<'_>,
    exchanged: &Exchanged,
    moves: Option<&Moves>,
) -> Result<Vec<PathBuf>, ProtectError> {
    let Tree { repository, below, .. } = Tree::of(request.cwd)?;
    let mut written = written_of_those_exchanged(request.run_dir)?;
    for file in differing(request.git, &repository, exchanged.files.clone())? {
        let has_a_pointer_only = seen_from(&below, std::slice::from_ref(&file.path))
            .iter()
            .all(|path| exchanged.without_content.contains(path));
        if !has_a_pointer_only && !written.contains(&file.path) {
            written.push(file.path);
        }
    }
    for path in moves.map(Moves::seen).unwrap_or_default() {
        if !written.contains(&path) {
            written.push(path);
        }
    }
    Ok(written)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_moved_and_comes_back_is_seen_and_what_else_happens_there_is_not() {
        let top = tempfile::tempdir().expect("a directory");
        let at = |path: &str| top.path().join(path);
        std::fs::create_dir_all(at("tests/deep")).expect("made");
        std::fs::write(at("tests/deep/a.sh"), "exit 1").expect("written");
        let watch = DirWatch::new().expect("a watch");
        let mut dirs = BTreeMap::new();
        for (dir, name) in [("", "tests"), ("tests", "deep"), ("tests/deep", "a.sh")] {
            let number = watch.add(&at(dir)).expect("watched");
            dirs.insert(number, (PathBuf::from(dir), BTreeSet::from([OsString::from(name)])));
        }
        let moves = Moves { watch, dirs };
        std::fs::write(at("tests/deep/result.xml"), "").expect("written");
        std::fs::create_dir(at("tests/cache")).expect("made");
        assert!(moves.seen().is_empty());
        std::fs::rename(at("tests"), at("aside")).expect("moved");
        std::fs::rename(at("aside"), at("tests")).expect("moved");
        assert_eq!(moves.seen(), [Path::new("tests")]);
        std::fs::rename(at("tests/deep/a.sh"), at("tests/deep/b.sh")).expect("moved");
        assert_eq!(moves.seen(), [Path::new("tests/deep/a.sh")]);
    }
}
