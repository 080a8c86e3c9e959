//! Italian.

use super::{Entry, Form, SectionTexts, StorageTexts, Texts};
use crate::domain::IdentifierKind;
use crate::report::{LookUp, Section};

pub(super) const TEXTS: Texts = Texts {
    form: Form {
        months: [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
        day: "{day} {month} {year}",
        first: "1º",
        instant: "{day}, ore {time} ({zone})",
        thousands: ".",
    },
    section,
    labels: LABELS,
    look_up,
    identifier,
    groups: &[
        (19, "Chi è Lei"),
        (39, "Come raggiungerLa"),
        (59, "Il Suo account"),
        (79, "Le Sue visite, in sintesi"),
        (89, "Altre indicazioni"),
        (u8::MAX, "Identificativi interni"),
    ],
    glossary: GLOSSARY,
    rights: RIGHTS,
    limits: LIMITS,
    files: FILES,
    title: "I Suoi dati personali",
    document_title: "I Suoi dati personali – {reference}",
    skip: "Vai al contenuto",
    contents: "Indice",
    lead: "Ha chiesto a {organisation} quali dati personali che La riguardano sono conservati. Sono conservati dati che La \
           riguardano: {records} in {sections}. Questa relazione li mostra, li spiega e Le dice che cosa può fare.",
    lead_none: "Ha chiesto a {organisation} quali dati personali che La riguardano sono conservati. Con le indicazioni elencate \
                qui, sulla piattaforma di contatti non è stato trovato alcun dato personale.",
    records: ("registrazione", "registrazioni"),
    categories: ("categoria", "categorie"),
    reference: "Riferimento",
    received: "Richiesta ricevuta",
    generated: "Dati raccolti",
    searched: "Ricerca per",
    overview: "In breve",
    overview_about: "Che cosa è conservato in ogni categoria.",
    span: "{first} – {last}",
    span_one_day: "{first}",
    span_unknown: "Nessuna data indicata",
    kinds: "Per tipo: {kinds}.",
    kinds_further: "altri tipi ({count})",
    shown_all: "Mostrato qui per intero. Gli stessi dati sono in {csv} e, esattamente come conservati, in report.json.",
    shown_some: "Qui sono mostrate le prime {shown} su {count} ({noun}). L’elenco completo è in {csv} e, esattamente come \
                 conservato, in report.json.",
    shown_none: "Non elencato in questo documento. L’elenco completo è in {csv} e, esattamente come conservato, in report.json.",
    unreadable: "{count} non si sono potute leggere correttamente. Chieda al titolare informazioni al riguardo.",
    incomplete: "Questa categoria non si è potuta ottenere per intero. Chieda al titolare la parte mancante.",
    withheld_marks: [
        "[omesso: indirizzo e-mail di un’altra persona]",
        "[omesso: numero di telefono di un’altra persona]",
        "[omesso: riguarda altre persone]",
    ],
    withheld_kinds: ["indirizzi e-mail", "numeri di telefono", "campi interi"],
    withheld_entry: "{what} in {field}: {count}",
    withheld: "Qui non comunicato perché appartiene ad altre persone [articolo {article}, paragrafo 4,]: {entries}. Al suo \
               posto c’è ogni volta una nota, qui, nel file CSV e in report.json. Se qualcosa appartiene a Lei, lo dica al \
               titolare: lo riceverà.",
    record_number: "{noun} {number} di {count}",
    rest: "Altri campi",
    empty: "non compilato",
    see_consents: "Vedi «I Suoi consensi»",
    yes: "Sì",
    no: "No",
    information_title: "Come sono usati i Suoi dati",
    information_about: "Per ogni categoria: perché i dati sono conservati, su quale base giuridica, chi li riceve, per quanto tempo \
                        sono conservati e da dove provengono [articolo 15, paragrafi 1 e 2,].",
    information_elsewhere: "Perché i dati sono conservati, su quale base giuridica, chi li riceve, per quanto tempo sono conservati e \
                            da dove provengono, Glielo comunica il titolare insieme a questa relazione. Se non lo ha ricevuto, lo \
                            chieda all’indirizzo indicato sotto «Contatto».",
    purposes: "Finalità",
    legal_basis: "Base giuridica",
    recipients: "Destinatari",
    storage_period: "Conservati fino a",
    storage: StorageTexts {
        title: "Conservazione",
        own_case: "Nel Suo caso",
        until: "Fino al giorno {day}. Periodo: {period}, da contare {from}.",
        over: "Il periodo ({period}, da contare {from}) è terminato il giorno {day}. I dati erano ancora \
               conservati quando è stata redatta questa relazione.",
        each: "Ogni voce per sé ({period}, da contare {from}), l’ultima di quelle qui elencate fino al giorno \
               {day}.",
        each_over: "Voci il cui periodo era terminato e che erano ancora conservate quando è stata redatta \
                    questa relazione: {count}.",
        each_undated: "Voci per le quali non si può indicare un giorno, perché non è noto il giorno dal quale \
                       contare: {count}.",
        unknown: "Non si può indicare un giorno, perché non è noto il giorno dal quale contare. Il criterio: \
                  {period}, da contare {from}.",
        kept: "Non si può indicare un giorno, perché al momento un motivo di legge può far conservare i dati più a \
               lungo. Il criterio: {period}, da contare {from}, e la fine di tale motivo.",
        kept_until: "Fino al giorno {day}. È più del periodo ({period}, da contare {from}), perché un motivo di legge \
                     fa conservare i dati fino ad allora.",
        created: "dalla creazione del Suo profilo",
        last_activity: "dalla Sua ultima attività",
        record: "dalla data della voce",
        closing: "dalla chiusura della richiesta",
        months: ("mese", "mesi"),
        days: ("giorno", "giorni"),
    },
    source: "Provenienza",
    automated: "Decisioni automatizzate",
    transfers: "Trasferimenti in altri Paesi",
    glossary_title: "Che cosa significano le parole",
    limits_title: "Che cosa questa relazione può non mostrare",
    rights_title: "I Suoi diritti",
    law: ("del GDPR", "del UK GDPR"),
    rights_about: "Può esercitare gratuitamente ciascuno di questi diritti scrivendo all’indirizzo indicato sotto «Contatto». Indichi \
                   il riferimento {reference}.",
    complaint: "Presentare reclamo",
    complaint_about: "Può presentare reclamo a un’autorità di protezione dei dati in qualsiasi momento: dove vive, dove lavora o dove \
                      ritiene che i Suoi diritti siano stati violati. {authority}",
    contact_title: "Contatto",
    contact_about: "{organisation} è titolare dei dati di questa relazione.",
    files_title: "I file di questo pacchetto",
    confidential: "Questo documento contiene dati personali. Lo conservi dove solo Lei può leggerlo.",
    readme: README,
    portable_readme: PORTABLE_README,
};

const fn section(section: Section) -> SectionTexts {
    match section {
        Section::Profile => SectionTexts {
            title: "Il Suo profilo",
            about: "Che cosa è stato inserito alla registrazione, che cosa è stato aggiunto da allora e che cosa è stato ricavato dalle \
                    Sue visite.",
            none: "Non è conservato alcun profilo su di Lei.",
            noun: ("profilo", "profili"),
        },
        Section::Consents => SectionTexts {
            title: "I Suoi consensi",
            about: "Le condizioni e i consensi nel Suo profilo, e se risultano accettati.",
            none: "Nel Suo profilo non risulta alcun consenso.",
            noun: ("consenso", "consensi"),
        },
        Section::Events => SectionTexts {
            title: "La Sua attività",
            about: "Visite, accessi al Wi-Fi e messaggi inviati a Lei o aperti da Lei, per quanto sono stati registrati.",
            none: "Non è registrata alcuna Sua attività.",
            noun: ("voce", "voci"),
        },
        Section::Devices => SectionTexts {
            title: "I Suoi dispositivi",
            about: "Telefoni, tablet e computer con cui ha usato il Wi-Fi.",
            none: "Non è registrato alcun Suo dispositivo.",
            noun: ("dispositivo", "dispositivi"),
        },
        Section::Accountings => SectionTexts {
            title: "Le Sue connessioni",
            about: "Quando un Suo dispositivo era connesso al Wi-Fi, per quanto tempo, e quanti dati ha trasmesso.",
            none: "Non è registrata alcuna Sua connessione.",
            noun: ("connessione", "connessioni"),
        },
        Section::Requests => SectionTexts {
            title: "Le Sue richieste",
            about: "Che cosa conserva su di Lei il servizio stesso che risponde a richieste come la Sua, e quando e perché il personale \
                    del titolare lo ha consultato.",
            none: "Oltre alla richiesta a cui risponde questa relazione, non è elencato nulla.",
            noun: ("voce", "voci"),
        },
    }
}

const fn look_up(look_up: LookUp) -> &'static str {
    match look_up {
        LookUp::Case => {
            "Un membro del personale ha letto la pratica di questa richiesta, per trattarla o per risponderne."
        }
        LookUp::Package => {
            "Un membro del personale ha aperto il pacchetto con i Suoi dati, per consegnarlo o per controllarlo."
        }
        LookUp::Candidates => {
            "A un membro del personale sono stati mostrati identificativi mascherati di più profili, per capire quale è il Suo."
        }
        LookUp::Log => {
            "Un membro del personale ha letto ciò che è registrato su questa richiesta, per controllarne il trattamento."
        }
        LookUp::Evidence => {
            "Sono state estratte prove su questa richiesta per mostrare come è stata trattata. Non La nominano."
        }
    }
}

