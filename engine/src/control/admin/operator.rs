//! Requests of operators beside figures: take a checkpoint now, go back to one, and show the row of
//! a key.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::sync::oneshot;

use super::guard;
use crate::checkpoint::Epoch;
use crate::connect::mail::{PresentStorage, StorageMessage};
use crate::control::rollback_requests::{ENDED, RollbackRequests};

/// Looks a key up in the last checkpoint: table and key to the row as JSON, if there is one.
pub type Inspect = Arc<dyn Fn(&str, &str) -> Result<Option<String>, String> + Send + Sync>;

/// The interface of operators to an application with checkpoints.
#[derive(Clone)]
pub struct Operator {
    /// Its present storage thread.
    pub storage: PresentStorage,
    /// Where rollbacks are requested.
    pub rollbacks: RollbackRequests,
    /// Looks into its checkpoints. May wait for the storage.
    pub inspect: Inspect,
}

/// What serves the requests of operators.
#[derive(Clone)]
pub(super) struct OperatorService {
    operator: Operator,
    /// Looks into checkpoints, which may wait for the storage, one after the other.
    looks: Sender<Look>,
}

type Look = Box<dyn FnOnce(&Inspect) + Send>;

impl OperatorService {
    /// Starts the thread that looks into checkpoints. It is there before it is needed: later the
    /// system might have no thread for it. Ends with the last request and the router;
    /// after its join nothing looks into the storage any more.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn open(operator: Operator) -> io::Result<(Self, JoinHandle<()>)> {
        let (looks, requested) = channel::<Look>();
        let inspect = operator.inspect.clone();
        let run = move || requested.into_iter().for_each(|look| look(&inspect));
        let thread = Builder::new().name("potoroo-inspect".into()).spawn(run)?;
        Ok((Self { operator, looks }, thread))
    }

    async fn look(&self, table: String, key: String) -> Result<Option<String>, String> {
        let (answer, answered) = oneshot::channel();
        // The client may have disconnected before the look or during it.
        let look: Look = Box::new(move |inspect| {
            if !answer.is_closed() {
                drop(answer.send(inspect(&table, &key)));
            }
        });
        let ended = || "the application is about to end".to_owned();
        self.looks.send(look).map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Operator {
    /// Takes a checkpoint. Returns its epoch when it is committed.
    async fn checkpoint(&self) -> Result<Epoch, String> {
        let (answer, answered) = oneshot::channel();
        self.storage.send(StorageMessage::Now(answer));
        answered.await.unwrap_or_else(|_| {
            Err("the application ends, or is being rolled back: ask again".to_owned())
        })
    }
}

impl Operator {
    /// Rolls back to the checkpoint of `epoch`.
    async fn restore(&self, epoch: Epoch) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        self.rollbacks.request(epoch, answer);
        let done = answered.await.unwrap_or_else(|_| Err(ENDED.to_owned()))?;
        Ok(serde_json::to_string(&done).expect("numbers and strings always serialize"))
    }
}

pub(super) fn router(service: Option<OperatorService>) -> Router {
    Router::new()
        .route("/checkpoint", post(checkpoint))
        .route("/restore/{epoch}", post(restore))
        .route("/state/{table}/{key}", get(row))
        .route_layer(middleware::from_fn(guard::marked))
        .with_state(service)
}

async fn checkpoint(State(service): State<Option<OperatorService>>) -> Response {
    let Some(OperatorService { operator, .. }) = service else { return no_checkpoints() };
    match operator.checkpoint().await {
        Ok(epoch) => json(format!("{{\"epoch\":{epoch}}}\n")),
        Err(reason) => failed(&reason),
    }
}

async fn restore(
    State(service): State<Option<OperatorService>>,
    Path(epoch): Path<String>,
) -> Response {
    let Some(OperatorService { operator, .. }) = service else { return no_checkpoints() };
    let Ok(epoch) = epoch.parse() else {
        let text = format!("`{epoch}` is no epoch: give the number of a retained checkpoint\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    match operator.restore(epoch).await {
        Ok(done) => json(done + "\n"),
        Err(reason) => failed(&reason),
    }
}

async fn row(
    State(service): State<Option<OperatorService>>,
    Path((table, key)): Path<(String, String)>,
) -> Response {
    let Some(service) = service else { return no_checkpoints() };
    if let Err(reason) = service.operator.checkpoint().await {
        return failed(&reason);
    }
    match service.look(table, key).await {
        Ok(Some(row)) => json(row + "\n"),
        Ok(None) => (StatusCode::NOT_FOUND, "there is no such key\n").into_response(),
        Err(reason) => failed(&reason),
    }
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn no_checkpoints() -> Response {
    let text = "the application has no checkpoints: start it with --state\n";
    (StatusCode::CONFLICT, text).into_response()
}

fn failed(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}
