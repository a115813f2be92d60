//! Faults of ccc itself, through the built program: its death at any moment, two of it, its signals, a full disk, a
//! screen that takes nothing, an agent that floods it, and what it must keep to itself.
//!
//! Most of it runs the scripted agent, whose transcript counts turns and which can be held at any point; where the
//! real CLIs have a say in it (what a killed one has saved, what it takes for a duplicate), they are run too.
//!
//! Must not: wait without an event and a deadline, or test what a core transition alone decides.

mod advice;
mod chance;
mod death;
mod death_real;
pub(crate) mod disk;
mod flood;
mod hand_over;
pub(crate) mod hosted;
mod job;
mod overdue;
mod resume;
mod screen;
mod secrets;
mod signals;
pub(crate) mod told;
mod two;
pub(crate) mod world;