const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "Indirizzo e-mail",
        IdentifierKind::Phone => "Numero di telefono",
        IdentifierKind::Username => "Nome utente",
        IdentifierKind::ExternalId => "Codice cliente",
        IdentifierKind::ExternalProperty1 => "Proprietà cliente 1",
        IdentifierKind::ExternalProperty2 => "Proprietà cliente 2",
    }
}

const LABELS: &[(&str, &str)] = &[
    ("title", "Titolo"),
    ("firstName", "Nome"),
    ("lastName", "Cognome"),
    ("gender", "Sesso"),
    ("birthDate", "Data di nascita"),
    ("birthDay", "Compleanno"),
    ("age", "Età"),
    ("language", "Lingua"),
    ("civilStatus", "Stato civile"),
    ("companyName", "Azienda"),
    ("personalId", "Numero del documento d’identità"),
    ("email", "Indirizzo e-mail"),
    ("emailVerified", "Indirizzo e-mail confermato"),
    ("phone", "Numero di telefono"),
    ("prefix", "Prefisso telefonico"),
    ("phoneVerified", "Numero di telefono confermato"),
    ("country", "Paese"),
    ("zipCode", "Codice postale"),
    ("event.type", "Che cosa è accaduto"),
    ("type", "Tipo"),
    ("name", "Nome"),
    ("accepted", "Accettato"),
    ("macAddress", "Indirizzo del dispositivo (MAC)"),
    ("when.createdAt", "Ora"),
    ("createdAt", "Ora"),
    ("startAt", "Inizio"),
    ("start", "Inizio"),
    ("stop", "Fine"),
    ("createdAtLocal", "Ora sul posto"),
    ("startAtLocal", "Inizio, ora sul posto"),
    ("timezone", "Fuso orario del luogo"),
    ("duration", "Durata (secondi)"),
    ("bytesIn", "Byte ricevuti"),
    ("bytesOut", "Byte inviati"),
    ("connections", "Connessioni"),
    ("lastConnection", "Ultima connessione"),
    ("terminateCause", "Perché è finita"),
    ("locationName", "Luogo"),
    ("campaignName", "Campagna"),
    ("channel", "Canale"),
    ("source", "Fonte"),
    ("reference", "Riferimento"),
    ("kind", "Tipo"),
    ("received_at", "Ricevuta"),
    ("outcome", "Esito"),
    ("looked_up_at", "Consultato dal personale"),
    ("purpose", "Finalità"),
    ("username", "Nome utente"),
    ("created", "Creato"),
    ("modified", "Ultima modifica"),
    ("lastLogin", "Ultimo accesso"),
    ("logins", "Numero di accessi"),
    ("signupMethod", "Modo di registrazione"),
    ("externalSource", "Altra fonte"),
    ("locked", "Bloccato"),
    ("enabled", "Attivo"),
    ("system", "Sistema"),
    ("policies", "Condizioni e consensi"),
    ("segments", "Gruppi in cui è inserito il Suo profilo"),
    ("countTotalVisits", "Visite in totale"),
    ("countVisitedLocations", "Luoghi diversi visitati"),
    ("avgVisitLength", "Durata media di una visita"),
    ("avgDaysBetweenVisits", "Giorni medi tra le visite"),
    ("frequencyMonthlyVisit", "Visite al mese"),
    ("topFrequencyBuckets", "Classe di frequenza"),
    ("lastVisitVenue", "Luogo dell’ultima visita"),
    ("lastVisitDateUtc", "Ultima visita"),
    ("lastVisitDateBusiness", "Ultima visita (giorno lavorativo)"),
    ("prefVisitWDay", "Giorno abituale della settimana"),
    ("prefVisitTimebucket", "Momento abituale della giornata"),
    ("prefVisitTimeHour", "Ora abituale"),
    ("compassTopLocation", "Luogo più visitato"),
    ("compassTopLocationCount", "Visite al luogo più visitato"),
    ("conversionRate", "Quota di visite con accesso"),
    ("cid", "Numero del contatto"),
    ("customerId", "Numero del contatto"),
    ("event.id", "Numero della voce"),
    ("id", "Numero della voce"),
    ("organizationId", "Numero dell’organizzazione"),
    ("organizationCid", "Numero dell’organizzazione"),
    ("locationId", "Numero del luogo"),
    ("locationCid", "Numero del luogo"),
    ("hotspotId", "Numero del punto di accesso"),
    ("campaignId", "Numero della campagna"),
    ("communicationId", "Numero del messaggio"),
    ("segmentCids", "Numeri dei gruppi"),
    ("externalIdentityId", "Numero presso un servizio di accesso esterno"),
    ("extId.id", "Codice cliente"),
    ("extId.prop1", "Proprietà cliente 1"),
    ("extId.prop2", "Proprietà cliente 2"),
];

