//! The name that is meant by a mistyped one.

use strsim::damerau_levenshtein;

/// How many bytes a name may have that is compared with known ones: comparing takes memory for each letter of both.
const MAX_COMPARED: usize = 64;

/// The known name that a mistyped one is nearest to; one letter in three may be wrong, missing, too many or swapped with the next.
#[must_use]
pub fn nearest<T: AsRef<str>>(typed: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    if typed.len() > MAX_COMPARED {
        return None;
    }
    let wrong_letters = |name: T| (damerau_levenshtein(typed, name.as_ref()), name);
    let (wrong, name) = known.into_iter().map(wrong_letters).min_by_key(|(wrong, _)| *wrong)?;
    (wrong * 3 <= name.as_ref().len()).then_some(name)
}
