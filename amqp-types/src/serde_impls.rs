//! How octets and floats look in serde's formats, for the derives on the wire types.
//!
//! A human-readable format gets text where octets are UTF-8 and `{"hex": "fffe"}` where not, and a
//! float as the shortest text that reads back to the same bits, since not every reader of JSON
//! keeps the last bit of a number. Any other format gets octets and bits. Either way nothing is
//! lost.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{LongStr, ShortStr};

impl Serialize for ShortStr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_octets(self.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for ShortStr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(deserialize_octets(deserializer)?.as_bytes()).map_err(D::Error::custom)
    }
}

impl Serialize for LongStr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_octets(self, serializer)
    }
}

impl<'de> Deserialize<'de> for LongStr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_octets(deserializer)
    }
}

fn deserialize_octets<'de, D: Deserializer<'de>>(from: D) -> Result<LongStr, D::Error> {
    if from.is_human_readable() {
        from.deserialize_any(Octets)
    } else {
        from.deserialize_byte_buf(Octets)
    }
}

fn serialize_octets<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(octets);
    }
    match std::str::from_utf8(octets) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => {
            let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("hex", &hex)?;
            map.end()
        }
    }
}

/// Takes text, octets, a list of octets, or `{"hex": "..."}`.
struct Octets;

impl<'de> Visitor<'de> for Octets {
    type Value = LongStr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or octets as {\"hex\": \"...\"}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LongStr, E> {
        Ok(text.into())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<LongStr, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: serde::de::Error>(self, octets: &[u8]) -> Result<LongStr, E> {
        Ok(octets.into())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, octets: Vec<u8>) -> Result<LongStr, E> {
        Ok(octets.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LongStr, A::Error> {
        let mut octets = Vec::new();
        while let Some(octet) = seq.next_element::<u8>()? {
            octets.push(octet);
        }
        Ok(octets.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LongStr, A::Error> {
        let Some((key, hex)) = map.next_entry::<Cow<'_, str>, Cow<'_, str>>()? else {
            return Err(A::Error::missing_field("hex"));
        };
        if key != "hex" {
            return Err(A::Error::unknown_field(&key, &["hex"]));
        }
        let octets = from_hex(&hex).ok_or_else(|| A::Error::custom("not pairs of hex digits"))?;
        match map.next_key::<Cow<'_, str>>()? {
            None => Ok(octets.into()),
            Some(other) => Err(A::Error::unknown_field(&other, &[])),
        }
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

macro_rules! float {
    ($module:ident, $float:ty, $bits:ty) => {
        /// For fields of this type.
        pub(crate) mod $module {
            use serde::de::{Unexpected, Visitor};
            use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

            pub(crate) fn serialize<S: Serializer>(
                float: &$float,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                if !to.is_human_readable() {
                    float.to_bits().serialize(to)
                } else if float.is_finite() {
                    to.collect_str(&format_args!("{float:?}"))
                } else {
                    to.collect_str(&format_args!("{:#x}", float.to_bits()))
                }
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<$float, D::Error> {
                if from.is_human_readable() {
                    from.deserialize_any(Text)
                } else {
                    <$bits>::deserialize(from).map(<$float>::from_bits)
                }
            }

            /// Takes the number, its text, or its bits in hex.
            struct Text;

            impl Visitor<'_> for Text {
                type Value = $float;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a number, as text, or its bits as \"0x...\"")
                }

                fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$float, E> {
                    let value = match text.strip_prefix("0x") {
                        Some(bits) => {
                            <$bits>::from_str_radix(bits, 16).ok().map(<$float>::from_bits)
                        }
                        None => text.parse().ok(),
                    };
                    value.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                }

                // The nearest value is what a number in text stands for.
                #[allow(clippy::cast_possible_truncation)]
                fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<$float, E> {
                    Ok(value as $float)
                }

                fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$float, E> {
                    Ok(value as $float)
                }

                fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$float, E> {
                    Ok(value as $float)
                }
            }
        }
    };
}

float!(single, f32, u32);
float!(double, f64, u64);
