//! English.

use super::{Entry, Form, SectionTexts, StorageTexts, Texts};
use crate::domain::IdentifierKind;
use crate::report::{LookUp, Section};

pub(super) const TEXTS: Texts = Texts {
    form: Form {
        months: [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        day: "{day} {month} {year}",
        first: "1",
        instant: "{day}, {time} {zone}",
        thousands: ",",
    },
    section,
    labels: LABELS,
    look_up,
    identifier,
    groups: &[
        (19, "Who you are"),
        (39, "How you can be reached"),
        (59, "Your account"),
        (79, "Your visits, summed up"),
        (89, "Further details"),
        (u8::MAX, "Internal identifiers"),
    ],
    glossary: GLOSSARY,
    rights: RIGHTS,
    limits: LIMITS,
    files: FILES,
    title: "Your personal data",
    document_title: "Your personal data – {reference}",
    skip: "Skip to the content",
    contents: "Contents",
    lead: "You asked {organisation} which personal data it holds about you. It does hold data about you: \
           {records} in {sections}. This report shows them, explains them, and tells you what you can do.",
    lead_none: "You asked {organisation} which personal data it holds about you. Under the identifiers listed here, \
                no personal data were found on its contact platform.",
    records: ("record", "records"),
    categories: ("category", "categories"),
    reference: "Reference",
    received: "Request received",
    generated: "Data collected",
    searched: "Searched for",
    overview: "At a glance",
    overview_about: "What is held in each category.",
    span: "{first} to {last}",
    span_one_day: "{first}",
    span_unknown: "No dates stated",
    kinds: "By kind: {kinds}.",
    kinds_further: "other kinds ({count})",
    shown_all: "Shown here in full. The same data are in {csv} and, exactly as stored, in report.json.",
    shown_some: "The first {shown} of {count} {noun} are shown here. The complete list is in {csv} and, exactly as \
                 stored, in report.json.",
    shown_none: "Not listed in this document. The complete list is in {csv} and, exactly as stored, in report.json.",
    unreadable: "{count} could not be read properly. Please ask the controller about them.",
    incomplete: "This category could not be fetched in full. Please ask the controller about the missing part.",
    withheld_marks: [
        "[withheld: e-mail address of another person]",
        "[withheld: telephone number of another person]",
        "[withheld: concerns other people]",
    ],
    withheld_kinds: ["e-mail addresses", "telephone numbers", "whole fields"],
    withheld_entry: "{what} in {field}: {count}",
    withheld: "Not given out here because it belongs to other people [Article {article}(4)]: {entries}. A mark stands in the \
               place of each, here, in the CSV file and in report.json. If any of it is your own, please tell the \
               controller: you will receive it.",
    record_number: "{noun} {number} of {count}",
    rest: "Further fields",
    empty: "not filled in",
    see_consents: "See “Your consents”",
    yes: "Yes",
    no: "No",
    information_title: "How your data are used",
    information_about: "For each category: why the data are held, on which legal ground, who receives them, how long \
                        they are kept, and where they come from [Article 15(1) and (2)].",
    information_elsewhere: "Why the data are held, on which legal ground, who receives them, how long they are kept \
                            and where they come from is told to you by the controller together with this report. If \
                            you did not receive it, ask at the address under “Contact”.",
    purposes: "Purposes",
    legal_basis: "Legal ground",
    recipients: "Recipients",
    storage_period: "Kept until",
    storage: StorageTexts {
        title: "Storage",
        own_case: "In your case",
        until: "Until {day}: {period}, counted from {from}.",
        over: "The period of {period}, counted from {from}, ended on {day}. The data were still held when this \
               report was made.",
        each: "Each record for {period}, counted from {from}; the last of those listed here until {day}.",
        each_over: "Records whose period had ended and that were still held when this report was made: {count}.",
        each_undated: "Records for which no day can be stated, because it is not known from which day to count: \
                       {count}.",
        unknown: "No day can be stated, because it is not known from which day to count. The criterion is: \
                  {period}, counted from {from}.",
        kept: "No day can be stated, because for now a reason of the law may keep the data longer. The criterion is: \
               {period}, counted from {from}, and the end of that reason.",
        kept_until: "Until {day}: longer than {period}, counted from {from}, because a reason of the law keeps the \
                     data until then.",
        created: "the day on which your profile was made",
        last_activity: "your last activity",
        record: "its own date",
        closing: "the end of the request",
        months: ("month", "months"),
        days: ("day", "days"),
    },
    source: "Where from",
    automated: "Automated decisions",
    transfers: "Transfers to other countries",
    glossary_title: "What the words mean",
    limits_title: "What this report may not show",
    rights_title: "Your rights",
    law: ("GDPR", "UK GDPR"),
    rights_about: "You can use each of these rights free of charge by writing to the address under “Contact”. Quote \
                   the reference {reference}.",
    complaint: "Complain",
    complaint_about: "You can complain to a data protection authority at any time: where you live, where you work, or \
                      where you think that your rights were violated. {authority}",
    contact_title: "Contact",
    contact_about: "{organisation} is responsible for the data in this report.",
    files_title: "The files of this package",
    confidential: "This document holds personal data. Keep it where only you can read it.",
    readme: README,
    portable_readme: PORTABLE_README,
};

const fn section(section: Section) -> SectionTexts {
    match section {
        Section::Profile => SectionTexts {
            title: "Your profile",
            about: "What was entered when you signed up, what was added since, and what was worked out from your visits.",
            none: "No profile is held about you.",
            noun: ("profile", "profiles"),
        },
        Section::Consents => SectionTexts {
            title: "Your consents",
            about: "The terms and consents in your profile, and whether they are marked as accepted.",
            none: "No consent is recorded in your profile.",
            noun: ("consent", "consents"),
        },
        Section::Events => SectionTexts {
            title: "Your activity",
            about: "Visits, Wi-Fi log-ins, and messages sent to you or opened by you, as far as they were recorded.",
            none: "No activity is recorded about you.",
            noun: ("entry", "entries"),
        },
        Section::Devices => SectionTexts {
            title: "Your devices",
            about: "Telephones, tablets and computers with which you used the Wi-Fi.",
            none: "No device is recorded for you.",
            noun: ("device", "devices"),
        },
        Section::Accountings => SectionTexts {
            title: "Your connections",
            about: "When a device of yours was connected to the Wi-Fi, for how long, and how much data it moved.",
            none: "No connection is recorded for you.",
            noun: ("connection", "connections"),
        },
        Section::Requests => SectionTexts {
            title: "Your requests",
            about: "What the service that answers requests like yours holds about you itself, and when staff of the controller looked \
                    at it and what for.",
            none: "Apart from the request that this report answers, nothing was listed.",
            noun: ("entry", "entries"),
        },
    }
}

const fn look_up(look_up: LookUp) -> &'static str {
    match look_up {
        LookUp::Case => "A member of staff read the case of this request, to handle it or to answer for it.",
        LookUp::Package => {
            "A member of staff opened the package with your data, to hand it over or to check it."
        }
        LookUp::Candidates => {
            "A member of staff was shown masked identifiers of several profiles, to find out which one is yours."
        }
        LookUp::Log => {
            "A member of staff read what was recorded about this request, to check how it was handled."
        }
        LookUp::Evidence => {
            "Evidence about this request was taken to show how it was handled. It does not name you."
        }
    }
}

