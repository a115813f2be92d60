//! The user's arguments for the agent, given on several occasions: which of them stay, and which the CLI has
//! rejected.

use similar::TextDiff;

use super::options::{Given, is_single, known_names, read};
use crate::agent::AmendedArgs;

/// From this similarity on, an unknown option counts as a mistyped one.
const ALIKE: f32 = 0.8;
/// Shorter values are not searched for in a complaint, because a match would prove nothing.
const TELLING_VALUE_CHARS: usize = 4;

/// The earlier and the later arguments in one command line. An option that takes one value, or that has a spoilt
/// argument, is replaced by a later one of the same name.
pub(super) fn merged(before: &[String], later: &[String], is_redacted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let (Ok(first), Ok(second)) = (read(before), read(later)) else { return [before, later].concat() };
    let counts_once = |option: &Given<'_>| is_single(&option.name) || has(option, is_redacted);
    let given_later = |option: &Given<'_>| counts_once(option) && second.iter().any(|now| now.is_same_as(option));
    let kept = first.iter().filter(|option| !given_later(option)).flat_map(|option| option.written.iter());
    kept.chain(later).cloned().collect()
}

/// These arguments without the options that have a matching argument, and the names of those options.
pub(super) fn apart(args: &[String], is_such: &dyn Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    let Ok(given) = read(args) else {
        let (such, others): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| is_such(arg));
        return (others.into_iter().cloned().collect(), such.into_iter().cloned().collect());
    };
    let (such, others): (Vec<&Given<'_>>, Vec<&Given<'_>>) = given.iter().partition(|option| has(option, is_such));
    let kept = others.into_iter().flat_map(|option| option.written.iter().cloned()).collect();
    (kept, such.into_iter().map(|option| option.name.clone()).collect())
}

fn has(option: &Given<'_>, is_such: &dyn Fn(&str) -> bool) -> bool {
    option.written.iter().any(|arg| is_such(arg))
}

/// Which of these arguments a complaint of the CLI is about; the CLI has accepted `proven` before. The result is
/// advice only and decides nothing.
pub(super) fn amended(args: &[String], proven: &[String], complaint: &str) -> AmendedArgs {
    let (given, proven) = (read(args).unwrap_or_default(), read(proven).unwrap_or_default());
    let mut amended = AmendedArgs::default();
    for option in &given {
        if !names(complaint, option) {
            amended.kept.extend(option.written.iter().cloned());
            if !proven.iter().any(|known| known.written == option.written) {
                amended.instead.extend(option.written.iter().cloned());
            }
            continue;
        }
        amended.refused.extend(option.written.iter().cloned());
        if let Some(name) = nearest(&option.name) {
            let first = option.written.first().map(|first| first.replacen(&option.name, name, 1));
            let corrected: Vec<String> = first.into_iter().chain(option.written.iter().skip(1).cloned()).collect();
            amended.kept.extend(corrected.iter().cloned());
            amended.instead.extend(corrected);
        }
    }
    if amended.refused.is_empty() {
        // It is unknown which argument was rejected.
        amended.instead.clear();
        amended.kept = proven.iter().flat_map(|option| option.written.iter().cloned()).collect();
    }
    amended
}

/// Whether a complaint names this option or one of its values.
fn names(complaint: &str, option: &Given<'_>) -> bool {
    let has = |word: &str| {
        complaint.match_indices(word).any(|(at, _)| {
            let goes_on = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            let (before, after) = (complaint[..at].chars().next_back(), complaint[at + word.len()..].chars().next());
            !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
        })
    };
    let values = option.values.iter().filter(|value| value.chars().count() >= TELLING_VALUE_CHARS);
    has(&option.name) || values.into_iter().any(|value| has(value))
}

/// The known option that an unknown one was probably meant to be.
fn nearest(name: &str) -> Option<&'static str> {
    if known_names().any(|known| known == name) {
        return None;
    }
    let alike = |known: &str| TextDiff::from_chars(name, known).ratio();
    let near = known_names().map(|known| (known, alike(known))).filter(|(_, ratio)| *ratio >= ALIKE);
    near.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(known, _)| known)
}

#[cfg(test)]
mod tests {
    use super::{amended, merged};

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn of_an_option_with_one_value_the_later_counts_and_lists_add_up() {
        for (before, later, both) in [
            ("--model one", "--effort high --model two", "--effort high --model two"),
            ("--model=one --effort low", "--model two", "--effort low --model two"),
            ("--allowedTools Read", "--allowedTools Edit", "--allowedTools Read --allowedTools Edit"),
            ("--permission-mode plan", "", "--permission-mode plan"),
            ("--new-option 1", "--new-option 2", "--new-option 2"),
            ("", "--model two", "--model two"),
            // A spoilt argument is replaced by a new one.
            (
                "--mcp-config a --allowedTools [redacted:value]",
                "--mcp-config b --allowedTools Edit",
                "--mcp-config a --mcp-config b --allowedTools Edit",
            ),
        ] {
            let together = merged(&args(before), &args(later), &|arg| arg.contains("[redacted:"));
            assert_eq!(together, args(both), "{before} + {later}");
        }
    }

    #[test]
    fn a_complaint_names_the_options_that_are_left_out_and_a_mistyped_one_is_corrected() {
        let unknown = "the agent's CLI refused its arguments: error: unknown option '--permision-mode'";
        let rows = [
            // What is given, what was accepted before, the complaint; what to give instead.
            ("--permision-mode acceptEdits", "", unknown, "--permission-mode acceptEdits"),
            ("--permision-mode=acceptEdits", "", unknown, "--permission-mode=acceptEdits"),
            (
                "--model m --permision-mode acceptEdits --effort low",
                "--model m",
                unknown,
                "--permission-mode acceptEdits --effort low",
            ),
            ("--model m --xyzzy 1", "", "error: unknown option '--xyzzy'", "--model m"),
            ("--settings /no/such.json --model m", "", "Error: Settings file not found: /no/such.json", "--model m"),
            (
                "--dangerously-skip-permissions --model m",
                "",
                "--dangerously-skip-permissions cannot be used with root/sudo privileges",
                "--model m",
            ),
            ("--model m --effort low", "", "error: unknown option '--model-x'", ""),
        ];
        for (given, proven, complaint, instead) in rows {
            assert_eq!(amended(&args(given), &args(proven), complaint).instead, args(instead), "{given}: {complaint}");
        }
        let unclear = amended(&args("--model m --mcp-config x"), &args("--model m"), "Invalid MCP configuration:");
        assert_eq!((unclear.kept, unclear.refused), (args("--model m"), Vec::new()), "what was taken before");
    }
}
