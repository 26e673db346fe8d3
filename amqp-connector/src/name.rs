//! Names as the user gives them: checked when they are given, reported when they are used.

use amqp_types::{InvalidShortStr, ShortStr};

/// The name, or an empty one and the first thing wrong in `invalid`.
pub(crate) fn short_str<T>(name: T, invalid: &mut Option<InvalidShortStr>) -> ShortStr
where
    T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
{
    name.try_into().unwrap_or_else(|error| {
        invalid.get_or_insert(error.into());
        ShortStr::EMPTY
    })
}
