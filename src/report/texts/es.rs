//! Spanish.

use super::{Entry, Form, SectionTexts, StorageTexts, Texts};
use crate::domain::IdentifierKind;
use crate::report::{LookUp, Section};

pub(super) const TEXTS: Texts = Texts {
    form: Form {
        months: [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
        day: "{day} de {month} de {year}",
        first: "1",
        instant: "{day}, a las {time} ({zone})",
        thousands: ".",
    },
    section,
    labels: LABELS,
    look_up,
    identifier,
    groups: &[
        (19, "Quién es usted"),
        (39, "Cómo contactar con usted"),
        (59, "Su cuenta"),
        (79, "Sus visitas, en resumen"),
        (89, "Otros datos"),
        (u8::MAX, "Identificadores internos"),
    ],
    glossary: GLOSSARY,
    rights: RIGHTS,
    limits: LIMITS,
    files: FILES,
    title: "Sus datos personales",
    document_title: "Sus datos personales – {reference}",
    skip: "Ir al contenido",
    contents: "Índice",
    lead: "Usted preguntó a {organisation} qué datos personales suyos se conservan. Se conservan datos sobre usted: {records} en \
           {sections}. Este informe los muestra, los explica y le dice qué puede hacer.",
    lead_none: "Usted preguntó a {organisation} qué datos personales suyos se conservan. Con las indicaciones que figuran aquí no se \
                encontraron datos personales en la plataforma de contactos.",
    records: ("registro", "registros"),
    categories: ("categoría", "categorías"),
    reference: "Referencia",
    received: "Solicitud recibida",
    generated: "Datos reunidos",
    searched: "Búsqueda por",
    overview: "De un vistazo",
    overview_about: "Qué se conserva en cada categoría.",
    span: "{first} – {last}",
    span_one_day: "{first}",
    span_unknown: "Sin fechas indicadas",
    kinds: "Por tipo: {kinds}.",
    kinds_further: "otros tipos ({count})",
    shown_all: "Aquí se muestra completo. Los mismos datos están en {csv} y, exactamente como se conservan, en report.json.",
    shown_some: "Aquí se muestran los primeros {shown} de {count} ({noun}). La lista completa está en {csv} y, exactamente como se \
                 conserva, en report.json.",
    shown_none: "No figura en este documento. La lista completa está en {csv} y, exactamente como se conserva, en report.json.",
    unreadable: "{count} no se pudieron leer correctamente. Pregunte al responsable por ellos.",
    incomplete: "Esta categoría no se pudo obtener completa. Pregunte al responsable por la parte que falta.",
    withheld_marks: [
        "[omitido: dirección de correo electrónico de otra persona]",
        "[omitido: número de teléfono de otra persona]",
        "[omitido: afecta a otras personas]",
    ],
    withheld_kinds: ["direcciones de correo electrónico", "números de teléfono", "campos enteros"],
    withheld_entry: "{what} en {field}: {count}",
    withheld: "No se entrega aquí porque pertenece a otras personas [artículo {article}, apartado 4,]: {entries}. En su lugar \
               hay cada vez una nota, aquí, en el archivo CSV y en report.json. Si algo de ello le pertenece a usted, dígaselo \
               al responsable: lo recibirá.",
    record_number: "{noun} {number} de {count}",
    rest: "Otros campos",
    empty: "sin rellenar",
    see_consents: "Véase «Sus consentimientos»",
    yes: "Sí",
    no: "No",
    information_title: "Cómo se usan sus datos",
    information_about: "Para cada categoría: por qué se conservan los datos, con qué base jurídica, quién los recibe, cuánto tiempo se \
                        conservan y de dónde proceden [artículo 15, apartados 1 y 2,].",
    information_elsewhere: "Por qué se conservan los datos, con qué base jurídica, quién los recibe, cuánto tiempo se conservan y de \
                            dónde proceden se lo comunica el responsable junto con este informe. Si no lo ha recibido, pregunte en la \
                            dirección indicada en «Contacto».",
    purposes: "Fines",
    legal_basis: "Base jurídica",
    recipients: "Destinatarios",
    storage_period: "Se conserva hasta",
    storage: StorageTexts {
        title: "Conservación",
        own_case: "En su caso",
        until: "Hasta el {day}. Plazo: {period}, contados desde {from}.",
        over: "El plazo ({period}, contados desde {from}) terminó el {day}. Los datos aún se conservaban cuando \
               se hizo este informe.",
        each: "Cada entrada por separado ({period}, contados desde {from}), la última de las que figuran aquí \
               hasta el {day}.",
        each_over: "Entradas cuyo plazo había terminado y que aún se conservaban cuando se hizo este informe: \
                    {count}.",
        each_undated: "Entradas para las que no se puede indicar un día, porque no se sabe desde qué día hay \
                       que contar: {count}.",
        unknown: "No se puede indicar un día, porque no se sabe desde qué día hay que contar. El criterio: \
                  {period}, contados desde {from}.",
        kept: "No se puede indicar un día, porque por ahora un motivo legal puede hacer que los datos se conserven más \
               tiempo. El criterio: {period}, contados desde {from}, y el fin de ese motivo.",
        kept_until: "Hasta el {day}. Es más que el plazo ({period}, contados desde {from}), porque un motivo legal \
                     hace que los datos se conserven hasta entonces.",
        created: "la creación de su perfil",
        last_activity: "su última actividad",
        record: "su propia fecha",
        closing: "el cierre de la solicitud",
        months: ("mes", "meses"),
        days: ("día", "días"),
    },
    source: "Procedencia",
    automated: "Decisiones automatizadas",
    transfers: "Transferencias a otros países",
    glossary_title: "Qué significan las palabras",
    limits_title: "Qué puede no mostrar este informe",
    rights_title: "Sus derechos",
    law: ("del RGPD", "del UK GDPR"),
    rights_about: "Puede ejercer gratuitamente cada uno de estos derechos escribiendo a la dirección indicada en «Contacto». Indique la \
                   referencia {reference}.",
    complaint: "Reclamar",
    complaint_about: "Puede presentar en cualquier momento una reclamación ante una autoridad de protección de datos: donde vive, donde \
                      trabaja o donde cree que se vulneraron sus derechos. {authority}",
    contact_title: "Contacto",
    contact_about: "{organisation} es responsable de los datos de este informe.",
    files_title: "Los archivos de este paquete",
    confidential: "Este documento contiene datos personales. Guárdelo donde solo usted pueda leerlo.",
    readme: README,
    portable_readme: PORTABLE_README,
};

const fn section(section: Section) -> SectionTexts {
    match section {
        Section::Profile => SectionTexts {
            title: "Su perfil",
            about: "Lo que se indicó al registrarse, lo que se ha añadido desde entonces y lo que se ha calculado a partir de sus \
                    visitas.",
            none: "No se conserva ningún perfil sobre usted.",
            noun: ("perfil", "perfiles"),
        },
        Section::Consents => SectionTexts {
            title: "Sus consentimientos",
            about: "Las condiciones y los consentimientos de su perfil, y si constan como aceptados.",
            none: "En su perfil no consta ningún consentimiento.",
            noun: ("consentimiento", "consentimientos"),
        },
        Section::Events => SectionTexts {
            title: "Su actividad",
            about: "Visitas, inicios de sesión en la wifi y mensajes enviados a usted o abiertos por usted, en la medida en que se \
                    registraron.",
            none: "No consta ninguna actividad suya.",
            noun: ("entrada", "entradas"),
        },
        Section::Devices => SectionTexts {
            title: "Sus dispositivos",
            about: "Teléfonos, tabletas y ordenadores con los que usó la wifi.",
            none: "No consta ningún dispositivo suyo.",
            noun: ("dispositivo", "dispositivos"),
        },
        Section::Accountings => SectionTexts {
            title: "Sus conexiones",
            about: "Cuándo estuvo un dispositivo suyo conectado a la wifi, cuánto tiempo y cuántos datos transmitió.",
            none: "No consta ninguna conexión suya.",
            noun: ("conexión", "conexiones"),
        },
        Section::Requests => SectionTexts {
            title: "Sus solicitudes",
            about: "Lo que conserva sobre usted el propio servicio que responde a solicitudes como la suya, y cuándo y para qué lo \
                    consultó el personal del responsable.",
            none: "Aparte de la solicitud a la que responde este informe, no figura nada.",
            noun: ("entrada", "entradas"),
        },
    }
}

const fn look_up(look_up: LookUp) -> &'static str {
    match look_up {
        LookUp::Case => {
            "Un miembro del personal leyó el expediente de esta solicitud, para tramitarla o para responder de ella."
        }
        LookUp::Package => {
            "Un miembro del personal abrió el paquete con sus datos, para entregarlo o para comprobarlo."
        }
        LookUp::Candidates => {
            "A un miembro del personal se le mostraron identificadores enmascarados de varios perfiles, para saber cuál es el suyo."
        }
        LookUp::Log => {
            "Un miembro del personal leyó lo que está registrado sobre esta solicitud, para comprobar su tramitación."
        }
        LookUp::Evidence => {
            "Se extrajeron pruebas sobre esta solicitud para mostrar cómo se tramitó. No le nombran."
        }
    }
}

