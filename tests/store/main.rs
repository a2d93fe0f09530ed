//! The store by itself: against a plain model, against damage, and its committer.

mod groups;
mod histories;
mod keys;
mod model;
mod records;
mod values;
mod verify;
