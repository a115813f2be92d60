//! Finds the paths of images in a draft.

use std::ops::Range;

/// The file name extensions of images that an agent accepts.
const ENDINGS: [&str; 5] = [".png", ".jpg", ".jpeg", ".gif", ".webp"];
/// How a path must begin to count as one. A bare name may be just a name.
const BEGINNINGS: [&str; 4] = ["/", "~/", "./", "../"];

/// The paths of images in a text, with their ranges. A path may be quoted, have escaped spaces, be a `file://` URL as terminals
/// drop it, or follow an `@`.
#[must_use]
pub fn image_paths(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((from, first)) = rest.next() {
        if first.is_whitespace() || matches!(first, '(' | '[') {
            continue;
        }
        let mut word = String::new();
        let mut end = from + first.len_utf8();
        let quote = matches!(first, '\'' | '"').then_some(first);
        let mut is_closed = quote.is_none();
        let mut next = quote.is_none().then_some((from, first));
        while let Some((at, c)) = next.take().or_else(|| rest.next_if(|(_, c)| quote.is_some() || !c.is_whitespace())) {
            end = at + c.len_utf8();
            match (c, quote) {
                (c, Some(quote)) if c == quote => {
                    is_closed = true;
                    break;
                }
                ('\\', None) => {
                    if let Some((at, escaped)) = rest.next() {
                        end = at + escaped.len_utf8();
                        word.push(escaped);
                    }
                }
                (c, _) => word.push(c),
            }
        }
        if quote.is_none() {
            let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']']);
            end -= word.len() - bare.len();
            word.truncate(bare.len());
        }
        if let Some(path) = is_closed.then(|| path_of(&word)).flatten() {
            found.push((from..end, path));
        }
    }
    found
}

/// Quotes a paste that is one path with spaces, as some terminals drop a file, so that it is read as one path.
#[must_use]
pub fn quoted_path(paste: &str) -> Option<String> {
    let path = paste.trim();
    let is_one = path.contains(' ') && !path.contains(['\n', '\'', '"', '\\']) && path_of(path).is_some();
    (is_one && image_paths(path).iter().all(|(at, _)| *at != (0..path.len()))).then(|| format!("'{path}'"))
}

fn path_of(word: &str) -> Option<String> {
    let word = word.strip_prefix('@').filter(|file| !file.is_empty()).map_or_else(
        || BEGINNINGS.iter().any(|begin| word.starts_with(begin)).then(|| word.to_owned()).or_else(|| address(word)),
        |file| Some(file.to_owned()),
    )?;
    let is_image = ENDINGS.iter().any(|ending| {
        word.len() > ending.len()
            && word.get(word.len() - ending.len()..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    });
    is_image.then_some(word)
}

/// The path of a `file://` URL of this machine.
fn address(word: &str) -> Option<String> {
    let rest = word.strip_prefix("file://")?;
    let path = rest.get(rest.find('/')?..)?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.bytes();
    while let Some(byte) = left.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [left.next()?, left.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_images_are_found_as_terminals_and_people_write_them() {
        for (text, expected) in [
            ("/tmp/a.png", vec![("/tmp/a.png", "/tmp/a.png")]),
            ("see ~/b.JPG, and (./c.gif).", vec![("~/b.JPG", "~/b.JPG"), ("./c.gif", "./c.gif")]),
            (r"/tmp/my\ pic.png x", vec![(r"/tmp/my\ pic.png", "/tmp/my pic.png")]),
            (
                "'/tmp/my pic.webp' \"../d e.jpeg\"",
                vec![("'/tmp/my pic.webp'", "/tmp/my pic.webp"), ("\"../d e.jpeg\"", "../d e.jpeg")],
            ),
            ("file:///tmp/a%20b.png", vec![("file:///tmp/a%20b.png", "/tmp/a b.png")]),
            ("look at @docs/logo.png please", vec![("@docs/logo.png", "docs/logo.png")]),
            // Bare names, other files, an open quote, the URL of another host.
            ("rename logo.png to x.png", vec![]),
            ("/tmp/a.txt /.png/ @ @.png", vec![]),
            ("'/tmp/a.png", vec![]),
            ("https://example.com/a.png", vec![]),
            ("file:///a%2.png file:///%ff.png", vec![]),
            (r"it ends with \", vec![]),
            ("größer/ä.png /tmp/ä.png", vec![("/tmp/ä.png", "/tmp/ä.png")]),
        ] {
            let found = image_paths(text);
            let found: Vec<(&str, &str)> = found.iter().map(|(at, path)| (&text[at.clone()], path.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(quoted_path(" /tmp/my pic.png\n").as_deref(), Some("'/tmp/my pic.png'"));
        for other in ["/tmp/a.png", "/tmp/a.png /tmp/b.png x", "'/tmp/my pic.png'", r"/tmp/my\ pic.png", "my pic.png"] {
            assert_eq!(quoted_path(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[ '\"\\\\/~.@a%é\n-]{0,40}(\\.png)?[ '\"]?") {
            for (at, _) in image_paths(&text) {
                assert!(text.get(at).is_some());
            }
        }
    }
}
