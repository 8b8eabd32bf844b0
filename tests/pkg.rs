//! What is shipped beside the binary: units, scripts, the package's layout, and that the pages name things that exist.

#[path = "pkg/install.rs"]
mod install;
#[path = "pkg/maintainer.rs"]
mod maintainer;
#[path = "pkg/pages.rs"]
mod pages;
#[path = "pkg/services.rs"]
mod services;
#[path = "pkg/shells.rs"]
mod shells;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Whether a program is installed, for checks that need one.
fn has(program: &str) -> bool {
    let is_there = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()));
    if !is_there {
        eprintln!("skipped: this machine has no {program}; `make setup` installs it");
    }
    is_there
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Runs it; its words. It must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// A directory of its own that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("pvpn-pkg-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// A PATH on which these scripts come before the machine's programs.
    fn fakes(&self, scripts: &[(&str, &str)]) -> String {
        let dir = self.0.join("fakes");
        std::fs::create_dir_all(&dir).unwrap();
        for (name, script) in scripts {
            std::fs::write(dir.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        format!("{}:{}", dir.display(), std::env::var("PATH").unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
