//! `POST` of a file: stored, then announced by an update.

use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::publish::{Sender, publish_batch};
use crate::{
    Update, UpdateType,
    attachments::Announcement,
    dialect::File,
    http::{HubBody, Problem, published_body::PublishedBody, service::BoxError},
    log::turns::Publisher,
};

/// The event type of an announcement, unless its publisher names another.
const EVENT_TYPE: &str = "attachment";

/// Receives the body into a file, and publishes the update that says where it is.
///
/// In the end there are both an update and its file, or neither, even if the upload fails or the client leaves.
pub(super) async fn upload<B>(
    sender: &Sender<'_>,
    File { media_type, name, details }: File,
    body: &mut PublishedBody<'_, B>,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    sender.may_send_to(&details.topic)?;
    let Some(attachments) = sender.hub.engine().log.attachments() else {
        return Err(Problem::unsupported_body(format!(
            "Content-Type is {:?}, so the body would be stored as a file, and this hub keeps its history in memory; \
             give it a data directory (tidings serve --data DIR, without --memory), or publish a link",
            media_type.essence()
        )));
    };
    let mut upload = attachments.clone().begin(body.least_bytes()).await?;
    body.begin_upload();
    let mut of_connection = sender.connection.map(Publisher::upload);
    while let Some(piece) = body.next().await? {
        if let Some(upload) = &mut of_connection {
            upload.grow(piece.len() as u64, attachments.limits().of_connection())?;
        }
        upload = upload.write(piece).await?;
    }
    let received = upload.finish().await?;

    let announcement = Announcement::of(&received, media_type, name);
    let event_type = UpdateType::parse(EVENT_TYPE).expect("a word is a valid event type");
    sender.still_may()?;
    // From here to the log nothing waits, and nothing else refuses the update, so the file is never without an owner.
    let update = Update::new(details.topic.clone(), announcement.to_json())
        .with_type(event_type)
        .with_attachment(received.hand_over());
    publish_batch(sender, details.into_batch(Some(update))).await
}
