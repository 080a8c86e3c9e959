//! Rows that producers inserted into `dsrd.intake`.

mod parked;
mod sql;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::sql::ProducerRow;
use super::arrival::submit;
use super::submission::{Desk, IntakeError, Submission};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Assurance, Channel, Controller, ErasureGround, IdentifierKind, OrganisationId, Origin, Proof,
    RequestKind, RequesterRole, SubjectIdentifier,
};
use crate::store::{Store, StoreError, Tx};

pub use parked::{
    Corrections, OpenedRow, ParkedColumn, ParkedRow, ParkedRowError, count_parked_rows, discard_parked_row,
    list_parked_rows, open_parked_row, release_parked_row,
};

/// What became of the rows taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// New requests.
    pub accepted: u64,
    /// Rows whose key had been handed in before.
    pub repeated: u64,
    /// Rows parked with a reason.
    pub parked: u64,
}

/// Why a row cannot become a request.
struct Fault {
    reason: &'static str,
    detail: String,
}

impl Fault {
    fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Takes every row that is there, one transaction each, so that a bad one harms no other. The transaction that removes
/// the row creates what becomes of it. Rows of an organisation that another daemon on this database has registered are
/// left to it; rows of one that nobody knows are parked. So is one whose request breaks a rule of the database, at the second
/// attempt: it would be the oldest for ever, and nobody's row behind it would be taken. The second one is a real one: the rule
/// that was broken may be that of one key, whose other row another daemon was taking, and this one is its repetition then.
pub async fn take_producer_rows(
    store: &Store,
    desk: &Desk,
    controllers: &BTreeMap<OrganisationId, Arc<Controller>>,
) -> Result<Taken, StoreError> {
    let mut taken = Taken::default();
    let mut refused: Option<Refused> = None;
    let organisations: Vec<String> = controllers.keys().map(ToString::to_string).collect();
    loop {
        let mut tx = store.begin("intake.take").await?;
        let Some(row) = sql::take_row(&mut tx, &organisations).await? else { return Ok(taken) };
        let result = match read(&row, controllers) {
            _ if refused.is_some_and(|refused| refused.is_for_good(&row)) => Err(Fault::new(
                "refused",
                "the database refuses the request; the log of the service says why",
            )),
            Ok((controller, submission)) => match submit(&mut tx, desk, controller, submission).await {
                Ok(receipt) => Ok(receipt.repeated),
                Err(IntakeError::Store(error)) => {
                    refused = Some(Refused::again(refused, &row, error)?);
                    // The next look passes over rows that are locked.
                    tx.roll_back().await?;
                    continue;
                }
                Err(error) => Err(Fault::new(error.reason().unwrap_or("refused"), error.to_string())),
            },
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &result {
            park(&mut tx, desk, &row, fault).await?;
        }
        match (tx.commit().await, result) {
            (Err(error), Ok(_)) => refused = Some(Refused::again(refused, &row, error)?),
            (Err(error), Err(_)) => return Err(error),
            (Ok(()), Ok(true)) => taken.repeated += 1,
            (Ok(()), Ok(false)) => taken.accepted += 1,
            (Ok(()), Err(_)) => taken.parked += 1,
        }
    }
}

/// So many attempts at a row whose request breaks a rule of the database.
const MOST_REFUSALS: u32 = 2;

/// A row whose request broke a rule of the database.
#[derive(Clone, Copy)]
struct Refused {
    row: i64,
    times: u32,
}

impl Refused {
    /// Counts that the request of a row broke a rule; otherwise the error, after which everything is tried again.
    fn again(before: Option<Self>, row: &ProducerRow, error: StoreError) -> Result<Self, StoreError> {
        // Data exceptions, integrity constraints, and what a trigger raises: they say something of this row and of no other.
        let breaks_a_rule = matches!(&error, StoreError::Refused { code, .. }
            if ["22", "23", "P0"].iter().any(|class| code.starts_with(class)));
        if !breaks_a_rule {
            return Err(error);
        }
        let times = 1 + before.filter(|before| before.row == row.intake_id).map_or(0, |before| before.times);
        if times < MOST_REFUSALS {
            tracing::warn!(intake = row.intake_id, %error, "the database refuses the request of a producer's row; it is tried once more");
        } else {
            tracing::error!(intake = row.intake_id, %error, "the database refuses the request of a producer's row");
        }
        Ok(Self { row: row.intake_id, times })
    }

    /// Whether that row was tried often enough.
    const fn is_for_good(self, row: &ProducerRow) -> bool {
        self.row == row.intake_id && self.times >= MOST_REFUSALS
    }
}

async fn park(tx: &mut Tx, desk: &Desk, row: &ProducerRow, fault: &Fault) -> Result<(), StoreError> {
    let now = desk.clock.now();
    sql::park_row(tx, &desk.keys, row, fault.reason, &fault.detail, now).await?;
    tracing::warn!(intake = row.intake_id, reason = fault.reason, "a producer's row was parked");
    // A row of an organisation that does not exist belongs to nobody's log but the database's own.
    if let Ok(organisation) = row.organisation_id.parse() {
        let detail =
            Detail::none().word("reason", fault.reason).count("intake", row.intake_id.unsigned_abs());
        let actor = Actor::Producer(row.producer.clone());
        audit::append(tx, Event::general(&organisation, Action::IntakeParked, actor, now).with(detail))
            .await?;
    }
    Ok(())
}

fn read<'a>(
    row: &ProducerRow,
    controllers: &'a BTreeMap<OrganisationId, Arc<Controller>>,
) -> Result<(&'a Controller, Submission), Fault> {
    let controller =
        row.organisation_id.parse::<OrganisationId>().ok().and_then(|id| controllers.get(&id)).ok_or_else(
            || Fault::new("unknown_organisation", "organisation_id is not one that this daemon serves"),
        )?;
    let missing = |column: &str| Fault::new("missing_column", format!("{column} is required"));
    let asked = kinds_of(row).ok_or_else(|| missing("kind"))?;
    let channel: Channel = row
        .channel
        .as_deref()
        .ok_or_else(|| missing("channel"))?
        .parse()
        .map_err(|error| Fault::new("unknown_channel", format!("channel: {error}")))?;
    if channel.is_internal() {
        return Err(Fault::new(
            "unknown_channel",
            "channels retention and self_test are reserved for the daemon itself",
        ));
    }
    let requester_role = match row.requester_role.as_deref() {
        None => RequesterRole::Own,
        // Who it is, a person finds out; what must not happen is that it passes for the data subject.
        Some(word) => word.parse().unwrap_or(RequesterRole::Other),
    };
    let submission = Submission {
        kind: asked.first,
        also: asked.others,
        kind_unknown: asked.unknown,
        requester_role,
        origin: Origin::Subject,
        channel,
        received_at: row.received_at.ok_or_else(|| missing("received_at"))?,
        language: row.language.clone(),
        identifiers: identifiers_of(row, controller)?,
        policies: row.policies.clone().unwrap_or_default(),
        ground: ground_of(row)?,
        proof: proof_of(row)?,
        producer: row.producer.clone(),
        idempotency_key: row.idempotency_key.clone().ok_or_else(|| missing("idempotency_key"))?,
        handed_in_by: None,
        sweep_target: None,
        follows: None,
    };
    Ok((controller, submission))
}

/// On which ground the producer says that an erasure is asked for.
fn ground_of(row: &ProducerRow) -> Result<Option<ErasureGround>, Fault> {
    let word = row.ground.as_deref().map(str::trim).filter(|word| !word.is_empty());
    word.map(|word| word.parse().map_err(|error| Fault::new("unknown_ground", format!("ground: {error}"))))
        .transpose()
}

/// How the producer says that it is known who asks. Both columns or neither: a proof without its instant could be any age.
fn proof_of(row: &ProducerRow) -> Result<Option<Proof>, Fault> {
    let Some(word) = row.assurance.as_deref() else {
        return match row.assured_at {
            None => Ok(None),
            Some(_) => Err(Fault::new("missing_column", "assurance is required beside assured_at")),
        };
    };
    let assurance: Assurance =
        word.parse().map_err(|error| Fault::new("unknown_assurance", format!("assurance: {error}")))?;
    match row.assured_at {
        _ if assurance == Assurance::None => Ok(None),
        Some(at) => Ok(Some(Proof { assurance, at })),
        None => Err(Fault::new("missing_column", "assured_at is required beside assurance")),
    }
}

/// What a row asks for.
struct Asked {
    first: RequestKind,
    others: Vec<RequestKind>,
    /// A word was none of the vocabulary: it became `other`.
    unknown: bool,
}

/// The kinds in `kind` and `kinds` together; nothing where neither says one.
fn kinds_of(row: &ProducerRow) -> Option<Asked> {
    let mut words = row.kind.iter().chain(row.kinds.iter().flatten()).map(|word| word.trim());
    let mut unknown = false;
    let mut kinds: Vec<RequestKind> = Vec::new();
    for word in words.by_ref().filter(|word| !word.is_empty()) {
        let kind = RequestKind::read(word).unwrap_or_else(|_| {
            unknown = true;
            RequestKind::Other
        });
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut kinds = kinds.into_iter();
    Some(Asked { first: kinds.next()?, others: kinds.collect(), unknown })
}

fn identifiers_of(row: &ProducerRow, controller: &Controller) -> Result<Vec<SubjectIdentifier>, Fault> {
    let columns = [
        (IdentifierKind::Email, &row.email),
        (IdentifierKind::Phone, &row.phone),
        (IdentifierKind::Username, &row.username),
        (IdentifierKind::ExternalId, &row.external_id),
        (IdentifierKind::ExternalProperty1, &row.external_property_1),
        (IdentifierKind::ExternalProperty2, &row.external_property_2),
    ];
    columns
        .into_iter()
        .filter_map(|(kind, text)| {
            text.as_deref().filter(|text| !text.trim().is_empty()).map(|text| (kind, text))
        })
        .map(|(kind, text)| {
            SubjectIdentifier::parse(kind, text, controller.default_country.as_deref())
                .map_err(|error| Fault::new("bad_identifier", error.to_string()))
        })
        .collect()
}
