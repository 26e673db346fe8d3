//! The macro in crates of its users' own, on XML of their own; the crate is in the folder `gateway`.

use super::lab::{Dependency, Lab};

#[test]
fn a_crate_compiles_two_protocols_side_by_side() {
    let lab = Lab::open();
    lab.package();
    let user = lab.user("gateway", &[lab.dependency("amqp-types", Dependency::Package, &[])]);
    user.write("src/lib.rs", include_str!("gateway/lib.rs"));
    user.write("tests/gateway.rs", include_str!("gateway/tests/gateway.rs"));
    user.write("specs/lamp.xml", include_str!("gateway/specs/lamp.xml"));
    let standard = std::fs::read_to_string(lab.path("project/amqp-types/specs/amqp0-9-1.xml"));
    user.write("specs/amqp0-9-1.xml", &standard.unwrap());
    // The specification that amqp-types itself is compiled with does not matter.
    for spec in [None, Some("0-8")] {
        let ran = user.cargo(&["test"], spec);
        assert!(ran.success && !ran.told.contains("warning"), "{}", ran.told);
        assert!(ran.told.contains("4 passed; 0 failed"), "{}", ran.told);
    }
}

#[test]
fn the_runtime_may_go_by_another_name() {
    let lab = Lab::open();
    let dependency = lab
        .dependency("amqp-types", Dependency::Path, &[])
        .replace("amqp-types = {", "wire = { package = \"amqp-types\",");
    let user = lab.user("renamed", &[dependency]);
    user.write("specs/lamp.xml", include_str!("gateway/specs/lamp.xml"));
    user.write(
        "src/lib.rs",
        "pub mod lamps { wire::protocol! { \"specs/lamp.xml\", crate = ::wire } }\n\
         pub fn shine() -> lamps::lamp::Shine { Default::default() }",
    );
    let ran = user.cargo(&["check"], None);
    assert!(ran.success, "{}", ran.told);
}
