//! Somebody's crate that uses the connector: the README's example, built with each kind of dependency.

use super::lab::{Dependency, Lab, TOKIO, User, checkout};

#[test]
fn a_path_dependency_builds_with_and_without_amqp_spec_in_its_config() {
    builds(&Lab::open(), Dependency::Path);
}

#[test]
fn a_git_dependency_builds_with_and_without_amqp_spec_in_its_config() {
    let lab = Lab::open();
    lab.repository();
    builds(&lab, Dependency::Git);
}

#[test]
fn a_packaged_dependency_builds_with_and_without_amqp_spec_in_its_config() {
    let lab = Lab::open();
    lab.package();
    builds(&lab, Dependency::Package);
}

fn builds(lab: &Lab, kind: Dependency) {
    let name = format!("outsider-{kind:?}").to_lowercase();
    let dependencies = [lab.dependency("amqp-connector", kind, &[]), TOKIO.to_owned()];
    let user = lab.user(&name, &dependencies);
    user.write("src/main.rs", &readme_example());
    build(&user);
    user.config(Some("[env]\nAMQP_SPEC = \"0-8\"\n"));
    build(&user);
    // The same program, and now it says which specification it is for.
    let only_0_8 =
        format!("amqp_connector::amqp_types::require_spec!(\"0-8\");\n{}", readme_example());
    user.write("src/main.rs", &only_0_8);
    build(&user);
    user.config(None);
    let ran = user.cargo(&["build"], None);
    assert!(!ran.success && ran.told.contains("\"rabbitmq\" is compiled in"), "{}", ran.told);
}

fn build(user: &User<'_>) {
    let ran = user.cargo(&["build"], None);
    assert!(ran.success && !ran.told.contains("warning"), "{}", ran.told);
}

/// The README's program; what the README says to put into the manifest is what is put there.
fn readme_example() -> String {
    let readme = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    assert!(readme.lines().any(|line| line == TOKIO), "the README has another line for tokio");
    let (_, example) = readme.split_once("```rust\n").expect("the README has an example");
    let (example, _) = example.split_once("```").unwrap();
    assert!(example.contains("fn main"), "{example}");
    example.to_owned()
}
