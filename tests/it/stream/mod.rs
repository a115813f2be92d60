//! The codec on the recorded streams of the real CLIs.

use std::path::{Path, PathBuf};

use ccc::stream::{Frame, FrameDecoder, LineLimit, Message, parse_message};

fn recordings() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|version| version.unwrap().path())
        .filter(|version| version.is_dir())
        .flat_map(|version| std::fs::read_dir(version).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    files
}

/// Reads a stream in chunks of this size: for each frame its bytes, and whether it is JSON.
fn read(stream: &[u8], chunk_bytes: usize) -> Vec<(Vec<u8>, bool)> {
    let mut decoder = FrameDecoder::new(LineLimit::DEFAULT);
    let mut frames = Vec::new();
    let mut keep = |frame: Frame<'_>| match frame {
        Frame::Json(envelope) => frames.push((envelope.line.as_bytes().to_vec(), true)),
        Frame::Noise(noise) => frames.push((noise.to_vec(), false)),
        Frame::TooLong { bytes } => panic!("{bytes} bytes are no long line"),
    };
    for chunk in stream.chunks(chunk_bytes) {
        decoder.push(chunk, &mut keep);
    }
    decoder.finish(keep);
    frames
}

#[test]
fn every_recorded_line_is_json_in_any_chunking() {
    let files = recordings();
    assert!(!files.is_empty());
    for file in files {
        let stream = std::fs::read(&file).unwrap();
        let lines: Vec<(Vec<u8>, bool)> = stream
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| (line.to_vec(), true))
            .collect();
        for chunk_bytes in [1, 7, 4096, usize::MAX] {
            assert!(read(&stream, chunk_bytes) == lines, "{} in chunks of {chunk_bytes}", file.display());
        }
    }
}

#[test]
fn every_recorded_message_is_known() {
    let mut unknown = Vec::new();
    for file in recordings() {
        let mut decoder = FrameDecoder::new(LineLimit::DEFAULT);
        let mut note = |frame: Frame<'_>| {
            if let Frame::Json(envelope) = frame
                && let Message::Other(raw) = parse_message(&envelope)
            {
                unknown.push(format!("{}: {}", file.display(), raw.json()));
            }
        };
        decoder.push(&std::fs::read(&file).unwrap(), &mut note);
        decoder.finish(note);
    }
    assert_eq!(unknown, Vec::<String>::new(), "new messages: add them to the codec");
}