const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "Dirección de correo electrónico",
        IdentifierKind::Phone => "Número de teléfono",
        IdentifierKind::Username => "Nombre de usuario",
        IdentifierKind::ExternalId => "Número de cliente",
        IdentifierKind::ExternalProperty1 => "Propiedad de cliente 1",
        IdentifierKind::ExternalProperty2 => "Propiedad de cliente 2",
    }
}

const LABELS: &[(&str, &str)] = &[
    ("title", "Tratamiento"),
    ("firstName", "Nombre"),
    ("lastName", "Apellidos"),
    ("gender", "Sexo"),
    ("birthDate", "Fecha de nacimiento"),
    ("birthDay", "Cumpleaños"),
    ("age", "Edad"),
    ("language", "Idioma"),
    ("civilStatus", "Estado civil"),
    ("companyName", "Empresa"),
    ("personalId", "Número del documento de identidad"),
    ("email", "Dirección de correo electrónico"),
    ("emailVerified", "Dirección de correo confirmada"),
    ("phone", "Número de teléfono"),
    ("prefix", "Prefijo telefónico"),
    ("phoneVerified", "Número de teléfono confirmado"),
    ("country", "País"),
    ("zipCode", "Código postal"),
    ("event.type", "Qué ocurrió"),
    ("type", "Tipo"),
    ("name", "Nombre"),
    ("accepted", "Aceptado"),
    ("macAddress", "Dirección del dispositivo (MAC)"),
    ("when.createdAt", "Hora"),
    ("createdAt", "Hora"),
    ("startAt", "Inicio"),
    ("start", "Inicio"),
    ("stop", "Fin"),
    ("createdAtLocal", "Hora en el lugar"),
    ("startAtLocal", "Inicio, hora en el lugar"),
    ("timezone", "Zona horaria del lugar"),
    ("duration", "Duración (segundos)"),
    ("bytesIn", "Bytes recibidos"),
    ("bytesOut", "Bytes enviados"),
    ("connections", "Conexiones"),
    ("lastConnection", "Última conexión"),
    ("terminateCause", "Por qué terminó"),
    ("locationName", "Lugar"),
    ("campaignName", "Campaña"),
    ("channel", "Canal"),
    ("source", "Fuente"),
    ("reference", "Referencia"),
    ("kind", "Tipo"),
    ("received_at", "Recibida"),
    ("outcome", "Resultado"),
    ("looked_up_at", "Consultado por el personal"),
    ("purpose", "Finalidad"),
    ("username", "Nombre de usuario"),
    ("created", "Creado"),
    ("modified", "Última modificación"),
    ("lastLogin", "Último inicio de sesión"),
    ("logins", "Número de inicios de sesión"),
    ("signupMethod", "Forma de registro"),
    ("externalSource", "Otra fuente"),
    ("locked", "Bloqueado"),
    ("enabled", "Activo"),
    ("system", "Sistema"),
    ("policies", "Condiciones y consentimientos"),
    ("segments", "Grupos en los que se le incluyó"),
    ("countTotalVisits", "Visitas en total"),
    ("countVisitedLocations", "Lugares distintos visitados"),
    ("avgVisitLength", "Duración media de una visita"),
    ("avgDaysBetweenVisits", "Días medios entre visitas"),
    ("frequencyMonthlyVisit", "Visitas al mes"),
    ("topFrequencyBuckets", "Clase de frecuencia"),
    ("lastVisitVenue", "Lugar de la última visita"),
    ("lastVisitDateUtc", "Última visita"),
    ("lastVisitDateBusiness", "Última visita (día hábil)"),
    ("prefVisitWDay", "Día habitual de la semana"),
    ("prefVisitTimebucket", "Momento habitual del día"),
    ("prefVisitTimeHour", "Hora habitual"),
    ("compassTopLocation", "Lugar más visitado"),
    ("compassTopLocationCount", "Visitas al lugar más visitado"),
    ("conversionRate", "Proporción de visitas con inicio de sesión"),
    ("cid", "Número de contacto"),
    ("customerId", "Número de contacto"),
    ("event.id", "Número de la entrada"),
    ("id", "Número de la entrada"),
    ("organizationId", "Número de la organización"),
    ("organizationCid", "Número de la organización"),
    ("locationId", "Número del lugar"),
    ("locationCid", "Número del lugar"),
    ("hotspotId", "Número del punto de acceso"),
    ("campaignId", "Número de la campaña"),
    ("communicationId", "Número del mensaje"),
    ("segmentCids", "Números de los grupos"),
    ("externalIdentityId", "Número en un servicio externo de acceso"),
    ("extId.id", "Número de cliente"),
    ("extId.prop1", "Propiedad de cliente 1"),
    ("extId.prop2", "Propiedad de cliente 2"),
];

