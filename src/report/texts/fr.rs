//! French.

use super::{Entry, Form, SectionTexts, StorageTexts, Texts};
use crate::domain::IdentifierKind;
use crate::report::{LookUp, Section};

pub(super) const TEXTS: Texts = Texts {
    form: Form {
        months: [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        day: "{day} {month} {year}",
        first: "1er",
        instant: "{day} à {time} ({zone})",
        thousands: "\u{202f}",
    },
    section,
    labels: LABELS,
    look_up,
    identifier,
    groups: &[
        (19, "Qui vous êtes"),
        (39, "Comment vous joindre"),
        (59, "Votre compte"),
        (79, "Vos visites, en résumé"),
        (89, "Autres indications"),
        (u8::MAX, "Identifiants internes"),
    ],
    glossary: GLOSSARY,
    rights: RIGHTS,
    limits: LIMITS,
    files: FILES,
    title: "Vos données personnelles",
    document_title: "Vos données personnelles – {reference}",
    skip: "Aller au contenu",
    contents: "Sommaire",
    lead: "Vous avez demandé à {organisation} quelles données personnelles vous concernant sont conservées. Des données vous \
           concernant sont conservées : {records} dans {sections}. Ce rapport les montre, les explique et vous dit ce que \
           vous pouvez faire.",
    lead_none: "Vous avez demandé à {organisation} quelles données personnelles vous concernant sont conservées. Avec les \
                indications énumérées ici, aucune donnée personnelle n’a été trouvée sur la plateforme de contacts.",
    records: ("enregistrement", "enregistrements"),
    categories: ("catégorie", "catégories"),
    reference: "Référence",
    received: "Demande reçue",
    generated: "Données réunies",
    searched: "Recherche par",
    overview: "En un coup d’œil",
    overview_about: "Ce qui est conservé dans chaque catégorie.",
    span: "{first} – {last}",
    span_one_day: "{first}",
    span_unknown: "Aucune date indiquée",
    kinds: "Par type : {kinds}.",
    kinds_further: "autres types ({count})",
    shown_all: "Montré ici en entier. Les mêmes données se trouvent dans {csv} et, exactement comme elles sont conservées, \
                dans report.json.",
    shown_some: "Les {shown} premiers sur {count} ({noun}) sont montrés ici. La liste complète se trouve dans {csv} et, \
                 exactement comme elle est conservée, dans report.json.",
    shown_none: "Non énuméré dans ce document. La liste complète se trouve dans {csv} et, exactement comme elle est \
                 conservée, dans report.json.",
    unreadable: "{count} n’ont pas pu être lus correctement. Veuillez interroger le responsable à leur sujet.",
    incomplete: "Cette catégorie n’a pas pu être obtenue en entier. Veuillez interroger le responsable sur la partie qui \
                 manque.",
    withheld_marks: [
        "[non communiqué : adresse électronique d’une autre personne]",
        "[non communiqué : numéro de téléphone d’une autre personne]",
        "[non communiqué : concerne d’autres personnes]",
    ],
    withheld_kinds: ["adresses électroniques", "numéros de téléphone", "champs entiers"],
    withheld_entry: "{what} dans {field} : {count}",
    withheld: "Non communiqué ici parce que cela appartient à d’autres personnes [article {article}, paragraphe 4,] : \
               {entries}. Une mention se trouve à chaque endroit, ici, dans le fichier CSV et dans report.json. Si quelque \
               chose vous appartient, veuillez le dire au responsable : vous le recevrez.",
    record_number: "{noun} {number} sur {count}",
    rest: "Autres champs",
    empty: "non rempli",
    see_consents: "Voir « Vos consentements »",
    yes: "Oui",
    no: "Non",
    information_title: "Comment vos données sont utilisées",
    information_about: "Pour chaque catégorie : pourquoi les données sont conservées, sur quelle base juridique, qui les \
                        reçoit, combien de temps elles sont gardées et d’où elles viennent [article 15, paragraphes 1 et 2,].",
    information_elsewhere: "Pourquoi les données sont conservées, sur quelle base juridique, qui les reçoit, combien de temps \
                            elles sont gardées et d’où elles viennent, le responsable vous le dit avec ce rapport. Si vous ne \
                            l’avez pas reçu, demandez-le à l’adresse indiquée sous « Contact ».",
    purposes: "Finalités",
    legal_basis: "Base juridique",
    recipients: "Destinataires",
    storage_period: "Gardé jusqu’à",
    storage: StorageTexts {
        title: "Conservation",
        own_case: "Dans votre cas",
        until: "Jusqu’au {day}. Durée : {period} à compter de {from}.",
        over: "La durée ({period} à compter de {from}) a pris fin le {day}. Les données étaient encore \
               conservées lors de l’établissement de ce rapport.",
        each: "Chaque entrée séparément ({period} à compter de {from}), la dernière de celles qui figurent ici \
               jusqu’au {day}.",
        each_over: "Entrées dont la durée était écoulée et qui étaient encore conservées lors de \
                    l’établissement de ce rapport : {count}.",
        each_undated: "Entrées pour lesquelles aucun jour ne peut être indiqué, car le jour à partir duquel \
                       compter n’est pas connu : {count}.",
        unknown: "Aucun jour ne peut être indiqué, car le jour à partir duquel compter n’est pas connu. Le \
                  critère : {period} à compter de {from}.",
        kept: "Aucun jour ne peut être indiqué, car un motif légal peut actuellement faire conserver les données plus \
               longtemps. Le critère : {period} à compter de {from}, et la fin de ce motif.",
        kept_until: "Jusqu’au {day}. C’est plus que la durée ({period} à compter de {from}), car un motif légal \
                     fait conserver les données jusque-là.",
        created: "la création de votre profil",
        last_activity: "votre dernière activité",
        record: "sa propre date",
        closing: "la clôture de la demande",
        months: ("mois", "mois"),
        days: ("jour", "jours"),
    },
    source: "Provenance",
    automated: "Décisions automatisées",
    transfers: "Transferts vers d’autres pays",
    glossary_title: "Ce que les mots veulent dire",
    limits_title: "Ce que ce rapport ne montre peut-être pas",
    rights_title: "Vos droits",
    law: ("du RGPD", "du UK GDPR"),
    rights_about: "Vous pouvez exercer chacun de ces droits gratuitement en écrivant à l’adresse indiquée sous « Contact ». \
                   Indiquez la référence {reference}.",
    complaint: "Réclamer",
    complaint_about: "Vous pouvez à tout moment introduire une réclamation auprès d’une autorité de protection des données : là \
                      où vous vivez, là où vous travaillez ou là où vous pensez que vos droits ont été violés. {authority}",
    contact_title: "Contact",
    contact_about: "{organisation} est responsable des données de ce rapport.",
    files_title: "Les fichiers de ce paquet",
    confidential: "Ce document contient des données personnelles. Gardez-le là où personne d’autre ne peut le lire.",
    readme: README,
    portable_readme: PORTABLE_README,
};

const fn section(section: Section) -> SectionTexts {
    match section {
        Section::Profile => SectionTexts {
            title: "Votre profil",
            about: "Ce qui a été saisi lors de votre inscription, ce qui a été ajouté depuis et ce qui a été calculé à partir de \
                    vos visites.",
            none: "Aucun profil vous concernant n’est conservé.",
            noun: ("profil", "profils"),
        },
        Section::Consents => SectionTexts {
            title: "Vos consentements",
            about: "Les conditions et consentements de votre profil, et s’ils sont notés comme acceptés.",
            none: "Aucun consentement n’est noté dans votre profil.",
            noun: ("consentement", "consentements"),
        },
        Section::Events => SectionTexts {
            title: "Votre activité",
            about: "Les visites, les connexions au Wi-Fi et les messages qui vous ont été envoyés ou que vous avez ouverts, dans la \
                    mesure où ils ont été enregistrés.",
            none: "Aucune activité de votre part n’est enregistrée.",
            noun: ("entrée", "entrées"),
        },
        Section::Devices => SectionTexts {
            title: "Vos appareils",
            about: "Les téléphones, tablettes et ordinateurs avec lesquels vous avez utilisé le Wi-Fi.",
            none: "Aucun appareil n’est enregistré pour vous.",
            noun: ("appareil", "appareils"),
        },
        Section::Accountings => SectionTexts {
            title: "Vos connexions",
            about: "Quand un de vos appareils était connecté au Wi-Fi, combien de temps, et combien de données il a transmises.",
            none: "Aucune connexion n’est enregistrée pour vous.",
            noun: ("connexion", "connexions"),
        },
        Section::Requests => SectionTexts {
            title: "Vos demandes",
            about: "Ce que le service qui répond à des demandes comme la vôtre conserve lui-même à votre sujet, et quand et pourquoi le \
                    personnel du responsable l’a consulté.",
            none: "À part la demande à laquelle répond ce rapport, rien n’est énuméré.",
            noun: ("entrée", "entrées"),
        },
    }
}

const fn look_up(look_up: LookUp) -> &'static str {
    match look_up {
        LookUp::Case => {
            "Un membre du personnel a lu le dossier de cette demande, pour la traiter ou pour en rendre compte."
        }
        LookUp::Package => {
            "Un membre du personnel a ouvert le paquet contenant vos données, pour le remettre ou pour le vérifier."
        }
        LookUp::Candidates => {
            "Un membre du personnel a vu les identifiants masqués de plusieurs profils, pour savoir lequel est le vôtre."
        }
        LookUp::Log => {
            "Un membre du personnel a lu ce qui est enregistré sur cette demande, pour vérifier son traitement."
        }
        LookUp::Evidence => {
            "Des preuves sur cette demande ont été extraites pour montrer comment elle a été traitée. Elles ne vous nomment pas."
        }
    }
}

