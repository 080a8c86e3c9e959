//! S-24: an answer that is too large for a limit is an error of its class after few bytes, and never an answer without data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dsrd::domain::ContactId;
use dsrd::platform::{ContactPlatform as _, PlatformError, Source, Urgency};
use dsrd_simulator::{ContactSpec, Endpoint, Fault, Settings, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::conformance::simulated;
use crate::support::{Client, drain, drain_records, email, id};

/// How much the client decodes of an answer, and of one record.
const MOST_DECODED: u64 = 16 << 20;
const MOST_OF_RECORD: usize = 1 << 20;

/// How much may be on its way when the client gives up: the buffers of the kernel on both sides, and a page without fault.
const ON_THE_WAY: u64 = 16 << 20;

const ADDRESS: &str = "ada.canary@people.example";

/// A way to the platform that counts what comes back on it.
struct Meter {
    url: String,
    received: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Meter {
    async fn start(platform: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    // A client that gives up breaks the connection, which is what is wanted.
                    Self::forward(client, platform, &counted).await.ok();
                });
            }
        });
        Self { url, received, task }
    }

    async fn forward(client: TcpStream, platform: SocketAddr, counted: &AtomicU64) -> std::io::Result<()> {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_platform, mut to_platform) = TcpStream::connect(platform).await?.into_split();
        let asking = async { tokio::io::copy(&mut from_client, &mut to_platform).await };
        let answering = async {
            let mut piece = vec![0; 64 << 10];
            loop {
                let read = from_platform.read(&mut piece).await?;
                if read == 0 {
                    return to_client.shutdown().await;
                }
                to_client.write_all(&piece[..read]).await?;
                counted.fetch_add(read as u64, Ordering::SeqCst);
            }
        };
        tokio::select! {
            asked = asking => asked.map(drop),
            answered = answering => answered,
        }
    }

    /// How much came since the last look.
    fn taken(&self) -> u64 {
        self.received.swap(0, Ordering::SeqCst)
    }
}

struct Rig {
    simulator: Simulator,
    meter: Meter,
    client: Client,
    known: ContactId,
}

async fn rig() -> Rig {
    let simulator = Simulator::start(Settings::with_contacts(60)).await.unwrap();
    let spec = ContactSpec::new().email(ADDRESS).events(5);
    let known = id(&simulator.organisation("main").add_contact(spec));
    let meter = Meter::start(simulator.address()).await;
    let client = simulated(&simulator, |settings| {
        settings.base_url.clone_from(&meter.url);
        settings.paging.page_size = 20;
        settings.limits.max_decoded_bytes = MOST_DECODED;
        settings.limits.max_record_bytes = MOST_OF_RECORD;
        settings.limits.total_timeout_secs = 60.0;
        settings.limits.records_timeout_secs = 60.0;
    });
    client.probe().await.unwrap();
    meter.taken();
    Rig { simulator, meter, client, known }
}

fn too_large<T: std::fmt::Debug>(answer: &Result<T, PlatformError>, setting: &str, place: &str) {
    let Err(PlatformError::TooLarge { limit, .. }) = answer else { panic!("{place}: {answer:?}") };
    assert_eq!(limit, setting, "{place}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_24_what_unpacks_without_end_is_too_large_after_few_bytes_and_nothing_of_it_is_kept() {
    // More than 60 MB on the wire, in which 64 GiB are packed.
    let bomb = || Fault::GzipBomb { unpacked: 64 << 30 };
    let rig = rig().await;
    let faults = rig.simulator.faults();
    let setting = "limits.max_decoded_bytes";
    let later = "2030-01-01T00:00:00Z".parse().unwrap();

    // In the first page, and in the middle of the list: what came before is not the list.
    for after in [0, 1] {
        faults.clear();
        let hit = faults.inject(bomb().on(Endpoint::ListContacts).times(1).after(after));
        too_large(&drain(rig.client.list_created_before(later)).await, setting, "the list");
        assert_eq!(faults.hits(hit), 1, "it is not asked for again");
        assert!(rig.meter.taken() < ON_THE_WAY);
    }
    faults.clear();
    faults.inject(bomb().on(Endpoint::ListContacts));
    too_large(&rig.client.search(&email(ADDRESS)).await, setting, "a search");
    too_large(&rig.client.search(&email("nobody@people.example")).await, setting, "a search for nobody");
    assert!(rig.meter.taken() < 2 * ON_THE_WAY);
    faults.clear();
    faults.inject(bomb().on(Endpoint::ContactEvents));
    too_large(&drain_records(&rig.client, &rig.known, Source::Events).await, setting, "records");
    assert!(rig.meter.taken() < ON_THE_WAY);
    // Of a single contact no more is unpacked than a record may be.
    faults.clear();
    faults.inject(bomb().on(Endpoint::Contact));
    let found = rig.client.find_contact(&rig.known, Urgency::Request).await;
    too_large(&found, "limits.max_record_bytes", "a contact");
    assert!(rig.meter.taken() < ON_THE_WAY);
    // A meter that measures nothing would pass all that.
    faults.clear();
    assert!(rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap().is_some());
    assert!(rig.meter.taken() > 100);
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_24_one_text_without_end_is_an_unreadable_record_and_never_nobody() {
    let long = || Fault::HugeString(256 << 20);
    let rig = rig().await;
    let faults = rig.simulator.faults();
    faults.inject(long().on(Endpoint::Contact));
    let found = rig.client.find_contact(&rig.known, Urgency::Request).await;
    too_large(&found, "limits.max_record_bytes", "a contact");
    assert!(rig.meter.taken() < ON_THE_WAY);
    faults.clear();
    let later = "2030-01-01T00:00:00Z".parse().unwrap();
    let hit = faults.inject(long().on(Endpoint::ListContacts).times(1));
    too_large(&drain(rig.client.list_created_before(later)).await, "limits.max_decoded_bytes", "the list");
    assert_eq!(faults.hits(hit), 1, "it is not asked for again");
    assert!(rig.meter.taken() < MOST_DECODED + ON_THE_WAY);
    // One that is longer than a record may be and that the rest of the answer has room for.
    faults.clear();
    faults.inject(Fault::HugeString(8 << 20).on(Endpoint::ListContacts));
    let listed = drain(rig.client.list_created_before(later)).await.unwrap();
    assert_eq!((listed.contacts.len(), listed.unreadable), (0, 1), "somebody whom nobody can read");
    let found = rig.client.search(&email(ADDRESS)).await.unwrap();
    assert_eq!((found.contacts.len(), found.unreadable), (0, 1), "not nobody");
    rig.simulator.shutdown().await;
}
