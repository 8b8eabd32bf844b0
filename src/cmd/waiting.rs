//! What a command waits for, as a line on the terminal that goes away when the wait is over; nothing where there is no
//! terminal. And how Ctrl-C ends such a wait.

use crate::error::{Doing, Exit, Result};
use crate::sys::signal::Ending;
use crate::sys::terminal::{clear_line, eprint};

/// As long as this lives, Ctrl-C ends the command with exit 130, once `before` is done. Nothing may be forked meanwhile.
pub fn interruptible(before: impl FnOnce() + Send + 'static) -> Result<Ending> {
    let end = move || {
        before();
        // A terminal that is gone has nobody to tell.
        let _ = eprint(&format!("{}pvpn: interrupted\n", clear_line()));
        std::process::exit(i32::from(Exit::Interrupted.code()));
    };
    Ending::watch(end).doing(|| "listen for signals")
}

/// Shown while it lives.
pub struct Waiting(&'static str);

impl Waiting {
    pub fn show(text: &str) -> Waiting {
        let clear = clear_line();
        if !clear.is_empty() {
            // A terminal that is gone has nobody to tell.
            let _ = eprint(&format!("{clear}{text} ..."));
        }
        Waiting(clear)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = eprint(self.0);
    }
}
