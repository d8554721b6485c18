//! What operators ask for beside figures: a checkpoint now, and what a table has for a key.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::oneshot;

use crate::connect::mail::{Teller, Told};

/// Looks a key up in the last checkpoint: table and key to the row as JSON, if there is one.
pub type Inspect = Arc<dyn Fn(&str, &str) -> Result<Option<String>, String> + Send + Sync>;

/// The way to an application that keeps checkpoints.
#[derive(Clone)]
pub struct Operator {
    /// Its keeper.
    pub keeper: Teller,
    /// Looks into what it has kept. May wait for the storage.
    pub inspect: Inspect,
}

impl Operator {
    /// Has a checkpoint taken; its epoch when it is committed.
    async fn checkpoint(&self) -> Result<u64, String> {
        let (answer, answered) = oneshot::channel();
        self.keeper.tell(Told::Now(answer));
        answered.await.unwrap_or_else(|_| Err("the application is about to end".to_owned()))
    }
}

pub(super) fn router(operator: Option<Operator>) -> Router {
    Router::new()
        .route("/checkpoint", post(checkpoint))
        .route("/state/{table}/{key}", get(row))
        .with_state(operator)
}

async fn checkpoint(State(operator): State<Option<Operator>>) -> Response {
    let Some(operator) = operator else { return none_kept() };
    match operator.checkpoint().await {
        Ok(epoch) => json(format!("{{\"epoch\":{epoch}}}\n")),
        Err(reason) => failed(&reason),
    }
}

async fn row(
    State(operator): State<Option<Operator>>,
    Path((table, key)): Path<(String, String)>,
) -> Response {
    let Some(operator) = operator else { return none_kept() };
    if let Err(reason) = operator.checkpoint().await {
        return failed(&reason);
    }
    let look = move || (operator.inspect)(&table, &key);
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(Some(row))) => json(row + "\n"),
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, "there is no such key\n").into_response(),
        Ok(Err(reason)) => failed(&reason),
        Err(error) => failed(&error.to_string()),
    }
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn none_kept() -> Response {
    let text = "the application keeps no checkpoints: start it with --state\n";
    (StatusCode::CONFLICT, text).into_response()
}

fn failed(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}
