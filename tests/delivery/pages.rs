//! The hand-over page over a real listener.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery::Handover;
use dsrd::domain::{Clock as _, IdentityDoubt, Personal, Reference, RequestId};
use dsrd::http::{AppState, Settings, router, serve};
use dsrd::identity::{self, Asked, Occasion, ProofPage};
use dsrd::intake;
use dsrd::queue::Rounds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::handover::{Shelf, until_download};
use crate::world::{ADA, World};

/// The form as a browser sends it for the person who made the request.
pub(crate) const RIGHT: &str = "answer=ada%40people.example";

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Site {
    async fn start(world: &World, shelf: &Shelf) -> Self {
        Self::start_with(world, shelf.handover(world)).await
    }

    pub(crate) async fn start_with(world: &World, handover: Handover) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = AppState {
            handover,
            proofs: ProofPage::new(world.store.clone(), world.desk(), world.controllers()),
            store: world.store.clone(),
            rounds: Rounds::default(),
            behind_tls: true,
        };
        let settings = Settings { listen: None, header_timeout_secs: 1, max_connections: 8 };
        let stop = CancellationToken::new();
        let ending = stop.clone();
        let task = tokio::spawn(async move { serve(listener, router(state), &settings, ending).await });
        Self { address, stop, task }
    }

    /// Sends one request and reads the answer to its end: status line and headers, body. A `POST` sends the form with the
    /// right answer.
    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, if method == "POST" { RIGHT } else { "" }).await
    }

    async fn send(&self, method: &str, path: &str, form: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: venue.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.sort();
        let body = bytes[split + 4..].to_vec();
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if chunked { unchunk(&body) } else { body };
        Self { status, headers, body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The answer without its nonce, for comparing.
    fn masked(&self) -> (u16, Vec<(String, String)>, String) {
        let policy = self.header("content-security-policy").unwrap_or_default();
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or("none");
        let headers =
            self.headers.iter().map(|(name, value)| (name.clone(), value.replace(nonce, "NONCE"))).collect();
        (self.status, headers, self.text().replace(nonce, "NONCE"))
    }
}

/// With what an answer in chunks ends when it is whole.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            assert_eq!(body, LAST_CHUNK, "the answer ends there");
            return whole;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
}

#[tokio::test]
async fn s_11_looking_neither_consumes_nor_reveals_and_the_button_does() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let stored = shelf.package(&world, 700_000).await;
    let path = format!("/handover/{}", stored.token);

    for method in ["HEAD", "GET", "HEAD", "GET"] {
        let answer = site.ask(method, &path).await;
        assert_eq!(answer.status, 200, "{method}");
        let page = answer.text();
        assert_eq!(page.is_empty(), method == "HEAD");
        assert!(!page.contains("people.example"), "no personal data beyond the reference");
        assert!(!page.contains(&stored.token), "the page does not repeat the secret");
        assert!(!page.contains("<script"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    }

    let answer = site.ask("POST", &path).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == stored.clear);
    let reference = dsrd::domain::Reference::of(stored.request);
    for (name, value) in [
        ("content-type", "application/zip"),
        ("content-disposition", &format!("attachment; filename=\"{reference}.zip\"")),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    until_download(&world, stored.request, "complete").await;
    for method in ["GET", "POST"] {
        assert_eq!(site.ask(method, &path).await.status, 404, "second use");
    }
    site.end().await;
}

#[tokio::test]
async fn s_11_the_button_alone_opens_nothing() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let stored = shelf.package(&world, 100).await;
    let path = format!("/handover/{}", stored.token);
    // What a scanner sends that presses buttons, or a body that is no such form: nothing is used up, no try is counted.
    let huge = format!("answer={}", "a".repeat(10_000));
    for form in ["", "answer=", "answer=+++", "nonsense", "other=ada%40people.example", &huge] {
        let answer = site.send("POST", &path, form).await;
        assert_eq!(answer.status, 422, "{form:.20}");
        assert!(answer.text().contains("Please type"), "{}", answer.text());
    }
    let wrong = site.send("POST", &path, "answer=%3Cb%3Eeve%40people.example").await;
    assert_eq!(wrong.status, 422);
    let page = wrong.text();
    assert!(
        page.contains("You can try 4 more times") && !page.contains("eve@"),
        "what was typed is not repeated"
    );
    assert!(!page.contains("<script") && page.contains("role=\"alert\""), "{page}");
    assert!(wrong.header("content-security-policy").unwrap().contains("form-action 'self'"));
    assert_eq!(wrong.header("cache-control"), Some("no-store"));
    for _ in 0..3 {
        site.send("POST", &path, "answer=eve%40people.example").await;
    }
    let locked = site.send("POST", &path, "answer=eve%40people.example").await;
    assert_eq!(locked.status, 403);
    assert!(locked.text().contains("This link is locked"), "{}", locked.text());
    for method in ["GET", "POST"] {
        let expected = site.ask(method, "/handover/unknown").await.masked();
        assert_eq!(
            site.ask(method, &path).await.masked(),
            expected,
            "a locked link is one that does not work"
        );
    }
    site.end().await;
}

