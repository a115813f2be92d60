//! Real processes under real PTYs and pipes: nothing is simulated here.

#![cfg(test)]

mod command;
mod death;
mod ending;
mod input;
pub(crate) mod observer;
mod orphans;
mod start;
mod streams;
