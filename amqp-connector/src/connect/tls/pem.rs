//! What TLS is given: certificates and keys in PEM, wherever they lie.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::TlsError;

/// Something in PEM.
#[derive(Clone)]
pub(super) enum Pem {
    Octets(Arc<[u8]>),
    File(PathBuf),
}

impl Pem {
    pub(super) fn octets(pem: impl Into<Vec<u8>>) -> Self {
        Self::Octets(pem.into().into())
    }

    pub(super) fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match self {
            Self::Octets(octets) => Ok(Cow::Borrowed(octets)),
            Self::File(path) => match std::fs::read(path) {
                Ok(octets) => Ok(Cow::Owned(octets)),
                Err(source) => Err(TlsError::File { path: path.clone(), source }),
            },
        }
    }

    /// Where it is, for errors.
    fn place(&self) -> String {
        match self {
            Self::Octets(_) => "what was given".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    pub(super) fn bad(&self, what: &'static str, why: impl fmt::Display) -> TlsError {
        TlsError::Pem { what, place: self.place(), why: why.to_string() }
    }
}

/// Without what it holds: that may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

/// Which servers are believed.
pub(super) enum Trust {
    Platform,
    Only(Pem),
    Anybody,
}

/// A certificate, and those that vouch for it, and its key.
pub(super) type Identity = (Pem, Pem);
