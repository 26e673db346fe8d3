//! The rules of `tracestate`: a list of what vendors have to say. Only looks; changes nothing.

use super::InvalidTraceContext;

/// What may stand around the entries of the list.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];
const ENTRIES_MAX: usize = 32;
const VALUE_MAX: usize = 256;
const KEY_MAX: usize = 256;
const TENANT_MAX: usize = 241;
const SYSTEM_MAX: usize = 14;

/// Whether this is a list by the rules.
pub(super) fn check(state: &str) -> Result<(), InvalidTraceContext> {
    let mut keys = Vec::new();
    for entry in state.split(',').map(|entry| entry.trim_matches(BLANKS)) {
        if entry.is_empty() {
            continue;
        }
        let (key, value) =
            entry.split_once('=').ok_or(InvalidTraceContext("tracestate lacks a value"))?;
        if !is_key(key) {
            return Err(InvalidTraceContext("tracestate has a wrong key"));
        }
        if !is_value(value) {
            return Err(InvalidTraceContext("tracestate has a wrong value"));
        }
        if keys.contains(&key) {
            return Err(InvalidTraceContext("tracestate has a key twice"));
        }
        if keys.len() == ENTRIES_MAX {
            return Err(InvalidTraceContext("tracestate has more than 32 entries"));
        }
        keys.push(key);
    }
    Ok(())
}

/// A name, or a tenant's name at a system.
fn is_key(key: &str) -> bool {
    match key.split_once('@') {
        None => is_name(key, KEY_MAX, |first| first.is_ascii_lowercase()),
        Some((tenant, system)) => {
            is_name(tenant, TENANT_MAX, |first| {
                first.is_ascii_lowercase() || first.is_ascii_digit()
            }) && is_name(system, SYSTEM_MAX, |first| first.is_ascii_lowercase())
        }
    }
}

fn is_name(name: &str, longest: usize, begins: impl Fn(u8) -> bool) -> bool {
    let within = |octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    name.len() <= longest && name.bytes().next().is_some_and(begins) && name.bytes().all(within)
}

fn is_value(value: &str) -> bool {
    let printable = |octet| matches!(octet, b' '..=b'~') && octet != b',' && octet != b'=';
    !value.is_empty() && value.len() <= VALUE_MAX && value.bytes().all(printable)
}
