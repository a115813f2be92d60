//! Serves a script file as a Messages API: `scripted_api SCRIPT.json [--port N] [--record-requests FILE]`.
//!
//! The first line of stdout is the base URL. The server runs until stdin closes or SIGTERM or SIGINT arrives. With
//! `--record-requests` it then writes each conversational request as one JSON line. The form of the script is described in
//! `tests/e2e/README.md`.
#![allow(clippy::disallowed_methods, reason = "a program of its own, outside the supervisor")]

#[path = "../tests/it/scripted_api/mod.rs"]
mod scripted_api;

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::Parser;
use scripted_api::{Script, ScriptedApi};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// A scripted Messages API on loopback.
#[derive(Debug, Parser)]
struct Args {
    /// The script, in JSON.
    script: PathBuf,
    /// The port; a free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where the requests are written at the end, one JSON object a line.
    #[arg(long)]
    record_requests: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let text = std::fs::read_to_string(&args.script).map_err(|e| format!("{}: {e}", args.script.display()))?;
    let script: Script = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", args.script.display()))?;
    let api = ScriptedApi::start_on(script, args.port)?;
    writeln!(stdout(), "{}", api.base_url())?;
    stdout().flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(until_told());
    // A pending read of stdin cannot be cancelled and must not keep the process alive.
    runtime.shutdown_background();
    ended?;
    if let Some(path) = args.record_requests {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for r in api.requests() {
            let at_us = u64::try_from(r.at.as_micros())?;
            let line = serde_json::json!({
                "number": r.number, "at_us": at_us, "rule": r.rule, "headers": r.headers, "body": r.body,
            });
            writeln!(file, "{line}")?;
        }
        file.flush()?;
    }
    Ok(())
}

async fn until_told() -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let closed = async {
        let mut sink = [0; 256];
        let mut stdin = tokio::io::stdin();
        while matches!(stdin.read(&mut sink).await, Ok(n) if n > 0) {}
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = closed => {}
    }
    Ok(())
}
