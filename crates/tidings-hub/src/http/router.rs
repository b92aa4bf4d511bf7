//! The table of requests: which paths and methods are served, what each needs, and what answers it.

use std::{borrow::Cow, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use super::{
    HubBody, Problem,
    cross_site::{Site, is_preflight},
    disconnect::Disconnect,
    perform::perform,
    request_head,
    routes::{
        download::attachment,
        operations::{health, metrics, readiness},
        revocations::{list, revoke, take_back},
        session::{log_in, log_out},
        static_file::static_file,
        subscribe::put_off,
        tickets::ticket,
    },
    service::BoxError,
    ticket_request::with_topics_of_ticket,
};
use crate::{
    Grant, Hub, Right,
    dialect::{DIALECTS, Dialect, GET, Need, Operation, POST, Pages, Path, Route},
    probe::TIDINGS_PROBE,
};

/// The body of a request to an extension.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The answer of an extension.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<HubBody>, Problem>> + Send + 'a>>;

/// The requests that an extension of the hub answers.
pub(crate) trait Routes: Send + Sync {
    /// Its part of the table.
    fn table(&self) -> &'static [Route];

    /// Answers a request of the table that has what it needs. Only a request that needs a right has a grant.
    fn answer<'a>(
        self: Arc<Self>,
        hub: &'a Hub,
        grant: &'a Grant,
        parts: &'a Parts,
        body: RequestBody,
    ) -> Answer<'a>;

    /// The problem as the clients of this path read it.
    fn shape(&self, path: &str, problem: Problem) -> Problem;
}

/// The part of the hub that answers a request of the table.
#[derive(Clone, Copy)]
enum Endpoint {
    Dialect(&'static dyn Dialect),
    Attachment,
    Probe,
    Health,
    Readiness,
    Metrics,
    Ticket,
    LogIn,
    LogOut,
    Revoke,
    Revocations,
    TakeBack,
    StaticFile,
}

const TOPICS: &str = "/topics";
const BELOW_TOPICS: &str = "/topics/";
const BELOW_ATTACHMENTS: &str = "/attachments/";
const REVOCATIONS: &str = "/revocations";
const BELOW_REVOCATIONS: &str = "/revocations/";
const SESSION: &str = "/session";
const PROBE: &str = "/probe";

/// The methods that are served anywhere, in the order in which `Allow` names them.
const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];

/// The routes of the hub beside those of its dialects.
static TABLE: [(Route, Endpoint); 12] = {
    use self::{Need::Nothing, Pages::*, Path::*};
    const ADMIN: Need = Need::Right(Right::Admin);
    static DELETE: &[Method] = &[Method::DELETE];
    static GET_OR_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
    [
        (Route::new(Below(BELOW_ATTACHMENTS), GET, Need::Read, All), Endpoint::Attachment),
        (Route::new(Exactly(PROBE), GET_OR_POST, Need::Read, All), Endpoint::Probe),
        (Route::new(Exactly("/healthz"), GET, Nothing, UnderAnyHost), Endpoint::Health),
        (Route::new(Exactly("/readyz"), GET, Nothing, UnderAnyHost), Endpoint::Readiness),
        (Route::new(Exactly("/metrics"), GET, Need::Right(Right::Metrics), All), Endpoint::Metrics),
        (Route::new(Exactly("/tickets"), POST, Need::Credential, Publishers), Endpoint::Ticket),
        (Route::new(Exactly(SESSION), POST, Need::Credential, Publishers), Endpoint::LogIn),
        (Route::new(Exactly(SESSION), DELETE, Need::Token, Publishers), Endpoint::LogOut),
        (Route::new(Exactly(REVOCATIONS), POST, ADMIN, Publishers), Endpoint::Revoke),
        (Route::new(Exactly(REVOCATIONS), GET, ADMIN, Readers), Endpoint::Revocations),
        (Route::new(Below(BELOW_REVOCATIONS), DELETE, ADMIN, Publishers), Endpoint::TakeBack),
        (Route::new(StaticFile, GET, Nothing, All), Endpoint::StaticFile),
    ]
};

