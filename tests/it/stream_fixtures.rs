//! Whether the recorded streams are fit to be committed and complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::real_cli::CleanHome;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams")
}

fn versions() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
}

fn recordings(version: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(version)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|x| x == "jsonl"))
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_version_has_every_scene_and_its_exit() {
    let scenes: Vec<BTreeSet<String>> =
        versions().iter().map(|v| recordings(v).iter().map(|p| name(p)).collect()).collect();
    assert!(scenes.len() >= 2 && scenes[0].len() >= 50, "{scenes:?}");
    for (version, scenes_here) in versions().iter().zip(&scenes) {
        assert_eq!(scenes_here, &scenes[0], "{}", version.display());
        let exits: Value = serde_json::from_str(&std::fs::read_to_string(version.join("exits.json")).unwrap()).unwrap();
        let named: BTreeSet<String> = exits.as_object().unwrap().keys().cloned().collect();
        assert_eq!(&named, scenes_here, "{}", version.display());
    }
}

#[test]
fn every_line_is_an_object_that_names_no_machine() {
    for path in versions().iter().flat_map(|v| recordings(v)) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'), "{}", path.display());
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            let json: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert!(json["type"].is_string(), "{place}");
            for particular in ["ccc-e2e", "/root", "/Users/", "messaging_socket_path", "node_modules", CleanHome::KEY] {
                assert!(!line.contains(particular), "{place}: {particular}");
            }
            let foreign = line.matches("/home/").count() - line.matches("/home/user").count();
            assert_eq!(foreign, 0, "{place}: a home that is not /home/user");
            let ports = line.matches("127.0.0.1:").count() - line.matches("127.0.0.1:1)").count();
            assert_eq!(ports, 0, "{place}: a port of the recording's API");
        }
    }
}

#[test]
fn every_recording_ends_as_its_exit_code_says() {
    // The exit code of a process tells whether its last result was an error.
    for version in versions() {
        let exits: Value = serde_json::from_str(&std::fs::read_to_string(version.join("exits.json")).unwrap()).unwrap();
        for path in recordings(&version) {
            let text = std::fs::read_to_string(&path).unwrap();
            let last = text
                .lines()
                .map(|l| serde_json::from_str::<Value>(l).unwrap())
                .rfind(|j| j["type"] == "result")
                .unwrap_or_else(|| panic!("{}: no result", path.display()));
            let code = i64::from(last["is_error"].as_bool().unwrap());
            assert_eq!(exits[name(&path)]["code"], code, "{}", path.display());
        }
    }
}
