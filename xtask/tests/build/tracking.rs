//! Whatever changes the specification rebuilds, and nothing else does: for each kind of dependency.

use std::fs;

use super::lab::{Dependency, Lab, Ran, User, write};

const MAIN: &str = r#"
fn main() {
    use amqp_types::protocol::{DEFAULT_PORT, NAME};
    println!("{NAME} {DEFAULT_PORT}");
}
"#;

const OWN: &str = r#"
<amqp major="0" minor="9" revision="1" port="7001">
  <class name="lamp" index="10"><method name="shine" index="10"/></class>
</amqp>"#;

#[test]
fn a_path_dependency_is_rebuilt_when_its_specification_changes() {
    let lab = Lab::open();
    let user = selections_rebuild(&lab, Dependency::Path);
    let file = lab.path("project/amqp-types/specs/amqp0-9-1-rabbitmq.xml");
    edits_rebuild(&user, &file);
}

#[test]
fn a_git_dependency_is_rebuilt_when_its_specification_changes() {
    let lab = Lab::open();
    lab.repository();
    let user = selections_rebuild(&lab, Dependency::Git);
    // Cargo holds a checkout for unchangeable; another commit is what can come.
    let file = lab.path("project/amqp-types/specs/amqp0-9-1-rabbitmq.xml");
    let text = fs::read_to_string(&file).unwrap();
    write(&file, text.replace("\"5672\"", "\"5673\""));
    lab.commit();
    write(&file, text);
    assert!(!prints(&user, None, "rabbitmq 5672").compiled("amqp-types"));
    assert!(user.cargo(&["update", "amqp-types"], None).success);
    assert!(prints(&user, None, "rabbitmq 5673").compiled("amqp-types"));
}

#[test]
fn a_packaged_dependency_is_rebuilt_when_its_specification_changes() {
    let lab = Lab::open();
    lab.package();
    // The package itself never changes: cargo rebuilds nothing whose files in a registry were edited.
    selections_rebuild(&lab, Dependency::Package);
}

/// `AMQP_SPEC` in the environment and in a cargo config, as a name and as a file of the user's own.
fn selections_rebuild(lab: &Lab, kind: Dependency) -> User<'_> {
    let name = format!("tracking-{kind:?}").to_lowercase();
    let user = lab.user(&name, &[lab.dependency("amqp-types", kind, &[])]);
    user.write("src/main.rs", MAIN);
    prints(&user, None, "rabbitmq 5672");
    assert!(!prints(&user, None, "rabbitmq 5672").compiled("amqp-types"));
    // Set, changed, unset.
    assert!(prints(&user, Some("0-8"), "0-8 5672").compiled("amqp-types"));
    assert!(!prints(&user, Some("0-8"), "0-8 5672").compiled("amqp-types"));
    assert!(prints(&user, Some("0-9"), "0-9 5672").compiled("amqp-types"));
    assert!(prints(&user, None, "rabbitmq 5672").compiled("amqp-types"));
    // In a config: set, changed, overruled by the environment.
    user.config(Some("[env]\nAMQP_SPEC = \"0-9-1\"\n"));
    assert!(prints(&user, None, "0-9-1 5672").compiled("amqp-types"));
    user.config(Some("[env]\nAMQP_SPEC = \"0-8\"\n"));
    assert!(prints(&user, None, "0-8 5672").compiled("amqp-types"));
    assert!(prints(&user, Some("0-9"), "0-9 5672").compiled("amqp-types"));
    // A file of the user's own, edited in place.
    user.write("specs/own.xml", OWN);
    user.config(Some("[env]\nAMQP_SPEC = { value = \"specs/own.xml\", relative = true }\n"));
    assert!(prints(&user, None, "own 7001").compiled("amqp-types"));
    assert!(!prints(&user, None, "own 7001").compiled("amqp-types"));
    user.write("specs/own.xml", &OWN.replace("7001", "7002"));
    assert!(prints(&user, None, "own 7002").compiled("amqp-types"));
    // Nothing selected again.
    user.config(None);
    assert!(prints(&user, None, "rabbitmq 5672").compiled("amqp-types"));
    user
}

/// The bundled file itself, edited and put back.
fn edits_rebuild(user: &User<'_>, file: &std::path::Path) {
    let text = fs::read_to_string(file).unwrap();
    write(file, text.replace("\"5672\"", "\"5673\""));
    assert!(prints(user, None, "rabbitmq 5673").compiled("amqp-types"));
    write(file, text);
    assert!(prints(user, None, "rabbitmq 5672").compiled("amqp-types"));
    assert!(!prints(user, None, "rabbitmq 5672").compiled("amqp-types"));
}

/// Builds and runs the program.
fn prints(user: &User<'_>, spec: Option<&str>, expected: &str) -> Ran {
    let ran = user.cargo(&["run", "--verbose"], spec);
    assert!(ran.success, "{}", ran.told);
    assert_eq!(ran.printed, expected, "{}", ran.told);
    ran
}
