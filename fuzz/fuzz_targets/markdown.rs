#![no_main]

#[path = "../bodies/markdown.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