/// The hub's own table. The routes of its dialects come first, because most requests are for them.
fn table() -> impl Iterator<Item = (&'static Route, Endpoint)> {
    let of_dialects = DIALECTS
        .iter()
        .flat_map(|dialect| dialect.table().iter().map(|route| (route, Endpoint::Dialect(*dialect))));
    of_dialects.chain(TABLE.iter().map(|(route, endpoint)| (route, *endpoint)))
}

/// Answers a request by the table.
pub(super) async fn route<B>(
    hub: &Hub,
    site: &Site,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    request_head::check(parts)?;
    let settings = &hub.engine().settings;
    let path = if asks_for_probe(parts) { PROBE } else { parts.uri.path() };
    if let Some((route, endpoint)) = table().find(|(route, _)| route.takes(&parts.method, path, settings)) {
        let (answered, grant) = match authorize(hub, route, site, parts).await {
            Ok(grant) => {
                let asked = with_topics_of_ticket(parts, &grant)?;
                (answer(hub, endpoint, &grant, &asked, body).await, Some(grant))
            }
            Err(problem) if problem.may_pass() => (without_grant(hub, endpoint, problem, parts), None),
            Err(problem) => (Err(problem), None),
        };
        return note_refusal(hub, grant.as_deref(), parts, answered);
    }
    let Some(routes) = of_extension(hub) else { return not_taken(hub, site, parts) };
    let mut table = routes.table().iter();
    let answered = match table.find(|route| route.takes(&parts.method, path, settings)) {
        None => not_taken(hub, site, parts),
        Some(route) => match authorize(hub, route, site, parts).await {
            Ok(grant) => {
                let body = body.map_err(Into::into).boxed_unsync();
                let answered = routes.clone().answer(hub, &grant, parts, body).await;
                note_refusal(hub, Some(&grant), parts, answered)
            }
            Err(problem) => note_refusal(hub, None, parts, Err(problem)),
        },
    };
    answered.map_err(|problem| match routes.table().iter().any(|route| route.is_at(path, settings)) {
        true => routes.shape(path, problem),
        false => problem,
    })
}

/// Notes the refusal of a rule in the audit log, if there is one.
fn note_refusal(
    hub: &Hub,
    grant: Option<&Grant>,
    parts: &Parts,
    answered: Result<Response<HubBody>, Problem>,
) -> Result<Response<HubBody>, Problem> {
    if let Err(problem) = &answered {
        let control = hub.engine().settings.access.control();
        if let (Some(control), Some((rule, number))) = (control, problem.rule()) {
            control.note_refused(grant, parts, rule, number);
        }
    }
    answered
}

/// The one place that decides whether a request may be made, before anything of it is done.
///
/// # Errors
/// 421 for a `Host` that does not lead here; 403 for a page of another site, and for a right that the access rule does
/// not grant; or the refusal of an application's authorizer.
async fn authorize<'h>(
    hub: &'h Hub,
    route: &Route,
    site: &Site,
    parts: &Parts,
) -> Result<Cow<'h, Grant>, Problem> {
    if route.pages != Pages::UnderAnyHost {
        site.may_lead_here()?;
    }
    let access = &hub.engine().settings.access;
    match route.pages {
        Pages::UnderAnyHost | Pages::All => {}
        // A browser adds no credential of this kind by itself: the page has it.
        _ if access.is_shown_by_page(parts) => {}
        Pages::Readers => site.may_read(parts)?,
        Pages::Publishers => site.may_publish()?,
    }
    if matches!(route.need, Need::Nothing | Need::Token) {
        return Ok(Cow::default());
    }
    let grant = access.authorize(parts).await?;
    if access.asks_for_token() && grant.is_anonymous() && demands_credential(parts) {
        return Err(Problem::credential_missing());
    }
    match route.need.is_met_by(&grant) {
        true => Ok(grant),
        false
            if access.asks_for_token()
                && grant.accepted().is_none()
                && !parts.headers.contains_key(header::AUTHORIZATION) =>
        {
            Err(Problem::credential_missing())
        }
        // The hub has no credentials at all, and says so itself.
        false if route.need == Need::Credential && access.control().is_none() => Ok(grant),
        false => Err(Problem::not_granted(route.need)),
    }
}

