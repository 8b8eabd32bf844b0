use super::*;

/// RTM_GETLINK and RTM_NEWLINK (linux/rtnetlink.h); reading links needs no right and changes nothing.
const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;

fn links() -> Message {
    Message::new(RTM_GETLINK, 0, &[0; 16])
}

#[test]
fn a_dump_is_read_to_its_end() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    for _ in 0..3 {
        let replies = socket.dump(&links()).unwrap();
        assert!(!replies.is_empty());
        assert!(replies.iter().all(|r| r.kind == RTM_NEWLINK));
    }
}

#[test]
fn a_question_is_answered_before_its_ack_and_a_refusal_keeps_its_errno() {
    let mut socket = Socket::open(Protocol::Route).unwrap();
    let mut message = links();
    message.put_str(3, "lo"); // IFLA_IFNAME
    assert_eq!(socket.ask(&message).unwrap().len(), 1);

    let mut missing = links();
    missing.put_str(3, "no-such-link");
    let e = socket.ask(&missing).unwrap_err();
    assert_eq!(errno(&e), Some(libc::ENODEV));
    assert!(tolerate(Err(e), &[libc::ENODEV]).is_ok());
    assert_eq!(socket.ask(&message).unwrap().len(), 1, "the refusal leaves nothing behind");
}

#[test]
fn a_refusal_reads_like_a_sentence() {
    let e = refused(libc::EEXIST, "rule exists already");
    assert_eq!(e.to_string(), "rule exists already: File exists (os error 17)");
    assert_eq!((errno(&e), e.kind()), (Some(libc::EEXIST), io::ErrorKind::AlreadyExists));
    assert_eq!(refused(libc::ENODEV, "").to_string(), "No such device (os error 19)");
    assert_eq!(errno(&io::Error::other("x")), None);
}

#[test]
fn a_failed_batch_says_which_message() {
    let messages = [Message::new(0x0a00, 0, &[]), Message::new(0x0a06, 0, &[])];
    let ack = Ack { errno: libc::ENOENT, text: Some("no such chain".to_owned()), offset: None };
    let text = batch_failure(2, &messages, ack.clone()).to_string();
    assert_eq!(text, "message 2 of 2 (kind 0x0a06): no such chain: No such file or directory (os error 2)");
    let text = batch_failure(0, &messages, Ack { text: None, ..ack }).to_string();
    assert_eq!(text, "the transaction as a whole: No such file or directory (os error 2)");
}

#[test]
fn a_subscriber_with_nothing_to_hear_does_not_wait() {
    let socket = Socket::subscribe(Protocol::Route, &[1]).unwrap();
    // Links of the machine may change while this runs, so read until there is nothing.
    while socket.poll_receive(|_| Ok(Some(()))).is_ok() {}
    assert_eq!(socket.poll_receive(|_| Ok(Some(()))).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
