//! A stream of chunks becomes a stream of items. Feature `stream`.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::decode::Decoder;
use crate::error::{DecodeError, Incomplete};
use crate::owned_item::OwnedItem;

pin_project! {
    /// Decodes a stream of chunks, such as the body of a response, into a stream of [`OwnedItem`]s.
    ///
    /// An item comes as soon as its last byte has arrived. Chunks may end anywhere.
    ///
    /// ```
    /// use futures_util::{FutureExt, StreamExt, stream};
    /// use tidings_codec::{Event, ItemStream, OwnedItem};
    ///
    /// # async {
    /// let chunks = stream::iter(["data: hel", "lo\n\n"].map(Ok::<_, std::io::Error>));
    /// let mut items = ItemStream::new(chunks);
    /// while let Some(item) = items.next().await {
    ///     assert_eq!(item?, OwnedItem::Event(Event::new("hello")));
    /// }
    /// # Ok::<(), tidings_codec::StreamError<std::io::Error>>(())
    /// # }.now_or_never().expect("nothing waits")?;
    /// # Ok::<(), tidings_codec::StreamError<std::io::Error>>(())
    /// ```
    ///
    /// # Cancel safety
    /// Dropping a future that waits for the next item loses nothing: the bytes already read stay in the stream.
    ///
    /// # Memory
    /// One chunk, and the memory of the [`Decoder`]. The next chunk is requested when all items of the last one are
    /// taken.
    #[derive(Debug, Clone)]
    #[must_use = "streams do nothing unless polled"]
    pub struct ItemStream<S, B> {
        #[pin]
        chunks: S,
        decoder: Decoder,
        chunk: Option<B>,
        // The number of bytes of `chunk` that the decoder has consumed.
        consumed: usize,
        ended: bool,
    }
}

impl<S, B, E> ItemStream<S, B>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    /// Reads `chunks` as a browser would, with the limits of [`Decoder::new`].
    pub fn new(chunks: S) -> Self {
        ItemStream::with_decoder(chunks, Decoder::new())
    }

    /// Reads `chunks` with your own decoder: a strict one, one with other limits, or one with a last event ID.
    pub fn with_decoder(chunks: S, decoder: Decoder) -> Self {
        ItemStream { chunks, decoder, chunk: None, consumed: 0, ended: false }
    }
}

impl<S, B> ItemStream<S, B> {
    /// The last event ID as of the last item taken; see [`Decoder::last_event_id`].
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// Returns the decoder, to go on with the chunks of the next response. It keeps the last event ID and forgets an
    /// unfinished event.
    pub fn into_decoder(self) -> Decoder {
        let mut decoder = self.decoder;
        decoder.reset();
        decoder
    }
}

impl<S, B, E> Stream for ItemStream<S, B>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    type Item = Result<OwnedItem, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(chunk) = this.chunk {
                let bytes = chunk.as_ref();
                let mut input = bytes.get(*this.consumed..).unwrap_or_default();
                if let Some(item) = this.decoder.decode(&mut input) {
                    let item = item.map(OwnedItem::from).map_err(StreamError::Decode);
                    *this.consumed = bytes.len() - input.len();
                    return Poll::Ready(Some(item));
                }
                *this.chunk = None;
            }
            if *this.ended {
                return Poll::Ready(None);
            }
            match ready!(this.chunks.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => {
                    *this.chunk = Some(chunk);
                    *this.consumed = 0;
                }
                Some(Err(error)) => {
                    *this.ended = true;
                    return Poll::Ready(Some(Err(StreamError::Chunks(error))));
                }
                None => {
                    *this.ended = true;
                    let cut = this.decoder.finish().err();
                    return Poll::Ready(cut.map(|cut| Err(StreamError::Incomplete(cut))));
                }
            }
        }
    }
}

/// The reason why an [`ItemStream`] has no item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The stream of chunks failed. Nothing follows: connect again, and go on with
    /// [`into_decoder`](ItemStream::into_decoder).
    Chunks(E),
    /// A block was refused. The items after it follow.
    Decode(DecodeError),
    /// The stream of chunks ended in the middle of an event. Nothing follows. A browser discards such an event in
    /// silence and reconnects. A server that reads a request should refuse the request.
    Incomplete(Incomplete),
}

impl<E> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Chunks(_) => f.write_str("event stream broke off"),
            StreamError::Decode(_) => f.write_str("event stream has a mistake"),
            StreamError::Incomplete(_) => f.write_str("event stream is incomplete"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for StreamError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            StreamError::Chunks(error) => Some(error),
            StreamError::Decode(error) => Some(error),
            StreamError::Incomplete(cut) => Some(cut),
        }
    }
}
