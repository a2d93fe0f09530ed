//! Passwords in common use, which no account may be given.
//!
//! `list.txt` has one on each line, in the order of their bytes. It is data of the crate `passwords` 3.1, whose licence is beside
//! it. As one text it takes a fifth of what a table of its lines would, each of which the loader would relocate at every start.

use std::cmp::Ordering;

const LIST: &[u8] = include_bytes!("list.txt");

/// Whether exactly that password is in common use.
pub fn is_common_password(password: &str) -> bool {
    let mut remaining = LIST;
    while !remaining.is_empty() {
        let (before, line, after) = middle_line(remaining);
        match password.as_bytes().cmp(line) {
            Ordering::Less => remaining = before,
            Ordering::Equal => return true,
            Ordering::Greater => remaining = after,
        }
    }
    false
}

/// The line in the middle of whole lines, with the lines before and after it.
fn middle_line(lines: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (head, tail) = lines.split_at((lines.len() - 1) / 2);
    let start = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let length = tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |end| head.len() - start + end);
    let (line, after) = lines[start..].split_at(length);
    (&lines[..start], line, after.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_found_and_nothing_beside_it() {
        let lines: Vec<_> = std::str::from_utf8(LIST).unwrap().lines().collect();

        assert_eq!(lines.len(), 99_838);
        assert!(lines.is_sorted_by(|one, next| one < next));
        for line in &lines {
            assert!(is_common_password(line), "{line:?}");
            let longer = format!("{line}\u{7f}");
            assert!(!is_common_password(&longer), "{longer:?}");
        }
        for absent in ["", "\n", "\u{10ffff}", &lines[..2].join("\n")] {
            assert!(!is_common_password(absent), "{absent:?}");
        }
    }
}
