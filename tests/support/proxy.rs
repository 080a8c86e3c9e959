//! A way to PostgreSQL that breaks where a test wants it to.
//!
//! The proxy listens on a TCP port of its own and forwards to the real server. It reads what the client sends message by
//! message, so that it knows where a transaction ends, and cuts the connection there: nobody but the server then knows
//! whether it was committed (`commit_unknown_result`). It can also refuse connections, delay, and cut answers.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to a COMMIT, always without an answer to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never gets it.
    Before,
    /// The server gets it, and the client's connection ends at once: it may be carried out later than all that the
    /// client does next.
    During,
    /// The server has carried it out.
    After,
}

/// Decides what becomes of a transaction, from what the client sent in it: the statements and their values.
type Decide = dyn Fn(&[u8]) -> Option<Cut> + Send + Sync;

#[derive(Default)]
struct State {
    refuses: AtomicBool,
    connections: AtomicU64,
    latency_micros: AtomicU64,
    /// Bytes of answers after which a connection is cut; 0 for never.
    answer_limit: AtomicU64,
    decide: Mutex<Option<Box<Decide>>>,
    cuts: Mutex<BTreeMap<&'static str, u64>>,
}

/// The running proxy; dropping it cuts all connections.
pub(crate) struct PgProxy {
    port: u16,
    state: Arc<State>,
    generation: watch::Sender<u64>,
    target: PgConnectOptions,
    task: JoinHandle<()>,
}

impl Drop for PgProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut_all();
    }
}

impl PgProxy {
    /// Stands in front of the server that the options lead to by its socket.
    pub(crate) async fn start(target: PgConnectOptions) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let directory = target.get_socket().expect("a server with a socket").clone();
        let socket = directory.join(format!(".s.PGSQL.{}", target.get_port()));
        let state = Arc::new(State::default());
        let (generation, current) = watch::channel(0);
        let accepting = accept(listener, socket, Arc::clone(&state), current);
        Self { port, state, generation, target, task: tokio::spawn(accepting) }
    }

    /// How to connect through it.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(self.target.get_username())
            .database(self.target.get_database().expect("a database with a name"))
            .ssl_mode(PgSslMode::Disable)
    }

    /// Lets `decide` say at the end of every transaction that writes what becomes of it.
    pub(crate) fn cut_commits(&self, decide: impl Fn(&[u8]) -> Option<Cut> + Send + Sync + 'static) {
        *self.state.decide.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(decide));
    }

    /// Cuts no more commits.
    pub(crate) fn spare_commits(&self) {
        *self.state.decide.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How often each kind of transaction was cut.
    pub(crate) fn cuts(&self) -> BTreeMap<&'static str, u64> {
        self.state.cuts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Accepts connections only to close them, or no longer; those that stand are cut.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
        self.cut_all();
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// How many connections were begun.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Delays everything that is sent to the server.
    pub(crate) fn delay(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).expect("a short time");
        self.state.latency_micros.store(micros, Ordering::SeqCst);
    }

    /// Cuts each connection after so many bytes of answers; 0 for never.
    pub(crate) fn limit_answers(&self, bytes: u64) {
        self.state.answer_limit.store(bytes, Ordering::SeqCst);
    }
}

/// What kind of transaction it was, by what was sent in it. The first that fits counts.
pub(crate) fn kind_of(sent: &[u8]) -> &'static str {
    const KINDS: [(&str, &str); 20] = [
        ("DELETE FROM audit.inbox", "seal"),
        ("DELETE FROM dsrd.intake", "take"),
        ("request.received", "submit"),
        // The end of an effect is written with what follows it, mostly the answer to the person.
        ("policy.ended", "end_effect"),
        ("deletion.ended", "end_effect"),
        ("notice.began", "notice_begin"),
        ("notice.ended", "notice_end"),
        ("request.closed", "close"),
        ("request.parked", "park"),
        ("policy.began", "begin_effect"),
        ("deletion.began", "begin_effect"),
        ("state = 'ready', owner = NULL, run_at = now() + $3", "put_back"),
        ("INSERT INTO dsrd.checkpoint", "write"),
        ("WITH next AS MATERIALIZED", "claim"),
        ("state = 'ready', owner = NULL", "release"),
        ("claimed_by = $4", "notice_claim"),
        ("dsrd.instance", "beat"),
        ("dsrd.rate_budget", "budget"),
        ("SET ROLE", "session"),
        ("LISTEN", "session"),
    ];
    KINDS.iter().find(|(mark, _)| holds(sent, mark.as_bytes())).map_or("other", |(_, kind)| kind)
}

pub(crate) fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

async fn accept(listener: TcpListener, socket: PathBuf, state: Arc<State>, generation: watch::Receiver<u64>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        state.connections.fetch_add(1, Ordering::SeqCst);
        if state.refuses.load(Ordering::SeqCst) {
            continue;
        }
        let (socket, state, mut generation) = (socket.clone(), Arc::clone(&state), generation.clone());
        generation.borrow_and_update();
        tokio::spawn(async move {
            let Ok(server) = UnixStream::connect(socket).await else { return };
            client.set_nodelay(true).expect("a TCP connection");
            let connection = Connection { client, server, state, session: Session::default() };
            tokio::select! {
                _ended = connection.forward() => {}
                _cut = generation.changed() => {}
            }
        });
    }
}

