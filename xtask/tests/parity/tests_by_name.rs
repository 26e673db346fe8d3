//! Finding a test by the path of its modules.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Whether there is such a test: `root::module::name`.
pub(crate) fn has_test(roots: &[(&str, &str)], workspace: &Path, test: &str) -> bool {
    let mut modules = test.split("::");
    let Some((_, folder)) = modules.next().and_then(|root| roots.iter().find(|it| it.0 == root))
    else {
        return false;
    };
    let modules: Vec<&str> = modules.collect();
    let Some((name, modules)) = modules.split_last() else { return false };
    // As much of the path as are files; the rest are modules within the last one.
    (0..=modules.len()).rev().any(|files| {
        let (files, inner) = modules.split_at(files);
        let path = workspace.join(folder).join(files.iter().collect::<PathBuf>());
        let file = [path.with_extension("rs"), path.join("mod.rs"), path.join("main.rs")];
        file.iter().any(|file| {
            let Ok(text) = std::fs::read_to_string(file) else { return false };
            let tokens: TokenStream = text.parse().unwrap_or_default();
            within(tokens, inner, name)
        })
    })
}

/// Whether a test of this name is in these modules, themselves within the tokens.
fn within(tokens: TokenStream, modules: &[&str], name: &str) -> bool {
    let Some((module, rest)) = modules.split_first() else { return find(tokens, name) };
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    trees.windows(3).any(|window| match window {
        [word, found, TokenTree::Group(body)] => {
            word.to_string() == "mod"
                && found.to_string() == *module
                && within(body.stream(), rest, name)
        }
        _ => false,
    }) || trees.iter().any(|tree| match tree {
        TokenTree::Group(group) => within(group.stream(), modules, name),
        _ => false,
    })
}

/// Whether a function of this name with an attribute of a test is among the tokens: at their top, or within
/// what a macro is given.
fn find(tokens: TokenStream, name: &str) -> bool {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut is_test = false;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                is_test |= group.stream().into_iter().any(|word| word.to_string() == "test");
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                if find(group.stream(), name) {
                    return true;
                }
                // An item ends with its braces.
                is_test = false;
            }
            TokenTree::Ident(word) if *word == "fn" => {
                let named = trees.get(at + 1).is_some_and(|next| next.to_string() == name);
                if named && is_test {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, modules: &[&str], name: &str) -> bool {
        within(text.parse().unwrap(), modules, name)
    }

    #[test]
    fn tests_are_found_in_macros_and_modules_and_not_in_comments() {
        let text = "
            // #[test] fn in_a_comment() {}
            fn helper() {}
            #[tokio::test(start_paused = true)] async fn plain() {}
            if_spec! { a.b => { #[test] fn in_a_macro() {} } else {} }
            mod inner { #[test] fn in_a_module() {} }
        ";
        assert!(holds(text, &[], "plain"));
        assert!(holds(text, &[], "in_a_macro"));
        assert!(holds(text, &["inner"], "in_a_module"));
        for none in ["in_a_comment", "helper", "missing"] {
            assert!(!holds(text, &[], none), "{none}");
        }
        assert!(!holds(text, &["other"], "in_a_module"));
    }
}