const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "E-mail address",
        IdentifierKind::Phone => "Telephone number",
        IdentifierKind::Username => "User name",
        IdentifierKind::ExternalId => "Customer number",
        IdentifierKind::ExternalProperty1 => "Customer property 1",
        IdentifierKind::ExternalProperty2 => "Customer property 2",
    }
}

const LABELS: &[(&str, &str)] = &[
    ("title", "Title"),
    ("firstName", "First name"),
    ("lastName", "Last name"),
    ("gender", "Gender"),
    ("birthDate", "Date of birth"),
    ("birthDay", "Birthday"),
    ("age", "Age"),
    ("language", "Language"),
    ("civilStatus", "Civil status"),
    ("companyName", "Company"),
    ("personalId", "Identity document number"),
    ("email", "E-mail address"),
    ("emailVerified", "E-mail address confirmed"),
    ("phone", "Telephone number"),
    ("prefix", "Telephone prefix"),
    ("phoneVerified", "Telephone number confirmed"),
    ("country", "Country"),
    ("zipCode", "Postal code"),
    ("event.type", "What happened"),
    ("type", "Kind"),
    ("name", "Name"),
    ("accepted", "Accepted"),
    ("macAddress", "Device address (MAC)"),
    ("when.createdAt", "Time"),
    ("createdAt", "Time"),
    ("startAt", "Start"),
    ("start", "Start"),
    ("stop", "End"),
    ("createdAtLocal", "Time at the place"),
    ("startAtLocal", "Start at the place"),
    ("timezone", "Time zone of the place"),
    ("duration", "Duration (seconds)"),
    ("bytesIn", "Bytes received"),
    ("bytesOut", "Bytes sent"),
    ("connections", "Connections"),
    ("lastConnection", "Last connection"),
    ("terminateCause", "Why it ended"),
    ("locationName", "Place"),
    ("campaignName", "Campaign"),
    ("channel", "Channel"),
    ("source", "Source"),
    ("reference", "Reference"),
    ("kind", "Kind"),
    ("received_at", "Received"),
    ("outcome", "Outcome"),
    ("looked_up_at", "Looked at by staff"),
    ("purpose", "Purpose"),
    ("username", "User name"),
    ("created", "Created"),
    ("modified", "Last changed"),
    ("lastLogin", "Last log-in"),
    ("logins", "Number of log-ins"),
    ("signupMethod", "Way of signing up"),
    ("externalSource", "Other source"),
    ("locked", "Locked"),
    ("enabled", "Active"),
    ("system", "System"),
    ("policies", "Terms and consents"),
    ("segments", "Groups you were put into"),
    ("countTotalVisits", "Visits in total"),
    ("countVisitedLocations", "Different places visited"),
    ("avgVisitLength", "Average length of a visit"),
    ("avgDaysBetweenVisits", "Average days between visits"),
    ("frequencyMonthlyVisit", "Visits per month"),
    ("topFrequencyBuckets", "Frequency class"),
    ("lastVisitVenue", "Place of the last visit"),
    ("lastVisitDateUtc", "Last visit"),
    ("lastVisitDateBusiness", "Last visit (business day)"),
    ("prefVisitWDay", "Usual day of the week"),
    ("prefVisitTimebucket", "Usual part of the day"),
    ("prefVisitTimeHour", "Usual hour"),
    ("compassTopLocation", "Most visited place"),
    ("compassTopLocationCount", "Visits to the most visited place"),
    ("conversionRate", "Share of visits with a log-in"),
    ("cid", "Contact number"),
    ("customerId", "Contact number"),
    ("event.id", "Number of the entry"),
    ("id", "Number of the entry"),
    ("organizationId", "Organisation number"),
    ("organizationCid", "Organisation number"),
    ("locationId", "Place number"),
    ("locationCid", "Place number"),
    ("hotspotId", "Access point number"),
    ("campaignId", "Campaign number"),
    ("communicationId", "Message number"),
    ("segmentCids", "Group numbers"),
    ("externalIdentityId", "Number at an outside log-in service"),
    ("extId.id", "Customer number"),
    ("extId.prop1", "Customer property 1"),
    ("extId.prop2", "Customer property 2"),
];

