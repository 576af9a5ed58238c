//! Stamps the build with the revision of its sources, so that every recording can say what made it.

use std::process::Command;

fn main() {
    // Any change of the sources or of HEAD may change the answer.
    for input in [
        ".git/HEAD",
        ".git/refs/heads",
        "guest-payloads",
        "harness",
        "hypervisor",
        "workloads",
    ] {
        println!("cargo::rerun-if-changed=../{input}");
    }
    let revision = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned());
    println!("cargo::rustc-env=APPORTION_REVISION={revision}");
}
