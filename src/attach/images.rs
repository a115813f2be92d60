//! Images that the user gives as paths.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::files::{self, IMAGE, ReadFault};
use crate::words::Image;

/// The directories that paths are relative to.
#[derive(Debug, Clone)]
pub(super) struct Bases {
    /// The agent's working directory.
    pub(super) cwd: PathBuf,
    /// The user's home directory.
    pub(super) home: Option<PathBuf>,
}

impl Bases {
    fn resolve(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_) | None, _) => self.cwd.join(path),
        }
    }
}

/// Reads the image at a path. `Err(None)`: there is no such file, so the text is not a path; else why it is rejected.
pub(super) fn read(path: &str, bases: &Bases) -> Result<Image, Option<String>> {
    let trouble = |why: &str| Some(format!("the image {path} is not sent: it {why}"));
    let bytes = files::read(&bases.resolve(path), IMAGE).map_err(|fault| match fault {
        ReadFault::Missing => None,
        ReadFault::Unreadable(error) if error.kind() == std::io::ErrorKind::NotADirectory => None,
        fault @ (ReadFault::Unreadable(_)
        | ReadFault::Dangling
        | ReadFault::NotAFile { .. }
        | ReadFault::TooLarge { .. }
        | ReadFault::LeadsOut) => trouble(&fault.to_string()),
    })?;
    let media_type = kind(&bytes).ok_or_else(|| trouble("is not a png, jpeg, gif or webp"))?;
    Ok(Image { media_type: media_type.to_owned(), data: STANDARD.encode(&bytes) })
}

/// The media type, from the first bytes: a file name may be wrong, and the provider then refuses the whole turn.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_by_what_it_is_and_what_is_none_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let bases = Bases { cwd: dir.path().join("project"), home: Some(dir.path().to_owned()) };
        std::fs::create_dir(&bases.cwd).expect("mkdir");
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
        write("a.jpg", b"\x89PNG\r\n\x1a\nrest");
        write("b.png", b"no image");
        write("big.png", &vec![0; IMAGE.limit_bytes as usize + 1]);
        write("project/c.webp", b"RIFF\0\0\0\0WEBPVP8 ");
        std::fs::create_dir(dir.path().join("dir.png")).expect("mkdir");
        crate::files::make_fifo(&dir.path().join("pipe.png"));
        let read = |path: &str| read(path, &bases);
        let image = read("~/a.jpg").expect("an image");
        assert_eq!((image.media_type.as_str(), image.data.as_str()), ("image/png", "iVBORw0KGgpyZXN0"));
        assert_eq!(read("c.webp").expect("an image").media_type, "image/webp");
        assert_eq!(read(&dir.path().join("none.png").display().to_string()), Err(None));
        for (path, why) in [
            ("../b.png", "not a png"),
            ("../big.png", "5 MiB"),
            ("../dir.png", "a directory"),
            ("../pipe.png", "a FIFO"),
        ] {
            let told = read(path).expect_err("not taken").expect("told");
            assert!(told.contains(why) && told.contains(path), "{told}");
        }
    }
}