const GLOSSARY: &[Entry] = &[
    (
        "Access point, hotspot",
        "The box in a venue to which your device connects for Wi-Fi. It is known by a number.",
    ),
    (
        "Accounting, connection",
        "The record of one Wi-Fi connection: beginning, end, duration, and the amount of data received and sent, in bytes \
         (one million bytes are one megabyte).",
    ),
    ("Contact", "The platform's word for a person about whom it holds a profile."),
    (
        "Event, activity",
        "Something that was recorded at one instant, such as a visit, a log-in or a message.",
    ),
    (
        "Kinds of activity",
        "signup: you registered.\n\
         login: you signed in to the Wi-Fi.\n\
         visit, arriving, leave: a device of yours was noticed in a venue.\n\
         send_email, send_sms: a message was sent to you.\n\
         open_email, click_email, click_sms: you opened a message, or followed a link in it.\n\
         survey, promo: you answered questions or opened an offer.",
    ),
    (
        "MAC address",
        "The number by which a device shows itself in a Wi-Fi network, such as AA:BB:CC:DD:EE:FF. Many telephones use \
         changing numbers, so that one telephone can appear several times.",
    ),
    ("Policy, consent", "Terms that you can accept, such as terms of use, privacy, or marketing messages."),
    ("Segment", "A group into which profiles are sorted, for example by how often people visit."),
    (
        "Statistics (metrics)",
        "Numbers worked out from your visits, such as how often and when you usually come.",
    ),
    (
        "Times",
        "In this document, times are in the time zone of the controller, whose short name stands behind them, unless the \
         name of the field ends in “Local”: those are the clock time at the place. In report.json and the CSV files times \
         stand as they are stored, in Coordinated Universal Time (UTC, with a Z at the end); in fields whose name ends in \
         “Local” they are the clock time at the place in spite of the Z. The first and last day of a list are days in UTC.",
    ),
    (
        "Why a connection ended",
        "User-Request: the device left.\n\
         Idle-Timeout: it was silent for long.\n\
         Session-Timeout: the allowed time was over.\n\
         Lost-Carrier: it went out of reach.\n\
         Admin-Reset, NAS-Reboot: the equipment was restarted.",
    ),
];

const RIGHTS: &[Entry; 6] = &[
    ("Correct", "Have wrong data put right and incomplete data completed [Article 16]."),
    ("Erase", "Have your data deleted where there is no longer a ground to keep them [Article 17]."),
    (
        "Restrict",
        "Have your data kept but not used, for example while their accuracy is checked [Article 18].",
    ),
    (
        "Take along",
        "Receive the data you gave in a form that machines can read, or have them handed on [Article 20].",
    ),
    (
        "Object",
        "Object to uses for reasons of your situation, and to marketing without giving any reason [Article 21].",
    ),
    ("Withdraw", "Take back a consent at any time. What was done before stays lawful [Article 7(3)]."),
];

