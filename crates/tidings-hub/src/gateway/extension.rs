//! How the gateway registers itself with a hub.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use super::{
    format::SdkFormat,
    live::Gateway,
    settings::GatewaySettings,
    stream::{RESERVED_TOPICS, is_reserved},
};
use crate::{
    Hub, Matchers, Settings, delivery::OwnFormat, extension::Extension, http::router::Routes, log::Log,
    metrics::Metrics,
};

impl Hub {
    /// A hub over `log` that also is a gateway to the provider that `gateway` names.
    ///
    /// It serves `/v1/chat/completions`, `/v1/responses`, `/v1/messages`, `/v1/models` and `/streams/…`. Topics at and below `llm`
    /// are reserved for it: a publish to one of them is refused.
    ///
    /// # Panics
    /// Outside a Tokio runtime, as [`Hub::new`].
    pub fn with_gateway(log: Arc<dyn Log>, settings: Settings, gateway: GatewaySettings) -> Hub {
        Gateway::of_hub(log, settings, gateway).0
    }
}

impl Gateway {
    /// A hub with a gateway, and its gateway.
    pub(super) fn of_hub(
        log: Arc<dyn Log>,
        settings: Settings,
        gateway: GatewaySettings,
    ) -> (Hub, Arc<Gateway>) {
        let mut metrics = Metrics::new();
        let gateway = Arc::new(Gateway::new(gateway, metrics.registry()));
        (Hub::extended(log, settings, metrics, Some(gateway.clone())), gateway)
    }
}

impl Extension for Gateway {
    fn reserved(&self, topic: &str) -> Option<&'static str> {
        is_reserved(topic)
            .then_some("only the gateway reads it; read a stream at /streams/<id> with its token")
    }

    fn reserved_topics(&self) -> &Matchers {
        &RESERVED_TOPICS
    }

    fn format(&self) -> &'static dyn OwnFormat {
        &SdkFormat
    }

    fn routes(self: Arc<Self>) -> Box<dyn Any + Send + Sync> {
        let routes: Arc<dyn Routes> = self;
        Box::new(routes)
    }

    fn start(self: Arc<Self>, hub: &Hub) {
        self.begin(hub.clone());
    }

    fn shutdown<'a>(&'a self, hub: &'a Hub) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.end_streams(hub.engine()))
    }
}
