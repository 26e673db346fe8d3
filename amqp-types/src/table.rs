//! [`FieldTable`] and [`FieldArray`]: the containers of [`FieldValue`]s.
//!
//! Tables carry message headers, declaration arguments and peers' properties. They are lists: order
//! and duplicate keys are kept, so that what was read can be written again octet for octet.

use std::fmt;

use crate::{Decimal, FieldValue, InvalidShortStr, ShortStr, Timestamp};

/// An ordered list of named values: AMQP's field table.
///
/// Look-up is a linear search, which for the few entries that tables have beats a map. A key may
/// occur more than once; the first one counts for the getters.
///
/// ```
/// use amqp_types::{FieldTable, field_table};
///
/// let arguments = field_table! {
///     "x-queue-type" => "quorum",
///     "x-delivery-limit" => 5,
/// };
/// assert_eq!(arguments.get_str("x-queue-type"), Some("quorum"));
/// assert_eq!(arguments.get_i64("x-delivery-limit"), Some(5));
///
/// let key = String::from("a key known at run time");
/// let headers = FieldTable::new().try_with(key, true)?;
/// assert_eq!(headers.len(), 1);
/// # Ok::<(), amqp_types::InvalidShortStr>(())
/// ```
///
/// With the feature `serde` it is a list of pairs, so that order and duplicates survive:
/// `[["x-max-length", {"i32": 1000}], ["x-overflow", {"long_string": "drop-head"}]]`.
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct FieldTable(Vec<(ShortStr, FieldValue)>);