const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "Adresse e-mail",
        IdentifierKind::Phone => "Numéro de téléphone",
        IdentifierKind::Username => "Nom d’utilisateur",
        IdentifierKind::ExternalId => "Numéro de client",
        IdentifierKind::ExternalProperty1 => "Propriété client 1",
        IdentifierKind::ExternalProperty2 => "Propriété client 2",
    }
}

const LABELS: &[(&str, &str)] = &[
    ("title", "Civilité"),
    ("firstName", "Prénom"),
    ("lastName", "Nom"),
    ("gender", "Sexe"),
    ("birthDate", "Date de naissance"),
    ("birthDay", "Anniversaire"),
    ("age", "Âge"),
    ("language", "Langue"),
    ("civilStatus", "État civil"),
    ("companyName", "Entreprise"),
    ("personalId", "Numéro de pièce d’identité"),
    ("email", "Adresse e-mail"),
    ("emailVerified", "Adresse e-mail confirmée"),
    ("phone", "Numéro de téléphone"),
    ("prefix", "Indicatif téléphonique"),
    ("phoneVerified", "Numéro de téléphone confirmé"),
    ("country", "Pays"),
    ("zipCode", "Code postal"),
    ("event.type", "Ce qui s’est passé"),
    ("type", "Type"),
    ("name", "Nom"),
    ("accepted", "Accepté"),
    ("macAddress", "Adresse de l’appareil (MAC)"),
    ("when.createdAt", "Heure"),
    ("createdAt", "Heure"),
    ("startAt", "Début"),
    ("start", "Début"),
    ("stop", "Fin"),
    ("createdAtLocal", "Heure sur place"),
    ("startAtLocal", "Début, heure sur place"),
    ("timezone", "Fuseau horaire du lieu"),
    ("duration", "Durée (secondes)"),
    ("bytesIn", "Octets reçus"),
    ("bytesOut", "Octets envoyés"),
    ("connections", "Connexions"),
    ("lastConnection", "Dernière connexion"),
    ("terminateCause", "Pourquoi elle a pris fin"),
    ("locationName", "Lieu"),
    ("campaignName", "Campagne"),
    ("channel", "Canal"),
    ("source", "Source"),
    ("reference", "Référence"),
    ("kind", "Type"),
    ("received_at", "Reçue"),
    ("outcome", "Issue"),
    ("looked_up_at", "Consulté par le personnel"),
    ("purpose", "Finalité"),
    ("username", "Nom d’utilisateur"),
    ("created", "Créé"),
    ("modified", "Dernière modification"),
    ("lastLogin", "Dernière connexion au compte"),
    ("logins", "Nombre de connexions au compte"),
    ("signupMethod", "Mode d’inscription"),
    ("externalSource", "Autre source"),
    ("locked", "Bloqué"),
    ("enabled", "Actif"),
    ("system", "Système"),
    ("policies", "Conditions et consentements"),
    ("segments", "Groupes dans lesquels votre profil a été classé"),
    ("countTotalVisits", "Visites au total"),
    ("countVisitedLocations", "Lieux différents visités"),
    ("avgVisitLength", "Durée moyenne d’une visite"),
    ("avgDaysBetweenVisits", "Jours moyens entre les visites"),
    ("frequencyMonthlyVisit", "Visites par mois"),
    ("topFrequencyBuckets", "Classe de fréquence"),
    ("lastVisitVenue", "Lieu de la dernière visite"),
    ("lastVisitDateUtc", "Dernière visite"),
    ("lastVisitDateBusiness", "Dernière visite (jour ouvré)"),
    ("prefVisitWDay", "Jour habituel de la semaine"),
    ("prefVisitTimebucket", "Moment habituel de la journée"),
    ("prefVisitTimeHour", "Heure habituelle"),
    ("compassTopLocation", "Lieu le plus visité"),
    ("compassTopLocationCount", "Visites du lieu le plus visité"),
    ("conversionRate", "Part des visites avec connexion au compte"),
    ("cid", "Numéro de contact"),
    ("customerId", "Numéro de contact"),
    ("event.id", "Numéro de l’entrée"),
    ("id", "Numéro de l’entrée"),
    ("organizationId", "Numéro de l’organisation"),
    ("organizationCid", "Numéro de l’organisation"),
    ("locationId", "Numéro du lieu"),
    ("locationCid", "Numéro du lieu"),
    ("hotspotId", "Numéro du point d’accès"),
    ("campaignId", "Numéro de la campagne"),
    ("communicationId", "Numéro du message"),
    ("segmentCids", "Numéros des groupes"),
    ("externalIdentityId", "Numéro auprès d’un service de connexion externe"),
    ("extId.id", "Numéro de client"),
    ("extId.prop1", "Propriété client 1"),
    ("extId.prop2", "Propriété client 2"),
];

