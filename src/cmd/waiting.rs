//! What a command waits for, as a line on the terminal that goes away when the wait is over; nothing where there is no
//! terminal.

use crate::sys::terminal::{clear_line, eprint};

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