impl FieldTable {
    /// An empty table; allocates nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty table with room for this many entries.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self(Vec::with_capacity(entries))
    }

    /// The number of entries.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many octets of memory it takes beside its own size. One that was read can take some forty times the octets
    /// that it had on the wire: whoever keeps what others send should count this.
    ///
    /// ```
    /// use amqp_types::{FieldTable, field_table};
    ///
    /// assert_eq!(FieldTable::new().heap_size(), 0);
    /// assert!(field_table! { "k" => true }.heap_size() >= 48);
    /// ```
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let entries = self.0.iter().map(|(key, value)| key.heap_size() + value.heap_size());
        self.0.capacity() * size_of::<(ShortStr, FieldValue)>() + entries.sum::<usize>()
    }

    /// Appends an entry, even if the key is there already.
    #[inline]
    pub fn insert(&mut self, key: ShortStr, value: impl Into<FieldValue>) {
        self.0.push((key, value.into()));
    }

    /// Like [`insert`](Self::insert), for a key that has yet to be checked.
    ///
    /// # Errors
    ///
    /// If the key has more than 255 octets.
    pub fn try_insert<K>(
        &mut self,
        key: K,
        value: impl Into<FieldValue>,
    ) -> Result<(), InvalidShortStr>
    where
        K: TryInto<ShortStr>,
        InvalidShortStr: From<K::Error>,
    {
        self.insert(key.try_into()?, value);
        Ok(())
    }

    /// The table with one more entry; see also [`field_table!`](crate::field_table).
    #[must_use]
    pub fn with(mut self, key: ShortStr, value: impl Into<FieldValue>) -> Self {
        self.insert(key, value);
        self
    }

    /// Like [`with`](Self::with), for a key that has yet to be checked.
    ///
    /// # Errors
    ///
    /// If the key has more than 255 octets.
    pub fn try_with<K>(
        mut self,
        key: K,
        value: impl Into<FieldValue>,
    ) -> Result<Self, InvalidShortStr>
    where
        K: TryInto<ShortStr>,
        InvalidShortStr: From<K::Error>,
    {
        self.try_insert(key, value)?;
        Ok(self)
    }

    /// Replaces the value of the first entry of this key, and returns the old one; appends if there
    /// is none.
    pub fn set(&mut self, key: ShortStr, value: impl Into<FieldValue>) -> Option<FieldValue> {
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => Some(std::mem::replace(old, value.into())),
            None => {
                self.insert(key, value);
                None
            }
        }
    }

    /// Takes out the first entry of this key.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Option<FieldValue> {
        let at = self.0.iter().position(|(name, _)| name.as_bytes() == key.as_ref())?;
        Some(self.0.remove(at).1)
    }

    /// The value of the first entry of this key.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&FieldValue> {
        let key = key.as_ref();
        self.0.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, value)| value)
    }

    /// The values of all entries of this key, in order.
    pub fn get_all<'a>(
        &'a self,
        key: impl AsRef<[u8]> + 'a,
    ) -> impl Iterator<Item = &'a FieldValue> + 'a {
        self.0
            .iter()
            .filter(move |(name, _)| name.as_bytes() == key.as_ref())
            .map(|(_, value)| value)
    }

    /// Whether there is an entry of this key.
    #[must_use]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.get(key).is_some()
    }

    /// The entries in order.
    pub fn iter(&self) -> TableEntries<'_> {
        TableEntries(self.0.iter())
    }

    /// The text under this key, if it is a long string of UTF-8.
    #[must_use]
    pub fn get_str(&self, key: impl AsRef<[u8]>) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The octets under this key, if it is a long string or a byte array.
    #[must_use]
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.get(key)?.as_bytes()
    }

    /// The boolean under this key.
    #[must_use]
    pub fn get_bool(&self, key: impl AsRef<[u8]>) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// The number under this key, if it is an integer of any size.
    #[must_use]
    pub fn get_i64(&self, key: impl AsRef<[u8]>) -> Option<i64> {
        self.get(key)?.as_i64()
    }

    /// The number under this key, if it is an integer of any size and not negative.
    #[must_use]
    pub fn get_u64(&self, key: impl AsRef<[u8]>) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The number under this key, if it is a floating point number of either precision.
    #[must_use]
    pub fn get_f64(&self, key: impl AsRef<[u8]>) -> Option<f64> {
        self.get(key)?.as_f64()
    }

    /// The decimal under this key.
    #[must_use]
    pub fn get_decimal(&self, key: impl AsRef<[u8]>) -> Option<Decimal> {
        self.get(key)?.as_decimal()
    }

    /// The timestamp under this key.
    #[must_use]
    pub fn get_timestamp(&self, key: impl AsRef<[u8]>) -> Option<Timestamp> {
        self.get(key)?.as_timestamp()
    }

    /// The array under this key.
    #[must_use]
    pub fn get_array(&self, key: impl AsRef<[u8]>) -> Option<&FieldArray> {
        self.get(key)?.as_array()
    }

    /// The table under this key.
    #[must_use]
    pub fn get_table(&self, key: impl AsRef<[u8]>) -> Option<&Self> {
        self.get(key)?.as_table()
    }
}

/// A [`FieldTable`] from literal keys, whose length is checked at compile time.
///
/// ```
/// let table = amqp_types::field_table! { "x-max-length" => 1000, "x-overflow" => "reject-publish" };
/// assert_eq!(table.get_u64("x-max-length"), Some(1000));
/// ```
#[macro_export]
macro_rules! field_table {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::FieldTable::new()$(.with($crate::short_str!($key), $value))*
    };
}

impl fmt::Debug for FieldTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The entries of a [`FieldTable`], in order.
#[derive(Clone, Debug)]
pub struct TableEntries<'a>(std::slice::Iter<'a, (ShortStr, FieldValue)>);

impl<'a> Iterator for TableEntries<'a> {
    type Item = (&'a ShortStr, &'a FieldValue);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for TableEntries<'_> {}

impl<'a> IntoIterator for &'a FieldTable {
    type Item = (&'a ShortStr, &'a FieldValue);
    type IntoIter = TableEntries<'a>;

    fn into_iter(self) -> TableEntries<'a> {
        self.iter()
    }
}

