//! The requests that one worker has answered.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use super::histogram::{Counts, Histogram, SECONDS};

/// The statuses that are counted apart, as their labels; the last two are any other status, and a client that disconnected
/// before the response.
const STATUSES: [&str; 23] = [
    "200", "201", "204", "304", "400", "401", "403", "404", "405", "408", "409", "412", "413", "414", "415", "422",
    "429", "431", "500", "501", "503", "other", "gone",
];
const OTHER: usize = STATUSES.len() - 2;
const GONE: usize = STATUSES.len() - 1;

/// The place of each status from 0 to 511 among [`STATUSES`].
static PLACES: [u8; 512] = places();

#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 statuses")]
const fn places() -> [u8; 512] {
    let mut places = [OTHER as u8; 512];
    let mut place = 0;
    while place < OTHER {
        let text = STATUSES[place].as_bytes();
        let status = (text[0] - b'0') as usize * 100 + (text[1] - b'0') as usize * 10 + (text[2] - b'0') as usize;
        places[status] = place as u8;
        place += 1;
    }
    places
}

/// The durations of one worker's requests, by endpoint and status.
pub struct RequestMetrics {
    endpoints: &'static [&'static str],
    /// A histogram is made for the first request that it counts.
    cells: Box<[OnceLock<Box<Histogram>>]>,
}

/// The requests to one endpoint that were answered with one status.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The name of the endpoint.
    pub endpoint: &'static str,
    /// The status as a label: three digits, `other`, or `gone` for a client that disconnected before the response.
    pub status: &'static str,
    /// How long they took.
    pub durations: Counts,
}

impl RequestMetrics {
    pub(super) fn new(endpoints: &'static [&'static str]) -> Self {
        Self { endpoints, cells: (0..endpoints.len() * STATUSES.len()).map(|_| OnceLock::new()).collect() }
    }

    /// Counts a request to the endpoint at that place; only the worker itself may call this. `None` is the status of a client that disconnected before
    /// the response.
    ///
    /// # Panics
    /// If there is no endpoint at that place.
    #[inline]
    pub fn record(&self, endpoint: usize, status: Option<u16>, took: Duration) {
        let place =
            status.map_or(GONE, |status| PLACES.get(usize::from(status)).map_or(OTHER, |place| usize::from(*place)));
        let cell = self.cells[endpoint * STATUSES.len() + place].get_or_init(|| Box::new(Histogram::new(&SECONDS)));
        cell.record_duration(took);
    }

    /// The requests by endpoint and status, those that there were.
    pub(super) fn answered(&self) -> impl Iterator<Item = Answered> {
        let cells = self.cells.iter().enumerate().filter_map(|(number, cell)| Some((number, cell.get()?)));
        cells.map(|(number, cell)| {
            let (endpoint, status) = (self.endpoints[number / STATUSES.len()], STATUSES[number % STATUSES.len()]);
            Answered { endpoint, status, durations: cell.counts() }
        })
    }
}

impl Answered {
    /// Those of equal endpoints and statuses together, in their order.
    pub(super) fn sum(parts: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut sums: BTreeMap<(&'static str, &'static str), Counts> = BTreeMap::new();
        for Self { endpoint, status, durations } in parts {
            sums.entry((endpoint, status)).and_modify(|sum| sum.add(&durations)).or_insert(durations);
        }
        sums.into_iter().map(|((endpoint, status), durations)| Self { endpoint, status, durations }).collect()
    }

    /// The class of the status: `2xx` for 200, and other labels as they are.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.status.as_bytes()[0] {
            b'2' => "2xx",
            b'3' => "3xx",
            b'4' => "4xx",
            b'5' => "5xx",
            _ => self.status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn the_requests_of_all_workers_are_counted_together() {
        let metrics = Metrics::default();
        let workers = [metrics.worker(&["a", "b"]), metrics.worker(&["a", "b"])];
        for (worker, endpoint, status) in [
            (0, 0, Some(200)),
            (1, 0, Some(200)),
            (1, 0, None),
            (1, 1, Some(404)),
            (0, 1, Some(599)),
            (0, 1, Some(700)),
        ] {
            workers[worker].record(endpoint, status, Duration::from_millis(2));
        }

        let answered = metrics.answered();

        let found: Vec<_> =
            answered.iter().map(|each| (each.endpoint, each.status, each.class(), each.durations.count())).collect();
        let expected =
            [("a", "200", "2xx", 2), ("a", "gone", "gone", 1), ("b", "404", "4xx", 1), ("b", "other", "other", 2)];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_status_has_its_own_label() {
        for (place, status) in STATUSES[..OTHER].iter().enumerate() {
            assert_eq!(usize::from(PLACES[status.parse::<usize>().unwrap()]), place, "{status}");
        }
        assert_eq!(PLACES.iter().filter(|place| usize::from(**place) != OTHER).count(), OTHER);
    }
}
