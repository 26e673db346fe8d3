//! Values as they are written on a command line: `key=value` with a type, and times.

use std::str::FromStr;
use std::time::Duration;

use amqp_connector::amqp_types::{FieldArray, Timestamp};
use amqp_connector::{FieldTable, FieldValue, ShortStr};
use serde_json::Value as Json;

/// An entry of a table, as `key=value` or `key:type=value`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    key: ShortStr,
    value: FieldValue,
}

impl Entry {
    /// All of them as a table; a key that comes again replaces what was before.
    pub(crate) fn table(entries: Vec<Self>) -> FieldTable {
        let mut table = FieldTable::new();
        for Self { key, value } in entries {
            table.set(key, value);
        }
        table
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("there is no `=` between key and value")?;
        // What stands behind a colon may be a piece of the key.
        let typed = key.rsplit_once(':').and_then(|(key, name)| Some((key, Type::by_name(name)?)));
        let (key, value) = match typed {
            Some((key, value_type)) => (key, value_type.parse(value)?),
            None => (key, guess(value)),
        };
        match ShortStr::try_from(key) {
            Ok(key) if !key.is_empty() => Ok(Self { key, value }),
            Ok(_) => Err("there is no key before the `=`".to_owned()),
            Err(error) => Err(format!("the key: {error}")),
        }
    }
}

/// The type of a value that has none beside it.
fn guess(value: &str) -> FieldValue {
    // "007" and "+1" are rather names than numbers.
    let number = value.parse::<i64>().ok().filter(|number| number.to_string() == value);
    match (number, value) {
        (Some(number), _) => integer(number),
        (None, "true") => true.into(),
        (None, "false") => false.into(),
        (None, text) => text.into(),
    }
}

fn integer(number: i64) -> FieldValue {
    i32::try_from(number).map_or(FieldValue::I64(number), FieldValue::I32)
}

/// The types that can be asked for.
#[derive(Clone, Copy, Debug)]
enum Type {
    Str,
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    F32,
    F64,
    Timestamp,
    Json,
    Void,
}

impl Type {
    fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Self::Str,
            "bool" => Self::Bool,
            "i8" => Self::I8,
            "u8" => Self::U8,
            "i16" => Self::I16,
            "u16" => Self::U16,
            "i32" => Self::I32,
            "u32" => Self::U32,
            "i64" => Self::I64,
            "f32" => Self::F32,
            "f64" => Self::F64,
            "timestamp" => Self::Timestamp,
            "json" => Self::Json,
            "void" => Self::Void,
            _ => return None,
        })
    }

    fn parse(self, text: &str) -> Result<FieldValue, String> {
        fn of<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
            text.parse().map_err(|error: T::Err| format!("`{text}`: {}", error.to_string()))
        }
        Ok(match self {
            Self::Str => text.into(),
            Self::Bool => of::<bool>(text)?.into(),
            Self::I8 => FieldValue::I8(of(text)?),
            Self::U8 => FieldValue::U8(of(text)?),
            Self::I16 => FieldValue::I16(of(text)?),
            Self::U16 => FieldValue::U16(of(text)?),
            Self::I32 => FieldValue::I32(of(text)?),
            Self::U32 => FieldValue::U32(of(text)?),
            Self::I64 => FieldValue::I64(of(text)?),
            Self::F32 => FieldValue::F32(of(text)?),
            Self::F64 => FieldValue::F64(of(text)?),
            Self::Timestamp => FieldValue::Timestamp(Timestamp(of(text)?)),
            Self::Json => field(serde_json::from_str(text).map_err(|error| error.to_string())?)?,
            Self::Void if text.is_empty() => FieldValue::Void,
            Self::Void => return Err("`void` has no value: end with the `=`".to_owned()),
        })
    }
}

