//! Answers: small ones as one body with a length, large ones produced while they are sent.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};

use crate::json::{Style, write_number, write_string};

/// Size of the pieces of a streamed body in bytes.
const PIECE: usize = 128 * 1024;

/// Writes one record per call; false when there is none left.
pub(crate) type NextRecord = Box<dyn FnMut(&mut Vec<u8>) -> bool + Send>;

/// A body that is written piece by piece.
pub(crate) struct Producer {
    head: Vec<u8>,
    tail: Vec<u8>,
    next: NextRecord,
    between: &'static [u8],
    stage: u8,
    first: bool,
}

impl Producer {
    /// Records between `head` and `tail`, separated by commas.
    pub(crate) fn of_records(head: Vec<u8>, tail: Vec<u8>, next: NextRecord) -> Self {
        Self { head, tail, next, between: b",", stage: 0, first: true }
    }

    /// A filler byte, so many times, between `head` and `tail`.
    pub(crate) fn padded(head: Vec<u8>, filler: u8, number: u64, tail: Vec<u8>) -> Self {
        let mut left = number;
        let next = move |out: &mut Vec<u8>| {
            let piece = left.min(16 * 1024);
            left -= piece;
            out.resize(out.len() + usize::try_from(piece).expect("at most 16 KiB"), filler);
            piece > 0
        };
        Self { head, tail, next: Box::new(next), between: b"", stage: 0, first: true }
    }

    /// Ready pieces one after the other.
    pub(crate) fn of_pieces(mut pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        let next = move |out: &mut Vec<u8>| match pieces.next() {
            Some(piece) => {
                out.extend_from_slice(&piece);
                true
            }
            None => false,
        };
        Self { head: Vec::new(), tail: Vec::new(), next: Box::new(next), between: b"", stage: 0, first: true }
    }

    /// Writes until the buffer holds about `enough` bytes; false when the body is complete.
    fn fill(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        if self.stage == 0 {
            out.append(&mut self.head);
            self.stage = 1;
        }
        while self.stage == 1 && out.len() < enough {
            let before = out.len();
            if !self.first {
                out.extend_from_slice(self.between);
            }
            if (self.next)(out) {
                self.first = false;
            } else {
                out.truncate(before);
                out.append(&mut self.tail);
                self.stage = 2;
            }
        }
        self.stage != 2
    }
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    Whole(Vec<u8>),
    Streamed(Producer),
}

/// An answer before it becomes an HTTP response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: AnswerBody,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: Some(HeaderValue::from_static("application/json")),
            headers: Vec::new(),
            body: AnswerBody::Whole(body.into()),
        }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: AnswerBody::Whole(Vec::new()) }
    }

    /// A JSON answer that is streamed when it is long.
    pub(crate) fn produced(mut producer: Producer) -> Self {
        let mut first = Vec::with_capacity(4096);
        let body = if producer.fill(&mut first, PIECE) {
            // What was written already becomes the head of what follows.
            producer.head = first;
            producer.stage = 0;
            AnswerBody::Streamed(producer)
        } else {
            AnswerBody::Whole(first)
        };
        Self {
            status: 200,
            content_type: Some(HeaderValue::from_static("application/json")),
            headers: Vec::new(),
            body,
        }
    }

    /// `{"status": "OK", "generated": …}`.
    pub(crate) fn ok(generated: &str) -> Self {
        Self::json(200, format!(r#"{{"status":"OK","generated":"{generated}"}}"#))
    }

    /// The platform's error object.
    pub(crate) fn ko(status: u16, generated: &str, message: &str) -> Self {
        let mut body = format!(r#"{{"status":"KO","generated":"{generated}","message":"#).into_bytes();
        write_string(&mut body, message);
        body.push(b'}');
        Self::json(status, body)
    }

    /// Adds a header; a value that HTTP forbids is left out.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.set_header(name, value);
        self
    }

    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            self.headers.push((name, value));
        }
    }

    /// The whole body as bytes.
    pub(crate) fn collect(&mut self) -> &mut Vec<u8> {
        if let AnswerBody::Streamed(producer) = &mut self.body {
            let mut bytes = Vec::new();
            while producer.fill(&mut bytes, usize::MAX) {}
            self.body = AnswerBody::Whole(bytes);
        }
        match &mut self.body {
            AnswerBody::Whole(bytes) => bytes,
            AnswerBody::Streamed(_) => unreachable!("a streamed body was collected just before"),
        }
    }

    /// The HTTP response.
    pub(crate) fn into_response(self) -> Response<Body> {
        let body = match self.body {
            AnswerBody::Whole(bytes) => Body::from(bytes),
            AnswerBody::Streamed(producer) => Body::from_stream(futures_util::stream::unfold(
                (producer, false),
                |(mut producer, finished)| async move {
                    if finished {
                        return None;
                    }
                    let mut piece = Vec::with_capacity(PIECE + 4096);
                    let more = producer.fill(&mut piece, PIECE);
                    Some((Ok::<_, std::io::Error>(Bytes::from(piece)), (producer, !more)))
                },
            )),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(kind) = self.content_type {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The envelope of a list.
#[derive(Clone, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) generated: &'a str,
    /// Member that counts the records: `size` or `count`.
    pub(crate) counter: &'a str,
    pub(crate) number: usize,
    /// Name and value of the scroll id.
    pub(crate) scroll: Option<(&'a str, &'a str)>,
    pub(crate) key: &'a str,
    pub(crate) shape: EnvelopeShape,
    pub(crate) style: Style,
}

/// Faulty shapes of a list's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvelopeShape {
    Documented,
    BareArray,
    Unrecognised,
}

impl Envelope<'_> {
    /// The list as an answer.
    pub(crate) fn answer(&self, next: NextRecord) -> Answer {
        match self.shape {
            EnvelopeShape::Documented => {
                let mut head =
                    format!(r#"{{"generated":"{}","{}":"#, self.generated, self.counter).into_bytes();
                let quote: &[u8] = if self.style.numbers_as_strings { b"\"" } else { b"" };
                head.extend_from_slice(quote);
                write_number(&mut head, i64::try_from(self.number).unwrap_or(i64::MAX));
                head.extend_from_slice(quote);
                if let Some((name, id)) = self.scroll {
                    head.push(b',');
                    write_string(&mut head, name);
                    head.push(b':');
                    write_string(&mut head, id);
                }
                head.push(b',');
                write_string(&mut head, self.key);
                head.extend_from_slice(b":[");
                Answer::produced(Producer::of_records(head, b"]}".to_vec(), next))
            }
            EnvelopeShape::BareArray => {
                let answer = Answer::produced(Producer::of_records(b"[".to_vec(), b"]".to_vec(), next));
                match self.scroll {
                    Some((name, id)) => answer.header(name, id),
                    None => answer,
                }
            }
            EnvelopeShape::Unrecognised => Answer::json(
                200,
                format!(r#"{{"generated":"{}","page":{{"rows":"{}"}}}}"#, self.generated, self.number),
            ),
        }
    }
}
