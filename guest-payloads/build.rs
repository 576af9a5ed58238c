//! Builds the guest ELF with a cargo run of its own and leaves it in OUT_DIR for the host to embed.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// Variables of the outer cargo run that would leak its profile, flags or wrapper into the guest.
fn leaks(name: &str) -> bool {
    const KEEP: [&str; 2] = ["CARGO_HOME", "CARGO_NET_OFFLINE"];
    let ours =
        name.starts_with("CARGO") || name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS");
    (ours && !KEEP.contains(&name) && !name.starts_with("CARGO_REGISTRIES"))
        || matches!(
            name,
            "RUSTDOCFLAGS" | "TARGET" | "HOST" | "PROFILE" | "OPT_LEVEL" | "DEBUG"
        )
}

fn main() {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let cargo = env::var_os("CARGO").expect("set by cargo");
    let guest = manifest_dir.join("guest");
    for input in [
        "src",
        "Cargo.toml",
        "Cargo.lock",
        "link.ld",
        ".cargo/config.toml",
    ] {
        println!("cargo::rerun-if-changed={}", guest.join(input).display());
    }
    println!(
        "cargo::rerun-if-changed={}",
        manifest_dir.join("abi").display()
    );

    let target_dir = out_dir.join("guest-target");
    let mut build = Command::new(cargo);
    build
        .args(["build", "--release", "--quiet", "--locked", "--target-dir"])
        .arg(&target_dir)
        // .cargo/config.toml of the guest is found from here.
        .current_dir(&guest);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(leaks) {
            build.env_remove(name);
        }
    }
    let status = build.status().expect("cargo can be started");
    assert!(
        status.success(),
        "the guest ELF did not build: see the messages above"
    );

    let elf = target_dir.join("x86_64-unknown-linux-gnu/release/apportion-guest");
    fs::copy(elf, out_dir.join("guest.elf")).expect("the guest ELF can be copied to OUT_DIR");
}
