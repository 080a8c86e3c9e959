//! Time-stamps of a third party (RFC 3161): that a head existed at an instant, by a clock that is not ours.
//!
//! Data enters as the SHA-256 of a head's text and leaves as a request; an authority's reply enters and leaves as a token,
//! which is kept as it came. [`check`] reads a token without the network, against certificates that whoever verifies has
//! chosen, and answers with the instant.
//!
//! Invariants:
//! - A token counts only if it is a CMS signed-data over a `TSTInfo` with exactly one signer, whose signature covers the
//!   signed attributes, which cover the content; if its hash is the one asked for; and if the signer's certificate is a
//!   chosen one, or was issued below one, for time-stamping, and was valid at that instant. A chosen one need not be that
//!   of an issuer: whoever chose it trusts it itself, and no path is asked for.
//! - Nothing that a token says about itself (policy, accuracy, name) is relied on.
//! - The certificate's identifier in the signed attributes is compared where it is one by SHA-256 (RFC 5816). The older form
//!   by SHA-1 is not read: which certificate signed is settled by the signature and the chain.
//! - Revocation is not asked for: an auditor who must know asks the authority.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The most bytes of a reply: tokens have two to eight thousand.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// The purpose time-stamping.
const FOR_TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// The same as the content of an object identifier.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// What signs certificates, and tokens with a digest by SHA-256.
const WITH_SHA256: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ED25519,
];
const WITH_SHA384: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA384,
];
const WITH_SHA512: &[&dyn SignatureVerificationAlgorithm] = &[webpki::ring::RSA_PKCS1_2048_8192_SHA512];
const OF_CERTIFICATES: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
];

/// Why a token, a reply or a certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The file of certificates has none.
    #[error("the file holds no certificate in PEM form")]
    NoCertificate,
    /// A certificate of the file cannot stand at the end of a chain.
    #[error("a certificate of the file cannot be used")]
    Certificate,
    /// The reply is not one.
    #[error("the reply is no time-stamp reply")]
    Reply,
    /// The authority refused, with a `PKIStatus`.
    #[error("the authority refused (status {0})")]
    Refused(u8),
    /// The token is not DER of the right shape.
    #[error("the time-stamp is malformed ({0})")]
    Malformed(&'static str),
    /// It is the time-stamp of something else.
    #[error("the time-stamp is not one of this head")]
    OtherHash,
    /// It answers another request.
    #[error("the time-stamp does not answer this request")]
    OtherRequest,
    /// What was signed is not what the token holds.
    #[error("the signature does not cover the content of the time-stamp")]
    Content,
    /// The signature is wrong.
    #[error("the signature of the time-stamp is wrong")]
    Signature,
    /// Nobody who is trusted signed it.
    #[error("no certificate that is trusted for time-stamping at that instant signed the time-stamp")]
    Untrusted,
}

/// Certificates that are trusted: of authorities, or of who issues theirs.
#[derive(Clone, Debug)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl Authorities {
    /// Reads certificates in PEM form.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TimestampError> {
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| TimestampError::Certificate)?;
        if certificates.is_empty() {
            return Err(TimestampError::NoCertificate);
        }
        let anchors = certificates
            .iter()
            .map(|certificate| anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|_| TimestampError::Certificate)?;
        Ok(Self { certificates, anchors })
    }
}

/// A request for the time-stamp of a SHA-256, which asks for the certificate to be put in.
#[must_use]
pub fn request(hash: &[u8; 32], nonce: u64) -> Vec<u8> {
    let algorithm = tlv(0x30, &[SHA256.to_der().unwrap_or_default(), tlv(0x05, &[])].concat());
    let imprint = tlv(0x30, &[algorithm, tlv(0x04, hash)].concat());
    // Unsigned: a leading zero byte where the first bit is set, and none too many.
    let nonce = nonce.to_der().unwrap_or_default();
    tlv(0x30, &[tlv(0x02, &[1]), imprint, nonce, tlv(0x01, &[0xff])].concat())
}

/// Tag, length and content of less than 128 bytes.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, length], content].concat()
}

/// The token of a reply, as it came; refused where it is not for this request.
pub fn token_of(reply: &[u8], hash: &[u8; 32], nonce: u64) -> Result<Vec<u8>, TimestampError> {
    let wrong = |_| TimestampError::Reply;
    let outer = Any::from_der(reply).map_err(wrong)?;
    if outer.tag() != Tag::Sequence {
        return Err(TimestampError::Reply);
    }
    let mut reader = SliceReader::new(outer.value()).map_err(wrong)?;
    let status: Any = reader.decode().map_err(wrong)?;
    let granted =
        SliceReader::new(status.value()).and_then(|mut inner| inner.decode::<u8>()).map_err(wrong)?;
    // Granted, or granted with modifications.
    if granted > 1 {
        return Err(TimestampError::Refused(granted));
    }
    let token: Any = reader.decode().map_err(wrong)?;
    let token = token.to_der().map_err(wrong)?;
    let info = Signed::read(&token)?.info()?;
    if info.hash != hash {
        return Err(TimestampError::OtherHash);
    }
    if info.nonce != nonce.to_der().ok() {
        return Err(TimestampError::OtherRequest);
    }
    Ok(token)
}