#[tokio::test]
async fn s_11_all_wrong_links_get_one_and_the_same_answer() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let used = shelf.package(&world, 100).await;
    site.ask("POST", &format!("/handover/{}", used.token)).await;
    until_download(&world, used.request, "complete").await;
    let expired = shelf.package(&world, 100).await;
    world.clock.advance(TimeDelta::days(14));
    let fresh = shelf.package(&world, 100).await;
    assert_eq!(site.ask("GET", &format!("/handover/{}", fresh.token)).await.status, 200);

    let mut guessed = fresh.token.clone().into_bytes();
    guessed[63] = if guessed[63] == b'0' { b'1' } else { b'0' };
    let wrong = [
        used.token,
        expired.token,
        String::from_utf8(guessed).unwrap(),
        fresh.token.to_uppercase().replace(|each: char| each.is_ascii_digit(), "A"),
        fresh.token[..63].to_owned(),
        format!("{}0", fresh.token),
        "..%2f..%2fetc%2fpasswd".to_owned(),
        "%00".to_owned(),
        "%ff%fe".to_owned(),
    ];
    for method in ["GET", "POST"] {
        let expected = site.ask(method, "/handover/unknown").await.masked();
        assert_eq!(expected.0, 404);
        for token in &wrong {
            assert_eq!(site.ask(method, &format!("/handover/{token}")).await.masked(), expected, "{token}");
        }
    }
    site.end().await;
}

#[tokio::test]
async fn s_11_a_torn_download_leaves_the_link_usable_for_a_while() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let stored = shelf.package(&world, 20_000_000).await;
    let path = format!("/handover/{}", stored.token);
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream
        .write_all(
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{RIGHT}",
                RIGHT.len()
            )
            .as_bytes(),
        )
        .await
        .unwrap();
    let mut piece = vec![0; 10_000];
    stream.read_exact(&mut piece).await.unwrap();
    drop(stream);
    until_download(&world, stored.request, "broken_off").await;
    let answer = site.ask("POST", &path).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == stored.clear);
    site.end().await;
}

/// A request whose person is asked who they are, and the secret of the link in their mail.
async fn asked(world: &World) -> (RequestId, String) {
    let (request, secret, _) = asked_with_code(world).await;
    (request, secret)
}

/// The same with the code that stands for the link.
async fn asked_with_code(world: &World) -> (RequestId, String, String) {
    let request = world.request().await;
    let now = world.clock.now();
    let mut tx = world.store.begin("test").await.unwrap();
    let case = intake::find_case(&mut tx, world.organisation(), request).await.unwrap().unwrap();
    let asked = Asked {
        doubt: IdentityDoubt::NoProof,
        until: now + TimeDelta::days(14),
        contact_point: 0,
        occasion: Occasion::Wanted,
    };
    let actor = Actor::Process("test");
    identity::ask(&mut tx, &world.keys, &world.controller, &case, asked, actor, now).await.unwrap();
    tx.commit().await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    mailer.pump_once().await.unwrap();
    let mail = memory.sent_to(ADA).pop().unwrap();
    let (_, code) = mail.text.expose().split_once("Code: ").unwrap();
    let code = code.lines().next().unwrap().trim().to_owned();
    (request, mail.link.map(Personal::into_exposed).unwrap(), code)
}

