//! Which spec a command is for: what `--spec` says, else what `AMQP_SPEC` says, as in any build.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, bail};

use super::bundled::BUNDLED;
use crate::suggest::did_you_mean;

const VARIABLE: &str = "AMQP_SPEC";

/// The name or path of `--spec`, or of the environment variable; none if neither is given.
///
/// # Errors
///
/// When the variable holds what a build would refuse, too.
pub(crate) fn chosen(option: Option<String>) -> Result<Option<String>> {
    match option {
        Some(option) => Ok(Some(option)),
        None => of_variable(std::env::var_os(VARIABLE)),
    }
}

fn of_variable(value: Option<OsString>) -> Result<Option<String>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let Some(text) = value.to_str() else { bail!("{VARIABLE}: {value:?} is not UTF-8") };
    let names = BUNDLED.map(|ours| ours.name);
    if names.contains(&text) || Path::new(text).is_absolute() {
        return Ok(Some(text.to_owned()));
    }
    if text.contains(['/', '\\']) || text.ends_with(".xml") {
        bail!(
            "{VARIABLE}: the path {text:?} is relative; give an absolute path, or `--spec {text}`, \
             which may be relative, or let cargo make one of it in .cargo/config.toml:\n\
             \n    [env]\n    {VARIABLE} = {{ value = {text:?}, relative = true }}\n"
        );
    }
    bail!(
        "{VARIABLE}: no spec `{text}`{} (there are: {}, or the absolute path of an XML file)",
        did_you_mean(text, names),
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::{chosen, of_variable};

    fn of(value: &str) -> Result<Option<String>, String> {
        of_variable(Some(value.into())).map_err(|error| error.to_string())
    }

    #[test]
    fn variable_is_a_bundled_name_or_an_absolute_path() {
        assert_eq!(of_variable(None).unwrap(), None);
        assert_eq!(of(""), Ok(None));
        for text in ["0-8", "/x/my.xml"] {
            assert_eq!(of(text), Ok(Some(text.to_owned())));
        }
    }

    #[test]
    fn bad_variable_is_refused_with_the_remedy() {
        let error = of("my.xml").unwrap_err();
        assert!(error.contains(r#"AMQP_SPEC = { value = "my.xml", relative = true }"#), "{error}");
        let error = of("rabitmq").unwrap_err();
        assert!(error.contains("did you mean `rabbitmq`?"), "{error}");
    }

    #[test]
    fn option_comes_first() {
        assert_eq!(chosen(Some("x".to_owned())).unwrap().as_deref(), Some("x"));
    }
}
