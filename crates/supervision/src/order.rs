//! Sorting with one copy of the algorithm.
//!
//! The standard library's sort is compiled for each type and each comparison, in 4 kB each, and so is the collecting into an ordered
//! map. These functions sort the places of a list instead, by one copy. They are for lists that are sorted now and then; a list with
//! a place for each file of a tree is sorted by the standard library.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Sorts a list. Elements that are equal keep their order.
pub fn sort_by<T>(list: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut places: Vec<usize> = (0..list.len()).collect();
    sort_places(&mut places, &|one, other| match (list.get(one), list.get(other)) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Ordering::Equal,
    });
    // Each cycle of the permutation is followed once; a place that is done points to itself.
    for start in 0..places.len() {
        let mut at = start;
        while let Some(from) = places.get(at).copied() {
            if let Some(place) = places.get_mut(at) {
                *place = at;
            }
            if from == start || from == at {
                break;
            }
            list.swap(at, from);
            at = from;
        }
    }
}

/// Sorts a list by what the function makes of its elements. Elements that are equal keep their order.
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(list, |one, other| key(one).cmp(&key(other)));
}

/// The ordered map of these entries; of two with one key the last counts.
pub fn map_of<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        map.insert(key, value);
    }
    map
}

fn sort_places(places: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    places.sort_by(|one, other| compare(*one, *other));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{map_of, sort_by, sort_by_key};

    proptest! {
        #[test]
        fn a_list_is_sorted_as_by_the_standard_library(list in prop::collection::vec((0_u8..20, any::<u16>()), 0..60)) {
            let (mut ours, mut theirs) = (list.clone(), list.clone());
            sort_by_key(&mut ours, |(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(&ours, &theirs);
            sort_by(&mut ours, |one, other| other.cmp(one));
            theirs.sort_by(|one, other| other.cmp(one));
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(map_of(list.clone()), list.into_iter().collect::<BTreeMap<_, _>>());
        }
    }
}
