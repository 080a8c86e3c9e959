//! A way to PostgreSQL that breaks where a test wants it to.
//!
//! The proxy listens on a TCP port of its own and forwards to the real server. It reads what the client sends message by
//! message, so that it knows where a transaction ends, and cuts the connection there: nobody but the server then knows
//! whether it was committed (`commit_unknown_result`). It can also refuse connections, delay, and cut answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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

impl Cut {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// A transaction as the client sent it.
#[derive(Default)]
pub(crate) struct Transaction {
    statements: Vec<Bytes>,
    /// As they were bound.
    values: Vec<u8>,
}

impl Transaction {
    /// What kind it is, `None` where it writes nothing: the tables that its statements write and the functions of ours that they
    /// call, the actions of the entries that it adds to the log, and a number that tells the statements themselves apart.
    pub(crate) fn kind(&self) -> Option<String> {
        let mut writing = BTreeSet::new();
        let mut effects = BTreeSet::new();
        for statement in &self.statements {
            let text = String::from_utf8_lossy(statement);
            let found = effects_of(&text);
            if !found.is_empty() {
                writing.insert(text.into_owned());
                effects.extend(found);
            }
        }
        if effects.is_empty() {
            return None;
        }
        let mut number = DefaultHasher::new();
        writing.hash(&mut number);
        let told: Vec<String> = effects.into_iter().chain(self.actions()).collect();
        Some(format!("{} #{:04x}", told.join(", "), number.finish() & 0xFFFF))
    }

    /// The actions of the log's entries in it, each once.
    fn actions(&self) -> BTreeSet<String> {
        let values = String::from_utf8_lossy(&self.values);
        let parts = values.split("\"action\":\"").skip(1);
        let words = parts.filter_map(|part| part.split_once('"').map(|(word, _)| word.to_owned()));
        // Recipients are asked for actions, too.
        words.filter(|word| word.contains('.')).collect()
    }

    /// Whether this stands in a statement or in a value.
    pub(crate) fn holds(&self, part: &str) -> bool {
        let in_statements = self.statements.iter().any(|statement| holds(statement, part.as_bytes()));
        in_statements || holds(&self.values, part.as_bytes())
    }
}

pub(crate) fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What a statement writes, table by table, and which functions of ours it calls.
fn effects_of(statement: &str) -> BTreeSet<String> {
    let is_of_name = |each: char| each.is_ascii_alphanumeric() || "_.".contains(each);
    let words: Vec<&str> =
        statement.split(|each| !is_of_name(each)).filter(|word| !word.is_empty()).collect();
    let mut effects = BTreeSet::new();
    for (place, word) in words.iter().enumerate() {
        let before = place.checked_sub(1).map_or("", |place| words[place]);
        let next = words.get(place + 1).copied().unwrap_or_default();
        match (before, *word) {
            ("INSERT", "INTO") | ("DELETE", "FROM") => effects.insert(format!("{before} {next}")),
            // Rows are locked FOR UPDATE, and ON CONFLICT DO UPDATE names its table before.
            (_, "UPDATE") if next.contains('.') => effects.insert(format!("UPDATE {next}")),
            (_, function) if before != "INTO" && is_ours(function, statement) => {
                effects.insert(format!("CALL {function}"))
            }
            _ => false,
        };
    }
    effects
}

/// Whether a name is called as a function of one of our schemas.
fn is_ours(name: &str, statement: &str) -> bool {
    ["dsrd.", "audit."].iter().any(|schema| name.starts_with(schema))
        && statement.contains(&format!("{name}("))
}

/// Decides what becomes of a transaction.
type Decide = dyn Fn(&Transaction) -> Option<Cut> + Send + Sync;

#[derive(Default)]
struct State {
    refuses: AtomicBool,
    silent: AtomicBool,
    connections: AtomicU64,
    latency_micros: AtomicU64,
    /// Bytes of answers after which a connection is cut; 0 for never.
    answer_limit: AtomicU64,
    decide: Mutex<Option<Box<Decide>>>,
    cuts: Mutex<BTreeMap<String, Vec<Cut>>>,
}

/// The running proxy; dropping it cuts all connections.
pub(crate) struct PgProxy {
    port: u16,
    state: Arc<State>,
    generation: watch::Sender<u64>,
    silences: watch::Sender<u64>,
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
        let (silences, silence) = watch::channel(0);
        let accepting = accept(listener, socket, Arc::clone(&state), (current, silence));
        Self { port, state, generation, silences, target, task: tokio::spawn(accepting) }
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
    pub(crate) fn cut_commits(&self, decide: impl Fn(&Transaction) -> Option<Cut> + Send + Sync + 'static) {
        *self.state.decide.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(decide));
    }

