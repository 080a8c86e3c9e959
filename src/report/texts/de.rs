//! German.

use super::{Entry, Form, SectionTexts, StorageTexts, Texts};
use crate::domain::IdentifierKind;
use crate::report::{LookUp, Section};

pub(super) const TEXTS: Texts = Texts {
    form: Form {
        months: [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        day: "{day}. {month} {year}",
        first: "1",
        instant: "{day}, {time} Uhr ({zone})",
        thousands: ".",
    },
    section,
    labels: LABELS,
    look_up,
    identifier,
    groups: &[
        (19, "Wer Sie sind"),
        (39, "Wie Sie zu erreichen sind"),
        (59, "Ihr Konto"),
        (79, "Ihre Besuche, zusammengefasst"),
        (89, "Weitere Angaben"),
        (u8::MAX, "Interne Kennungen"),
    ],
    glossary: GLOSSARY,
    rights: RIGHTS,
    limits: LIMITS,
    files: FILES,
    title: "Ihre personenbezogenen Daten",
    document_title: "Ihre personenbezogenen Daten – {reference}",
    skip: "Zum Inhalt springen",
    contents: "Inhalt",
    lead: "Sie haben {organisation} gefragt, welche personenbezogenen Daten über Sie gespeichert sind. Es sind Daten \
           über Sie gespeichert: {records} in {sections}. Dieser Bericht zeigt sie, erklärt sie und sagt Ihnen, was Sie \
           tun können.",
    lead_none: "Sie haben {organisation} gefragt, welche personenbezogenen Daten über Sie gespeichert sind. Unter den \
                hier genannten Angaben wurden auf der Kontaktplattform keine personenbezogenen Daten gefunden.",
    records: ("Datensatz", "Datensätze"),
    categories: ("Kategorie", "Kategorien"),
    reference: "Zeichen",
    received: "Anfrage eingegangen",
    generated: "Daten zusammengestellt",
    searched: "Gesucht nach",
    overview: "Auf einen Blick",
    overview_about: "Was in jeder Kategorie gespeichert ist.",
    span: "{first} bis {last}",
    span_one_day: "{first}",
    span_unknown: "Ohne Zeitangaben",
    kinds: "Nach Art: {kinds}.",
    kinds_further: "andere Arten ({count})",
    shown_all: "Hier vollständig gezeigt. Dieselben Daten stehen in {csv} und, genau wie gespeichert, in report.json.",
    shown_some: "Hier stehen die ersten {shown} von {count} ({noun}). Die vollständige Liste steht in {csv} und, genau \
                 wie gespeichert, in report.json.",
    shown_none: "In diesem Dokument nicht aufgeführt. Die vollständige Liste steht in {csv} und, genau wie gespeichert, \
                 in report.json.",
    unreadable: "{count} davon konnten nicht richtig gelesen werden. Bitte fragen Sie den Verantwortlichen danach.",
    incomplete: "Diese Kategorie konnte nicht vollständig abgerufen werden. Bitte fragen Sie den Verantwortlichen nach \
                 dem fehlenden Teil.",
    withheld_marks: [
        "[nicht herausgegeben: E-Mail-Adresse einer anderen Person]",
        "[nicht herausgegeben: Telefonnummer einer anderen Person]",
        "[nicht herausgegeben: betrifft andere Personen]",
    ],
    withheld_kinds: ["E-Mail-Adressen", "Telefonnummern", "ganze Felder"],
    withheld_entry: "{what} in {field}: {count}",
    withheld: "Hier nicht herausgegeben, weil es anderen Personen gehört [Artikel {article} Absatz 4]: {entries}. Hier, in der \
               CSV-Datei und in report.json steht an jeder Stelle ein Vermerk. Gehört etwas davon Ihnen selbst, sagen Sie es \
               bitte dem Verantwortlichen: Sie erhalten es dann.",
    record_number: "{noun} {number} von {count}",
    rest: "Weitere Felder",
    empty: "nicht ausgefüllt",
    see_consents: "Siehe „Ihre Einwilligungen“",
    yes: "Ja",
    no: "Nein",
    information_title: "Wie Ihre Daten verwendet werden",
    information_about: "Für jede Kategorie: wozu die Daten gespeichert sind, auf welcher Rechtsgrundlage, wer sie \
                        erhält, wie lange sie aufbewahrt werden und woher sie stammen [Artikel 15 Absätze 1 und 2].",
    information_elsewhere: "Wozu die Daten gespeichert sind, auf welcher Rechtsgrundlage, wer sie erhält, wie lange sie \
                            aufbewahrt werden und woher sie stammen, teilt Ihnen der Verantwortliche zusammen mit diesem \
                            Bericht mit. Falls Sie das nicht erhalten haben, fragen Sie unter der Adresse bei „Kontakt“.",
    purposes: "Zwecke",
    legal_basis: "Rechtsgrundlage",
    recipients: "Empfänger",
    storage_period: "Aufbewahrt bis",
    storage: StorageTexts {
        title: "Aufbewahrung",
        own_case: "In Ihrem Fall",
        until: "Bis {day}. Die Frist: {period}, gerechnet ab {from}.",
        over: "Die Frist ({period}, gerechnet ab {from}) endete am {day}. Bei der Erstellung dieses Berichts \
               waren die Daten noch gespeichert.",
        each: "Jeder Eintrag für sich ({period}, gerechnet ab {from}), der letzte der hier aufgeführten bis {day}.",
        each_over: "Einträge, deren Frist abgelaufen war und die bei der Erstellung dieses Berichts noch \
                    gespeichert waren: {count}.",
        each_undated: "Einträge, für die sich kein Tag nennen lässt, weil nicht bekannt ist, ab welchem Tag zu \
                       rechnen ist: {count}.",
        unknown: "Ein Tag lässt sich nicht nennen, weil nicht bekannt ist, ab welchem Tag zu rechnen ist. Das \
                  Kriterium: {period}, gerechnet ab {from}.",
        kept: "Ein Tag lässt sich nicht nennen, weil die Daten derzeit aus einem gesetzlichen Grund möglicherweise \
               länger aufbewahrt werden. Das Kriterium: {period}, gerechnet ab {from}, und das Ende dieses Grundes.",
        kept_until: "Bis {day}. Das ist länger als die Frist ({period}, gerechnet ab {from}), weil die Daten aus \
                     einem gesetzlichen Grund bis dahin aufbewahrt werden.",
        created: "der Anlage Ihres Profils",
        last_activity: "Ihrer letzten Aktivität",
        record: "dem eigenen Datum",
        closing: "dem Abschluss des Antrags",
        months: ("Monat", "Monate"),
        days: ("Tag", "Tage"),
    },
    source: "Herkunft",
    automated: "Automatisierte Entscheidungen",
    transfers: "Übermittlung in andere Länder",
    glossary_title: "Was die Wörter bedeuten",
    limits_title: "Was dieser Bericht vielleicht nicht zeigt",
    rights_title: "Ihre Rechte",
    law: ("DSGVO", "UK GDPR"),
    rights_about: "Jedes dieser Rechte können Sie kostenlos ausüben: schreiben Sie an die Adresse bei „Kontakt“ und \
                   nennen Sie das Zeichen {reference}.",
    complaint: "Sich beschweren",
    complaint_about: "Sie können sich jederzeit bei einer Datenschutzaufsichtsbehörde beschweren: dort, wo Sie leben, wo \
                      Sie arbeiten oder wo Ihre Rechte Ihrer Meinung nach verletzt wurden. {authority}",
    contact_title: "Kontakt",
    contact_about: "Verantwortlich für die Daten in diesem Bericht: {organisation}.",
    files_title: "Die Dateien dieses Pakets",
    confidential: "Dieses Dokument enthält personenbezogene Daten. Bewahren Sie es so auf, dass nur Sie es lesen können.",
    readme: README,
    portable_readme: PORTABLE_README,
};

const fn section(section: Section) -> SectionTexts {
    match section {
        Section::Profile => SectionTexts {
            title: "Ihr Profil",
            about: "Was bei der Anmeldung eingegeben wurde, was seither hinzukam und was aus Ihren Besuchen errechnet wurde.",
            none: "Es ist kein Profil über Sie gespeichert.",
            noun: ("Profil", "Profile"),
        },
        Section::Consents => SectionTexts {
            title: "Ihre Einwilligungen",
            about: "Die Bedingungen und Einwilligungen in Ihrem Profil, und ob sie als angenommen vermerkt sind.",
            none: "In Ihrem Profil ist keine Einwilligung vermerkt.",
            noun: ("Einwilligung", "Einwilligungen"),
        },
        Section::Events => SectionTexts {
            title: "Ihre Aktivität",
            about: "Besuche, Anmeldungen im WLAN und Nachrichten, die an Sie gingen oder die Sie geöffnet haben, soweit sie \
                    aufgezeichnet wurden.",
            none: "Es ist keine Aktivität von Ihnen aufgezeichnet.",
            noun: ("Eintrag", "Einträge"),
        },
        Section::Devices => SectionTexts {
            title: "Ihre Geräte",
            about: "Telefone, Tablets und Computer, mit denen Sie das WLAN benutzt haben.",
            none: "Für Sie ist kein Gerät vermerkt.",
            noun: ("Gerät", "Geräte"),
        },
        Section::Accountings => SectionTexts {
            title: "Ihre Verbindungen",
            about: "Wann ein Gerät von Ihnen mit dem WLAN verbunden war, wie lange, und wie viele Daten es übertrug.",
            none: "Für Sie ist keine Verbindung aufgezeichnet.",
            noun: ("Verbindung", "Verbindungen"),
        },
        Section::Requests => SectionTexts {
            title: "Ihre Anfragen",
            about: "Was der Dienst, der Anfragen wie Ihre beantwortet, selbst über Sie gespeichert hat, und wann Beschäftigte des \
                    Verantwortlichen wozu darauf sahen.",
            none: "Außer der Anfrage, die dieser Bericht beantwortet, ist nichts aufgeführt.",
            noun: ("Eintrag", "Einträge"),
        },
    }
}

const fn look_up(look_up: LookUp) -> &'static str {
    match look_up {
        LookUp::Case => {
            "Ein Mitglied des Personals las den Vorgang dieser Anfrage, um ihn zu bearbeiten oder dafür einzustehen."
        }
        LookUp::Package => {
            "Ein Mitglied des Personals öffnete das Paket mit Ihren Daten, um es zu übergeben oder zu prüfen."
        }
        LookUp::Candidates => {
            "Einem Mitglied des Personals wurden verdeckte Kennungen mehrerer Profile gezeigt, um herauszufinden, welches Ihres ist."
        }
        LookUp::Log => {
            "Ein Mitglied des Personals las, was zu dieser Anfrage aufgezeichnet ist, um ihre Bearbeitung zu prüfen."
        }
        LookUp::Evidence => {
            "Zu dieser Anfrage wurden Nachweise entnommen, um ihre Bearbeitung zu belegen. Sie nennen Sie nicht."
        }
    }
}

