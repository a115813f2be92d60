use std::sync::{Arc, PoisonError, RwLock};

use crate::Redactor;

/// One redactor for many threads, which can learn more values while they run.
#[derive(Debug, Clone, Default)]
pub struct SharedRedactor(Arc<RwLock<Arc<Redactor>>>);

impl SharedRedactor {
    /// With what this one knows.
    #[must_use]
    pub fn new(redactor: Redactor) -> SharedRedactor {
        SharedRedactor(Arc::new(RwLock::new(Arc::new(redactor))))
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Arc<Redactor> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this one is used.
    pub fn replace(&self, redactor: Redactor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(redactor);
    }
}
