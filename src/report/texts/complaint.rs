//! To whom a person can complain where the General Data Protection Regulation does not say it: by law and language.

use super::Language;
use crate::domain::deadline::Law;

/// What the report says of complaints, with the place `{authority}`; `None` where the words of [`Texts`](super::Texts) hold.
pub(super) const fn of(language: Language, law: Law) -> Option<&'static str> {
    Some(match (law, language) {
        (Law::Gdpr, _) => return None,
        (Law::UkGdpr, Language::English) => {
            "You can complain to the controller at the address under “Contact”; a complaint is confirmed within 30 days. You \
             can also complain to the Information Commissioner’s Office (ico.org.uk), the data protection authority, and go to \
             court. {authority}"
        }
        (Law::UkGdpr, Language::German) => {
            "Sie können sich unter der Adresse bei „Kontakt“ beim Verantwortlichen beschweren; eine Beschwerde wird innerhalb \
             von 30 Tagen bestätigt. Sie können sich auch beim Information Commissioner’s Office (ico.org.uk), der \
             Datenschutzaufsichtsbehörde, beschweren und ein Gericht anrufen. {authority}"
        }
        (Law::UkGdpr, Language::French) => {
            "Vous pouvez adresser une réclamation au responsable à l’adresse indiquée sous « Contact » ; il en accuse réception \
             dans les 30 jours. Vous pouvez aussi introduire une réclamation auprès de l’Information Commissioner’s Office \
             (ico.org.uk), l’autorité de protection des données, et saisir un tribunal. {authority}"
        }
        (Law::UkGdpr, Language::Italian) => {
            "Può presentare un reclamo al titolare all’indirizzo indicato sotto «Contatto»; la ricezione è confermata entro 30 \
             giorni. Può anche presentare reclamo all’Information Commissioner’s Office (ico.org.uk), l’autorità di protezione \
             dei dati, e rivolgersi a un giudice. {authority}"
        }
        (Law::UkGdpr, Language::Spanish) => {
            "Puede presentar una reclamación al responsable en la dirección indicada en «Contacto»; se confirma en un plazo de \
             30 días. También puede reclamar ante la Information Commissioner’s Office (ico.org.uk), la autoridad de protección \
             de datos, y acudir a un tribunal. {authority}"
        }
        (Law::UnitedStates, Language::English) => {
            "You can turn to the Attorney General of your state and, in California, also to the California Privacy Protection \
             Agency (cppa.ca.gov). You are not treated worse because you made a request. {authority}"
        }
        (Law::UnitedStates, Language::German) => {
            "Sie können sich an den Attorney General Ihres Bundesstaates wenden, in Kalifornien auch an die California Privacy \
             Protection Agency (cppa.ca.gov). Wegen einer Anfrage werden Sie nicht schlechter behandelt. {authority}"
        }
        (Law::UnitedStates, Language::French) => {
            "Vous pouvez vous adresser à l’Attorney General de votre État et, en Californie, aussi à la California Privacy \
             Protection Agency (cppa.ca.gov). Une demande ne vous vaut aucun désavantage. {authority}"
        }
        (Law::UnitedStates, Language::Italian) => {
            "Può rivolgersi all’Attorney General del Suo Stato e, in California, anche alla California Privacy Protection Agency \
             (cppa.ca.gov). Una richiesta non Le porta alcuno svantaggio. {authority}"
        }
        (Law::UnitedStates, Language::Spanish) => {
            "Puede dirigirse al Attorney General de su estado y, en California, también a la California Privacy Protection \
             Agency (cppa.ca.gov). No se le trata peor por haber hecho una solicitud. {authority}"
        }
        (Law::Switzerland, Language::English) => {
            "You can turn to the data protection authority, the Federal Data Protection and Information Commissioner, \
             Feldeggweg 1, 3003 Berne, and to a court. {authority}"
        }
        (Law::Switzerland, Language::German) => {
            "Sie können sich an die Datenschutzaufsicht, den Eidgenössischen Datenschutz- und Öffentlichkeitsbeauftragten, \
             Feldeggweg 1, 3003 Bern, wenden und ein Gericht anrufen. {authority}"
        }
        (Law::Switzerland, Language::French) => {
            "Vous pouvez vous adresser à l’autorité de protection des données, le Préposé fédéral à la protection des données et \
             à la transparence, Feldeggweg 1, 3003 Berne, et saisir un tribunal. {authority}"
        }
        (Law::Switzerland, Language::Italian) => {
            "Può rivolgersi all’autorità di protezione dei dati, l’Incaricato federale della protezione dei dati e della \
             trasparenza, Feldeggweg 1, 3003 Berna, e a un giudice. {authority}"
        }
        (Law::Switzerland, Language::Spanish) => {
            "Puede dirigirse a la autoridad de protección de datos, el Encargado federal de protección de datos y transparencia, \
             Feldeggweg 1, 3003 Berna, y acudir a un tribunal. {authority}"
        }
        (Law::Brazil, Language::English) => {
            "You can turn to the data protection authority, the Autoridade Nacional de Proteção de Dados (ANPD), and to a court. \
             {authority}"
        }
        (Law::Brazil, Language::German) => {
            "Sie können sich an die Datenschutzaufsichtsbehörde, die Autoridade Nacional de Proteção de Dados (ANPD), wenden und \
             ein Gericht anrufen. {authority}"
        }
        (Law::Brazil, Language::French) => {
            "Vous pouvez vous adresser à l’autorité de protection des données, l’Autoridade Nacional de Proteção de Dados \
             (ANPD), et saisir un tribunal. {authority}"
        }
        (Law::Brazil, Language::Italian) => {
            "Può rivolgersi all’autorità di protezione dei dati, l’Autoridade Nacional de Proteção de Dados (ANPD), e a un \
             giudice. {authority}"
        }
        (Law::Brazil, Language::Spanish) => {
            "Puede dirigirse a la autoridad de protección de datos, la Autoridade Nacional de Proteção de Dados (ANPD), y acudir \
             a un tribunal. {authority}"
        }
    })
}
