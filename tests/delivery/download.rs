//! Downloads that a person's network does not take to their end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::handover::{Shelf, until_download};
use crate::pages::{LAST_CHUNK, RIGHT, Site};
use crate::world::World;

#[tokio::test]
async fn s_11_a_download_that_is_given_up_does_not_end_as_if_it_were_whole() {
    let (world, shelf) = (World::new().await, Shelf::new());
    let handover = shelf.handover(&world).with_stall(Duration::from_millis(200));
    let site = Site::start_with(&world, handover).await;
    // More than the buffers on the way hold.
    let stored = shelf.package(&world, 20_000_000).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let request = format!(
        "POST /handover/{} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{RIGHT}",
        stored.token,
        RIGHT.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    // Nothing is read until the page has given up.
    until_download(&world, stored.request, "broken_off").await;
    let mut received = Vec::new();
    // A reset tells the browser as well as an early end does.
    drop(stream.read_to_end(&mut received).await);
    assert!(received.starts_with(b"HTTP/1.1 200"), "{} bytes", received.len());
    assert!(received.len() < stored.clear.len());
    assert!(!received.ends_with(LAST_CHUNK), "a torn archive looks like a whole one");
    site.end().await;
}
