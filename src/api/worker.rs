//! What each worker answers requests with.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::{
    context::App,
    operations::{OPERATIONS, Operation},
    public_endpoints::PublicEndpoint,
};
use crate::metrics::RequestMetrics;

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// The whole API.
    Api,
    /// The metrics alone, to anyone.
    Metrics,
}

/// The application as one worker has it, with counters that are its own.
pub struct Worker {
    pub(super) app: Arc<App>,
    pub(super) serves: Serves,
    metrics: Arc<RequestMetrics>,
}

/// The endpoint of a request, by its place among the counters; the default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoint(usize);

/// The names of the endpoints in metrics: no client can add one.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let public = PublicEndpoint::ALL.iter().map(|endpoint| endpoint.path());
    ["none", "scrape", "console", "sign_in_page"]
        .into_iter()
        .chain(public)
        .chain(OPERATIONS.iter().map(|operation| operation.id))
        .collect()
});

impl Worker {
    /// A worker that serves the application.
    #[must_use]
    pub fn new(app: Arc<App>, serves: Serves) -> Self {
        let metrics = app.state.metrics.worker(&NAMES);
        Self { app, serves, metrics }
    }

    /// Counts a request; `None` is the status of a client that disconnected before the response.
    #[inline]
    pub(super) fn count(&self, Endpoint(place): Endpoint, status: Option<u16>, took: Duration) {
        self.metrics.record(place, status, took);
    }
}

impl Endpoint {
    /// The metrics on a listener that serves them alone.
    pub(super) const SCRAPE: Self = Self(1);
    /// A file of the console.
    pub(super) const CONSOLE: Self = Self(2);
    /// The page to sign in at.
    pub(super) const SIGN_IN_PAGE: Self = Self(3);
}

impl From<PublicEndpoint> for Endpoint {
    fn from(endpoint: PublicEndpoint) -> Self {
        Self(4 + endpoint as usize)
    }
}

impl From<&Operation> for Endpoint {
    fn from(operation: &Operation) -> Self {
        Self(4 + PublicEndpoint::ALL.len() + operation.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_is_counted_under_its_own_name() {
        let name = |Endpoint(place)| NAMES[place];
        let fixed = [Endpoint::default(), Endpoint::SCRAPE, Endpoint::CONSOLE, Endpoint::SIGN_IN_PAGE];
        assert_eq!(fixed.map(name), ["none", "scrape", "console", "sign_in_page"]);
        for endpoint in PublicEndpoint::ALL {
            assert_eq!(name(endpoint.into()), endpoint.path());
        }
        for operation in OPERATIONS.iter() {
            assert_eq!(name(operation.into()), operation.id);
        }
    }
}
