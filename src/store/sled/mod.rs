//! sled 0.34.7 as the index on disk, and the workarounds that it needs.
//!
//! Each file here handles a measured property of sled; another engine would not need the folder. That sled may lose or
//! damage rows is handled outside: the journal is the truth, and the index is rebuilt from it.
//!
//! | file | what sled does | what the file does about it |
//! |---|---|---|
//! | `adapter` | `flush` leaves the file's metadata unsynced; `open` panics on damage or refuses leftovers of its own; nodes beyond a segment spill into files that are never synced | syncs the file after each flush, opens under `catch_unwind` and removes the leftovers first, sets segments larger than any legal row |
//! | `stall` | a write that fails in its thread pool never wakes the commit that waits for it | helps a commit that takes long with another flush |
//! | `snapshot` | it has no snapshots | keeps the old values of changed rows for as long as a reader needs them |
//! | `disk` | it cannot open a store on a full disk, and a failed write ends all writing | refuses writes while there is still room, and gives up a ballast file to open |
//! | [`witness`] | after damage it may open an older state or an empty one without an error | reads what older servers recorded of the last durable commit, to compare when such a store is taken over |

mod adapter;
pub(super) mod disk;
mod refusal;
pub(super) mod snapshot;
mod stall;
pub mod witness;

pub(super) use self::adapter::{is_distrusted, set_aside_derived};
pub use self::{adapter::Sled, refusal::OpenError};
