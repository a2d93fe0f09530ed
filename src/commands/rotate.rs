//! `lodge secret rotate`: replaces a leaked or lost secret.

use actix_web::rt::System;
use clap::Args;

use super::{Failure, actor, on_store_of, opening::on_upgraded_store};
use crate::{
    audit::{Chain, LogReader, continue_after_files, directory_in, done},
    clock::Clock,
    config::DataArguments,
    directory::DataDirectory,
    domain::{Action, AffectedResource, ApiKey, Event, Page, Session, Target, User},
    output,
    secret::RootSecret,
    store::{Slice, Store, StoreError, Tables, table},
};

#[derive(Args, Debug)]
pub(super) struct RotateArguments {
    #[command(flatten)]
    pub(super) data: DataArguments,

    /// Keeps the API keys: they stay valid, and are shown masked from then on. Only for a lost secret: with a leaked
    /// one and a copy of the store, every key can be derived
    #[arg(long)]
    keep_keys: bool,

    /// Replaces the secret; without this flag the command only prints what it would end
    #[arg(long)]
    yes: bool,
}

pub(super) fn rotate(arguments: &RotateArguments) -> Result<(), Failure> {
    let directory = DataDirectory::take_existing(&arguments.data.data_dir)?;
    on_store_of(&directory, |store| Ok(print_what_ends(arguments, store)?))?;
    if !arguments.yes {
        return Err(Failure::Refused("nothing was changed; add --yes to replace the secret".to_owned()));
    }
    on_upgraded_store(&directory, |store| {
        // The rows are removed first: after a crash in between, the old secret is valid for nothing.
        let path = arguments.data.secret_path(directory.path());
        let secret = RootSecret::random();
        let (old, new) = (Chain::new(RootSecret::open(&path, false).as_ref().unwrap_or(&secret)), Chain::new(&secret));
        let files = LogReader::of(&directory_in(directory.path()))?;
        // Written before anything ends: if the secret or the seal cannot be written, nothing is changed.
        let prepared = secret.prepare(&path)?;
        drop(files.prepare_seal(&new, store)?);
        System::new().block_on(async {
            continue_after_files(&old, &files, store, Clock::system().now()).await?;
            Ok::<_, Failure>(end(store, arguments.keep_keys, &old).await?)
        })?;
        let seal = files.prepare_seal(&new, store)?;
        prepared.put_in_place().map_err(Failure::File)?;
        seal.put_in_place()?;
        begin(store, new, arguments.keep_keys)?;
        output::line(format_args!("the new secret is in {}", path.display()));
        Ok(())
    })
}

/// Prints what a new secret ends.
fn print_what_ends(arguments: &RotateArguments, store: &Store) -> Result<(), StoreError> {
    let sessions = table::all::<Session>(store, &[])?.len();
    output::line(format_args!("{} {sessions} sessions", if arguments.yes { "ending" } else { "this would end" }));
    if arguments.keep_keys {
        return Ok(());
    }
    for key in table::all::<ApiKey>(store, &[])? {
        output::line(format_args!("  and API key {} of user {}", key.id, key.owner));
    }
    Ok(())
}

fn begin(store: &Store, chain: Chain, keep_keys: bool) -> Result<(), StoreError> {
    let what = if keep_keys { "the API keys stay good" } else { "all sessions and API keys have ended" };
    let event = event(AffectedResource::details(vec![what.to_owned()]));
    store.write_blocking(move |txn| chain.begin(txn, "the server's secret is another one from here on", event))
}

fn event(subject: AffectedResource) -> Event {
    done(Clock::system().now(), actor(), Action::RotateSecret, subject)
}

async fn end(store: &Store, keep_keys: bool, chain: &Chain) -> Result<(), StoreError> {
    store
        .write(|txn| {
            txn.remove_assertion_keys();
            Ok::<_, StoreError>(())
        })
        .await?;
    for User { id: owner, username, .. } in users(store)? {
        let chain = chain.clone();
        let event = event(Target::User(owner, username.as_str().to_owned()).into());
        store
            .write(move |txn| {
                txn.remove_owned::<Session>(owner)?;
                if !keep_keys {
                    txn.remove_owned::<ApiKey>(owner)?;
                }
                if txn.has_changes() { chain.append(txn, event) } else { Ok(()) }
            })
            .await?;
    }
    Ok(())
}

fn users(store: &Store) -> Result<Vec<User>, StoreError> {
    let mut users = Vec::new();
    loop {
        let page = Page { limit: Page::MAX, offset: users.len() as u64 };
        let Slice { records, .. } = store.users(page)?;
        if records.is_empty() {
            return Ok(users);
        }
        users.extend(records);
    }
}
