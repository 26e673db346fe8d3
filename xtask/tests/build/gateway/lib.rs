//! A crate of somebody else's with two protocols side by side, each from an XML file in its own folder.

#[macro_use]
pub mod lamps {
    //! A protocol that nobody has heard of.
    amqp_types::protocol! {
        "specs/lamp.xml",
        name = "lamps",
        if_spec = if_lamps,
        require_spec = require_lamps,
        protocol_header = b"LAMP\x00\x00\x04\x02",
    }
}

#[macro_use]
pub mod standard {
    //! AMQP 0-9-1 from this crate's own copy of its XML.
    amqp_types::protocol! { "specs/amqp0-9-1.xml", if_spec = if_standard }
}

require_lamps!("lamps");

if_lamps! { lamp.shine.colour => {
    /// Turns a publish into light: the routing key is the colour.
    pub fn shine(publish: &standard::basic::Publish) -> lamps::lamp::Shine {
        lamps::lamp::Shine {
            colour: publish.routing_key.clone(),
            steady: publish.mandatory,
            ..Default::default()
        }
    }
} }

/// What each of the two has.
pub const HAS: [bool; 4] = [
    if_lamps! { lamp.picture => { true } else { false } },
    if_lamps! { basic.publish => { true } else { false } },
    if_standard! { lamp.picture => { true } else { false } },
    if_standard! { basic.publish => { true } else { false } },
];
