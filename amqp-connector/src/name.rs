//! Names as the user gives them: checked when they are given, reported when they are used.

use amqp_types::{InvalidShortStr, ShortStr};

/// The name, or an empty one and the first thing wrong in `invalid`.
pub(crate) fn short_str<T, E>(name: T, invalid: &mut Option<E>) -> ShortStr
where
    T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    E: From<InvalidShortStr>,
{
    name.try_into().unwrap_or_else(|error| {
        invalid.get_or_insert_with(|| error.into().into());
        ShortStr::EMPTY
    })
}

/// The method, unless something that it was made of cannot be sent.
pub(crate) fn valid<M, E: Into<crate::Error>>(method: M, invalid: Option<E>) -> crate::Result<M> {
    invalid.map_or(Ok(method), |invalid| Err(invalid.into()))
}

/// Why what is being made cannot be sent. Boxed, since nearly all that is made has none.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<crate::Error>);

impl From<InvalidShortStr> for Refusal {
    fn from(error: InvalidShortStr) -> Self {
        Self(Box::new(error.into()))
    }
}

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<Refusal> for crate::Error {
    fn from(refusal: Refusal) -> Self {
        *refusal.0
    }
}

/// Setters of a builder's bits: what each does stands over it.
macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: bool) -> Self {
            self.method.$name = $name;
            self
        }
    )+};
}
pub(crate) use bits;
