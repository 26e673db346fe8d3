//! Every class and method of the compiled specification, exchanged with the scripted peer.
//!
//! Each module has the exchange of its class, in which each side checks what it gets from the other. The
//! [`Wire`] writes down which methods went which way, and the test below holds that against the
//! specification's own list: a method that is new, or forgotten, fails it.

mod core;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol;

#[allow(unused_imports, reason = "not every specification has access tickets")]
use crate::specs::access;
use crate::specs::wire::{Seen, Wire};

if_spec! { file => { mod file; } else {} }
if_spec! { stream => { mod stream; } else {} }
if_spec! { dtx => { mod dtx; } else {} }
if_spec! { tunnel => { mod tunnel; } else {} }
if_spec! { test => { mod test; } else {} }
if_spec! { message => { mod message; } else {} }
if_spec! { channel.ping => { mod ping; } else {} }

/// A connection of its own for each class, so that none depends on another.
macro_rules! exchange {
    ($seen:ident, $module:ident) => {{
        let mut wire = Wire::open().await;
        $module::exchange(&mut wire).await;
        $seen.extend(wire.close().await);
    }};
}

#[tokio::test(start_paused = true)]
async fn every_method_of_the_specification_goes_every_way_that_it_may() {
    let mut seen = Seen::default();
    seen.extend(core::connection().await);
    exchange!(seen, core);
    if_spec! { access => { exchange!(seen, access); } else {} }
    if_spec! { file => { exchange!(seen, file); } else {} }
    if_spec! { stream => { exchange!(seen, stream); } else {} }
    if_spec! { dtx => { exchange!(seen, dtx); } else {} }
    if_spec! { tunnel => { exchange!(seen, tunnel); } else {} }
    if_spec! { test => { exchange!(seen, test); } else {} }
    if_spec! { message => { exchange!(seen, message); } else {} }
    if_spec! { channel.ping => { exchange!(seen, ping); } else {} }

    let mut missing = Vec::new();
    for method in protocol::INFO.methods() {
        for (side, may) in [("client", method.from_client), ("server", method.from_server)] {
            if may && !seen.contains(&(side, method.full_name)) {
                missing.push(format!("{} from the {side}", method.full_name));
            }
        }
    }
    assert!(missing.is_empty(), "no exchange has: {missing:#?}");
}
