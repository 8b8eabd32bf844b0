//! Private namespaces for tests: user, network, mounts.

use std::process::Command;

/// Runs `story` in a private namespace. `test` is the full name of the calling test.
pub fn in_namespace(test: &str, story: impl FnOnce()) {
    const INSIDE: &str = "PVPN_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("-rnm").arg(this).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("unshare(1) of util-linux");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "no test is called {test}:\n{text}");
    text.lines().filter(|l| l.contains("skipped: ")).for_each(|l| println!("{l}"));
}

/// Runs a command line that must succeed; its output.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