const GLOSSARY: &[Entry] = &[
    (
        "Point d’accès, hotspot",
        "Le boîtier d’un établissement auquel votre appareil se connecte pour le Wi-Fi. Il est désigné par un numéro.",
    ),
    (
        "Accounting, connexion",
        "L’enregistrement d’une connexion Wi-Fi : début, fin, durée et quantité de données reçues et envoyées, en octets (un \
         million d’octets font un mégaoctet).",
    ),
    ("Contact", "Le mot de la plateforme pour une personne dont elle conserve un profil."),
    (
        "Événement, activité",
        "Quelque chose qui a été enregistré à un instant donné, par exemple une visite, une connexion ou un message.",
    ),
    (
        "Types d’activité",
        "signup : vous avez créé un compte.\n\
         login : vous avez ouvert une session Wi-Fi.\n\
         visit, arriving, leave : un de vos appareils a été remarqué dans un établissement.\n\
         send_email, send_sms : un message vous a été envoyé.\n\
         open_email, click_email, click_sms : vous avez ouvert un message ou suivi un lien qu’il contient.\n\
         survey, promo : vous avez répondu à des questions ou ouvert une offre.",
    ),
    (
        "Adresse MAC",
        "Le numéro par lequel un appareil se montre dans un réseau Wi-Fi, par exemple AA:BB:CC:DD:EE:FF. Beaucoup de téléphones \
         changent de numéro, si bien qu’un même téléphone peut apparaître plusieurs fois.",
    ),
    (
        "Policy, consentement",
        "Des conditions que vous pouvez accepter, par exemple conditions d’utilisation, vie privée ou messages publicitaires.",
    ),
    (
        "Segment",
        "Un groupe dans lequel des profils sont classés, par exemple selon la fréquence des visites.",
    ),
    (
        "Statistiques (metrics)",
        "Des chiffres calculés à partir de vos visites, par exemple à quelle fréquence et quand vous venez d’habitude.",
    ),
    (
        "Heures",
        "Dans ce document, les heures sont dans le fuseau horaire du responsable, dont l’abréviation suit, sauf si le nom du champ \
         se termine par « Local » : il s’agit alors de l’heure sur place. Dans report.json et les fichiers CSV, les heures sont \
         comme elles sont conservées, en temps universel coordonné (UTC, avec un Z à la fin) ; dans les champs dont le nom se \
         termine par « Local », elles sont l’heure sur place malgré le Z. Le premier et le dernier jour d’une liste sont des \
         jours en UTC.",
    ),
    (
        "Pourquoi une connexion a pris fin",
        "User-Request : l’appareil est parti.\n\
         Idle-Timeout : il est resté longtemps silencieux.\n\
         Session-Timeout : le temps permis était écoulé.\n\
         Lost-Carrier : il est sorti de la zone couverte.\n\
         Admin-Reset, NAS-Reboot : l’équipement a été redémarré.",
    ),
];

