//! A small mail server that keeps the bytes that it is sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does differently from an obedient one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Obedient,
    /// Greets, then says nothing any more.
    SilentAfterGreeting,
    /// Takes the body, then says nothing any more.
    SilentAfterBody,
    /// Takes the body, then closes.
    DropsAfterBody,
    /// Answers RCPT with this line.
    AtRecipient(&'static str),
    /// Answers the body with this line.
    AtBody(&'static str),
    /// Answers MAIL with this line.
    AtSender(&'static str),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) commands: Vec<String>,
    /// Bodies as they crossed the network, up to the closing dot.
    pub(crate) bodies: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct SmtpStub {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
    mood: Arc<Mutex<Mood>>,
    task: JoinHandle<()>,
}

impl Drop for SmtpStub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SmtpStub {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mood = Arc::new(Mutex::new(mood));
        let (log, temper) = (Arc::clone(&seen), Arc::clone(&mood));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = *temper.lock().unwrap();
                let log = Arc::clone(&log);
                tokio::spawn(async move { converse(stream, mood, &log).await });
            }
        });
        Self { port, seen, mood, task }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn become_of(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn converse(mut stream: TcpStream, mood: Mood, seen: &Mutex<Seen>) -> Option<()> {
    let mut buffer = Vec::new();
    say(&mut stream, "220 stub.example ESMTP").await?;
    if mood == Mood::SilentAfterGreeting {
        std::future::pending::<()>().await;
    }
    loop {
        let line = take_until(&mut stream, &mut buffer, b"\r\n").await?;
        let line = String::from_utf8(line).unwrap();
        seen.lock().unwrap().commands.push(line.clone());
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match (verb.as_str(), mood) {
            ("EHLO", _) => say(&mut stream, "250-stub.example\r\n250 SIZE 10000000").await?,
            ("MAIL", Mood::AtSender(answer)) | ("RCPT", Mood::AtRecipient(answer)) => {
                say(&mut stream, answer).await?;
            }
            ("DATA", _) => {
                say(&mut stream, "354 go on").await?;
                let body = take_until(&mut stream, &mut buffer, b"\r\n.\r\n").await?;
                seen.lock().unwrap().bodies.push(body);
                match mood {
                    Mood::SilentAfterBody => std::future::pending::<()>().await,
                    Mood::DropsAfterBody => return None,
                    Mood::AtBody(answer) => say(&mut stream, answer).await?,
                    _ => say(&mut stream, "250 taken").await?,
                }
            }
            ("QUIT", _) => {
                say(&mut stream, "221 bye").await?;
                return Some(());
            }
            _ => say(&mut stream, "250 fine").await?,
        }
    }
}

async fn say(stream: &mut TcpStream, line: &str) -> Option<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()
}

/// The bytes before `mark`, read exactly: nothing is forgiven here that another server would not forgive.
async fn take_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(mark.len()).position(|window| window == mark) {
            let taken = buffer[..at].to_vec();
            buffer.drain(..at + mark.len());
            return Some(taken);
        }
        let mut piece = [0_u8; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&piece[..read]),
        }
    }
}
