//! The primitive encodings: [`Reader`] takes values out of a payload, [`Writer`] appends them.
//!
//! Called by the emitted codecs, by [`reflect`](crate::reflect) and by [`content`](crate::content).
//! All numbers are big-endian. Reading never panics and never allocates on a length that was only
//! declared; writing never allocates beyond the buffer it appends to.
//!
//! ```text
//! short string   len:u8  octets            long string   len:u32  octets
//! table          len:u32 (key:shortstr tag:u8 value)*    array    len:u32 (tag:u8 value)*
//! bits           a run of adjacent bits shares octets, the first bit is the lowest
//! flags          u16 words, 15 properties each, the first the highest bit; bit 0: another follows
//! content        0:u8 longstr (inline)  or  1:u8 longstr (reference)
//! ```

mod fields;
mod fill;
mod limits;
mod payload;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;

pub use limits::Limits;
pub use payload::Payload;
pub use reader::Reader;
pub use writer::Writer;

/// Flag words hold this many properties each; the lowest bit tells whether another word follows.
pub(crate) const FLAGS_PER_WORD: usize = 15;

/// The `content` domain of AMQP 0-9: a body inside a method, or the name of one sent apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContentDomain {
    /// The body itself.
    Inline(Bytes),
    /// A reference to a body.
    Reference(Bytes),
}

/// An empty body.
impl Default for ContentDomain {
    fn default() -> Self {
        Self::Inline(Bytes::new())
    }
}
