//! Every name of the wire format in one place.
//!
//! The vendor documents what the parameters mean, not all of their names; those that are guesses are marked. A test that
//! wants to know what a client must send reads it here, and a correction from the vendor's real API description is made here.

/// Page size of lists: 1 to [`LARGEST_PAGE`].
pub const SIZE: &str = "size";
/// Scroll id of the contact list.
pub const SID: &str = "sid";
/// Sort key.
pub const SORT_BY: &str = "sortBy";
/// Descending order; needs [`SORT_BY`].
pub const SORT_REVERSE: &str = "sortReverse";
/// Only contacts with (or without) an e-mail address. A guess.
pub const HAS_EMAIL: &str = "hasEmail";
/// Only contacts with (or without) a verified e-mail address.
pub const EMAIL_VERIFIED: &str = "emailVerified";
/// Only contacts with (or without) a phone number. A guess.
pub const HAS_PHONE: &str = "hasPhone";
/// Only contacts with (or without) a verified phone number.
pub const PHONE_VERIFIED: &str = "phoneVerified";
/// Only contacts of one sign-up method.
pub const SIGNUP_METHOD: &str = "signupMethod";
/// Only contacts registered at these locations, comma separated. A guess.
pub const LOCATIONS: &str = "locations";
/// Only contacts of these segments, comma separated. A guess.
pub const SEGMENTS: &str = "segments";
/// Created at or after. A guess.
pub const CREATED_FROM: &str = "createdFrom";
/// Created at or before. A guess.
pub const CREATED_TO: &str = "createdTo";
/// Modified at or after. A guess.
pub const MODIFIED_FROM: &str = "modifiedFrom";
/// Modified at or before. A guess.
pub const MODIFIED_TO: &str = "modifiedTo";
/// Only contacts that accepted marketing communication.
pub const MARKETING: &str = "mktgCommunications";
/// Only contacts with age verification.
pub const AGE_VERIFICATION: &str = "ageVerification";
/// Prefix of the filter by a custom opt-in: `customOptin.my_policy=true`.
pub const CUSTOM_OPTIN_PREFIX: &str = "customOptin.";
/// Search by e-mail address.
pub const EMAIL: &str = "email";
/// Search by phone number.
pub const PHONE: &str = "phoneNumber";
/// Search by user name.
pub const USERNAME: &str = "username";
/// Search by external id.
pub const EXT_ID: &str = "extId";
/// Search by external property 1.
pub const EXT_PROP1: &str = "extProp1";
/// Search by external property 2.
pub const EXT_PROP2: &str = "extProp2";
/// Contact id, in the `exist` call only.
pub const CID: &str = "cid";

/// Prefix of a custom opt-in in a policy update: `customs.emailMarketing`.
pub const CUSTOM_POLICY_PREFIX: &str = "customs.";

/// Organisation events: at or after.
pub const DATE_START: &str = "dateStart";
/// Organisation events: at or before.
pub const DATE_END: &str = "dateEnd";
/// Organisation events: event types, comma separated.
pub const EVENTS: &str = "events";
/// Organisation events: asks for a scroll id.
pub const ENABLE_SCROLL: &str = "enableScroll";
/// Organisation events: the next page.
pub const SCROLL_ID: &str = "scrollId";

/// Member that holds the contacts of a page.
pub const CONTACTS_ENVELOPE: &str = "customers";

/// Largest page that may be asked for.
pub const LARGEST_PAGE: usize = 10_000;
/// Page size when the call names none.
pub const DEFAULT_PAGE: usize = 20;

/// Sort keys of the contact list.
pub const SORT_KEYS: [&str; 25] = [
    "firstName",
    "lastName",
    "gender",
    "birthDate",
    "country",
    "created",
    "privacy",
    "termsOfUse",
    "mktgCommunications",
    "ageVerification",
    "phone",
    "phoneVerified",
    "email",
    "emailVerified",
    "provider",
    "username",
    "locked",
    "locations",
    "system",
    "enabled",
    "type",
    "modified_absolute",
    "created_absolute",
    "totalVisits",
    "visitedLocations",
];