/// Checks a token of a head's hash; answers with the instant at which the head existed already.
pub fn check(
    token: &[u8],
    hash: &[u8; 32],
    authorities: &Authorities,
) -> Result<DateTime<Utc>, TimestampError> {
    let signed = Signed::read(token)?;
    let info = signed.info()?;
    if info.hash != hash {
        return Err(TimestampError::OtherHash);
    }
    signed.verify(info.at, authorities)?;
    Ok(info.at)
}

/// A token, read.
struct Signed {
    data: SignedData,
    /// The `TSTInfo`, as it was signed.
    content: Vec<u8>,
}

/// What a `TSTInfo` says.
struct Info {
    hash: Vec<u8>,
    at: DateTime<Utc>,
    nonce: Option<Vec<u8>>,
}

impl Signed {
    fn read(token: &[u8]) -> Result<Self, TimestampError> {
        let wrong = |what| move |_| TimestampError::Malformed(what);
        let outer = ContentInfo::from_der(token).map_err(wrong("content info"))?;
        if outer.content_type != SIGNED_DATA {
            return Err(TimestampError::Malformed("no signed data"));
        }
        let data: SignedData = outer.content.decode_as().map_err(wrong("signed data"))?;
        if data.encap_content_info.econtent_type != TST_INFO {
            return Err(TimestampError::Malformed("other content"));
        }
        let content =
            data.encap_content_info.econtent.as_ref().ok_or(TimestampError::Malformed("no content"))?;
        let content: OctetString = content.decode_as().map_err(wrong("content"))?;
        Ok(Self { content: content.into_bytes(), data })
    }

    fn info(&self) -> Result<Info, TimestampError> {
        let wrong = |_| TimestampError::Malformed("TSTInfo");
        let outer = Any::from_der(&self.content).map_err(wrong)?;
        let mut reader = SliceReader::new(outer.value()).map_err(wrong)?;
        let _version: u8 = reader.decode().map_err(wrong)?;
        let _policy: ObjectIdentifier = reader.decode().map_err(wrong)?;
        let imprint: Any = reader.decode().map_err(wrong)?;
        let _serial: Any = reader.decode().map_err(wrong)?;
        let instant: Any = reader.decode().map_err(wrong)?;
        let mut nonce = None;
        while !reader.is_finished() {
            let next: Any = reader.decode().map_err(wrong)?;
            // The one number that may follow; accuracy, ordering, name and extensions are of other kinds.
            if next.tag() == Tag::Integer {
                nonce = Some(next.to_der().map_err(wrong)?);
            }
        }
        let mut inner = SliceReader::new(imprint.value()).map_err(wrong)?;
        let algorithm: Any = inner.decode().map_err(wrong)?;
        let named: ObjectIdentifier =
            SliceReader::new(algorithm.value()).and_then(|mut inner| inner.decode()).map_err(wrong)?;
        let hash: OctetString = inner.decode().map_err(wrong)?;
        if named != SHA256 {
            return Err(TimestampError::OtherHash);
        }
        if instant.tag() != Tag::GeneralizedTime {
            return Err(TimestampError::Malformed("instant"));
        }
        Ok(Info { hash: hash.into_bytes(), at: instant_of(instant.value())?, nonce })
    }

