//! What a run shows, and how it is written.
#![allow(clippy::expect_used, reason = "helpers of tests are tests, but clippy does not see it")]

mod forms;
mod screen;
mod terminal;
mod trust;
mod whole_run;
