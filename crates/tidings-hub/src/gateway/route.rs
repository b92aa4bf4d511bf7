//! The paths of the gateway, and what answers them.

use std::sync::Arc;

use http::{Method, header, request::Parts};

use super::{answer::answer, live::Gateway, target::Target, watch::watch, wire::Interface};
use crate::{
    Grant, Hub, Right,
    dialect::{
        Need, Pages, Path, Route,
        accept::{Representation, representation},
        list::joined,
        native::Native,
    },
    http::{
        Problem,
        router::{Answer, RequestBody, Routes},
        routes::subscribe::put_off,
    },
};

const STREAMS: &str = "/streams/";

static TABLE: [Route; 7] = {
    use Pages::*;
    static GET: &[Method] = &[Method::GET];
    static POST: &[Method] = &[Method::POST];
    // A request costs the operator money.
    const MAY_ASK: Need = Need::Right(Right::Gateway);
    const fn route(path: Path, methods: &'static [Method], need: Need, pages: Pages) -> Route {
        Route { path, methods, need, pages }
    }
    [
        route(Path::Exactly(Interface::ChatCompletions.path()), POST, MAY_ASK, Publishers),
        route(Path::Exactly(Interface::Responses.path()), POST, MAY_ASK, Publishers),
        route(Path::Exactly(Interface::Messages.path()), POST, MAY_ASK, Publishers),
        route(Path::Exactly(Target::MODELS), GET, MAY_ASK, Publishers),
        route(Path::Below(Target::MODEL), GET, MAY_ASK, Publishers),
        route(Path::Below(STREAMS), &[Method::GET, Method::HEAD], Need::Token, All),
        route(Path::Below(STREAMS), &[Method::DELETE], Need::Token, Publishers),
    ]
};

impl Routes for Gateway {
    fn table(&self) -> &'static [Route] {
        &TABLE
    }

    fn answer<'a>(
        self: Arc<Self>,
        hub: &'a Hub,
        grant: &'a Grant,
        parts: &'a Parts,
        body: RequestBody,
    ) -> Answer<'a> {
        Box::pin(async move {
            let (path, query) = (parts.uri.path(), parts.uri.query());
            if let Some(id) = path.strip_prefix(STREAMS) {
                let watched = watch(hub.engine(), &self, id, parts).await;
                return watched.or_else(|problem| match problem.may_pass() && asks_for_stream(parts) {
                    true => Ok(put_off(hub.engine(), &Native, false)),
                    false => Err(problem),
                });
            }
            let (interface, target) = match Interface::of_path(path) {
                Some(interface) => (interface, Target::of_interface(interface, query)),
                None => {
                    let target = Target::of_models(path, query).map_err(Problem::invalid)?;
                    (Interface::of_headers(&parts.headers), target)
                }
            };
            answer(hub, &self, grant, (interface, target), parts, body).await
        })
    }

    fn shape(&self, path: &str, problem: Problem) -> Problem {
        if path.starts_with(STREAMS) { problem } else { problem.in_sdk_shape() }
    }
}

/// Whether a request is one that an `EventSource` makes: it comes back from a stream that ends, and not from a 503.
fn asks_for_stream(parts: &Parts) -> bool {
    let accept = joined(&parts.headers, header::ACCEPT);
    parts.method == Method::GET && representation(accept.as_deref()) == Some(Representation::EventStream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gateway::{GatewaySettings, Secret},
        http::router::tests::{line, walk},
        log::MemoryLog,
    };

    #[test]
    fn the_table_says_what_each_request_needs() {
        let lines: Vec<_> = TABLE.iter().map(line).collect();
        let expected = [
            "POST Exactly(\"/v1/chat/completions\"): Right(Gateway), Publishers",
            "POST Exactly(\"/v1/responses\"): Right(Gateway), Publishers",
            "POST Exactly(\"/v1/messages\"): Right(Gateway), Publishers",
            "GET Exactly(\"/v1/models\"): Right(Gateway), Publishers",
            "GET Below(\"/v1/models/\"): Right(Gateway), Publishers",
            "GET HEAD Below(\"/streams/\"): Token, All",
            "DELETE Below(\"/streams/\"): Token, Publishers",
        ];
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn each_request_of_the_table_needs_what_it_says_and_other_methods_are_refused() {
        let gateway = GatewaySettings::new("http://127.0.0.1:9", Secret::new("s")).unwrap();
        walk(|settings| Hub::with_gateway(Arc::new(MemoryLog::default()), settings, gateway.clone())).await;
    }
}
