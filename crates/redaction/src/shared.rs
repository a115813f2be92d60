use std::sync::{Arc, PoisonError, RwLock};

use crate::redactor::Redactor;

/// A redactor that many threads share and that can learn values at run time.
#[derive(Debug, Clone, Default)]
pub struct SharedRedactor(Arc<RwLock<Arc<Redactor>>>);

impl SharedRedactor {
    /// A shared redactor with this initial one.
    #[must_use]
    pub fn new(redactor: Redactor) -> SharedRedactor {
        SharedRedactor(Arc::new(RwLock::new(Arc::new(redactor))))
    }

    /// The current redactor.
    #[must_use]
    pub fn now(&self) -> Arc<Redactor> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the redactor.
    pub fn replace(&self, redactor: Redactor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(redactor);
    }
}

#[cfg(test)]
mod tests {
    use super::{Redactor, SharedRedactor};

    #[test]
    fn what_one_thread_teaches_all_clones_know() {
        let redactor = |value| Redactor::with_values([value]);
        let shared = SharedRedactor::new(redactor("first-value-of-a-token"));
        let clone = shared.clone();
        let text = "first-value-of-a-token second-value-of-a-token";
        assert_eq!(clone.now().text(text), "[redacted:value] second-value-of-a-token");
        shared.replace(redactor("second-value-of-a-token"));
        assert_eq!(clone.now().text(text), "first-value-of-a-token [redacted:value]");
    }
}
