//! Connections that come back: when and how often they are opened again, and what is then restored on them.
//!
//! `supervisor` is the task of such a connection: it polls the driver, and when that is done because the connection was
//! lost, opens another transport, as `policy` says, and has `restore` bring everything back, each channel by `channel`. That
//! brings back a single channel, too, for `reopen`. What survives a loss meanwhile is the session's business; what is told of it
//! stands in `outcome`.

mod channel;
mod policy;
pub(crate) mod reopen;
pub(crate) mod requests;
mod restore;
pub(crate) mod supervisor;

pub use policy::Recovery;
