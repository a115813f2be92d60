//! Agents of the fleet: the built program with the scripted agent, in real git repositories.

mod agents;
mod configured;
mod faults;
mod managers;
mod memory;
mod published;
mod queue;
mod relatives;
mod unreadable;
