//! [`Limits`]: how much a table may ask of its reader, and so how much a writer may put into one.

/// Bounds on the tables and arrays of one payload.
///
/// A table costs more memory than octets (a value of one octet takes a few words), and each level
/// of nesting costs stack. The frame size bounds the octets; these bound the rest. Writers hold them,
/// too: what nobody could read is better refused before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many tables and arrays may stand in one another; the outermost counts as 1, an empty
    /// table as nothing. Even the greatest depth, 255, takes less than 1 MiB of stack to read,
    /// write, compare, print and drop.
    pub depth: u8,
    /// How many values all tables and arrays of the payload may hold together.
    pub entries: u32,
    /// How many octets a table may take.
    pub table_size: u32,
}

impl Limits {
    /// 64 levels, 65,536 values, 16 MiB.
    pub const DEFAULT: Self = Self { depth: 64, entries: 65_536, table_size: 16 << 20 };

    /// No limits but those of the types: 255 levels.
    pub const GREATEST: Self = Self { depth: u8::MAX, entries: u32::MAX, table_size: u32::MAX };

    /// These limits with another [`depth`](Self::depth).
    #[must_use]
    pub const fn with_depth(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }

    /// These limits with another number of [`entries`](Self::entries).
    #[must_use]
    pub const fn with_entries(mut self, entries: u32) -> Self {
        self.entries = entries;
        self
    }

    /// These limits with another [`table_size`](Self::table_size), in octets.
    #[must_use]
    pub const fn with_table_size(mut self, octets: u32) -> Self {
        self.table_size = octets;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
