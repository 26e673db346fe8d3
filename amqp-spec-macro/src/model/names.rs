//! Names: from the spec's spelling to Rust's. The whole policy, keywords included, is in this file.
//!
//! Called while the model is built; emission finds every identifier ready. The rules:
//!
//! - The *spec name* is the file's spelling with spaces as hyphens (`reply code` -> `reply-code`).
//! - Fields and modules join the words with underscores (`reply_code`) and keep the letters' case, so
//!   that names which differ only in case stay distinct.
//! - Types and variants join capitalised words (`GetOk`), constants upper-case ones (`FRAME_END`).
//! - A leading digit gets an underscore before it. A keyword becomes a raw identifier (`r#type`), and
//!   the four that cannot be raw get an underscore after them (`self_`); so do the variants that are
//!   in scope everywhere and that no binding may be called (`Some_`).
//! - Spellings of one field that differ between versions become one Rust name: [`CANONICAL`].

/// Names that versions of AMQP spell differently for the same thing, as joined words. Only pure
/// spellings stand here: `ticket` and `reserved-1`, or `filter` and `arguments`, are different fields.
const CANONICAL: [(&str, &str); 1] = [("nowait", "no_wait")];

/// Keywords of every edition that can be raw identifiers.
const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Keywords that cannot be raw identifiers.
const UNRAWABLE: [&str; 4] = ["self", "Self", "super", "crate"];

/// The prelude's variants: as a pattern such a name matches the variant instead of binding.
const VARIANTS: [&str; 4] = ["Some", "None", "Ok", "Err"];

/// One name in all its forms. Each is a valid Rust identifier except `spec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// As the file has it, with spaces as hyphens: what reflection shows.
    pub(crate) spec: String,
    /// Joined by underscores, canonical, keywords bare: what `if_spec!` is asked for.
    pub(crate) plain: String,
    /// `plain` as a field or a module, keywords escaped.
    pub(crate) value: String,
    /// As a type or a variant.
    pub(crate) type_name: String,
    /// As a constant.
    pub(crate) constant: String,
}

impl Name {
    /// Resolves a name as it stands in the file; the error says why no Rust name can be made of it.
    pub(crate) fn new(raw: &str) -> Result<Self, String> {
        if let Some(odd) = raw.chars().find(|c| !c.is_ascii()) {
            return Err(format!("a Rust name cannot be made of {raw:?}: {odd:?} is not ASCII"));
        }
        let words: Vec<&str> = raw
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        if words.is_empty() {
            return Err(format!("a Rust name cannot be made of {raw:?}: no letter, no digit"));
        }
        let joined = words.join("_");
        let joined = match CANONICAL.iter().find(|(spelling, _)| *spelling == joined) {
            Some((_, canonical)) => (*canonical).to_owned(),
            None => joined,
        };
        let plain = guard_digit(joined);
        let type_name = guard_digit(plain.split('_').map(capitalised).collect());
        let type_name = if type_name == "Self" { "Self_".to_owned() } else { type_name };
        Ok(Self {
            spec: spec_name(raw),
            value: escaped(&plain),
            constant: plain.to_ascii_uppercase(),
            plain,
            type_name,
        })
    }
}

/// The file's spelling with runs of white space as one hyphen: how names are compared and shown.
pub(crate) fn spec_name(raw: &str) -> String {
    raw.split_whitespace().collect::<Vec<_>>().join("-")
}

/// `name`, or `name` with underscores after it until `taken` does not hold.
pub(crate) fn escape_while(mut name: String, taken: impl Fn(&str) -> bool) -> String {
    while taken(&name) {
        name.push('_');
    }
    name
}

fn guard_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        None => String::new(),
    }
}

fn escaped(plain: &str) -> String {
    if KEYWORDS.contains(&plain) {
        format!("r#{plain}")
    } else if UNRAWABLE.contains(&plain) || VARIANTS.contains(&plain) {
        format!("{plain}_")
    } else {
        plain.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(raw: &str) -> [String; 5] {
        let name = Name::new(raw).unwrap();
        [name.spec, name.plain, name.value, name.type_name, name.constant]
    }

    #[test]
    fn spaces_and_hyphens_are_the_same() {
        assert_eq!(forms("reply-code"), forms("reply code"));
        assert_eq!(
            forms(" frame  min\nsize "),
            [
                "frame-min-size",
                "frame_min_size",
                "frame_min_size",
                "FrameMinSize",
                "FRAME_MIN_SIZE"
            ]
        );
    }

    #[test]
    fn keywords_are_escaped_where_they_are_keywords() {
        assert_eq!(forms("return"), ["return", "return", "r#return", "Return", "RETURN"]);
        assert_eq!(forms("type"), ["type", "type", "r#type", "Type", "TYPE"]);
        assert_eq!(forms("self"), ["self", "self", "self_", "Self_", "SELF"]);
        assert_eq!(forms("Self"), ["Self", "Self", "Self_", "Self_", "SELF"]);
        assert_eq!(forms("crate"), ["crate", "crate", "crate_", "Crate", "CRATE"]);
        assert_eq!(forms("Some"), ["Some", "Some", "Some_", "Some", "SOME"]);
        assert_eq!(forms("some")[..3], ["some", "some", "some"]);
    }

    #[test]
    fn a_leading_digit_is_guarded() {
        assert_eq!(forms("2nd"), ["2nd", "_2nd", "_2nd", "_2nd", "_2ND"]);
        assert_eq!(forms("flag 0"), ["flag-0", "flag_0", "flag_0", "Flag0", "FLAG_0"]);
    }

    #[test]
    fn versions_spellings_become_one_but_the_spec_name_stays() {
        assert_eq!(forms("nowait")[..3], ["nowait", "no_wait", "no_wait"]);
        assert_eq!(forms("no-wait")[..3], ["no-wait", "no_wait", "no_wait"]);
        assert_eq!(forms("ticket")[1], "ticket");
        assert_eq!(forms("reserved")[1], "reserved");
    }

    #[test]
    fn case_is_kept() {
        assert_eq!(
            forms("QueueName"),
            ["QueueName", "QueueName", "QueueName", "QueueName", "QUEUENAME"]
        );
    }

    #[test]
    fn what_cannot_be_a_name_says_why() {
        assert_eq!(
            Name::new("-").unwrap_err(),
            r#"a Rust name cannot be made of "-": no letter, no digit"#
        );
        assert_eq!(
            Name::new("clé").unwrap_err(),
            r#"a Rust name cannot be made of "clé": 'é' is not ASCII"#
        );
    }

    #[test]
    fn every_form_is_an_identifier() {
        for raw in
            KEYWORDS.iter().chain(&UNRAWABLE).chain(&VARIANTS).chain(&["a.b", "9", "a/b-c d"])
        {
            let name = Name::new(raw).unwrap();
            for form in [&name.value, &name.type_name, &name.constant] {
                syn::parse_str::<syn::Ident>(form).unwrap();
            }
        }
    }
}
