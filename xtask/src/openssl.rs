//! OpenSSL's headers, without which the connector's feature `native-tls` does not compile on Linux.
//!
//! Whatever compiles all features asks for them first; on a machine that is its own to change, they are installed.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use crate::spec::package::{apt_get, may_install};

const INSTALL: &str = "apt-get install --yes --no-install-recommends libssl-dev pkg-config";

/// Installs them if they are missing and we may; else says the one command to run.
pub(crate) fn ensure() -> Result<()> {
    if !cfg!(target_os = "linux") || is_there() {
        return Ok(());
    }
    if !may_install() {
        bail!(
            "the feature `native-tls` of amqp-connector needs OpenSSL's headers and pkg-config; on Debian: \
             sudo {INSTALL}"
        );
    }
    println!("installing Debian's packages libssl-dev and pkg-config ...");
    if !apt_get(INSTALL)? {
        apt_get("apt-get update")?;
        apt_get(INSTALL)?;
    }
    match is_there() {
        true => Ok(()),
        false => bail!("`{INSTALL}` brought no headers that pkg-config finds"),
    }
}

/// Where openssl-sys looks: what its environment names, or what pkg-config knows.
fn is_there() -> bool {
    let named = ["OPENSSL_DIR", "OPENSSL_LIB_DIR"].iter().any(|name| env::var_os(name).is_some());
    let mut known = Command::new("pkg-config");
    named || known.args(["--exists", "openssl"]).status().is_ok_and(|status| status.success())
}