const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "E-Mail-Adresse",
        IdentifierKind::Phone => "Telefonnummer",
        IdentifierKind::Username => "Benutzername",
        IdentifierKind::ExternalId => "Kundennummer",
        IdentifierKind::ExternalProperty1 => "Kundenmerkmal 1",
        IdentifierKind::ExternalProperty2 => "Kundenmerkmal 2",
    }
}

const LABELS: &[(&str, &str)] = &[
    ("title", "Anrede"),
    ("firstName", "Vorname"),
    ("lastName", "Nachname"),
    ("gender", "Geschlecht"),
    ("birthDate", "Geburtsdatum"),
    ("birthDay", "Geburtstag"),
    ("age", "Alter"),
    ("language", "Sprache"),
    ("civilStatus", "Familienstand"),
    ("companyName", "Firma"),
    ("personalId", "Nummer des Ausweises"),
    ("email", "E-Mail-Adresse"),
    ("emailVerified", "E-Mail-Adresse bestätigt"),
    ("phone", "Telefonnummer"),
    ("prefix", "Telefonvorwahl"),
    ("phoneVerified", "Telefonnummer bestätigt"),
    ("country", "Land"),
    ("zipCode", "Postleitzahl"),
    ("event.type", "Was geschah"),
    ("type", "Art"),
    ("name", "Name"),
    ("accepted", "Angenommen"),
    ("macAddress", "Geräteadresse (MAC)"),
    ("when.createdAt", "Zeit"),
    ("createdAt", "Zeit"),
    ("startAt", "Beginn"),
    ("start", "Beginn"),
    ("stop", "Ende"),
    ("createdAtLocal", "Zeit am Ort"),
    ("startAtLocal", "Beginn am Ort"),
    ("timezone", "Zeitzone des Ortes"),
    ("duration", "Dauer (Sekunden)"),
    ("bytesIn", "Empfangene Bytes"),
    ("bytesOut", "Gesendete Bytes"),
    ("connections", "Verbindungen"),
    ("lastConnection", "Letzte Verbindung"),
    ("terminateCause", "Warum sie endete"),
    ("locationName", "Ort"),
    ("campaignName", "Kampagne"),
    ("channel", "Kanal"),
    ("source", "Quelle"),
    ("reference", "Zeichen"),
    ("kind", "Art"),
    ("received_at", "Eingegangen"),
    ("outcome", "Ausgang"),
    ("looked_up_at", "Von Beschäftigten angesehen"),
    ("purpose", "Zweck"),
    ("username", "Benutzername"),
    ("created", "Angelegt"),
    ("modified", "Zuletzt geändert"),
    ("lastLogin", "Letzte Anmeldung"),
    ("logins", "Zahl der Anmeldungen"),
    ("signupMethod", "Art der Registrierung"),
    ("externalSource", "Andere Quelle"),
    ("locked", "Gesperrt"),
    ("enabled", "Aktiv"),
    ("system", "System"),
    ("policies", "Bedingungen und Einwilligungen"),
    ("segments", "Gruppen, denen Sie zugeordnet wurden"),
    ("countTotalVisits", "Besuche insgesamt"),
    ("countVisitedLocations", "Besuchte Orte"),
    ("avgVisitLength", "Mittlere Dauer eines Besuchs"),
    ("avgDaysBetweenVisits", "Mittlere Tage zwischen Besuchen"),
    ("frequencyMonthlyVisit", "Besuche im Monat"),
    ("topFrequencyBuckets", "Häufigkeitsklasse"),
    ("lastVisitVenue", "Ort des letzten Besuchs"),
    ("lastVisitDateUtc", "Letzter Besuch"),
    ("lastVisitDateBusiness", "Letzter Besuch (Geschäftstag)"),
    ("prefVisitWDay", "Üblicher Wochentag"),
    ("prefVisitTimebucket", "Übliche Tageszeit"),
    ("prefVisitTimeHour", "Übliche Stunde"),
    ("compassTopLocation", "Am häufigsten besuchter Ort"),
    ("compassTopLocationCount", "Besuche am häufigsten besuchten Ort"),
    ("conversionRate", "Anteil der Besuche mit Anmeldung"),
    ("cid", "Kontaktnummer"),
    ("customerId", "Kontaktnummer"),
    ("event.id", "Nummer des Eintrags"),
    ("id", "Nummer des Eintrags"),
    ("organizationId", "Nummer der Organisation"),
    ("organizationCid", "Nummer der Organisation"),
    ("locationId", "Nummer des Ortes"),
    ("locationCid", "Nummer des Ortes"),
    ("hotspotId", "Nummer des Zugangspunkts"),
    ("campaignId", "Nummer der Kampagne"),
    ("communicationId", "Nummer der Nachricht"),
    ("segmentCids", "Nummern der Gruppen"),
    ("externalIdentityId", "Nummer bei einem fremden Anmeldedienst"),
    ("extId.id", "Kundennummer"),
    ("extId.prop1", "Kundenmerkmal 1"),
    ("extId.prop2", "Kundenmerkmal 2"),
];

