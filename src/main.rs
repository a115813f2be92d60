//! The `ccc` program: the library's command line, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let context = ccc::cli::Context::of_process();
    ccc::cli::diagnostics(&context);
    ExitCode::from(ccc::cli::run(std::env::args_os(), &context))
}
