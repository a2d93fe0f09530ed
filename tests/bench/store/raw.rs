//! What the store is measured against: sled by itself, set up as the store sets it up.

use std::{
    fs::File,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use lodge::{
    domain::Id,
    store::{
        engine::KeyRange,
        record,
        table::{ReadRows, Record},
    },
};
use sled::Batch;

use super::{common::commits::configuration, people::CACHE_BYTES};

/// One tree of sled's, and the file that it is in.
pub struct Raw {
    pub tree: sled::Tree,
    file: File,
    last_id: u32,
}

impl Raw {
    pub fn open(path: &Path) -> Self {
        let configuration = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
        let db = configuration.segment_size(8 << 20).flush_every_ms(None).open().unwrap();
        let tree = db.open_tree("rows").unwrap();
        Self { tree, file: File::open(path.join("db")).unwrap(), last_id: 0 }
    }

    /// How many rows of configurations a second it makes durable, so many at a time.
    pub fn commits(&mut self, at_once: u32, time: Duration) -> f64 {
        let (begun, first) = (Instant::now(), self.last_id);
        while begun.elapsed() < time {
            let mut batch = Batch::default();
            for id in self.last_id + 1..=self.last_id + at_once {
                let configuration = configuration(Id::new(id).unwrap());
                batch.insert(configuration.key(), record::encode(&configuration));
            }
            self.tree.apply_batch(batch).unwrap();
            self.tree.flush().unwrap();
            // The flush hands it to the disk, which may still hold it in its cache.
            self.file.sync_data().unwrap();
            self.last_id += at_once;
        }
        f64::from(self.last_id - first) / begun.elapsed().as_secs_f64()
    }

    /// Copies all records of a kind.
    pub fn copy<R: Record>(&self, rows: &impl ReadRows) {
        let mut copy = |key: &[u8], value: &[u8]| {
            self.tree.insert(key, value).unwrap();
            ControlFlow::Continue(())
        };
        rows.scan(R::TREE, &KeyRange::all(), &mut copy).unwrap();
        self.tree.flush().unwrap();
    }
}
