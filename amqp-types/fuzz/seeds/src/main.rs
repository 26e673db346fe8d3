//! `seeds VECTORS CORPUS`: makes seeds of a folder of vector files.
//!
//! Each vector's octets become a file in the folder of the target they suit: `CORPUS/frame`,
//! `method`, `header` or `table`.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use serde_json::Value as Json;

/// Class and method of connection.start-ok, whose arguments begin with a table.
const BEFORE_TABLE: [u8; 4] = [0, 10, 0, 11];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [vectors, corpus] = &arguments[..] else {
        return Err("usage: seeds VECTORS CORPUS".into());
    };
    let corpus = Path::new(corpus);
    for target in ["frame", "method", "header", "table"] {
        fs::create_dir_all(corpus.join(target))?;
    }
    let mut count = 0_usize;
    for file in fs::read_dir(vectors)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let json = serde_json::from_str(&fs::read_to_string(&path)?)?;
            count += seed(&name, &json, corpus).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    println!("{count} seeds in {}", corpus.display());
    Ok(())
}

/// Writes the seeds of one file of vectors, and says how many.
fn seed(file: &str, json: &Json, corpus: &Path) -> Result<usize, Box<dyn Error>> {
    let mut count = 0;
    let mut put = |target: &str, octets: &[u8]| {
        let path = corpus.join(target).join(format!("{file}-{count:04}"));
        count += 1;
        fs::write(path, octets)
    };
    // A session is one object with all octets of either direction.
    for direction in ["C>S", "S>C"] {
        let chunks = json["chunks"].as_array().map_or(&[][..], Vec::as_slice);
        let chunks = chunks.iter().filter(|chunk| chunk["dir"] == direction);
        let octets = chunks.map(|chunk| octets(&chunk["hex"])).collect::<Option<Vec<_>>>();
        let octets = octets.ok_or("hex digits expected")?.concat();
        let frames = octets.strip_prefix(b"AMQP").and_then(|rest| rest.get(4..)).unwrap_or(&octets);
        if !frames.is_empty() {
            put("frame", frames)?;
        }
    }
    for vector in json.as_array().map_or(&[][..], Vec::as_slice) {
        let octets = octets(&vector["hex"]).ok_or("hex digits expected")?;
        let target = match vector["level"].as_str() {
            Some("stream" | "session") => "frame",
            Some("header") => "header",
            Some(_) => "method",
            None if file.starts_with("frames") || file.ends_with("-frames") => "frame",
            None if file.starts_with("protocol") => "frame",
            None if file.starts_with("headers") || file.ends_with("-headers") => "header",
            None => "method",
        };
        put(target, &octets)?;
        if let Some(table) = octets.strip_prefix(&BEFORE_TABLE).filter(|_| target == "method") {
            put("table", table)?;
        }
    }
    Ok(count)
}

fn octets(hex: &Json) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let (pairs, []) = hex.as_str()?.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}
