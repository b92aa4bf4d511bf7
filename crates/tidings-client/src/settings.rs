//! The settings that an [`EventSource`] and an [`EventStream`] share: how to read a response.

use std::{sync::Arc, time::Duration};

use tidings_codec::EventId;

use crate::{
    event_source::EventSource, event_stream::EventStream, item::ReceivedEvent, transport::Transport,
};

macro_rules! reading_settings {
    ($type:ident) => {
        impl $type {
            /// Resumes after this event, as if the client had received it.
            #[must_use]
            pub fn with_last_event_id(mut self, id: EventId) -> Self {
                self.exchange.set_last_event_id(id);
                self
            }

            /// Sets whether comments are yielded, for instance to see heartbeats. Default `false`.
            #[must_use]
            pub fn with_comments(mut self, comments: bool) -> Self {
                self.exchange.set_comments(comments);
                self
            }

            /// Gives up the connection when nothing arrives for this long: neither the head of the response, nor a byte
            /// of its body, nor a comment. Default: never.
            ///
            /// A dead peer looks like a silent one. Choose at least twice the interval of the server's heartbeat, which
            /// is often 15 s.
            #[must_use]
            pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
                self.exchange.set_idle_timeout(timeout);
                self
            }

            /// Ends the stream after the first event that `is_terminal` accepts. The event is yielded, then the
            /// connection is closed.
            ///
            /// ```
            /// # use tidings_client::*;
            /// # fn main() -> Result<(), InvalidUrl> {
            #[doc = concat!("let stream = ", stringify!($type), "::get(\"https://llm.example/answer\")?")]
            ///     .with_terminal_event(|event| event.data() == "[DONE]");
            /// # Ok(())
            /// # }
            /// ```
            #[must_use]
            pub fn with_terminal_event<F>(mut self, is_terminal: F) -> Self
            where
                F: FnMut(&ReceivedEvent) -> bool + Send + 'static,
            {
                self.exchange.set_terminal_event(Box::new(is_terminal));
                self
            }

            /// Sets the maximum length of a line of the stream, in bytes. Default 16 MiB. A longer line gives
            /// [`Error::Decode`](crate::Error::Decode).
            #[must_use]
            pub fn with_max_line_bytes(mut self, max: usize) -> Self {
                self.exchange.set_decoder(|decoder| decoder.with_max_line_bytes(max));
                self
            }

            /// Sets the maximum size of an event's data, in bytes. Default 16 MiB. More data gives
            /// [`Error::Decode`](crate::Error::Decode).
            #[must_use]
            pub fn with_max_event_bytes(mut self, max: usize) -> Self {
                self.exchange.set_decoder(|decoder| decoder.with_max_event_bytes(max));
                self
            }

            /// Sends requests through this transport. Default: [`HyperTransport`](crate::HyperTransport).
            #[must_use]
            pub fn with_transport(mut self, transport: Arc<dyn Transport>) -> Self {
                self.transport = transport;
                self
            }
        }
    };
}

reading_settings!(EventSource);
reading_settings!(EventStream);
