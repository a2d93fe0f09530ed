//! Histograms that one thread writes and any thread reads.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The number of buckets with an upper bound.
const BOUNDED: usize = 11;
/// The number of buckets; the last one has what exceeds all bounds.
const BUCKETS: usize = BOUNDED + 1;

/// The scale of a histogram: the upper bounds of its buckets, and the unit that they are counted in.
#[derive(Debug, PartialEq)]
pub struct Scale {
    bounds: [u64; BOUNDED],
    /// How many of the counted units are one of those that readers see.
    per_unit: f64,
}

/// Durations from 0.1 ms to 10 s, counted in nanoseconds and read in seconds.
pub static SECONDS: Scale = Scale {
    bounds: [
        100_000,
        300_000,
        1_000_000,
        3_000_000,
        10_000_000,
        30_000_000,
        100_000_000,
        300_000_000,
        1_000_000_000,
        3_000_000_000,
        10_000_000_000,
    ],
    per_unit: 1e9,
};

/// Numbers of writes in a commit group.
pub static GROUP_SIZES: Scale = Scale { bounds: [1, 2, 3, 4, 8, 16, 32, 64, 128, 192, 256], per_unit: 1.0 };

/// How often values fell into each bucket, and their sum.
///
/// Only one thread may record values; then an addition needs no lock on the memory, which takes as long as everything else
/// together. Aligned so that no two of them share a cache line.
#[derive(Debug)]
#[repr(align(64))]
pub struct Histogram {
    scale: &'static Scale,
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// The state of a histogram, or of several together, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    scale: &'static Scale,
    values: [u64; BUCKETS],
    sum: u64,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new(scale: &'static Scale) -> Self {
        Self { scale, counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Counts a value. Only one thread may call this.
    #[inline]
    pub fn record(&self, value: u64) {
        // From the lowest, because most values are low.
        let bucket = self.scale.bounds.iter().position(|bound| value <= *bound).unwrap_or(BOUNDED);
        add(&self.counts[bucket], 1);
        add(&self.sum, value);
    }

    /// Counts a duration. Only one thread may call this.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        // Shorter than 584 years.
        self.record(duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos()));
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counts { scale: self.scale, values: self.counts.each_ref().map(read), sum: read(&self.sum) }
    }
}

fn add(cell: &AtomicU64, number: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
}

impl Counts {
    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.values.iter().sum()
    }

    /// The sum of the values, in the unit that readers see.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a sum of measurements; exact up to 104 days in nanoseconds")]
    pub fn sum(&self) -> f64 {
        self.sum as f64 / self.scale.per_unit
    }

    /// Each bucket's upper bound in the unit that readers see, and how many values it has; the last one is infinite.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the bounds are exact")]
    pub fn buckets(&self) -> [(f64, u64); BUCKETS] {
        let bound = |bucket: usize| {
            self.scale.bounds.get(bucket).map_or(f64::INFINITY, |bound| *bound as f64 / self.scale.per_unit)
        };
        std::array::from_fn(|bucket| (bound(bucket), self.values[bucket]))
    }

    /// Adds the values of another one of the same scale.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.values.iter_mut().zip(other.values) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_of_the_lowest_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&GROUP_SIZES);
        for value in [1, 2, 5, 8, 256, 257] {
            histogram.record(value);
        }

        let counts = histogram.counts();

        let found: Vec<_> = counts.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [(1.0, 1), (2.0, 1), (8.0, 2), (256.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((counts.count(), counts.sum()), (6, 529.0));
    }

    #[test]
    fn durations_are_read_in_seconds() {
        let histogram = Histogram::new(&SECONDS);
        for took in [Duration::from_micros(100), Duration::from_millis(1500)] {
            histogram.record_duration(took);
        }

        let mut twice = histogram.counts();
        twice.add(&histogram.counts());

        let found: Vec<_> = twice.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [(0.0001, 2), (3.0, 2)]);
        assert_eq!((twice.count(), twice.sum()), (4, 3.0002));
    }
}
