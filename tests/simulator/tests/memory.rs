//! Memory of a large simulator; alone in its process, so that other tests do not count.

use dsrd_simulator::{Fault, JournalKeeping, Settings, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most memory that this process ever held, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Reads an answer to its end and answers its length.
async fn length_of_answer(simulator: &Simulator, request: String) -> (u64, Vec<u8>) {
    let mut stream = tokio::net::TcpStream::connect(simulator.address()).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let (mut length, mut start, mut piece) = (0, Vec::new(), vec![0; 64 * 1024]);
    loop {
        let read = stream.read(&mut piece).await.expect("an answer");
        if read == 0 {
            return (length, start);
        }
        if start.len() < 4096 {
            start.extend_from_slice(&piece[..read]);
        }
        length += read as u64;
    }
}

#[tokio::test]
async fn a_million_contacts_and_a_long_body_cost_little_memory() {
    let before = peak_kib();
    let mut settings = Settings::with_contacts(1_000_000);
    settings.journal = JournalKeeping::CountersOnly;
    let simulator = Simulator::start(settings).await.expect("a simulator");
    let organisation = simulator.organisation("main");
    let body = format!(
        r#"{{"clientKey":"{}","clientSecret":"{}"}}"#,
        organisation.client_key(),
        organisation.client_secret()
    );
    let login = format!(
        "POST /v1/sts/login/services HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (_, answer) = length_of_answer(&simulator, login).await;
    let answer = String::from_utf8(answer).expect("text");
    let token = answer.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        )
    };

    // A filter over everybody makes a snapshot of slot numbers; the page itself is streamed.
    let list = format!("/v2/customers/organizations/{}?size=10000&hasEmail=true", organisation.org_id());
    let (page, _) = length_of_answer(&simulator, get(&list)).await;
    assert!(page > 10_000_000, "{page} bytes in a page of ten thousand");

    simulator.faults().inject(Fault::RecordNumber(200_000));
    let id = organisation.contact_id(7).expect("a contact");
    let (events, _) = length_of_answer(&simulator, get(&format!("/v2/customers/{id}/events"))).await;
    assert!(events > 60_000_000, "{events} bytes of events");

    let grown = peak_kib() - before;
    assert!(grown < 32 * 1024, "{grown} KiB");
}
