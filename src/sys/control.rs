//! The control socket: a listener that only root may open, clients with bounded buffers, and the commands' end of it.
//!
//! Whatever a client sends or does not read, the supervisor neither waits nor grows: a request is one line of at most
//! `control::LINE_MOST` bytes, an unread reply queue is bounded, and who is over a bound is dropped. Made with umask
//! 0177, so that there is no moment in which others could connect (GHSA-p9rr-wc9m-qmwg).

use crate::daemon::clients::ClientId;
use crate::daemon::control::{CLIENTS_MOST, LINE_MOST};
use crate::time::Duration;
use nix::sys::stat::{Mode, umask};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Bytes of replies that a client may leave unread; chosen: a minute of progress lines, several snapshots.
const UNREAD_MOST: usize = 128 << 10;

/// The supervisor's end.
#[derive(Debug)]
pub struct Server {
    /// `None` once it could not be made: clients that are there are still served.
    listener: Option<UnixListener>,
    clients: Vec<Client>,
    /// Those dropped since [`Server::take_gone`].
    gone: Vec<ClientId>,
    next: ClientId,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    stream: UnixStream,
    input: Vec<u8>,
    output: VecDeque<u8>,
    /// Closed once the output is out.
    ends: bool,
}

/// What reading from a client gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Whole lines, without their newlines.
    Lines(Vec<String>),
    /// It went, or sent more than a request may be.
    Gone,
}

impl Server {
    /// Listens at `path`, in place of what an earlier supervisor left there.
    pub fn listen(path: &Path) -> io::Result<Server> {
        let mut server = Server::without_listener();
        server.listen_again(path)?;
        Ok(server)
    }

    /// Listens at `path` in place of before; clients that are there stay.
    pub fn listen_again(&mut self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Serves only those handed over by [`Server::add`].
    pub fn without_listener() -> Server {
        Server { listener: None, clients: Vec::new(), gone: Vec::new(), next: 1 }
    }

    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Each client's descriptor and whether there is output for it.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, bool)> {
        self.clients.iter().map(|c| (c.id, c.stream.as_fd(), !c.output.is_empty()))
    }

    /// Takes in everybody who waits at the listener. Over the limit the oldest client goes, most likely one that hangs.
    pub fn accept(&mut self) {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(UnixListener::accept) {
            if self.clients.len() >= CLIENTS_MOST {
                log::debug!("control: too many clients: the oldest goes");
                self.gone.push(self.clients.remove(0).id);
            }
            if let Err(e) = self.add(stream) {
                log::debug!("control: {e}");
            }
        }
    }

    /// Serves this stream.
    pub fn add(&mut self, stream: UnixStream) -> io::Result<ClientId> {
        stream.set_nonblocking(true)?;
        let id = self.next;
        self.next += 1;
        self.clients.push(Client { id, stream, input: Vec::new(), output: VecDeque::new(), ends: false });
        Ok(id)
    }

    /// Reads what there is, at most one request's length at a time.
    pub fn read(&mut self, id: ClientId) -> Heard {
        let Some(client) = self.clients.iter_mut().find(|c| c.id == id) else { return Heard::Gone };
        let mut buffer = [0; 4096];
        match client.stream.read(&mut buffer) {
            Ok(0) => Heard::Gone,
            Ok(n) => {
                client.input.extend_from_slice(&buffer[..n]);
                let lines = take_lines(&mut client.input);
                if client.input.len() > LINE_MOST { Heard::Gone } else { Heard::Lines(lines) }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Heard::Lines(Vec::new())
            }
            Err(_) => Heard::Gone,
        }
    }

    /// Queues a reply line and sends what the client takes. `ends`: the client is closed after it.
    pub fn send(&mut self, id: ClientId, line: &str, ends: bool) {
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == id) {
            client.output.extend(line.as_bytes());
            client.ends |= ends;
        }
        self.flush(id);
    }

    /// Sends what the client takes; drops one that is done, gone, or does not read.
    pub fn flush(&mut self, id: ClientId) {
        let Some(i) = self.clients.iter().position(|c| c.id == id) else { return };
        let client = &mut self.clients[i];
        let alive = client.flush();
        if !alive || client.output.len() > UNREAD_MOST || (client.ends && client.output.is_empty()) {
            self.gone.push(self.clients.remove(i).id);
        }
    }

    pub fn drop_client(&mut self, id: ClientId) {
        self.clients.retain(|c| c.id != id);
        self.gone.push(id);
    }

    /// Who went since this was asked last, for whatever reason.
    pub fn take_gone(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.gone)
    }
}

