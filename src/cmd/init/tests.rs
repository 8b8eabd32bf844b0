//! Tests of `init`: a scripted person, and providers that answer from a script.

use super::*;
use std::collections::VecDeque;

/// Answers in order; Enter once they are used up.
#[derive(Default)]
struct Person {
    answers: VecDeque<&'static str>,
    heard: Vec<String>,
}

impl Person {
    fn new(answers: &[&'static str]) -> Person {
        Person { answers: answers.iter().copied().collect(), heard: Vec::new() }
    }

    fn answer(&mut self, default: &str) -> String {
        match self.answers.pop_front() {
            None | Some("") => default.to_owned(),
            Some("-") => String::new(),
            Some(answer) => answer.to_owned(),
        }
    }
}

impl Ask for Person {
    fn say(&mut self, text: &str) {
        self.heard.push(text.to_owned());
    }

    fn line(&mut self, question: &str, default: &str) -> Result<String> {
        self.heard.push(format!("{question} [{default}]"));
        Ok(self.answer(default))
    }

    fn secret(&mut self, question: &str) -> Result<Secret> {
        self.heard.push(question.to_owned());
        Ok(Secret::new(self.answer("")))
    }
}

/// Accepts the password `right`; `None` stands for an unreachable API.
struct World {
    right: Option<&'static str>,
    tried: Vec<String>,
    /// A qBittorrent of this machine, which ends after this many looks; then nothing answers at its WebUI's address.
    local: Option<Local>,
    looks: u32,
}

impl World {
    fn new(right: Option<&'static str>) -> World {
        World { right, tried: Vec::new(), local: None, looks: 0 }
    }

    fn judge(&mut self, who: &str, pass: Option<&Secret>) -> Result<()> {
        self.tried.push(who.to_owned());
        match (self.right, pass) {
            (None, _) => Err(Error::new(Exit::Provider, "no route")),
            (Some(right), Some(pass)) if pass.reveal() == right => Ok(()),
            _ => Err(Error::new(Exit::LoginRefused, "wrong password")),
        }
    }
}

impl Trial for World {
    fn proton(&mut self, login: &ProtonTrial<'_>, _: Option<&mut dyn Ask>) -> Result<String> {
        match login.login {
            ProtonLogin::Code => self.tried.push("code".into()),
            ProtonLogin::Password => self.judge("proton", login.config.proton.pass.as_ref())?,
        }
        Ok("Plus: forwards ports".into())
    }

    fn pia(&mut self, config: &Config) -> Result<()> {
        self.judge("pia", config.pia.pass.as_ref())
    }

    fn qbittorrent(&mut self, settings: &Qbittorrent) -> Result<String> {
        if let Some(local) = &self.local {
            let wants_login = local.text.contains("WebUI\\Enabled=true");
            let exit = if wants_login { Exit::LoginRefused } else { Exit::Failed };
            return Err(Error::new(exit, "qBittorrent does not let us in"));
        }
        self.judge(&settings.url, settings.pass.as_ref()).map(|()| "v5.2.3".into())
    }

    fn local_qbittorrents(&mut self) -> Vec<Local> {
        let mut local = self.local.clone();
        if let Some(local) = &mut local {
            local.is_running = self.looks > 0;
            self.looks = self.looks.saturating_sub(1);
        }
        local.into_iter().collect()
    }

