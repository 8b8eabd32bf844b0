//! Becoming a background process: fork, a session of its own, standard streams to /dev/null, nothing of the caller's open.

use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::RawFd;
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
    close_inherited();
    Ok(())
}

/// Closes what the caller left open, for it would stay open for days: a lock of a script's, a pipe somebody reads to its
/// end. What this process opened itself is close-on-exec. Without `/proc` it stays open.
fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<RawFd> = open.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in numbers.into_iter().filter(|fd| *fd > libc::STDERR_FILENO) {
        // SAFETY: asks for flags, of an open descriptor or none; what is closed came through exec, so no value in this
        // process owns it.
        unsafe {
            let flags = libc::fcntl(fd, libc::F_GETFD);
            if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
                libc::close(fd);
            }
        }
    }
}