impl Client {
    /// Whether the client is still there.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(self.output.as_slices().0) {
                Ok(0) => return false,
                Ok(n) => drop(self.output.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

fn take_lines(input: &mut Vec<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(end) = input.iter().position(|b| *b == b'\n') {
        let line: Vec<u8> = input.drain(..=end).collect();
        lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
    }
    lines
}

/// A command's end.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
}

impl Connection {
    /// Connects to a running supervisor; `None` when there is none to answer.
    pub fn open(path: &Path) -> io::Result<Option<Connection>> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Some(Connection::over(stream))),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    pub fn over(stream: UnixStream) -> Connection {
        Connection { stream, input: Vec::new() }
    }

    pub fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        self.stream.write_all(line.as_bytes())
    }

    /// Reads what is there within `timeout`; lines without their newlines. `UnexpectedEof` when the supervisor went.
    pub fn read_lines(&mut self, timeout: Duration) -> io::Result<Vec<String>> {
        self.stream.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.input.extend_from_slice(&buffer[..n]);
                    let lines = take_lines(&mut self.input);
                    if !lines.is_empty() {
                        return Ok(lines);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Server, ClientId, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut server = Server::without_listener();
        let id = server.add(ours).unwrap();
        (server, id, theirs)
    }

    #[test]
    fn lines_come_whole_and_garbage_is_bounded() {
        let (mut server, id, mut theirs) = pair();
        theirs.write_all(b"sta").unwrap();
        assert_eq!(server.read(id), Heard::Lines(vec![]));
        theirs.write_all(b"tus\ncancel\nx").unwrap();
        assert_eq!(server.read(id), Heard::Lines(vec!["status".into(), "cancel".into()]));
        theirs.write_all(&vec![b'a'; LINE_MOST + 4096]).unwrap();
        let mut last = Heard::Lines(vec![]);
        for _ in 0..6 {
            last = server.read(id);
            if last == Heard::Gone {
                break;
            }
        }
        assert_eq!(last, Heard::Gone);
    }

    #[test]
    fn a_client_that_never_reads_is_dropped() {
        let (mut server, id, theirs) = pair();
        let line = "x".repeat(8 << 10);
        for _ in 0..1000 {
            server.send(id, &line, false);
        }
        assert_eq!((server.take_gone(), server.clients().count()), (vec![id], 0));
        drop(theirs);
    }

    #[test]
    fn the_last_reply_closes() {
        let (mut server, id, theirs) = pair();
        server.send(id, "done 0 ok\n", true);
        assert_eq!((server.take_gone(), server.clients().count()), (vec![id], 0));
        let mut connection = Connection::over(theirs);
        assert_eq!(connection.read_lines(Duration::from_secs(1)).unwrap(), ["done 0 ok"]);
        let e = connection.read_lines(Duration::from_secs(1)).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// The control of leak class L18. The umask is the whole process's, so this runs in one of its own.
    #[test]
    fn a_socket_made_with_the_usual_umask_is_not_roots_alone() {
        use std::os::unix::fs::PermissionsExt;
        const ALONE: &str = "PVPN_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "sys::control::tests::a_socket_made_with_the_usual_umask_is_not_roots_alone";
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"));
            return;
        }
        umask(Mode::from_bits_truncate(0o022));
        let path = std::env::temp_dir().join(format!("pvpn-bare-{}.sock", std::process::id()));
        let _bare = UnixListener::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        fs::remove_file(&path).unwrap();
    }

    /// Leak class L18.
    #[test]
    fn the_socket_is_roots_alone_from_its_first_moment() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("pvpn-control-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("control.sock");
        assert!(Connection::open(&path).unwrap().is_none());
        let first = Server::listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(first);
        assert!(Connection::open(&path).unwrap().is_none());
        let mut second = Server::listen(&path).unwrap();
        assert!(Connection::open(&path).unwrap().is_some());
        second.accept();
        assert_eq!(second.clients().count(), 1);
        fs::remove_file(&path).unwrap();
        second.listen_again(&path).unwrap();
        let _waiting: Vec<_> = (0..CLIENTS_MOST).map(|_| Connection::open(&path).unwrap()).collect();
        second.accept();
        assert_eq!(second.clients().count(), CLIENTS_MOST);
        assert_eq!(second.take_gone(), [1], "the oldest made room");
        fs::remove_dir_all(&dir).unwrap();
    }
}
