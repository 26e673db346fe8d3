//! Reading a vector's JSON: typed look-ups whose errors say what is missing.

use bytes::Bytes;
use serde_json::Value;

/// A JSON value; unknown keys are nobody's business.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(pub(crate) &'a Value);

impl<'a> Json<'a> {
    /// Whether an object has the key.
    pub(crate) fn has(self, key: &str) -> bool {
        self.0.get(key).is_some()
    }

    /// The value of a key.
    pub(crate) fn of(self, key: &str) -> Result<Self, String> {
        self.0.get(key).map(Self).ok_or_else(|| format!("the vector has no `{key}`"))
    }

    /// A key's text.
    pub(crate) fn text(self, key: &str) -> Result<&'a str, String> {
        self.of(key)?.0.as_str().ok_or_else(|| format!("`{key}` is no text"))
    }

    /// A key's octets, written as hexadecimal digits.
    pub(crate) fn hex(self, key: &str) -> Result<Bytes, String> {
        unhex(self.text(key)?).map_err(|error| format!("`{key}`: {error}"))
    }

    /// A key's list.
    pub(crate) fn list(
        self,
        key: &str,
    ) -> Result<impl Iterator<Item = Json<'a>> + use<'a>, String> {
        self.of(key)?.items().map_err(|_| format!("`{key}` is no list"))
    }

    /// The items of a list.
    pub(crate) fn items(self) -> Result<impl Iterator<Item = Json<'a>> + use<'a>, String> {
        Ok(self.0.as_array().ok_or("a value is no list")?.iter().map(Json))
    }

    /// A key's whole number, exactly, if it fits.
    pub(crate) fn number<T: TryFrom<i128>>(self, key: &str) -> Result<T, String> {
        self.of(key)?.integer().map_err(|error| format!("`{key}`: {error}"))
    }

    /// A whole number, exactly, if it fits.
    pub(crate) fn integer<T: TryFrom<i128>>(self) -> Result<T, String> {
        let wide = self.0.as_u64().map(i128::from).or(self.0.as_i64().map(i128::from));
        let fitting = wide.and_then(|number| T::try_from(number).ok());
        fitting.ok_or_else(|| format!("{} is no whole number of this type", self.0))
    }

    /// Text or `{"hex"}`: the octets of a string.
    pub(crate) fn octets(self) -> Result<Bytes, String> {
        match self.0.as_str() {
            Some(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            None => self.hex("hex"),
        }
    }

    /// Text: octets as hexadecimal digits.
    pub(crate) fn octets_of_hex(self) -> Result<Bytes, String> {
        unhex(self.0.as_str().ok_or("no text where hexadecimal digits belong")?)
    }

    /// A name for a person to find the vector by.
    pub(crate) fn label(self) -> String {
        let parts = ["spec", "class", "method", "level", "id", "kind"];
        let parts = parts.iter().filter_map(|key| self.text(key).ok());
        parts.collect::<Vec<_>>().join(" ")
    }
}

/// Octets as hexadecimal digits, shortened in the middle if long.
pub(crate) fn hex(octets: &[u8]) -> String {
    let digits = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
    match (octets.first_chunk::<48>(), octets.last_chunk::<16>()) {
        (Some(head), Some(tail)) if octets.len() > 96 => {
            let (head, tail): (String, String) = (digits(head), digits(tail));
            format!("{head}..{tail} ({} octets)", octets.len())
        }
        _ => digits(octets),
    }
}

/// Where two runs of octets part, for a message.
pub(crate) fn first_difference(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    format!("differ at octet {at}:\n       ours     {}\n       expected {}", hex(ours), hex(theirs))
}

fn unhex(digits: &str) -> Result<Bytes, String> {
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hexadecimal digits".to_owned());
    }
    let octets = digits.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    octets.collect::<Option<Vec<u8>>>().map(Bytes::from).ok_or("no hexadecimal digits".to_owned())
}
