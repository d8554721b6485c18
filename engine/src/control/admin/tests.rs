//! The admin port over real connections.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::super::report::{example, example_cluster, example_core};
use super::*;
use crate::cluster::view::ClusterView;
use crate::connect::mail::{PresentStorage, storage_channel};
use crate::control::rollback_requests::RollbackRequests;

fn open() -> AdminHandle {
    let core = example_core();
    let cluster = Some(example_cluster());
    let watch = move || {
        let (cores, cluster) = (vec![core.clone()], cluster.clone());
        Status { snapshot: example(), cores, cluster, links: Vec::new() }
    };
    serve(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(watch), None).expect("a free port")
}

fn get(admin: &AdminHandle, path: &str) -> (String, String) {
    ask(admin, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn ask(admin: &AdminHandle, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(admin.address()).expect("a connection");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (head.to_string(), body.to_string())
}

#[test]
fn status_is_json() {
    let (head, body) = get(&open(), "/status");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    let value: serde_json::Value = serde_json::from_str(&body).expect("valid JSON");
    assert_eq!(value["application"], "market-spread");
    assert_eq!(value["per_core"][0]["turns"], 10);
}

#[test]
fn the_cluster_is_json_or_not_there() {
    let (head, body) = get(&open(), "/cluster");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    assert_eq!(serde_json::from_str::<ClusterView>(&body).ok(), Some(example_cluster()));
    let alone =
        || Status { snapshot: example(), cores: Vec::new(), cluster: None, links: Vec::new() };
    let at = SocketAddr::from(([127, 0, 0, 1], 0));
    let (head, body) = get(&serve(at, Arc::new(alone), None).expect("a free port"), "/cluster");
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("no cluster is known"), "{head}");
}

#[test]
fn metrics_are_prometheus_text() {
    let (head, body) = get(&open(), "/metrics");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("openmetrics"), "{head}");
    assert!(body.contains("potoroo_source_events_total{source=\"orders\"} 1000000"), "{body}");
}

#[test]
fn other_paths_list_the_known_ones() {
    let (head, body) = get(&open(), "/");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert!(body.contains("/status") && body.contains("/metrics"), "{body}");
}

#[test]
fn a_port_in_use_is_named() {
    let admin = open();
    let watch: ReadStatus = Arc::new(|| unreachable!("no request"));
    let text = serve(admin.address(), watch, None).expect_err("in use").to_string();
    assert!(text.contains(&admin.address().to_string()), "{text}");
    assert!(text.contains("another process has that port"), "{text}");
}

#[test]
fn dropping_closes_the_port_even_with_a_client() {
    let admin = open();
    let address = admin.address();
    let mut idle = TcpStream::connect(address).expect("a connection");
    drop(admin);
    // The server's end is gone: end of stream or reset, depending on what was accepted.
    assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

/// After the drop the place of checkpoints can be used again.
#[test]
fn dropping_waits_until_nothing_looks_into_checkpoints() {
    let place = Arc::new(());
    let held = place.clone();
    let inspect: operator::Inspect = Arc::new(move |_, _| Ok(Some(format!("{held:?}"))));
    let (sender, _messages) = storage_channel();
    let storage = PresentStorage::default();
    storage.set(Some(sender));
    let watch: ReadStatus = Arc::new(|| unreachable!("no request"));
    let operator = Some(Operator { storage, rollbacks: RollbackRequests::default(), inspect });
    let admin = serve(SocketAddr::from(([127, 0, 0, 1], 0)), watch, operator).expect("a free port");
    drop(admin);
    assert_eq!(Arc::strong_count(&place), 1);
}

#[test]
fn a_web_page_is_refused() {
    let admin = open();
    let refused = |request: &str, part: &str| {
        let (head, body) = ask(&admin, &format!("{request}\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 403"), "{request}: {head}");
        assert!(body.contains(part), "{request}: {body}");
    };
    let port = admin.address().port();
    refused(&format!("GET /status HTTP/1.1\r\nHost: evil.example:{port}"), "127.0.0.1");
    refused("GET /nothing HTTP/1.1\r\nHost: evil.example", "127.0.0.1");
    refused("GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example", "Origin");
    refused("GET /status HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site", "Sec-Fetch");
    refused("POST /checkpoint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", "X-Potoroo: 1");
    refused("GET /state/markets/ACME HTTP/1.1\r\nHost: localhost", "X-Potoroo: 1");
    let marked = "POST /checkpoint HTTP/1.1\r\nHost: localhost\r\nX-Potoroo: 1\r\n\r\n";
    let (head, body) = ask(&admin, marked);
    assert!(head.starts_with("HTTP/1.1 409") && body.contains("--state"), "{head}: {body}");
}

#[test]
fn half_sent_requests_are_closed() {
    let admin = open();
    let begun: Vec<TcpStream> = (0..2 * CONNECTIONS_MAX)
        .map(|number| {
            let mut stream = TcpStream::connect(admin.address()).expect("a connection");
            let bytes = [&b""[..], b"GET /status HTTP/1.1\r\nHost: loc"][number % 2];
            stream.write_all(bytes).expect("a part of a request");
            stream
        })
        .collect();
    let (head, _) = get(&admin, "/status");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for mut stream in begun {
        // Closed, with or without a word.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let long = "x".repeat(100_000);
    let (head, _) = get(&open(), &format!("/status?{long}"));
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
}
