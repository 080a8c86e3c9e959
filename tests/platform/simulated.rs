//! The client against the simulator's fault switches: what the scripted tests show piece by piece, on a platform that
//! keeps a state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use dsrd::domain::{ContactId, IdentifierKind, SubjectIdentifier};
use dsrd::platform::{
    ContactPlatform as _, Coverage, EffectAnswer, FilterTrust, Leave, PlatformError, Source, Urgency,
};
use dsrd_simulator::RateLimit;
use dsrd_simulator::{
    ContactSpec, Endpoint, Fault, FaultPlan, OrganisationHandle, Poison, Settings, Simulator,
};
use futures_util::StreamExt as _;

use crate::conformance::simulated;
use crate::support::{Client, drain, drain_records, email, id};

const PEOPLE: u32 = 120;

struct Rig {
    simulator: Simulator,
    organisation: OrganisationHandle,
    client: Client,
    known: ContactId,
}

async fn rig() -> Rig {
    let simulator = Simulator::start(Settings::with_contacts(PEOPLE)).await.unwrap();
    let organisation = simulator.organisation("main");
    let spec =
        ContactSpec::new().email("ada.canary@people.example").phone("+390612999777").events(50).devices(3);
    let known = id(&organisation.add_contact(spec));
    let client = simulated(&simulator, |settings| {
        settings.paging.page_size = 20;
        settings.limits.idle_timeout_secs = 0.5;
    });
    client.probe().await.unwrap();
    Rig { simulator, organisation, client, known }
}

