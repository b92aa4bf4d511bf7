//! The data of an HTTP body as chunks to decode. Feature `http-body`.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;

pin_project! {
    /// The data frames of an [`http_body::Body`] as a stream of chunks, for [`ItemStream`](crate::ItemStream).
    ///
    /// Trailers are skipped. Chunks that are already [`Bytes`] are not copied.
    ///
    /// ```
    /// use futures_util::{FutureExt, StreamExt};
    /// use http_body_util::Full;
    /// use tidings_codec::{BodyChunks, Event, ItemStream, OwnedItem};
    ///
    /// # async {
    /// let body = Full::new(&b"data: hello\n\n"[..]);
    /// let mut items = ItemStream::new(BodyChunks::new(body));
    /// assert_eq!(items.next().await, Some(Ok(OwnedItem::Event(Event::new("hello")))));
    /// assert_eq!(items.next().await, None);
    /// # }.now_or_never().expect("nothing waits");
    /// ```
    ///
    /// # Cancel safety
    /// Dropping a future that waits for the next chunk loses nothing: this type buffers no frame.
    #[derive(Debug, Clone)]
    #[must_use = "streams do nothing unless polled"]
    pub struct BodyChunks<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body> BodyChunks<B> {
    /// Makes a stream of the data frames of `body`.
    pub fn new(body: B) -> Self {
        BodyChunks { body }
    }
}

impl<B: Body> Stream for BodyChunks<B> {
    type Item = Result<Bytes, B::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.project().body;
        loop {
            return Poll::Ready(match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => Some(Ok(data.copy_to_bytes(data.remaining()))),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => Some(Err(error)),
                None => None,
            });
        }
    }
}
