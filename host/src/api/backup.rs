//! A backup of the installation, made while it runs and sent as it is read.

use std::io::{self, Write};

use axum::body::{Body as Sent, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{Body, Key};
use super::error::Result;
use crate::lifecycle::Backup;

/// Bytes that are sent together.
const PIECE: usize = 256 << 10;
/// Pieces that wait for a slow reader.
const WAITING: usize = 4;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(make))
}

/// What goes into it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BackupOrder {
    /// With the key that opens every secret: whoever has the file then has them all. Without it they cannot be restored.
    #[serde(default)]
    with_key: bool,
}

/// A tar of database, plugins and manifest, as they were when it was asked for. The service goes on meanwhile. A file of another
/// length than Content-Length is not whole.
#[utoipa::path(post, path = "/v1/backup", tag = "service", request_body = BackupOrder,
    responses((status = 200, body = Vec<u8>, content_type = "application/x-tar")))]
async fn make(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(order): Body<BackupOrder>,
) -> Result<(HeaderMap, Sent)> {
    let backup = app.lifecycle.backup(order.with_key, caller.says("asked for it")?).await?;
    let (parts, length) = (backup.manifest.parts.len(), backup.length());
    tracing::warn!(who = caller.name, with_key = order.with_key, parts, length, "a backup is handed out");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((headers, Sent::from_stream(sent(backup))))
}

/// Read from the disk as fast as it is taken. An error of the disk cuts the answer short, which its reader notices.
fn sent(backup: Backup) -> impl Stream<Item = io::Result<Bytes>> {
    let (pieces, taken) = channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let out = io::BufWriter::with_capacity(PIECE, Pieces(&pieces));
        if let Err(error) = backup.write(out) {
            tracing::warn!(%error, "a backup was not sent whole");
            // The reader may be what went away.
            pieces.blocking_send(Err(error)).ok();
        }
    });
    let next = async |mut taken: Receiver<_>| taken.recv().await.map(|piece| (piece, taken));
    stream::unfold(taken, next)
}

/// Hands what is written to the answer, and waits when that is slow.
struct Pieces<'a>(&'a Sender<io::Result<Bytes>>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