const GLOSSARY: &[Entry] = &[
    (
        "Zugangspunkt, Hotspot",
        "Das Gerät in einem Lokal, mit dem sich Ihr Gerät für das WLAN verbindet. Es trägt eine Nummer.",
    ),
    (
        "Accounting, Verbindung",
        "Die Aufzeichnung einer WLAN-Verbindung: Beginn, Ende, Dauer und die Menge der empfangenen und gesendeten Daten in \
         Bytes (eine Million Bytes sind ein Megabyte).",
    ),
    ("Kontakt", "So nennt die Plattform einen Menschen, über den sie ein Profil führt."),
    (
        "Ereignis, Aktivität",
        "Etwas, das zu einem Zeitpunkt aufgezeichnet wurde, zum Beispiel ein Besuch, eine Anmeldung oder eine Nachricht.",
    ),
    (
        "Arten von Aktivität",
        "signup: Sie haben sich registriert.\n\
         login: Sie haben sich im WLAN angemeldet.\n\
         visit, arriving, leave: ein Gerät von Ihnen wurde in einem Lokal bemerkt.\n\
         send_email, send_sms: eine Nachricht ging an Sie.\n\
         open_email, click_email, click_sms: Sie haben eine Nachricht geöffnet oder sind einem Link darin gefolgt.\n\
         survey, promo: Sie haben Fragen beantwortet oder ein Angebot geöffnet.",
    ),
    (
        "MAC-Adresse",
        "Die Nummer, mit der sich ein Gerät in einem WLAN zeigt, zum Beispiel AA:BB:CC:DD:EE:FF. Viele Telefone benutzen \
         wechselnde Nummern, sodass ein Telefon mehrmals vorkommen kann.",
    ),
    (
        "Policy, Einwilligung",
        "Bedingungen, die Sie annehmen können, zum Beispiel Nutzungsbedingungen, Datenschutz oder Werbenachrichten.",
    ),
    (
        "Segment",
        "Eine Gruppe, in die Profile einsortiert werden, zum Beispiel nach der Häufigkeit der Besuche.",
    ),
    (
        "Statistik (metrics)",
        "Zahlen, die aus Ihren Besuchen errechnet sind, zum Beispiel wie oft und wann Sie meist kommen.",
    ),
    (
        "Zeiten",
        "In diesem Dokument stehen Zeiten in der Zeitzone des Verantwortlichen, deren Kürzel dahinter steht, außer wenn der \
         Name des Feldes auf „Local“ endet: das ist die Uhrzeit am Ort. In report.json und den CSV-Dateien stehen Zeiten, wie \
         sie gespeichert sind, in koordinierter Weltzeit (UTC, mit einem Z am Ende); in Feldern, deren Name auf „Local“ \
         endet, sind sie trotz des Z die Uhrzeit am Ort. Der erste und letzte Tag einer Liste sind Tage in UTC.",
    ),
    (
        "Warum eine Verbindung endete",
        "User-Request: das Gerät ging.\n\
         Idle-Timeout: es schwieg lange.\n\
         Session-Timeout: die erlaubte Zeit war um.\n\
         Lost-Carrier: es kam außer Reichweite.\n\
         Admin-Reset, NAS-Reboot: die Anlage wurde neu gestartet.",
    ),
];