const GLOSSARY: &[Entry] = &[
    (
        "Punto di accesso, hotspot",
        "L’apparecchio di un locale a cui il Suo dispositivo si collega per il Wi-Fi. È indicato con un numero.",
    ),
    (
        "Accounting, connessione",
        "La registrazione di una connessione Wi-Fi: inizio, fine, durata e quantità di dati ricevuti e inviati, in byte (un milione \
         di byte sono un megabyte).",
    ),
    ("Contatto", "La parola della piattaforma per una persona di cui conserva un profilo."),
    (
        "Evento, attività",
        "Qualcosa che è stato registrato in un istante, per esempio una visita, un accesso o un messaggio.",
    ),
    (
        "Tipi di attività",
        "signup: ha creato un account.\n\
         login: ha effettuato l’accesso al Wi-Fi.\n\
         visit, arriving, leave: un Suo dispositivo è stato rilevato in un locale.\n\
         send_email, send_sms: Le è stato inviato un messaggio.\n\
         open_email, click_email, click_sms: ha aperto un messaggio o seguito un link che contiene.\n\
         survey, promo: ha risposto a domande o aperto un’offerta.",
    ),
    (
        "Indirizzo MAC",
        "Il numero con cui un dispositivo si mostra in una rete Wi-Fi, per esempio AA:BB:CC:DD:EE:FF. Molti telefoni usano numeri \
         che cambiano, così che uno stesso telefono può comparire più volte.",
    ),
    (
        "Policy, consenso",
        "Condizioni che può accettare, per esempio condizioni d’uso, privacy o messaggi pubblicitari.",
    ),
    ("Segmento", "Un gruppo in cui i profili sono ordinati, per esempio secondo la frequenza delle visite."),
    (
        "Statistiche (metrics)",
        "Numeri ricavati dalle Sue visite, per esempio quanto spesso e quando viene di solito.",
    ),
    (
        "Orari",
        "In questo documento gli orari sono nel fuso orario del titolare, la cui sigla segue, salvo che il nome del campo finisca in \
         «Local»: in tal caso è l’ora sul posto. In report.json e nei file CSV gli orari sono come conservati, in tempo coordinato \
         universale (UTC, con una Z alla fine); nei campi il cui nome finisce in «Local» sono l’ora sul posto nonostante la Z. Il \
         primo e l’ultimo giorno di un elenco sono giorni in UTC.",
    ),
    (
        "Perché una connessione è finita",
        "User-Request: il dispositivo è andato via.\n\
         Idle-Timeout: è rimasto a lungo in silenzio.\n\
         Session-Timeout: il tempo consentito era scaduto.\n\
         Lost-Carrier: è uscito dalla portata.\n\
         Admin-Reset, NAS-Reboot: l’apparecchiatura è stata riavviata.",
    ),
];

