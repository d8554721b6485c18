//! The JSON gateway of etcd: requests that wait no longer than they may, at whichever of its
//! servers answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use super::{Disagreement, EtcdAddress, secure};
use crate::cluster::tls::words;
use crate::cluster::tls_files::GivenFiles;

/// Who asks, where etcd wants to know.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// The way to the servers of one etcd.
pub(super) struct Gateway {
    agent: Agent,
    scheme: &'static str,
    endpoints: Vec<String>,
    /// The one that answered last.
    first: AtomicUsize,
    login: Option<Login>,
    token: Mutex<Option<String>>,
}

/// What etcd answered.
pub(super) struct EtcdAnswer {
    pub(super) value: Value,
    /// An earlier try may have been done, too.
    pub(super) again: bool,
}

/// Why there is no answer.
pub(super) enum Trouble {
    /// None of its servers answered.
    Unreachable { endpoints: String, cause: String },
    /// It will not.
    Refused { endpoint: String, reason: String },
    /// The lease is over.
    NoLease,
    /// There is a lease of this number.
    LeaseExists,
}

/// What one server said to one request.
enum Said {
    Answer(Value),
    /// Another one may do better: why.
    Nothing(String),
    /// The token is not good any more.
    NoToken,
    Trouble(Trouble),
}

/// Bytes of an answer at most: a cluster has a thousand entries of a few hundred bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// What etcd says when it wants another login: there was none, it is over, or users or roles have
/// changed since.
const NO_TOKEN: [&str; 5] = [
    "user name is empty",
    "invalid auth token",
    "authentication failed",
    "revision of auth store is old",
    "revision in header is old",
];

/// A try waits at least this long, and at most [`TRY_MAX`].
const TRY_MIN: Duration = Duration::from_millis(500);

const TRY_MAX: Duration = Duration::from_secs(5);

impl Gateway {
    /// Each try of a request may take `patience`.
    ///
    /// # Errors
    /// The way is encrypted, and a file for that is missing or cannot be used.
    pub(super) fn new(
        address: &EtcdAddress,
        login: Option<Login>,
        patience: Duration,
        files: &GivenFiles,
    ) -> Result<Self, Disagreement> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(patience.clamp(TRY_MIN, TRY_MAX)))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None);
        let scheme = if address.is_encrypted() { "https" } else { "http" };
        if address.is_encrypted() {
            let place = address.to_string();
            let files = secure::config(files);
            let files = files.map_err(|reason| Disagreement::Files { place, reason })?;
            config = config.tls_config(files);
        }
        let agent = config.build().into();
        let (endpoints, token) = (address.endpoints().to_vec(), Mutex::default());
        Ok(Self { agent, scheme, endpoints, first: AtomicUsize::new(0), login, token })
    }

    /// Asks one server after the other, and a single one twice: a connection that was kept open may
    /// have been closed meanwhile. One that refuses need not be an etcd: it counts if none answers.
    pub(super) fn call(&self, path: &str, body: &Value) -> Result<EtcdAnswer, Trouble> {
        let (count, first) = (self.endpoints.len(), self.first.load(Ordering::Relaxed));
        let (mut cause, mut logged_in) = (String::new(), false);
        let (mut tried, mut refused) = (0, None);
        while tried < count.max(2) {
            let number = (first + tried) % count;
            let endpoint = &self.endpoints[number];
            let trouble = match self.ask(endpoint, path, body) {
                Said::Answer(value) => {
                    self.first.store(number, Ordering::Relaxed);
                    return Ok(EtcdAnswer { value, again: tried > 0 });
                }
                Said::NoToken if !logged_in && self.login.is_some() => {
                    match self.log_in(endpoint) {
                        Ok(Ok(())) => {
                            logged_in = true;
                            continue;
                        }
                        Ok(Err(why)) => Err(why),
                        Err(trouble) => Ok(trouble),
                    }
                }
                Said::NoToken => Ok(wants_user(endpoint)),
                Said::Nothing(why) => Err(why),
                Said::Trouble(trouble @ Trouble::Refused { .. }) => Ok(trouble),
                Said::Trouble(trouble) => return Err(trouble),
            };
            tried += 1;
            match trouble {
                Ok(trouble) => refused = refused.or(Some(trouble)),
                Err(why) => cause = why,
            }
        }
        let endpoints = || self.endpoints.join(", ");
        Err(refused.unwrap_or_else(|| Trouble::Unreachable { endpoints: endpoints(), cause }))
    }

    /// Gets a token. Returns why this server gives none at present.
    fn log_in(&self, endpoint: &str) -> Result<Result<(), String>, Trouble> {
        let Some(Login { user, password }) = &self.login else { return Ok(Ok(())) };
        let body = json!({"name": user, "password": password});
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match self.ask(endpoint, "/v3/auth/authenticate", &body) {
            Said::Answer(value) => {
                let token = value["token"].as_str().map(str::to_owned);
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
                Ok(Ok(()))
            }
            Said::Nothing(why) => Ok(Err(why)),
            Said::NoToken => Err(Trouble::Refused {
                endpoint: endpoint.to_owned(),
                reason: "it does not know the user of POTOROO_ETCD_USER, or the password of \
                         POTOROO_ETCD_PASSWORD is another one: correct them"
                    .to_owned(),
            }),
            Said::Trouble(trouble) => Err(trouble),
        }
    }

    fn ask(&self, endpoint: &str, path: &str, body: &Value) -> Said {
        let mut request = self.agent.post(format!("{}://{endpoint}{path}", self.scheme));
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let sent = request.content_type("application/json").send(body.to_string());
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return unsent(self.scheme, endpoint, &error),
        };
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = match read {
            Ok(text) => text,
            Err(error) => return Said::Nothing(format!("{endpoint}: {error}")),
        };
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if status == 200 && value.get("error").is_none() => Said::Answer(value),
            Ok(value) if value.is_object() => said(endpoint, path, &value),
            _ if status >= 500 => Said::Nothing(format!("{endpoint}: status {status}")),
            _ => Said::Trouble(Trouble::Refused {
                endpoint: endpoint.to_owned(),
                reason: format!(
                    "it is no etcd of version 3.4 or later (status {status} for {path}): correct \
                     the address"
                ),
            }),
        }
    }
}

