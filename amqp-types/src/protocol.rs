//! The protocol this crate was compiled with: everything here is emitted from one XML file.
//!
//! Which file that is, the environment variable `AMQP_SPEC` says at compile time: the name of a
//! bundled specification (`0-8`, `0-9`, `0-9-1` or `rabbitmq`, the default) or the absolute path of
//! any XML file. [`NAME`] and [`VERSION`] tell which one is in.
//!
//! Each class of the specification is a module, each method a struct in it; [`Method`] and
//! [`Properties`] are the enums over all of them. Nothing may be written by hand here.

amqp_spec_macro::protocol! {
    "specs/amqp0-9-1-rabbitmq.xml",
    override = "AMQP_SPEC",
    bundled = {
        "0-8" => "specs/amqp0-8.xml",
        "0-9" => "specs/amqp0-9.xml",
        "0-9-1" => "specs/amqp0-9-1.xml",
        "rabbitmq" => "specs/amqp0-9-1-rabbitmq.xml",
    },
    if_spec = if_spec,
    require_spec = require_spec,
}
