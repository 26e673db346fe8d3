//! Connections that come back: when and how often they are opened again, and what is then restored on them.
//!
//! `policy`, `topology` and `report` are plain values that users read and set. `supervisor` is the task of such a
//! connection: it polls the driver, and when that is done because the connection was lost, opens another transport and
//! has `restore` bring everything back. What survives a loss meanwhile is the session's business.

mod policy;
mod report;
mod restore;
pub(crate) mod supervisor;
mod topology;

pub use policy::Recovery;
pub use report::{Entity, RecoveryEvent, RecoveryFailure, RecoveryReport};
pub use topology::{Binding, DeclaredExchange, DeclaredQueue, Destination, Topology};
