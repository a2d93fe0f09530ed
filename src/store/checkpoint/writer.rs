//! Writes the bytes of a checkpoint.

use std::io::{BufWriter, Write};

use super::{CheckpointError, END, FORMAT, Header, MAGIC};
use crate::{
    clock::Timestamp,
    store::{
        engine::{KeyRange, Tree},
        integrity::{Integrity, RowHasher},
        rows::{ReadRows, visit_rows},
        schema::Tables,
    },
};

const COMPRESSION_LEVEL: i32 = 1;

/// Writes a checkpoint of these rows, which must not change meanwhile.
///
/// # Errors
/// [`CheckpointError`]; [`CheckpointError::Ending`] once `is_ending` is true.
pub(super) fn write(
    rows: &(impl ReadRows + ?Sized),
    now: Timestamp,
    out: impl Write,
    is_ending: &dyn Fn() -> bool,
) -> Result<(), CheckpointError> {
    let mut encoder = zstd::Encoder::new(BufWriter::new(out), COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    write_header(&header(rows, now)?, &mut encoder)?;
    let (mut count, mut bytes) = (0_u64, 0_u64);
    for tree in Tree::ALL {
        visit_rows(rows, tree, &KeyRange::all(), |key, value| {
            if is_ending() {
                return Err(CheckpointError::Ending);
            }
            count += 1;
            bytes += (key.len() + value.len()) as u64;
            write_row(tree, key, value, &mut encoder)
        })?;
    }
    encoder.write_all(&[END])?;
    encoder.write_all(&count.to_le_bytes())?;
    encoder.write_all(&bytes.to_le_bytes())?;
    Ok(encoder.finish()?.flush()?)
}

fn header(rows: &(impl ReadRows + ?Sized), time: Timestamp) -> Result<Header, CheckpointError> {
    let hasher = RowHasher::of(rows)?.ok_or(CheckpointError::NotInitialised)?;
    let integrity = Integrity::stored(rows)?.ok_or(CheckpointError::NotInitialised)?;
    let store = rows.store_id()?.ok_or(CheckpointError::NotInitialised)?;
    let Integrity { commit, digest, .. } = integrity;
    Ok(Header { store, commit, digest, digest_key: hasher.key(), time })
}

fn write_header(header: &Header, out: &mut impl Write) -> Result<(), CheckpointError> {
    out.write_all(MAGIC)?;
    out.write_all(&FORMAT.to_le_bytes())?;
    out.write_all(header.store.as_bytes())?;
    out.write_all(&header.commit.to_le_bytes())?;
    out.write_all(&header.digest.to_le_bytes())?;
    out.write_all(&header.digest_key)?;
    Ok(out.write_all(&header.time.as_millis().to_le_bytes())?)
}

fn write_row(tree: Tree, key: &[u8], value: &[u8], out: &mut impl Write) -> Result<(), CheckpointError> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| CheckpointError::Damaged("a row is too long"));
    let (key_length, value_length) = (length(key)?, length(value)?);
    out.write_all(&[tree as u8])?;
    out.write_all(&key_length.to_le_bytes())?;
    out.write_all(&value_length.to_le_bytes())?;
    out.write_all(key)?;
    Ok(out.write_all(value)?)
}
