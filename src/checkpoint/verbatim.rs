//! Contents as they lie there. By attributes and settings git converts line ends, encodings and `$Id$` on the way in and on the
//! way out, and what it makes of a file is not always what it was.
//!
//! Git before 2.41 does not know the variable for another source of attributes, and converts as before.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::files::{self, FileKind};
use crate::git::{Call, Git, GitError, Place};

/// A file of attributes.
const ATTRIBUTES: FileKind = FileKind { name: "file of attributes", limit_bytes: 256 * 1024 };
/// The object without entries, by the kinds of hashes: SHA-1 and SHA-256. Git knows it in each repository.
const EMPTY_TREES: &[&str] =
    &["4b825dc642cb6eb9a060e54bf8d69288fbee4904", "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"];
/// What stands in the name or value of each attribute that has git convert contents.
const CONVERTING: &[&str] = &["text", "crlf", "eol", "ident", "encoding"];

/// Calls for which nothing is converted.
#[derive(Debug, Clone)]
pub(super) struct Verbatim {
    /// The tree without files: no file of attributes is in it.
    source: String,
}

impl Verbatim {
    /// `object` is one of the repository: its length tells the kind of hashes. Without one git is asked.
    pub(super) fn of(git: &Git, place: &Place, object: Option<&str>) -> Result<Self, GitError> {
        let known = EMPTY_TREES.iter().find(|tree| object.is_some_and(|object| object.len() == tree.len()));
        let source = match known {
            Some(tree) => (*tree).to_owned(),
            None => git.text(place, &Call::new(["hash-object", "-t", "tree", "--stdin"]))?,
        };
        Ok(Self { source })
    }

    /// The call, without conversions. `info/attributes` in git's directory still counts.
    pub(super) fn call(&self, call: Call) -> Call {
        let settings: [(OsString, OsString); 2] =
            [("core.attributesFile".into(), "/dev/null".into()), ("core.autocrlf".into(), "false".into())];
        call.env("GIT_ATTR_SOURCE", &self.source).env("GIT_ATTR_NOSYSTEM", "1").settings(&settings)
    }
}

/// Whether attributes may have git convert contents of this tree: what stands in the index is then not what lies in the tree.
pub(super) fn converts(git: &Git, common: &Path, attributes: &[PathBuf]) -> bool {
    let of_user = git.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let of_user = of_user.or_else(|| Some(Path::new(git.variable("HOME")?).join(".config")));
    let elsewhere = [
        Some(common.join("info/attributes")),
        Some(PathBuf::from("/etc/gitattributes")),
        of_user.map(|dir| dir.join("git/attributes")),
    ];
    let elsewhere = elsewhere.into_iter().flatten().filter(|path| path.exists());
    attributes.iter().cloned().chain(elsewhere).any(|path| may_convert(&path))
}

/// Whether a file of attributes names one of those that convert. One that cannot be read may.
fn may_convert(path: &Path) -> bool {
    files::read(path, ATTRIBUTES)
        .map_or(true, |text| CONVERTING.iter().any(|word| memchr::memmem::find(&text, word.as_bytes()).is_some()))
}