#[tokio::test]
async fn r_18_a_code_is_typed_looked_at_and_confirmed() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let (request, _, code) = asked_with_code(&world).await;
    let reference = Reference::of(request);
    let empty = site.ask("GET", "/identity").await;
    assert_eq!(empty.status, 200);
    assert!(empty.text().contains("code of eight digits") && !empty.text().contains("role=\"alert\""));
    assert_eq!(empty.header("cache-control"), Some("no-store"));
    let form = format!("reference={reference}&code={}", code.replace(' ', "+"));
    let shown = site.send("POST", "/identity", &form).await;
    assert_eq!(shown.status, 200);
    let text = shown.text();
    assert!(
        text.contains(&format!("name=\"code\" value=\"{code}\"")) && text.contains("name=\"confirmed\""),
        "{text}"
    );
    assert!(!text.contains("name=\"answer\""), "who types a code is no scanner, and is asked nothing more");
    assert!(!text.contains("people.example") && !text.contains("<script"));
    let proofs = async || world.log(request).await.iter().filter(|each| *each == "identity.proven").count();
    assert_eq!(proofs().await, 0, "looking confirms nothing");
    let confirmed = site.send("POST", "/identity", &format!("{form}&confirmed=yes")).await;
    assert_eq!(confirmed.status, 200);
    assert!(confirmed.text().contains("Thank you, it is confirmed"));
    assert_eq!(proofs().await, 1);
    site.end().await;
}

#[tokio::test]
async fn s_5_a_code_that_does_not_work_tells_nothing_in_words_or_time() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let (waiting, _, code) = asked_with_code(&world).await;
    let (used, _, used_code) = asked_with_code(&world).await;
    let form = |reference: &str, code: &str| {
        format!("reference={reference}&code={}&confirmed=yes", code.replace(' ', ""))
    };
    let done = site.send("POST", "/identity", &form(Reference::of(used).as_str(), &used_code)).await;
    assert!(done.text().contains("Thank you"));
    let unasked = world.request().await;
    let mut expected = None;
    for (reference, code) in [
        ("DSR-2222-2222", code.as_str()),
        ("nonsense", code.as_str()),
        (Reference::of(unasked).as_str(), code.as_str()),
        (Reference::of(used).as_str(), used_code.as_str()),
        (Reference::of(waiting).as_str(), "00000000"),
        (Reference::of(waiting).as_str(), "no+code"),
    ] {
        let began = Instant::now();
        let answer = site.send("POST", "/identity", &form(reference, code)).await;
        assert!(began.elapsed() >= Duration::from_millis(700), "{reference}: {:?}", began.elapsed());
        let (status, mut headers, page) = answer.masked();
        headers.retain(|(name, _)| name != "content-length" && name != "date");
        let seen = (status, headers, page.replace(reference, "what was typed"));
        assert_eq!(seen.0, 422);
        assert!(seen.2.contains("do not go together"), "{}", seen.2);
        assert_eq!(*expected.get_or_insert_with(|| seen.clone()), seen, "{reference}");
    }
    // What was typed comes back as text.
    let answer = site.send("POST", "/identity", "reference=%22%3E%3Cb%3E&code=1").await;
    assert!(!answer.text().contains("\"><b>"), "{}", answer.text());
    site.end().await;
}

