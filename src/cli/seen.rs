//! What a command writes to stdout, for tests that run it inside their own process.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Context, Printer, Stdin};
use crate::config::{Dirs, Env};

/// A stdout that keeps what is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    /// A context whose stdout this is: a terminal of so many columns, or a pipe. State, home and current directory are `dir`.
    pub(super) fn context(&self, dir: &Path, columns: Option<u16>) -> Context {
        let mut printer = Printer::to(Box::new(self.clone()), Box::new(io::sink()));
        if let Some(columns) = columns {
            printer = printer.with_columns(columns);
        }
        let dir = dir.to_owned();
        let dirs = Dirs::new(&dir, &dir, &dir, &Env::default());
        Context::new(Env::default(), dirs, dir, printer, Stdin::of(io::empty()))
    }

    /// All that was written.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