    fn write_qbittorrent(&mut self, path: &Path, text: &str) -> Result<()> {
        let local = self.local.as_mut().filter(|l| l.path == path && !l.is_running).unwrap();
        local.text = text.to_owned();
        Ok(())
    }
}

fn args(line: &str) -> Init {
    match crate::cli::parse(line.split(' ').map(Into::into)).unwrap().command {
        crate::cli::Command::Init(init) => *init,
        other => panic!("{other:?}"),
    }
}

fn by_flags(line: &str, text: &str, world: &mut World) -> Result<Outcome> {
    run(&args(line), text, (Path::new("/c"), Path::new("/r")), None, world)
}

fn by_answers(line: &str, text: &str, person: &mut Person, world: &mut World) -> Result<Outcome> {
    run(&args(line), text, (Path::new("/c"), Path::new("/r")), Some(person), world)
}

const FILE: &str = "# mine\n[network]\nks_default = true   ; sure\n\n[pia]\nuser = ..\npass = ..  ; secret\nregion = swiss\n";

#[test]
fn flags_write_the_chosen_part_and_leave_the_rest() {
    let mut world = World::new(Some("right"));
    let line = "init --pia --pia-user p1 --pia-pass right --non-interactive";
    let out = by_flags(line, FILE, &mut world).unwrap();
    assert_eq!(out.text, FILE.replace("user = ..", "user = p1").replace("pass = ..", "pass = right"));
    assert_eq!(world.tried, ["pia"]);
    let again = by_flags("init --pia --non-interactive", &out.text, &mut world).unwrap();
    assert_eq!(again.text, out.text);
}

#[test]
fn without_a_part_the_flags_choose_the_provider() {
    let mut world = World::new(Some("right"));
    let line = "init --pia-user p1 --pia-pass right --ks-default true --qb-enable false --non-interactive";
    let out = by_flags(line, "", &mut world).unwrap();
    assert_eq!(
        out.text,
        "[vpn]\nprovider = pia\n\n[pia]\nuser = p1\npass = right\n\n[qbittorrent]\nenable = false\n\n[network]\n\
         ks_default = true\n"
    );
}

#[test]
fn a_refused_login_writes_nothing_and_an_unreachable_one_keeps_the_answers() {
    let line = "init --pia --pia-user p1 --pia-pass wrong --non-interactive";
    assert_eq!(by_flags(line, "", &mut World::new(Some("right"))).unwrap_err().exit(), Exit::LoginRefused);
    let out = by_flags(line, "", &mut World::new(None)).unwrap();
    assert_eq!(out.unchecked.unwrap().exit(), Exit::Provider);
    assert!(out.text.contains("pass = wrong"));
}

#[test]
fn what_is_missing_without_a_person_is_named() {
    let e = by_flags("init --pia --non-interactive", FILE, &mut World::new(None)).unwrap_err();
    assert_eq!((e.exit(), e.to_string().as_str()), (Exit::Usage, "[pia] has no user: give --pia-user"));
}

#[test]
fn a_person_is_asked_in_turn_and_may_mistype_the_password() {
    let mut person = Person::new(&["pia", "p1", "wrong", "", "right", "nl", "false", "maybe", "true"]);
    let mut world = World::new(Some("right"));
    let out = by_answers("init", "", &mut person, &mut world).unwrap();
    assert_eq!(
        out.text,
        "[vpn]\nprovider = pia\n\n[pia]\nuser = p1\npass = right\nregion = nl\n\n[qbittorrent]\nenable = false\n\n\
         [network]\nks_default = true\n"
    );
    assert!(person.heard.contains(&"wrong password".to_owned()));
    assert!(person.heard.contains(&"It must be true or false".to_owned()));
    assert!(person.heard.iter().any(|h| h.starts_with("Provider") && h.ends_with("[proton]")));
    assert!(!person.heard.iter().any(|h| h.contains("right")), "{:?}", person.heard);
}

#[test]
fn a_login_is_tried_three_times_at_most() {
    let mut person = Person::new(&["p1", "a", "", "b", "", "c", "", "d"]);
    let mut world = World::new(Some("right"));
    let e = by_answers("init --pia", "", &mut person, &mut world).unwrap_err();
    assert_eq!((e.exit(), world.tried.len()), (Exit::LoginRefused, 3));
}

#[test]
fn the_proton_password_is_left_out_unless_the_person_keeps_it() {
    let run = |keep: &'static str| {
        let mut person = Person::new(&["password", "ann", "right", keep]);
        by_answers("init --proton", "", &mut person, &mut World::new(Some("right"))).unwrap().text
    };
    assert_eq!(run("no"), "[protonvpn]\nuser = ann\n");
    assert_eq!(run("yes"), "[protonvpn]\nuser = ann\npass = right\n");
}

