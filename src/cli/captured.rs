//! Captures a command's stdout, for tests that run the command in their own process.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Context, Printer, Stdin};
use crate::config::{Dirs, Env};

/// A stdout that stores what is written to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// A context with this stdout: a terminal of this width, or a pipe for `None`. State, home and current directory
    /// are `dir`.
    pub(super) fn context(&self, dir: &Path, columns: Option<u16>) -> Context {
        let mut printer = Printer::to(Box::new(self.clone()), Box::new(io::sink()));
        if let Some(columns) = columns {
            printer = printer.with_columns(columns);
        }
        let dir = dir.to_owned();
        let dirs = Dirs::new(&dir, &dir, &dir, &Env::default());
        Context::new(Env::default(), dirs, dir, printer, Stdin::of(io::empty()))
    }

    /// Everything that was written.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
