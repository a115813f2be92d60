//! Records what the real CLIs write to stdout: `record_stream [--version V] [--out DIR] [SCENE…]`.
//!
//! Each scene runs the installed CLIs with ccc's launch flags against a scripted API and sends user turns one at a time. The
//! lines of the scene's last process are written to `fixtures/streams/<version>/<scene>.jsonl`, without the machine's paths and
//! with uuids renumbered. Exit codes and stderr go to `exits.json` beside them.
#![allow(clippy::disallowed_methods, reason = "a program of its own, outside the supervisor")]
#![allow(dead_code, reason = "the harness has parts that only the tests use")]

#[path = "../../tests/it/real_cli/mod.rs"]
mod real_cli;
mod scenes;
#[path = "../../tests/it/scripted_api/mod.rs"]
mod scripted_api;
mod scrub;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use real_cli::{CleanHome, Exit, RealCli, STREAM_FLAGS, Session};
use scenes::{Life, Scene, Step};
use scripted_api::ScriptedApi;
use scrub::Scrub;
use serde_json::{Value, json};

/// Longer than every wait that a scene needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Records streams of the real CLIs as fixtures.
#[derive(Debug, Parser)]
struct Args {
    /// Only this version.
    #[arg(long)]
    only: Option<String>,
    /// The directory that holds one directory a version.
    #[arg(long, default_value = "fixtures/streams")]
    out: PathBuf,
    /// Only these scenes.
    scenes: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut failed = Vec::new();
    for cli in RealCli::all() {
        if args.only.as_ref().is_some_and(|v| *v != cli.version) {
            continue;
        }
        let dir = args.out.join(&cli.version);
        std::fs::create_dir_all(&dir)?;
        let exits_path = dir.join("exits.json");
        let mut exits: BTreeMap<String, Value> =
            std::fs::read(&exits_path).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        for scene in scenes::all() {
            if !args.scenes.is_empty() && !args.scenes.iter().any(|s| s == scene.name) {
                continue;
            }
            match record(&cli, &scene, &dir) {
                Ok((lines, exit)) => {
                    writeln!(stdout(), "{} {} {lines} lines, {exit}", cli.version, scene.name)?;
                    exits.insert(scene.name.to_owned(), exit);
                }
                Err(e) => {
                    writeln!(stdout(), "{} {} FAILED: {e}", cli.version, scene.name)?;
                    failed.push(scene.name);
                }
            }
        }
        let mut text = serde_json::to_string_pretty(&exits)?;
        text.push('\n');
        std::fs::write(exits_path, text)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not recorded: {}", failed.join(", ")).into()) }
}

/// Plays one scene and writes its file; returns the number of lines and the exit.
fn record(cli: &RealCli, scene: &Scene, dir: &Path) -> Result<(usize, Value), Box<dyn Error>> {
    let home = CleanHome::new()?;
    for (path, text) in &scene.files {
        let path = home.project().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(path, text)?;
    }
    let api = ScriptedApi::start((scene.script)(&home.project()))?;
    let mut scrub = Scrub::new(scrub_of(&home, &api.base_url()));
    let mut session_id = String::new();
    let mut turns = 0;
    let mut last = None;
    for life in &scene.lives {
        let exit = live(cli, life, &home, &api, &mut session_id, &mut turns)?;
        last = Some(exit);
    }
    let exit = last.ok_or("a scene without a life")?;
    if let Some(request) = api.unmatched().first() {
        return Err(format!("the script has no answer to request {}: {}", request.number, request.body).into());
    }
    let lines: Vec<String> = exit.lines.iter().map(|l| scrub.line(&l.raw) + "\n").collect();
    std::fs::write(dir.join(format!("{}.jsonl", scene.name)), lines.concat())?;
    let stderr = scrub.line(&exit.stderr);
    Ok((lines.len(), json!({"about": scene.about, "code": exit.status.code(), "stderr": stderr})))
}

/// One process of a scene, from spawn to its end.
fn live(
    cli: &RealCli,
    life: &Life,
    home: &CleanHome,
    api: &ScriptedApi,
    session_id: &mut String,
    turns: &mut usize,
) -> Result<Exit, Box<dyn Error>> {
    let mut command = home.command(cli, &api.base_url());
    command.args(STREAM_FLAGS).args(life.args.iter().map(|a| a.replace("{SID}", session_id)));
    if life.oauth {
        command.env_remove("ANTHROPIC_API_KEY").env("CLAUDE_CODE_OAUTH_TOKEN", "made-up-oauth-token-1");
    }
    command.envs(life.env.iter().copied());
    let mut session = Session::spawn(&mut command)?;
    let uuid = |n: usize| format!("{n:08}-aaaa-4aaa-8aaa-aaaaaaaaaaaa");
    let mut killed = false;
    for step in &life.steps {
        match step {
            Step::Turn(text) => {
                *turns += 1;
                session.say(text, &uuid(*turns))?;
                session.turn_over(DEADLINE)?;
            }
            Step::Say(text) => {
                *turns += 1;
                session.say(text, &uuid(*turns))?;
            }
            Step::Again(n, text) => session.say(text, &uuid(*n))?,
            Step::Over => drop(session.turn_over(DEADLINE)?),
            Step::Until(kind, part) => {
                session.until(kind, DEADLINE, |l| l.kind().starts_with(kind) && l.raw.contains(part))?;
            }
            Step::OnDisk(text) => on_disk(&home.home().join(".claude/projects"), text)?,
            Step::Interrupt => session.interrupt("interrupt-1")?,
            Step::Raw(value) => session.send(value)?,
            Step::Answer(answer) => {
                let asked = session.seen().iter().rev().find(|l| l.kind().starts_with("control_request"));
                let asked = asked.map(|l| l.json.clone()).ok_or("nothing was asked")?;
                session.send(&json!({"type": "control_response", "response":
                    {"subtype": "success", "request_id": asked["request_id"], "response": answer(&asked["request"])}}))?;
            }
            Step::Plan(text) => {
                let name = api.requests().iter().find_map(|request| plan_name(&request.body.to_string()));
                let plans = home.home().join(".claude/plans");
                std::fs::create_dir_all(&plans)?;
                std::fs::write(plans.join(name.ok_or("no request names a plan's file")?), text)?;
            }
            Step::Kill => killed = true,
        }
        if let Some(id) = session.seen().iter().rev().find_map(|l| l.json["session_id"].as_str()) {
            id.clone_into(session_id);
        }
    }
    Ok(if killed { session.kill()? } else { session.close(DEADLINE)? })
}

/// The name of the plan's file in a request's body.
fn plan_name(body: &str) -> Option<String> {
    let (name, _) = body.split_once("/.claude/plans/")?.1.split_once(".md")?;
    Some(format!("{name}.md"))
}

/// Waits until a transcript below the directory contains the text.
fn on_disk(projects: &Path, text: &str) -> std::io::Result<()> {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        for project in std::fs::read_dir(projects).into_iter().flatten().flatten() {
            for file in std::fs::read_dir(project.path()).into_iter().flatten().flatten() {
                if std::fs::read_to_string(file.path()).is_ok_and(|t| t.contains(text)) {
                    return Ok(());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("{text} is in no transcript")))
}

fn scrub_of(home: &CleanHome, base_url: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (path, stand_in) in [(home.project(), "/home/user/project"), (home.home(), "/home/user")] {
        let path = path.display().to_string();
        let dashed = |p: &str| p.replace(['/', '.'], "-");
        out.push((dashed(&path), dashed(stand_in)));
        out.push((path, stand_in.to_owned()));
    }
    // Messages name the host with and without the scheme.
    out.push((base_url.trim_start_matches("http://").to_owned(), "127.0.0.1:1".to_owned()));
    if let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        let name = name.trim().to_owned();
        // A short name would be found inside words.
        if name.len() > 5 {
            out.push((name, "host".to_owned()));
        }
    }
    out
}
