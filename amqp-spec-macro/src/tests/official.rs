//! Every specification that Debian's package `amqp-specs` installs; skipped where it is missing.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::super::emit::Options;
use super::super::expand::{expand, surface};
use super::formatted;

const FOLDER: &str = "/usr/share/amqp/specs";

/// How many files the package has of the versions that the macro compiles, and of the others.
const FRAMED: usize = 7;
const OTHERS: usize = 3;

/// Folder, file name and text of each file; `None`, and a line that says so, where there are none.
fn files() -> Option<Vec<(String, String, String)>> {
    if !Path::new(FOLDER).is_dir() {
        // Not `eprintln!`, which the test harness keeps to itself when a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {FOLDER} is missing (package amqp-specs)");
        return None;
    }
    let mut files = Vec::new();
    for folder in fs::read_dir(Path::new(FOLDER)).into_iter().flatten().flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            if name(&file).ends_with(".xml") {
                let text = fs::read_to_string(file.path()).unwrap();
                files.push((name(&folder), name(&file), text));
            }
        }
    }
    let framed = files.iter().filter(|(folder, ..)| framed(folder)).count();
    let others = files.len() - framed;
    assert!(framed >= FRAMED, "{FOLDER} has {framed} files of 0-8 to 0-9-1, fewer than {FRAMED}");
    assert!(others >= OTHERS, "{FOLDER} has {others} files of other versions, fewer than {OTHERS}");
    Some(files)
}

fn framed(folder: &str) -> bool {
    folder.starts_with("0-8") || folder.starts_with("0-9")
}

#[test]
fn every_framed_file_expands_to_items() {
    let Some(files) = files() else { return };
    for (folder, file, text) in files.iter().filter(|(folder, ..)| framed(folder)) {
        let rust = formatted(text, file, &Options::default());
        assert!(rust.contains("pub mod basic"), "{folder}");
    }
}

#[test]
fn the_other_files_are_refused_by_name() {
    let Some(files) = files() else { return };
    for (folder, file, text) in files.iter().filter(|(folder, ..)| !framed(folder)) {
        let errors = expand(text, file, &Options::default()).unwrap_err();
        let expected = if folder.starts_with("0-10") { "AMQP 0-10" } else { "AMQP 1.0" };
        assert!(errors[0].message.contains(expected), "{folder}/{file}: {}", errors[0]);
    }
}

#[test]
fn replies_are_paired_where_the_files_omit_them_and_nowhere_else() {
    let Some(files) = files() else { return };
    let mut implied = Vec::new();
    for (folder, file, text) in files.iter().filter(|(folder, ..)| framed(folder)) {
        for line in surface(text, file).unwrap().lines() {
            let Some((request, reply)) = line.split_once(" -> ") else { continue };
            if !text.contains(&format!("<response name=\"{reply}\"/>")) && !reply.contains('|') {
                let request = request.split(' ').next().unwrap_or_default();
                implied.push(format!("{folder} {request} -> {reply}"));
            }
        }
    }
    implied.sort();
    assert_eq!(
        implied,
        [
            "0-8-qpid exchange.bound -> bound-ok",
            "0-9-1 basic.recover -> recover-ok",
            "0-9-1-qpid basic.recover-sync -> recover-sync-ok",
            "0-9-1-rabbit basic.recover -> recover-ok",
        ]
    );
}
