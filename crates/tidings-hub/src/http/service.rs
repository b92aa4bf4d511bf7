//! One request in, one response out.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::sleep;
use tower_service::Service;

use super::{
    HubBody, Problem,
    accept::{Representation, representation},
    cross_site::{Site, is_preflight},
    disconnect::Disconnect,
    request_head,
    router::of_extension,
    routes::{
        download::attachment,
        history::history,
        publish::publish,
        subscribe::{put_off, subscribe},
        subscribers::{furthest_behind, subscribers},
    },
};
use crate::{
    Asset, Denial, Grant, Hub, Prefix, Selector, StartAt, Topic,
    authorize::Right,
    delivery::Engine,
    dialect::{
        list::joined,
        native::{PublishParams, ReadParams},
    },
    extension::Extension,
    probe::TIDINGS_PROBE,
};

impl Hub {
    /// The hub's HTTP interface, to be mounted in an application.
    pub fn service(&self) -> HubService {
        HubService::new(self.clone())
    }
}

/// The hub's HTTP interface as a tower service, to be mounted in an application under any prefix.
///
/// It answers `/topics/…`, `/topics?topic=…`, `/subscribers`, `/attachments/…`, `/healthz`, `/readyz`, `/metrics`, and
/// the static files of the [`Settings`](crate::Settings). The application that mounts it strips the prefix, as axum's `nest_service` does.
/// The [`Access`](crate::Access) rule decides what a request may do; with an [`Authorizer`](crate::Authorizer), the application does.
#[derive(Debug, Clone)]
pub struct HubService {
    hub: Hub,
}

/// How long an answer may take before the hub looks whether its client is still there: to look costs a write where a client
/// has stopped sending.
const LEFT_AFTER: Duration = Duration::from_millis(100);

/// Says of an answer for topics that its client gets less than it asked for.
const TIDINGS_ACCESS: HeaderName = HeaderName::from_static("tidings-access");

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl HubService {
    pub(crate) fn new(hub: Hub) -> HubService {
        HubService { hub }
    }
}

impl<B> Service<Request<B>> for HubService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<HubBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<HubBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let hub = self.hub.clone();
        Box::pin(async move { Ok(answer(&hub, request).await) })
    }
}

/// Answers a request.
pub(crate) async fn answer<B>(hub: &Hub, request: Request<B>) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let engine = hub.engine();
    let site = Site::of(&parts, &engine.settings);
    let mut response = match route(hub, &site, &parts, body).await {
        Ok(response) => response,
        Err(problem) if problem.may_pass() && asks_to_subscribe(&parts) => {
            put_off(engine, begins_now(&parts))
        }
        Err(problem) => problem.into_response(),
    };
    site.sign(&mut response);
    forbid_sniffing(&mut response);
    if parts.method == Method::HEAD && parts.version == Version::HTTP_2 {
        response = without_body(response);
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        engine.metrics.refused(status);
        tracing::debug!(method = %parts.method, path = parts.uri.path(), %status, "refused");
    }
    response
}

