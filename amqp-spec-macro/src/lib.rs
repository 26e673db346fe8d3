//! The procedural macro `protocol!`.