const RIGHTS: &[Entry; 6] = &[
    ("Rettificare", "Far correggere dati errati e completare dati incompleti [articolo 16]."),
    ("Cancellare", "Far cancellare i Suoi dati quando non c’è più motivo di conservarli [articolo 17]."),
    (
        "Limitare",
        "Far conservare i Suoi dati senza che siano usati, per esempio mentre se ne verifica l’esattezza [articolo 18].",
    ),
    (
        "Portare con sé",
        "Ricevere i dati che ha fornito in una forma leggibile da macchine, o farli trasmettere [articolo 20].",
    ),
    (
        "Opporsi",
        "Opporsi a usi per motivi legati alla Sua situazione, e alla pubblicità senza dare alcun motivo [articolo 21].",
    ),
    (
        "Revocare",
        "Revocare un consenso in qualsiasi momento. Ciò che è stato fatto prima resta lecito [articolo 7, paragrafo 3,].",
    ),
];

const LIMITS: &[&str] = &[
    "Questa relazione contiene ciò che la piattaforma di contatti fornisce attraverso la sua interfaccia nel giorno indicato sopra. La \
     piattaforma può contenere altri dati che l’interfaccia non fornisce, per esempio il nome dell’azienda, lo stato civile, campi \
     propri dei moduli, una foto, il numero di un documento d’identità o identificativi tecnici di un’app.",
    "I messaggi di campagne che Le sono stati inviati per e-mail o SMS, se Lei li abbia aperti o ne abbia seguito i link, e le Sue \
     risposte a sondaggi sono contenuti solo in quanto la piattaforma li elenca tra i Suoi eventi. Il suo elenco degli eventi di \
     tutti i contatti non viene letto. Del resto deve informarLa il titolare.",
    "Riguarda la piattaforma di contatti. Se altri sistemi del titolare contengano dati su di Lei, lo deve dire il titolare.",
    "Questo documento è fatto per essere letto: orari, elenchi e campi sì o no sono scritti in modo più semplice di come sono \
     conservati, e i valori lunghi sono abbreviati. I file CSV contengono tutti i valori per intero, e report.json esattamente come \
     conservati.",
];

