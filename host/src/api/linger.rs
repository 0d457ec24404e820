//! A body that nobody wants is read all the same, and dropped: who writes all of a request before reading gets the answer then.
//!
//! A connection that is closed on bytes which nobody read is reset, and the answer is lost on its way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::runtime::Handle;

use super::App;
use crate::model::Millis;

/// How long what is refused may take to be sent.
const LONGEST: Millis = 30_000;

/// Hands the handlers a body that lingers.
pub(super) async fn hold(State(app): State<App>, request: Request) -> Request {
    let waits = request.headers().contains_key(header::EXPECT);
    request.map(|body| Body::new(Lingering { rest: Some(body), is_sent: !waits, app }))
}

struct Lingering {
    /// Until its end.
    rest: Option<Body>,
    /// False for who waits to be told to send, until the first byte is asked for. Nothing is to be read there: to read is to tell.
    is_sent: bool,
    app: App,
}

impl hyper::body::Body for Lingering {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.is_sent = true;
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| self.is_sent && !rest.is_end_stream()) else { return };
        // Outside of it the service has ended.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(drain(rest, self.app.clone()));
        }
    }
}

async fn drain(mut rest: Body, mut app: App) {
    let clock = app.lifecycle.clock().clone();
    let read = async { while let Some(Ok(_)) = rest.frame().await {} };
    tokio::select! {
        () = read => (),
        () = clock.until(clock.now() + LONGEST) => (),
        // Its sender gone means the same.
        _ = app.stop.wait_for(|stop| *stop) => (),
    }
}
