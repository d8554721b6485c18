//! Tokens that no hello can hold are an error before anything is sent.

use potoroo_connector::{Error, Frame, HELLO_BYTES_MAX, HELLO_TEXT_BYTES_MAX, Options, Role};
use potoroo_connector::{Sink, Source, VERSION};

#[track_caller]
fn check_misused<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    match outcome {
        Err(Error::Misused(text)) => assert!(text.contains("1024 bytes"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hello_of_the_longest_texts_can_be_read_by_a_stranger() {
    let text = "x".repeat(HELLO_TEXT_BYTES_MAX);
    let (token, application, endpoint) = (&*text, &*text, &*text);
    let mut bytes = Vec::new();
    Frame::Hello { version: VERSION, role: Role::Sink, token, application, endpoint }
        .encode(&mut bytes);
    assert!(bytes.len() - 4 <= HELLO_BYTES_MAX, "{}", bytes.len());
}

/// A port without a listener; nothing is sent.
#[test]
fn longer_texts_are_refused_by_both_clients() {
    for bytes in [HELLO_TEXT_BYTES_MAX + 1, 70_000] {
        let text = "x".repeat(bytes);
        let options = || Options::new("127.0.0.1:1");
        check_misused(Source::connect(Options { token: text.clone(), ..options() }));
        check_misused(Source::connect(Options { application: text.clone(), ..options() }));
        check_misused(Source::connect(Options { endpoint: text.clone(), ..options() }));
        check_misused(Sink::listen("127.0.0.1:0", &text, 0));
    }
}

/// The debug output of a client has no token.
#[test]
fn a_token_is_in_no_debug_form() {
    let options = Options { token: "hush".into(), ..Options::new("h:1") };
    let sink = Sink::listen("127.0.0.1:0", "hush", 0).expect("a free port");
    let (application, endpoint) = ("a", "e");
    let role = Role::Source;
    let version = VERSION;
    let hello = Frame::Hello { version, role, token: "hush", application, endpoint };
    let shown = format!("{options:?} {sink:?} {hello:?}");
    assert!(!shown.contains("hush") && shown.contains("h:1"), "{shown}");
}