const LIMITS: &[&str] = &[
    "This report holds what the contact platform gives out through its interface on the day shown above. The platform may \
     hold further data that its interface does not give out, such as company name, civil status, custom form fields, a \
     picture, an identity document number, or technical identifiers of a mobile app.",
    "Messages of campaigns that were sent to you by e-mail or SMS, whether you opened or followed them, and your answers to \
     surveys are contained only as far as the platform lists them among your own events. Its list of the events of all \
     contacts is not read. The controller has to tell you about the rest.",
    "It covers the contact platform. Whether other systems of the controller hold data about you is for the controller to \
     tell.",
    "This document is made for reading: times, lists and yes-or-no fields are written more plainly than they are stored, \
     and long values are shortened. The CSV files hold all values in full, and report.json holds them exactly as stored.",
];

const FILES: &[Entry] = &[
    (
        "report.html",
        "This document, for reading and printing. It works without a connection to the Internet.",
    ),
    ("*.csv", "One table per category, complete, for a spreadsheet program."),
    ("report.json", "Everything exactly as stored, for programs and for handing on."),
    ("README.txt", "A short description of all files."),
];

const README: &str = "\
YOUR PERSONAL DATA
==================

Reference:        {reference}
Responsible:      {organisation}
Data collected:   {generated}

This package answers your request for access to your personal data.
It holds personal data: keep it where only you can read it.

Begin with report.html. Open it in any web browser; no connection is needed.

FILES
-----

report.html       The report for reading and printing, with explanations and
                  your rights. Long lists are shortened there.
report.json       All data, exactly as stored, as UTF-8 JSON text. The records
                  of each category are under \"records\". Numbers keep all their
                  digits: read them as decimal text if every digit matters.
                  What belongs to other people is marked in its place and
                  listed under \"withheld\".
{csv_files}
README.txt        This text.

HOW TO READ THE CSV FILES
-------------------------

Text in UTF-8 (with byte order mark), separated by commas, quoted as in RFC
4180, one line per record after a first line with the names of the fields.
Fields inside of other fields are joined by a dot, lists are JSON text, fields
without a value are empty. Fields that are too many for a table are together
in the column \"other\", as JSON text.

If a cell begins with an apostrophe ('), drop this one character to get the
value. It is put in front of everything that a spreadsheet program could take
for a formula (and of values that begin with an apostrophe themselves).
The same holds within a cell after each semicolon, tab and line break, where
some programs begin another cell.
Control characters appear as symbols. report.json holds every value exactly.

WHAT IS HELD
------------

{counts}

CONTACT
-------

{contact}
";

const PORTABLE_README: &str = "\
YOUR DATA, TO TAKE WITH YOU
===========================

Reference:        {reference}
Responsible:      {organisation}
Data collected:   {generated}

This package answers your request to receive your personal data in a form
that you can take to others [Article 20]. You may hand it on as you like.
It holds personal data: keep it where only you can read it.

FILES
-----

data.json         Your data as UTF-8 JSON text, for programs. The records of
                  each category are under \"records\". Numbers keep all their
                  digits: read them as decimal text if every digit matters.
                  What belongs to other people is marked in its place and
                  listed under \"withheld\".
data.schema.json  What the fields of data.json are, as JSON Schema.
{csv_files}
README.txt        This text.

WHAT IS IN IT, AND WHAT IS NOT
------------------------------

In it is what you gave, and what was recorded while you used the service, as
far as it is held with your consent or for a contract with you. Data held on
another legal ground, and what was worked out about you (such as statistics of
your visits and groups), is not in it: data.json lists both under \"left_out\".
You can ask for a copy of those as well [Article 15].

It holds what the contact platform gives out through its interface. The
platform may hold further data that its interface does not give out, such as
company name, civil status, custom form fields, a picture, an identity
document number, or technical identifiers of a mobile app.

Messages of campaigns that were sent to you, whether you opened or followed
them, and your answers to surveys are contained only as far as the platform
lists them among your own events. The controller has to tell you about the
rest.

HOW TO READ THE CSV FILES
-------------------------

Text in UTF-8 (with byte order mark), separated by commas, quoted as in RFC
4180, one line per record after a first line with the names of the fields.
Fields inside of other fields are joined by a dot, lists are JSON text, fields
without a value are empty. Fields that are too many for a table are together
in the column \"other\", as JSON text. If a cell begins with an apostrophe ('),
drop this one character to get the value: it is put in front of everything
that a spreadsheet program could take for a formula. The same holds within a
cell after each semicolon, tab and line break, where some programs begin
another cell. data.json holds every value exactly.

RECORDS
-------

{counts}

CONTACT
-------

{contact}
";
