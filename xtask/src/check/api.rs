//! The connector's public items are the same under every bundled specification, signatures included.
//!
//! Read from the pages that rustdoc writes. What the specifications emit (`protocol`, `basic`) differs by
//! nature and is left out.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use crate::project;
use crate::test::{SPECS, Spec};

/// Modules of emitted items.
const EMITTED: [&str; 3] = ["protocol/", "basic/", "amqp_types/"];
/// What has an anchor of its own on an item's page.
const KINDS: [&str; 6] =
    ["method", "tymethod", "variant", "structfield", "associatedtype", "associatedconstant"];

/// Compares what rustdoc lists.
pub(crate) fn check() -> Result<String> {
    let mut listed = Vec::new();
    for name in SPECS {
        listed.push((name, items(&Spec::parse(name)?)?));
    }
    let Some(((default, first), others)) = listed.split_first() else { bail!("no specifications") };
    let mut differences = Vec::new();
    for (name, items) in others {
        let only = |here: &str, there: &str, item: &String| {
            format!("only under {here}, not under {there}: {item}")
        };
        differences.extend(first.difference(items).map(|item| only(default, name, item)));
        differences.extend(items.difference(first).map(|item| only(name, default, item)));
    }
    match differences.is_empty() {
        true => Ok(format!("{} items, {} specifications", first.len(), SPECS.len())),
        false => bail!("{}", differences.join("\n")),
    }
}

/// Every public item under this specification, as `page#kind.name signature`.
fn items(spec: &Spec) -> Result<BTreeSet<String>> {
    let mut cargo = project::cargo();
    cargo.args(["doc", "--quiet", "--package", "amqp-connector", "--no-deps"]);
    spec.select(&mut cargo)?;
    super::cargo::quietly(cargo)?;
    let folder = spec.target_dir()?.join("doc/amqp_connector");
    let list = project::read(&folder.join("all.html"))?;
    let mut items = BTreeSet::new();
    for page in pages(&list) {
        items.extend(items_of(page, &project::read(&folder.join(Path::new(page)))?));
    }
    if items.len() < 100 {
        bail!("rustdoc's pages are not as they were: only {} items were found", items.len());
    }
    Ok(items)
}

/// The pages of items that are not emitted.
fn pages(list: &str) -> impl Iterator<Item = &str> {
    let links = list.split("<a href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.filter(|link| {
        let local = link.ends_with(".html") && !link.starts_with("../");
        local && !EMITTED.iter().any(|module| link.starts_with(module))
    })
}

/// The item of a page, and what has an anchor there.
fn items_of(page: &str, text: &str) -> BTreeSet<String> {
    let mut items = BTreeSet::from([page.to_owned()]);
    for rest in text.split(" id=\"").skip(1) {
        let Some((id, rest)) = rest.split_once('"') else { continue };
        let Some((kind, _)) = id.split_once('.') else { continue };
        if !KINDS.contains(&kind) {
            continue;
        }
        let signature = ["<h4 class=\"code-header\">", "<h3 class=\"code-header\">", "<code>"]
            .into_iter()
            .filter_map(|tag| rest.find(tag).map(|at| (at, tag)))
            .min();
        let signature = signature.and_then(|(at, tag)| {
            let rest = rest.get(at + tag.len()..)?;
            rest.split(['\n']).next()?.split("</h4>").next()?.split("</code>").next()
        });
        items.insert(format!("{page}#{id} {}", plain(signature.unwrap_or_default())));
    }
    items
}

/// HTML without its tags.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<section id=\"method.id\" class=\"method\"><h4 class=\"code-header\">\
        pub fn <a href=\"#method.id\" class=\"fn\">id</a>(&amp;self) -&gt; u16</h4></section>\
        <section id=\"variant.Acked\"><h3 class=\"code-header\">Acked</h3></section>\
        <section id=\"impl-Clone\"></section>";

    #[test]
    fn signatures_are_told_without_tags() {
        let items: Vec<String> = items_of("struct.Channel.html", PAGE).into_iter().collect();
        let method = "struct.Channel.html#method.id pub fn id(&self) -> u16";
        assert_eq!(items.first().map(String::as_str), Some("struct.Channel.html"));
        assert!(items.iter().any(|item| item == method), "{items:?}");
        assert_eq!(items.len(), 3);
    }

    #[test]
    fn emitted_modules_are_left_out() {
        let list = "<a href=\"#\"><a href=\"../x/index.html\"><a href=\"struct.A.html\">\
            <a href=\"protocol/struct.B.html\"><a href=\"arguments/enum.C.html\">";
        assert_eq!(pages(list).collect::<Vec<_>>(), ["struct.A.html", "arguments/enum.C.html"]);
    }
}