fn later() -> chrono::DateTime<chrono::Utc> {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn once(fault: Fault, endpoint: Endpoint) -> FaultPlan {
    fault.on(endpoint).times(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_34_f_35_every_contact_is_listed_once_whatever_one_page_does() {
    let rig = rig().await;
    let everybody: BTreeSet<ContactId> = rig.organisation.contact_ids().iter().map(|cid| id(cid)).collect();
    for fault in [
        Fault::FailWithoutEffect,
        Fault::LoseAnswer,
        Fault::ResetBeforeEffect,
        Fault::ResetAfterEffect,
        Fault::NeverAnswer,
        Fault::HangAfterEffect,
        Fault::StalledBody { after: 300 },
        Fault::ResetAfterBytes(900),
        Fault::CutWithLength,
        Fault::CutChunked,
        Fault::CutAtValidJson,
        Fault::Status(500),
        Fault::Status(503),
        Fault::HtmlPage,
        Fault::EmptyBody,
        Fault::NoContent,
        Fault::NullBody,
        Fault::TokenExpired,
        Fault::ExpiryAs401,
        Fault::ScrollExpired,
        Fault::ShortPage,
        Fault::EmptyPage,
        Fault::SizeIgnored,
        Fault::DuplicateContacts,
        Fault::OverlappingPages,
        Fault::BareArray,
        Fault::EnvelopeKey("rows".to_owned()),
        Fault::NumbersAsStrings,
        Fault::BooleansAsStrings,
        Fault::NullsForMissing,
        Fault::ContentType("text/html".to_owned()),
    ] {
        // On the first page, and in the middle.
        for after in [0, 2] {
            rig.simulator.faults().clear();
            let hit = rig.simulator.faults().inject(once(fault.clone(), Endpoint::ListContacts).after(after));
            let listed = drain(rig.client.list_created_before(later())).await;
            let listed = listed.unwrap_or_else(|error| panic!("{fault:?} after {after}: {error}"));
            let ids: BTreeSet<ContactId> = listed.contacts.iter().map(|contact| contact.id.clone()).collect();
            assert_eq!(ids, everybody, "{fault:?} after {after}");
            assert_eq!(listed.contacts.len(), everybody.len(), "{fault:?} after {after}");
            assert_eq!(rig.simulator.faults().hits(hit), 1, "{fault:?} after {after}");
        }
    }
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_34_lies_about_paging_that_never_end_are_survived_or_loud() {
    let rig = rig().await;
    let everybody = rig.organisation.contact_ids().len();
    for fault in [
        Fault::SameScrollPage,
        Fault::ScrollExpired,
        Fault::NoScrollId,
        Fault::ShortPage,
        Fault::SizeIgnored,
        Fault::DuplicateContacts,
        Fault::OverlappingPages,
        Fault::BareArray,
        Fault::LiveScroll,
    ] {
        rig.simulator.faults().clear();
        rig.simulator.faults().inject(fault.clone().on(Endpoint::ListContacts));
        rig.simulator.journal().clear();
        let listed = drain(rig.client.list_created_before(later())).await;
        let calls = rig.simulator.journal().calls(Endpoint::ListContacts);
        assert!(calls <= 60, "{fault:?}: {calls} calls");
        match listed {
            Ok(listed) => assert_eq!(listed.contacts.len(), everybody, "{fault:?}"),
            Err(error) => {
                assert!(
                    matches!(
                        fault,
                        Fault::SameScrollPage | Fault::ScrollExpired | Fault::BareArray | Fault::EmptyPage
                    ),
                    "{fault:?}: {error}"
                );
            }
        }
    }
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_34_without_scroll_ids_a_capped_list_is_whole_and_one_with_local_dates_is_whole_or_loud() {
    let rig = rig().await;
    let everybody = rig.organisation.contact_ids().len();
    let list = async |faults: &[Fault]| {
        rig.simulator.faults().clear();
        for fault in faults {
            rig.simulator.faults().inject(fault.clone().on(Endpoint::ListContacts));
        }
        drain(rig.client.list_created_before(later())).await
    };
    let capped = list(&[Fault::NoScrollId, Fault::PageCap(13)]).await.unwrap();
    assert_eq!(capped.contacts.len(), everybody);
    for hours in [2, -7] {
        match list(&[Fault::NoScrollId, Fault::PageCap(13), Fault::LocalCreated(hours)]).await {
            Ok(listed) => assert_eq!(listed.contacts.len(), everybody, "{hours}"),
            Err(error) => assert!(matches!(error, PlatformError::Unreadable { .. }), "{hours}: {error}"),
        }
    }
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_8_s_24_one_hostile_record_never_hides_or_poisons_the_others() {
    let rig = rig().await;
    let everybody = rig.organisation.contact_ids().len();
    for poison in [
        Poison::Nul,
        Poison::LoneSurrogate,
        Poison::HugeExponent,
        Poison::FortyDigits,
        Poison::DeepNesting,
        Poison::DuplicateCid,
        Poison::InvalidUtf8,
        Poison::NotAnObject,
        Poison::WithoutId,
        Poison::Record("{\"cid\":}".to_owned()),
    ] {
        rig.simulator.faults().clear();
        rig.simulator
            .faults()
            .inject(once(Fault::Poison { poison: poison.clone(), position: 3 }, Endpoint::ListContacts));
        let listed = drain(rig.client.list_created_before(later()))
            .await
            .unwrap_or_else(|e| panic!("{poison:?}: {e}"));
        let all = listed.contacts.len() as u64 + listed.unreadable + listed.undated;
        assert_eq!(all, everybody as u64, "{poison:?}");
        assert!(listed.contacts.len() >= everybody - 1, "{poison:?}");
    }
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s_7_searches_on_a_platform_that_ignores_or_stretches_the_filter() {
    let rig = rig().await;
    let _stranger = rig.organisation.add_contact(ContactSpec::new().email("ada.canary2@people.example"));
    for fault in [
        Fault::FilterIgnored,
        Fault::PrefixMatch,
        Fault::CutAtValidJson,
        Fault::LoseAnswer,
        Fault::Status(502),
    ] {
        for permanent in [true, false] {
            if permanent && matches!(fault, Fault::LoseAnswer | Fault::Status(_) | Fault::CutAtValidJson) {
                continue;
            }
            rig.simulator.faults().clear();
            let plan = fault.clone().on(Endpoint::ListContacts);
            rig.simulator.faults().inject(if permanent { plan } else { plan.times(1) });
            let client = simulated(&rig.simulator, |settings| settings.paging.page_size = 20);
            let found = client.search(&email("ada.canary@people.example")).await;
            let found = found.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert_eq!(found.coverage, Coverage::Complete, "{fault:?}");
            assert_eq!(
                found.contacts.iter().map(|each| &each.id).collect::<Vec<_>>(),
                [&rig.known],
                "{fault:?}"
            );
            let nobody = client.search(&email("nobody.canary@people.example")).await.unwrap();
            assert!(nobody.contacts.is_empty() && nobody.coverage == Coverage::Complete, "{fault:?}");
        }
    }
    rig.simulator.faults().clear();
    rig.simulator.faults().inject(Fault::FilterIgnored.on(Endpoint::ListContacts));
    let strict = simulated(&rig.simulator, |settings| settings.full_scan = false);
    let found = strict.search(&email("nobody.canary@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (0, Coverage::FilterNotHonoured));
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_32_f_33_records_are_whole_or_an_error_whatever_happens_on_the_way() {
    let rig = rig().await;
    for fault in [
        Fault::FailWithoutEffect,
        Fault::LoseAnswer,
        Fault::ResetAfterBytes(700),
        Fault::CutWithLength,
        Fault::CutChunked,
        Fault::CutAtValidJson,
        Fault::StalledBody { after: 500 },
        Fault::Status(500),
        Fault::HtmlPage,
        Fault::EmptyBody,
        Fault::NullBody,
        Fault::UnrecognisedEnvelope,
        Fault::BareArray,
        Fault::EnvelopeKey("rows".to_owned()),
        Fault::FlatEvents,
        Fault::UnknownEventType,
    ] {
        rig.simulator.faults().clear();
        let hit = rig.simulator.faults().inject(once(fault.clone(), Endpoint::ContactEvents));
        let read = drain_records(&rig.client, &rig.known, Source::Events).await;
        let read = read.unwrap_or_else(|error| panic!("{fault:?}: {error}")).unwrap();
        assert_eq!((read.records.len(), read.unreadable), (50, 0), "{fault:?}");
        assert_eq!(rig.simulator.faults().hits(hit), 1, "{fault:?}");
    }
    // A cut that always comes is noticed by what the platform announces.
    rig.simulator.faults().clear();
    rig.simulator.faults().inject(Fault::CutAtValidJson.on(Endpoint::ContactEvents));
    match drain_records(&rig.client, &rig.known, Source::Events).await {
        Ok(Some(read)) => assert_eq!((read.records.len(), read.unreadable), (25, 25)),
        other => assert!(matches!(other, Err(PlatformError::Unavailable { .. })), "{other:?}"),
    }
    for wrong in [Fault::StatusKo, Fault::UnrecognisedEnvelope, Fault::HtmlPage, Fault::NoContent] {
        rig.simulator.faults().clear();
        rig.simulator.faults().inject(wrong.clone().on(Endpoint::ContactEvents));
        let error = drain_records(&rig.client, &rig.known, Source::Events).await.unwrap_err();
        assert!(
            matches!(error, PlatformError::Unreadable { .. } | PlatformError::Rejected { .. }),
            "{wrong:?}: {error}"
        );
    }
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_38_effects_that_happened_with_a_lost_answer_say_so_and_show_when_read_back() {
    for fault in [Fault::LoseAnswer, Fault::ResetAfterEffect, Fault::HangAfterEffect] {
        let rig = rig().await;
        rig.simulator.faults().inject(once(fault.clone(), Endpoint::UpdatePolicies));
        let error =
            rig.client.set_policy(&rig.known, "mktgCommunications", false, Leave::ALWAYS).await.unwrap_err();
        assert!(matches!(error, PlatformError::AnswerLost { .. }), "{fault:?}: {error}");
        let contact = rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap().unwrap();
        assert_eq!(contact.policies.get("mktgCommunications"), Some(&false));

        rig.simulator.faults().inject(once(fault.clone(), Endpoint::DeleteContact));
        let error = rig.client.delete_contact(&rig.known, Leave::ALWAYS).await.unwrap_err();
        assert!(matches!(error, PlatformError::AnswerLost { .. }), "{fault:?}: {error}");
        assert!(rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap().is_none());
        assert_eq!(rig.simulator.journal().calls(Endpoint::DeleteContact), 1, "{fault:?}");
        assert_eq!(rig.client.delete_contact(&rig.known, Leave::ALWAYS).await.unwrap(), EffectAnswer::Absent);
        rig.simulator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_39_f_43_soft_deletion_shows_as_a_mark_and_another_contact_as_unreadable() {
    let rig = rig().await;
    rig.simulator.faults().inject(once(Fault::SoftDelete, Endpoint::DeleteContact));
    assert_eq!(rig.client.delete_contact(&rig.known, Leave::ALWAYS).await.unwrap(), EffectAnswer::Accepted);
    assert!(rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap().unwrap().marked_deleted);
    rig.simulator.faults().inject(Fault::OtherContact.on(Endpoint::Contact));
    let error = rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unreadable { .. }), "{error}");
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_37_tokens_keys_and_scopes_lost_while_running_end_in_one_clear_error() {
    let rig = rig().await;
    rig.organisation.expire_tokens();
    rig.simulator.journal().clear();
    assert!(rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap().is_some());
    assert_eq!(rig.simulator.journal().calls(Endpoint::Login), 1);
    rig.organisation.set_scopes(["customer_read"]);
    let error = rig.client.delete_contact(&rig.known, Leave::ALWAYS).await.unwrap_err();
    assert!(matches!(error, PlatformError::Forbidden { .. }), "{error}");
    rig.organisation.revoke_key(true);
    rig.organisation.expire_tokens();
    let error = rig.client.find_contact(&rig.known, Urgency::Request).await.unwrap_err();
    assert!(matches!(error, PlatformError::BadCredentials { .. }), "{error}");
    assert!(rig.organisation.truth(rig.known.as_str()).unwrap().exists);
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_generated_spelling_of_a_phone_number_is_found_by_its_normal_form() {
    let rig = rig().await;
    let (mut found_any, mut with_zeros) = (0, 0);
    for cid in rig.organisation.contact_ids() {
        let held = rig.organisation.truth(&cid).unwrap().identifiers.phone;
        let Ok(phone) = SubjectIdentifier::parse(IdentifierKind::Phone, &held, Some("IT")) else { continue };
        // As the person writes it, and not as the platform holds it.
        let normal = phone.normalised().expose();
        let asked = SubjectIdentifier::parse(IdentifierKind::Phone, normal, None).unwrap();
        let found = rig.client.search(&asked).await.unwrap();
        assert_eq!(found.coverage, Coverage::Complete, "{held}");
        assert!(found.contacts.iter().any(|contact| contact.id.as_str() == cid), "{held}");
        found_any += 1;
        with_zeros += usize::from(held.starts_with("00"));
        if found_any == 25 {
            break;
        }
    }
    assert!(found_any > 10 && with_zeros > 1, "{found_any}, {with_zeros} of them with 00");
    let trust = rig.client.probe().await.unwrap().searches[&IdentifierKind::Phone];
    assert_eq!(
        trust,
        FilterTrust::Honoured,
        "nobody had to be read for that beside those who were asked for"
    );
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i_10_p_3_the_simulated_limit_is_nearly_used_up_and_never_exceeded() {
    let mut settings = Settings::with_contacts(10);
    // Calls drawn in time can arrive together when the host is busy: the platform's burst is wider than ours.
    settings.organisations[0].rate_limit = Some(RateLimit::new(50.0, 12.0));
    let simulator = Simulator::start(settings).await.unwrap();
    let organisation = simulator.organisation("main");
    let client = Arc::new(simulated(&simulator, |settings| {
        settings.rate.requests_per_second = 50.0;
        settings.rate.burst = 5;
        settings.rate.in_flight = 4;
    }));
    let contact = id(&organisation.contact_id(0).unwrap());
    let started = Instant::now();
    let workers: Vec<_> = (0..8)
        .map(|number| {
            let (client, contact) = (client.clone(), contact.clone());
            let urgency = if number % 2 == 0 { Urgency::Request } else { Urgency::Sweep };
            tokio::spawn(async move {
                for _ in 0..10 {
                    client.find_contact(&contact, urgency).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(simulator.journal().failures(Endpoint::Contact), 0, "a 429 came");
    // 81 calls with the log-in: 76 after the burst, at 50 a second.
    assert!((1.4..20.0).contains(&seconds), "{seconds} s");
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_30_bursts_of_server_errors_cost_few_extra_calls() {
    let rig = rig().await;
    for (per_thousand, most_calls, must_all_work) in [(10, 360, true), (300, 600, false)] {
        rig.simulator.faults().clear();
        rig.simulator.faults().inject(Fault::Status(503).on(Endpoint::Contact).share(per_thousand, 7));
        rig.simulator.journal().clear();
        let mut failed = 0;
        for _ in 0..300 {
            match rig.client.find_contact(&rig.known, Urgency::Request).await {
                Ok(found) => assert!(found.is_some()),
                Err(PlatformError::Unavailable { .. }) => failed += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let calls = rig.simulator.journal().calls(Endpoint::Contact);
        assert!(calls <= most_calls, "{per_thousand}: {calls} calls");
        assert!(if must_all_work { failed == 0 } else { failed < 15 }, "{per_thousand}: {failed} failed");
    }
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p_5_a_long_single_body_comes_in_small_batches_while_it_arrives() {
    let rig = rig().await;
    rig.simulator.faults().inject(Fault::RecordNumber(40_000).on(Endpoint::ContactEvents));
    let mut stream = rig.client.records(&rig.known, Source::Events, Urgency::Request).await.unwrap().unwrap();
    let (mut records, mut batches) = (0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        let bytes: usize = batch.records.iter().map(|record| record.expose().len()).sum();
        assert!(bytes < (1 << 20) + (128 << 10), "{bytes} bytes in one batch");
        records += batch.records.len();
        batches += 1;
    }
    assert_eq!(records, 40_000);
    assert!(batches > 10, "{batches}");
    drop(stream);
    rig.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_36_contacts_deleted_and_added_while_scrolling_do_not_disturb_the_list() {
    let rig = rig().await;
    let before = rig.organisation.contact_ids().len();
    for fault in [Fault::DeleteWhileScrolling(3), Fault::CreateWhileScrolling(3)] {
        rig.simulator.faults().clear();
        rig.simulator.faults().inject(once(fault.clone(), Endpoint::ListContacts).after(1));
        let listed = drain(rig.client.list_created_before(later())).await.unwrap();
        let ids: BTreeSet<ContactId> = listed.contacts.iter().map(|contact| contact.id.clone()).collect();
        assert_eq!(ids.len(), listed.contacts.len(), "{fault:?}");
        assert!(ids.len() >= before - 3, "{fault:?}");
        let mut gone = 0;
        for id in &ids {
            gone += usize::from(rig.client.find_contact(id, Urgency::Sweep).await.unwrap().is_none());
        }
        assert!(gone <= 3, "{fault:?}");
    }
    rig.simulator.shutdown().await;
}