/// Answers a request that may be made.
async fn answer<B>(
    hub: &Hub,
    endpoint: Endpoint,
    grant: &Grant,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let engine = hub.engine();
    let path = parts.uri.path();
    match endpoint {
        Endpoint::Dialect(_) if parts.method == Method::POST && names_probe(parts) => Err(Problem::invalid(
            "probe=1 asks for a stream of known timing, which publishes nothing; leave it out to publish, or send \
             Tidings-Probe: 1 to get the stream",
        )),
        Endpoint::Dialect(dialect) => perform(hub, dialect, grant, parts, body).await,
        Endpoint::Attachment => {
            let id = path.strip_prefix(BELOW_ATTACHMENTS).unwrap_or_default();
            Box::pin(attachment(engine, grant, id, parts)).await
        }
        Endpoint::Probe => {
            let disconnect = parts.extensions.get::<Disconnect>().cloned();
            Ok(hub.probes().answer(parts).map(|body| HubBody::probe(body, disconnect)))
        }
        Endpoint::Health => Ok(health()),
        Endpoint::Readiness => readiness(engine),
        Endpoint::Metrics => Ok(metrics(hub)),
        Endpoint::Ticket
        | Endpoint::LogIn
        | Endpoint::LogOut
        | Endpoint::Revoke
        | Endpoint::Revocations
        | Endpoint::TakeBack => Box::pin(of_credentials(hub, endpoint, grant, parts, body)).await,
        Endpoint::StaticFile => static_file(engine, path),
    }
}

/// Answers a request about credentials themselves.
async fn of_credentials<B>(
    hub: &Hub,
    endpoint: Endpoint,
    grant: &Grant,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let control = hub.engine().settings.access.control().ok_or_else(Problem::no_credentials)?;
    match endpoint {
        Endpoint::Ticket => ticket(hub, control, grant, &parts.headers, body).await,
        Endpoint::LogIn => log_in(hub, control, grant, parts),
        Endpoint::LogOut => log_out(hub, control, parts).await,
        Endpoint::Revoke => revoke(hub, control, &parts.headers, body).await,
        Endpoint::TakeBack => {
            let id = parts.uri.path().strip_prefix(BELOW_REVOCATIONS).unwrap_or_default();
            take_back(control, id).await
        }
        _ => Ok(list(control)),
    }
}

/// The answer to a request that may get its grant in a moment. An `EventSource` would not come back from a 503. Without a grant
/// it is not told a position.
fn without_grant(
    hub: &Hub,
    endpoint: Endpoint,
    problem: Problem,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let Endpoint::Dialect(dialect) = endpoint else { return Err(problem) };
    match dialect.operation(parts, &hub.engine().settings) {
        Ok(Operation::Subscribe(_)) if parts.method == Method::GET => {
            Ok(put_off(hub.engine(), dialect, false))
        }
        _ => Err(problem),
    }
}

/// The answer to a request without a row in the table: `OPTIONS`, and paths and methods that are not served.
fn not_taken(hub: &Hub, site: &Site, parts: &Parts) -> Result<Response<HubBody>, Problem> {
    let path = parts.uri.path();
    let settings = &hub.engine().settings;
    let routes = || all_routes(hub).filter(|route| path == "*" || route.is_at(path, settings));
    if !routes().any(|route| route.pages == Pages::UnderAnyHost && path != "*") {
        site.may_lead_here()?;
    }
    if is_preflight(parts) {
        return site.preflight(parts);
    }
    let served = METHODS.iter().filter(|method| routes().any(|route| route.methods.contains(method)));
    let allow: String = served.map(|method| format!("{method}, ")).collect();
    match (&parts.method, path) {
        _ if allow.is_empty() => Err(Problem::no_such_path(path)),
        (&Method::OPTIONS, _) => Ok(options(&format!("{allow}OPTIONS"))),
        (&Method::POST, TOPICS) => {
            Err(Problem::invalid("no topic is named; publish to one, as in POST /topics/news"))
        }
        (method, _) => Err(Problem::method_not_allowed(method, &format!("{allow}OPTIONS"))),
    }
}

