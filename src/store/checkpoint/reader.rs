//! Reads the bytes of a checkpoint.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use uuid::Uuid;

use super::{CheckpointError, Contents, END, FORMAT, Header, MAGIC};
use crate::{
    clock::Timestamp,
    files::open_file,
    store::{
        engine::Tree,
        integrity::{INTEGRITY_KEY, Integrity, RowHasher},
        record,
    },
};

/// More than the longest key or value; a length beyond it can only be damage.
const MAX_LENGTH: u32 = 4 << 20;
/// The maximum window of the compression, as a power of two: 8 MiB.
const LARGEST_WINDOW_LOG: u32 = 23;
const CUT: CheckpointError = CheckpointError::Damaged("it cannot be unpacked, or ends too early");

type Bytes = BufReader<zstd::Decoder<'static, BufReader<File>>>;

/// Reads a checkpoint to its end and calls `visit` with the tree, the key and the value of each row. Its rows are
/// verified only once this has returned.
///
/// # Errors
/// [`CheckpointError`] if it is not sound; what `visit` fails with.
pub fn read<E: From<CheckpointError>>(
    path: &Path,
    mut visit: impl FnMut(Tree, &[u8], &[u8]) -> Result<(), E>,
) -> Result<Contents, E> {
    let mut bytes = open(path)?;
    let header = header(&mut bytes)?;
    let hasher = RowHasher::with_key(header.digest_key);
    let (mut found, mut stored) = (Integrity::default(), None);
    let mut contents = Contents { header, rows: 0, bytes: 0 };
    while let Some((tree, key, value)) = row(&mut bytes)? {
        found.add_row(&hasher, tree, &key, &value);
        if tree == Tree::Meta && key == INTEGRITY_KEY {
            stored = Some(value.clone());
        }
        contents.rows += 1;
        contents.bytes += (key.len() + value.len()) as u64;
        visit(tree, &key, &value)?;
    }
    check_end(&mut bytes, &contents)?;
    check_integrity(&header, &found, stored.as_deref())?;
    Ok(contents)
}

/// What a checkpoint is of, by its beginning alone.
///
/// # Errors
/// [`CheckpointError`] if it cannot be read.
pub fn read_header(path: &Path) -> Result<Header, CheckpointError> {
    header(&mut open(path)?)
}

fn open(path: &Path) -> Result<Bytes, CheckpointError> {
    let mut decoder = zstd::Decoder::new(open_file(path)?)?;
    decoder.window_log_max(LARGEST_WINDOW_LOG)?;
    Ok(BufReader::new(decoder))
}

fn header(bytes: &mut Bytes) -> Result<Header, CheckpointError> {
    if take(bytes)? != *MAGIC {
        return Err(CheckpointError::Damaged("it does not begin as one"));
    }
    let format = u32::from_le_bytes(take(bytes)?);
    if format != FORMAT {
        return Err(CheckpointError::TooNew(format));
    }
    Ok(Header {
        store: Uuid::from_bytes(take(bytes)?),
        commit: u64::from_le_bytes(take(bytes)?),
        digest: u128::from_le_bytes(take(bytes)?),
        digest_key: take(bytes)?,
        time: Timestamp::from_millis(u64::from_le_bytes(take(bytes)?)),
    })
}

type Row = (Tree, Vec<u8>, Vec<u8>);

/// The next row; `None` after the last one.
fn row(bytes: &mut Bytes) -> Result<Option<Row>, CheckpointError> {
    let [number] = take(bytes)?;
    if number == END {
        return Ok(None);
    }
    let tree = Tree::of_number(number).ok_or(CheckpointError::Damaged("it has a row of an unknown tree"))?;
    let lengths = [u32::from_le_bytes(take(bytes)?), u32::from_le_bytes(take(bytes)?)];
    let [key, value] = lengths.map(|length| take_bytes(bytes, length));
    Ok(Some((tree, key?, value?)))
}

fn take<const N: usize>(bytes: &mut Bytes) -> Result<[u8; N], CheckpointError> {
    let mut taken = [0; N];
    bytes.read_exact(&mut taken).map_err(|_| CUT)?;
    Ok(taken)
}

fn take_bytes(bytes: &mut Bytes, length: u32) -> Result<Vec<u8>, CheckpointError> {
    if length > MAX_LENGTH {
        return Err(CheckpointError::Damaged("a row is too long"));
    }
    let mut taken = vec![0; length as usize];
    bytes.read_exact(&mut taken).map_err(|_| CUT)?;
    Ok(taken)
}

fn check_end(bytes: &mut Bytes, contents: &Contents) -> Result<(), CheckpointError> {
    let counted = [u64::from_le_bytes(take(bytes)?), u64::from_le_bytes(take(bytes)?)];
    if counted != [contents.rows, contents.bytes] {
        return Err(CheckpointError::Damaged("it lacks rows"));
    }
    // The checksum of the compression is verified when its end is read.
    let mut rest = Vec::new();
    bytes.take(1).read_to_end(&mut rest).map_err(|_| CUT)?;
    if rest.is_empty() { Ok(()) } else { Err(CheckpointError::Damaged("it continues after its end")) }
}

fn check_integrity(header: &Header, found: &Integrity, stored: Option<&[u8]>) -> Result<(), CheckpointError> {
    let stored = stored.and_then(|bytes| record::decode::<Integrity>(Tree::Meta.name(), bytes).ok());
    let expected = Integrity { commit: header.commit, ..found.clone() };
    if stored == Some(expected) && found.digest == header.digest {
        Ok(())
    } else {
        Err(CheckpointError::Damaged("its rows are not those that were written"))
    }
}
