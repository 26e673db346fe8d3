//! Faults under load: a broker that is killed, links that break in every way, and books of what became of each message.
//!
//! [`Load`] publishes and consumes at a steady rate by connections that recover, each by a [`Link`] of its own that can be
//! cut, reset and silenced; [`Nodes`] are brokers of the test's own that can be killed; [`Storm`] is a seeded row of faults;
//! and [`Ledger`] keeps the books, and knows what may not be. The broker tests and the program `soak` use them.

mod client;
mod ledger;
mod link;
mod load;
mod nodes;
mod publishing;
mod random;
mod rules;
mod storm;

pub use ledger::{Kind, Ledger, Totals};
pub use link::{Break, Link};
pub use load::{Load, Plan};
pub use nodes::{Node, Nodes};
pub use random::Random;
pub use storm::{Fault, Gust, Storm};
