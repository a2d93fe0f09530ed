//! Cuts off an incomplete record.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::files::{create_private, sync_directory, with_suffix};

/// The copy of what was cut off last.
const COPY: &str = "cut-off";
/// How much is copied at once.
const PART_BYTES: usize = 1 << 18;

/// Replaces a part of a segment by zeros, and returns the copy that is kept of it. The caller syncs the segment.
pub(super) fn cut_off(directory: &Path, segment: &File, part: Range<u64>) -> io::Result<PathBuf> {
    let copy = directory.join(COPY);
    let unfinished = with_suffix(&copy, ".unfinished");
    let file = create_private(&unfinished)?;
    for at in parts(&part) {
        let mut bytes = zeros(at, &part)?;
        segment.read_exact_at(&mut bytes, at)?;
        file.write_all_at(&bytes, at - part.start)?;
    }
    file.sync_all()?;
    fs::rename(&unfinished, &copy)?;
    sync_directory(directory)?;
    parts(&part).try_for_each(|at| segment.write_all_at(&zeros(at, &part)?, at))?;
    Ok(copy)
}

fn parts(part: &Range<u64>) -> impl Iterator<Item = u64> + use<> {
    part.clone().step_by(PART_BYTES)
}

fn zeros(at: u64, part: &Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(part.end - at).map_err(io::Error::other)?;
    Ok(vec![0; length.min(PART_BYTES)])
}
