//! The listener: bounded connections, bounded heads, a soft end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{HttpError, Settings};

/// Heads of ours have a few hundred bytes; browsers add some thousand.
const HEAD_BYTES: usize = 16 * 1024;

/// Binds the address of the settings.
pub async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|source| HttpError::Listen { address, source })
}

/// Serves until `stop` is cancelled, then lets downloads under way finish; drop the future to break them off.
///
/// Not `axum::serve`, which sets no time-out for a head that never ends.
pub async fn serve(listener: TcpListener, router: Router, settings: &Settings, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(usize::try_from(settings.max_connections).unwrap_or(1)));
    let header_timeout = Duration::from_secs(settings.header_timeout_secs.into());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let router = router.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            converse(stream, router, header_timeout, &stop).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, Place)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            // Out of descriptors, or a connection that ended before it was taken: neither is helped by trying at once.
            tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(200)).await;
            None
        }
    }
}

async fn converse(stream: TcpStream, router: Router, header_timeout: Duration, stop: &CancellationToken) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ended is the business of its two ends: a browser that left is no event of ours.
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(error = &error as &dyn std::error::Error, "a connection broke off");
    }
}
