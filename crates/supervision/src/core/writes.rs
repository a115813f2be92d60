//! Writes of the agent that the measured tree does not show: by its file tools outside the tree, and by any tool into ignored
//! files.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Edit;

/// The most running calls that are kept; more than any turn has at once.
const MAX_OPEN: usize = 4_096;
/// The most edits that are kept. Beyond this number all are dropped, so a repeated edit counts as new once more.
const MAX_SEEN: usize = 16_384;

/// The edits of a run. A repeated edit counts as progress only once, because an agent that writes the same content again and
/// again makes none.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    open: BTreeMap<String, u64>,
    seen: BTreeSet<u64>,
    fresh: bool,
    /// A call has succeeded since the last stop.
    acted: bool,
    /// The hashes over ignored files at the stops so far.
    ignored: BTreeSet<String>,
}

impl Writes {
    /// A tool call began that makes this edit.
    pub(super) fn started(&mut self, call: &str, edit: &Edit) {
        if self.open.len() < MAX_OPEN {
            self.open.insert(call.to_owned(), fingerprint(edit));
        }
    }

    /// A tool call ended.
    pub(super) fn ended(&mut self, call: &str, failed: bool) {
        self.acted |= !failed;
        if let Some(edit) = self.open.remove(call)
            && !failed
        {
            if self.seen.len() >= MAX_SEEN {
                self.seen.clear();
            }
            self.fresh |= self.seen.insert(edit);
        }
    }

    /// Whether the agent has done something new since the last call: a new edit, or a successful call and a new state of
    /// ignored files.
    pub(super) fn take_fresh(&mut self, ignored: Option<&str>) -> bool {
        self.open.clear();
        if self.ignored.len() >= MAX_SEEN {
            self.ignored.clear();
        }
        let is_new = ignored.is_some_and(|state| self.ignored.insert(state.to_owned()));
        let acted = std::mem::take(&mut self.acted);
        std::mem::take(&mut self.fresh) || (acted && is_new)
    }
}

/// FNV-1a over the path and both texts, each with its length.
fn fingerprint(edit: &Edit) -> u64 {
    let parts = [&edit.path, &edit.old, &edit.new];
    let bytes = parts.iter().flat_map(|part| part.len().to_be_bytes().into_iter().chain(part.bytes()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::Writes;
    use crate::agent::Edit;

    #[test]
    fn a_new_edit_that_succeeds_is_fresh_once() {
        let edit = |path: &str, new: &str| Edit { path: path.to_owned(), old: String::new(), new: new.to_owned() };
        let mut writes = Writes::default();
        assert!(!writes.take_fresh(None));
        for (path, new, failed, fresh) in [
            ("data/1", "a", false, true),
            ("data/1", "a", false, false),
            ("data/2", "a", false, true),
            ("data/2", "b", true, false),
            ("data/2", "b", false, true),
        ] {
            writes.started("call", &edit(path, new));
            writes.ended("call", failed);
            writes.ended("another call", false);
            assert_eq!(writes.take_fresh(None), fresh, "{path} {new} {failed}");
        }
    }

    #[test]
    fn a_new_state_of_what_git_ignores_is_fresh_when_the_agent_has_done_something() {
        let mut writes = Writes::default();
        for (state, call_failed, fresh) in [
            (Some("a"), Some(false), true),
            (Some("a"), Some(false), false),
            (Some("b"), None, false),
            (Some("c"), Some(true), false),
            (Some("d"), Some(false), true),
            (Some("a"), Some(false), false),
            (None, Some(false), false),
        ] {
            if let Some(failed) = call_failed {
                writes.ended("call", failed);
            }
            assert_eq!(writes.take_fresh(state), fresh, "{state:?} {call_failed:?}");
        }
    }
}
