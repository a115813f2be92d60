use ccc::core::{Action, Decision, Input, OperatorInput, Tick};
use ccc::journal::export::asciicast::{CastHeader, write_asciicast};
use ccc::journal::export::fixture::{ExportError, Private, Scrubber, export_fixture};
use ccc::journal::{JournalReader, JournalWriter, Redactor, RunDir};

use super::samples::{header, json_line, plan, shown};

fn private() -> Private {
    Private {
        home: Some("/home/alice".to_owned()),
        user: Some("alice".to_owned()),
        hosts: vec!["nightowl".to_owned(), "user".to_owned()],
    }
}

#[test]
fn private_names_are_mapped_and_others_kept() {
    let scrubber = Scrubber::new("/home/alice/shop", &private());
    for (text, scrubbed) in [
        ("/home/alice/shop/src/a.rs", "/project/src/a.rs"),
        ("cd /home/alice/shop.", "cd /project."),
        ("/home/alice/shopping", "/home/user/shopping"),
        ("/home/alice/shop-2/x", "/home/user/shop-2/x"),
        ("/home/alicent", "/home/alicent"),
        ("~/.claude/projects/-home-alice-shop/x", "~/.claude/projects/-project/x"),
        ("alice@nightowl:~$", "user@host1:~$"),
        (r#"{"a":"\nalice"}"#, r#"{"a":"\nuser"}"#),
        ("malice", "malice"),
        (r#"{"type":"user"}"#, r#"{"type":"user"}"#),
    ] {
        assert_eq!(scrubber.text(text), scrubbed);
    }
    assert_eq!(Scrubber::new("/", &Private::default()).text("/a/b"), "/a/b");
}

#[test]
fn a_scrubbed_run_maps_plan_inputs_and_actions_alike() {
    let state = tempfile::tempdir().unwrap();
    let dir = RunDir::create(state.path(), &plan().run_id).unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
    writer.input(Tick(1), &json_line(r#"{"cwd":"/home/alice/shop","host":"nightowl"}"#));
    writer.action(
        Tick(1),
        &Action::Decide(Decision { what: "look into /home/alice/shop".to_owned(), why: "alice asked".to_owned() }),
    );
    let long = format!("{}/home/alice/shop", "x".repeat(100_000));
    writer.input(Tick(2), &Input::Operator(OperatorInput::Turn { text: long.clone() }));
    assert_eq!(writer.close(), None);

    let out = tempfile::tempdir().unwrap();
    let copy = export_fixture(dir.path(), out.path(), &private(), &Redactor::new()).unwrap();
    let mut reader = JournalReader::open(copy.path()).unwrap();
    let plan_there = reader.plan().unwrap();
    assert_eq!(plan_there.cwd, "/project");
    assert_eq!(plan_there.seed, plan().seed);
    let back: Vec<_> = reader.by_ref().map(|entry| entry.unwrap()).collect();
    assert_eq!(back.iter().map(|it| it.tick.0).collect::<Vec<_>>(), [1, 1, 2]);
    let texts: Vec<String> = back.iter().map(shown).collect();
    assert!(texts[0].contains(r#"{"cwd":"/project","host":"host1"}"#), "{}", texts[0]);
    assert_eq!(texts[1], r#"{"decide":{"what":"look into /project","why":"user asked"}}"#);
    assert!(texts[2].ends_with("x/project\"}}}"));
    let mut all = std::fs::read_to_string(copy.journal()).unwrap();
    for blob in std::fs::read_dir(copy.blobs()).unwrap() {
        all += &std::fs::read_to_string(blob.unwrap().path()).unwrap();
    }
    assert!(!all.contains("alice") && !all.contains("nightowl"));
}

#[test]
fn a_run_with_a_gap_is_not_exported_as_a_fixture() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.0");
    let out = tempfile::tempdir().unwrap();
    let error = export_fixture(&fixture, out.path(), &private(), &Redactor::new()).unwrap_err();
    assert!(matches!(error, ExportError::Gap { from: 10, to: 12, .. }), "{error}");
}

#[test]
fn a_recording_is_asciicast_v3() {
    let header = CastHeader {
        cols: 100,
        rows: 30,
        timestamp_unix_s: Some(1_795_202_302),
        title: Some("A \"night\"".to_owned()),
        idle_time_limit_s: Some(2),
    };
    let pieces = [
        (Tick(1_499_900), "hello\nworld\r\n"),
        (Tick(1_500_300), "\u{1b}[1mbold"),
        (Tick(1_000_000), "late"),
        (Tick(3_601_000_000), "morning"),
    ];
    let mut out = Vec::new();
    write_asciicast(&mut out, &header, pieces, Some(75)).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        concat!(
            r#"{"version":3,"term":{"cols":100,"rows":30},"timestamp":1795202302,"idle_time_limit":2,"title":"A \"night\""}"#,
            "\n[1.499,\"o\",\"hello\\r\\nworld\\r\\n\"]\n",
            "[0.001,\"o\",\"\\u001b[1mbold\"]\n",
            "[0.000,\"o\",\"late\"]\n",
            "[3599.500,\"o\",\"morning\"]\n",
            "[0.000,\"x\",\"75\"]\n",
        )
    );
}
