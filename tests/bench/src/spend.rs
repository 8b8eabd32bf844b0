//! One run of a command: its time and memory, or when the tunnel answers.

use pvpn::sys::icmp::EchoSocket;
use pvpn::sys::socket::Egress;
use std::error::Error;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Between two echo requests; chosen: adds half of it to what is measured, on both sides alike.
const EVERY: Duration = Duration::from_millis(4);
const PATIENCE: Duration = Duration::from_secs(30);

fn command(words: &[&str]) -> Result<Command, Box<dyn Error>> {
    let (program, args) = words.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

pub fn spend(words: &[&str]) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let status = command(words)?.status()?;
    let wall = begun.elapsed();
    // The children's, theirs included; getrusage(2).
    let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?;
    let ms = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 * 1e3 + t.tv_usec() as f64 / 1e3;
    let cpu = ms(used.user_time()) + ms(used.system_time());
    println!("{:.3} {cpu:.3} {}", wall.as_secs_f64() * 1e3, used.max_rss());
    if status.success() { Ok(()) } else { Err(format!("{words:?}: {status}").into()) }
}

pub fn answered(addr: IpAddr, words: &[&str]) -> Result<(), Box<dyn Error>> {
    let socket = EchoSocket::open(addr.is_ipv4(), &Egress::plain())?;
    let mut command = command(words)?;
    let begun = Instant::now();
    let running = thread::spawn(move || (command.status(), begun.elapsed()));
    let mut seq = 0;
    while begun.elapsed() < PATIENCE {
        // Refused while the machine is closed.
        let _ = socket.send(addr, seq, &[]);
        seq = seq.wrapping_add(1);
        thread::sleep(EVERY);
        if socket.receive()?.is_some() {
            let first = begun.elapsed().as_secs_f64() * 1e3;
            let (status, whole) = running.join().map_err(|_| "the command's thread")?;
            let status = status?;
            println!("{first:.3} {:.3}", whole.as_secs_f64() * 1e3);
            return if status.success() { Ok(()) } else { Err(format!("{words:?}: {status}").into()) };
        }
    }
    Err("no answer".into())
}
