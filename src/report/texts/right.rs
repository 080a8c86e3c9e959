//! Which rights a person reads of, by law and language: those of the General Data Protection Regulation stand with the other texts of
//! a language; the laws that are no copy of it give others.

use super::policy::by_language;
use super::{Entry, Language};
use crate::domain::deadline::Law;

/// The rights under a law.
pub(in crate::report) fn of(language: Language, law: Law) -> Vec<Entry> {
    let [correct, erase, _, take_along, object, withdraw] = *language.texts().rights;
    let own = |words: [Entry; 5]| by_language(language, words);
    match law {
        Law::Gdpr | Law::UkGdpr => language.texts().rights.to_vec(),
        Law::UnitedStates => vec![correct, erase, own(COPY_TO_TAKE), own(NO_SALE)],
        Law::Switzerland => vec![correct, erase, own(FORBID), take_along, withdraw],
        Law::Brazil => vec![correct, erase, own(ANONYMISE), object, take_along, own(RECIPIENTS), withdraw],
    }
}

/// What can be received need not be handed on by the controller.
const COPY_TO_TAKE: [Entry; 5] = [
    ("Take along", "Receive your data in a form that you can take to others."),
    ("Mitnehmen", "Ihre Daten in einer Form erhalten, die Sie zu anderen mitnehmen können."),
    ("Emporter", "Recevoir vos données sous une forme que vous pouvez emporter ailleurs."),
    ("Portare con sé", "Ricevere i Suoi dati in una forma da portare ad altri."),
    ("Llevar consigo", "Recibir sus datos en una forma que pueda llevar a otros."),
];

const NO_SALE: [Entry; 5] = [
    ("No sale", "Forbid the controller to sell your data, or to share or use them for targeted advertising."),
    (
        "Verkauf untersagen",
        "Dem Verantwortlichen untersagen, Ihre Daten zu verkaufen oder für gezielte Werbung weiterzugeben oder zu verwenden.",
    ),
    (
        "Interdire la vente",
        "Interdire au responsable de vendre vos données, ou de les partager ou de les utiliser pour de la publicité ciblée.",
    ),
    (
        "Vietare la vendita",
        "Vietare al titolare di vendere i Suoi dati, o di condividerli o usarli per pubblicità mirata.",
    ),
    (
        "Prohibir la venta",
        "Prohibir al responsable vender sus datos, o cederlos o usarlos para publicidad dirigida.",
    ),
];

const FORBID: [Entry; 5] = [
    ("Forbid", "Forbid a use of your data, or their disclosure to others."),
    ("Verbieten", "Eine Bearbeitung Ihrer Daten oder ihre Bekanntgabe an andere verbieten."),
    ("Interdire", "Interdire un traitement de vos données, ou leur communication à des tiers."),
    ("Vietare", "Vietare un trattamento dei Suoi dati, o la loro comunicazione a terzi."),
    ("Prohibir", "Prohibir un tratamiento de sus datos, o su comunicación a terceros."),
];

const ANONYMISE: [Entry; 5] = [
    (
        "Make anonymous",
        "Have data that are unnecessary, excessive or unlawfully used made anonymous, blocked or deleted.",
    ),
    (
        "Anonymisieren",
        "Daten, die unnötig oder übermäßig sind oder unrechtmäßig verwendet werden, anonymisieren, sperren oder löschen lassen.",
    ),
    (
        "Anonymiser",
        "Faire anonymiser, bloquer ou effacer des données inutiles, excessives ou utilisées illicitement.",
    ),
    (
        "Anonimizzare",
        "Far anonimizzare, bloccare o cancellare dati superflui, eccessivi o usati illecitamente.",
    ),
    (
        "Anonimizar",
        "Hacer que se anonimicen, bloqueen o supriman datos innecesarios, excesivos o usados ilícitamente.",
    ),
];

const RECIPIENTS: [Entry; 5] = [
    ("Learn recipients", "Learn with whom your data were shared."),
    ("Empfänger erfahren", "Erfahren, mit wem Ihre Daten geteilt wurden."),
    ("Connaître les destinataires", "Savoir avec qui vos données ont été partagées."),
    ("Conoscere i destinatari", "Sapere con chi i Suoi dati sono stati condivisi."),
    ("Conocer a los destinatarios", "Saber con quién se compartieron sus datos."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_88_nobody_reads_of_a_right_that_the_law_does_not_give() {
        for language in Language::ALL {
            let rights = |law| of(language, law);
            let [_, _, restrict, _, object, withdraw] = *language.texts().rights;
            assert_eq!(rights(Law::Gdpr), rights(Law::UkGdpr));
            assert_eq!(rights(Law::Gdpr).len(), 6, "{language:?}");
            for law in [Law::UnitedStates, Law::Switzerland, Law::Brazil] {
                assert!(!rights(law).contains(&restrict), "{language:?} {law:?}");
                let names: std::collections::BTreeSet<_> =
                    rights(law).into_iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), rights(law).len(), "{language:?} {law:?}: each once");
            }
            assert!(!rights(Law::UnitedStates).iter().any(|right| [object, withdraw].contains(right)));
            assert!(
                !rights(Law::Switzerland).contains(&object) && rights(Law::Switzerland).contains(&withdraw)
            );
        }
    }
}
