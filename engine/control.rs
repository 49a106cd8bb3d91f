//! The control side: signals and the metrics page, on a small runtime of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::learn::MetricsConfig;
use crate::error::Error;

/// The running control side.
pub struct Control {
    runtime: Runtime,
    asked: Arc<AtomicBool>,
}

/// Bounds of the latency histograms: 1-2-5 steps from 10 us to 10 s.
const SECONDS: [f64; 19] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];
/// Bounds of the batch sizes: powers of four.
const ROWS: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

impl Control {
    /// Opens the metrics page if one is asked for, and raises `stop` at SIGTERM or SIGINT. A second
    /// signal ends the process at once.
    ///
    /// # Errors
    /// [`Error::Metrics`] when the page cannot be opened.
    pub fn start(config: &MetricsConfig, stop: &Arc<AtomicBool>) -> Result<Control, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("pelton-control")
            .enable_all()
            .build()
            .map_err(Error::file("start", "the control runtime"))?;
        let _context = runtime.enter();
        if let Some(address) = config.listen {
            let refused = |reason: String| Error::Metrics { address: address.to_string(), reason };
            PrometheusBuilder::new()
                .with_http_listener(address)
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
                .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_rows".into()), &ROWS))
                .and_then(PrometheusBuilder::install)
                .map_err(|error| refused(error.to_string()))?;
            tracing::info!("metrics on http://{address}/metrics");
        }
        let asked = Arc::new(AtomicBool::new(false));
        let (stop, told) = (Arc::clone(stop), Arc::clone(&asked));
        let listen = |kind| signal(kind).map_err(Error::file("listen for", "signals"));
        let (mut term, mut interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        runtime.spawn(async move {
            loop {
                tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
                if told.swap(true, Ordering::SeqCst) {
                    tracing::warn!("second signal: ending at once");
                    std::process::exit(130);
                }
                stop.store(true, Ordering::SeqCst);
                tracing::info!("signal: draining; a second one ends at once");
            }
        });
        Ok(Control { runtime, asked })
    }

    /// Whether a signal has asked for the end.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Closes the page and ends the runtime.
    pub fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_millis(200));
    }
}
