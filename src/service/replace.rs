//! Replaces the store by another one, and keeps the old one beside it.

use std::{
    fs,
    future::Future,
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use thiserror::Error;

use crate::{
    clock::Timestamp,
    directory::{DataDirectory, store_in},
    files::{ignore_not_found, sync_directory},
    store::{DiskReserve, Store, StoreError, sled::OpenError, verify::verify},
};

/// The memory that a command's store may use as a cache.
pub const CACHE_BYTES: u64 = 64 << 20;

/// Why a store was not replaced; it is unchanged.
#[derive(Debug, Error)]
pub enum ReplaceError<E: std::error::Error + 'static> {
    /// The new store cannot be filled.
    #[error(transparent)]
    Build(E),
    /// The new store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new store cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new store is inconsistent.
    #[error("the new store is inconsistent: {0}")]
    Unsound(String),
    /// A file cannot be moved.
    #[error("the new store cannot be put in place")]
    Io(#[from] io::Error),
}

/// Builds a new store beside the current one and switches to it once it is complete and verified. Returns the result of
/// `build`, and the path of the old store.
///
/// # Errors
/// [`ReplaceError`]; then the current store is unchanged.
pub async fn replace_store<T, E, B>(
    directory: &DataDirectory,
    now: Timestamp,
    build: impl FnOnce(Store) -> B,
) -> Result<(T, Option<PathBuf>), ReplaceError<E>>
where
    E: std::error::Error + 'static,
    B: Future<Output = Result<T, E>>,
{
    let beside = beside(directory);
    ignore_not_found(fs::remove_dir_all(&beside))?;
    match build_beside(&beside, build).await {
        Ok(outcome) => Ok((outcome, put_in_place(directory, &beside, now)?)),
        Err(error) => {
            ignore_not_found(fs::remove_dir_all(&beside))?;
            Err(error)
        }
    }
}

/// Where a new store is built.
#[must_use]
pub fn beside(directory: &DataDirectory) -> PathBuf {
    directory.path().join("store.new")
}

async fn build_beside<T, E, B>(beside: &Path, build: impl FnOnce(Store) -> B) -> Result<T, ReplaceError<E>>
where
    E: std::error::Error + 'static,
    B: Future<Output = Result<T, E>>,
{
    let store = Store::open(beside, CACHE_BYTES, DiskReserve::NONE)?;
    store.initialise().await?;
    let outcome = build(store.clone()).await.map_err(ReplaceError::Build)?;
    check(store.clone()).await?;
    store.finish();
    Ok(outcome)
}

/// The path of the old store after an interrupted switch; `None` if there is a store, or there never was one.
#[must_use]
pub fn interrupted(directory: &Path) -> Option<PathBuf> {
    if store_in(directory).exists() {
        return None;
    }
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let is_kept =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store.replaced-"));
    entries.filter(is_kept).max()
}

async fn check<E: std::error::Error + 'static>(store: Store) -> Result<(), ReplaceError<E>> {
    // A snapshot waits for the committer, which must not happen on a thread that runs asynchronous work.
    let verified = tokio::task::spawn_blocking(move || verify(&store.snapshot()?, &mut |_| {})).await;
    let findings = verified.map_err(io::Error::other)??;
    if findings.faults.is_empty() { Ok(()) } else { Err(ReplaceError::Unsound(findings.faults.join(", "))) }
}

/// Swaps the store with one that was built beside it, atomically if the file system can exchange names. Returns the path of
/// the old store.
///
/// # Errors
/// Those of the file system.
pub fn put_in_place(directory: &DataDirectory, beside: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    let directory = directory.path();
    let current = store_in(directory);
    let kept = directory.join(format!("store.replaced-{}", now.in_file_name()));
    let had_one = current.exists();
    if had_one {
        // The new store gets the backup name first, so that the exchange gives that name to the old one.
        fs::rename(beside, &kept)?;
        if renameat_with(CWD, &kept, CWD, &current, RenameFlags::EXCHANGE).is_err() {
            // Between the two renames there is no store; `interrupted` detects a crash in between.
            fs::rename(&kept, beside)?;
            fs::rename(&current, &kept)?;
            fs::rename(beside, &current)?;
        }
    } else {
        fs::rename(beside, &current)?;
    }
    sync_directory(directory)?;
    Ok(had_one.then_some(kept))
}