    fn verify(&self, at: DateTime<Utc>, authorities: &Authorities) -> Result<(), TimestampError> {
        let [signer] = self.data.signer_infos.0.as_slice() else {
            return Err(TimestampError::Malformed("not one signer"));
        };
        let attributes =
            signer.signed_attrs.as_ref().ok_or(TimestampError::Malformed("no signed attributes"))?;
        let value = |oid: ObjectIdentifier| {
            let mut of = attributes.iter().filter(move |attribute| attribute.oid == oid);
            match (of.next(), of.next()) {
                (Some(attribute), None) if attribute.values.len() == 1 => attribute.values.get(0).cloned(),
                _ => None,
            }
        };
        let stated: Option<ObjectIdentifier> = value(CONTENT_TYPE).and_then(|any| any.decode_as().ok());
        let digest: Option<OctetString> = value(MESSAGE_DIGEST).and_then(|any| any.decode_as().ok());
        let own = match signer.digest_alg.oid {
            SHA256 => Sha256::digest(&self.content).to_vec(),
            SHA384 => Sha384::digest(&self.content).to_vec(),
            SHA512 => Sha512::digest(&self.content).to_vec(),
            _ => return Err(TimestampError::Malformed("digest algorithm")),
        };
        if stated != Some(TST_INFO) || digest.map(OctetString::into_bytes) != Some(own) {
            return Err(TimestampError::Content);
        }
        let message = attributes.to_der().map_err(|_| TimestampError::Malformed("signed attributes"))?;
        let held = self.certificates();
        let of_signer = authorities
            .certificates
            .iter()
            .chain(&held)
            .find(|certificate| is_of(signer, certificate))
            .ok_or(TimestampError::Untrusted)?;
        if let Some(stated) = value(SIGNING_CERTIFICATE_V2)
            && !names(&stated, of_signer)
        {
            return Err(TimestampError::Content);
        }
        let end = EndEntityCert::try_from(of_signer).map_err(|_| TimestampError::Malformed("certificate"))?;
        let algorithms = match signer.digest_alg.oid {
            SHA384 => WITH_SHA384,
            SHA512 => WITH_SHA512,
            _ => WITH_SHA256,
        };
        let signature = signer.signature.as_bytes();
        if !algorithms.iter().any(|each| end.verify_signature(*each, &message, signature).is_ok()) {
            return Err(TimestampError::Signature);
        }
        let instant = u64::try_from(at.timestamp()).map_err(|_| TimestampError::Malformed("instant"))?;
        let instant = Duration::from_secs(instant);
        if authorities.certificates.contains(of_signer) {
            return if stamps_at(of_signer, instant) { Ok(()) } else { Err(TimestampError::Untrusted) };
        }
        let instant = UnixTime::since_unix_epoch(instant);
        let usage = KeyUsage::required(TIME_STAMPING);
        end.verify_for_usage(OF_CERTIFICATES, &authorities.anchors, &held, instant, usage, None, None)
            .map(drop)
            .map_err(|_| TimestampError::Untrusted)
    }

    /// The certificates that the token brings.
    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let brought = self.data.certificates.iter().flat_map(|set| set.0.iter());
        brought
            .filter_map(|choice| match choice {
                CertificateChoices::Certificate(certificate) => {
                    certificate.to_der().ok().map(CertificateDer::from)
                }
                CertificateChoices::Other(_) => None,
            })
            .collect()
    }
}

/// Whether a certificate is the one that the signer names.
fn is_of(signer: &SignerInfo, certificate: &CertificateDer<'_>) -> bool {
    let Ok(parsed) = x509_cert::Certificate::from_der(certificate) else { return false };
    match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == parsed.tbs_certificate.issuer
                && named.serial_number == parsed.tbs_certificate.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(named) => {
            let found = parsed.tbs_certificate.get::<x509_cert::ext::pkix::SubjectKeyIdentifier>();
            matches!(found, Ok(Some((_, found))) if found == *named)
        }
    }
}

/// Whether a certificate is one for time-stamping and was valid at an instant.
fn stamps_at(certificate: &CertificateDer<'_>, instant: Duration) -> bool {
    let Ok(parsed) = x509_cert::Certificate::from_der(certificate) else { return false };
    let validity = parsed.tbs_certificate.validity;
    let is_valid =
        (validity.not_before.to_unix_duration()..=validity.not_after.to_unix_duration()).contains(&instant);
    let purposes = parsed.tbs_certificate.get::<x509_cert::ext::pkix::ExtendedKeyUsage>();
    is_valid && matches!(purposes, Ok(Some((_, purposes))) if purposes.0.contains(&FOR_TIME_STAMPING))
}

/// Whether the attribute `signingCertificateV2` names this certificate first: by SHA-256, the default, or by another hash,
/// which is not compared.
fn names(attribute: &Any, certificate: &CertificateDer<'_>) -> bool {
    let read = || {
        let mut outer = SliceReader::new(attribute.value()).ok()?;
        let list: Any = outer.decode().ok()?;
        let first: Any = SliceReader::new(list.value()).ok()?.decode().ok()?;
        let mut inner = SliceReader::new(first.value()).ok()?;
        let next: Any = inner.decode().ok()?;
        match next.tag() {
            Tag::OctetString => Some(next.value().to_vec()),
            // A hash other than SHA-256 is named before its value.
            _ => None,
        }
    };
    read().is_none_or(|hash| hash == Sha256::digest(certificate).as_slice())
}

/// `YYYYMMDDhhmmss`, perhaps with a fraction, and `Z`.
fn instant_of(text: &[u8]) -> Result<DateTime<Utc>, TimestampError> {
    let wrong = || TimestampError::Malformed("instant");
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let text = text.strip_suffix('Z').ok_or_else(wrong)?;
    NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S%.f").map(|naive| naive.and_utc()).map_err(|_| wrong())
}
