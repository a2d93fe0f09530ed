//! A strict reader of metrics in the text format of OpenMetrics 1.0.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a text, each under its name and labels as they are written: `name{label="value"}`.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The values as they are written.
    samples: BTreeMap<String, String>,
    labels: BTreeSet<(String, String)>,
}

/// A family that has been announced: its name, its kind, and whether it had samples.
#[derive(Default)]
struct Family {
    name: String,
    help: bool,
    kind: Option<String>,
}

impl Metrics {
    /// Reads a text; fails unless every line is as the format demands.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let lines = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
        let (mut metrics, mut family) = (Self { samples: BTreeMap::new(), labels: BTreeSet::new() }, Family::default());
        let mut names = BTreeSet::new();
        for line in lines.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
                assert!(names.insert(name.to_owned()), "a family comes once: {line}");
                family = Family { name: name.to_owned(), help: true, kind: None };
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(family.help && family.name == name && family.kind.is_none(), "{line}");
                assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
                family.kind = Some(kind.to_owned());
            } else {
                metrics.add(&family, line);
            }
        }
        metrics.check_histograms();
        metrics
    }

    #[track_caller]
    fn add(&mut self, family: &Family, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
            None => (series, ""),
        };
        let suffixes: &[&str] = match family.kind.as_deref().unwrap_or_else(|| panic!("no family: {line}")) {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            _ => &["_info"],
        };
        let suffix = name.strip_prefix(&family.name).unwrap_or_else(|| panic!("of another family: {line}"));
        assert!(suffixes.contains(&suffix), "{line}");
        for label in labels.split_terminator(',') {
            let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            let value = value.strip_suffix('"').unwrap_or_else(|| panic!("{line}"));
            assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert!(!value.is_empty() && !value.contains(['"', '\\', '\n', '{', '}']), "{line}");
            self.labels.insert((key.to_owned(), value.to_owned()));
        }
        let number: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(number.is_finite() && number >= 0.0, "{line}");
        assert!(self.samples.insert(series.to_owned(), value.to_owned()).is_none(), "a series comes once: {line}");
    }

    /// The buckets of a histogram are cumulative, and the last one has all.
    #[track_caller]
    fn check_histograms(&self) {
        let mut bounds: Vec<_> = self.values("le").into_iter().filter(|bound| *bound != "+Inf").collect();
        bounds.sort_by(|a, b| a.parse::<f64>().unwrap().total_cmp(&b.parse().unwrap()));
        for series in self.samples.keys().filter(|series| series.contains("_count")) {
            let bucket = series.replace("_count", "_bucket");
            let of_bucket = |bound: &str| match bucket.split_once('{') {
                Some((name, labels)) => self.find(&format!("{name}{{le=\"{bound}\",{labels}")),
                None => self.find(&format!("{bucket}{{le=\"{bound}\"}}")),
            };
            let found: Vec<_> = bounds.iter().filter_map(|bound| of_bucket(bound)).collect();
            assert!(found.len() > 10 && found.is_sorted(), "{series}: {found:?}");
            assert!(of_bucket("+Inf") == self.find(series) && found.last() <= of_bucket("+Inf").as_ref(), "{series}");
        }
    }

    /// The sample of that series, which is a whole number.
    #[track_caller]
    pub fn of(&self, series: &str) -> u64 {
        self.find(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
    }

    /// The sample of that series, a whole number, if it is there.
    #[track_caller]
    pub fn find(&self, series: &str) -> Option<u64> {
        let value = self.samples.get(series)?;
        Some(value.strip_suffix(".0").unwrap_or(value).parse().unwrap())
    }

    /// The sum of a histogram's values.
    #[track_caller]
    pub fn sum(&self, series: &str) -> f64 {
        self.samples[series].parse().unwrap()
    }

    /// All values of that label.
    pub fn values(&self, label: &str) -> BTreeSet<&str> {
        self.labels.iter().filter(|(key, _)| key == label).map(|(_, value)| value.as_str()).collect()
    }

    /// The names of all labels.
    pub fn label_names(&self) -> BTreeSet<&str> {
        self.labels.iter().map(|(key, _)| key.as_str()).collect()
    }
}
