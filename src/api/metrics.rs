//! The metrics of the server over HTTP.

use std::sync::Arc;

use actix_http::Request;
use actix_web::{
    HttpResponse, body,
    http::{Method, header::CONTENT_TYPE},
};

use super::{
    context::{App, RequestContext, client_address},
    description::Description,
    error::ApiError,
    input::Input,
    memory_budget::BudgetExhausted,
    reply::Reply,
    response_budget::{ResponseBudget, ready_body},
    turns::{Client, run_aside},
};
use crate::{
    backup::schedule::BackupLog,
    domain::Network,
    metrics,
    service::{Administrator, AppState, metrics::metrics_of},
};

/// 200 with metrics as text.
pub(super) struct MetricsText(String);

/// The results of the scheduled backups.
pub(super) struct Backups(BackupLog);

impl Input for Backups {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(Self(context.app.backups.clone()))
    }

    fn describe(_: &mut Description) {}
}

impl Reply for MetricsText {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        let mut response = HttpResponse::Ok();
        response.insert_header((CONTENT_TYPE, metrics::CONTENT_TYPE));
        if response_budget.is_head {
            // The next text has another length.
            return Ok(response.body(body::None::new()));
        }
        Ok(response.body(ready_body(response_budget, self.0.into())?))
    }

    fn describe(description: &mut Description) {
        description.text(metrics::CONTENT_TYPE);
    }
}

pub(super) async fn show(administrator: Administrator, Backups(log): Backups) -> Result<MetricsText, ApiError> {
    let client = Client::from(&administrator.0.principal);
    text(client, Arc::clone(&administrator.0.state), log).await
}

/// Answers a request on a listener that serves the metrics alone, to anyone.
///
/// # Errors
/// [`ApiError`] for another method, or if the store cannot be read.
pub(super) async fn answer(http: &Request, app: &App) -> Result<HttpResponse, ApiError> {
    if *http.method() != Method::GET && *http.method() != Method::HEAD {
        return Err(ApiError::MethodNotAllowed("GET, HEAD".to_owned()));
    }
    let client = Client::Network(Network::of(client_address(http, &app.proxies)));
    let text = text(client, Arc::clone(&app.state), app.backups.clone()).await?;
    let budget = ResponseBudget { is_head: *http.method() == Method::HEAD, ..ResponseBudget::of(&app.memory_budget) };
    Ok(text.into_response(budget).await?)
}

async fn text(client: Client, state: Arc<AppState>, log: BackupLog) -> Result<MetricsText, ApiError> {
    // On a blocking thread, because it examines the store's files.
    let text = run_aside(client, move || metrics_of(&state, log.newest())).await??;
    Ok(MetricsText(text))
}
