//! JSON in the data of an event. Feature `json`.

use serde::Deserialize;

use crate::event::Event;
use crate::item::EventRef;

impl<'a> EventRef<'a> {
    /// Reads the data as JSON into a type that may borrow from it.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tidings_codec::{Decoder, Item};
    ///
    /// #[derive(Deserialize)]
    /// struct Token<'a> {
    ///     text: &'a str,
    /// }
    ///
    /// let mut input = &b"data: {\"text\":\"hello\"}\n\n"[..];
    /// let mut decoder = Decoder::new();
    /// if let Some(Item::Event(event)) = decoder.decode(&mut input).transpose()? {
    ///     assert_eq!(event.json::<Token>()?.text, "hello");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A JSON string with an escape in it cannot be borrowed. For such strings use `Cow<'a, str>` with
    /// `#[serde(borrow)]`, or `String`.
    ///
    /// # Errors
    /// The data is not JSON, or does not fit the type `T`. This does not break the stream: go on with the next event.
    /// Some streams end with an event that is not JSON, such as `[DONE]`.
    pub fn json<T: Deserialize<'a>>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.data())
    }
}

impl Event {
    /// Reads the data as JSON into a type that may borrow from it.
    ///
    /// # Errors
    /// The same as of [`EventRef::json`].
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.data())
    }
}
