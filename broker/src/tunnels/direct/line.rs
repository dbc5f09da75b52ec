//! One line: a connection that an agent dialled, on which we are the HTTP/2 client.
//!
//! Invariants: a line is used only after the agent has answered our hello; each task that works for a line
//! belongs to its crew, and the crew ends with it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use shared::tunnel::{
    DIRECT_CONTROL, DIRECT_HELLO, DIRECT_ORIGIN_HEADER, DIRECT_ORIGIN_UNREACHABLE, DIRECT_TAKEN_OVER,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Away, Body, BodyError, Ended};

/// Requests and WebSockets at once on one line; the next one is refused. The agent allows a few more, so
/// that nothing waits inside the HTTP/2 client, whose queue has no end.
const STREAMS: usize = 1000;

/// How much of one answer may lie here unread. A line of 50 ms and 80 Mbit/s is kept full by it.
const STREAM_WINDOW: u32 = 512 << 10;

/// The same for all answers of a line together: a hundred visitors who stopped reading must not stop the
/// others.
const LINE_WINDOW: u32 = 64 << 20;

/// A quarter of HTTP/2's smallest number of frames for the same bytes, and still short on a slow line.
const FRAME: u32 = 64 << 10;

/// Bytes a stream may have waiting for the connection.
const SEND_BUFFER: usize = 256 << 10;

/// Cookies, tokens and long addresses: what Home Assistant's own server accepts fits with room to spare.
const HEAD_LIMIT: u32 = 128 << 10;

/// The time until the hello must be answered.
const HELLO: Duration = Duration::from_secs(10);

/// The time in which a replaced agent may take note of it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Drives the connection; resolves when it is over.
pub(super) type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// The tasks that work for one line.
#[derive(Clone)]
pub(super) struct Crew {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Crew {
    /// Starts a task that ends, at the latest, with the line.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move { cut.run_until_cancelled(task).await });
    }
}

impl<F> hyper::rt::Executor<F> for Crew
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// A line that is up.
pub(super) struct Line {
    pub(super) since: Instant,
    pub(super) crew: Crew,
    sender: http2::SendRequest<Body>,
    room: Arc<Semaphore>,
    ending: CancellationToken,
    why: OnceLock<Ended>,
}

/// Takes the client's part on `io` and waits for the agent to answer the hello.
pub(super) async fn open<IO>(
    io: IO,
    ping: Duration,
    stop: &CancellationToken,
) -> anyhow::Result<(Line, Connection)>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let crew = Crew { tasks: TaskTracker::new(), cut: stop.child_token() };
    let cut_unless_up = crew.cut.clone().drop_guard();
    let (sender, connection) = http2::Builder::new(crew.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LINE_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_LIMIT)
        .max_frame_size(FRAME)
        // A visitor who leaves resets a stream, and what was under way arrives for a stream that is no more.
        // That is our daily bread; by default a thousand such frames in a line's life would end the line.
        .max_concurrent_reset_streams(STREAMS)
        .max_local_error_reset_streams(None)
        .keep_alive_interval(ping)
        .keep_alive_timeout(ping)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(io))
        .await?;
    let mut connection: Connection = Box::pin(connection);
    tokio::select! {
        ended = &mut connection => {
            ended?;
            return Err(anyhow!("the agent closed the connection at once"));
        }
        answered = timeout(HELLO, sender.clone().send_request(control(DIRECT_HELLO))) => {
            answered.context("the agent did not answer the hello")??;
        }
    }
    cut_unless_up.disarm();
    let line = Line {
        since: Instant::now(),
        crew,
        sender,
        room: Arc::new(Semaphore::new(STREAMS)),
        ending: stop.child_token(),
        why: OnceLock::new(),
    };
    Ok((line, connection))
}

/// A word for the agent itself.
fn control(path: &'static str) -> Request<Body> {
    let mut request = Request::new(boxed(Empty::new()));
    *request.method_mut() = Method::HEAD;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() =
        format!("http://{DIRECT_CONTROL}{path}").parse().expect("the control addresses are addresses");
    request
}

impl Line {
    /// Runs the line until it is over; says why it is.
    pub(super) async fn run(&self, mut connection: Connection) -> Ended {
        tokio::select! {
            ended = &mut connection => match ended {
                Ok(()) => Ended::Lost("the agent hung up or went silent".to_owned()),
                Err(err) => Ended::Lost(words(err)),
            },
            () = self.ending.cancelled() => {
                let why = self.why.get().cloned().unwrap_or(Ended::Stopped);
                if why == Ended::TakenOver {
                    self.say_goodbye(&mut connection).await;
                }
                why
            }
        }
    }

    /// Tells an agent that it has been replaced, so that two agents do not take turns for ever.
    async fn say_goodbye(&self, connection: &mut Connection) {
        let told = timeout(FAREWELL, self.sender.clone().send_request(control(DIRECT_TAKEN_OVER)));
        tokio::select! {
            _ = connection => {}
            _ = told => {}
        }
    }

    /// Asks the line to end; the first reason counts.
    pub(super) fn end(&self, why: Ended) {
        _ = self.why.set(why);
        self.ending.cancel();
    }

    /// Ends the crew and with it the connection.
    pub(super) fn cut(&self) {
        self.crew.cut.cancel();
    }

    /// [`Line::cut`], and waits until nothing of the line runs any more.
    pub(super) async fn close(&self) {
        self.cut();
        self.crew.tasks.close();
        self.crew.tasks.wait().await;
    }

    /// Sends a prepared request down and hands its answer on.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Away> {
        let (answer, place) = self.ask(request).await?;
        Ok(hand_on(answer, place))
    }

    /// Sends a prepared request down. The permit is the stream's place on the line; it is to be dropped when
    /// the stream is over.
    pub(super) async fn ask(
        &self,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), Away> {
        let place = self.room.clone().try_acquire_owned();
        let place = place.map_err(|_| Away::Broke(format!("it already carries {STREAMS} requests")))?;
        let answer =
            self.sender.clone().send_request(request).await.map_err(|err| Away::Broke(words(err)))?;
        let reached = |value: &http::HeaderValue| value != DIRECT_ORIGIN_UNREACHABLE;
        if answer.status() == StatusCode::BAD_GATEWAY
            && !answer.headers().get(DIRECT_ORIGIN_HEADER).is_none_or(reached)
        {
            return Err(Away::OriginDown);
        }
        Ok((answer, place))
    }
}

/// Turns the agent's answer into the visitor's.
pub(super) fn hand_on(mut answer: Response<Incoming>, place: OwnedSemaphorePermit) -> Response<Body> {
    *answer.version_mut() = Version::HTTP_11;
    answer.map(|body| BodyExt::boxed_unsync(Streaming { body, _place: place }))
}

/// A request body of any kind, as one kind.
pub(super) fn boxed<B>(body: B) -> Body
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// An error with its causes, in one line.
fn words(err: hyper::Error) -> String {
    format!("{:#}", anyhow!(err))
}

/// An answer's body that keeps its place on the line until it is over.
struct Streaming {
    body: Incoming,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Streaming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
