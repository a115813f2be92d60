use std::collections::{HashMap, HashSet};

/// Lower-case letters in the order in which placeholders use them: rare ones first, so that placeholders are recognizable.
const LOWER: &str = "qzjkvwypfgbhmcuxldrstnioae";
/// How many characters of a non-ASCII kind placeholders use. Only a run with more words of one such character would give two
/// words the same placeholder.
const ALPHABET_MAX: usize = 4_096;
/// The prefix of replacement uuids; the rest is a counter.
const UUID_HEAD: &str = "00000000-0000-4000-8000-";
/// The length of a uuid.
pub(super) const UUID_BYTES: usize = 36;

/// Placeholders for words. The same word always gets the same placeholder, different words get different ones. A placeholder
/// has the length of its word in characters and bytes, with letters, digits and capitals in the same places. It depends only on
/// the words before it in the run, so it cannot be used to verify a guess.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    given: HashMap<String, String>,
    uuids: HashMap<String, String>,
    /// By shape: how many candidates were tried.
    looked_at: HashMap<String, u128>,
    /// By shape: candidates that were skipped, used when no others are left.
    passed_over: HashMap<String, Vec<String>>,
    alphabets: HashMap<char, Vec<char>>,
    /// Words with a special meaning, in lower case.
    reserved: HashSet<String>,
}

impl Placeholders {
    /// Placeholders that avoid these words.
    pub(super) fn without(reserved: HashSet<String>) -> Placeholders {
        Placeholders { reserved, ..Placeholders::default() }
    }

    /// The placeholder of a word.
    pub(super) fn of(&mut self, word: &str) -> String {
        if let Some(known) = self.given.get(word) {
            return known.clone();
        }
        let placeholder = self.next(&shape(word));
        self.given.insert(word.to_owned(), placeholder.clone());
        placeholder
    }

    /// The placeholder that a word already has.
    pub(super) fn given(&self, word: &str) -> Option<&str> {
        self.given.get(word).map(String::as_str)
    }

    /// The replacement of a uuid.
    pub(super) fn of_uuid(&mut self, uuid: &str) -> String {
        let next = self.uuids.len() + 1;
        self.uuids.entry(uuid.to_owned()).or_insert_with(|| format!("{UUID_HEAD}{next:012x}")).clone()
    }

    fn next(&mut self, shape: &str) -> String {
        for class in shape.chars() {
            self.alphabets.entry(class).or_insert_with(|| alphabet(class));
        }
        let classes: Vec<char> = shape.chars().collect();
        let number = classes.iter().all(|class| *class == '0');
        let radix = |(place, class): (usize, &char)| {
            let letters = self.alphabets.get(class).map_or(1, Vec::len);
            // No number begins with a zero.
            u128::try_from(letters - usize::from(number && place == 0)).unwrap_or(1).max(1)
        };
        let radices: Vec<u128> = classes.iter().enumerate().map(radix).collect();
        let all = radices.iter().fold(1_u128, |product, radix| product.saturating_mul(*radix));
        loop {
            let looked_at = self.looked_at.entry(shape.to_owned()).or_default();
            let at = *looked_at;
            if at >= all
                && let Some(spare) = self.passed_over.get_mut(shape).and_then(Vec::pop)
            {
                return spare;
            }
            *looked_at += 1;
            let mut rest = at % all;
            let mut chars: Vec<char> = Vec::with_capacity(radices.len());
            for (place, (class, radix)) in classes.iter().zip(&radices).enumerate().rev() {
                let letter = usize::try_from(rest % radix).unwrap_or(0) + usize::from(number && place == 0);
                rest /= radix;
                chars.extend(self.alphabets.get(class).and_then(|letters| letters.get(letter)));
            }
            let candidate: String = chars.into_iter().rev().collect();
            if at < all && self.reserved.contains(&candidate.to_lowercase()) {
                self.passed_over.entry(shape.to_owned()).or_default().push(candidate);
            } else {
                return candidate;
            }
        }
    }
}

/// Whether a uuid is a replacement.
pub(super) fn stands_for_a_uuid(uuid: &str) -> bool {
    uuid.starts_with(UUID_HEAD)
}

