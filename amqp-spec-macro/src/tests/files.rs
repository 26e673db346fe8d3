//! From the macro's arguments to an expansion or its errors, with real files.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::expand_file;
use super::super::source::Environment;

const GOOD: &str = "<amqp major='8' minor='0'><class name='c' index='1'/></amqp>";

/// A folder of its own for one test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("amqp-spec-macro-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("specs")).unwrap();
        let folder = Self(path);
        folder.write("specs/good.xml", GOOD);
        folder.write("specs/other.xml", &GOOD.replace("'8'", "'9'"));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn shown(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The expansion without spaces, or the messages.
fn expansion(folder: &Path, args: &str, selection: Option<&str>) -> Result<String, Vec<String>> {
    let environment = |_: Option<&str>| Environment {
        folder: folder.to_owned(),
        selection: selection.map(Into::into),
    };
    let tokens = expand_file(syn::parse_str(args).unwrap(), &environment);
    tokens
        .map(|tokens| tokens.to_string().replace(' ', ""))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

const SELECTABLE: &str = r#""specs/good.xml", override = "SPEC",
    bundled = { "good" => "specs/good.xml", "other" => "specs/other.xml" }"#;

#[test]
fn the_first_argument_is_relative_to_the_manifest() {
    let folder = Folder::new("relative");
    let tokens = expansion(&folder.0, r#""specs/good.xml""#, None).unwrap();
    assert!(tokens.contains(r#"NAME:&str="good""#));
    assert!(tokens.contains(&format!("include_bytes!({:?})", folder.shown("specs/good.xml"))));
    assert!(!tokens.contains("option_env!") && !tokens.contains("BUNDLED"));
}

#[test]
fn every_file_read_and_the_variable_cause_a_rebuild() {
    let folder = Folder::new("tracked");
    let tokens = expansion(&folder.0, SELECTABLE, None).unwrap();
    for file in ["specs/good.xml", "specs/other.xml"] {
        assert!(tokens.contains(&format!("include_bytes!({:?})", folder.shown(file))));
    }
    assert_eq!(tokens.matches("include_bytes!").count(), 2);
    assert!(tokens.contains(r#"option_env!("SPEC")"#));
}

#[test]
fn a_selection_is_a_bundled_name_or_an_absolute_path() {
    let folder = Folder::new("selection");
    let name = |selection| {
        let tokens = expansion(&folder.0, SELECTABLE, selection).unwrap();
        let (_, rest) = tokens.split_once("NAME:&str=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(name(None), "good");
    assert_eq!(name(Some("")), "good");
    assert_eq!(name(Some("other")), "other");
    folder.write("mine.v2.xml", GOOD);
    assert_eq!(name(Some(&folder.shown("mine.v2.xml"))), "mine.v2");
}

#[test]
fn name_and_header_belong_to_the_default_file_only() {
    let folder = Folder::new("header");
    let args = format!("{SELECTABLE}, name = \"mine\", protocol_header = b\"AMQPabcd\"");
    let tokens = expansion(&folder.0, &args, None).unwrap();
    assert!(tokens.contains(r#"NAME:&str="mine""#) && tokens.contains(r#"*b"AMQPabcd""#));
    let tokens = expansion(&folder.0, &args, Some("other")).unwrap();
    assert!(tokens.contains(r#"NAME:&str="other""#) && !tokens.contains(r#"*b"AMQPabcd""#));
}

#[test]
fn a_selection_that_names_nothing_says_what_would() {
    let folder = Folder::new("nothing");
    let error = |args: &str, selection| expansion(&folder.0, args, Some(selection)).unwrap_err();
    assert_eq!(
        error(SELECTABLE, "othr"),
        [
            "SPEC: no specification is called \"othr\", did you mean \"other\"? (there are: good, other, \
          or the absolute path of an XML file)"
        ]
    );
    assert_eq!(
        error(r#""specs/good.xml", override = "SPEC""#, "x"),
        ["SPEC: \"x\" is not an absolute path, and no specification goes by a name here"]
    );
    assert_eq!(
        error(SELECTABLE, "specs/other.xml"),
        [
            "SPEC: the path \"specs/other.xml\" is relative, and what it is relative to differs between \
          the packages of a build; give an absolute path, or let cargo make one of it in \
          .cargo/config.toml:\n\n    [env]\n    SPEC = { value = \"specs/other.xml\", relative = true \
          }\n"
        ]
    );
}

#[test]
fn a_missing_file_says_what_was_tried() {
    let folder = Folder::new("missing");
    let tried = folder.shown("specs/absent.xml");
    let os = fs::read(&tried).unwrap_err();
    assert_eq!(
        expansion(&folder.0, r#""specs/absent.xml""#, None).unwrap_err(),
        [format!("specs/absent.xml: cannot be read: {os}; tried {tried}")]
    );
    assert_eq!(
        expansion(&folder.0, SELECTABLE, Some(&tried)).unwrap_err(),
        [format!(
            "{tried}: cannot be read: {os}; tried {tried}; bundled specifications: good, other; the \
             environment variable SPEC selects another"
        )]
    );
    let bundled = r#""specs/good.xml", bundled = { "absent" => "specs/absent.xml" }"#;
    assert_eq!(
        expansion(&folder.0, bundled, None).unwrap_err(),
        [format!(
            "specs/absent.xml: cannot be read: {os}; tried {tried}; bundled specifications: absent"
        )]
    );
}

#[test]
fn a_file_that_is_not_text_says_where() {
    let folder = Folder::new("octets");
    fs::write(folder.0.join("specs/good.xml"), b"<amqp \xff").unwrap();
    assert_eq!(
        expansion(&folder.0, r#""specs/good.xml""#, None).unwrap_err(),
        ["specs/good.xml: is not UTF-8: octet 6 cannot be read"]
    );
}

#[test]
fn all_files_complain_at_once() {
    let folder = Folder::new("all");
    folder.write("specs/good.xml", "<amqp major='x' minor='0'><class/></amqp>");
    folder.write("specs/other.xml", "<html/>");
    assert_eq!(
        expansion(&folder.0, SELECTABLE, None).unwrap_err(),
        [
            "specs/other.xml:1:1: not an AMQP specification: the root element is <html>, not <amqp>",
            "specs/good.xml:1:7: major=\"x\" is not a number from 0 to 255",
            "specs/good.xml:1:27: <class> has no attribute \"name\"",
        ]
    );
}

#[test]
fn require_spec_advises_only_names_that_there_are() {
    let folder = Folder::new("require");
    let rules = |args: &str| {
        let tokens = expansion(&folder.0, args, None).unwrap();
        let (_, rules) = tokens.split_once("macro_rules!need").unwrap();
        rules.replace('\n', "")
    };
    let both = rules(&format!("{SELECTABLE}, require_spec = need"));
    assert_eq!(both.matches("buildwithSPEC=other,").count(), 4, "{both}");
    assert!(!both.contains("SPEC=good") && !both.contains("SPEC=\","), "{both}");
    let unknown = ";nospecificationthatcomesalongissocalled(thereare:good,other);theenvironmentvariable\
                   SPECmayholdtheabsolutepathofafilesonamed";
    assert_eq!(both.matches(unknown).count(), 1, "{both}");
    let alone = rules(r#""specs/good.xml", override = "SPEC", require_spec = need"#);
    assert!(!alone.contains("buildwith") && !alone.contains("thereare"), "{alone}");
    assert!(alone.contains("variableSPECmayhold"), "{alone}");
}
