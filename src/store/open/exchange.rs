//! Builds the index anew beside the one that is served, and exchanges the two between two groups of writes.

use std::{fs, path::Path, sync::Arc};

use super::{
    fill::load,
    history::History,
    index::{Unusable, agree, apply_all, position, remove, unusable_checkpoint},
};
use crate::{
    files::{ignore_not_found, sync_directory},
    store::{
        commit::Committer,
        durability::SharedJournal,
        engine::Engine,
        index::Index,
        integrity::Integrity,
        layout::{index_in, replaced_index_in, unfinished_index_in},
        sled::{OpenError, Sled},
    },
};

/// So many commits may be left to be applied while writes wait.
const LEFT_FOR_THE_EXCHANGE: u64 = 64;
/// How often the new index is brought up to the journal's end before the exchange, however much is written meanwhile.
const MAX_ROUNDS: usize = 8;

/// Builds a new index from a checkpoint and the journal after it, and puts it in the place of `index`.
///
/// # Errors
/// [`OpenError`]; then the old index is served as before.
pub(in crate::store) fn rebuild_beside(
    path: &Path,
    checkpoint: &Path,
    (index, journal, committer): (&Arc<Index>, &SharedJournal, &Committer),
    cache_bytes: u64,
) -> Result<(), OpenError> {
    let failed = |error: Unusable| error.into_failure(path);
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let beside = unfinished_index_in(path);
    remove(&beside).map_err(io)?;
    let sled = build(path, &beside, checkpoint, journal, cache_bytes).map_err(failed)?;
    let (index, journal, directory) = (Arc::clone(index), journal.clone(), path.to_owned());
    let exchange = move |integrity: Option<&Integrity>| exchange(&directory, sled, &index, &journal, integrity);
    let former = committer.between_groups(exchange).map_err(|error| failed(error.into()))?.map_err(failed)?;
    // It writes itself out when its last reader is done, into files that nothing leads to any more.
    drop(former);
    remove(&replaced_index_in(path)).map_err(io)
}

fn build(
    path: &Path,
    beside: &Path,
    checkpoint: &Path,
    journal: &SharedJournal,
    cache_bytes: u64,
) -> Result<Sled, Unusable> {
    let sled = Sled::open(beside, cache_bytes)?;
    load(&sled, checkpoint).map_err(|why| unusable_checkpoint(path, why))?;
    agree(&sled, journal)?;
    for _ in 0..MAX_ROUNDS {
        let from = position(&sled)?.commit;
        apply_all(&sled, journal.groups_after(from), path)?;
        if position(&sled)?.commit - from <= LEFT_FOR_THE_EXCHANGE {
            break;
        }
    }
    sled.sync()?;
    Ok(sled)
}

/// Runs on the committer's thread: brings the new index to the last commit and puts it in place.
fn exchange(
    path: &Path,
    sled: Sled,
    index: &Index,
    journal: &SharedJournal,
    integrity: Option<&Integrity>,
) -> Result<Arc<Sled>, Unusable> {
    apply_all(&sled, journal.groups_after(position(&sled)?.commit), path)?;
    let reached = position(&sled)?;
    if integrity.is_none_or(|integrity| (integrity.commit, integrity.digest) != (reached.commit, reached.digest)) {
        return Err(Unusable::Index("it does not reach the last commit".to_owned()));
    }
    let io = |source| Unusable::Store(OpenError::Io { path: path.to_owned(), source });
    let (current, replaced) = (index_in(path), replaced_index_in(path));
    remove(&replaced).map_err(io)?;
    // A start that finds none of that name, because this one is killed in between, rebuilds it.
    ignore_not_found(fs::rename(&current, replaced)).map_err(io)?;
    fs::rename(unfinished_index_in(path), &current).and_then(|()| sync_directory(path)).map_err(io)?;
    sled.moved_to(&current);
    Ok(index.exchange(sled))
}