const RIGHTS: &[Entry; 6] = &[
    ("Berichtigen", "Falsche Daten berichtigen und unvollständige ergänzen lassen [Artikel 16]."),
    ("Löschen", "Ihre Daten löschen lassen, wenn es keinen Grund mehr gibt, sie aufzubewahren [Artikel 17]."),
    (
        "Einschränken",
        "Ihre Daten aufbewahren, aber nicht verwenden lassen, zum Beispiel solange ihre Richtigkeit geprüft wird [Artikel 18].",
    ),
    (
        "Mitnehmen",
        "Die Daten, die Sie angegeben haben, in einer Form erhalten, die Maschinen lesen können, oder weitergeben lassen \
         [Artikel 20].",
    ),
    (
        "Widersprechen",
        "Verwendungen aus Gründen Ihrer besonderen Situation widersprechen, und der Werbung ohne jede Begründung [Artikel 21].",
    ),
    (
        "Widerrufen",
        "Eine Einwilligung jederzeit widerrufen. Was vorher geschah, bleibt rechtmäßig [Artikel 7 Absatz 3].",
    ),
];

const LIMITS: &[&str] = &[
    "Dieser Bericht enthält, was die Kontaktplattform am oben genannten Tag über ihre Schnittstelle herausgibt. Die Plattform \
     kann weitere Daten enthalten, die ihre Schnittstelle nicht herausgibt, zum Beispiel Firmenname, Familienstand, eigene \
     Formularfelder, ein Bild, die Nummer eines Ausweises oder technische Kennungen einer App.",
    "Nachrichten aus Kampagnen, die Ihnen per E-Mail oder SMS gesandt wurden, ob Sie diese geöffnet haben oder ihren Links \
     gefolgt sind, und Ihre Antworten in Umfragen sind nur enthalten, soweit die Plattform sie unter Ihren eigenen Ereignissen \
     aufführt. Ihre Liste der Ereignisse aller Kontakte wird nicht gelesen. Über das Übrige muss Ihnen der Verantwortliche \
     Auskunft geben.",
    "Er umfasst die Kontaktplattform. Ob andere Systeme des Verantwortlichen Daten über Sie enthalten, muss der \
     Verantwortliche sagen.",
    "Dieses Dokument ist zum Lesen gemacht: Zeiten, Listen und Ja-Nein-Felder sind schlichter geschrieben, als sie gespeichert \
     sind, und lange Werte sind gekürzt. Die CSV-Dateien enthalten alle Werte vollständig, und report.json genau wie \
     gespeichert.",
];

