//! What differs between two specifications, item by item.
//!
//! `spec diff` prints it, `spec check` holds it against the listed deviations. An item is one fact
//! with a name (`basic.publish id`); the two sides are texts to print and compare.

use std::fmt::{self, Display};

use super::model::{Class, Field, Method, Spec};

/// One fact that is not the same in both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) item: String,
    pub(crate) left: Option<String>,
    pub(crate) right: Option<String>,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.left, &self.right) {
            (Some(left), Some(right)) => {
                write!(f, "~ {}\n    was {left}\n    now {right}", self.item)
            }
            (Some(left), None) => write!(f, "- {}: {left}", self.item),
            (None, Some(right)) => write!(f, "+ {}: {right}", self.item),
            (None, None) => write!(f, "? {}", self.item),
        }
    }
}

/// Every fact in which `right` differs from `left`, in the files' order.
pub(crate) fn diff(left: &Spec, right: &Spec) -> Vec<Difference> {
    let mut out = Differences(Vec::new());
    out.compare("version", left.version(), right.version());
    out.compare("port", &left.port, &right.port);
    let name = |constant: &super::model::Constant| constant.name.clone();
    for (name, a, b) in out.pair("constants", &left.constants, &right.constants, name) {
        out.push(
            format!("constant {name}"),
            a.map(|constant| constant.describe()),
            b.map(|constant| constant.describe()),
        );
    }
    let name = |class: &Class| class.name.clone();
    for (name, a, b) in out.pair("classes", &left.classes, &right.classes, name) {
        match (a, b) {
            (Some(a), Some(b)) => out.class(&name, a, b),
            (a, b) => out.push(format!("class {name}"), a.map(summary), b.map(summary)),
        }
    }
    out.0
}

fn summary(class: &Class) -> String {
    let methods: Vec<_> = class.methods.iter().map(|method| method.name.as_str()).collect();
    format!("id {}, methods {}", class.id, methods.join(", "))
}

struct Differences(Vec<Difference>);

impl Differences {
    fn push(&mut self, item: String, left: Option<String>, right: Option<String>) {
        if left != right {
            self.0.push(Difference { item, left, right });
        }
    }

    fn compare(&mut self, item: impl Display, left: impl Display, right: impl Display) {
        self.push(item.to_string(), Some(left.to_string()), Some(right.to_string()));
    }

    fn class(&mut self, class: &str, left: &Class, right: &Class) {
        self.compare(format!("class {class} id"), left.id, right.id);
        let handler = |class: &Class| class.handler.clone().unwrap_or_default();
        self.compare(format!("class {class} handler"), handler(left), handler(right));
        self.fields(&format!("class {class} property"), &left.properties, &right.properties);
        let what = format!("class {class} methods");
        let name = |method: &Method| method.name.clone();
        for (name, a, b) in self.pair(&what, &left.methods, &right.methods, name) {
            let item = format!("{class}.{name}");
            match (a, b) {
                (Some(a), Some(b)) => self.method(&item, a, b),
                (a, b) => self.push(item, a.map(Method::describe), b.map(Method::describe)),
            }
        }
    }

    fn method(&mut self, item: &str, left: &Method, right: &Method) {
        self.compare(format!("{item} id"), left.id, right.id);
        self.compare(format!("{item} from"), left.senders(), right.senders());
        self.compare(format!("{item} synchronous"), left.synchronous, right.synchronous);
        self.compare(format!("{item} content"), left.content, right.content);
        let replies = |method: &Method| match method.responses.join(" | ") {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        };
        self.compare(format!("{item} replies"), replies(left), replies(right));
        self.fields(&format!("{item} field"), &left.fields, &right.fields);
    }

    /// Fields by position: their order is the order on the wire.
    fn fields(&mut self, item: &str, left: &[Field], right: &[Field]) {
        for index in 0..left.len().max(right.len()) {
            let describe = |fields: &[Field]| fields.get(index).map(Field::describe);
            self.push(format!("{item} {}", index + 1), describe(left), describe(right));
        }
    }

    /// Both sides by name, and a difference if what they share stands in another order.
    fn pair<'a, T>(
        &mut self,
        what: &str,
        left: &'a [T],
        right: &'a [T],
        name: impl Fn(&T) -> String,
    ) -> Vec<(String, Option<&'a T>, Option<&'a T>)> {
        let find = |side: &'a [T], wanted: &str| side.iter().find(|item| name(item) == wanted);
        let mut pairs: Vec<_> =
            left.iter().map(|item| (name(item), Some(item), find(right, &name(item)))).collect();
        let new = right.iter().filter(|item| find(left, &name(item)).is_none());
        pairs.extend(new.map(|item| (name(item), None, Some(item))));

        let shared = |side: &'a [T], other: &'a [T]| -> Vec<String> {
            side.iter().map(&name).filter(|name| find(other, name).is_some()).collect()
        };
        let (a, b) = (shared(left, right), shared(right, left));
        if a != b {
            self.compare(format!("order of {what}"), a.join(" "), b.join(" "));
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::spec::model::Spec;

    fn spec(body: &str) -> Spec {
        Spec::parse(&format!(r#"<amqp major="0" minor="9">{body}</amqp>"#)).unwrap()
    }

    fn items(left: &str, right: &str) -> Vec<String> {
        diff(&spec(left), &spec(right)).into_iter().map(|difference| difference.item).collect()
    }

    const CLASS: &str = r#"<constant name="a" value="1"/><constant name="b" value="2"/>
        <class name="x" index="1"><method name="m" index="1"><response name="m-ok"/>
        <field name="f" type="bit"/><field name="g" type="short"/></method></class>"#;

    #[test]
    fn equal_specs_have_no_difference() {
        assert!(items(CLASS, CLASS).is_empty());
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        let changed = |from: &str, to: &str| items(CLASS, &CLASS.replace(from, to));
        assert_eq!(changed(r#"value="2""#, r#"value="3""#), ["constant b"]);
        assert_eq!(changed(r#"value="2""#, r#"value="2" class="hard error""#), ["constant b"]);
        assert_eq!(changed(r#"name="m" index="1""#, r#"name="m" index="2""#), ["x.m id"]);
        assert_eq!(changed(r#"<response name="m-ok"/>"#, ""), ["x.m replies"]);
        assert_eq!(changed(r#"type="short""#, r#"type="long""#), ["x.m field 2"]);
        assert_eq!(changed(r#"name="g""#, r#"name="h""#), ["x.m field 2"]);
        assert_eq!(
            changed(r#"index="1"><response"#, r#"index="1" content="1"><response"#),
            ["x.m content"]
        );
        assert_eq!(changed(r#"<response"#, r#"<chassis name="client"/><response"#), ["x.m from"]);
        assert_eq!(changed("</method>", r#"</method><method name="n" index="2"/>"#), ["x.n"]);
    }

    #[test]
    fn another_order_is_a_difference() {
        let a = r#"<constant name="a" value="1"/><constant name="b" value="2"/>"#;
        let b = r#"<constant name="b" value="2"/><constant name="a" value="1"/>"#;
        assert_eq!(items(a, b), ["order of constants"]);
    }
}
