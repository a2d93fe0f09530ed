//! What the server makes of disks: that lose their power, that fail, and that are full. It needs root, loop devices,
//! `mkfs.ext4`, `mkfs.xfs`, `xfs_io` and `strace`; what cannot be tested without them is left out, with a word on it,
//! unless `LODGE_TEST_EVERYTHING` is set.

pub mod disk;
mod faults;
mod full;
mod power;
mod writer;