#[test]
fn a_code_needs_neither_user_nor_password() {
    let mut world = World::new(None);
    let out = by_flags("init --proton --proton-login code --non-interactive", "", &mut world).unwrap();
    assert_eq!((out.text.as_str(), world.tried), ("", vec!["code".to_owned()]));
}

#[test]
fn a_refusing_webui_asks_for_its_password_and_an_absent_one_is_no_failure() {
    let mut person = Person::new(&["", "", "admin", "right"]);
    let out = by_answers("init --qb", "", &mut person, &mut World::new(Some("right"))).unwrap();
    assert_eq!(out.text, "[qbittorrent]\nuser = admin\npass = right\n");
    assert!(person.heard.contains(&"qBittorrent v5.2.3 answers".to_owned()));
    let out = by_flags("init --qb --qb-url http://h:1 --non-interactive", "", &mut World::new(None)).unwrap();
    assert_eq!(out.text, "[qbittorrent]\nurl = http://h:1\n");
    assert!(out.unchecked.is_none());
}

#[test]
fn an_unreadable_file_is_not_touched() {
    let e = by_flags("init --qb --non-interactive", "[nonsense]\n", &mut World::new(None)).unwrap_err();
    assert!(e.to_string().starts_with("/c/config.ini:1: unknown section"), "{e}");
}

/// What became of the settings file of a qBittorrent without a WebUI that runs at the first `looks`, and what was said.
fn offered(answers: &[&'static str], looks: u32) -> (String, String) {
    offered_to("[Preferences]\nWebUI\\Enabled=false\n", answers, looks)
}

fn offered_to(text: &str, answers: &[&'static str], looks: u32) -> (String, String) {
    let mut person = Person::new(answers);
    let mut world = World::new(Some("right"));
    world.local = Some(Local {
        user: "pi".into(),
        path: "/home/pi/.config/qBittorrent/qBittorrent.conf".into(),
        text: text.into(),
        is_running: false,
    });
    world.looks = looks;
    by_answers("init --qb", "", &mut person, &mut world).unwrap();
    (world.local.unwrap().text, person.heard.join("\n"))
}

#[test]
fn a_qbittorrent_without_a_webui_gets_one_while_it_is_stopped() {
    let (text, heard) = offered(&["", "", "yes"], 0);
    assert!(
        text.contains("WebUI\\Enabled=true\n") && text.contains("WebUI\\LocalHostAuth=false\n"),
        "{text}"
    );
    assert!(heard.contains("start qBittorrent again"), "{heard}");
    let (text, heard) = offered(&["", "", "yes", ""], 2);
    assert!(
        text.contains("WebUI\\Enabled=true\n") && heard.contains("stop it, then press Enter"),
        "{text}{heard}"
    );
}

#[test]
fn a_qbittorrent_that_runs_on_or_whose_owner_says_no_is_left_alone() {
    for (answers, looks, said) in [
        (&["", "", "no"][..], 0, "Not checked"),
        (&["", "", "yes", "skip"], 9, "run `pvpn init --qb`"),
        (&["", "", "yes"], 9, "run `pvpn init --qb`"),
    ] {
        let (text, heard) = offered(answers, looks);
        assert_eq!(text, "[Preferences]\nWebUI\\Enabled=false\n");
        assert!(heard.contains(said), "{heard}");
    }
}

#[test]
fn one_that_wants_a_password_nobody_knows_may_let_this_machine_in() {
    let text = "[Preferences]\nWebUI\\Enabled=true\n";
    let (after, heard) = offered_to(text, &["", "", "yes"], 0);
    assert_eq!(after, "[Preferences]\nWebUI\\LocalHostAuth=false\nWebUI\\Enabled=true\n");
    assert!(heard.contains("start qBittorrent again"), "{heard}");
    // No is what Enter says: then its user and password are asked for.
    let (after, heard) = offered_to(text, &["", "", "", "admin", "right"], 0);
    assert!(after == text && heard.contains("Its user name"), "{heard}");
}