const RIGHTS: &[Entry; 6] = &[
    ("Rectifier", "Faire corriger des données fausses et compléter des données incomplètes [article 16]."),
    ("Effacer", "Faire effacer vos données quand il n’y a plus de raison de les garder [article 17]."),
    (
        "Limiter",
        "Faire garder vos données sans qu’elles soient utilisées, par exemple pendant que leur exactitude est vérifiée [article 18].",
    ),
    (
        "Emporter",
        "Recevoir les données que vous avez fournies sous une forme lisible par des machines, ou les faire transmettre [article 20].",
    ),
    (
        "S’opposer",
        "S’opposer à des utilisations pour des raisons tenant à votre situation, et à la publicité sans donner de raison [article 21].",
    ),
    (
        "Retirer",
        "Retirer un consentement à tout moment. Ce qui a été fait avant reste licite [article 7, paragraphe 3,].",
    ),
];

const LIMITS: &[&str] = &[
    "Ce rapport contient ce que la plateforme de contacts donne par son interface au jour indiqué ci-dessus. La plateforme peut \
     contenir d’autres données que son interface ne donne pas, par exemple le nom de l’entreprise, l’état civil, des champs de \
     formulaire particuliers, une photo, un numéro de pièce d’identité ou des identifiants techniques d’une application mobile.",
    "Les messages de campagnes qui vous ont été envoyés par e-mail ou SMS, le fait que vous les ayez ouverts ou en ayez suivi les \
     liens, et vos réponses à des enquêtes ne figurent ici que dans la mesure où la plateforme les énumère parmi vos propres \
     événements. Sa liste des événements de tous les contacts n’est pas lue. C’est au responsable de vous renseigner sur le reste.",
    "Il porte sur la plateforme de contacts. Si d’autres systèmes du responsable contiennent des données à votre sujet, c’est au \
     responsable de le dire.",
    "Ce document est fait pour être lu : les heures, les listes et les champs oui ou non sont écrits plus simplement qu’ils ne \
     sont conservés, et les valeurs longues sont abrégées. Les fichiers CSV contiennent toutes les valeurs en entier, et \
     report.json exactement comme elles sont conservées.",
];

