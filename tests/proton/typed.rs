//! `pvpn init` on a pseudo terminal, answered as a person types, against the API in its process.

use super::*;
use pvpn::config::load::FILE_NAME;
use std::process::Output;

/// Runs `pvpn init` with these words in the world's directory; `script` is for `typed.py`.
fn init(world: &World, words: &[&str], script: &str) -> Output {
    let path = world.dir.join("script");
    std::fs::write(&path, script).unwrap();
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/guest/typed.py")).arg(&path);
    command
        .arg(env!("CARGO_BIN_EXE_pvpn"))
        .args(["--config-dir", world.dir.to_str().unwrap(), "init"])
        .args(words);
    command.env_remove("SUDO_USER").output().unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file as a person keeps it, and what of it must never change.
fn file(world: &World) -> String {
    format!(
        "# my own\n[network]\nlan = 192.168.1.0/24   ; home\nks_default = true\n\n[protonvpn] ; the provider\n\
         api_url = https://127.0.0.1:{}\nca_file = {}/ca.pem # for tests\nuser = ..\npass = ..\n\n\
         [monitor]\ninterval = 30\n",
        world.port,
        world.dir.display()
    )
}

#[test]
fn a_mistyped_password_is_asked_for_again_and_never_shown() {
    in_namespace("typed::a_mistyped_password_is_asked_for_again_and_never_shown", || {
        let world = World::new("typed");
        let path = world.dir.join(FILE_NAME);
        std::fs::write(&path, file(&world)).unwrap();
        let script = "? Log in by password\n> \n? Proton user name\n> tester@example.org\n? Proton password\n\
                      * not the password\n? wrong user name, password or code\n? Proton user name [tester@example.org]\n\
                      > \n? Proton password\n* correct horse battery staple\n? Logged in to Proton, plan VPN Plus\n\
                      ? Keep the password\n> no\n? written: \n";
        let output = init(&world, &["--proton"], script);
        assert!(output.status.success(), "{}", shown(&output));
        let text = std::fs::read_to_string(&path).unwrap();
        let expected =
            file(&world).replace("user = ..", "user = tester@example.org").replace("pass = ..\n", "");
        assert_eq!(text, expected);
        assert!(world.has_session());

        // Part by part: the network alone, everything else as it is.
        let script = "? Close the kill switch on connect (true, false) [true]\n> false\n? provider's resolver\n> \n\
                      ? more load\n> 900\n? It must be\n? more load\n> 70\n? Networks that stay reachable\n> \n";
        let output = init(&world, &["--network"], script);
        assert!(output.status.success(), "{}", shown(&output));
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = expected.replace("ks_default = true", "ks_default = false\nthreshold_default = 70");
        assert_eq!(text, changed);
    });
}

#[test]
fn who_gives_up_leaves_the_file_as_it_was_and_the_echo_on() {
    in_namespace("typed::who_gives_up_leaves_the_file_as_it_was_and_the_echo_on", || {
        let world = World::new("given-up");
        let path = world.dir.join(FILE_NAME);
        std::fs::write(&path, file(&world)).unwrap();
        let words = "? Log in by password\n> \n? Proton user name\n> tester@example.org\n? Proton password\n";
        let three = "* mistyped\n? Proton user name\n> \n? Proton password\n".repeat(2) + "* mistyped\n";
        let output = init(&world, &["--proton"], &format!("{words}{three}"));
        assert_eq!(output.status.code(), Some(10), "{}", shown(&output));
        // Ctrl-C while the echo is off.
        let output =
            init(&world, &["--proton"], &format!("{words}> \u{3}\n? interrupted: nothing was written\n"));
        assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), file(&world));
    });
}
