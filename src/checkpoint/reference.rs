//! The references of ccc, each changed only from the value that was expected.

use super::error::CheckpointError;
use crate::git::{Call, Git, GitError, Place};

/// Where all references of ccc lie.
pub const REFERENCES: &str = "refs/ccc/";

/// What a reference must be for it to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Anything, or absent.
    Anything,
    /// Absent.
    Absent,
    /// This commit.
    Commit(&'a str),
}

/// Sets a reference, if it is as expected. No reflog is written.
///
/// # Errors
/// [`CheckpointError::WrongReference`] unless it is one of ccc's, [`CheckpointError::ReferenceMoved`] when it is not as
/// expected, and when git fails.
pub fn set_reference(
    git: &Git,
    place: &Place,
    reference: &str,
    commit: &str,
    expected: Expected<'_>,
) -> Result<(), CheckpointError> {
    if !reference.starts_with(REFERENCES) {
        return Err(CheckpointError::WrongReference { reference: reference.to_owned() });
    }
    let call = Call::update_ref(["--no-deref", reference, commit])
        .settings(&[("core.logAllRefUpdates".into(), "false".into())]);
    // For git an empty value says that the reference must not exist.
    let call = match expected {
        Expected::Anything => call,
        Expected::Absent => call.arg(""),
        Expected::Commit(commit) => call.arg(commit),
    };
    let answer = git.change_own_reference(place, reference, &call)?;
    if answer.code == 0 {
        return Ok(());
    }
    let now = value(git, place, reference)?;
    let as_expected = match expected {
        Expected::Anything => true,
        Expected::Absent => now.is_none(),
        Expected::Commit(commit) => now.as_deref() == Some(commit),
    };
    if as_expected {
        Err(GitError::failed(format!("`git update-ref {reference}` failed: {}", answer.why())).into())
    } else {
        Err(CheckpointError::ReferenceMoved { reference: reference.to_owned() })
    }
}

/// Removes references of ccc's, each of which is this commit, in one transaction: all of them go, or none.
///
/// # Errors
/// [`CheckpointError::WrongReference`] unless all are ccc's, and when git fails or one has changed.
pub fn delete_references<'a>(
    git: &Git,
    place: &Place,
    references: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), CheckpointError> {
    let mut input = String::from("start\0");
    let mut is_empty = true;
    for (reference, commit) in references {
        if !reference.starts_with(REFERENCES) {
            return Err(CheckpointError::WrongReference { reference: reference.to_owned() });
        }
        is_empty = false;
        input.push_str(&format!("delete {reference}\0{commit}\0"));
    }
    if is_empty {
        return Ok(());
    }
    input.push_str("commit\0");
    git.run(place, &Call::update_ref(["--no-deref", "-z", "--stdin"]).input(input))?;
    Ok(())
}

/// The commit of a reference.
fn value(git: &Git, place: &Place, reference: &str) -> Result<Option<String>, GitError> {
    let answer = git.ask(place, &Call::new(["rev-parse", "-q", "--verify", reference]))?;
    Ok((answer.code == 0).then(|| answer.text()))
}

/// The reference `<prefix>/<n>` after the last one that exists, from 1.
///
/// # Errors
/// When git fails.
pub fn next_reference(git: &Git, place: &Place, prefix: &str) -> Result<String, GitError> {
    let list = git.text(place, &Call::new(["for-each-ref", "--format=%(refname)", &format!("{prefix}/")]))?;
    let numbers = list.lines().filter_map(|name| name.rsplit('/').next()?.parse::<u64>().ok());
    Ok(format!("{prefix}/{}", numbers.max().unwrap_or(0).saturating_add(1)))
}
