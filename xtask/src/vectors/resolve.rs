//! Which XML file belongs to the spec key of a vector.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::project;
use crate::spec::{bundled, package};

/// What a key came to.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The `spec` of a vector, or `*` for all.
    pub(crate) key: String,
    /// The XML file, or why there is none.
    pub(crate) xml: Result<PathBuf, String>,
    /// The file was found not to compile.
    pub(crate) is_broken: bool,
}

/// The one spec that `--spec` asks for, for all vectors.
pub(crate) fn one(spec: &str) -> Result<Vec<Resolved>> {
    let xml = bundled::resolve(spec)?;
    println!("all vectors against {}", project::shown(&xml));
    Ok(vec![Resolved { key: "*".to_owned(), xml: Ok(xml), is_broken: false }])
}

/// The spec of every key in the files.
pub(crate) fn named_by(files: &[PathBuf], dir: &Path) -> Result<Vec<Resolved>> {
    let mut keys = BTreeSet::new();
    for path in files {
        collect(path, &mut keys)?;
    }
    let outside = |key: &&String| !dir.join(format!("{key}.xml")).is_file();
    if keys.iter().filter(outside).any(|key| bundled::by_name(key).is_none())
        && let Err(error) = package::ensure()
    {
        println!("{error:#}");
    }
    let resolved: Vec<_> = keys.into_iter().map(|key| resolve(key, dir)).collect();
    for Resolved { key, xml, .. } in &resolved {
        match xml {
            Ok(xml) => println!("{key:16} {}", project::shown(xml)),
            Err(reason) => println!("{key:16} skipped: {reason}"),
        }
    }
    Ok(resolved)
}

fn collect(path: &Path, keys: &mut BTreeSet<String>) -> Result<()> {
    // A file that is no JSON fails in the program, with its name and place.
    let Ok(json) = serde_json::from_str::<Value>(&project::read(path)?) else { return Ok(()) };
    let vectors = json.as_array().map_or(std::slice::from_ref(&json), Vec::as_slice);
    let named = vectors.iter().filter_map(|vector| vector.get("spec")?.as_str());
    keys.extend(named.map(str::to_owned));
    Ok(())
}

fn resolve(key: String, dir: &Path) -> Resolved {
    let xml = own_file(&key, dir)
        .or_else(|| package::file(&key))
        .or_else(|| bundled::by_name(&key))
        .or_else(|| bundled::by_official_name(&key))
        .ok_or_else(|| {
            let package = if package::is_installed() {
                "the package amqp-specs has no such folder"
            } else {
                "the package amqp-specs is not installed"
            };
            format!("no {key}.xml in the folder, {package}, and no spec of ours has that name")
        });
    Resolved { key, xml, is_broken: false }
}

fn own_file(key: &str, dir: &Path) -> Option<PathBuf> {
    if key.contains(['/', '\\']) {
        return None;
    }
    let path = dir.join(format!("{key}.xml"));
    if path.is_file() { std::path::absolute(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{named_by, resolve};

    #[test]
    fn own_file_comes_before_a_bundled_spec() {
        let dir = std::env::temp_dir().join(format!("xtask-resolve-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("mine.xml"), "<amqp/>").unwrap();
        std::fs::write(dir.join("a.json"), r#"[{"spec":"mine"},{"spec":"no-such"},{}]"#).unwrap();

        let found = named_by(&[dir.join("a.json")], &dir).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].xml.as_ref().unwrap(), &dir.join("mine.xml"));
        assert!(found[1].xml.as_ref().unwrap_err().contains("no-such.xml"));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn our_dialect_is_found_by_its_key() {
        let resolved = resolve("tx-rabbitmq-0-8".to_owned(), ".".as_ref());
        assert!(resolved.xml.unwrap().ends_with("dialects/tx-rabbitmq-0-8.xml"));
    }
}
