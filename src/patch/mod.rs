//! Differences between two trees: reads a patch as git writes it, and names what it does to tests and to the files that checks
//! run. It decides nothing and opens no file; a patch is hostile, and what cannot be read is left out.

mod check_files;
mod file_diff;
mod tests_touched;

pub use check_files::{NamedBy, names_file};
pub use file_diff::{FileDiff, FileFate, Sign, parse};
pub use tests_touched::{Finding, findings, is_test_file, passing};
