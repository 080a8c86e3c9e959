//! A small HTTP client that shows what really came over the wire, and a started simulator.

use std::time::Duration;

use dsrd_simulator::{OrganisationHandle, Settings, Simulator};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The connection was closed.
    Closed,
    /// The connection was reset.
    Reset,
    /// Nothing more came within the test's patience.
    Silence,
}

/// What came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The body; chunked bodies are put together.
    pub(crate) body: Vec<u8>,
    /// The body is as long as its framing says.
    pub(crate) complete: bool,
    pub(crate) ending: Ending,
    /// All bytes.
    pub(crate) raw: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Contact ids of a list page.
    pub(crate) fn ids(&self) -> Vec<String> {
        let page = self.json();
        let list = page["customers"].as_array().expect("a list page");
        list.iter().map(|contact| contact["cid"].as_str().expect("an id").to_owned()).collect()
    }

    pub(crate) fn sid(&self) -> Option<String> {
        self.json()["sid"].as_str().map(str::to_owned)
    }
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return (body, false) };
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        if length == 0 {
            return (body, true);
        }
        if bytes.len() < length + 2 {
            body.extend_from_slice(&bytes[..bytes.len().min(length)]);
            return (body, false);
        }
        body.extend_from_slice(&bytes[..length]);
        bytes = &bytes[length + 2..];
    }
}

fn parse(raw: Vec<u8>, ending: Ending) -> Reply {
    let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Reply { status: 0, headers: Vec::new(), body: Vec::new(), complete: false, ending, raw };
    };
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
        .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let rest = &raw[end + 4..];
    let (body, complete) = if find("transfer-encoding").is_some() {
        dechunk(rest)
    } else if let Some(length) = find("content-length") {
        (rest.to_vec(), rest.len() == length.parse::<usize>().unwrap())
    } else {
        (rest.to_vec(), ending == Ending::Closed)
    };
    Reply { status, headers, body, complete, ending, raw }
}

/// A started simulator with one organisation and a token for it.
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) organisation: OrganisationHandle,
    pub(crate) token: String,
}

impl Rig {
    pub(crate) async fn start(settings: Settings) -> Self {
        let simulator = Simulator::start(settings).await.unwrap();
        let organisation = simulator.organisations().remove(0);
        let mut rig = Self { simulator, organisation, token: String::new() };
        rig.log_in().await;
        rig
    }

    pub(crate) async fn with_contacts(contacts: u32) -> Self {
        Self::start(Settings::with_contacts(contacts)).await
    }

    pub(crate) async fn log_in(&mut self) {
        let reply = self.login_reply(self.organisation.client_key(), self.organisation.client_secret()).await;
        reply.json()["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    pub(crate) async fn login_reply(&self, key: &str, secret: &str) -> Reply {
        let body = serde_json::json!({"clientKey": key, "clientSecret": secret}).to_string();
        self.call_as("", "POST", "/v1/sts/login/services", &body).await
    }

    /// A call with this rig's token.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.call_as(&self.token, method, path, body).await
    }

    /// A call with any token; without one when it is empty.
    pub(crate) async fn call_as(&self, token: &str, method: &str, path: &str, body: &str) -> Reply {
        self.call_patiently(token, method, path, body, Duration::from_secs(20)).await
    }

    /// A call that gives up when nothing comes for this long.
    pub(crate) async fn call_patiently(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &str,
        patience: Duration,
    ) -> Reply {
        let mut stream = TcpStream::connect(self.simulator.address()).await.unwrap();
        let authorization =
            if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n{authorization}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let mut piece = vec![0; 256 * 1024];
        let ending = loop {
            match tokio::time::timeout(patience, stream.read(&mut piece)).await {
                Err(_) => break Ending::Silence,
                Ok(Ok(0)) => break Ending::Closed,
                Ok(Ok(length)) => raw.extend_from_slice(&piece[..length]),
                Ok(Err(_)) => break Ending::Reset,
            }
        };
        parse(raw, ending)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    /// The list endpoint with a query.
    pub(crate) async fn list(&self, query: &str) -> Reply {
        self.get(&format!("/v2/customers/organizations/{}?{query}", self.organisation.org_id())).await
    }

    pub(crate) async fn contact(&self, id: &str) -> Reply {
        self.get(&format!("/v2/customers/{id}")).await
    }

    pub(crate) async fn delete(&self, id: &str) -> Reply {
        self.call("DELETE", &format!("/v1/customers/{id}"), "").await
    }

    pub(crate) async fn set_policy(&self, id: &str, key: &str, accepted: bool) -> Reply {
        let body = serde_json::json!({"policyKey": key, "accepted": accepted}).to_string();
        self.call("PUT", &format!("/v1/customers/{id}/policies"), &body).await
    }

    /// Scrolls to the end; answers the pages. Gives up after `most` pages.
    pub(crate) async fn scroll(&self, query: &str, most: usize) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut sid: Option<String> = None;
        while pages.len() < most {
            let query = match &sid {
                Some(sid) => format!("{query}&sid={}", escape(sid)),
                None => query.to_owned(),
            };
            let reply = self.list(&query).await;
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
            pages.push(reply.ids());
            sid = reply.sid();
            if sid.is_none() {
                break;
            }
        }
        pages
    }
}

/// Percent-encodes a query value.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
