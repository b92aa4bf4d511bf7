//! What can be set on an [`EventSource`] and on an [`EventStream`] alike: how a response is read.

use std::{sync::Arc, time::Duration};

use tidings_codec::EventId;

use crate::{
    event_source::EventSource, event_stream::EventStream, item::ReceivedEvent, transport::Transport,
};

macro_rules! reading_settings {
    ($type:ident) => {
        impl $type {
            /// Resumes after this event, as if it had been received.
            #[must_use]
            pub fn with_last_event_id(mut self, id: EventId) -> Self {
                self.exchange.set_last_event_id(id);
                self
            }

            /// Whether comments are yielded, for instance to see heartbeats. Default `false`.
            #[must_use]
            pub fn with_comments(mut self, comments: bool) -> Self {
                self.exchange.set_comments(comments);
                self
            }

            /// Gives the connection up when nothing comes for so long, not even a comment: neither the head of the
            /// response nor a byte of its body. Default: never.
            ///
            /// A peer that vanished without a word looks like one that has nothing to say. Choose at least twice the
            /// interval of the server's heartbeat, often 15 s.
            #[must_use]
            pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
                self.exchange.set_idle_timeout(timeout);
                self
            }

            /// Ends after the first event that `is_terminal` accepts. It is yielded, then the connection is closed.
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

            /// How long a line of the stream may be, in bytes. Default 16 MiB. A longer one is
            /// [`Error::Decode`](crate::Error::Decode).
            #[must_use]
            pub fn with_max_line_bytes(mut self, max: usize) -> Self {
                self.exchange.set_decoder(|decoder| decoder.with_max_line_bytes(max));
                self
            }

            /// How long the data of an event may be, in bytes. Default 16 MiB. More is
            /// [`Error::Decode`](crate::Error::Decode).
            #[must_use]
            pub fn with_max_event_bytes(mut self, max: usize) -> Self {
                self.exchange.set_decoder(|decoder| decoder.with_max_event_bytes(max));
                self
            }

            /// Sends requests by this transport. Default: [`HyperTransport`](crate::HyperTransport).
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
