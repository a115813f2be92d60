#![no_main]

#[path = "../bodies/composer.rs"]
mod body;
#[path = "../bodies/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
