//! Makes text of others safe for a terminal. There, characters that control the terminal are made visible: an event
//! must not clear the screen, set the clipboard, or make a line read backwards.

use std::{
    borrow::Cow,
    fmt::Write,
    io::{IsTerminal, stderr, stdout},
    sync::LazyLock,
};

/// Determined once, and not for each event.
static IS_TERMINAL: LazyLock<bool> = LazyLock::new(|| stdout().is_terminal());

/// The text in the form for standard output.
pub(crate) fn on_stdout(text: &str) -> Cow<'_, str> {
    if *IS_TERMINAL { visible(text) } else { Cow::Borrowed(text) }
}

/// Writes a line to standard error. Errors are ignored, because nobody may be reading it.
pub(crate) fn say(line: &str) {
    let shown = if stderr().is_terminal() { visible(line) } else { Cow::Borrowed(line) };
    let _ = std::io::Write::write_all(&mut stderr(), format!("{shown}\n").as_bytes());
}

/// The text with control characters in the form `\u001b`, which JSON understands too. Line feed and tab stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if commands(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character acts on a terminal instead of being shown: the controls C0 and C1 except line feed and tab, and
/// the characters that change the direction of writing (Unicode, UAX #9, "Directional Formatting Characters").
fn commands(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_shown_and_the_rest_is_unchanged() {
        assert_eq!(
            visible("\x1b]52;c;eA==\x07\u{9b}2J\r\0\x7f"),
            r"\u001b]52;c;eA==\u0007\u009b2J\u000d\u0000\u007f"
        );
        assert_eq!(visible("a\u{202e}b\u{2066}c\u{200f}"), r"a\u202eb\u2066c\u200f");
        for harmless in ["", "grüße 🦀\n\tzwei", "👩\u{200d}🚀", r"\u001b"] {
            assert!(matches!(visible(harmless), Cow::Borrowed(text) if text == harmless), "{harmless:?}");
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "data": "\u{9b}\u{7f}\u{202e}\u{1b}\n" });
        let shown = visible(&value.to_string()).into_owned();
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
