//! Values of a token in a text for people.

use std::fmt::Display;

/// How much of a value is shown.
const MAX_CHARS: usize = 200;

/// The value as text, cut if it is long: a token has up to 16 KiB, and an answer or a line of a log should not.
pub(super) fn shown(value: impl Display) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A text of a token, in quotation marks.
pub(super) fn quoted(text: &str) -> String {
    shown(format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_two_characters() {
        assert_eq!(shown("ä".repeat(200)), "ä".repeat(200));
        assert_eq!(shown("ä".repeat(201)), format!("{}…", "ä".repeat(200)));
        assert_eq!(quoted("a\n"), r#""a\n""#);
    }
}