struct Connection {
    client: TcpStream,
    server: UnixStream,
    state: Arc<State>,
    session: Session,
}

impl Connection {
    /// Until one of both ends, or the connection is cut.
    async fn forward(mut self) -> std::io::Result<()> {
        let (mut from_client, mut from_server) = (BytesMut::new(), BytesMut::new());
        let mut answered = 0;
        loop {
            tokio::select! {
                read = self.client.read_buf(&mut from_client) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    let latency = self.state.latency_micros.load(Ordering::SeqCst);
                    if latency > 0 {
                        tokio::time::sleep(Duration::from_micros(latency)).await;
                    }
                    while let Some(message) = self.session.next_message(&mut from_client) {
                        let cut = self.session.ends_with(&message).and_then(|sent| self.decide(&sent));
                        match cut {
                            None => self.server.write_all(&message).await?,
                            Some(Cut::Before) => return Ok(()),
                            Some(Cut::During) => {
                                self.server.write_all(&message).await?;
                                drop(self.client);
                                return read_to_the_end_of_answer(&mut self.server).await;
                            }
                            Some(Cut::After) => {
                                self.server.write_all(&message).await?;
                                return read_to_the_end_of_answer(&mut self.server).await;
                            }
                        }
                    }
                }
                read = self.server.read_buf(&mut from_server) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    answered += from_server.len() as u64;
                    self.client.write_all_buf(&mut from_server).await?;
                    let limit = self.state.answer_limit.load(Ordering::SeqCst);
                    if limit > 0 && answered > limit {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn decide(&self, sent: &[u8]) -> Option<Cut> {
        let cut = {
            let decide = self.state.decide.lock().unwrap_or_else(PoisonError::into_inner);
            decide.as_ref().and_then(|decide| decide(sent))
        };
        if cut.is_some() {
            let mut cuts = self.state.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            *cuts.entry(kind_of(sent)).or_default() += 1;
        }
        cut
    }
}

/// Up to "ready for query", which the server sends when the transaction has ended.
async fn read_to_the_end_of_answer(server: &mut UnixStream) -> std::io::Result<()> {
    let mut answer = BytesMut::new();
    while !answer.ends_with(&[b'Z', 0, 0, 0, 5, b'I']) && !answer.ends_with(&[b'Z', 0, 0, 0, 5, b'E']) {
        if server.read_buf(&mut answer).await? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// What the client has said so far.
#[derive(Default)]
struct Session {
    started: bool,
    in_transaction: bool,
    statements: HashMap<Bytes, Bytes>,
    /// The statements and values since the last end of a transaction.
    sent: Vec<u8>,
}

impl Session {
    /// The next whole message. The first one has no type byte.
    fn next_message(&self, buffer: &mut BytesMut) -> Option<Bytes> {
        let head = usize::from(self.started);
        let length = buffer.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize + head;
        (buffer.len() >= length).then(|| buffer.split_to(length).freeze())
    }

    /// Follows the message; when it ends a transaction that wrote, what was sent in it.
    fn ends_with(&mut self, message: &Bytes) -> Option<Vec<u8>> {
        if !self.started {
            self.started = true;
            return None;
        }
        let (kind, mut body) = (message[0], message.slice(5..));
        match kind {
            b'Q' if body.starts_with(b"COMMIT") => {
                self.in_transaction = false;
                return Some(std::mem::take(&mut self.sent));
            }
            b'Q' if body.starts_with(b"BEGIN") => {
                self.in_transaction = true;
                self.sent.clear();
            }
            b'Q' if body.starts_with(b"ROLLBACK") => {
                self.in_transaction = false;
                self.sent.clear();
            }
            b'P' => {
                let name = take_text(&mut body);
                let statement = take_text(&mut body);
                self.statements.insert(name, statement);
            }
            b'B' => {
                let _portal = take_text(&mut body);
                let name = take_text(&mut body);
                if let Some(statement) = self.statements.get(&name) {
                    self.sent.extend_from_slice(statement);
                }
                self.sent.extend_from_slice(&body);
            }
            // The end of a statement by itself, unless a transaction is open.
            b'S' if !self.in_transaction => {
                let sent = std::mem::take(&mut self.sent);
                let writes = ["UPDATE ", "INSERT ", "DELETE "];
                return writes.iter().any(|word| holds(&sent, word.as_bytes())).then_some(sent);
            }
            _ => {}
        }
        None
    }
}

fn take_text(body: &mut Bytes) -> Bytes {
    let end = body.iter().position(|byte| *byte == 0).expect("texts end with a zero");
    let text = body.split_to(end);
    body.advance(1);
    text
}
