//! Why a decision is not taken.

use super::matching::MatchError;
use crate::domain::deadline::RegimeCode;
use crate::domain::{KeyError, ParkReason, Reference, RefusalGround, RequestKind};
use crate::holds::HoldError;
use crate::intake::CaseError;
use crate::platform::PlatformError;
use crate::store::StoreError;

/// Why a decision about a request is refused. Names no person and repeats no value.
#[derive(Debug, thiserror::Error)]
pub enum TriageError {
    /// There is no such request, it is closed, or it waits for nobody.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// It waits for another reason than several contacts.
    #[error(
        "the request waits because of {0}, not for a choice between contacts; `dsrd request show` names what can be done"
    )]
    NothingToChoose(ParkReason),
    /// The code names none of the contacts that the search finds now.
    #[error("no contact found now has this code; look again with `dsrd decide candidates`")]
    NoSuchCandidate,
    /// The contact was found before, and is not looked for again.
    #[error(
        "the contact of this request was found before, and no other can be chosen for it any more; `dsrd request show` names what can be done"
    )]
    AlreadyLocated,
    /// Between the search and the reading by its id the contact changed or went away.
    #[error(
        "the contact chosen carries none of the request's identifiers any more; look again with `dsrd decide candidates`"
    )]
    CandidateChanged,
    /// The platform ignores the filter and reading everybody is switched off.
    #[error(
        "the platform does not honour the search by one of the identifiers; correct platform.dialect or set platform.full_scan"
    )]
    SearchNotHonoured,
    /// The platform's answer to the search holds records that cannot be read.
    #[error("the platform's answer to the search holds records that cannot be read; try again later")]
    SearchUnreadable,
    /// The platform gave no answer.
    #[error("the platform gave no answer")]
    Platform(#[source] PlatformError),
    /// There is no ground on which an opt-out could be refused.
    #[error(
        "an opt-out is never refused: Article 21(2) and (3), Article 7(3) GDPR and the opt-out of the CCPA know no ground for it; mend the cause and resume it"
    )]
    OptOut,
    /// An opt-out is carried out at once, and nothing is asked first.
    #[error(
        "an opt-out waits for no answer (Article 21(3) GDPR): it is carried out at once; a person is asked only about one that waits already, because several contacts match, for example"
    )]
    OptOutIsNotDelayed,
    /// The ground does not belong to what was asked.
    #[error(
        "{ground} is no ground on which a whole request of kind {kind} can be refused; grounds are: {known}"
    )]
    GroundDoesNotApply {
        /// The ground given.
        ground: RefusalGround,
        /// What was asked.
        kind: RequestKind,
        /// The grounds of that kind.
        known: String,
    },
    /// The controller bears the burden of proof and says nothing.
    #[error("{ground} needs --facts-file: {what}; the person is told it")]
    FactsMissing {
        /// The ground given.
        ground: RefusalGround,
        /// What must be said.
        what: &'static str,
    },
    /// The facts are no text for a mail.
    #[error("the facts must be 1 to 10 lines of at most 400 visible characters each")]
    FactsUnusable,
    /// Everything was carried out and read back.
    #[error(
        "the request was carried out and read back, there is nothing left to refuse; tell the person and use `dsrd request informed`"
    )]
    NothingLeft,
    /// An answer went out, or may have gone out.
    #[error(
        "the answer was sent, or may have been; it cannot be refused any more: use `dsrd request resume`"
    )]
    Answered,
    /// It is refused already.
    #[error(
        "the request is refused already and its notice is still to be sent; use `dsrd request resume` or `dsrd request informed`"
    )]
    AlreadyRefused,
    /// A procedure carries this kind out.
    #[error(
        "requests of kind {0} are carried out and read back by the daemon; use `dsrd request resume`, or `dsrd decide refuse`"
    )]
    CarriedOutByTheMachine(RequestKind),
    /// It is answered already.
    #[error(
        "how the request was carried out is recorded already and its answer is still to be sent; use `dsrd request resume` or `dsrd request informed`"
    )]
    AlreadyAnswered,
    /// It waits for another reason than somebody asking for the person.
    #[error(
        "the request waits because of {0}, not because somebody asks for the data subject; `dsrd request show` names what can be done"
    )]
    NothingToAccept(ParkReason),
    /// What is carried out at once needs no more time.
    #[error("an opt-out is carried out at once; its term is not extended")]
    NotExtended,
    /// There is one extension.
    #[error("the term was extended already, or an extension is under way; the law knows one only")]
    AlreadyExtended,
    /// The first term is over.
    #[error("the first term is over: it cannot be extended any more (Article 12(3) GDPR)")]
    TermOver,
    /// The law knows none of this length.
    #[error("the regime {0} knows no extension")]
    NoExtension(RegimeCode),
    /// The person cannot be written to.
    #[error("there is no e-mail address to which this can be told; the person must be told for it to count")]
    NoAddress,
    /// It was carried out, or begun, or its end is settled.
    #[error(
        "the request was carried out or begun, or its end is being told; there is nothing left to ask about"
    )]
    NothingToClarify,
    /// One question a request.
    #[error("the person was asked once already; ask again by other means, the time runs on")]
    AlreadyAsked,
    /// A proposal is open.
    #[error(
        "a decision about this request waits for a second person already; `dsrd decide confirm` or `dsrd decide drop` ends it"
    )]
    AlreadyProposed,
    /// There is none.
    #[error("no decision about this request waits for a second person")]
    NothingProposed,
    /// Two persons decide.
    #[error("you proposed this yourself: another person has to confirm it")]
    SamePerson,
    /// The incident cannot be as it is told.
    #[error(
        "the organisation must have become aware of it between the receipt of the request and now, and at least one category of data is affected"
    )]
    IncidentUnusable,
    /// One at a time.
    #[error("an incident about this request is open already; see `dsrd decide incidents`")]
    IncidentOpen,
    /// There is none.
    #[error("no incident about this request is open")]
    NoIncident,
    /// The notice of a breach lacks a part.
    #[error(
        "say three things, with an empty line between them: what happened, what it may mean for the person, and what was \
         done and can be done (Article 34(2) GDPR)"
    )]
    BreachUnusable,
    /// There are two grounds only.
    #[error(
        "a fee can be asked for on RF-01 (unfounded) or RF-02 (excessive) only, not on {0} (Article 12(5) GDPR)"
    )]
    NoGroundForAFee(RefusalGround),
    /// The fee cannot be as it is told.
    #[error(
        "give an amount with its currency, for example EUR 12.00, and a day for the answer after today and within 92 days"
    )]
    FeeUnusable,
    /// Nobody confirmed it in time.
    #[error(
        "the day by which the person should have answered is over; drop the proposal with `dsrd decide drop` and ask anew, \
         with a later day"
    )]
    AnswerDayOver,
    /// What is carried out at once has no parts.
    #[error("an opt-out is carried out at once and as a whole")]
    NoPart,
    /// The whole answer is there.
    #[error("the whole answer or the end is settled already; nothing follows that could be a second part")]
    NothingFollows,
    /// One after the other.
    #[error("the part before is still to be sent; wait until the mail server has taken it")]
    PartPending,
    /// The data are not restricted.
    #[error(
        "nothing is restricted for this request yet: `dsrd hold place --request {0} --kind restriction --review-on DATE`, \
         then record the answer"
    )]
    NotRestricted(Reference),
    /// The hold cannot end so.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The facts stored do not open.
    #[error("the facts of the refusal cannot be opened; is it another master key?")]
    Sealed(#[source] KeyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MatchError> for TriageError {
    fn from(error: MatchError) -> Self {
        match error {
            MatchError::Platform(error) => Self::Platform(error),
            MatchError::NotHonoured => Self::SearchNotHonoured,
            MatchError::Unreadable => Self::SearchUnreadable,
        }
    }
}