/// Whether the text begins with a uuid.
pub(super) fn begins_with_uuid(text: &str) -> bool {
    let Some(head) = text.as_bytes().get(..UUID_BYTES) else { return false };
    head.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    }) && !text.get(UUID_BYTES..).unwrap_or_default().starts_with(char::is_alphanumeric)
}

/// The kind of each character of a word.
pub(super) fn shape(word: &str) -> String {
    word.chars().map(class).collect()
}

/// The class of a character that a decision may depend on: its length, and whether it is a letter, a digit or neither.
fn class(char: char) -> char {
    match char {
        'a'..='z' => 'a',
        'A'..='Z' => 'A',
        '0'..='9' => '0',
        other => {
            let kinds = if other.is_alphabetic() {
                ['b', 'c', 'd']
            } else if other.is_alphanumeric() {
                ['2', '3', '4']
            } else {
                ['x', 'y', 'z']
            };
            kinds[other.len_utf8().clamp(2, 4) - 2]
        }
    }
}

/// The characters of a class: all for ASCII, as many as needed for others.
fn alphabet(of: char) -> Vec<char> {
    match of {
        'a' => LOWER.chars().collect(),
        'A' => LOWER.to_ascii_uppercase().chars().collect(),
        '0' => ('0'..='9').collect(),
        'b' | '2' | 'x' => others(of, '\u{a1}'..='\u{7ff}'),
        'c' | '3' | 'y' => others(of, '\u{800}'..='\u{ffff}'),
        _ => others(of, '\u{10000}'..='\u{1ffff}'),
    }
}

fn others(of: char, among: std::ops::RangeInclusive<char>) -> Vec<char> {
    among.filter(|char| class(*char) == of && !char.is_whitespace() && !char.is_control()).take(ALPHABET_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::{Placeholders, begins_with_uuid, shape};

    #[test]
    fn even_the_shortest_words_have_placeholders_of_their_own() {
        let mut placeholders = Placeholders::without(HashSet::from(["s".to_owned(), "in".to_owned(), "13".to_owned()]));
        let letters = || ('a'..='z').map(String::from);
        let pairs = letters().flat_map(|one| letters().map(move |two| format!("{one}{two}")));
        let numbers = (10..100).map(|number: u32| number.to_string());
        let words: Vec<String> = letters().chain(pairs).chain(numbers).collect();
        let given: HashSet<String> = words.iter().map(|word| placeholders.of(word)).collect();
        assert_eq!(given.len(), words.len());
        assert!(given.iter().all(|word| !word.starts_with('0')));
        let mut fresh = Placeholders::without(HashSet::from(["q".to_owned()]));
        assert_eq!((fresh.of("a").as_str(), fresh.of("hello").as_str(), fresh.of("77").as_str()), ("z", "qqqqq", "10"));
    }

    #[test]
    fn uuids_are_told_from_other_words() {
        for (text, is) in [
            ("da2dfb22-28b7-8051-af8a-25323516ba41", true),
            ("da2dfb22-28b7-8051-af8a-25323516ba41.jsonl", true),
            ("da2dfb22-28b7-8051-af8a-25323516ba41f", false),
            ("da2dfb22-28b7-8051-af8a-25323516ba4", false),
            ("ga2dfb22-28b7-8051-af8a-25323516ba41", false),
        ] {
            assert_eq!(begins_with_uuid(text), is, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_placeholder_has_the_shape_of_its_word_and_is_its_own(
            words in proptest::collection::vec("[a-cA-C0-9éß漢字🦀✓]{1,6}", 1..60)
        ) {
            let mut placeholders = Placeholders::default();
            let mut given: HashMap<String, String> = HashMap::new();
            for word in &words {
                let placeholder = placeholders.of(word);
                prop_assert_eq!(shape(&placeholder), shape(word));
                prop_assert_eq!(placeholder.len(), word.len());
                let known = given.entry(word.clone()).or_insert_with(|| placeholder.clone());
                prop_assert_eq!(known, &placeholder);
            }
            let different: HashSet<&String> = given.values().collect();
            prop_assert_eq!(different.len(), given.len());
        }
    }
}
