//! The store by itself: against a plain model, against damage, and its committer.

mod activity;
mod audit;
mod clock;
mod counting;
mod groups;
mod histories;
mod integrity;
mod journal;
mod keys;
mod model;
mod records;
mod snapshots;
mod values;
mod verify;
