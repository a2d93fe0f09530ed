//! How a group of writes becomes durable: by the journal, before the engine has it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    engine::{Changes, Engine, EngineError},
    integrity::Integrity,
    journal::{Group, Journal},
};
use crate::{
    clock::Clock,
    metrics::{Counts, Histogram},
};

/// How the commits of a store become durable.
#[derive(Clone, Default)]
pub(super) enum Durability {
    /// By the engine itself.
    #[default]
    Engine,
    /// By the engine itself too: a store of an older format, until it is taken over.
    Older,
    /// By the journal.
    Journal(SharedJournal),
}

/// The journal of a store, with the clock that dates its groups; a clone is the same one.
#[derive(Clone)]
pub(super) struct SharedJournal {
    journal: Arc<Mutex<Journal>>,
    clock: Clock,
    sync_durations: Arc<Histogram>,
}

impl Durability {
    /// Makes the changes durable and applies them to the engine. Without an integrity record they have no number, and a
    /// journal cannot have them.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing may be committed any more.
    pub(super) fn commit(
        &self,
        engine: &dyn Engine,
        changes: &Changes,
        integrity: Option<&Integrity>,
    ) -> Result<(), EngineError> {
        match self {
            Self::Engine | Self::Older => engine.commit(changes).and_then(|()| engine.sync()),
            Self::Journal(journal) => {
                let integrity = integrity.ok_or_else(|| io::Error::other("the store has not been initialised"))?;
                journal.append(changes, integrity)?;
                engine.commit(changes)
            }
        }
    }

    /// The journal, if there is one.
    pub(super) fn journal(&self) -> Option<&SharedJournal> {
        match self {
            Self::Journal(journal) => Some(journal),
            Self::Engine | Self::Older => None,
        }
    }
}

impl SharedJournal {
    pub(super) fn new(journal: Journal) -> Self {
        let sync_durations = journal.sync_durations();
        Self { journal: Arc::new(Mutex::new(journal)), clock: Clock::system(), sync_durations }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect("no holder of the lock panics")
    }

    /// The clock that dates its groups.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long its syncs took.
    pub(super) fn sync_durations(&self) -> Counts {
        self.sync_durations.counts()
    }

    fn append(&self, changes: &Changes, integrity: &Integrity) -> io::Result<()> {
        let Integrity { commit, digest, .. } = *integrity;
        self.lock().append(&Group { commit, time: self.clock.now(), changes, digest })
    }
}
