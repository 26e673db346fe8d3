//! Names as the user gives them: checked when they are given, reported when they are used.

use amqp_types::{InvalidShortStr, ShortStr};

/// The name, or an empty one and the first thing wrong in `invalid`, which tells what the name was to be.
#[inline]
pub(crate) fn short_str<T, E>(what: &'static str, name: T, invalid: &mut Option<E>) -> ShortStr
where
    T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    E: From<InvalidName>,
{
    name.try_into().unwrap_or_else(|error| too_long(what, error.into(), invalid))
}

#[cold]
fn too_long<E: From<InvalidName>>(
    what: &'static str,
    error: InvalidShortStr,
    invalid: &mut Option<E>,
) -> ShortStr {
    invalid.get_or_insert_with(|| InvalidName { what, error }.into());
    ShortStr::EMPTY
}

/// A name that is too long, and what it was to be.
#[derive(Clone, Debug)]
pub(crate) struct InvalidName {
    pub(crate) what: &'static str,
    pub(crate) error: InvalidShortStr,
}

impl From<InvalidName> for crate::Error {
    fn from(InvalidName { what, error }: InvalidName) -> Self {
        Self::name(what, error)
    }
}

impl From<InvalidName> for crate::ConnectError {
    fn from(InvalidName { what, error: source }: InvalidName) -> Self {
        Self::InvalidName { what, source }
    }
}

/// The name, if it is not too long for what it is to be.
pub(crate) fn named(what: &'static str, name: &str) -> Result<ShortStr, InvalidName> {
    ShortStr::try_from(name).map_err(|error| InvalidName { what, error })
}

/// The method, unless something that it was made of cannot be sent.
pub(crate) fn valid<M, E: Into<crate::Error>>(method: M, invalid: Option<E>) -> crate::Result<M> {
    invalid.map_or(Ok(method), |invalid| Err(invalid.into()))
}

/// Why what is being made cannot be sent. Boxed, since nearly all that is made has none.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<crate::Error>);

impl From<InvalidName> for Refusal {
    fn from(error: InvalidName) -> Self {
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
