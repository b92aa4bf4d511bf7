//! Authorization by the application that embeds the hub.

use std::{future::Future, pin::Pin};

use http::request::Parts;

use super::{Denial, Grant};

/// The result of an [`Authorizer`]: a future that can be sent between threads.
pub type Authorizing<'a> = Pin<Box<dyn Future<Output = Result<Grant, Denial>> + Send + 'a>>;

/// Decides what each request may do, for an application that knows its users.
///
/// Give it to a hub as [`Access::Authorizer`](crate::Access::Authorizer). The hub asks once for each request that reads,
/// subscribes or publishes, before it reads the body. It does not ask for `/healthz`, `/readyz`, static files and `OPTIONS`.
///
/// Limits for each user or address are the application's as well: it answers [`Denial::too_many`].
///
/// It is asynchronous, because an application may have to look up a session. It should be quick: the client waits, and so
/// does each request of the same HTTP/1.1 connection. If the client leaves, the future is dropped.
///
/// # Example
///
/// A client with the key may publish. A user with a session may read `users/<name>/*`, including private updates.
///
/// ```
/// use std::{collections::HashMap, sync::Arc};
///
/// use http::{header, request::Parts};
/// use tidings_hub::{Access, Authorizer, Authorizing, Denial, Grant, Hub, Matchers, Settings, Subject, log::MemoryLog};
///
/// struct Sessions {
///     /// The users' names by the values of the header `Authorization`.
///     users: HashMap<String, String>,
/// }
///
/// impl Authorizer for Sessions {
///     fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
///         Box::pin(async move {
///             let credential = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
///             let Some(credential) = credential else {
///                 return Err(Denial::unauthenticated("the request has no Authorization; log in first"));
///             };
///             if credential == "Bearer backend-key" {
///                 return Ok(Grant::default().with_publish(Matchers::all()));
///             }
///             let Some(name) = self.users.get(credential) else {
///                 return Err(Denial::unauthenticated("the session is unknown or over; log in again"));
///             };
///             // A name with a slash would reach the topics of another user. `Matchers` refuses one with a star.
///             let own = Matchers::parse([format!("users/{name}/*")]).ok().filter(|_| !name.contains('/'));
///             let own = own.ok_or_else(|| Denial::forbidden("the user's name cannot be part of a topic"))?;
///             Ok(Grant::default().with_private(own).with_subject(Subject::new("app", name.as_str())))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let users = HashMap::from([("Bearer alices-session".to_owned(), "alice".to_owned())]);
/// let mut settings = Settings::default();
/// settings.access = Access::Authorizer(Arc::new(Sessions { users }));
/// let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
/// # hub.shutdown().await;
/// # }
/// ```
pub trait Authorizer: Send + Sync + 'static {
    /// Decides the rights of this request, from its method, path, headers and extensions. The extensions have the
    /// [`Peer`](crate::Peer), and everything that the application's own middleware has put there.
    ///
    /// The path is that of the hub's own interface (`/topics/news`), without the prefix under which it is mounted.
    ///
    /// # Errors
    /// A [`Denial`] is the answer to the request. A request that may do something, though not what it asks for, gets a grant:
    /// the hub then refuses it with 403 and names the topic.
    fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a>;

    /// Whether a request without `Authorization` whose grant is too small is to be answered 401 instead of 403: its client should
    /// send a token. Default: no.
    fn asks_for_token(&self) -> bool {
        false
    }
}
