//! What only some specifications have, and that nothing of any specification is left out.

mod access;
mod arguments;
mod classes;
mod incoming;
mod recover;
mod redirect;
mod unsupported;
mod wire;