/// What JSON can say.
fn field(json: Json) -> Result<FieldValue, String> {
    Ok(match json {
        Json::Null => FieldValue::Void,
        Json::Bool(value) => value.into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => integer(number),
            (None, Some(number)) if !number.is_infinite() && number.fract() != 0.0 => {
                FieldValue::F64(number)
            }
            _ => return Err(format!("the number {number} fits no type of a table")),
        },
        Json::String(text) => text.into(),
        Json::Array(values) => {
            let values: Result<Vec<_>, _> = values.into_iter().map(field).collect();
            FieldValue::Array(FieldArray::from(values?))
        }
        Json::Object(entries) => {
            let mut table = FieldTable::new();
            for (key, value) in entries {
                let key = ShortStr::try_from(key).map_err(|error| format!("a key: {error}"))?;
                table.insert(key, field(value)?);
            }
            FieldValue::Table(table)
        }
    })
}

/// A time in seconds, with fractions.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        // What runs longer than a century cannot be waited for, and overflows clocks.
        Ok(time) if time.as_secs() <= 100 * 365 * 86_400 => Ok(time),
        _ => Err("a time is from 0 seconds to a hundred years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> FieldValue {
        text.parse::<Entry>().unwrap_or_else(|error| panic!("{text}: {error}")).value
    }

    #[test]
    fn a_value_has_the_type_that_it_looks_like() {
        assert_eq!(value("x-max-length=1000"), FieldValue::I32(1000));
        assert_eq!(value("k=-5000000000"), FieldValue::I64(-5_000_000_000));
        assert_eq!(value("k=true"), FieldValue::Bool(true));
        assert_eq!(value("k=quorum"), FieldValue::from("quorum"));
        assert_eq!(value("k=a=b"), FieldValue::from("a=b"));
        assert_eq!(value("k="), FieldValue::from(""));
        for text in ["k=007", "k=+1", "k=1.5", "k=99999999999999999999", "k=True"] {
            assert!(matches!(value(text), FieldValue::LongString(_)), "{text}");
        }
    }

    #[test]
    fn a_type_behind_the_key_is_the_type_of_the_value() {
        assert_eq!(value("k:str=5"), FieldValue::from("5"));
        assert_eq!(value("k:u8=5"), FieldValue::U8(5));
        assert_eq!(value("k:i64=5"), FieldValue::I64(5));
        assert_eq!(value("k:f64=0.5"), FieldValue::F64(0.5));
        assert_eq!(value("k:timestamp=5"), FieldValue::Timestamp(Timestamp(5)));
        assert_eq!(value("k:void="), FieldValue::Void);
        let FieldValue::Table(table) = value(r#"k:json={"a":[1,null,0.5],"b":"t"}"#) else {
            panic!("no table");
        };
        let one = [FieldValue::I32(1), FieldValue::Void, FieldValue::F64(0.5)];
        assert_eq!(table.get("a"), Some(&FieldValue::Array(one.to_vec().into())));
        assert_eq!(table.get_str("b"), Some("t"));
    }

    #[test]
    fn a_colon_without_a_type_behind_it_is_a_piece_of_the_key() {
        let entry: Entry = "urn:x=5".parse().unwrap();
        assert_eq!(Entry::table(vec![entry]).get_i64("urn:x"), Some(5));
    }

    #[test]
    fn what_is_no_entry_is_refused_with_what_is_wrong() {
        for (text, part) in [
            ("k", "no `=`"),
            ("=v", "no key"),
            ("k:u8=256", "`256`"),
            ("k:bool=yes", "`yes`"),
            ("k:void=x", "void"),
            ("k:json={", "EOF"),
            ("k:json=18446744073709551615", "fits no type"),
        ] {
            let error = text.parse::<Entry>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = format!("{}=v", "k".repeat(256));
        assert!(long.parse::<Entry>().is_err());
    }

    #[test]
    fn times_are_seconds_with_fractions_and_none_is_endless() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["-1", "nan", "inf", "1e30", "x", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
