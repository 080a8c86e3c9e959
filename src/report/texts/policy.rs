//! What the consents and terms of a profile are called in plain words: those that every organisation has, and common opt-ins.

use super::Language;

/// The policy in plain words. The platform writes custom opt-ins behind a prefix that means nothing to people; of one that is not
/// known here the title stands, which the organisation gave it. `report.json` and the CSV file have it as it is stored.
pub(in crate::report) fn in_words(language: Language, stored: &str) -> &str {
    let prefixes = ["customs.", "customOptin."];
    let title = prefixes.into_iter().find_map(|prefix| stored.strip_prefix(prefix)).unwrap_or(stored);
    of(language, title).unwrap_or(title)
}

/// What stands for a language in a list by languages, in the order of [`Language::ALL`].
pub(super) fn by_language<T>(language: Language, words: [T; 5]) -> T {
    let [english, german, french, italian, spanish] = words;
    match language {
        Language::English => english,
        Language::German => german,
        Language::French => french,
        Language::Italian => italian,
        Language::Spanish => spanish,
    }
}

fn of(language: Language, title: &str) -> Option<&'static str> {
    // As in the mails, for those that these name.
    let words = match title {
        "privacy" => [
            "Privacy policy",
            "Datenschutzerklärung",
            "Politique de confidentialité",
            "Informativa sulla privacy",
            "Política de privacidad",
        ],
        "termsOfUse" => [
            "Terms of use",
            "Nutzungsbedingungen",
            "Conditions d’utilisation",
            "Condizioni d’uso",
            "Condiciones de uso",
        ],
        "ageVerification" => [
            "Confirmation of age",
            "Altersbestätigung",
            "Confirmation de l’âge",
            "Conferma dell’età",
            "Confirmación de la edad",
        ],
        "mktgCommunications" => [
            "Marketing messages",
            "Werbenachrichten",
            "Messages publicitaires",
            "Messaggi pubblicitari",
            "Mensajes publicitarios",
        ],
        "emailMarketing" => [
            "Marketing by e-mail",
            "Werbung per E-Mail",
            "Publicité par e-mail",
            "Pubblicità via e-mail",
            "Publicidad por correo electrónico",
        ],
        "smsMarketing" => [
            "Marketing by text message",
            "Werbung per SMS",
            "Publicité par SMS",
            "Pubblicità via SMS",
            "Publicidad por SMS",
        ],
        _ => return None,
    };
    Some(by_language(language, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opt_in_is_called_what_it_is_and_never_by_its_prefix() {
        for (stored, words) in [
            ("customs.emailMarketing", "Marketing by e-mail"),
            ("customOptin.smsMarketing", "Marketing by text message"),
            ("mktgCommunications", "Marketing messages"),
            ("customs.partner offers", "partner offers"),
            ("survey.v2 2024", "survey.v2 2024"),
        ] {
            assert_eq!(in_words(Language::English, stored), words);
        }
        assert_eq!(in_words(Language::German, "customs.emailMarketing"), "Werbung per E-Mail");
    }
}
