//! STARTTLS, its authority and the login, against a server with a certificate of a test authority.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dsrd::delivery::{Delivery, Security, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::world::World;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delivery/tls").join(name)
}

fn server_side() -> Arc<rustls::ServerConfig> {
    let chain = CertificateDer::pem_file_iter(fixture("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(settings)
}

/// A server for one connection. `first_byte_tls`: TLS at once instead of STARTTLS.
struct TlsStub {
    port: u16,
    /// Commands, marked with whether they came encrypted.
    seen: Arc<Mutex<Vec<String>>>,
}

impl TlsStub {
    fn start(first_byte_tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let secure = |stream: TcpStream| {
                rustls::StreamOwned::new(rustls::ServerConnection::new(server_side()).unwrap(), stream)
            };
            if first_byte_tls {
                return converse(secure(stream), true, true, &log);
            }
            let plain = stream.try_clone().unwrap();
            if converse(plain, false, true, &log) == Ended::Upgrade {
                converse(secure(stream), true, false, &log);
            }
            Ended::Closed
        });
        Self { port, seen }
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    Upgrade,
    Closed,
}

fn converse(stream: impl Read + Write, encrypted: bool, greet: bool, seen: &Mutex<Vec<String>>) -> Ended {
    let mut stream = BufReader::new(stream);
    let say = |stream: &mut BufReader<_>, line: &str| {
        let out: &mut dyn Write = BufReader::get_mut(stream);
        out.write_all(format!("{line}\r\n").as_bytes()).and_then(|()| out.flush()).is_ok()
    };
    if greet && !say(&mut stream, "220 stub") {
        return Ended::Closed;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return Ended::Closed;
        }
        let line = line.trim_end().to_owned();
        seen.lock().unwrap().push(format!("{} {line}", if encrypted { "tls" } else { "plain" }));
        let answer = match line.split([' ', ':']).next().unwrap() {
            "EHLO" if encrypted => "250-stub\r\n250 AUTH PLAIN",
            "EHLO" => "250-stub\r\n250 STARTTLS",
            "STARTTLS" => {
                say(&mut stream, "220 go on");
                return Ended::Upgrade;
            }
            // \0daemon\0right in Base64.
            "AUTH" if line == "AUTH PLAIN AGRhZW1vbgByaWdodA==" => "235 welcome",
            "AUTH" => "535 5.7.8 no",
            "DATA" => {
                say(&mut stream, "354 go on");
                let mut body = String::new();
                while !body.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut body).unwrap_or(0) == 0 {
                        return Ended::Closed;
                    }
                }
                "250 taken"
            }
            "QUIT" => {
                say(&mut stream, "221 bye");
                return Ended::Closed;
            }
            _ => "250 fine",
        };
        say(&mut stream, answer);
    }
}

async fn deliver(security: Security, ca: bool, password: &str) -> (Delivery, Option<String>, Vec<String>) {
    let stub = TlsStub::start(security == Security::Tls);
    let directory = tempfile::tempdir().unwrap();
    let password_file = directory.path().join("password");
    std::fs::write(&password_file, format!("{password}\n")).unwrap();
    std::fs::set_permissions(&password_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut world = World::new().await;
    let smtp = &mut world.settings.smtp;
    "localhost".clone_into(&mut smtp.host);
    smtp.port = stub.port;
    smtp.security = security;
    smtp.username = Some("daemon".to_owned());
    smtp.password_file = Some(password_file);
    smtp.ca_file = ca.then(|| fixture("ca.pem"));
    let (request, _) = world.pending().await;
    let mailer = world.mailer(Transport::open(&world.settings, "/nowhere".as_ref()).await.unwrap());
    let delivery = world.deliver(&mailer, request).await;
    let seen = stub.seen.lock().unwrap().clone();
    (delivery, world.notice(request).await.last_code, seen)
}

#[tokio::test]
async fn starttls_and_login_come_before_any_address() {
    let (delivery, _, seen) = deliver(Security::Starttls, true, "right").await;
    assert_eq!(delivery, Delivery::Sent, "{seen:?}");
    let encrypted = seen.iter().position(|line| line == "plain STARTTLS").unwrap();
    assert_eq!(seen.iter().filter(|line| line.starts_with("plain ")).count(), 2, "{seen:?}");
    assert!(seen[encrypted + 1..].iter().all(|line| line.starts_with("tls ")), "{seen:?}");
    assert!(seen.iter().any(|line| line.starts_with("tls RCPT TO:<ada@")), "{seen:?}");
}

#[tokio::test]
async fn tls_from_the_first_byte_works_as_well() {
    let (delivery, _, seen) = deliver(Security::Tls, true, "right").await;
    assert_eq!(delivery, Delivery::Sent, "{seen:?}");
    assert!(seen.iter().all(|line| line.starts_with("tls ")), "{seen:?}");
}

#[tokio::test]
async fn f_51_an_unknown_authority_or_a_wrong_password_is_our_fault_and_waits() {
    for security in [Security::Starttls, Security::Tls] {
        let (delivery, code, seen) = deliver(security, false, "right").await;
        assert!(matches!(delivery, Delivery::Later(_)), "{delivery:?}");
        assert!(matches!(code.as_deref(), Some("tls" | "connection")), "{code:?}");
        assert!(!seen.iter().any(|line| line.contains('@') || line.contains("AUTH")), "{seen:?}");
    }
    let (delivery, code, seen) = deliver(Security::Starttls, true, "wrong").await;
    assert!(matches!(delivery, Delivery::Later(_)), "{delivery:?}");
    assert_eq!(code.as_deref(), Some("535"));
    assert!(!seen.iter().any(|line| line.contains('@')), "{seen:?}");
}