const FILES: &[Entry] = &[
    ("report.html", "Dieses Dokument, zum Lesen und Drucken. Es kommt ohne Internetverbindung aus."),
    ("*.csv", "Eine Tabelle je Kategorie, vollständig, für ein Tabellenprogramm."),
    ("report.json", "Alles genau wie gespeichert, für Programme und zum Weitergeben."),
    ("README.txt", "Eine kurze Beschreibung aller Dateien."),
];

const README: &str = "\
IHRE PERSONENBEZOGENEN DATEN
============================

Zeichen:                 {reference}
Verantwortlich:          {organisation}
Daten zusammengestellt:  {generated}

Dieses Paket beantwortet Ihre Anfrage nach Auskunft über Ihre
personenbezogenen Daten. Bewahren Sie es so auf, dass nur Sie es lesen können.

Beginnen Sie mit report.html. Öffnen Sie die Datei in einem Browser; eine
Internetverbindung ist nicht nötig.

DATEIEN
-------

report.html       Der Bericht zum Lesen und Drucken, mit Erklärungen und Ihren
                  Rechten. Lange Listen sind dort gekürzt.
report.json       Alle Daten, genau wie gespeichert, als JSON-Text in UTF-8.
                  Die Datensätze jeder Kategorie stehen unter \"records\".
                  Zahlen behalten alle Ziffern: lesen Sie sie als Text, wenn
                  es auf jede Ziffer ankommt. Was anderen Personen gehört, ist
                  an seiner Stelle vermerkt und steht unter \"withheld\".
{csv_files}
README.txt        Dieser Text.