#[tokio::test]
async fn r_18_looking_at_the_page_confirms_nothing_and_the_button_needs_what_the_person_knows() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let (request, secret) = asked(&world).await;
    let path = format!("/identity/{secret}");
    for method in ["HEAD", "GET", "HEAD", "GET"] {
        let answer = site.ask(method, &path).await;
        assert_eq!(answer.status, 200, "{method}");
        let page = answer.text();
        assert_eq!(page.is_empty(), method == "HEAD");
        assert!(!page.contains("people.example"), "no personal data beyond the reference");
        assert!(!page.contains(&secret), "the page does not repeat the secret");
        assert!(!page.contains("<script"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("form-action 'self'"),
            "{policy}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    }
    // What a scanner sends that presses buttons.
    for form in ["", "answer=", "answer=+++", "nonsense", "other=ada%40people.example"] {
        let answer = site.send("POST", &path, form).await;
        assert_eq!(answer.status, 422, "{form:.20}");
        assert!(answer.text().contains("Please type"), "{}", answer.text());
    }
    let wrong = site.send("POST", &path, "answer=%3Cb%3Eeve%40people.example").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("You can try 4 more times") && !wrong.text().contains("eve@"));
    assert_eq!(world.log(request).await.iter().filter(|action| *action == "identity.proven").count(), 0);

    let answer = site.ask("POST", &path).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("Thank you, it is confirmed"), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let log = world.log(request).await;
    assert_eq!(log.iter().filter(|action| *action == "identity.proven").count(), 1, "{log:?}");
    for method in ["GET", "POST"] {
        let expected = site.ask(method, "/handover/unknown").await.masked();
        assert_eq!(expected.0, 404);
        assert_eq!(site.ask(method, &path).await.masked(), expected, "second use");
    }
    site.end().await;
}

#[tokio::test]
async fn s_5_all_links_that_do_not_work_look_alike_on_both_pages() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let (_, locked) = asked(&world).await;
    for _ in 0..5 {
        site.send("POST", &format!("/identity/{locked}"), "answer=eve%40people.example").await;
    }
    let (_, expired) = asked(&world).await;
    world.clock.advance(TimeDelta::hours(72));
    let (_, fresh) = asked(&world).await;
    let package = shelf.package(&world, 100).await;
    for method in ["GET", "POST"] {
        let expected = site.ask(method, "/handover/unknown").await.masked();
        assert_eq!(expected.0, 404);
        for path in [
            format!("/identity/{locked}"),
            format!("/identity/{expired}"),
            format!("/identity/{}", fresh.to_uppercase().replace(|each: char| each.is_ascii_digit(), "A")),
            format!("/identity/{}", &fresh[..63]),
            // The secret of one purpose opens nothing of another.
            format!("/handover/{fresh}"),
            format!("/identity/{}", package.token),
            "/identity/%ff%fe".to_owned(),
        ] {
            assert_eq!(site.ask(method, &path).await.masked(), expected, "{path}");
        }
    }
    assert_eq!(site.ask("GET", &format!("/identity/{fresh}")).await.status, 200);
    site.end().await;
}

#[tokio::test]
async fn other_methods_and_paths_touch_nothing() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let stored = shelf.package(&world, 100).await;
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        assert_eq!(site.ask(method, &format!("/handover/{}", stored.token)).await.status, 405, "{method}");
    }
    for path in ["/", "/handover", "/handover/", "/identity/", "/favicon.ico", "/handover/a/b"] {
        assert_eq!(site.ask("GET", path).await.status, 404, "{path}");
    }
    assert_eq!(site.ask("GET", &format!("/handover/{}", stored.token)).await.status, 200);
    site.end().await;
}

#[tokio::test]
async fn s_36_every_answer_carries_the_protective_headers_and_pages_run_nothing() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let stored = shelf.package(&world, 100).await;
    let (handover, nowhere) =
        (format!("/handover/{}", stored.token), format!("/identity/{}", "0".repeat(64)));
    for (method, path, status, is_page) in [
        ("GET", handover.as_str(), 200, true),
        ("HEAD", &handover, 200, true),
        ("PUT", &handover, 405, false),
        ("GET", &nowhere, 404, true),
        ("POST", &nowhere, 404, true),
        ("GET", "/", 404, true),
        ("GET", "/health/live", 200, false),
        ("GET", "/health/ready", 200, false),
        // Its archive, last: the link works once.
        ("POST", &handover, 200, false),
    ] {
        let answer = site.ask(method, path).await;
        assert_eq!(answer.status, status, "{method} {path}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {path}: {name}");
        }
        assert!(
            ["server", "x-powered-by", "set-cookie", "access-control-allow-origin"]
                .iter()
                .all(|name| answer.header(name).is_none())
        );
        // No source of scripts, plug-ins or frames is allowed, and no inline style but our own.
        let policy = answer.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        if is_page {
            for part in
                ["style-src 'nonce-", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
            {
                assert!(policy.contains(part), "{method} {path}: {policy}");
            }
        }
    }
    site.end().await;
}

