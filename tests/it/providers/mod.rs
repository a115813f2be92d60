//! The agent under a provider of the configuration, through the built program.

#![cfg(test)]

mod check;
mod pool;
mod start;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::whole_runs::harness::Ground;

/// A value that must not be seen.
pub(super) const SECRET: &str = "sk-made-up-provider-0123456789abcdef";
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";
/// With this code the agent of these tests ends.
const CODE: i32 = 7;

/// What the agent was started with.
struct Started {
    pid: u32,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

/// A ground whose agent writes down what it was started with.
pub(super) fn ground(config: &Value) -> Ground {
    let ground = Ground::without_git();
    let agent = ground.script(
        "agent",
        &format!(
            "{{ echo \"$$\"; printf 'arg=%s\\n' \"$@\"; echo --; env; }} > '{home}/started.new'\n\
             mv '{home}/started.new' '{home}/started'\nexit {CODE}",
            home = ground.home().display()
        ),
    );
    ground.user_config(config);
    ground.env("CCC_AGENT", agent)
}

/// Runs ccc with these arguments; gives its pid, its exit code, and what it wrote.
pub(super) fn ccc(ground: &Ground, args: &[&str]) -> (u32, Option<i32>, String, String) {
    run(&mut ground.command(NOWHERE, args))
}

fn run(command: &mut Command) -> (u32, Option<i32>, String, String) {
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("ccc");
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (pid, output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn started(ground: &Ground) -> Option<Started> {
    let text = fs::read_to_string(ground.home().join("started")).ok()?;
    let (head, env) = text.split_once("--\n").expect("an environment");
    let mut lines = head.lines();
    let pid = lines.next().expect("a pid").parse().expect("a number");
    let args = lines.filter_map(|line| line.strip_prefix("arg=")).filter(|arg| !arg.is_empty()).map(str::to_owned);
    let args = args.collect();
    let env = env.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into()));
    Some(Started { pid, args, env: env.collect() })
}

/// All files below a directory, with their content.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}
