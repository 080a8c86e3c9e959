//! Requests signed as S3-compatible stores want it (AWS Signature Version 4).

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The key of an account, and for which region it signs.
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret: Zeroizing<String>,
    pub(super) region: String,
}

/// What is signed of a request.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// The path with its leading slash, not encoded.
    pub(super) path: &'a str,
    /// What follows the question mark, as [`query`] writes it.
    pub(super) query: &'a str,
    /// Headers in lower case, `host`, `x-amz-content-sha256` and `x-amz-date` among them.
    pub(super) headers: &'a [(&'a str, String)],
    /// SHA-256 of the body in hexadecimal.
    pub(super) body_sha256: &'a str,
}

/// An instant in the form of the header `x-amz-date`.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// A path as it stands in the request and in what is signed: everything but letters, digits and `-._~/` as octets.
pub(super) fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Names and values as they stand behind the question mark and in what is signed. The names must be in their order.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let octets = |text: &str| encoded(text).replace('/', "%2F");
    let words: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", octets(name), octets(value))).collect();
    words.join("&")
}

impl Credentials {
    /// The header `authorization`.
    pub(super) fn authorization(&self, request: &Request<'_>, at: DateTime<Utc>) -> String {
        let mut headers: Vec<_> = request.headers.iter().collect();
        headers.sort_by_key(|(name, _)| *name);
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}:{}", value.trim())).collect();
        let lines = lines.join("\n");
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n\n{names}\n{}",
            request.method,
            encoded(request.path),
            request.query,
            request.body_sha256
        );
        let day = at.format("%Y%m%d").to_string();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            instant(at),
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        let first = Zeroizing::new(format!("AWS4{}", self.secret.as_str()));
        let mut key = Zeroizing::new(keyed(first.as_bytes(), day.as_bytes()));
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = Zeroizing::new(keyed(key.as_slice(), part.as_bytes()));
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={}",
            self.access_key_id,
            hex::encode(keyed(key.as_slice(), text.as_bytes()))
        )
    }
}

fn keyed(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    /// The examples "GET object" and "GET bucket (list objects)" of the vendor's documentation ("Signature Calculations for the
    /// Authorization Header").
    #[test]
    fn the_examples_of_the_documentation_get_their_signatures() {
        let credentials = Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Zeroizing::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            region: "us-east-1".to_owned(),
        };
        let at = Utc.with_ymd_and_hms(2013, 5, 24, 0, 0, 0).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let host = ("host", "examplebucket.s3.amazonaws.com".to_owned());
        let (content, date) = (("x-amz-content-sha256", empty.to_owned()), ("x-amz-date", instant(at)));
        let range = ("range", "bytes=0-9".to_owned());
        let object = [host.clone(), range, content.clone(), date.clone()];
        let listing = query(&[("max-keys", "2"), ("prefix", "J")]);
        for (path, query, headers, names, signature) in [
            (
                "/test.txt",
                "",
                &object[..],
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "/",
                &listing,
                &[host, content, date],
                "host;x-amz-content-sha256;x-amz-date",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let request = Request { method: "GET", path, query, headers, body_sha256: empty };
            assert_eq!(
                credentials.authorization(&request, at),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                     SignedHeaders={names},Signature={signature}"
                )
            );
        }
    }

    #[test]
    fn a_path_is_encoded_but_for_what_stays() {
        assert_eq!(encoded("/tile/0/x001/067.p/12"), "/tile/0/x001/067.p/12");
        assert_eq!(encoded("/a b/test$file+ä"), "/a%20b/test%24file%2B%C3%A4");
        assert_eq!(query(&[("list-type", "2"), ("prefix", "a/b c")]), "list-type=2&prefix=a%2Fb%20c");
    }
}
