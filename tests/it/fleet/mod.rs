//! Agents of the fleet: the built program with the scripted agent, in real git repositories.

mod agents;
mod managers;
mod memory;
mod queue;
mod published;