const GLOSSARY: &[Entry] = &[
    (
        "Punto de acceso, hotspot",
        "El aparato de un local al que se conecta su dispositivo para la wifi. Se identifica con un número.",
    ),
    (
        "Accounting, conexión",
        "El registro de una conexión wifi: inicio, fin, duración y cantidad de datos recibidos y enviados, en bytes (un millón de \
         bytes son un megabyte).",
    ),
    ("Contacto", "La palabra de la plataforma para una persona de la que conserva un perfil."),
    (
        "Evento, actividad",
        "Algo que se registró en un instante, por ejemplo una visita, un inicio de sesión o un mensaje.",
    ),
    (
        "Tipos de actividad",
        "signup: usted se registró.\n\
         login: inició sesión en la wifi.\n\
         visit, arriving, leave: se detectó un dispositivo suyo en un local.\n\
         send_email, send_sms: se le envió un mensaje.\n\
         open_email, click_email, click_sms: abrió un mensaje o siguió un enlace que contiene.\n\
         survey, promo: respondió a preguntas o abrió una oferta.",
    ),
    (
        "Dirección MAC",
        "El número con el que un dispositivo se muestra en una red wifi, por ejemplo AA:BB:CC:DD:EE:FF. Muchos teléfonos usan números \
         cambiantes, de modo que un mismo teléfono puede aparecer varias veces.",
    ),
    (
        "Policy, consentimiento",
        "Condiciones que puede aceptar, por ejemplo condiciones de uso, privacidad o mensajes publicitarios.",
    ),
    (
        "Segmento",
        "Un grupo en el que se clasifican los perfiles, por ejemplo según la frecuencia de las visitas.",
    ),
    (
        "Estadísticas (metrics)",
        "Números calculados a partir de sus visitas, por ejemplo con qué frecuencia y cuándo suele venir.",
    ),
    (
        "Horas",
        "En este documento las horas están en la zona horaria del responsable, cuya abreviatura figura detrás, salvo que el nombre del \
         campo termine en «Local»: entonces es la hora en el lugar. En report.json y en los archivos CSV las horas están como se \
         conservan, en tiempo universal coordinado (UTC, con una Z al final); en los campos cuyo nombre termina en «Local» son la hora \
         en el lugar a pesar de la Z. El primer y el último día de una lista son días en UTC.",
    ),
    (
        "Por qué terminó una conexión",
        "User-Request: el dispositivo se fue.\n\
         Idle-Timeout: estuvo mucho tiempo en silencio.\n\
         Session-Timeout: se agotó el tiempo permitido.\n\
         Lost-Carrier: quedó fuera de alcance.\n\
         Admin-Reset, NAS-Reboot: se reinició el equipo.",
    ),
];

