//! The store by itself: against a plain model, against damage, and its committer.

mod activity;
mod audit;
mod checkpoints;
mod clock;
mod counting;
mod groups;
#[path = "../harness"]
mod harness {
    pub mod older;
    pub mod repetitions;
}
mod histories;
mod integrity;
mod journal;
mod keys;
mod model;
mod records;
mod snapshots;
mod values;
mod verify;
