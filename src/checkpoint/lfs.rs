//! The pointers of Git LFS. Its filter is a program and is not run, so ccc itself tells whether a file is what its pointer
//! says.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::files::{self, FileKind};

/// A pointer, whose size the specification of Git LFS limits.
pub const POINTER: FileKind = FileKind { name: "pointer of Git LFS", limit_bytes: 1024 };

/// What stands in the repository for a file of Git LFS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The SHA-256 of the content, in hex.
    pub sha256: String,
    /// The size of the content.
    pub bytes: u64,
}

impl Pointer {
    /// The pointer with this text; `None` when it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.starts_with("version "))?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let sha256 = value("oid")?.strip_prefix("sha256:")?.to_owned();
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let bytes = value("size")?.parse().ok()?;
        is_hash.then_some(Self { sha256, bytes })
    }

    /// Whether the file has the content that the pointer stands for.
    pub(super) fn stands_for(&self, path: &Path) -> bool {
        self.matches(path).unwrap_or(false)
    }

    fn matches(&self, path: &Path) -> std::io::Result<bool> {
        let mut file = files::open_no_link(path)?;
        if file.metadata()?.len() != self.bytes {
            return Ok(false);
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(hex == self.sha256)
    }
}
