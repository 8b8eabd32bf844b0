//! Becoming a background process: fork, a session of its own, standard streams to /dev/null.

use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::net::UnixStream;

/// Runs `child` in a background process that outlives this one; it ends with the code that `child` returns. The stream
/// leads to the one that `child` is given. Has to be called before any thread is started.
pub fn start(child: impl FnOnce(UnixStream) -> u8) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: commands start no threads before this (the log is written by the caller's), so the child has the whole
    // process and may go on as usual.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(ours),
        ForkResult::Child => {
            drop(ours);
            let code = match detach() {
                Ok(()) => child(theirs),
                Err(_) => 1,
            };
            std::process::exit(i32::from(code));
        }
    }
}

fn detach() -> io::Result<()> {
    setsid()?;
    chdir("/")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
