//! Which XML files the expansion reads, and their text.
//!
//! The only module that touches the file system. The environment comes in as a value, so that tests
//! need no process of their own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::args::Args;
use super::diagnostics::{Error, listing, nearest};

/// What the outside world says.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The folder of the caller's `Cargo.toml`.
    pub(crate) folder: PathBuf,
    /// The value of the variable that may select another spec.
    pub(crate) selection: Option<OsString>,
}

/// The specification to compile.
#[derive(Debug)]
pub(crate) struct Source {
    /// What it is called.
    pub(crate) name: String,
    /// Its path as the user knows it, for messages.
    pub(crate) shown: String,
    pub(crate) text: String,
    /// Whether it is the file that the macro's first argument names.
    pub(crate) default: bool,
    /// The other specs to choose from: their names, paths and texts.
    pub(crate) bundled: Vec<Bundled>,
    /// Absolute paths of all files read.
    pub(crate) tracked: Vec<String>,
}

/// A spec that is listed but not compiled.
#[derive(Debug)]
pub(crate) struct Bundled {
    pub(crate) name: String,
    pub(crate) shown: String,
    pub(crate) text: String,
}

/// A file chosen but not yet read.
struct Choice {
    name: String,
    shown: String,
    path: PathBuf,
    default: bool,
}

/// Reads everything, or says which files cannot be read or why a selection names none.
pub(crate) fn load(args: &Args, environment: &Environment) -> Result<Source, Vec<Error>> {
    let choice = choose(args, environment).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    let mut tracked = Vec::new();
    let mut read = |shown: &str, path: &Path| match read(shown, path, args) {
        Ok((text, path)) => {
            if !tracked.contains(&path) {
                tracked.push(path);
            }
            Some(text)
        }
        Err(error) => {
            if !errors.contains(&error) {
                errors.push(error);
            }
            None
        }
    };
    let text = read(&choice.shown, &choice.path);
    let mut bundled = Vec::new();
    for (name, shown) in &args.bundled {
        if let Some(text) = read(shown, &environment.folder.join(shown)) {
            bundled.push(Bundled { name: name.clone(), shown: shown.clone(), text });
        }
    }
    match text {
        Some(text) if errors.is_empty() => {
            let Choice { name, shown, default, .. } = choice;
            Ok(Source { name, shown, text, default, bundled, tracked })
        }
        _ => Err(errors),
    }
}

fn choose(args: &Args, environment: &Environment) -> Result<Choice, Error> {
    let bundled = |name: &str, shown: &str, default| Choice {
        name: name.to_owned(),
        shown: shown.to_owned(),
        path: environment.folder.join(shown),
        default,
    };
    let selection = environment.selection.as_ref().filter(|value| !value.is_empty());
    let (Some(variable), Some(selection)) = (&args.variable, selection) else {
        let path = args.path.value();
        let listed = args.bundled.iter().find(|(_, listed)| *listed == path);
        let name = match (&args.name, listed) {
            (Some(name), _) | (None, Some((name, _))) => name.clone(),
            (None, None) => stem(Path::new(&path)),
        };
        return Ok(bundled(&name, &path, true));
    };
    let Some(text) = selection.to_str() else {
        return Err(Error::whole(variable.as_str(), format!("{selection:?} is not UTF-8")));
    };
    if let Some((name, path)) = args.bundled.iter().find(|(name, _)| name == text) {
        return Ok(bundled(name, path, *path == args.path.value()));
    }
    let path = Path::new(text);
    if path.is_absolute() {
        return Ok(Choice {
            name: stem(path),
            shown: text.to_owned(),
            path: path.to_owned(),
            default: false,
        });
    }
    Err(Error::whole(variable.as_str(), misselected(text, variable, args)))
}

/// Why a selection is neither a bundled name nor a path that means one file.
fn misselected(text: &str, variable: &str, args: &Args) -> String {
    let names = || args.bundled.iter().map(|(name, _)| name.as_str());
    if text.contains(['/', '\\']) || text.ends_with(".xml") {
        return format!(
            "the path {text:?} is relative, and what it is relative to differs between the packages \
             of a build; give an absolute path, or let cargo make one of it in .cargo/config.toml:\n\
             \n    [env]\n    {variable} = {{ value = {text:?}, relative = true }}\n"
        );
    }
    if args.bundled.is_empty() {
        return format!(
            "{text:?} is not an absolute path, and no specification goes by a name here"
        );
    }
    let near = nearest(text, names());
    let near = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
    format!(
        "no specification is called {text:?}{near} (there are: {}, or the absolute path of an XML file)",
        listing(names())
    )
}

fn read(shown: &str, path: &Path, args: &Args) -> Result<(String, String), Error> {
    let Some(absolute) = path.to_str() else {
        return Err(Error::whole(shown, format!("the path {path:?} is not UTF-8")));
    };
    let bytes = fs::read(path).map_err(|error| {
        let mut message = format!("cannot be read: {error}; tried {absolute}");
        if !args.bundled.is_empty() {
            let names = args.bundled.iter().map(|(name, _)| name.as_str());
            message += &format!("; bundled specifications: {}", listing(names));
        }
        if let Some(variable) = &args.variable {
            message += &format!("; the environment variable {variable} selects another");
        }
        Error::whole(shown, message)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::whole(shown, format!("is not UTF-8: octet {at} cannot be read"))
    })?;
    Ok((text, absolute.to_owned()))
}

/// What a file is called if nobody said.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
