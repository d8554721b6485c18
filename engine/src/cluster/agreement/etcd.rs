//! The agreement of processes on any machines, in etcd 3.4 or later, by its JSON gateway.
//!
//! ```text
//!   /potoroo/NAME/KEY   one entry; bound to the lease of its session, or to none
//! ```
//!
//! A session is a lease of etcd. Everything is a read of the present, or a transaction: nothing is
//! watched, so no compaction and no lost event matters. A transaction whose answer was lost is sent
//! again: it compares, so it is done once, and finds itself if it was done.

mod address;
mod gateway;
mod secure;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub use address::EtcdAddress;
pub use gateway::Login;
use gateway::{EtcdAnswer, Gateway, Trouble};

use super::{Agreed, AgreedEntries, Agreement, Changed, Disagreement, EntryChange, Expected};
use crate::checkpoint::store::draw;
use crate::cluster::tls_files::GivenFiles;

/// The agreement of processes on any machines, in etcd.
pub struct EtcdAgreement {
    gateway: Gateway,
    prefix: String,
    /// As asked for.
    lease: Duration,
    /// Its lease in etcd.
    session: AtomicU64,
}

/// The session of a tool, which renews it while it waits.
const TOOL_LEASE: Duration = Duration::from_secs(60);

/// How often a number is drawn that no lease has.
const DRAWS_MAX: usize = 3;

impl EtcdAgreement {
    /// Joins those that agree at `address`. The session has to be renewed within each `lease`;
    /// without one, within a minute. An encrypted way needs `files`.
    ///
    /// # Errors
    /// No etcd answers there, or it refuses; a file is missing or cannot be used.
    pub fn open(
        address: &EtcdAddress,
        lease: Option<Duration>,
        login: Option<Login>,
        files: &GivenFiles,
    ) -> Result<Self, Disagreement> {
        if !address.is_encrypted() && address.is_beyond_loopback() {
            let password = if login.is_some() { " and POTOROO_ETCD_PASSWORD" } else { "" };
            tracing::warn!(
                "what nodes agree, with the secret by which they know each other{password}, goes \
                 to {address} in the clear: give etcd a certificate, and write etcds://"
            );
        }
        let lease = lease.unwrap_or(TOOL_LEASE);
        // A request that is not answered is sent again before a lease ends.
        let gateway = Gateway::new(address, login, lease / 5, files)?;
        let prefix = format!("/potoroo/{}/", address.name());
        let agreement = Self { gateway, prefix, lease, session: AtomicU64::new(0) };
        agreement.begin_session()?;
        Ok(agreement)
    }

    fn call(&self, path: &str, body: &Value) -> Result<EtcdAnswer, Disagreement> {
        self.gateway.call(path, body).map_err(Trouble::disagreement)
    }

    fn key(&self, key: &str) -> String {
        encode(&format!("{}{key}", self.prefix))
    }

    /// All keys of the cluster: those from its prefix to the next one.
    fn range(&self) -> (String, String) {
        let end = format!("{}0", self.prefix.trim_end_matches('/'));
        (encode(&self.prefix), encode(&end))
    }

    fn comparisons(&self, change: &EntryChange<'_>) -> Vec<Value> {
        let key = self.key(change.key);
        let equal = |target: &str, field: &str, value: &str| {
            let mut one = json!({"key": key, "result": "EQUAL", "target": target});
            one[field] = json!(value);
            one
        };
        let mut all = match change.expected {
            Expected::Anything => Vec::new(),
            Expected::Nothing => vec![equal("CREATE", "create_revision", "0")],
            Expected::Entry(Agreed { value, session }) => vec![
                equal("VALUE", "value", &encode(value)),
                equal("LEASE", "lease", &session.unwrap_or(0).to_string()),
            ],
        };
        if let Some(held) = change.held {
            let session = self.session().to_string();
            let key = self.key(held);
            all.push(json!({"key": key, "result": "EQUAL", "target": "LEASE", "lease": session}));
        }
        all
    }

    /// What the first key of an answer is, under the key that is asked for.
    fn found(response: &Value) -> Option<Agreed> {
        response["response_range"]["kvs"].as_array()?.first().map(agreed)
    }
}

