//! Writes metrics in the text format of OpenMetrics 1.0, which Prometheus reads.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use super::histogram::Counts;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The prefix of all names.
const PREFIX: &str = "lodge";

/// The labels of a sample, each with its value. Neither comes from a client.
pub type Labels = Vec<(&'static str, &'static str)>;

/// The families of metrics that are written together.
#[derive(Debug, Default)]
pub struct Families(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Labels, Value)>,
}

#[derive(Debug)]
enum Value {
    Counter(u64),
    Gauge(u64),
    Histogram(Counts),
    Info,
}

impl Families {
    /// Adds numbers that only grow while the server runs. `_total` is appended to the name.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        self.add(
            name,
            help,
            MetricType::Counter,
            samples.into_iter().map(|(labels, count)| (labels, Value::Counter(count))),
        );
    }

    /// Adds numbers that grow and shrink.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, u64)>) {
        self.add(name, help, MetricType::Gauge, samples.into_iter().map(|(labels, now)| (labels, Value::Gauge(now))));
    }

    /// Adds distributions.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Counts)>,
    ) {
        let samples = samples.into_iter().map(|(labels, counts)| (labels, Value::Histogram(counts)));
        self.add(name, help, MetricType::Histogram, samples);
    }

    /// Adds facts that are labels. `_info` is appended to the name.
    pub fn info(&mut self, name: &'static str, help: &'static str, labels: Labels) {
        self.add(name, help, MetricType::Info, [(labels, Value::Info)]);
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (Labels, Value)>,
    ) {
        let samples: Vec<_> = samples.into_iter().collect();
        if !samples.is_empty() {
            self.0.push(Family { name, help, kind, samples });
        }
    }

    /// The text.
    ///
    /// # Panics
    /// Never: a text can be appended to.
    #[must_use]
    pub fn into_text(self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a text can be appended to");
        text
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, samples } in &self.0 {
            let mut encoder = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, value) in samples {
                value.encode(&mut encoder, labels)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>, labels: &Labels) -> fmt::Result {
        if let Self::Info = self {
            return encoder.encode_info(labels);
        }
        if labels.is_empty() { self.write(encoder) } else { self.write(&mut encoder.encode_family(labels)?) }
    }

    fn write(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;
        match self {
            Self::Counter(count) => encoder.encode_counter(count, NO_EXEMPLAR),
            Self::Gauge(now) => encoder.encode_gauge(now),
            Self::Histogram(counts) => {
                encoder.encode_histogram::<NoLabelSet>(counts.sum(), counts.count(), &counts.buckets(), None)
            }
            Self::Info => encoder.encode_info(&Labels::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_their_help_kind_and_labels() {
        let mut families = Families::default();
        families.info("build", "The build.", vec![("version", "1")]);
        families.counter("requests", "Requests.", [(vec![("operation", "none"), ("status", "404")], 3)]);
        families.gauge("lockouts", "Lockouts.", [(Labels::new(), 7)]);
        families.gauge("rows", "Rows; there are none.", []);

        let text = families.into_text();

        let expected = "# HELP lodge_build The build.\n# TYPE lodge_build info\nlodge_build_info{version=\"1\"} 1\n\
                        # HELP lodge_requests Requests.\n# TYPE lodge_requests counter\n\
                        lodge_requests_total{operation=\"none\",status=\"404\"} 3\n\
                        # HELP lodge_lockouts Lockouts.\n# TYPE lodge_lockouts gauge\nlodge_lockouts 7\n# EOF\n";
        assert_eq!(text, expected);
    }
}