/// The answer to `OPTIONS`: the methods that are served at the path.
fn options(allow: &str) -> Response<HubBody> {
    let mut response = Response::new(HubBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_str(allow).expect("names of methods are visible ASCII");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

fn all_routes(hub: &Hub) -> impl Iterator<Item = &Route> {
    let of_extension = of_extension(hub).map_or(&[][..], |routes| routes.table());
    table().map(|(route, _)| route).chain(of_extension)
}

/// The routes of the hub's extension, if there is one.
fn of_extension(hub: &Hub) -> Option<&Arc<dyn Routes>> {
    hub.routes()
}

/// Whether a request to a path of topics asks for a stream of known timing instead. The paths of topics have that too, because a
/// proxy may treat paths differently. A `POST` also says so by a header: otherwise a publisher could lose an update by its query
/// alone.
fn asks_for_probe(parts: &Parts) -> bool {
    let asks = match parts.method {
        Method::GET => true,
        Method::POST => parts.headers.contains_key(TIDINGS_PROBE),
        _ => false,
    };
    asks && names_probe(parts)
}

/// Whether a client asks to be refused rather than answered as anonymous, as when its cookie has run out.
fn demands_credential(parts: &Parts) -> bool {
    parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "access=token"))
}

fn names_probe(parts: &Parts) -> bool {
    let Some(query) = parts.uri.query() else { return false };
    let path = parts.uri.path();
    (path == TOPICS || path.starts_with(BELOW_TOPICS)) && query.split('&').any(|pair| pair == "probe=1")
}

#[cfg(test)]
pub(crate) mod tests {
    use http::Request;
    use http_body_util::Empty;

    use super::*;
    use crate::{Access, Asset, Matchers, Settings, http::service};

    /// A route in one line.
    pub(crate) fn line(route: &Route) -> String {
        let methods: Vec<_> = route.methods.iter().map(Method::as_str).collect();
        format!("{} {:?}: {:?}, {:?}", methods.join(" "), route.path, route.need, route.pages)
    }

    fn everything() -> Grant {
        let all = Matchers::all();
        let grant = Grant::default().with_publish(all.clone()).with_read(all.clone()).with_private(all);
        Right::ALL.into_iter().fold(grant, Grant::with_right)
    }

    /// A hub that grants `grant` under the name hub.example, and has one static file.
    pub(crate) fn settings(grant: Grant) -> Settings {
        let file = Asset { content_type: "text/plain", body: Bytes::from_static(b"x") };
        Settings {
            access: Access::Anonymous(grant),
            allowed_hosts: vec!["hub.example".into()],
            pages: [("/file", file)].into(),
            ..Settings::default()
        }
    }

