//! `spec expand`: what the macro emits for a class or a method, as formatted Rust.

use std::io::{ErrorKind, Write as _};

use anyhow::{Result, bail};
use syn::{File, Item, ItemMod, Type};

use super::model::Spec;
use super::{bundled, emitted};
use crate::suggest::did_you_mean;

/// Prints a class's module (`basic`), a method's items (`basic.publish`), or everything.
pub(crate) fn run(item: Option<&str>, spec: &str) -> Result<()> {
    let path = bundled::resolve(spec)?;
    let file = emitted::expansion(&path)?;
    let items = match item {
        None => file.items,
        Some(item) => select(file, item, &Names::of(&Spec::read(&path)?))?,
    };
    let file = File { shebang: None, frontmatter: None, attrs: Vec::new(), items };
    // A reader such as `head` may have seen enough; that is no failure.
    match std::io::stdout().write_all(prettyplease::unparse(&file).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The names of classes and methods as the spec writes them.
#[derive(Debug)]
struct Names(Vec<String>);

impl Names {
    fn of(spec: &Spec) -> Self {
        let methods = spec.classes.iter().flat_map(|class| &class.methods);
        let names = spec.classes.iter().map(|class| &class.name);
        Self(names.chain(methods.map(|method| &method.name)).cloned().collect())
    }

    /// The spec's name of what Rust calls so; what the macro adds has no other name.
    fn of_rust<'a>(&'a self, rust: &'a str) -> &'a str {
        let name = self.0.iter().find(|name| plain(name) == plain(rust));
        name.map_or(rust, String::as_str)
    }

    fn unknown(&self, wanted: &str, there: &[String]) -> String {
        let there: Vec<_> = there.iter().map(|name| self.of_rust(name)).collect();
        let near = did_you_mean(wanted, there.iter().copied());
        format!("`{wanted}`{near} (there are: {})", there.join(", "))
    }
}

fn select(file: File, wanted: &str, spec: &Names) -> Result<Vec<Item>> {
    let (class, method) = match wanted.split_once('.') {
        Some((class, method)) => (class, Some(method)),
        None => (wanted, None),
    };
    let mut modules: Vec<ItemMod> = file.items.into_iter().filter_map(as_module).collect();
    let names: Vec<_> = modules.iter().map(|module| module.ident.to_string()).collect();
    let Some(at) = names.iter().position(|name| plain(name) == plain(class)) else {
        bail!("no class {}", spec.unknown(class, &names));
    };
    let module = modules.swap_remove(at);
    let Some(method) = method else { return Ok(vec![Item::Mod(module)]) };
    let mut items = module.content.map(|(_, items)| items).unwrap_or_default();
    let names: Vec<_> = items.iter().filter_map(struct_name).collect();
    let Some(name) = names.iter().find(|name| plain(name) == plain(method)) else {
        bail!("class {class} has no {}", spec.unknown(method, &names));
    };
    // The enum of several replies goes by the request's name.
    let own = [name.clone(), format!("{name}Reply")];
    items.retain(|item| concerns(item, &own));
    Ok(items)
}

/// `consume-ok`, `ConsumeOk`, `consume_ok` and `r#consume_ok` are the same name.
fn plain(name: &str) -> String {
    let name = name.trim_start_matches("r#").to_ascii_lowercase();
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn as_module(item: Item) -> Option<ItemMod> {
    match item {
        Item::Mod(module) => Some(module),
        _ => None,
    }
}

fn struct_name(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        _ => None,
    }
}

/// Whether an item defines or implements something for one of these types.
fn concerns(item: &Item, names: &[String]) -> bool {
    match item {
        Item::Struct(item) => names.contains(&item.ident.to_string()),
        Item::Enum(item) => names.contains(&item.ident.to_string()),
        Item::Impl(item) => match &*item.self_ty {
            Type::Path(path) => path
                .path
                .segments
                .last()
                .is_some_and(|segment| names.contains(&segment.ident.to_string())),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, plain};
    use syn::Item;

    fn select(file: syn::File, wanted: &str) -> anyhow::Result<Vec<Item>> {
        super::select(file, wanted, &Names(["basic", "get", "get-ok"].map(str::to_owned).into()))
    }

    fn file() -> syn::File {
        syn::parse_str(
            "pub mod basic { pub struct Get; pub enum GetReply {} impl Method for Get {}
             impl X for GetReply {} pub struct GetOk; impl Method for GetOk {} pub enum Method {} }",
        )
        .unwrap()
    }

    #[test]
    fn method_comes_with_its_impls_and_replies_only() {
        assert_eq!(select(file(), "basic.get").unwrap().len(), 4);
        assert_eq!(select(file(), "basic.get-ok").unwrap().len(), 2);
        assert_eq!(select(file(), "basic").unwrap().len(), 1);
    }

    #[test]
    fn unknown_names_tell_the_known_ones() {
        let error = |name| select(file(), name).err().unwrap().to_string();
        assert_eq!(error("queue"), "no class `queue` (there are: basic)");
        assert_eq!(error("basc.get"), "no class `basc`, did you mean `basic`? (there are: basic)");
        assert_eq!(
            error("basic.get-okay"),
            "class basic has no `get-okay`, did you mean `get-ok`? (there are: get, get-ok)"
        );
        assert_eq!(plain("r#return"), plain("Return"));
    }
}
