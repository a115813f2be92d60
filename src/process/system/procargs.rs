//! The form in which macOS gives the arguments and the environment of a process (`KERN_PROCARGS2`).
//!
//! The number of arguments, the path of the program, NUL bytes up to the next word, the arguments, the environment, an empty
//! string, and what the kernel tells the loader. Each string ends with a NUL byte. For a program that System Integrity Protection
//! restricts, the environment is missing.

/// The environment in these bytes: `NAME=value`, each followed by a NUL byte. `None` if they are not of this form.
pub(super) fn environment_in(bytes: &[u8]) -> Option<Vec<u8>> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let path_end = rest.iter().position(|byte| *byte == 0)?;
    let (_, rest) = rest.split_at(path_end);
    let first = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
    let (_, rest) = rest.split_at(first);
    let entries = rest.split_inclusive(|byte| *byte == 0).skip(count).take_while(|entry| entry.first() != Some(&0));
    Some(entries.flatten().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::environment_in;

    fn given(count: i32, strings: &[u8]) -> Vec<u8> {
        [&count.to_ne_bytes(), strings].concat()
    }

    #[test]
    fn the_environment_stands_between_the_arguments_and_what_the_loader_is_told() {
        let bytes =
            given(2, b"/opt/agent\0\0\0\0\0\0agent\0A=argument\0HOME=/h\0CCC_X=\0\0executable_path=/opt/agent\0");
        assert_eq!(environment_in(&bytes).as_deref(), Some(&b"HOME=/h\0CCC_X=\0"[..]));
    }

    #[test]
    fn a_restricted_program_has_none_and_a_torn_answer_is_no_answer() {
        assert_eq!(environment_in(&given(1, b"/bin/sh\0\0sh\0")).as_deref(), Some(&b""[..]));
        assert_eq!(environment_in(&given(1, b"/bin/sh\0\0sh\0\0executable_path=/bin/sh\0")).as_deref(), Some(&b""[..]));
        assert_eq!(environment_in(&given(9, b"/bin/sh\0\0sh\0")).as_deref(), Some(&b""[..]));
        assert_eq!(environment_in(&given(1, b"/bin/sh")), None);
        assert_eq!(environment_in(&given(-1, b"/bin/sh\0sh\0")), None);
        assert_eq!(environment_in(b"\x01\0"), None);
    }
}