impl Agreement for EtcdAgreement {
    fn session(&self) -> u64 {
        self.session.load(Ordering::Relaxed)
    }

    fn list(&self) -> Result<AgreedEntries, Disagreement> {
        let (key, range_end) = self.range();
        let answer = self.call("/v3/kv/range", &json!({"key": key, "range_end": range_end}))?;
        let all = answer.value["kvs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = |one: &Value| {
            let key = decode(&one["key"]);
            Some((key.strip_prefix(&self.prefix)?.to_owned(), agreed(one)))
        };
        Ok(all.iter().filter_map(entry).collect())
    }

    fn change(&self, change: &EntryChange<'_>) -> Result<Changed, Disagreement> {
        let key = self.key(change.key);
        let success = match &change.new {
            Some(Agreed { value, session }) => {
                let lease = session.unwrap_or(0).to_string();
                json!({"request_put": {"key": key, "value": encode(value), "lease": lease}})
            }
            None => json!({"request_delete_range": {"key": key}}),
        };
        let read = |key: &str| json!({"request_range": {"key": key}});
        let held = change.held.map(|held| self.key(held));
        let keys = [Some(&key), held.as_ref()];
        let failure: Vec<Value> = keys.into_iter().flatten().map(|key| read(key)).collect();
        let body = json!({
            "compare": self.comparisons(change), "success": [success], "failure": failure,
        });
        let answer = self.call("/v3/kv/txn", &body)?;
        if answer.value["succeeded"] == true {
            return Ok(Changed::Done);
        }
        let found = Self::found(&answer.value["responses"][0]);
        // An earlier try was done, and its answer was lost.
        if answer.again && found == change.new {
            return Ok(Changed::Done);
        }
        let holder = Self::found(&answer.value["responses"][1]);
        let own = Some(self.session());
        match change.held {
            Some(_) if holder.and_then(|holder| holder.session) != own => Ok(Changed::NotHeld),
            _ => Ok(Changed::Differs(found)),
        }
    }

    fn renew(&self) -> Result<Duration, Disagreement> {
        let body = json!({"ID": self.session().to_string()});
        let answer = self.call("/v3/lease/keepalive", &body)?;
        // What is over has none.
        match seconds(&answer.value["result"]["TTL"]) {
            None => Err(Disagreement::Over),
            Some(granted) => Ok(granted.min(self.lease)),
        }
    }

    fn begin_session(&self) -> Result<(), Disagreement> {
        let ttl = self.lease.as_millis().div_ceil(1000).to_string();
        for _ in 0..DRAWS_MAX {
            // Its numbers are positive, and 0 is none.
            let session = (draw() >> 1).max(1);
            let body = json!({"TTL": ttl, "ID": session.to_string()});
            match self.gateway.call("/v3/lease/grant", &body) {
                Ok(_) => {
                    self.session.store(session, Ordering::Relaxed);
                    return Ok(());
                }
                // Perhaps by this very request, whose answer was lost.
                Err(Trouble::LeaseExists) => {}
                Err(trouble) => return Err(trouble.disagreement()),
            }
        }
        Err(Trouble::LeaseExists.disagreement())
    }

    fn version(&self) -> Result<u64, Disagreement> {
        let (key, range_end) = self.range();
        let body = json!({"key": key, "range_end": range_end, "count_only": true});
        let answer = self.call("/v3/kv/range", &body)?;
        let revision = answer.value["header"]["revision"].as_str();
        Ok(revision.and_then(|text| text.parse().ok()).unwrap_or_default())
    }
}

impl Drop for EtcdAgreement {
    fn drop(&mut self) {
        // Without an answer it ends by itself.
        let body = json!({"ID": self.session().to_string()});
        let _ = self.gateway.call("/v3/lease/revoke", &body);
    }
}

fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// What is no text can be of no node: it differs from all that is expected.
fn decode(value: &Value) -> String {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn agreed(one: &Value) -> Agreed {
    let lease: Option<u64> = one["lease"].as_str().and_then(|text| text.parse().ok());
    Agreed { value: decode(&one["value"]), session: lease.filter(|lease| *lease > 0) }
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds: u64 = value.as_str()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}
