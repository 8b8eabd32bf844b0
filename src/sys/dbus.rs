//! A connection to the system bus: the handshake (D-Bus specification, "Authentication Protocol"), then one call after
//! the other, each waited for. The services asked answer within milliseconds; one that does not is given up, so that
//! the handshake and each call hold up the supervisor's loop no longer than [`ANSWER`].

use super::{Clock, clock};
use crate::time::{Duration, Instant, secs};
use crate::wire::dbus::{Arg, Incoming, PREFIX, Target, emit_call, message_len, parse};
use nix::unistd::geteuid;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// "Well-known Message Bus Instances": every bus of Linux listens here, whatever else it does.
const SOCKET: &str = "/run/dbus/system_bus_socket";
/// Chosen: a busy Pi answers in some milliseconds.
const ANSWER: Duration = secs(2);
/// Messages that are no answer before ours must have come; chosen, a new connection is sent two or three.
const OTHERS_MOST: usize = 64;
const LINE_MOST: usize = 256;
const BUS: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// Why a call is not done.
#[derive(Debug)]
pub enum CallError {
    /// The bus or the service says so.
    Refused {
        name: String,
        text: String,
    },
    Io(io::Error),
}

impl From<io::Error> for CallError {
    fn from(e: io::Error) -> CallError {
        CallError::Io(e)
    }
}

/// The bus, with a name of our own on it.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    /// For the handshake, and for each call.
    patience: Duration,
    until: Instant,
}

impl Bus {
    /// `None` where there is no bus.
    pub fn open() -> io::Result<Option<Bus>> {
        match UnixStream::connect(Path::new(SOCKET)) {
            Ok(stream) => Bus::greet(stream, ANSWER).map(Some),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Says who we are, which the bus checks by the socket's credentials, and asks for a name.
    fn greet(stream: UnixStream, patience: Duration) -> io::Result<Bus> {
        stream.set_write_timeout(Some(patience))?;
        let mut bus = Bus { stream, serial: 0, patience, until: clock::System.now() + patience };
        let mut hello = "\0AUTH EXTERNAL ".to_owned();
        for digit in geteuid().to_string().bytes() {
            // Writing into a String does not fail.
            let _ = write!(hello, "{digit:02x}");
        }
        bus.stream.write_all((hello + "\r\n").as_bytes())?;
        let answer = bus.read_line()?;
        if !answer.starts_with("OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the bus says {answer:?}")));
        }
        bus.stream.write_all(b"BEGIN\r\n")?;
        match bus.call(&BUS, "Hello", &[]) {
            Ok(_) => Ok(bus),
            Err(CallError::Io(e)) => Err(e),
            Err(CallError::Refused { name, .. }) => Err(io::Error::other(name)),
        }
    }

    /// A line of the handshake, byte by byte: what follows it is a message.
    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") && line.len() < LINE_MOST {
            self.read(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Makes a call and waits for its reply; the reply's body.
    pub fn call(&mut self, target: &Target, member: &str, args: &[Arg]) -> Result<Vec<u8>, CallError> {
        self.serial += 1;
        self.until = clock::System.now() + self.patience;
        self.stream.write_all(&emit_call(self.serial, target, member, args)).map_err(timed_out)?;
        for _ in 0..OTHERS_MOST {
            match self.receive()? {
                Incoming::Done { serial, body } if serial == self.serial => return Ok(body),
                Incoming::Failed { serial, name, text } if serial == self.serial => {
                    return Err(CallError::Refused { name, text });
                }
                _ => {}
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    fn receive(&mut self) -> io::Result<Incoming> {
        let malformed = |e| io::Error::new(io::ErrorKind::InvalidData, e);
        let mut b = vec![0; PREFIX];
        self.read(&mut b)?;
        let prefix = b.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
        let len = message_len(prefix).map_err(malformed)?;
        b.resize(len, 0);
        self.read(&mut b[PREFIX..])?;
        parse(&b).map_err(malformed)
    }

    /// Fills the bytes, until the time is up.
    fn read(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = self.until.since(clock::System.now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => bytes = &mut bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(timed_out(e)),
            }
        }
        Ok(())
    }
}

/// A socket's own word for "the time is up" is EAGAIN.
fn timed_out(e: io::Error) -> io::Error {
    if e.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { e }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// A reply (kind 2) or an error (kind 3) to this serial, with header fields as far as the parser wants them.
    fn reply(kind: u8, serial: u8) -> Vec<u8> {
        let mut fields = vec![5, 1, b'u', 0, serial, 0, 0, 0];
        if kind == 3 {
            fields.extend([4, 1, b's', 0, 3, 0, 0, 0, b'a', b'.', b'B', 0, 0, 0, 0, 0]);
        }
        let len = if kind == 3 { 20 } else { 8 };
        let mut b = vec![b'l', kind, 1, 1, 0, 0, 0, 0, 9, 0, 0, 0, len, 0, 0, 0];
        b.extend(fields);
        b
    }

    fn receive(stream: &mut UnixStream) {
        let mut b = vec![0; PREFIX];
        stream.read_exact(&mut b).unwrap();
        let len = message_len(b.first_chunk().unwrap()).unwrap();
        b.resize(len, 0);
        stream.read_exact(&mut b[PREFIX..]).unwrap();
    }

    #[test]
    fn a_call_waits_for_its_own_answer() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let bus = thread::spawn(move || {
            let mut line = vec![0; "\0AUTH EXTERNAL \r\n".len() + 2 * geteuid().to_string().len()];
            theirs.read_exact(&mut line).unwrap();
            assert!(line.starts_with(b"\0AUTH EXTERNAL 3"));
            theirs.write_all(b"OK 0123456789abcdef\r\n").unwrap();
            theirs.read_exact(&mut [0; 7]).unwrap();
            receive(&mut theirs);
            theirs.write_all(&[reply(4, 0), reply(2, 1)].concat()).unwrap();
            receive(&mut theirs);
            theirs.write_all(&[reply(2, 1), reply(3, 2)].concat()).unwrap();
        });
        let mut bus_of_ours = Bus::greet(ours, ANSWER).unwrap();
        let Err(CallError::Refused { name, .. }) = bus_of_ours.call(&BUS, "ListNames", &[]) else { panic!() };
        assert_eq!(name, "a.B");
        bus.join().unwrap();
    }

    #[test]
    fn a_bus_that_speaks_slowly_is_given_up_too() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let bus = thread::spawn(move || {
            while theirs.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let e = Bus::greet(ours, Duration::from_millis(50)).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        bus.join().unwrap();
    }

    #[test]
    fn a_bus_that_refuses_or_goes_away_is_an_error() {
        for answer in [&b"REJECTED EXTERNAL\r\n"[..], b""] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(answer).unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(Bus::greet(ours, ANSWER).is_err());
        }
    }
}
