//! The span that is a connection in a program's traces: all that is logged of it is logged within.
//!
//! Made when a connection is begun, and kept by what all its handles share. What its fields and those of the
//! events are called, and at which level they are, is written down for users in `docs/observing.md`, which a test
//! compares with the sources.

use std::future::Future;

use amqp_types::{FieldTable, protocol};
use tracing::{Instrument as _, Span};

use crate::connect::connector::Connector;
use crate::connect::transport::Place;
use crate::error::{ConnectError, Step};
use crate::options::Tuning;

impl Connector {
    /// The span of a new connection. It is nobody's child: it outlives what it was begun in. Of several places it
    /// names the first.
    pub(super) fn span(&self, place: Option<&Place>) -> Span {
        let (address, port) = match place {
            None => (None, None),
            Some(Place::Tcp(address)) => (Some(address.host.clone()), Some(address.port)),
            #[cfg(unix)]
            Some(Place::Unix(path)) => (Some(path.display().to_string()), None),
        };
        tracing::info_span!(
            parent: None,
            "amqp.connection",
            server.address = address,
            server.port = port,
            amqp.virtual_host = self.virtual_host,
            amqp.connection_name = self.client_properties.get_str("connection_name"),
            amqp.specification = protocol::NAME,
            messaging.system = tracing::field::Empty,
        )
    }
}

/// Runs a step of connecting in a span of its own, and tells of its failure.
pub(super) async fn in_step<R>(
    span: &Span,
    step: Step,
    work: impl Future<Output = Result<R, ConnectError>>,
) -> Result<R, ConnectError> {
    let name = tracing::field::display(step);
    let own = tracing::debug_span!(parent: span, "amqp.connect", amqp.step = name);
    let result = work.instrument(own.clone()).await;
    if let Err(error) = &result {
        tracing::debug!(parent: &own, %error, "connecting failed");
    }
    result
}

/// Tells whom we speak to.
pub(super) fn log_greeting(span: &Span, server: &FieldTable, mechanisms: &[u8]) {
    let told = |name| server.get_str(name);
    if let Some(product) = told("product") {
        // So are the names that the conventions know.
        span.record("messaging.system", product.to_ascii_lowercase());
    }
    let mechanisms = String::from_utf8_lossy(mechanisms);
    tracing::debug!(
        parent: span,
        product = told("product"),
        version = told("version"),
        mechanisms = &*mechanisms,
        "the server has greeted"
    );
}

impl Tuning {
    /// Tells what was agreed on, which is the last step.
    pub(super) fn log(&self, span: &Span) {
        let Self { channel_max, frame_max, heartbeat, .. } = self;
        tracing::info!(parent: span, channel_max, frame_max, ?heartbeat, "connected");
    }
}