#[tokio::test]
async fn s_38_health_tells_the_process_from_the_database_and_nothing_else() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    assert_eq!(site.ask("GET", "/health/live").await.status, 200);
    let ready = site.ask("GET", "/health/ready").await;
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"), "no version, no address");
    for path in ["/metrics", "/debug", "/config", "/health", "/version"] {
        assert_eq!(site.ask("GET", path).await.status, 404, "{path}");
    }
    let later =
        "INSERT INTO public._sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99991231000000, 'of a later release', true, 'x', 0)";
    let mut owner = world.owner().await;
    sqlx::query(later).execute(&mut owner).await.unwrap();
    let newer = site.ask("GET", "/health/ready").await;
    assert_eq!(newer.status, 503);
    assert!(newer.text().starts_with("schema_newer: "), "{}", newer.text());
    sqlx::query("DELETE FROM public._sqlx_migrations WHERE version = 99991231000000")
        .execute(&mut owner)
        .await
        .unwrap();
    assert_eq!(site.ask("GET", "/health/ready").await.status, 200);
    world.store.close().await;
    assert_eq!(site.ask("GET", "/health/live").await.status, 200);
    assert_eq!(site.ask("GET", "/health/ready").await.status, 503);
    let trouble = site.ask("GET", &format!("/handover/{}", "0".repeat(64))).await;
    assert_eq!(trouble.status, 503);
    assert!(trouble.text().contains("Your link was not used up"));
    site.end().await;
}

#[tokio::test]
async fn a_head_that_never_ends_or_is_huge_is_cut_off() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    slow.write_all(b"GET /handover/x HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_mins(1), slow.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "still open after {:?}", began.elapsed());

    let mut huge = TcpStream::connect(site.address).await.unwrap();
    let head = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    // The server may close while we still write.
    drop(huge.write_all(head.as_bytes()).await);
    let mut answer = Vec::new();
    drop(huge.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.contains(" 414 ") || answer.contains(" 431 "), "{answer}");
    site.end().await;
}

#[tokio::test]
async fn r_30_a_page_speaks_the_language_of_the_request_and_one_that_leads_nowhere_that_of_the_browser() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let site = Site::start(&world, &shelf).await;
    for (language, title, problem) in [
        ("en", "Your data is ready", "You can try 4 more times"),
        ("de-AT", "Ihre Daten liegen bereit", "noch 4-mal versuchen"),
        ("fr", "Vos données sont prêtes", "essayer encore 4 fois"),
        ("it", "I Suoi dati sono pronti", "provare ancora 4 volte"),
        ("es", "Sus datos están listos", "intentarlo 4 veces más"),
    ] {
        let stored = shelf.package(&world, 100).await;
        sqlx::query("UPDATE dsrd.request SET language = $1 WHERE request_id = $2")
            .bind(language)
            .bind(stored.request.0)
            .execute(&mut *world.store.connection().await.unwrap())
            .await
            .unwrap();
        let path = format!("/handover/{}", stored.token);
        let page = site.ask("GET", &path).await.text();
        assert!(page.contains(title), "{language}: {page}");
        assert!(page.contains(&format!("<html lang=\"{}\">", &language[..2])), "{language}: {page}");
        let wrong = site.send("POST", &path, "answer=eve%40people.example").await.text();
        assert!(wrong.contains(problem), "{language}: {wrong}");
    }
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let request = "GET /handover/nothing HTTP/1.1\r\nHost: venue.example\r\nAccept-Language: it-CH, de;q=0.5\r\n\
                   Connection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let answer = Answer::parse(&bytes);
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("Questo link non funziona"), "{}", answer.text());
    site.end().await;
}
