//! What is said only where it is true, in every language.

use dsrd::delivery::{Facts, NoticeKind, Sender};
use dsrd::domain::{Follows, FollowsBecause, Reference, RequestId, RequestKind};

use crate::texts::{seen, squeezed};
use crate::world::{World, facts_for};

/// A notice as it reads in a language: with its subject, as text and as a page.
async fn read(language: &str, kind: NoticeKind, facts: Facts) -> [String; 2] {
    read_under("EU", language, kind, facts).await
}

/// The same under a regime.
async fn read_under(regime: &str, language: &str, kind: NoticeKind, facts: Facts) -> [String; 2] {
    let mut world = World::new().await;
    world.controller.regime = regime.parse().unwrap();
    let request = world.request().await;
    world.enqueue_in(language, request, kind, Sender::Procedure, facts).await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    mailer.deliver(world.organisation(), request, kind).await.unwrap();
    let sent = memory.sent().remove(0);
    [squeezed(sent.text.expose()), seen(sent.html.expose())].map(|form| format!("{} {form}", sent.subject))
}

#[tokio::test]
async fn where_not_all_marketing_is_off_nobody_reads_that_it_is() {
    for (language, marketing, rest, sale) in [
        ("en", "no more marketing", "not named above stays as it was", "not to sell or share"),
        ("de", "keine Werbung mehr", "oben nicht genannt ist, bleibt", "weder verkauft noch weitergegeben"),
        ("fr", "plus de publicité", "pas indiqué ci-dessus reste", "ni vendues ni partagées"),
        ("it", "più pubblicità", "non è indicato sopra resta", "né venduti né condivisi"),
        ("es", "más publicidad", "no se indica arriba queda", "no deben venderse ni cederse"),
    ] {
        let kind = NoticeKind::OptOutDone;
        for form in read(language, kind, facts_for(kind)).await {
            assert!(form.contains(marketing) && !form.contains(rest), "{language}: {form}");
        }
        for asked in [RequestKind::OptOut, RequestKind::ConsentWithdrawal, RequestKind::CcpaOptOut] {
            let mut facts = facts_for(kind);
            facts.request_kind = asked;
            facts.named_only = true;
            facts.policies = vec!["customs.newsletter".to_owned()];
            for form in read(language, kind, facts).await {
                assert!(form.contains(rest) && form.contains("newsletter"), "{language}: {form}");
                assert!(!form.contains("customs."), "{language}: {form}");
                assert!(!form.contains(marketing), "{language} {asked}: {form}");
                assert_eq!(form.contains(sale), asked == RequestKind::CcpaOptOut, "{language}: {form}");
            }
        }
    }
}