const FILES: &[Entry] = &[
    ("report.html", "Ce document, à lire et à imprimer. Il fonctionne sans connexion à Internet."),
    ("*.csv", "Un tableau par catégorie, complet, pour un tableur."),
    ("report.json", "Tout, exactement comme c’est conservé, pour des programmes et pour transmettre."),
    ("README.txt", "Une courte description de tous les fichiers."),
];

const README: &str = "\
VOS DONNÉES PERSONNELLES
========================

Référence :        {reference}
Responsable :      {organisation}
Données réunies :  {generated}

Ce paquet répond à votre demande d’accès à vos données personnelles.
Il contient des données personnelles : gardez-le là où
personne d’autre ne peut le lire.

Commencez par report.html. Ouvrez-le dans un navigateur ; aucune connexion n’est
nécessaire.

FICHIERS
--------

report.html       Le rapport à lire et à imprimer, avec des explications et vos
                  droits. Les longues listes y sont abrégées.
report.json       Toutes les données, exactement comme elles sont conservées,
                  en texte JSON UTF-8. Les enregistrements de chaque catégorie
                  sont sous \"records\". Les nombres gardent tous leurs
                  chiffres : lisez-les comme du texte si chaque chiffre compte.
                  Ce qui appartient à d’autres personnes est signalé à sa
                  place et énuméré sous \"withheld\".
{csv_files}
README.txt        Ce texte.

