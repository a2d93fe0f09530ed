//! sled 0.34.7 as the engine on disk, and the workarounds that it needs.
//!
//! Each file here handles a measured property of sled; another engine would not need the folder.
//!
//! | file | what sled does | what the file does about it |
//! |---|---|---|
//! | `adapter` | `flush` leaves the file's metadata unsynced; `open` panics on damage or refuses leftovers of its own; nodes beyond a segment spill into files that are never synced | syncs the file after each flush, opens under `catch_unwind` and removes the leftovers first, sets segments larger than any legal row |
//! | `stall` | a write that fails in its thread pool never wakes the commit that waits for it | helps a commit that takes long with another flush |
//! | `snapshot` | it has no snapshots | keeps the old values of changed rows for as long as a reader needs them |
//! | `disk` | it cannot open a store on a full disk, and a failed write ends all writing | refuses writes while there is still room, and gives up a ballast file to open |
//! | [`checkpoint`] | after damage it may open an older state or an empty one without an error | records the last durable commit outside sled, to compare at the next start |

mod adapter;
pub mod checkpoint;
pub(super) mod disk;
pub(super) mod snapshot;
mod stall;

pub(super) use self::adapter::set_aside_derived;
pub use self::adapter::{OpenError, Sled};
