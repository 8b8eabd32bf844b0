//! One line of `check` and `doctor`: what was looked at, whether it is well, and what to do.

use super::text::{Paint, plain};
use miniserde::{Serialize, json};

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Result {
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "failed")]
    Failed,
    /// Nobody here can tell; the text says why.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Result {
    pub const fn word(self) -> &'static str {
        match self {
            Result::Ok => "ok",
            Result::Failed => "failed",
            Result::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: String,
    pub result: Result,
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    fn new(name: &str, result: Result, text: String) -> Finding {
        Finding { name: name.to_owned(), result, text, advice: None }
    }

    pub fn ok(name: &str, text: impl Into<String>) -> Finding {
        Finding::new(name, Result::Ok, text.into())
    }

    pub fn failed(name: &str, text: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { advice: Some(advice.into()), ..Finding::new(name, Result::Failed, text.into()) }
    }

    pub fn unknown(name: &str, text: impl Into<String>) -> Finding {
        Finding::new(name, Result::Unknown, text.into())
    }

    pub fn is_failed(&self) -> bool {
        self.result == Result::Failed
    }

    /// `failed NAME: text; what to do`, without a newline.
    pub fn line(&self, paint: Paint) -> String {
        let word = match self.result {
            Result::Ok => paint.good("ok"),
            Result::Failed => paint.bad("failed"),
            Result::Unknown => paint.warn("unknown"),
        };
        let advice = self.advice.as_ref().map_or(String::new(), |a| format!("; {a}"));
        format!("{word} {}: {}", self.name, plain(&format!("{}{advice}", self.text)))
    }
}

/// All lines, each with its newline.
pub fn lines(findings: &[Finding], paint: Paint) -> String {
    findings.iter().map(|f| f.line(paint) + "\n").collect()
}

/// One array on one line.
pub fn emit_json(findings: &[Finding]) -> String {
    json::to_string(findings) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wrong_and_what_to_do() {
        let found = [Finding::ok("mtu", "1420"), Finding::failed("clock", "an hour behind", "set it")];
        assert_eq!(lines(&found, Paint::Plain), "ok mtu: 1420\nfailed clock: an hour behind; set it\n");
        assert_eq!(
            emit_json(&found[1..]),
            "[{\"name\":\"clock\",\"result\":\"failed\",\"text\":\"an hour behind\",\"advice\":\"set it\"}]\n"
        );
    }

    #[test]
    fn what_others_wrote_does_not_move_the_cursor() {
        assert!(!Finding::unknown("x", "a\x1b[2Jb\nc").line(Paint::Plain).contains(['\x1b', '\n']));
    }
}
