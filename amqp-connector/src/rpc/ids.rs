//! Correlation ids: made by a client, known again by it, and not to be guessed by whoever has not seen them.

use std::hash::{BuildHasher as _, RandomState};

use amqp_types::ShortStr;

/// Octets of a number as it is written.
const DIGITS: usize = 16;

/// Makes one client's ids. An id is the client's own random number, the call's number, and a keyed hash of that: so no two
/// calls of whatever clients have the same one, and a server that has seen some cannot answer calls that it has not seen.
#[derive(Debug)]
pub(super) struct Ids {
    own: u64,
    keys: RandomState,
}

/// A random number: the standard library has no other source of them.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { own: random(), keys: RandomState::new() }
    }

    /// The id of the call with this number.
    pub(super) fn of(&self, number: u64) -> ShortStr {
        let (own, hash) = (self.own, self.keys.hash_one(number));
        // It fits: three numbers of sixteen digits.
        ShortStr::try_from(format!("{own:016x}{number:016x}{hash:016x}")).unwrap_or_default()
    }

    /// Whether it is the id of one of the calls that there were before this number.
    pub(super) fn is_of_one_before(&self, id: &[u8], next: u64) -> bool {
        let number = id.get(DIGITS..2 * DIGITS).and_then(|digits| str::from_utf8(digits).ok());
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.is_some_and(|number| number < next && *self.of(number).as_bytes() == *id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_all_different_and_known_again() {
        let (ids, others) = (Ids::new(), Ids::new());
        let all: HashSet<_> = (0..1000).flat_map(|n| [ids.of(n), others.of(n)]).collect();
        assert_eq!(all.len(), 2000);
        assert!(ids.is_of_one_before(ids.of(7).as_bytes(), 8));
        assert!(!ids.is_of_one_before(ids.of(8).as_bytes(), 8), "it was not made yet");
        assert!(!ids.is_of_one_before(others.of(7).as_bytes(), 8));
    }

    #[test]
    fn what_is_changed_in_an_id_makes_it_another_ones() {
        let ids = Ids::new();
        let id = ids.of(0x1234).as_bytes().to_vec();
        for at in 0..id.len() {
            let mut changed = id.clone();
            changed[at] = if changed[at] == b'0' { b'+' } else { b'0' };
            assert!(!ids.is_of_one_before(&changed, u64::MAX), "{at}");
        }
        for other in [&b""[..], b"7", &id[..47], &[&id[..], b"0"].concat(), &[0xff; 48]] {
            assert!(!ids.is_of_one_before(other, u64::MAX), "{other:?}");
        }
    }
}
