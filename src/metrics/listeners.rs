//! What can be read of a listener at any moment.

use std::fmt;

/// The readings of one listener.
pub struct ListenerReadings {
    /// Its name: `api`, `local`, `user` or `metrics`.
    pub name: &'static str,
    /// How many connections it may serve at once.
    pub max_connections: usize,
    /// Reads how many connections it serves.
    pub connections: Reading,
    /// The memory for large bodies and responses, in bytes.
    pub memory_bytes: usize,
    /// Reads how much of that is in use, in bytes.
    pub memory_used: Reading,
}

/// Reads a number at once.
type Reading = Box<dyn Fn() -> usize + Send + Sync>;

impl fmt::Debug for ListenerReadings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
