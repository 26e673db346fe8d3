//! Messages about a spec file: where, and what is wrong.
//!
//! Every stage collects into [`Errors`] instead of stopping at the first mistake, so that one build
//! reports all of them. Nothing here knows XML or tokens.

use std::fmt;

/// A place in a text file, both counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// One complaint. Its `Display` is the message as the user reads it: `file:line:column: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// What was being read: a path as the user wrote it, or a variable's name.
    pub(crate) file: String,
    pub(crate) position: Option<Position>,
    pub(crate) message: String,
}

impl Error {
    /// A complaint about a whole file.
    pub(crate) fn whole(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), position: None, message: message.into() }
    }

    /// A complaint about one place in a file.
    pub(crate) fn at(
        file: impl Into<String>,
        position: Position,
        message: impl Into<String>,
    ) -> Self {
        Self { file: file.into(), position: Some(position), message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.message)
            }
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// All complaints about one file.
#[derive(Debug)]
pub(crate) struct Errors {
    file: String,
    list: Vec<Error>,
}

impl Errors {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// Records a complaint about the element or attribute at `position`.
    pub(crate) fn at(&mut self, position: Position, message: impl Into<String>) {
        self.list.push(Error::at(&*self.file, position, message));
    }

    /// `value`, unless anything was recorded; then everything recorded, in file order. Whoever
    /// passes `None` has recorded why.
    pub(crate) fn or<T>(mut self, value: Option<T>) -> Result<T, Vec<Error>> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            None if self.list.is_empty() => Err(vec![Error::whole(self.file, "cannot be used")]),
            _ => {
                self.list.sort_by_key(|error| error.position);
                Err(self.list)
            }
        }
    }
}

/// The candidate most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 2 <= candidate.chars().count().max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a, b, c`, or `none` for an empty list.
pub(crate) fn listing<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Number of single-character edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i + 1;
        next.push(left);
        for (y, pair) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_like_a_compilers() {
        let mut errors = Errors::new("specs/x.xml");
        errors.at(Position { line: 131, column: 24 }, "wrong");
        let list = errors.or(Some(())).unwrap_err();
        assert_eq!(list[0].to_string(), "specs/x.xml:131:24: wrong");
    }

    #[test]
    fn errors_come_in_file_order() {
        let mut errors = Errors::new("x");
        errors.at(Position { line: 9, column: 1 }, "later");
        errors.at(Position { line: 2, column: 5 }, "sooner");
        let list = errors.or(Some(())).unwrap_err();
        assert_eq!(
            list.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(),
            ["sooner", "later"]
        );
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_near() {
        let names = ["0-8", "0-9", "0-9-1", "rabbitmq"];
        assert_eq!(nearest("rabitmq", names), Some("rabbitmq"));
        assert_eq!(nearest("0.9.1", names), Some("0-9-1"));
        assert_eq!(nearest("zebra", names), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
