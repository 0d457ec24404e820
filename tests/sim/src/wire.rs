//! The servers: they accept on the loopback interface, hand each request to a face, and can cut a connection at any moment without
//! an answer, which is what many faults come down to. A request's work goes on to its end when the client goes away, as it does in the
//! real services. What a request and an answer are is in `call.rs`.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::call::{Answer, Call};
use crate::world::World;

/// What a face makes of a request. None: the connection is closed without an answer.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

/// One listening port. Dropping it ends the listening and cuts every connection.
pub(crate) struct Server {
    accepting: JoinHandle<io::Result<()>>,
    cords: Arc<Mutex<Vec<Weak<Cord>>>>,
}

/// Binds a loopback port; 0: a free one.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves every request on this listener with `face`, until the server is dropped. An outage of the world ends them too.
pub(crate) fn spawn_server(
    listener: TcpListener,
    world: Option<&Arc<World>>,
    face: impl Fn(Call) -> Answering + Clone + Send + Sync + 'static,
) -> Server {
    let cords = Arc::new(Mutex::new(Vec::new()));
    let door = Door { listener, cords: cords.clone() };
    let world = world.cloned();
    let serve = move |ConnectInfo(Handle(cord)): ConnectInfo<Handle>, request: Request| {
        let (face, world) = (face.clone(), world.clone());
        async move { respond(face, world.as_deref(), &cord, request).await }
    };
    let service = Router::new().fallback(serve).into_make_service_with_connect_info::<Handle>();
    let accepting = tokio::spawn(async move { axum::serve(door, service).await });
    Server { accepting, cords }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        for cord in self.cords.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(cord) = cord.upgrade() {
                cord.cut();
            }
        }
    }
}

async fn respond(face: impl Fn(Call) -> Answering, world: Option<&World>, cord: &Cord, request: Request) -> Response {
    let Some(call) = Call::read(request).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = match world {
        Some(world) if world.outage.is_on(&world.clock) => Ok(None),
        world => {
            let answering = tokio::spawn(face(call));
            if let Some(world) = world {
                world.outage.ends(answering.abort_handle());
            }
            answering.await
        }
    };
    match answer {
        Ok(Some(answer)) => answer.into_response(),
        // A panic of a face also ends here: the client sees a server that fell over.
        Ok(None) | Err(_) => {
            cord.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What can cut one connection.
#[derive(Default)]
struct Cord {
    cut: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Cord {
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// An error once the cord was cut; until then remembers whom to wake.
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        match self.cut.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

/// The cord of the connection that a request came on.
#[derive(Clone)]
struct Handle(Arc<Cord>);

impl Connected<IncomingStream<'_, Door>> for Handle {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(stream.io().cord.clone())
    }
}

struct Door {
    listener: TcpListener,
    cords: Arc<Mutex<Vec<Weak<Cord>>>>,
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.listener).await;
        stream.set_nodelay(true).ok(); // Slower without, but not wrong.
        let cord = Arc::new(Cord::default());
        let mut cords = self.cords.lock().unwrap_or_else(PoisonError::into_inner);
        cords.retain(|cord| cord.strong_count() > 0);
        cords.push(Arc::downgrade(&cord));
        (Line { stream, cord }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its cord.
struct Line {
    stream: TcpStream,
    cord: Arc<Cord>,
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.cord.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.cord.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cord.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
