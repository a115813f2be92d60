//! Captures a command's stdout and stderr, for tests that run the command in their own process.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Context, Printer, Stdin};
use crate::config::{Dirs, Env};

/// What is written to one stream.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

/// A stdout and a stderr that store what is written to them.
#[derive(Debug, Clone, Default)]
pub(super) struct Captured {
    out: Written,
    err: Written,
}

impl Captured {
    /// A context with these streams: a terminal of this width, or a pipe for `None`. State, home and current directory
    /// are `dir`.
    pub(super) fn context(&self, dir: &Path, columns: Option<u16>) -> Context {
        let mut printer = Printer::to(Box::new(self.out.clone()), Box::new(self.err.clone()));
        if let Some(columns) = columns {
            printer = printer.with_columns(columns);
        }
        let dir = dir.to_owned();
        let dirs = Dirs::new(&dir, &dir, &dir, &Env::default());
        Context::new(Env::default(), dirs, dir, printer, Stdin::of(io::empty()))
    }

    /// Everything that was written to stdout.
    pub(super) fn text(&self) -> String {
        self.out.text()
    }

    /// Everything that was written to stderr.
    pub(super) fn messages(&self) -> String {
        self.err.text()
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
