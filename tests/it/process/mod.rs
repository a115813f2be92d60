//! Real processes under real PTYs and pipes: nothing is simulated here.

#![cfg(test)]

mod command;
mod death;
mod ending;
mod input;
mod observer;
mod orphans;
mod start;
mod streams;
