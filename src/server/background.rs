//! What a server does beside serving: it reads files again, and removes what has ended.

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::Signals;
use crate::{api::App, clock::Clock, service::sessions, service_manager::Notifier, tls::Certificate};

/// How often expired sessions are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Reloads the certificate, if there is one, when its files change, and at once on `SIGHUP`. Nothing else is reloaded, but the
/// service manager waits for the end of what it asked for.
pub(super) async fn follow(
    certificate: Option<Arc<Certificate>>,
    clock: Clock,
    mut signals: Signals,
    notifier: Notifier,
) {
    let mut asked = async || {
        signals.reloaded().await;
        log::info!("reload requested: the files of TLS are read again; settings are read by a start alone");
        notifier.reloading()
    };
    match certificate {
        Some(certificate) => certificate.follow(clock, asked).await,
        None => loop {
            drop(asked().await);
        },
    }
}

/// Writes recorded activity, rotates the keys of assertions and removes expired sessions, every minute.
pub(super) async fn sweep(app: Arc<App>) {
    let mut ticks = time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        app.state.write_activity().await;
        app.state.keep_assertion_keys().await;
        match sessions::sweep(&app.state).await {
            Ok(0) => {}
            Ok(removed) => log::info!("removed {removed} expired sessions"),
            Err(error) => log::error!("expired sessions cannot be removed: {error}"),
        }
    }
}