impl IntoIterator for FieldTable {
    type Item = (ShortStr, FieldValue);
    type IntoIter = std::vec::IntoIter<(ShortStr, FieldValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<V: Into<FieldValue>> FromIterator<(ShortStr, V)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (ShortStr, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}

impl<V: Into<FieldValue>> Extend<(ShortStr, V)> for FieldTable {
    fn extend<I: IntoIterator<Item = (ShortStr, V)>>(&mut self, entries: I) {
        self.0.extend(entries.into_iter().map(|(key, value)| (key, value.into())));
    }
}

impl From<Vec<(ShortStr, FieldValue)>> for FieldTable {
    fn from(entries: Vec<(ShortStr, FieldValue)>) -> Self {
        Self(entries)
    }
}

/// A list of values: AMQP's field array.
///
/// ```
/// use amqp_types::{FieldArray, FieldValue};
///
/// let array: FieldArray = ["a", "b"].into_iter().collect();
/// assert_eq!(array.get(1).and_then(FieldValue::as_str), Some("b"));
/// ```
#[derive(Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct FieldArray(Vec<FieldValue>);

impl FieldArray {
    /// An empty array; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many octets of memory it takes beside its own size.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let values = self.0.iter().map(FieldValue::heap_size);
        self.0.capacity() * size_of::<FieldValue>() + values.sum::<usize>()
    }

    /// Appends a value.
    pub fn push(&mut self, value: impl Into<FieldValue>) {
        self.0.push(value.into());
    }

    /// The value at this place, counted from 0.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&FieldValue> {
        self.0.get(at)
    }

    /// The values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldValue> {
        self.0.iter()
    }
}

impl fmt::Debug for FieldArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl<'a> IntoIterator for &'a FieldArray {
    type Item = &'a FieldValue;
    type IntoIter = std::slice::Iter<'a, FieldValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for FieldArray {
    type Item = FieldValue;
    type IntoIter = std::vec::IntoIter<FieldValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<V: Into<FieldValue>> FromIterator<V> for FieldArray {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl<V: Into<FieldValue>> Extend<V> for FieldArray {
    fn extend<I: IntoIterator<Item = V>>(&mut self, values: I) {
        self.0.extend(values.into_iter().map(Into::into));
    }
}

impl From<Vec<FieldValue>> for FieldArray {
    fn from(values: Vec<FieldValue>) -> Self {
        Self(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::short_str;

    fn twice() -> FieldTable {
        field_table! { "a" => 1, "b" => "text", "a" => 2 }
    }

    #[test]
    fn order_and_duplicates_are_kept_and_the_first_counts() {
        let table = twice();
        let keys: Vec<_> = table.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["a", "b", "a"]);
        assert_eq!(table.get_i64("a"), Some(1));
        let all: Vec<_> = table.get_all("a").filter_map(FieldValue::as_i64).collect();
        assert_eq!(all, [1, 2]);
    }

    #[test]
    fn set_replaces_the_first_or_appends() {
        let mut table = twice();
        assert_eq!(table.set(short_str!("a"), 9), Some(FieldValue::I32(1)));
        assert_eq!(table.set(short_str!("c"), ()), None);
        assert_eq!(table.len(), 4);
        assert_eq!(table.remove("a"), Some(FieldValue::I32(9)));
        assert_eq!(table.get_i64("a"), Some(2));
        assert_eq!(table.remove("z"), None);
    }

    #[test]
    fn a_key_that_is_too_long_is_refused() {
        let mut table = FieldTable::new();
        assert!(table.try_insert("k".repeat(256), 1).is_err());
        assert!(table.try_insert(short_str!("k"), 1).is_ok());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn shows_like_a_map() {
        assert_eq!(
            format!("{:?}", field_table! { "n" => 1, "list" => FieldArray::from_iter([true]) }),
            r#"{"n": I32(1), "list": Array([Bool(true)])}"#
        );
    }

    #[test]
    fn collects_and_extends() {
        let mut table: FieldTable = twice().into_iter().collect();
        table.extend([(short_str!("z"), 5_u8)]);
        assert_eq!(table.len(), 4);
        let mut array = FieldArray::new();
        array.extend([1, 2]);
        array.push("x");
        assert_eq!((array.len(), array.iter().count()), (3, 3));
    }
}