#[tokio::test]
async fn what_follows_by_itself_names_the_request_that_the_person_made() {
    let first = RequestId("0195d3e0-0000-7000-8000-00000000abcd".parse().unwrap());
    let known = Reference::of(first);
    for (language, day, received, asked) in [
        ("en", "3 May 2026", "23 November 2026", "in your name"),
        ("de", "3. Mai 2026", "23. November 2026", "in Ihrem Namen"),
        ("fr", "3 mai 2026", "23 novembre 2026", "en votre nom"),
        ("it", "3 maggio 2026", "23 novembre 2026", "a Suo nome"),
        ("es", "3 de mayo de 2026", "23 de noviembre de 2026", "en su nombre"),
    ] {
        for kind in [NoticeKind::IdentityRequest, NoticeKind::ErasureDone, NoticeKind::OptOutDone] {
            for because in FollowsBecause::ALL {
                let mut facts = facts_for(kind);
                let received_on = "2026-05-03".parse().unwrap();
                facts.follows = Some(Follows { request: first, received_on, because: *because });
                for form in read(language, kind, facts).await {
                    // In the sentence that begins it, and beside what was asked.
                    assert_eq!(
                        form.matches(known.as_str()).count(),
                        2,
                        "{language} {kind} {because}: {form}"
                    );
                    assert!(form.contains(day), "{language} {kind} {because}: {form}");
                    assert!(!form.contains(received) && !form.contains(asked), "{language} {kind}: {form}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_package_in_which_something_is_missing_is_not_called_everything() {
    for (language, everything, missing, court) in [
        ("en", "put together everything", "is missing: the file says where", "Go to court."),
        ("de", "haben alles zusammengestellt", "und fehlt: die Datei sagt, wo", "Rufen Sie ein Gericht an."),
        ("fr", "avons réuni tout ce que", "manque : le fichier dit où", "Saisissez un tribunal."),
        ("it", "raccolto tutto ciò", "e manca: il file dice dove", "Si rivolga a un giudice."),
        ("es", "reunido todo lo que", "y falta: el archivo indica dónde", "Acuda a un tribunal."),
    ] {
        for kind in [NoticeKind::AccessReady, NoticeKind::PortabilityReady] {
            for incomplete in [false, true] {
                let mut facts = facts_for(kind);
                facts.incomplete = incomplete;
                for form in read(language, kind, facts).await.map(|form| form.replace('\u{a0}', " ")) {
                    let all = kind == NoticeKind::AccessReady && !incomplete;
                    assert_eq!(form.contains(everything), all, "{language} {kind}: {form}");
                    assert_eq!(form.contains(missing), incomplete, "{language} {kind}: {form}");
                    assert_eq!(form.contains(court), incomplete, "{language} {kind}: {form}");
                }
            }
        }
    }
}

#[tokio::test]
async fn r_27_only_a_package_that_explains_the_use_of_the_data_is_said_to() {
    for (language, explains, limits) in [
        ("en", "explains what we use the data for", "the file says what may be missing."),
        ("de", "steht auch, wozu, auf welcher Grundlage", "die Datei sagt, was darin fehlen kann."),
        ("fr", "explique aussi à quoi servent les données", "le fichier dit ce qui peut y manquer."),
        ("it", "spiega anche a che cosa servono i dati", "il file dice che cosa può mancarvi."),
        ("es", "explica para qué usamos los datos", "el archivo indica lo que puede faltar en él."),
    ] {
        for kind in [NoticeKind::AccessReady, NoticeKind::PortabilityReady] {
            for explained in [false, true] {
                let mut facts = facts_for(kind);
                facts.explained = explained;
                for form in read(language, kind, facts).await {
                    let is_said = kind == NoticeKind::AccessReady && explained;
                    assert_eq!(form.contains(explains), is_said, "{language} {kind}: {form}");
                    // What the platform keeps to itself is in no package.
                    let is_access = kind == NoticeKind::AccessReady;
                    assert_eq!(form.contains(limits), is_access, "{language} {kind}: {form}");
                }
            }
        }
    }
}

#[tokio::test]
async fn r_65_under_a_hold_marketing_is_said_to_be_off_only_where_it_is() {
    for (language, off, fingerprint) in [
        ("en", "Marketing to you is switched off.", "A fingerprint of your contact details"),
        ("de", "Werbung an Sie ist abgeschaltet.", "geschützter Fingerabdruck"),
        ("fr", "La prospection qui vous est adressée est désactivée.", "Une empreinte de vos coordonnées"),
        (
            "it",
            "Le comunicazioni di marketing a Lei rivolte sono disattivate.",
            "Un’impronta dei Suoi recapiti",
        ),
        ("es", "La publicidad que se le envía está desactivada.", "Una huella de sus datos de contacto"),
    ] {
        let kind = NoticeKind::ErasurePartlyDone;
        for done in [false, true] {
            let mut facts = facts_for(kind);
            (facts.nothing_erased, facts.marketing_off, facts.suppressed) = (true, done, done);
            for form in read(language, kind, facts).await {
                assert_eq!(form.contains(off), done, "{language}: {form}");
                assert_eq!(form.contains(fingerprint), done, "{language}: {form}");
            }
        }
    }
}

#[tokio::test]
async fn r_57_who_takes_an_objection_back_is_told_that_the_restriction_stands_where_it_does() {
    for (language, stands) in [
        ("en", "The use of your data stays restricted"),
        ("de", "Die Verarbeitung Ihrer Daten bleibt eingeschränkt"),
        ("fr", "L’utilisation de vos données reste limitée"),
        ("it", "Il trattamento dei Suoi dati resta limitato"),
        ("es", "El tratamiento de sus datos sigue limitado"),
    ] {
        for restricted in [false, true] {
            let mut facts = facts_for(NoticeKind::Withdrawn);
            facts.restricted = restricted;
            for form in read(language, NoticeKind::Withdrawn, facts).await {
                assert_eq!(form.contains(stands), restricted, "{language}: {form}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_told_that_we_deleted_what_was_gone_already() {
    for (language, ours, gone) in [
        ("en", "We deleted your contact", "it was gone already"),
        ("de", "Wir haben Ihren Kontakt in unserer Kontaktplattform gelöscht", "war er schon nicht mehr da"),
        ("fr", "Nous avons supprimé votre contact", "il n’y était déjà plus"),
        ("it", "Abbiamo eliminato il Suo contatto", "non c’era già più"),
        ("es", "Hemos eliminado su contacto", "ya no estaba."),
    ] {
        let kind = NoticeKind::ErasureDone;
        for was_gone in [false, true] {
            let mut facts = facts_for(kind);
            facts.was_gone = was_gone;
            for form in read(language, kind, facts).await {
                assert_eq!(form.contains(ours), !was_gone, "{language}: {form}");
                assert_eq!(form.contains(gone), was_gone, "{language}: {form}");
            }
        }
    }
}

#[tokio::test]
async fn an_opt_out_of_less_than_all_marketing_is_called_what_it_is() {
    for (language, marketing, only) in [
        ("en", "no more marketing", "an end to: Marketing by e-mail, newsletter"),
        ("de", "das Ende aller Werbung", "das Ende von: Werbung per E-Mail, newsletter"),
        ("fr", "la fin de toute publicité", "la fin de : Publicité par e-mail, newsletter"),
        ("it", "la fine di ogni pubblicità", "la fine di: Pubblicità via e-mail, newsletter"),
        ("es", "el fin de toda publicidad", "el fin de: Publicidad por correo electrónico, newsletter"),
    ] {
        for kind in [NoticeKind::Acknowledgement, NoticeKind::Withdrawn, NoticeKind::NoData] {
            for named_only in [false, true] {
                let mut facts = facts_for(kind);
                facts.request_kind = RequestKind::OptOut;
                facts.named_only = named_only;
                facts.policies = ["customs.emailMarketing", "customs.newsletter"].map(str::to_owned).to_vec();
                for form in read(language, kind, facts).await.map(|form| form.replace('\u{a0}', " ")) {
                    assert_eq!(form.contains(marketing), !named_only, "{language} {kind}: {form}");
                    assert_eq!(form.contains(only), named_only, "{language} {kind}: {form}");
                }
            }
        }
    }
}

#[tokio::test]
async fn r_88_whoever_gets_a_package_reads_the_further_rights_of_the_law_that_holds() {
    let regimes = ["EU", "UK", "US-CA", "US-CO", "CH", "BR"];
    // What only one law gives: the place of each is that of its law.
    let place = |regime: &str| match regime {
        "EU" | "UK" => 0,
        "CH" => 2,
        "BR" => 3,
        _ => 1,
    };
    for (language, rights) in [
        ("en", ["its use restricted", "not to sell it", "forbid its use", "made anonymous"]),
        ("de", ["einschränken lassen", "zu verkaufen", "Bekanntgabe an andere", "anonymisieren"]),
        (
            "fr",
            ["limiter l’utilisation", "interdire de les vendre", "communication à des tiers", "anonymiser"],
        ),
        ("it", ["limitarne il trattamento", "vietarci di venderli", "comunicazione a terzi", "anonimizzare"]),
        ("es", ["limite su tratamiento", "prohibirnos venderlos", "comunicación a terceros", "anonimicen"]),
    ] {
        for kind in [NoticeKind::AccessReady, NoticeKind::PortabilityReady] {
            for regime in regimes {
                for form in read_under(regime, language, kind, facts_for(kind)).await {
                    let given: Vec<usize> = (0..4).filter(|right| form.contains(rights[*right])).collect();
                    assert_eq!(given, [place(regime)], "{language} {kind} {regime}: {form}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_record_without_a_day_of_its_end_is_not_said_to_be_kept_as_the_law_wants() {
    for (language, settled) in [
        ("en", "until all of this is settled, and for a fixed time afterwards"),
        ("de", "bis dies alles erledigt ist, und danach noch für eine festgelegte Zeit"),
        ("fr", "jusqu’à ce que tout cela soit réglé, puis pendant une durée fixée d’avance"),
        ("it", "finché tutto ciò non è concluso, e poi per un periodo stabilito"),
        ("es", "hasta que todo esto esté resuelto y, después, durante un plazo fijado"),
    ] {
        let mut facts = facts_for(NoticeKind::RestrictionSet);
        facts.evidence_until = None;
        for form in read(language, NoticeKind::RestrictionSet, facts).await {
            assert!(form.contains(settled), "{language}: {form}");
        }
    }
}
