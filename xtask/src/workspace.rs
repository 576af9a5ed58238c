//! The workspace that the commands are about, and cargo in it.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace, as `cargo xtask` tells it: a build knows only where it once was.
pub(crate) fn workspace() -> Result<PathBuf> {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .context("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask`")?;
    match xtask.parent() {
        Some(workspace) if workspace.join("Cargo.toml").exists() => Ok(workspace.to_owned()),
        _ => bail!(
            "there is no workspace around {}: start this as `cargo xtask` in the checkout",
            xtask.display()
        ),
    }
}

/// cargo, started in the workspace's folder.
pub(crate) fn cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace);
    cargo
}

/// The folder of everything that is built.
pub(crate) fn target_dir(workspace: &Path) -> PathBuf {
    // cargo runs in the workspace's folder: a relative value is relative to that.
    workspace.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Whether this argument asks for help.
pub(crate) fn is_help(argument: &String) -> bool {
    argument == "--help" || argument == "-h"
}
