//! Faults that act on a finished answer: its headers, its encoding, and its way over the wire.

use std::time::{Duration, SystemTime};

use axum::http::header::{HeaderValue, RETRY_AFTER};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::{Compress, Compression, Crc, FlushCompress};

use super::{CallFaults, Fault, Stage};
use crate::answer::{Answer, AnswerBody, Producer};
use crate::connection::{End, Pace, Piece, Takeover};
use crate::settings::RetryAfter;

/// What a fault that acts before the work does.
pub(crate) enum Instead {
    /// This answer.
    Answer(Answer),
    /// No answer.
    End(End),
}

/// The first fault that acts instead of the work.
pub(crate) fn instead_of_work(faults: &CallFaults, generated: &str) -> Option<Instead> {
    let fault = faults.iter().find(|fault| fault.stage() == Stage::Before)?;
    Some(match fault {
        Fault::FailWithoutEffect => Instead::End(End::Close),
        Fault::ResetBeforeEffect => Instead::End(End::Reset),
        Fault::NeverAnswer => Instead::End(End::Hold),
        Fault::TooManyRequests(retry_after) => Instead::Answer(too_many_requests(generated, retry_after)),
        Fault::Status(status) => {
            Instead::Answer(Answer::ko(*status, generated, "simulated failure of the platform"))
        }
        Fault::Redirect { location } => Instead::Answer(Answer::empty(307).header("location", location)),
        Fault::HtmlPage => {
            let mut answer =
                Answer::json(200, "<!doctype html>\n<html><body><h1>Sign in</h1></body></html>\n");
            answer.content_type = Some(HeaderValue::from_static("text/html; charset=utf-8"));
            Instead::Answer(answer)
        }
        Fault::NoContent => Instead::Answer(Answer::empty(204)),
        Fault::NullBody => Instead::Answer(Answer::json(200, "null")),
        Fault::StatusKo => Instead::Answer(Answer::ko(200, generated, "simulated refusal")),
        Fault::Body(body) => Instead::Answer(Answer::json(200, body.as_str())),
        // The only other fault of this stage.
        _ => Instead::Answer(Answer::json(200, "")),
    })
}

/// A 429.
pub(crate) fn too_many_requests(generated: &str, retry_after: &RetryAfter) -> Answer {
    let answer = Answer::ko(429, generated, "too many requests");
    match retry_after {
        RetryAfter::Absent => answer,
        RetryAfter::Seconds(seconds) => answer.header(RETRY_AFTER.as_str(), &seconds.to_string()),
        RetryAfter::HttpDateIn(seconds) => {
            let now = DateTime::<Utc>::from(SystemTime::now());
            let at = now + chrono::Duration::seconds(*seconds);
            answer.header(RETRY_AFTER.as_str(), &at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
        RetryAfter::Text(text) => answer.header(RETRY_AFTER.as_str(), text),
    }
}

/// Changes headers and encoding.
pub(crate) fn dress(answer: &mut Answer, faults: &CallFaults) {
    for fault in faults.iter() {
        match fault {
            Fault::ContentType(kind) => answer.content_type = HeaderValue::from_str(kind).ok(),
            Fault::Header { name, value } => answer.set_header(name, value),
            Fault::HugeHeader(bytes) => answer.set_header("x-huge", &"x".repeat(*bytes)),
            Fault::GzipBomb { unpacked } => compress_with_padding(answer, *unpacked),
            _ => {}
        }
    }
}

/// How a call ends whose work is done but whose answer takes another way.
pub(crate) fn wire(answer: &mut Answer, faults: &CallFaults) -> Option<Takeover> {
    let fault = faults.find(|fault| {
        matches!(
            fault,
            Fault::LoseAnswer
                | Fault::ResetAfterEffect
                | Fault::HangAfterEffect
                | Fault::SlowHeaders(_)
                | Fault::StalledBody { .. }
                | Fault::SlowBody { .. }
                | Fault::ResetAfterBytes(_)
                | Fault::CutWithLength
                | Fault::CutChunked
                | Fault::CutAtValidJson
        )
        .then(|| fault.clone())
    })?;
    Some(match fault {
        Fault::LoseAnswer => only(Vec::new(), End::Close),
        Fault::ResetAfterEffect => only(Vec::new(), End::Reset),
        Fault::HangAfterEffect => only(Vec::new(), End::Hold),
        Fault::SlowHeaders(pause) => {
            let body = answer.collect().clone();
            let head = head(answer, Framing::Length(body.len()));
            only(vec![(head, Some((1, pause))), (body, None)], End::Close)
        }
        Fault::StalledBody { after } => {
            let body = answer.collect().clone();
            let head = head(answer, Framing::Length(body.len()));
            only(vec![(head, None), (body[..after.min(body.len())].to_vec(), None)], End::Hold)
        }
        Fault::SlowBody { bytes, pause } => {
            let body = answer.collect().clone();
            let head = head(answer, Framing::Length(body.len()));
            only(vec![(head, None), (body, Some((bytes, pause)))], End::Close)
        }
        Fault::ResetAfterBytes(number) => {
            let body = answer.collect().clone();
            let mut whole = head(answer, Framing::Length(body.len()));
            whole.extend_from_slice(&body);
            whole.truncate(number);
            // The pause lets the caller take what was sent before the reset overtakes it.
            let tail = whole.split_off(whole.len().saturating_sub(1));
            only(vec![(whole, None), (tail, Some((1, Duration::from_millis(2))))], End::Reset)
        }
        Fault::CutWithLength => {
            let body = answer.collect().clone();
            let head = head(answer, Framing::Length(body.len()));
            only(vec![(head, None), (body[..body.len() / 2].to_vec(), None)], End::Close)
        }
        Fault::CutChunked => {
            let body = answer.collect().clone();
            let half = &body[..body.len() / 2];
            let mut bytes = head(answer, Framing::Chunked);
            bytes.extend_from_slice(format!("{:x}\r\n", half.len().max(1)).as_bytes());
            bytes.extend_from_slice(half);
            only(vec![(bytes, None)], End::Close)
        }
        // The only other fault that is looked for above.
        _ => {
            let body = half_of_the_records(answer.collect());
            let head = head(answer, Framing::ToTheEnd);
            only(vec![(head, None), (body, None)], End::Close)
        }
    })
}

fn only(pieces: Vec<(Vec<u8>, Pace)>, end: End) -> Takeover {
    let pieces = pieces
        .into_iter()
        .filter(|(bytes, _)| !bytes.is_empty())
        .map(|(bytes, pace)| Piece { bytes: Bytes::from(bytes), pace })
        .collect();
    Takeover { pieces, end }
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    ToTheEnd,
}

/// The head of an answer as it stands on the wire.
fn head(answer: &Answer, framing: Framing) -> Vec<u8> {
    let reason =
        axum::http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason.unwrap_or("Status")).into_bytes();
    match framing {
        Framing::Length(length) => head.extend_from_slice(format!("content-length: {length}\r\n").as_bytes()),
        Framing::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::ToTheEnd => {}
    }
    let kind = answer.content_type.iter().map(|kind| ("content-type", kind));
    for (name, value) in kind.chain(answer.headers.iter().map(|(name, value)| (name.as_str(), value))) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"connection: close\r\n\r\n");
    head
}

