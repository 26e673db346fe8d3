//! What the compiler says when the specification is not what it should be, and that the advice helps.

use super::lab::{Dependency, Lab, User};

const OWN: &str = r#"
<amqp major="0" minor="9" revision="1" port="7001">
  <class name="lamp" index="10"><method name="shine" index="10"/></class>
</amqp>"#;

fn user<'lab>(lab: &'lab Lab, name: &str, source: &str) -> User<'lab> {
    let user = lab.user(name, &[lab.dependency("amqp-types", Dependency::Path, &[])]);
    user.write("src/lib.rs", source);
    user
}

/// The build fails, and says each of these.
fn refused(user: &User<'_>, spec: Option<&str>, words: &[&str]) {
    let ran = user.cargo(&["check"], spec);
    assert!(!ran.success, "{}", ran.told);
    for word in words {
        assert!(ran.told.contains(word), "not said: {word}\n{}", ran.told);
    }
}

fn accepted(user: &User<'_>, spec: Option<&str>) {
    let ran = user.cargo(&["check"], spec);
    assert!(ran.success, "{}", ran.told);
}

#[test]
fn a_relative_path_is_refused_and_the_remedy_shown_works() {
    let lab = Lab::open();
    let user = user(&lab, "messages-relative", "");
    user.write("my.xml", OWN);
    let remedy = "AMQP_SPEC = { value = \"my.xml\", relative = true }";
    refused(&user, Some("my.xml"), &["AMQP_SPEC: the path \"my.xml\" is relative", remedy]);
    user.config(Some("[env]\nAMQP_SPEC = \"my.xml\"\n"));
    refused(&user, None, &["[env]", remedy]);
    user.config(Some(&format!("[env]\n{remedy}\n")));
    accepted(&user, None);
    let absolute = user.path("my.xml");
    user.config(None);
    accepted(&user, absolute.to_str());
}

#[test]
fn an_unknown_name_lists_the_bundled_ones() {
    let lab = Lab::open();
    let user = user(&lab, "messages-unknown", "");
    refused(
        &user,
        Some("0-9-2"),
        &["no specification is called \"0-9-2\", did you mean", "0-8, 0-9, 0-9-1, rabbitmq"],
    );
}

#[test]
fn a_missing_file_is_told_with_the_path_tried_and_the_names_there_are() {
    let lab = Lab::open();
    let user = user(&lab, "messages-missing", "");
    let missing = user.path("specs/gone.xml").to_str().unwrap().to_owned();
    let tried = format!("tried {missing}");
    let names = "bundled specifications: 0-8, 0-9, 0-9-1, rabbitmq";
    refused(&user, Some(&missing), &[&tried, names]);
    // The same in a crate's own protocol module.
    user.write("src/lib.rs", "pub mod own { amqp_types::protocol! { \"specs/gone.xml\" } }");
    refused(&user, None, &["specs/gone.xml: cannot be read", &tried]);
}

#[test]
fn require_spec_compiles_only_with_what_it_names() {
    let lab = Lab::open();
    let user = user(&lab, "messages-require", "amqp_types::require_spec!(\"0-8\");");
    let words =
        ["needs the AMQP specification \"0-8\"", "\"rabbitmq\" is compiled in", "AMQP_SPEC=0-8"];
    refused(&user, None, &words);
    accepted(&user, Some("0-8"));
    refused(&user, Some("0-9"), &["\"0-9\" is compiled in"]);
    user.write("src/lib.rs", "amqp_types::require_spec!(\"0-9-1\", \"rabbitmq\");");
    accepted(&user, None);
    refused(&user, Some("0-8"), &["\"0-9-1\" or \"rabbitmq\""]);
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_with_their_places() {
    let lab = Lab::open();
    let source = "pub mod own {\n    amqp_types::protocol! { \"specs/broken.xml\" }\n}\n";
    let user = user(&lab, "messages-broken", source);
    user.write(
        "specs/broken.xml",
        r#"<amqp major="0" minor="9" port="5672">
  <constant name="answer" value="forty-two"/>
  <class name="lamp" index="10">
    <method name="shine" index="10"><field name="colour" domain="no such thing"/></method>
    <method name="fade" index="70000"/>
  </class>
</amqp>"#,
    );
    let places = [
        "error: specs/broken.xml:2:27: ",
        "error: specs/broken.xml:4:58: lamp.shine: field \"colour\"",
        "error: specs/broken.xml:5:25: lamp.fade",
        // The compiler's own arrow.
        "src/lib.rs:2:29",
    ];
    refused(&user, None, &places);
    user.write("specs/broken.xml", OWN);
    accepted(&user, None);
}