    /// Sends every request of the table, and other requests to its paths: each row asks for what it says.
    pub(crate) async fn walk(hub: impl Fn(Settings) -> Hub) {
        let everything = hub(settings(everything()));
        let nothing = hub(settings(Grant::default()));
        let mut walked = 0;
        for route in all_routes(&everything) {
            let path = match route.path {
                Path::Exactly(path) => path.to_owned(),
                Path::Below(beginning) => format!("{beginning}x"),
                Path::StaticFile => "/file".to_owned(),
            };
            let at_path =
                all_routes(&everything).filter(|other| other.is_at(&path, &everything.engine().settings));
            let served: Vec<&Method> = at_path.flat_map(|route| route.methods).collect();
            for method in route.methods {
                let line = format!("{method} {path}");
                let send = async |hub: &Hub, headers: [(&'static str, &'static str); 2]| {
                    answered(hub, method, &path, &headers).await.status()
                };
                let of_unknown_host = send(&everything, [("host", "other.example"), ("accept", "*/*")]).await;
                let leads_here = of_unknown_host != StatusCode::MISDIRECTED_REQUEST;
                assert_eq!(leads_here, route.pages == Pages::UnderAnyHost, "{line}: {of_unknown_host}");
                if matches!(route.pages, Pages::Readers | Pages::Publishers) {
                    let of_page = [("host", "hub.example"), ("origin", "https://other.example")];
                    assert_eq!(send(&everything, of_page).await, StatusCode::FORBIDDEN, "{line}");
                }
                let without_grant = send(&nothing, [("host", "hub.example"), ("accept", "*/*")]).await;
                match route.need {
                    // This hub has no credentials.
                    Need::Credential => assert_eq!(without_grant, StatusCode::NOT_FOUND, "{line}"),
                    Need::Nothing => assert!(without_grant.is_success(), "{line}: {without_grant}"),
                    Need::Read | Need::Publish | Need::Right(_) => {
                        assert_eq!(without_grant, StatusCode::FORBIDDEN, "{line}");
                    }
                    // An ID that names nothing is not found with any token.
                    Need::Token => assert!(without_grant.is_client_error(), "{line}: {without_grant}"),
                }
                walked += 1;
            }
            let mut allowed = served.iter().map(ToString::to_string).collect::<Vec<_>>();
            allowed.push("OPTIONS".into());
            allowed.sort_unstable();
            for method in
                [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::PUT, Method::PATCH]
            {
                // A publish without a topic is told so.
                if served.contains(&&method) || (method == Method::POST && path == TOPICS) {
                    continue;
                }
                let refused = answered(&everything, &method, &path, &[("host", "hub.example")]).await;
                assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                assert_eq!(allow(&refused), allowed, "{method} {path}");
            }
            let options = answered(&everything, &Method::OPTIONS, &path, &[("host", "hub.example")]).await;
            assert_eq!(options.status(), StatusCode::NO_CONTENT, "OPTIONS {path}");
            assert_eq!(allow(&options), allowed, "OPTIONS {path}");
        }
        assert!(walked > table().count(), "only {walked} requests");
        let unknown = answered(&everything, &Method::GET, "/nothing", &[("host", "hub.example")]).await;
        assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    }

    fn allow(response: &Response<HubBody>) -> Vec<String> {
        let allow = response.headers()[header::ALLOW].to_str().unwrap();
        let mut methods: Vec<_> = allow.split(", ").map(str::to_owned).collect();
        methods.sort_unstable();
        methods
    }

    async fn answered(
        hub: &Hub,
        method: &Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Response<HubBody> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        service::answer(hub, request).await
    }

    #[test]
    fn the_table_says_what_each_request_needs() {
        let lines: Vec<_> = table().map(|(route, _)| line(route)).collect();
        let expected = [
            "POST Below(\"/topics/\"): Publish, Publishers",
            "GET HEAD Below(\"/topics/\"): Read, Readers",
            "GET HEAD Exactly(\"/topics\"): Read, Readers",
            "GET HEAD Exactly(\"/subscribers\"): Read, Readers",
            "GET HEAD Below(\"/attachments/\"): Read, All",
            "GET HEAD POST Exactly(\"/probe\"): Read, All",
            "GET HEAD Exactly(\"/healthz\"): Nothing, UnderAnyHost",
            "GET HEAD Exactly(\"/readyz\"): Nothing, UnderAnyHost",
            "GET HEAD Exactly(\"/metrics\"): Right(Metrics), All",
            "POST Exactly(\"/tickets\"): Credential, Publishers",
            "POST Exactly(\"/session\"): Credential, Publishers",
            "DELETE Exactly(\"/session\"): Token, Publishers",
            "POST Exactly(\"/revocations\"): Right(Admin), Publishers",
            "GET HEAD Exactly(\"/revocations\"): Right(Admin), Readers",
            "DELETE Below(\"/revocations/\"): Right(Admin), Publishers",
            "GET HEAD StaticFile: Nothing, All",
        ];
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn each_request_of_the_table_needs_what_it_says_and_other_methods_are_refused() {
        walk(|settings| Hub::new(Arc::new(crate::log::MemoryLog::default()), settings)).await;
    }
}