/// Why a request got no answer: one of TLS stays until a person has mended it.
fn unsent(scheme: &str, endpoint: &str, error: &ureq::Error) -> Said {
    let cause = match error {
        ureq::Error::Rustls(cause) => Some(cause),
        ureq::Error::Io(error) => error.get_ref().and_then(|cause| cause.downcast_ref()),
        _ => None,
    };
    match cause {
        Some(cause) => Said::Trouble(Trouble::Refused {
            endpoint: endpoint.to_owned(),
            reason: words::of_etcd(cause),
        }),
        None if scheme == "https" && is_closed(error) => Said::Nothing(format!(
            "{endpoint}: {error}: perhaps it refuses this process: give --tls-cert and --tls-key, \
             issued by an authority that it knows"
        )),
        None => Said::Nothing(format!("{endpoint}: {error}")),
    }
}

/// Whether the server closed the connection. One that wants a certificate says so and closes it,
/// and a request that is on its way then meets only the end.
fn is_closed(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ureq::Error::Io(error) = error else { return false };
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

fn wants_user(endpoint: &str) -> Trouble {
    let reason = "it wants a user: give one that may read and write keys under /potoroo/ by the \
                  variables POTOROO_ETCD_USER and POTOROO_ETCD_PASSWORD";
    Trouble::Refused { endpoint: endpoint.to_owned(), reason: reason.to_owned() }
}

/// What an error of etcd means.
fn said(endpoint: &str, path: &str, value: &Value) -> Said {
    // One that streams wraps it.
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let inner = value.get("error").filter(|error| error.is_object()).unwrap_or(value);
    let code = inner["code"].as_u64().or_else(|| inner["grpc_code"].as_u64()).unwrap_or_default();
    let message = text(&inner["message"]).or_else(|| text(&inner["error"])).unwrap_or_default();
    let has = |part: &str| message.contains(part);
    if has("lease not found") {
        return Said::Trouble(Trouble::NoLease);
    }
    if has("lease already exists") {
        return Said::Trouble(Trouble::LeaseExists);
    }
    if NO_TOKEN.iter().any(|part| has(part)) {
        return Said::NoToken;
    }
    let reason = match code {
        // Cancelled, deadline exceeded, resource exhausted, aborted, unavailable.
        1 | 4 | 8 | 10 | 14 if !has("database space exceeded") => {
            return Said::Nothing(format!("{endpoint}: {message}"));
        }
        7 => format!(
            "{message}: give the user of POTOROO_ETCD_USER the right to read and write keys under \
             /potoroo/"
        ),
        8 => format!("{message}: compact and defragment it, then `etcdctl alarm disarm`"),
        _ => format!("{message} (code {code} for {path})"),
    };
    Said::Trouble(Trouble::Refused { endpoint: endpoint.to_owned(), reason })
}

impl Trouble {
    pub(super) fn disagreement(self) -> Disagreement {
        match self {
            Self::Unreachable { endpoints, cause } => {
                Disagreement::Unreachable { endpoints, cause }
            }
            Self::Refused { endpoint, reason } => Disagreement::Refused { endpoint, reason },
            Self::NoLease => Disagreement::Over,
            Self::LeaseExists => Disagreement::Refused {
                endpoint: "etcd".to_owned(),
                reason: "no new lease could be had: try again".to_owned(),
            },
        }
    }
}
