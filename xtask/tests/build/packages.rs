//! The three library crates as packages: complete, and without what is only for this project.

use super::lab::{CRATES, Lab, files_below};

#[test]
fn the_packages_verify_and_hold_what_they_need() {
    let lab = Lab::open();
    let told = lab.make_packages(true);
    // That tests are left out is as it should be.
    let warnings = told.lines().filter(|line| line.contains("warning"));
    assert_eq!(warnings.filter(|line| !line.contains("ignoring ")).count(), 0, "{told}");
    for name in CRATES {
        assert!(told.contains(&format!("Verifying {name} v")), "{told}");
        let mut besides_sources = besides_sources(&lab, name);
        let common =
            ["Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "LICENSE-APACHE", "LICENSE-MIT"];
        besides_sources.retain(|file| !common.contains(&file.as_str()));
        let expected: &[&str] = match name {
            "amqp-types" => &[
                "README.md",
                "specs/amqp0-8.xml",
                "specs/amqp0-9-1-rabbitmq.xml",
                "specs/amqp0-9-1.xml",
                "specs/amqp0-9.xml",
            ],
            _ => &["README.md"],
        };
        assert_eq!(besides_sources, expected, "{name}");
    }
}

/// The files of a package that are no sources and no examples.
fn besides_sources(lab: &Lab, name: &str) -> Vec<String> {
    let folder = lab.unpacked(name);
    let relative =
        |file: std::path::PathBuf| file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<String> = files_below(&folder).into_iter().map(relative).collect();
    assert!(files.iter().any(|file| file == "src/lib.rs"), "{files:?}");
    files.retain(|file| !file.starts_with("src/") && !file.starts_with("examples/"));
    files.retain(|file| ![".cargo_vcs_info.json", ".cargo-checksum.json"].contains(&file.as_str()));
    files.sort();
    files
}