const FILES: &[Entry] = &[
    ("report.html", "Questo documento, da leggere e stampare. Funziona senza connessione a Internet."),
    ("*.csv", "Una tabella per categoria, completa, per un foglio di calcolo."),
    ("report.json", "Tutto esattamente come conservato, per programmi e per trasmetterlo."),
    ("README.txt", "Una breve descrizione di tutti i file."),
];

const README: &str = "\
I SUOI DATI PERSONALI
=====================

Riferimento:    {reference}
Titolare:       {organisation}
Dati raccolti:  {generated}

Questo pacchetto risponde alla Sua richiesta di accesso ai Suoi dati personali.
Contiene dati personali: lo conservi dove solo Lei può leggerlo.

Cominci da report.html. Lo apra in un browser; non serve alcuna connessione.

FILE
----

report.html       La relazione da leggere e stampare, con spiegazioni e i Suoi
                  diritti. Gli elenchi lunghi vi sono abbreviati.
report.json       Tutti i dati, esattamente come conservati, in testo JSON
                  UTF-8. Le registrazioni di ogni categoria sono sotto
                  \"records\". I numeri mantengono tutte le cifre: li legga come
                  testo se ogni cifra è importante. Ciò che appartiene ad
                  altre persone è annotato al suo posto ed elencato sotto
                  \"withheld\".
{csv_files}
README.txt        Questo testo.