const RIGHTS: &[Entry; 6] = &[
    ("Rectificar", "Hacer que se corrijan datos incorrectos y se completen datos incompletos [artículo 16]."),
    ("Suprimir", "Hacer que se supriman sus datos cuando ya no haya motivo para conservarlos [artículo 17]."),
    (
        "Limitar",
        "Hacer que sus datos se conserven pero no se usen, por ejemplo mientras se comprueba su exactitud [artículo 18].",
    ),
    (
        "Llevar consigo",
        "Recibir los datos que facilitó en una forma legible por máquinas, o hacer que se transmitan [artículo 20].",
    ),
    (
        "Oponerse",
        "Oponerse a usos por motivos de su situación, y a la publicidad sin dar ningún motivo [artículo 21].",
    ),
    (
        "Retirar",
        "Retirar un consentimiento en cualquier momento. Lo hecho antes sigue siendo lícito [artículo 7, apartado 3,].",
    ),
];

const LIMITS: &[&str] = &[
    "Este informe contiene lo que la plataforma de contactos entrega por su interfaz en el día indicado arriba. La plataforma puede \
     contener otros datos que su interfaz no entrega, por ejemplo el nombre de la empresa, el estado civil, campos propios de \
     formularios, una imagen, el número de un documento de identidad o identificadores técnicos de una aplicación móvil.",
    "Los mensajes de campañas que se le enviaron por correo electrónico o SMS, si usted los abrió o siguió sus enlaces, y sus respuestas \
     a encuestas figuran solo en la medida en que la plataforma los enumera entre sus propios eventos. Su lista de los eventos de todos \
     los contactos no se lee. Del resto debe informarle el responsable.",
    "Abarca la plataforma de contactos. Si otros sistemas del responsable contienen datos sobre usted, debe decirlo el responsable.",
    "Este documento está hecho para leer: las horas, las listas y los campos de sí o no están escritos de forma más sencilla de como se \
     conservan, y los valores largos están abreviados. Los archivos CSV contienen todos los valores completos, y report.json exactamente \
     como se conservan.",
];

