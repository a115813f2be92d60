use ccc::core::{Input, OperatorInput, Tick};
use ccc::driver::copy_run;
use ccc::journal::export::asciicast::{CastHeader, write_asciicast};
use ccc::journal::export::{Names, Private};
use ccc::journal::{Header, JournalReader, JournalWriter, RunDir};
use redaction::Redactor;

use super::samples::{json_line, plan, shown};

fn private() -> Private {
    Private {
        home: Some("/home/alice".to_owned()),
        user: Some("alice".to_owned()),
        hosts: vec!["nightowl".to_owned(), "user".to_owned()],
    }
}

#[test]
fn private_names_are_mapped_and_others_kept() {
    let names = Names::new("/home/alice/shop", &private());
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
        assert_eq!(names.text(text), scrubbed);
    }
    assert_eq!(Names::new("/", &Private::default()).text("/a/b"), "/a/b");
}

#[test]
fn a_copy_with_its_texts_has_other_names_in_plan_inputs_and_actions_alike() {
    let state = tempfile::tempdir().unwrap();
    let dir = RunDir::create(state.path(), &plan().run_id).unwrap();
    let mut here = plan();
    here.cwd = "/home/alice/shop".to_owned();
    let header = Header::new(&here, "0.1.0").unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header, Redactor::new()).unwrap();
    writer.input(Tick(1), &Input::Began { unix_ms: 1, resumed: false, turn_recorded: None, tokens: Vec::new() });
    writer.input(Tick(1), &json_line(r#"{"cwd":"/home/alice/shop","host":"nightowl"}"#));
    let long = format!("{}/home/alice/shop", "x".repeat(100_000));
    writer.input(Tick(2), &Input::Operator(OperatorInput::Turn { text: long.clone() }));
    assert_eq!(writer.close(), None);

    let out = tempfile::tempdir().unwrap();
    let copy = copy_run(dir.path(), out.path(), Some(&private())).unwrap().dir;
    let mut reader = JournalReader::open(copy.path()).unwrap();
    let plan_there = reader.plan().unwrap();
    assert_eq!(plan_there.cwd, "/project");
    assert_eq!(plan_there.seed, plan().seed);
    let texts: Vec<String> = reader.by_ref().map(|entry| shown(&entry.unwrap())).collect();
    assert!(texts.iter().any(|text| text.contains(r#"{"cwd":"/project","host":"host1"}"#)), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains(r#""cwd":"/project""#) && text.contains("spawn")), "{texts:?}");
    assert!(texts.iter().any(|text| text.ends_with("x/project\"}}}")));
    let mut all = std::fs::read_to_string(copy.journal()).unwrap();
    for blob in std::fs::read_dir(copy.blobs()).unwrap() {
        all += &std::fs::read_to_string(blob.unwrap().path()).unwrap();
    }
    assert!(!all.contains("alice") && !all.contains("nightowl"));
}

#[test]
fn the_copy_of_a_run_with_a_gap_ends_before_it() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.0");
    for keep in [None, Some(private())] {
        let out = tempfile::tempdir().unwrap();
        let copied = copy_run(&fixture, out.path(), keep.as_ref()).unwrap();
        let gap = copied.ends_before.expect("a gap");
        assert_eq!((gap.from, gap.to), (10, 12));
        let compared = ccc::driver::compare(&copied.dir.journal()).unwrap();
        assert_eq!((compared.difference, compared.inputs, compared.unfinished), (None, 7, true));
    }
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