/// What has a body is of the type that it says: a browser that guessed could run what somebody published as a script.
fn forbid_sniffing(response: &mut Response<HubBody>) {
    if !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

/// hyper leaves the body out of an answer to HEAD over HTTP/1.1 and not over HTTP/2, where a stream would begin and never end,
/// and clients take the first byte of it for a broken answer.
fn without_body(response: Response<HubBody>) -> Response<HubBody> {
    let length = response.body().size_hint().exact().filter(|length| *length > 0);
    let mut response = response.map(|_| HubBody::empty());
    if let Some(length) = length {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    response
}

/// What a publish does not need is boxed: its future is as large as the largest part, and is moved with each request.
async fn route<B>(hub: &Hub, site: &Site, parts: &Parts, body: B) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    request_head::check(parts)?;
    let engine = hub.engine();
    let path = parts.uri.path();
    // A load balancer asks a machine, by its address or by no name at all, and what it is told is no secret.
    if !matches!(path, "/healthz" | "/readyz") {
        site.may_lead_here()?;
    }
    if parts.method == Method::OPTIONS {
        return match is_preflight(parts) {
            true => site.preflight(parts),
            false => methods(hub, path).map(options).ok_or_else(|| Problem::no_such_path(path)),
        };
    }
    if matches!(parts.method, Method::GET | Method::HEAD) {
        if let Some(answer) = for_anyone(engine, path) {
            return answer;
        }
    }
    let extension = of_extension(hub).filter(|routes| routes.methods(path).is_some());
    let grant = match extension.is_some_and(|routes| routes.has_own_credentials(path)) {
        true => Ok(Cow::default()),
        false => engine.settings.access.authorize(parts).await,
    };
    let grant = match (grant, extension) {
        (Ok(grant), _) => grant,
        // An EventSource would not come back from a 503. Without a grant it is not told a position.
        (Err(Denial::Unavailable { .. }), _) if asks_to_subscribe(parts) => {
            return Ok(put_off(engine, false));
        }
        (Err(denial), Some(routes)) => return Err(routes.in_own_shape(denial.into())),
        (Err(denial), None) => return Err(denial.into()),
    };
    if asks_for_probe(parts)? {
        may_read_something(&grant)?;
        let disconnect = parts.extensions.get::<Disconnect>().cloned();
        return Ok(hub.probes().answer(parts).map(|body| HubBody::probe(body, disconnect)));
    }
    if let Some(routes) = extension {
        let body = body.map_err(Into::into).boxed_unsync();
        return routes.clone().answer(hub, &grant, site, parts, body).await;
    }
    if matches!(parts.method, Method::GET | Method::HEAD) && is_of_topics(path) {
        site.may_read(parts)?;
    }
    if let Some(topic) = path.strip_prefix("/topics/") {
        return match parts.method {
            Method::GET | Method::HEAD => Box::pin(read(hub, &grant, Some(topic), parts)).await,
            Method::POST => {
                site.may_publish()?;
                if !grant.has(Right::Publish) {
                    return Err(Problem::forbidden("publishing is not allowed on this hub"));
                }
                let params = PublishParams::parse(topic, parts, engine.settings.max_retry)?;
                publish(hub, &grant, params, &parts.headers, body).await
            }
            _ => Err(Problem::method_not_allowed(&parts.method, PUBLISHED_TO)),
        };
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(match (path, methods(hub, path)) {
            ("/topics", _) if parts.method == Method::POST => {
                Problem::invalid("no topic is named; publish to one, as in POST /topics/news")
            }
            (_, Some(allowed)) => Problem::method_not_allowed(&parts.method, allowed),
            (_, None) => Problem::no_such_path(path),
        });
    }
    if let Some(id) = path.strip_prefix("/attachments/") {
        return Box::pin(attachment(engine, &grant, id, parts)).await;
    }
    match path {
        "/topics" => Box::pin(read(hub, &grant, None, parts)).await,
        "/subscribers" if ReadParams::names_topic(parts) => {
            subscribers(engine, &grant, may_read_what(hub, &grant, None, parts)?.selector)
        }
        "/subscribers" => {
            may_read_something(&grant)?;
            Ok(furthest_behind(engine, &grant).await)
        }
        "/metrics" => {
            may_read_something(&grant)?;
            if let Some(attachments) = engine.log.attachments() {
                engine.metrics.stored(attachments.usage());
            }
            engine.metrics.in_use(hub.seats().taken(), engine.log.reads().unwrap_or_default());
            engine.metrics.worn(engine.health().is_ok(), engine.log.wear());
            Ok(text("application/openmetrics-text; version=1.0.0; charset=utf-8", engine.metrics.to_text()))
        }
        _ => Err(Problem::no_such_path(path)),
    }
}

/// What is served to everyone, and is no secret: the static files, and whether the hub runs. `None` for other paths.
fn for_anyone(engine: &Engine, path: &str) -> Option<Result<Response<HubBody>, Problem>> {
    match path {
        "/healthz" => Some(Ok(text("text/plain; charset=utf-8", "ok\n"))),
        "/readyz" if engine.is_shutting_down() => Some(Err(Problem::shutting_down())),
        "/readyz" => {
            let ready = engine.health().map(|()| text("text/plain; charset=utf-8", "ready\n"));
            Some(ready.map_err(Problem::from))
        }
        _ => engine.settings.pages.get(path).map(|asset| Ok(page(asset))),
    }
}

/// Whether a stream of known timing is asked for. It is at the paths of topics too, since what a proxy does may depend on the
/// path.
///
/// # Errors
/// 400 for a `POST` to a topic that only its query calls a probe: to answer it with a stream would lose what its publisher sent.
fn asks_for_probe(parts: &Parts) -> Result<bool, Problem> {
    let path = parts.uri.path();
    if path == "/probe" {
        return Ok(matches!(parts.method, Method::GET | Method::HEAD | Method::POST));
    }
    let named = || parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "probe=1"));
    if !(path == "/topics" || path.starts_with("/topics/")) || !named() {
        return Ok(false);
    }
    match parts.method {
        Method::GET => Ok(true),
        Method::POST if parts.headers.contains_key(TIDINGS_PROBE) => Ok(true),
        Method::POST => Err(Problem::invalid(
            "probe=1 asks for a stream of known timing, which publishes nothing; leave it out to publish, or send \
             Tidings-Probe: 1 to have the stream",
        )),
        _ => Ok(false),
    }
}

/// Whether a path is one of those whose answers say what is in topics, or who follows them.
fn is_of_topics(path: &str) -> bool {
    matches!(path, "/topics" | "/subscribers") || path.starts_with("/topics/")
}

/// Whether a request is one that an `EventSource` makes.
fn asks_to_subscribe(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let accept = joined(&parts.headers, header::ACCEPT);
    parts.method == Method::GET
        && (path == "/topics" || path.starts_with("/topics/") || path.starts_with("/streams/"))
        && representation(accept.as_deref()) == Some(Representation::EventStream)
}

