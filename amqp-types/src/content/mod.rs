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
mod header;

pub use assembler::{AssembleError, Assembler, Complete, Content, Incoming};
pub use body::Body;
pub use header::ContentHeader;
