//! `lodge serve --accept-loss`: continues with what is left of a damaged store: the longest history without a gap, or the
//! readable records where there is no history.

use std::path::Path;

use actix_web::rt::System;

use super::{Failure, actor};
use crate::{
    audit::{Chain, LogReader, carry_over, directory_in, done},
    backup::{Line, Rebuild, RebuildError, Rebuilt, State},
    clock::Clock,
    directory::{DataDirectory, store_in},
    domain::{Action, AffectedResource, ApiKey, Configuration, User},
    secret::RootSecret,
    service::replace::{CACHE_BYTES, ReplaceError, beside, put_in_place, replace_store},
    store::{
        DiskReserve, IdSet, Recovered, Sequence, Store, StoreError, Tables, Txn,
        engine::KeyRange,
        id_set,
        layout::Layout,
        recover,
        sled::{OpenError, witness},
        table::{Record, decode, visit_rows},
        used_identifiers,
    },
};

/// Puts a store of what is left in the place of the damaged one, which is kept beside it. Returns the details for the audit
/// log, unless the new store has the entry already.
pub(super) fn accept_loss(
    directory: &DataDirectory,
    loss: &OpenError,
    secret_file: &Path,
) -> Result<Option<Vec<String>>, Failure> {
    // The server would not start without the secret, and the audit log must not record this under another one.
    let secret = RootSecret::open(secret_file, false)?;
    log::error!("{loss}; continuing with what is left, because of --accept-loss");
    if Layout::of(&store_in(directory.path())) == Layout::Journaled {
        match continue_history(directory) {
            Ok(missing) => return Ok(Some(vec![loss.to_string(), missing])),
            Err(error) => log::error!("{error}; continuing with the readable records"),
        }
    }
    salvage(directory, loss, &secret).map(|()| None)
}

/// Builds a store of the longest history without a gap; returns the sentence about what is missing.
fn continue_history(directory: &DataDirectory) -> Result<String, ReplaceError<RebuildError>> {
    let (path, beside, now) = (store_in(directory.path()), beside(directory), Clock::system().now());
    let Recovered { commit, missing, sequences } = recover(&path, &beside, CACHE_BYTES, now)?;
    let users = {
        let store = Store::open(&beside, CACHE_BYTES, DiskReserve::NONE)?;
        store.write_blocking(move |txn| raise_sequences(txn, sequences))?;
        store.finish();
        id_set::count(&store, IdSet::Users)?
    };
    let kept = put_in_place(directory, &beside, now)?;
    let missing = missing.map_or_else(
        || "no commit is missing".to_owned(),
        |missing| format!("commits {} to {} are missing", missing.start(), missing.end()),
    );
    log::warn!("saved {users} users, as of commit {commit}: {missing}");
    if let Some(kept) = kept {
        log::warn!("the damaged store is kept in {}", kept.display());
    }
    Ok(missing)
}

/// Lets the sequences continue after what lost records had.
fn raise_sequences(txn: &mut Txn<'_>, at_least: [u64; 3]) -> Result<(), StoreError> {
    for (sequence, least) in [Sequence::Users, Sequence::Configurations, Sequence::ApiKeys].into_iter().zip(at_least) {
        if sequence.last(txn)? < least {
            txn.set_sequence(sequence, least);
        }
    }
    Ok(())
}

/// Builds a new store of the readable records of the damaged one, which is kept beside it.
fn salvage(directory: &DataDirectory, loss: &OpenError, secret: &RootSecret) -> Result<(), Failure> {
    let chain = Chain::new(secret);
    let path = store_in(directory.path());
    let witnessed = witness::stored_witness(&path).ok().flatten().map_or([0; 3], |witness| witness.sequences);
    let damaged = Store::open_damaged(&path, CACHE_BYTES).map_err(|error| Failure::Salvage(error.into()))?;
    let (now, files) = (Clock::system().now(), LogReader::of(&directory_in(directory.path()))?);
    let event = done(now, actor(), Action::AcceptLoss, AffectedResource::details(vec![loss.to_string()]));
    let build = |store: Store| async move {
        let rebuilt = rebuild(&damaged, &store, witnessed).await?;
        carry_over(Some(&damaged), &files, &store, Some((chain, event))).await?;
        Ok(rebuilt)
    };
    let replaced = replace_store(directory, now, build);
    let (rebuilt, kept) = System::new().block_on(replaced).map_err(Failure::Salvage)?;
    let Rebuilt { users, configurations, api_keys, left_out, .. } = rebuilt;
    log::warn!(
        "saved {users} users, {configurations} configurations, {api_keys} API keys; left out {left_out} records"
    );
    if let Some(kept) = kept {
        log::warn!("the damaged store is kept in {}", kept.display());
    }
    Ok(())
}

async fn rebuild(damaged: &Store, store: &Store, witnessed: [u64; 3]) -> Result<Rebuilt, RebuildError> {
    let mut salvaging = Rebuild::salvaging(store);
    let mut unreadable = 0;
    for line in used_identifiers(damaged) {
        salvaging.add(line).await?;
    }
    for line in readable::<User>(damaged, Line::User, &mut unreadable) {
        salvaging.add(line).await?;
    }
    for line in readable::<Configuration>(damaged, Line::Configuration, &mut unreadable) {
        salvaging.add(line).await?;
    }
    for line in readable::<ApiKey>(damaged, Line::ApiKey, &mut unreadable) {
        salvaging.add(line).await?;
    }
    let last = |sequence: Sequence| sequence.last(damaged).unwrap_or(0);
    let state = State {
        users: last(Sequence::Users),
        configurations: last(Sequence::Configurations),
        api_keys: last(Sequence::ApiKeys),
        initial_administrator: damaged.initial_administrator().unwrap_or(None),
    };
    let mut rebuilt = salvaging.finish(state, witnessed).await?;
    rebuilt.left_out += unreadable;
    Ok(rebuilt)
}

/// The used identifiers, as far as the storage can read them; none without their key.
fn used_identifiers(damaged: &Store) -> Vec<Line> {
    let Ok(Some(key)) = used_identifiers::key(damaged) else { return Vec::new() };
    let mut lines = vec![Line::IdentifierKey(key)];
    let read = used_identifiers::visit(damaged, |hash| {
        lines.push(Line::UsedIdentifier(hash));
        Ok::<_, StoreError>(())
    });
    if let Err(error) = read {
        log::error!("the rest of the used identifiers cannot be read: {error}");
    }
    lines
}

/// The records of one kind, as far as the storage can read them.
fn readable<R: Record>(damaged: &Store, line: fn(R) -> Line, unreadable: &mut u64) -> Vec<Line> {
    let mut lines = Vec::new();
    let read = visit_rows(damaged, R::TREE, &KeyRange::all(), |_, bytes| {
        match decode(bytes) {
            Ok(record) => lines.push(line(record)),
            Err(_) => *unreadable += 1,
        }
        Ok::<_, StoreError>(())
    });
    if let Err(error) = read {
        log::error!("the rest of `{}` cannot be read: {error}", R::TREE);
    }
    lines
}