    /// Cuts no more commits.
    pub(crate) fn spare_commits(&self) {
        *self.state.decide.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How each kind of transaction was cut, in the order in which that was.
    pub(crate) fn cuts(&self) -> BTreeMap<String, Vec<Cut>> {
        self.state.cuts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Accepts connections only to close them, or no longer; those that stand are cut.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
        self.cut_all();
    }

    /// As if the server's host had lost its power: nothing is answered and nothing is closed any more, over the
    /// connections that stand for ever, and over new ones until [`PgProxy::answer_again`].
    pub(crate) fn fall_silent(&self) {
        self.state.silent.store(true, Ordering::SeqCst);
        self.silences.send_modify(|silence| *silence += 1);
    }

    /// The server is back; of the connections that it had before it knows nothing.
    pub(crate) fn answer_again(&self) {
        self.state.silent.store(false, Ordering::SeqCst);
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

async fn accept(
    listener: TcpListener,
    socket: PathBuf,
    state: Arc<State>,
    (generation, silence): (watch::Receiver<u64>, watch::Receiver<u64>),
) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        state.connections.fetch_add(1, Ordering::SeqCst);
        if state.refuses.load(Ordering::SeqCst) {
            continue;
        }
        let (socket, state, mut generation) = (socket.clone(), Arc::clone(&state), generation.clone());
        let mut silence = silence.clone();
        generation.borrow_and_update();
        silence.borrow_and_update();
        tokio::spawn(async move {
            if state.silent.load(Ordering::SeqCst) {
                tokio::select! {
                    () = swallow(client) => {}
                    _cut = generation.changed() => {}
                }
                return;
            }
            let Ok(server) = UnixStream::connect(socket).await else { return };
            client.set_nodelay(true).expect("a TCP connection");
            let mut connection = Connection { client, server, state, session: Session::default() };
            let goes_silent = tokio::select! {
                _ended = connection.forward() => false,
                _cut = generation.changed() => false,
                _silence = silence.changed() => true,
            };
            if goes_silent {
                let Connection { client, server, .. } = connection;
                drop(server);
                tokio::select! {
                    () = swallow(client) => {}
                    _cut = generation.changed() => {}
                }
            }
        });
    }
}

/// Takes what a client sends, for as long as it likes, and answers nothing.
async fn swallow(mut client: TcpStream) {
    let mut taken = BytesMut::new();
    while client.read_buf(&mut taken).await.is_ok_and(|read| read > 0) {
        taken.clear();
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
    async fn forward(&mut self) -> std::io::Result<()> {
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
                                self.client.shutdown().await?;
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

    fn decide(&self, sent: &Transaction) -> Option<Cut> {
        let cut = {
            let decide = self.state.decide.lock().unwrap_or_else(PoisonError::into_inner);
            decide.as_ref().and_then(|decide| decide(sent))
        };
        if let (Some(cut), Some(kind)) = (cut, sent.kind()) {
            let mut cuts = self.state.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            cuts.entry(kind).or_default().push(cut);
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
    /// What was sent since the last end of a transaction.
    sent: Transaction,
}

impl Session {
    /// The next whole message. The first one has no type byte.
    fn next_message(&self, buffer: &mut BytesMut) -> Option<Bytes> {
        let head = usize::from(self.started);
        let length = buffer.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize + head;
        (buffer.len() >= length).then(|| buffer.split_to(length).freeze())
    }

    /// Follows the message; when it ends a transaction, what was sent in it.
    fn ends_with(&mut self, message: &Bytes) -> Option<Transaction> {
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
                self.sent = Transaction::default();
            }
            b'Q' if body.starts_with(b"ROLLBACK") => {
                self.in_transaction = false;
                self.sent = Transaction::default();
            }
            b'P' => {
                let name = take_text(&mut body);
                let statement = take_text(&mut body);
                self.statements.insert(name, statement);
            }
            b'B' => {
                let _portal = take_text(&mut body);
                let name = take_text(&mut body);
                self.sent.statements.extend(self.statements.get(&name).cloned());
                self.sent.values.extend_from_slice(&body);
            }
            // The end of a statement by itself, unless a transaction is open.
            b'S' if !self.in_transaction => {
                return Some(std::mem::take(&mut self.sent));
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
