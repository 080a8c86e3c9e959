//! Invented names: each with the spelling for display and a plain one for e-mail addresses.

/// One first name.
#[derive(Clone, Copy)]
pub(crate) struct FirstName {
    /// As the person writes it.
    pub(crate) display: &'static str,
    /// ASCII letters for an e-mail address.
    pub(crate) plain: &'static str,
    /// `male`, `female`, `other` or empty.
    pub(crate) gender: &'static str,
}

const fn first(display: &'static str, plain: &'static str, gender: &'static str) -> FirstName {
    FirstName { display, plain, gender }
}

/// First names: plain, accented, right-to-left, other scripts.
pub(crate) const FIRST_NAMES: [FirstName; 32] = [
    first("Anna", "anna", "female"),
    first("Marco", "marco", "male"),
    first("Chiara", "chiara", "female"),
    first("José", "jose", "male"),
    first("Zoë", "zoe", "female"),
    first("François", "francois", "male"),
    first("Ingrid", "ingrid", "female"),
    first("Søren", "soren", "male"),
    first("Łucja", "lucja", "female"),
    first("Jürgen", "jurgen", "male"),
    first("Noémie", "noemie", "female"),
    first("Dag", "dag", "male"),
    first("محمد", "mohammed", "male"),
    first("ليلى", "layla", "female"),
    first("דוד", "david", "male"),
    first("שרה", "sara", "female"),
    first("Ελένη", "eleni", "female"),
    first("Дмитрий", "dmitri", "male"),
    first("花子", "hanako", "female"),
    first("伟", "wei", "male"),
    first("Nguyễn", "nguyen", "other"),
    first("Åsa", "asa", "female"),
    first("Ñusta", "nusta", "female"),
    first("Jean-Luc", "jeanluc", "male"),
    first("Mary Ann", "maryann", "female"),
    first("O'Shea", "oshea", "other"),
    first("Giulia", "giulia", "female"),
    first("Peter", "peter", "male"),
    first("Fatma", "fatma", "female"),
    first("Ahmet", "ahmet", "male"),
    first("Iris", "iris", ""),
    first("Sam", "sam", ""),
];

/// Last names as (display, plain).
pub(crate) const LAST_NAMES: [(&str, &str); 32] = [
    ("Rossi", "rossi"),
    ("Bianchi", "bianchi"),
    ("D'Angelo", "dangelo"),
    ("Müller", "muller"),
    ("Größmann", "grossmann"),
    ("Lefèvre", "lefevre"),
    ("García Núñez", "garcianunez"),
    ("Ødegård", "odegard"),
    ("Kovačević", "kovacevic"),
    ("Wójcik", "wojcik"),
    ("Çelik", "celik"),
    ("Şahin", "sahin"),
    ("العربي", "alarabi"),
    ("حداد", "haddad"),
    ("כהן", "cohen"),
    ("לוי", "levi"),
    ("Παπαδόπουλος", "papadopoulos"),
    ("Иванова", "ivanova"),
    ("山田", "yamada"),
    ("王", "wang"),
    ("Trần", "tran"),
    ("van der Berg", "vanderberg"),
    ("Smith-Jones", "smithjones"),
    ("O’Neill", "oneill"),
    ("Ferrari", "ferrari"),
    ("Moretti", "moretti"),
    ("Schmidt", "schmidt"),
    ("Dubois", "dubois"),
    ("Novak", "novak"),
    ("Silva", "silva"),
    ("Andersson", "andersson"),
    ("Null", "null"),
];

/// Domains of e-mail addresses; none can exist.
pub(crate) const DOMAINS: [&str; 8] = [
    "posta.example",
    "mail.example",
    "courrier.example",
    "post.example",
    "correo.example",
    "letters.invalid",
    "inbox.invalid",
    "casella.example",
];

/// Countries as (ISO code, calling code, start of a mobile number, time zone, hours that local time is ahead of UTC).
pub(crate) const COUNTRIES: [(&str, &str, &str, &str, i64); 8] = [
    ("IT", "39", "320", "Europe/Rome", 1),
    ("FR", "33", "639", "Europe/Paris", 1),
    ("DE", "49", "155", "Europe/Berlin", 1),
    ("GB", "44", "770", "Europe/London", 0),
    ("ES", "34", "600", "Europe/Madrid", 1),
    ("US", "1", "555", "America/Los_Angeles", -8),
    ("AE", "971", "500", "Asia/Dubai", 4),
    ("IL", "972", "500", "Asia/Jerusalem", 2),
];

/// Places of the organisation as (name, city).
pub(crate) const LOCATIONS: [(&str, &str); 8] = [
    ("Piazza Grande", "Pisa"),
    ("Gare du Nord Café", "Paris"),
    ("Café Größe", "Berlin"),
    ("Airport T2", "London"),
    ("Playa \"Norte\"", "Madrid"),
    ("Mall West", "Los Angeles"),
    ("سوق المدينة", "Dubai"),
    ("Outlet, Floor 1", "Jerusalem"),
];

/// Segments of the organisation.
pub(crate) const SEGMENTS: [&str; 5] = ["VIP", "Newcomers", "Lapsed (90 days)", "Weekend", "Loyalty+"];

/// Titles of custom opt-ins: with spaces, dots and accents on purpose.
pub(crate) const CUSTOM_OPTINS: [&str; 5] =
    ["emailMarketing", "partner offers", "survey.v2 2024", "Newsletter è-mail", "profiling"];

/// Sign-up methods.
pub(crate) const SIGNUP_METHODS: [&str; 8] =
    ["splashportal", "mobileapp", "kiosk", "guest_wifi", "controlpanel", "api", "qr_code", "external"];

/// Event types of visits and connections, after the first, which is the sign-up.
pub(crate) const VISIT_EVENTS: [&str; 4] = ["login", "visit", "login", "arriving"];

/// Event types of applications.
pub(crate) const APPLICATION_EVENTS: [&str; 7] =
    ["send_email", "open_email", "click_email", "send_sms", "click_sms", "survey", "promo"];
