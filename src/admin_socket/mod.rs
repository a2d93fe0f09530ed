//! The local door: a Unix socket in the data directory, through which commands reach a running server.
//!
//! Only root and the server's own user get in; the kernel tells who knocks. One question goes in as a line of JSON. The
//! answer comes in frames, each a byte that says what it is, four bytes of length (big-endian) and that many bytes:
//!
//! | byte | what is in the frame |
//! |---|---|
//! | `d` | a piece of what was asked for, for whoever asked to keep |
//! | `p` | how far the work has come, as a decimal number |
//! | `o` | the end, and how it went, as JSON |
//! | `e` | the end: a sentence that says why it failed |

mod client;
mod frame;
mod server;

use serde::{Deserialize, Serialize};

use crate::audit::Filter;

pub use self::{
    client::{AdminSocket, AdminSocketError},
    server::open,
};
use crate::service::locks::LockFilter;

/// What can be asked at the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A backup of the present moment, piece by piece.
    Backup {
        /// Whether the server's secret is to be in it.
        with_secret: bool,
    },
    /// Whether the store agrees with itself.
    Verify,
    /// The entries of the audit log that are wanted, a line each.
    Audit(Filter),
    /// Whether the audit log is what was written.
    VerifyAudit,
    /// On whom tries wait, an object of JSON each.
    Locks,
    /// To let them try again.
    ClearLocks(LockFilter),
}
