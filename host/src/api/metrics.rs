//! Figures for Prometheus, in its text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::error::Result;
use super::plugins::word;
use crate::model::{Debt, DebtKind, Millis, Name};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Requests by method, route and status, since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<Mutex<BTreeMap<Kind, u64>>>);

/// Method, route, status.
type Kind = (String, String, u16);

impl Counts {
    /// `route` as it is written in the router: there are only so many.
    pub(super) fn add(&self, method: &str, route: &str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((method.to_owned(), route.to_owned(), status)).or_default() += 1;
    }

    fn all(&self) -> BTreeMap<Kind, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Figures in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(_: Operator, State(app): State<App>) -> Result<impl IntoResponse> {
    let mut text = Text::default();
    let store = app.store();
    text.family("moganite_instances", "gauge", "Instances by state.");
    for (state, n) in store.count_instances().await? {
        text.sample("moganite_instances", &[("state", &state)], n);
    }
    text.family("moganite_flows", "gauge", "Flows by phase, ended ones too.");
    for (phase, n) in store.count_flows().await? {
        text.sample("moganite_flows", &[("phase", &phase)], n);
    }
    text.family("moganite_flows_overdue", "gauge", "Flows whose task takes longer than its budget, by kind.");
    for (kind, n) in app.lifecycle.count_overdue().await? {
        text.sample("moganite_flows_overdue", &[("kind", &kind)], n);
    }
    text.debts(&store.debts().await?, app.now());
    let mut quarantined: BTreeMap<_, u64> = BTreeMap::new();
    for node in store.quarantine().await? {
        *quarantined.entry(node.backend).or_default() += 1;
    }
    text.family(
        "moganite_nodes_quarantined",
        "gauge",
        "Nodes that are left alone until an operator clears them, by backend.",
    );
    for (backend, n) in quarantined {
        text.sample("moganite_nodes_quarantined", &[("backend", backend.as_str())], n);
    }
    text.family("moganite_plugins", "gauge", "Plugins by state.");
    let mut plugins: BTreeMap<_, u64> = BTreeMap::new();
    for plugin in app.drivers().plugins() {
        *plugins.entry(word(&plugin.state).0).or_default() += 1;
    }
    for (state, n) in plugins {
        text.sample("moganite_plugins", &[("state", state)], n);
    }
    text.family("moganite_plugin_broken_calls", "gauge", "Calls in a row that a plugin broke in, by backend.");
    text.family(
        "moganite_breaker_open",
        "gauge",
        "1 where a plugin broke too often and is only tried, by one flow at a time.",
    );
    for broken in store.broken().await? {
        let title = app.drivers().plugin(&broken.digest).map(|plugin| plugin.manifest.title());
        let plugin = format!("{} {}", title.as_deref().unwrap_or("unknown"), broken.digest.short());
        let labels = [("backend", broken.backend.as_str()), ("plugin", plugin.as_str())];
        text.sample("moganite_plugin_broken_calls", &labels, broken.calls.into());
        text.sample("moganite_breaker_open", &labels, u64::from(broken.until.is_some()));
    }
    text.family("moganite_plugins_rolled_back_total", "counter", "Revisions that were taken back, by backend.");
    for (backend, n) in store.count_rolled_back().await? {
        text.sample("moganite_plugins_rolled_back_total", &[("backend", backend.as_str())], n);
    }
    text.family(
        "moganite_plugin_on_trial",
        "gauge",
        "1 where a plugin is on trial: a canary, or a swap that is still young.",
    );
    for trial in store.trials().await? {
        let kind = if trial.canary.is_some() { "canary" } else { "swap" };
        text.sample("moganite_plugin_on_trial", &[("backend", trial.backend.as_str()), ("kind", kind)], 1);
    }
    text.family("moganite_orphans", "gauge", "What far sides have of ours and no holding knows, by backend and state.");
    let mut orphans: BTreeMap<_, u64> = BTreeMap::new();
    for orphan in store.orphans().await? {
        *orphans.entry((orphan.backend.to_string(), orphan.state.as_str())).or_default() += 1;
    }
    for ((backend, state), n) in orphans {
        text.sample("moganite_orphans", &[("backend", &backend), ("state", state)], n);
    }
    text.family("moganite_missing_holdings", "gauge", "Holdings that their backend does not know.");
    text.sample("moganite_missing_holdings", &[], store.missing().await?.len() as u64);
    let swept = store.swept(app.now()).await?;
    text.family("moganite_brake_stopped", "gauge", "1 where nothing is released by itself until a person goes on.");
    for swept in &swept {
        let stopped = u64::from(swept.stopped.is_some());
        text.sample("moganite_brake_stopped", &[("backend", swept.backend.as_str())], stopped);
    }
    text.family("moganite_sweep_fault", "gauge", "1 where the last sweep did not see all of the backend.");
    for swept in &swept {
        let fault = u64::from(swept.fault.is_some());
        text.sample("moganite_sweep_fault", &[("backend", swept.backend.as_str())], fault);
    }
    text.family(
        "moganite_late_arrivals_total",
        "counter",
        "Things that appeared after their driver had promised that nothing could.",
    );
    for (digest, n) in store.late_arrivals().await? {
        let title = app.drivers().plugin(&digest).map(|plugin| plugin.manifest.title());
        let plugin = format!("{} {}", title.as_deref().unwrap_or("unknown"), digest.short());
        text.sample("moganite_late_arrivals_total", &[("plugin", &plugin)], n);
    }
    text.family(
        "moganite_gate_denied_total",
        "counter",
        "Requests of drivers that the gate denied since the start, by backend and plugin.",
    );
    for ((backend, plugin), denied) in app.drivers().denied() {
        let labels = [("backend", backend.as_str()), ("plugin", &plugin)];
        text.sample("moganite_gate_denied_total", &labels, denied.count);
    }
    text.family(
        "moganite_driver_calls_ended_total",
        "counter",
        "Calls of drivers since the start, by backend, plugin and what ended them.",
    );
    for (((backend, plugin), cause), n) in app.drivers().ended() {
        let labels = [("backend", backend.as_str()), ("plugin", &plugin), ("cause", cause)];
        text.sample("moganite_driver_calls_ended_total", &labels, n);
    }
    text.family("moganite_store_commits_total", "counter", "Commits of the database since the start.");
    text.sample("moganite_store_commits_total", &[], store.commits());
    text.family("moganite_http_requests_total", "counter", "Requests answered since the start.");
    for ((method, route, status), n) in app.counts.all() {
        let labels = [("method", method.as_str()), ("route", &route), ("status", &status.to_string())];
        text.sample("moganite_http_requests_total", &labels, n);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0))
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").ok();
    }

    /// By kind and backend, and the age of the oldest: each kind is an alert of its own.
    fn debts(&mut self, debts: &[Debt], now: Millis) {
        let mut found: BTreeMap<(DebtKind, &Name), (u64, Millis)> = BTreeMap::new();
        for debt in debts {
            let (n, oldest) = found.entry((debt.kind, &debt.holding.backend)).or_insert((0, debt.owed_at));
            (*n, *oldest) = (*n + 1, debt.owed_at.min(*oldest));
        }
        self.family("moganite_debts", "gauge", "What is owed to backends, by kind.");
        for ((kind, backend), (n, _)) in &found {
            self.sample("moganite_debts", &[("kind", kind.as_str()), ("backend", backend.as_str())], *n);
        }
        self.family("moganite_debt_oldest_seconds", "gauge", "The age of the oldest debt, by kind.");
        for ((kind, backend), (_, oldest)) in &found {
            let age = u64::try_from(now.saturating_sub(*oldest) / 1000).unwrap_or(0);
            let labels = [("kind", kind.as_str()), ("backend", backend.as_str())];
            self.sample("moganite_debt_oldest_seconds", &labels, age);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{braces} {value}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_prometheus_reads_it() {
        let mut text = Text::default();
        text.family("x", "gauge", "What it is.");
        text.sample("x", &[("state", "a\"b")], 3);
        text.sample("x", &[], 4);
        assert_eq!(text.0, "# HELP x What it is.\n# TYPE x gauge\nx{state=\"a\\\"b\"} 3\nx 4\n");
    }
}