COMMENT LIRE LES FICHIERS CSV
-----------------------------

Texte en UTF-8 (avec marque d’ordre des octets), séparé par des virgules, entre
guillemets selon la RFC 4180, une ligne par enregistrement après une première
ligne avec les noms des champs. Les champs contenus dans d’autres champs sont
reliés par un point, les listes sont du texte JSON, les champs sans valeur sont
vides. Les champs trop nombreux pour un tableau sont réunis dans la colonne
\"other\", en texte JSON.

Si une cellule commence par une apostrophe ('), supprimez ce seul caractère pour
obtenir la valeur. Il est placé devant tout ce qu’un tableur pourrait prendre
pour une formule (et devant les valeurs qui commencent elles-mêmes par une
apostrophe). Il en va de même à l’intérieur d’une cellule après chaque
point-virgule, tabulation et saut de ligne, où certains programmes commencent
une autre cellule. Les caractères de contrôle apparaissent comme des symboles.
report.json contient chaque valeur exactement.

CE QUI EST CONSERVÉ
-------------------

{counts}

CONTACT
-------

{contact}
";

const PORTABLE_README: &str = "\
VOS DONNÉES, À EMPORTER
=======================

Référence :        {reference}
Responsable :      {organisation}
Données réunies :  {generated}

Ce paquet répond à votre demande de recevoir vos données personnelles sous une
forme que vous pouvez emporter ailleurs [article 20]. Vous pouvez le
transmettre comme vous voulez. Il contient des données personnelles :
gardez-le là où personne d’autre ne peut le lire.

FICHIERS
--------

data.json         Vos données en texte JSON UTF-8, pour des programmes. Les
                  enregistrements de chaque catégorie sont sous \"records\".
                  Les nombres gardent tous leurs chiffres : lisez-les comme
                  du texte si chaque chiffre compte. Ce qui appartient à
                  d’autres personnes est signalé à sa place et énuméré sous
                  \"withheld\".
data.schema.json  Ce que sont les champs de data.json, en JSON Schema.
{csv_files}
README.txt        Ce texte.

CE QUI Y EST, ET CE QUI N’Y EST PAS
-----------------------------------

Il contient ce que vous avez fourni et ce qui a été enregistré lorsque vous
avez utilisé le service, dans la mesure où c’est conservé avec votre
consentement ou pour un contrat avec vous. Les données conservées sur un autre
fondement, et ce qui a été calculé à votre sujet (comme des statistiques de vos
visites et des groupes), n’y sont pas : data.json énumère les deux sous
\"left_out\". Vous pouvez aussi en demander une copie [article 15].

Il contient ce que la plateforme de contacts donne par son interface. La
plateforme peut contenir d’autres données que son interface ne donne pas, par
exemple le nom de l’entreprise, l’état civil, des champs de formulaire
particuliers, une photo, un numéro de pièce d’identité ou des identifiants
techniques d’une application mobile.

Les messages de campagnes qui vous ont été envoyés, le fait que vous les ayez
ouverts ou en ayez suivi les liens, et vos réponses à des enquêtes n’y figurent
que dans la mesure où la plateforme les énumère parmi vos propres événements.
C’est au responsable de vous renseigner sur le reste.

COMMENT LIRE LES FICHIERS CSV
-----------------------------

Texte en UTF-8 (avec marque d’ordre des octets), séparé par des virgules, entre
guillemets selon la RFC 4180, une ligne par enregistrement après une première
ligne avec les noms des champs. Les champs contenus dans d’autres champs sont
reliés par un point, les listes sont du texte JSON, les champs sans valeur sont
vides. Les champs trop nombreux pour un tableau sont réunis dans la colonne
\"other\", en texte JSON. Si une cellule commence par une apostrophe ('),
supprimez ce seul caractère pour obtenir la valeur : il est placé devant tout
ce qu’un tableur pourrait prendre pour une formule. Il en va de même à
l’intérieur d’une cellule après chaque point-virgule, tabulation et saut de
ligne, où certains programmes commencent une autre cellule. data.json contient
chaque valeur exactement.

ENREGISTREMENTS
---------------

{counts}

CONTACT
-------

{contact}
";
