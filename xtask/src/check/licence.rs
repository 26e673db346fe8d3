//! Licence expressions (SPDX): whether an allow list satisfies one.

use anyhow::{Result, bail};

/// Whether the allowed licences are enough for an expression such as
/// `(MIT OR Apache-2.0) AND Unicode-3.0`. Old crates write `/` for `OR`.
pub(crate) fn satisfied(expression: &str, allowed: &[String]) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let verdict = any_of(&mut rest, allowed);
    match rest {
        [] => Ok(verdict),
        _ => bail!("cannot read the licence `{expression}`"),
    }
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut verdict = all_of(words, allowed);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        verdict |= all_of(words, allowed);
    }
    verdict
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut verdict = one(words, allowed);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        verdict &= one(words, allowed);
    }
    verdict
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let verdict = any_of(words, allowed);
            if let [")", rest @ ..] = *words {
                *words = rest;
            }
            verdict
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.iter().any(|licence| *licence == format!("{name} WITH {exception}"))
        }
        // Not an expression at all, such as a sentence.
        [_, next, ..] if !["OR", "AND", "(", ")"].contains(next) => {
            *words = &[];
            false
        }
        [name, rest @ ..] => {
            *words = rest;
            allowed.iter().any(|licence| licence == name)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    #[test]
    fn expressions_are_judged_as_they_are_written() {
        let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
        let yes = |text| satisfied(text, &allowed).unwrap();
        assert!(yes("MIT"));
        assert!(yes("Apache-2.0 OR MIT"));
        assert!(yes("Apache-2.0/MIT"));
        assert!(yes("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!yes("MIT AND GPL-3.0"));
        assert!(!yes("Apache-2.0 WITH LLVM-exception"));
        assert!(yes("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"));
        assert!(!yes("no licence stated"));
        assert!(satisfied("MIT )", &allowed).is_err());
    }
}
