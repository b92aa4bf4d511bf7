//! The name that somebody probably meant.

/// Longer names are nobody's typing error, and comparing them would take long.
const MAX_CHARS: usize = 32;

/// The one of `known` that `given` becomes by the fewest changes of a letter, if they are few.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    if given.chars().count() > MAX_CHARS {
        return None;
    }
    let near = known.iter().map(|name| (changes(given, name), *name));
    let (changes, name) = near.min_by_key(|(changes, _)| *changes)?;
    (changes <= name.len().div_ceil(3)).then_some(name)
}

/// How many letters have to be put in, taken out or replaced (Levenshtein).
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (place, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_with_the_fewest_changes_if_they_are_few() {
        let known = ["topics", "read", "publish", "rights"];
        for (given, expected) in [
            ("topic", Some("topics")),
            ("Topics", Some("topics")),
            ("raed", Some("read")),
            ("publishes", Some("publish")),
            ("right", Some("rights")),
            ("subscribe", None),
            ("", None),
            (&"read".repeat(100), None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
        for (one, other, count) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("äb", "ab", 1)] {
            assert_eq!((changes(one, other), changes(other, one)), (count, count), "{one} {other}");
        }
    }
}