const FILES: &[Entry] = &[
    ("report.html", "Este documento, para leer e imprimir. Funciona sin conexión a Internet."),
    ("*.csv", "Una tabla por categoría, completa, para una hoja de cálculo."),
    ("report.json", "Todo exactamente como se conserva, para programas y para transmitirlo."),
    ("README.txt", "Una breve descripción de todos los archivos."),
];

const README: &str = "\
SUS DATOS PERSONALES
====================

Referencia:      {reference}
Responsable:     {organisation}
Datos reunidos:  {generated}

Este paquete responde a su solicitud de acceso a sus datos personales.
Contiene datos personales: guárdelo donde solo usted pueda leerlo.

Empiece por report.html. Ábralo en un navegador; no hace falta conexión.

ARCHIVOS
--------

report.html       El informe para leer e imprimir, con explicaciones y sus
                  derechos. Las listas largas están abreviadas en él.
report.json       Todos los datos, exactamente como se conservan, en texto JSON
                  UTF-8. Los registros de cada categoría están en \"records\".
                  Los números conservan todas sus cifras: léalos como texto si
                  importa cada cifra. Lo que pertenece a otras personas está
                  señalado en su lugar y enumerado en \"withheld\".
{csv_files}
README.txt        Este texto.

CÓMO LEER LOS ARCHIVOS CSV
--------------------------

