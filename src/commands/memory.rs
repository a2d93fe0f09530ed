//! Divides the available memory among the server's parts.

use std::thread;

use bytesize::ByteSize;
use thiserror::Error;

use crate::{auth::Cost, config::Settings, doctor::Hashing, memory_limit::memory_limit};

/// The settings that determine the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    cache_bytes: u64,
    transfer_bytes: usize,
    cost: Cost,
}

impl From<&Settings> for Wanted {
    fn from(settings: &Settings) -> Self {
        let transfer_bytes = settings.transfer_memory;
        Self { cache_bytes: settings.cache_size, transfer_bytes, cost: Cost::of(settings) }
    }
}

/// The memory that the server needs besides its cache, hashes, and large bodies and responses.
const BASE_BYTES: u64 = 40 << 20;
/// The minimum memory for large bodies and responses.
const MIN_TRANSFER_BYTES: u64 = 1 << 20;

/// How many hashes may be computed at once, and the memory for large bodies and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryPlan {
    pub(super) hash_threads: usize,
    cores: usize,
    pub(super) transfer_bytes: usize,
}

/// The memory is not enough to hash one password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}; {}", self.problem(), self.advice())]
pub(super) struct NotEnoughMemory {
    limit: u64,
    needed: u64,
    hash: u64,
    advice: String,
}

impl From<MemoryPlan> for Hashing {
    fn from(MemoryPlan { hash_threads: threads, cores, .. }: MemoryPlan) -> Self {
        Self::Possible { threads, cores }
    }
}

impl NotEnoughMemory {
    /// What is wrong.
    pub(super) fn problem(&self) -> String {
        let [limit, needed, hash] = [self.limit, self.needed, self.hash].map(ByteSize);
        format!("{limit} of memory are not enough: the server takes {needed}, of which one password hash {hash}")
    }

    /// What to do.
    pub(super) fn advice(&self) -> String {
        format!("give it as much, or set {}", self.advice)
    }
}

impl MemoryPlan {
    /// The plan for that limit in bytes and that number of cores.
    ///
    /// # Errors
    /// [`NotEnoughMemory`] with what would be enough.
    pub(super) fn new(wanted: Wanted, limit: Option<u64>, cores: usize) -> Result<Self, NotEnoughMemory> {
        let Wanted { cache_bytes, transfer_bytes, cost } = wanted;
        let Some(limit) = limit else { return Ok(Self { hash_threads: cores, cores, transfer_bytes }) };
        let (rest, hash) = (BASE_BYTES + cache_bytes, cost.memory_bytes());
        let hashes = limit.saturating_sub(rest + MIN_TRANSFER_BYTES) / hash;
        if hashes == 0 {
            let needed = rest + MIN_TRANSFER_BYTES + hash;
            return Err(NotEnoughMemory { limit, needed, hash, advice: advice(wanted, limit) });
        }
        let hash_threads = usize::try_from(hashes).unwrap_or(usize::MAX).min(cores);
        let left = limit - rest - hash * hash_threads as u64;
        Ok(Self {
            hash_threads,
            cores,
            transfer_bytes: transfer_bytes.min(usize::try_from(left).unwrap_or(usize::MAX)),
        })
    }
}

/// The settings with which the server would fit.
fn advice(Wanted { cache_bytes, cost: wanted, .. }: Wanted, limit: u64) -> String {
    const SMALL_CACHE_BYTES: u64 = 8 << 20;
    let fits = |cache: u64, cost: &Cost| BASE_BYTES + MIN_TRANSFER_BYTES + cache + cost.memory_bytes() <= limit;
    let costs = || (Cost::LEAST.log2_n()..=wanted.log2_n()).rev().filter_map(Cost::new);
    let small = SMALL_CACHE_BYTES.min(cache_bytes);
    match (costs().find(|cost| fits(cache_bytes, cost)), costs().find(|cost| fits(small, cost))) {
        (_, Some(cost)) if cost == wanted => "--cache-size 8MiB".to_owned(),
        (Some(cost), _) => format!("--scrypt-cost {} before the first start", cost.log2_n()),
        (None, Some(cost)) => format!("--cache-size 8MiB and, before the first start, --scrypt-cost {}", cost.log2_n()),
        (None, None) => "nothing: it fits with no settings".to_owned(),
    }
}

/// Fits the server into the memory of the machine and of the process's control groups.
pub(super) fn memory_plan(settings: &Settings) -> Result<MemoryPlan, NotEnoughMemory> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let plan = MemoryPlan::new(settings.into(), memory_limit(), cores)?;
    if plan.hash_threads < cores {
        log::warn!(
            "{} passwords are hashed at a time on {cores} cores: the memory is not enough for more",
            plan.hash_threads
        );
    }
    if plan.transfer_bytes < settings.transfer_memory {
        log::warn!(
            "large bodies and answers may take {} bytes together: there is no memory for more",
            plan.transfer_bytes
        );
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const DEFAULTS: Wanted = Wanted { cache_bytes: 32 * MIB, transfer_bytes: 256 << 20, cost: Cost::RECOMMENDED };

    fn plan(limit_mib: u64, cores: usize) -> Result<(usize, usize), String> {
        let planned = MemoryPlan::new(DEFAULTS, Some(limit_mib * MIB), cores);
        planned.map(|plan| (plan.hash_threads, plan.transfer_bytes >> 20)).map_err(|error| error.to_string())
    }

    #[test]
    fn as_many_hashes_are_computed_at_once_as_the_memory_is_for() {
        assert_eq!(plan(220, 4), Ok((1, 20)));
        assert_eq!(plan(400, 4), Ok((2, 72)));
        assert_eq!(plan(400, 1), Ok((1, 200)));
        assert_eq!(plan(4096, 4), Ok((4, 256)));
        assert_eq!(MemoryPlan::new(DEFAULTS, None, 4).map(|plan| plan.hash_threads), Ok(4));
    }

    #[test]
    fn memory_for_no_hash_is_refused_with_what_would_be_enough_and_the_settings_that_fit() {
        let refused = |limit| plan(limit, 4).unwrap_err();
        assert_eq!(
            refused(180),
            "180.0 MiB of memory are not enough: the server takes 201.0 MiB, of which one password hash 128.0 MiB; \
             give it as much, or set --cache-size 8MiB"
        );
        assert!(refused(100).ends_with("or set --scrypt-cost 14 before the first start"), "{}", refused(100));
        assert!(
            refused(60).ends_with("or set --cache-size 8MiB and, before the first start, --scrypt-cost 13"),
            "{}",
            refused(60)
        );
        assert!(refused(30).ends_with("nothing: it fits with no settings"), "{}", refused(30));
    }
}
