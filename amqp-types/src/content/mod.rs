//! Contents: a method's header and body, and putting them together again.
//!
//! [`Assembler`] is for receivers; senders write a [`ContentHeader`] and cut the [`Body`] into
//! frames themselves, since only they know the frame size that was agreed on.
//!
//! ```text
//! class:u16  weight:u16 (0)  body size:u64  flag words  properties that are present
//! ```

mod assembler;
mod body;
mod error;
mod header;
mod incoming;
mod part;
mod unreadable;

pub use assembler::Assembler;
pub use body::Body;
pub use error::AssembleError;
pub use header::ContentHeader;
pub use incoming::{Complete, Content, Incoming};
pub use part::Part;
