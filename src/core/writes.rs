//! What the agent's own file tools have written: progress that a measured tree may not show (a git-ignored folder, another
//! directory).

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Edit;

/// Calls that are remembered while they run; more than any turn has at once.
const MAX_OPEN: usize = 4_096;
/// Edits that are remembered. Past it all are forgotten, and one that is made again counts as new once more.
const MAX_SEEN: usize = 16_384;

/// The edits of a run. The same edit made twice is progress once: an agent that writes the same file again and again
/// stands still.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    open: BTreeMap<String, u64>,
    seen: BTreeSet<u64>,
    fresh: bool,
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
        if let Some(edit) = self.open.remove(call)
            && !failed
        {
            if self.seen.len() >= MAX_SEEN {
                self.seen.clear();
            }
            self.fresh |= self.seen.insert(edit);
        }
    }

    /// Whether an edit that was never made before has succeeded since this was asked last.
    pub(super) fn take_fresh(&mut self) -> bool {
        self.open.clear();
        std::mem::take(&mut self.fresh)
    }
}

/// FNV-1a over the path and both texts, with their lengths between them.
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
        assert!(!writes.take_fresh());
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
            assert_eq!(writes.take_fresh(), fresh, "{path} {new} {failed}");
        }
    }
}
