//! Addresses of all connectors: what they parse to, print, and refuse.

use super::*;
use crate::connect::token::{Token, TokenAt};

fn source(text: &str) -> SourceAddress {
    text.parse().expect("a valid source")
}

fn source_error(text: &str) -> String {
    text.parse::<SourceAddress>().expect_err("an invalid source").to_string()
}

fn sink_error(text: &str) -> String {
    text.parse::<SinkAddress>().expect_err("an invalid sink").to_string()
}

fn check_error(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn sources_print_what_they_parse() {
    for text in [
        "tcp://127.0.0.1:7000",
        "tcp://[::1]:0?connections=2",
        "file:/tmp/orders.bin",
        "file:orders.bin",
        "gen:orders?rate=max&seed=7&count=1000",
        "gen:orders?rate=100000&seed=1",
        "potoroo://127.0.0.1:7000",
        "potoroo://[::1]:0?streams=2",
        "potoroo://[::1]:0?token-file=/run/token&streams=2",
        "channel:",
    ] {
        assert_eq!(source(text).to_string(), text);
    }
    assert_eq!(source("gen:orders"), source("gen:orders?rate=100_000&seed=1"));
    assert_eq!(source("file:///tmp/x"), source("file:/tmp/x"));
}

#[test]
fn sinks_print_what_they_parse() {
    for text in [
        "tcp://peer.example:9",
        "tcp://[fe80::1]:9?sequence=true",
        "potoroo://peer.example:9",
        "potoroo://peer.example:9?token-file=token",
        "potoroo://peer.example:9?token-file=token&lost=a5",
        "potoroo://peer.example:9?lost=ffffffffffffffffffffffffffffffff",
        "file:a?append=true",
        "stdout:",
        "null:",
    ] {
        assert_eq!(text.parse::<SinkAddress>().expect("a valid sink").to_string(), text);
    }
    let file = SinkAddress::File { path: "a".into(), append: false };
    assert_eq!("file:a?append=false".parse(), Ok(file));
}

#[test]
fn unknown_schemes_list_the_known_ones() {
    check_error(&source_error("kafka://a/b"), &["source", "`kafka`", "tcp://", "gen:NAME"]);
    check_error(&source_error("stdout:"), &["that scheme is for sinks"]);
    check_error(&sink_error("gen:orders"), &["that scheme is for sources", "null:"]);
    check_error(&sink_error("out.txt"), &["`out.txt` has no scheme", "file:PATH"]);
    check_error(&source_error(""), &["`` has no scheme"]);
}

#[test]
fn malformed_addresses_say_what_to_write() {
    check_error(&source_error("tcp://localhost"), &["names no port", "tcp://HOST:PORT"]);
    check_error(&source_error("tcp://localhost:"), &["names no port"]);
    check_error(&source_error("tcp://:7000"), &["names no host", "127.0.0.1"]);
    check_error(&source_error("tcp://a:70000"), &["no number from 0 to 65535"]);
    check_error(&source_error("tcp://::1:7000"), &["brackets", "tcp://[::1]:PORT"]);
    check_error(&source_error("tcp://[::1]7000"), &["`[` needs `]:PORT`"]);
    check_error(&sink_error("tcp://localhost:0"), &["no peer listens at port 0"]);
    check_error(&sink_error("file:"), &["names no file"]);
    check_error(&sink_error("null:x"), &["nothing follows"]);
    check_error(&source_error("gen:"), &["names no generator"]);
    check_error(&source_error("potoroo://a:1?token-file="), &["names no file", "token-file="]);
    let two = sink_error("potoroo://a:1?token-file=f&token=hush");
    check_error(&two, &["has two tokens", "token-file=PATH"]);
}

#[test]
fn a_token_is_never_shown() {
    let address = source("potoroo://127.0.0.1:7000?token=hush&streams=3");
    assert!(!format!("{address} {address:?}").contains("hush"), "{address:?}");
    for text in ["potoroo://a:b?token=hush", "potoroo://a:1?token=hush&x=1", "x:?token=hush"] {
        let error = source_error(text);
        assert!(!error.contains("hush") && error.contains("token=…"), "{error}");
    }
    for text in [
        "potoroo://a:1?tokne=hush",
        "potoroo://a:1?token=x&token=hush",
        "potoroo://a:1?token=x?y&hush",
        "potoroo://a:1?token=x?hush",
        "potoroo://a:1?token=x&hush",
    ] {
        let address = text.parse::<SourceAddress>();
        let shown = address.map_or_else(|error| error.to_string(), |it| format!("{it:?}"));
        assert!(!shown.contains("hush"), "{shown}");
    }
    let SourceAddress::Connector { token, .. } = address else { panic!("{address}") };
    assert_eq!(token, TokenAt::Address(Token::new("hush")));
}

#[test]
fn a_text_keeps_all_but_its_tokens() {
    let text = "error: unexpected argument 'a=potoroo://h:1?token=hush&streams=1' found\n\nUsage";
    let shown = "error: unexpected argument 'a=potoroo://h:1?token=…&streams=1' found\n\nUsage";
    assert_eq!(without_tokens(text), shown);
    assert_eq!(without_tokens("what? no = \n sign"), "what? no = \n sign");
}

#[test]
fn options_are_checked() {
    check_error(&source_error("gen:a?speed=1"), &["`speed`", "`rate`, `seed`, `count`"]);
    check_error(&source_error("gen:a?rate=0"), &["`rate` cannot be `0`", "`max`"]);
    check_error(&source_error("gen:a?seed=x"), &["`seed` cannot be `x`", "a number"]);
    check_error(&source_error("gen:a?seed=1&seed=2"), &["given twice"]);
    check_error(&source_error("tcp://a:1?connections="), &["`connections` cannot be ``"]);
    check_error(&sink_error("null:?x=1"), &["`null` has none"]);
    check_error(&sink_error("file:a?append=yes"), &["`true` or `false`"]);
    check_error(&sink_error("potoroo://a:1?lost=x"), &["`lost` cannot be `x`", "has named it"]);
}