/// A valid document with half of what the body holds; text that is no JSON is cut in half.
fn half_of_the_records(body: &[u8]) -> Vec<u8> {
    use serde_json::Value;
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return body[..body.len() / 2].to_vec();
    };
    let list = match &mut value {
        Value::Array(list) => Some(list),
        Value::Object(members) if !members.contains_key("cid") => {
            members.values_mut().find_map(Value::as_array_mut)
        }
        _ => None,
    };
    if let Some(list) = list {
        list.truncate(list.len() / 2);
    } else if let Value::Object(members) = &mut value {
        let surplus: Vec<String> =
            members.keys().filter(|key| *key != "cid").skip(members.len() / 2).cloned().collect();
        for key in surplus {
            members.remove(&key);
        }
    }
    value.to_string().into_bytes()
}

const BLOCK: usize = 1 << 20;

/// Compresses one block so that it can stand anywhere in a deflate stream.
fn deflate_block(bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut compressor = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(bytes.len() + 1024);
    // A buffer that is larger than the input takes everything in one call; memory is the only thing that could fail.
    let status = compressor.compress_vec(bytes, &mut out, flush);
    debug_assert!(status.is_ok(), "one call compresses a block");
    out
}

/// Replaces the body by its gzip form, followed by spaces up to `unpacked` bytes.
fn compress_with_padding(answer: &mut Answer, unpacked: u64) {
    let body = answer.collect().clone();
    let spaces = vec![b' '; BLOCK];
    let padding = unpacked.saturating_sub(body.len() as u64);
    let blocks = padding / BLOCK as u64;
    let rest = usize::try_from(padding % BLOCK as u64).expect("less than a block");
    let (mut crc, mut unit, mut last) = (Crc::new(), Crc::new(), Crc::new());
    crc.update(&body);
    unit.update(&spaces);
    last.update(&spaces[..rest]);
    for _ in 0..blocks {
        crc.combine(&unit);
    }
    crc.combine(&last);
    let start =
        [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], &deflate_block(&body, FlushCompress::Full)].concat();
    let block = Bytes::from(deflate_block(&spaces, FlushCompress::Full));
    let mut end = deflate_block(&spaces[..rest], FlushCompress::Finish);
    end.extend_from_slice(&crc.sum().to_le_bytes());
    end.extend_from_slice(&crc.amount().to_le_bytes());
    let pieces = std::iter::once(Bytes::from(start))
        .chain((0..blocks).map(move |_| block.clone()))
        .chain(std::iter::once(Bytes::from(end)));
    answer.body = AnswerBody::Streamed(Producer::of_pieces(pieces));
    answer.set_header("content-encoding", "gzip");
}
