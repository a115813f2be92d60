use std::collections::VecDeque;

/// How many entries are kept.
pub const HISTORY_LIMIT: usize = 2_000;
/// A longer text is not kept.
pub const ENTRY_LIMIT_BYTES: usize = 8 * 1024;

/// The user's earlier messages, the newest last, and the composer's position among them.
#[derive(Debug, Clone, Default)]
pub struct History {
    entries: VecDeque<String>,
    /// How many entries back the composer is; 0 is the draft itself.
    back: usize,
    /// The draft from before the first step back.
    draft: String,
    /// The search, when one is open.
    search: Option<String>,
}

impl History {
    /// A history of messages from earlier conversations, the oldest first.
    #[must_use]
    pub fn of(entries: Vec<String>) -> History {
        let mut history = History::default();
        for entry in entries {
            history.add(&entry);
        }
        history
    }

    /// Adds a sent message. Returns `false` if it is blank, too long, or the same as the last entry.
    pub fn add(&mut self, entry: &str) -> bool {
        self.leave();
        if entry.trim().is_empty()
            || entry.len() > ENTRY_LIMIT_BYTES
            || self.entries.back().is_some_and(|last| last == entry)
        {
            return false;
        }
        self.entries.push_back(entry.to_owned());
        if self.entries.len() > HISTORY_LIMIT {
            self.entries.pop_front();
        }
        true
    }

    /// The entry before the present one. `draft` is kept when the first step back is made.
    pub fn older(&mut self, draft: &str) -> Option<&str> {
        if self.back == self.entries.len() {
            return None;
        }
        if self.back == 0 {
            draft.clone_into(&mut self.draft);
        }
        self.back += 1;
        self.here()
    }

    /// The entry after the present one; at the end, the kept draft.
    pub fn newer(&mut self) -> Option<&str> {
        self.back = self.back.checked_sub(1)?;
        if self.back == 0 { Some(&self.draft) } else { self.here() }
    }

    fn here(&self) -> Option<&str> {
        let at = self.entries.len().checked_sub(self.back)?;
        self.entries.get(at).map(String::as_str)
    }

    /// Returns to the draft and ends a search.
    pub fn leave(&mut self) {
        self.back = 0;
        self.search = None;
    }

    /// The words of the open search.
    #[must_use]
    pub fn searched(&self) -> Option<&str> {
        self.search.as_deref()
    }

    /// Opens a search, or finds the next older entry of an open one.
    pub fn search(&mut self, draft: &str) -> Option<&str> {
        match &self.search {
            None => {
                if self.back == 0 {
                    draft.clone_into(&mut self.draft);
                }
                (self.search, self.back) = (Some(String::new()), 0);
                None
            }
            Some(words) => {
                let words = words.clone();
                self.find(&words, self.back + 1)
            }
        }
    }

    /// Searches for other words, from the newest entry on.
    pub fn search_for(&mut self, words: &str) -> Option<&str> {
        self.search = Some(words.to_owned());
        self.find(words, 1)
    }

    /// Ends the search; returns the kept draft.
    pub fn end_search(&mut self) -> &str {
        self.leave();
        &self.draft
    }

    fn find(&mut self, words: &str, from: usize) -> Option<&str> {
        let words = words.to_lowercase();
        let found = (from..=self.entries.len()).find(|back| {
            let entry = self.entries.len().checked_sub(*back).and_then(|at| self.entries.get(at));
            entry.is_some_and(|entry| entry.to_lowercase().contains(&words))
        })?;
        self.back = found;
        self.here()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        History::of(["fix the parser", "run the tests", "Fix the docs"].map(str::to_owned).to_vec())
    }

    #[test]
    fn one_goes_back_and_forth_and_the_draft_comes_back() {
        let mut history = history();
        assert_eq!(history.older("draft"), Some("Fix the docs"));
        assert_eq!(history.older("Fix the docs"), Some("run the tests"));
        assert_eq!(history.older(""), Some("fix the parser"));
        assert_eq!(history.older(""), None);
        assert_eq!(history.newer(), Some("run the tests"));
        assert_eq!(history.newer(), Some("Fix the docs"));
        assert_eq!(history.newer(), Some("draft"));
        assert_eq!(history.newer(), None);
    }

    #[test]
    fn a_search_goes_from_the_newest_to_the_oldest() {
        let mut history = history();
        assert_eq!(history.search("draft"), None);
        assert_eq!(history.search_for("fix"), Some("Fix the docs"));
        assert_eq!(history.search(""), Some("fix the parser"));
        assert_eq!(history.search(""), None);
        assert_eq!(history.search_for("nowhere"), None);
        assert_eq!(history.end_search(), "draft");
        assert_eq!(history.searched(), None);
    }

    #[test]
    fn what_is_not_worth_keeping_is_not_kept() {
        let mut history = history();
        assert!(!history.add("  \n") && !history.add("Fix the docs") && !history.add(&"x".repeat(9_000)));
        for number in 0..HISTORY_LIMIT * 2 {
            assert!(history.add(&number.to_string()));
        }
        assert_eq!(history.entries.len(), HISTORY_LIMIT);
    }
}
