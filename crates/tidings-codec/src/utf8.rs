//! Bytes to text by the Encoding Standard's "UTF-8 decode": each maximal ill-formed part becomes one U+FFFD.
//!
//! The standard decodes the stream before it looks for lines. Decoding line by line gives the same text: no ill-formed
//! part contains an ASCII byte, and only ASCII bytes delimit lines and fields.

use alloc::string::String;

use crate::work;

/// Returns `bytes` as text: the bytes themselves if they are UTF-8, otherwise a repaired copy in `repaired`.
#[inline]
pub(crate) fn decode<'a>(bytes: &'a [u8], repaired: &'a mut String) -> &'a str {
    work::count(bytes.len());
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => {
            repaired.clear();
            push_repaired(bytes, repaired);
            repaired
        }
    }
}

/// Replaces the content of `text` by the decoded `bytes`.
pub(crate) fn decode_into(bytes: &[u8], text: &mut String) {
    work::count(bytes.len());
    text.clear();
    match core::str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => push_repaired(bytes, text),
    }
}

#[cold]
fn push_repaired(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}