WIE DIE CSV-DATEIEN ZU LESEN SIND
---------------------------------

Text in UTF-8 (mit Byte-Order-Mark), durch Kommas getrennt, in
Anführungszeichen nach RFC 4180, eine Zeile je Datensatz nach einer ersten
Zeile mit den Namen der Felder. Felder in anderen Feldern sind durch einen
Punkt verbunden, Listen sind JSON-Text, Felder ohne Wert sind leer. Felder,
die für eine Tabelle zu viele sind, stehen zusammen in der Spalte \"other\",
als JSON-Text.

Beginnt eine Zelle mit einem Apostroph ('), lassen Sie dieses eine Zeichen weg,
um den Wert zu erhalten. Es steht vor allem, was ein Tabellenprogramm für eine
Formel halten könnte (und vor Werten, die selbst mit einem Apostroph beginnen).
Dasselbe gilt in einer Zelle nach jedem Semikolon, Tabulator und
Zeilenumbruch, wo manche Programme eine weitere Zelle beginnen lassen.
Steuerzeichen erscheinen als Symbole. report.json enthält jeden Wert genau.

WAS GESPEICHERT IST
-------------------

{counts}

KONTAKT
-------

{contact}
";

const PORTABLE_README: &str = "\
IHRE DATEN ZUM MITNEHMEN
========================

Zeichen:                 {reference}
Verantwortlich:          {organisation}
Daten zusammengestellt:  {generated}

Dieses Paket beantwortet Ihre Anfrage, Ihre personenbezogenen Daten in einer
Form zu erhalten, die Sie zu anderen mitnehmen können [Artikel 20]. Sie
dürfen es weitergeben, wie Sie möchten. Bewahren Sie es so auf, dass nur Sie es
lesen können.

DATEIEN
-------

data.json         Ihre Daten als JSON-Text in UTF-8, für Programme. Die
                  Datensätze jeder Kategorie stehen unter \"records\".
                  Zahlen behalten alle Ziffern: lesen Sie sie als Text, wenn
                  es auf jede Ziffer ankommt. Was anderen Personen gehört, ist
                  an seiner Stelle vermerkt und steht unter \"withheld\".
data.schema.json  Was die Felder von data.json sind, als JSON Schema.
{csv_files}
README.txt        Dieser Text.

WAS ENTHALTEN IST UND WAS NICHT
-------------------------------

Enthalten ist, was Sie angegeben haben und was bei der Nutzung des Dienstes
aufgezeichnet wurde, soweit es mit Ihrer Einwilligung oder für einen Vertrag
mit Ihnen gespeichert ist. Daten auf anderer Rechtsgrundlage und was über Sie
errechnet wurde (etwa Statistiken Ihrer Besuche und Gruppen) sind nicht
enthalten: data.json nennt beides unter \"left_out\". Auch davon können Sie eine
Kopie verlangen [Artikel 15].

Das Paket enthält, was die Kontaktplattform über ihre Schnittstelle herausgibt.
Die Plattform kann weitere Daten enthalten, die ihre Schnittstelle nicht
herausgibt, zum Beispiel Firmenname, Familienstand, eigene Formularfelder, ein
Bild, die Nummer eines Ausweises oder technische Kennungen einer App.

Nachrichten aus Kampagnen, die Ihnen gesandt wurden, ob Sie diese geöffnet haben
oder ihren Links gefolgt sind, und Ihre Antworten in Umfragen sind nur
enthalten, soweit die Plattform sie unter Ihren eigenen Ereignissen aufführt.
Über das Übrige muss Ihnen der Verantwortliche Auskunft geben.

WIE DIE CSV-DATEIEN ZU LESEN SIND
---------------------------------

Text in UTF-8 (mit Byte-Order-Mark), durch Kommas getrennt, in
Anführungszeichen nach RFC 4180, eine Zeile je Datensatz nach einer ersten
Zeile mit den Namen der Felder. Felder in anderen Feldern sind durch einen
Punkt verbunden, Listen sind JSON-Text, Felder ohne Wert sind leer. Felder,
die für eine Tabelle zu viele sind, stehen zusammen in der Spalte \"other\",
als JSON-Text. Beginnt eine Zelle mit einem Apostroph ('), lassen Sie dieses
eine Zeichen weg, um den Wert zu erhalten: es steht vor allem, was ein
Tabellenprogramm für eine Formel halten könnte. Dasselbe gilt in einer Zelle
nach jedem Semikolon, Tabulator und Zeilenumbruch, wo manche Programme eine
weitere Zelle beginnen lassen. data.json enthält jeden Wert genau.

DATENSÄTZE
----------

{counts}

KONTAKT
-------

{contact}
";
