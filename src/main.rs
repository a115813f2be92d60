//! The `ccc` program: the library's command line, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(waits) = ccc::cli::is_hook(&args) {
        ccc::cli::hook(waits);
        return ExitCode::SUCCESS;
    }
    ccc::process::use_one_heap();
    ccc::process::bear_file_limits();
    let context = ccc::cli::Context::of_process();
    if ccc::cli::complete(&args, &context) {
        return ExitCode::SUCCESS;
    }
    ccc::cli::diagnostics(&context);
    ExitCode::from(ccc::cli::run(args, &context))
}
