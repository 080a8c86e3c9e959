//! Connections whose bytes a fault can take over.
//!
//! An HTTP library sends correct answers only. So each accepted connection is wrapped: when a call is to be closed,
//! reset, cut or slowed, its handler leaves a [`Takeover`] in the connection's [`Control`] and returns any response.
//! At the library's next write the wrapper drops the library's bytes and does what the takeover says.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What happens on the wire instead of the library's answer.
#[derive(Debug)]
pub(crate) struct Takeover {
    pub(crate) pieces: VecDeque<Piece>,
    pub(crate) end: End,
}

/// So many bytes at a time, each after a pause; `None` sends all at once.
pub(crate) type Pace = Option<(usize, Duration)>;

/// Bytes to send.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Send so many bytes at a time, each after a pause.
    pub(crate) pace: Pace,
}

/// What follows the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is closed in the ordinary way.
    Close,
    /// The connection is reset.
    Reset,
    /// The connection stays open and silent until the caller leaves.
    Hold,
}

/// The handler's grip on its connection.
#[derive(Debug, Default)]
pub(crate) struct Control {
    taken: AtomicBool,
    takeover: Mutex<Option<Takeover>>,
}

impl Control {
    /// Takes the connection over from the next write on.
    pub(crate) fn take_over(&self, takeover: Takeover) {
        *self.takeover.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
        self.taken.store(true, Ordering::Release);
    }

    /// Ends the connection without another byte.
    pub(crate) fn end(&self, end: End) {
        self.take_over(Takeover { pieces: VecDeque::new(), end });
    }
}

/// A connection that can be taken over, and that ends when the simulator stops.
pub(crate) struct Connection {
    inner: TcpStream,
    control: Arc<Control>,
    pause: Option<Pin<Box<Sleep>>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the simulator ended this connection")
}

impl Connection {
    /// Sends the takeover's bytes; ready (with an error, so that the library lets go) when they are sent.
    fn poll_takeover(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(gone());
        }
        loop {
            let mut guard = self.control.takeover.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(takeover) = guard.as_mut() else { return Poll::Ready(gone()) };
            let Some(piece) = takeover.pieces.front_mut() else {
                match takeover.end {
                    End::Hold => return Poll::Pending,
                    End::Close => {}
                    End::Reset => {
                        if let Err(error) = self.inner.set_zero_linger() {
                            return Poll::Ready(error);
                        }
                    }
                }
                return Poll::Ready(gone());
            };
            let mut length = piece.bytes.len();
            if let Some((step, pause)) = piece.pace {
                let sleep = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                ready!(sleep.as_mut().poll(context));
                length = length.min(step.max(1));
            }
            match ready!(Pin::new(&mut self.inner).poll_write(context, &piece.bytes[..length])) {
                Ok(written) => piece.bytes.advance(written),
                Err(error) => return Poll::Ready(error),
            }
            self.pause = None;
            if piece.bytes.is_empty() {
                takeover.pieces.pop_front();
            }
        }
    }

    fn is_taken(&self) -> bool {
        self.control.taken.load(Ordering::Acquire)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if polled.is_pending() && self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(gone()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_taken() {
            return self.poll_takeover(context).map(Err);
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_taken() {
            return self.poll_takeover(context).map(Err);
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_taken() {
            // The takeover has decided how the connection ends; dropping it is enough.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Accepts connections and wraps them.
pub(crate) struct Door {
    listener: TcpListener,
    stop: CancellationToken,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, stop: CancellationToken) -> Self {
        Self { listener, stop }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Without this, small answers wait for the peer's delayed acknowledgement; a socket that refuses it still works.
        drop(stream.set_nodelay(true));
        let connection = Connection {
            inner: stream,
            control: Arc::default(),
            pause: None,
            stopped: Box::pin(self.stop.clone().cancelled_owned()),
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.listener)
    }
}

/// The grip on the connection, as handlers receive it.
#[derive(Clone, Debug)]
pub(crate) struct Grip(pub(crate) Arc<Control>);

impl Connected<IncomingStream<'_, Door>> for Grip {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(Arc::clone(&stream.io().control))
    }
}