/// Whether a subscription begins with what is published from now on, and is told where that is.
fn begins_now(parts: &Parts) -> bool {
    let topic = parts.uri.path().strip_prefix("/topics/");
    ReadParams::parse(topic, parts)
        .is_ok_and(|params| params.start_event && params.start.unwrap_or_default() == StartAt::Tail)
}

/// The answer that is given while its client is there. Most are ready before that is looked at.
async fn unless_left(
    parts: &Parts,
    answer: impl Future<Output = Result<Response<HubBody>, Problem>>,
) -> Result<Response<HubBody>, Problem> {
    let Some(disconnect) = parts.extensions.get::<Disconnect>() else { return answer.await };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = async { sleep(LEFT_AFTER).await; disconnect.gone().await } => Ok(Response::new(HubBody::empty())),
    }
}

/// The methods of a path that only reads, and of one that is published to.
const READ: &str = "GET, HEAD, OPTIONS";
const PUBLISHED_TO: &str = "GET, HEAD, POST, OPTIONS";

/// The methods that are served at a path, as `Allow` has them; `None` if nothing is.
fn methods(hub: &Hub, path: &str) -> Option<&'static str> {
    if let Some(methods) = of_extension(hub).and_then(|routes| routes.methods(path)) {
        return Some(methods);
    }
    match path {
        // The hub as a whole.
        "*" => Some("GET, HEAD, POST, DELETE, OPTIONS"),
        "/probe" => Some(PUBLISHED_TO),
        "/topics" | "/subscribers" | "/healthz" | "/readyz" | "/metrics" => Some(READ),
        _ if path.starts_with("/topics/") => Some(PUBLISHED_TO),
        _ if path.starts_with("/attachments/") => Some(READ),
        _ => hub.engine().settings.pages.contains_key(path).then_some(READ),
    }
}

/// The answer to `OPTIONS`: what is served at the path, and nothing else.
fn options(methods: &'static str) -> Response<HubBody> {
    let mut response = Response::new(HubBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

async fn read(
    hub: &Hub,
    grant: &Grant,
    path_topic: Option<&str>,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let mut params = may_read_what(hub, grant, path_topic, parts)?;
    let reading = grant.reading(std::mem::take(&mut params.selector))?;
    let (engine, is_partial) = (hub.engine(), reading.is_partial);
    let accept = joined(&parts.headers, header::ACCEPT);
    let representation = representation(accept.as_deref())
        .ok_or_else(|| Problem::not_acceptable(accept.as_deref().unwrap_or_default()))?;
    let answer = async {
        match representation {
            Representation::EventStream => subscribe(engine, reading, params, parts).await,
            Representation::Json => history(hub, reading, params).await,
        }
    };
    let mut response = unless_left(parts, answer).await?;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    if is_partial {
        response.headers_mut().insert(TIDINGS_ACCESS, HeaderValue::from_static("partial"));
    }
    if engine.settings.access.is_personal() {
        for_this_client_alone(response.headers_mut());
    }
    Ok(response)
}

/// Tells caches that another client may get another answer.
fn for_this_client_alone(headers: &mut HeaderMap) {
    let rule = headers.get(header::CACHE_CONTROL).and_then(|rule| rule.to_str().ok()).unwrap_or("no-cache");
    if !rule.contains("private") && !rule.contains("no-store") {
        if let Ok(rule) = HeaderValue::try_from(format!("private, {rule}")) {
            headers.insert(header::CACHE_CONTROL, rule);
        }
    }
}

/// What a request to read asks for, if it may read anything.
fn may_read_what(
    hub: &Hub,
    grant: &Grant,
    path_topic: Option<&str>,
    parts: &Parts,
) -> Result<ReadParams, Problem> {
    may_read_something(grant)?;
    let params = ReadParams::parse(path_topic, parts)?;
    if let Some(extension) = hub.extension() {
        may_read(extension, &params.selector)?;
    }
    Ok(params)
}

fn may_read_something(grant: &Grant) -> Result<(), Problem> {
    match grant.has(Right::Read) {
        true => Ok(()),
        false => Err(Problem::forbidden("subscribing is not allowed on this hub")),
    }
}

/// # Errors
/// 403 for topics that are reserved for the hub's extension. A pattern over all topics does not find them, because their updates
/// are private.
fn may_read(extension: &dyn Extension, selector: &Selector) -> Result<(), Problem> {
    let names = selector.topics().iter().map(Topic::as_str);
    let mut names = names.chain(selector.prefixes().iter().map(Prefix::as_str));
    match names.find_map(|name| Some((name, extension.reserved(name)?))) {
        None => Ok(()),
        Some((name, instead)) => {
            Err(Problem::forbidden(format!("topic {name:?} is reserved for a part of the hub; {instead}")))
        }
    }
}

/// A static file, which may use what comes from the hub and nothing else, and not be framed by other pages.
fn page(asset: &Asset) -> Response<HubBody> {
    const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let mut response = text(asset.content_type, asset.body.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response<HubBody> {
    let mut response = Response::new(HubBody::from(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