COME LEGGERE I FILE CSV
-----------------------

Testo in UTF-8 (con byte order mark), separato da virgole, tra virgolette
secondo la RFC 4180, una riga per registrazione dopo una prima riga con i nomi
dei campi. I campi contenuti in altri campi sono uniti da un punto, gli elenchi
sono testo JSON, i campi senza valore sono vuoti. I campi troppo numerosi per
una tabella sono insieme nella colonna \"other\", in testo JSON.

Se una cella comincia con un apostrofo ('), tolga questo solo carattere per
ottenere il valore. È posto davanti a tutto ciò che un foglio di calcolo
potrebbe prendere per una formula (e ai valori che cominciano essi stessi con
un apostrofo). Lo stesso vale all’interno di una cella dopo ogni punto e
virgola, tabulazione e a capo, dove alcuni programmi iniziano un’altra cella.
I caratteri di controllo appaiono come simboli. report.json contiene ogni valore
esattamente.

CHE COSA È CONSERVATO
---------------------

{counts}

CONTATTO
--------

{contact}
";

const PORTABLE_README: &str = "\
I SUOI DATI, DA PORTARE CON SÉ
==============================

Riferimento:    {reference}
Titolare:       {organisation}
Dati raccolti:  {generated}

Questo pacchetto risponde alla Sua richiesta di ricevere i Suoi dati personali
in una forma da portare ad altri [articolo 20]. Può darlo a chi vuole.
Contiene dati personali: lo conservi dove solo Lei può leggerlo.

FILE
----

data.json         I Suoi dati in testo JSON UTF-8, per i programmi. Le
                  registrazioni di ogni categoria sono sotto \"records\". I
                  numeri mantengono tutte le cifre: li legga come testo se
                  ogni cifra è importante. Ciò che appartiene ad altre persone
                  è annotato al suo posto ed elencato sotto \"withheld\".
data.schema.json  Che cosa sono i campi di data.json, come JSON Schema.
{csv_files}
README.txt        Questo testo.

CHE COSA CONTIENE E CHE COSA NO
-------------------------------

Contiene ciò che ha fornito e ciò che è stato registrato mentre usava il
servizio, per quanto è conservato con il Suo consenso o per un contratto con
Lei. I dati conservati su un’altra base giuridica, e ciò che è stato calcolato
su di Lei (come statistiche delle visite e gruppi), non ne fanno parte:
data.json elenca entrambi sotto \"left_out\". Può chiederne una copia [articolo
15].

Contiene ciò che la piattaforma di contatti fornisce attraverso la sua
interfaccia. La piattaforma può contenere altri dati che l’interfaccia non
fornisce, per esempio il nome dell’azienda, lo stato civile, campi propri dei
moduli, una foto, il numero di un documento d’identità o identificativi tecnici
di un’app.

I messaggi di campagne che Le sono stati inviati, se Lei li abbia aperti o ne
abbia seguito i link, e le Sue risposte a sondaggi sono contenuti solo in quanto
la piattaforma li elenca tra i Suoi eventi. Del resto deve informarLa il
titolare.

COME LEGGERE I FILE CSV
-----------------------

Testo in UTF-8 (con byte order mark), separato da virgole, tra virgolette
secondo la RFC 4180, una riga per registrazione dopo una prima riga con i nomi
dei campi. I campi contenuti in altri campi sono uniti da un punto, gli elenchi
sono testo JSON, i campi senza valore sono vuoti. I campi troppo numerosi per
una tabella sono insieme nella colonna \"other\", in testo JSON. Se una cella
comincia con un apostrofo ('), tolga questo solo carattere per ottenere il
valore: è posto davanti a tutto ciò che un foglio di calcolo potrebbe prendere
per una formula. Lo stesso vale all’interno di una cella dopo ogni punto e
virgola, tabulazione e a capo, dove alcuni programmi iniziano un’altra cella.
data.json contiene ogni valore esattamente.

REGISTRAZIONI
-------------

{counts}

CONTATTO
--------

{contact}
";