Texto en UTF-8 (con marca de orden de bytes), separado por comas, entrecomillado
según la RFC 4180, una línea por registro después de una primera línea con los
nombres de los campos. Los campos dentro de otros campos se unen con un punto,
las listas son texto JSON, los campos sin valor están vacíos. Los campos que son
demasiados para una tabla están juntos en la columna \"other\", como texto JSON.

Si una celda empieza por un apóstrofo ('), quite este único carácter para
obtener el valor. Se pone delante de todo lo que una hoja de cálculo podría
tomar por una fórmula (y de los valores que empiezan ellos mismos por un
apóstrofo). Lo mismo vale dentro de una celda después de cada punto y coma,
tabulador y salto de línea, donde algunos programas empiezan otra celda. Los
caracteres de control aparecen como símbolos. report.json contiene cada valor
exactamente.

QUÉ SE CONSERVA
---------------

{counts}

CONTACTO
--------

{contact}
";

const PORTABLE_README: &str = "\
SUS DATOS, PARA LLEVÁRSELOS
===========================

Referencia:      {reference}
Responsable:     {organisation}
Datos reunidos:  {generated}

Este paquete responde a su solicitud de recibir sus datos personales en una
forma que pueda llevar a otros [artículo 20]. Puede entregarlo a quien
quiera. Contiene datos personales: guárdelo donde solo usted pueda leerlo.

ARCHIVOS
--------

data.json         Sus datos en texto JSON UTF-8, para programas. Los registros
                  de cada categoría están en \"records\". Los números conservan
                  todas sus cifras: léalos como texto si importa cada cifra. Lo
                  que pertenece a otras personas está señalado en su lugar y
                  enumerado en \"withheld\".
data.schema.json  Qué son los campos de data.json, como JSON Schema.
{csv_files}
README.txt        Este texto.

QUÉ CONTIENE Y QUÉ NO
---------------------

Contiene lo que usted facilitó y lo que se registró mientras usaba el servicio,
en la medida en que se conserva con su consentimiento o para un contrato con
usted. Los datos conservados con otra base jurídica, y lo que se calculó sobre
usted (como estadísticas de sus visitas y grupos), no están en él: data.json
enumera ambos en \"left_out\". También puede solicitar una copia de ellos
[artículo 15].

Contiene lo que la plataforma de contactos entrega por su interfaz. La
plataforma puede contener otros datos que su interfaz no entrega, por ejemplo el
nombre de la empresa, el estado civil, campos propios de formularios, una
imagen, el número de un documento de identidad o identificadores técnicos de una
aplicación móvil.

Los mensajes de campañas que se le enviaron, si usted los abrió o siguió sus
enlaces, y sus respuestas a encuestas figuran solo en la medida en que la
plataforma los enumera entre sus propios eventos. Del resto debe informarle el
responsable.

CÓMO LEER LOS ARCHIVOS CSV
--------------------------

Texto en UTF-8 (con marca de orden de bytes), separado por comas, entrecomillado
según la RFC 4180, una línea por registro después de una primera línea con los
nombres de los campos. Los campos dentro de otros campos se unen con un punto,
las listas son texto JSON, los campos sin valor están vacíos. Los campos que son
demasiados para una tabla están juntos en la columna \"other\", como texto JSON.
Si una celda empieza por un apóstrofo ('), quite este único carácter para
obtener el valor: se pone delante de todo lo que una hoja de cálculo podría
tomar por una fórmula. Lo mismo vale dentro de una celda después de cada punto y
coma, tabulador y salto de línea, donde algunos programas empiezan otra celda.
data.json contiene cada valor exactamente.

REGISTROS
---------

{counts}

CONTACTO
--------

{contact}
";
