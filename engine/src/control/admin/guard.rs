//! Which requests the admin port answers: those of programs on this host, and of no web page.
//!
//! A browser on this host reaches the port for any page that it shows. A page whose name is made to
//! resolve to 127.0.0.1 shows itself by `Host`, a request from another page by `Origin` or
//! `Sec-Fetch-Site`; and a form or an image cannot set a header of its own.

use axum::extract::Request;
use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Stands in each request that has a checkpoint taken or restored, with any value. No form can set
/// it, and a script of another page only after a question that this port never answers with yes.
pub const MARK: &str = "x-potoroo";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets requests of this host's programs through.
pub(super) async fn local(request: Request, next: Next) -> Response {
    match refusal(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(reason) => refused(reason),
    }
}

/// Lets requests through that may change something.
pub(super) async fn marked(request: Request, next: Next) -> Response {
    match request.headers().contains_key(MARK) {
        true => next.run(request).await,
        false => refused(
            "this has a checkpoint taken or restored, and needs a header that no web page can set: \
             use `potoroo checkpoint now`, `potoroo checkpoint restore` or `potoroo state get`, or \
             add it with `curl -H 'X-Potoroo: 1'`",
        ),
    }
}

fn refused(reason: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{reason}\n")).into_response()
}

/// Why a request may come from a web page; `None` if it does not.
fn refusal(uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let Some(host) = only(headers, &HOST) else {
        return Some("a request needs one Host header, such as `Host: 127.0.0.1`");
    };
    if !is_loopback(host) || uri.authority().is_some_and(|one| !is_loopback(one.as_str())) {
        return Some(
            "the admin port answers to names of this host only: ask 127.0.0.1, [::1] or localhost",
        );
    }
    let foreign = |origin: &str| {
        let own = origin.strip_prefix("http://").unwrap_or_default();
        !own.eq_ignore_ascii_case(host)
    };
    if headers.contains_key(ORIGIN) && only(headers, &ORIGIN).is_none_or(foreign) {
        return Some("the admin port answers no request of a web page (Origin)");
    }
    let elsewhere = |site: &str| !["same-origin", "none"].contains(&site);
    if headers.contains_key(&SEC_FETCH_SITE) && only(headers, &SEC_FETCH_SITE).is_none_or(elsewhere)
    {
        return Some("the admin port answers no request of a web page (Sec-Fetch-Site)");
    }
    None
}

/// The value of a header that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether `host`, with or without a port, is a name of this host that no name service decides on.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host();
    let number = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let address = number.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn is_answered(uri: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        refusal(&uri.parse().expect("an address"), &map).is_none()
    }

    #[test]
    fn only_names_of_this_host_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "127.8.7.6:1",
            "[::1]",
            "[::1]:9090",
            "[::ffff:127.0.0.1]:80",
            "localhost",
            "LocalHost:9090",
        ] {
            assert!(is_answered("/status", &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "10.0.0.1:9090",
            "[2001:db8::1]",
            "0.0.0.0",
            "::1",
        ] {
            assert!(!is_answered("/status", &[("host", host)]), "{host}");
        }
        assert!(!is_answered("/status", &[]), "it names no host");
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert!(!is_answered("/status", &twice));
        let absolute = "http://evil.example/status";
        assert!(!is_answered(absolute, &[("host", "localhost")]));
    }

    #[test]
    fn web_pages_are_not_answered() {
        let check = |name, value, answered| {
            let headers = [("host", "127.0.0.1:9090"), (name, value)];
            assert_eq!(is_answered("/checkpoint", &headers), answered, "{name}: {value}");
        };
        check("origin", "http://127.0.0.1:9090", true);
        check("origin", "http://127.0.0.1:3000", false);
        check("origin", "https://127.0.0.1:9090", false);
        check("origin", "http://evil.example", false);
        check("origin", "null", false);
        check("origin", "", false);
        check("sec-fetch-site", "same-origin", true);
        check("sec-fetch-site", "none", true);
        check("sec-fetch-site", "same-site", false);
        check("sec-fetch-site", "cross-site", false);
        check("sec-fetch-site", "", false);
    }
}
