-- What each column of the auditors' views means, where psql (\d+) and BI tools show it: the words of docs/auditor-guide.md.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

COMMENT ON COLUMN audit_view.log.seq IS 'Number, 1..n without gap: the order in which entries were sealed; within a case the order of the events.';
COMMENT ON COLUMN audit_view.log.at IS 'When it happened, by the clock of the service.';
COMMENT ON COLUMN audit_view.log.organisation_id IS 'For which organisation; empty for what concerns the log itself.';
COMMENT ON COLUMN audit_view.log.case_id IS 'The request; empty where there is none.';
COMMENT ON COLUMN audit_view.log.action IS 'What happened: a word of the table in docs/audit-log.md.';
COMMENT ON COLUMN audit_view.log.outcome IS 'How it ended, where the action is the end of an effect: done, absent, by_former_attempt, failed, outcome_unknown.';
COMMENT ON COLUMN audit_view.log.actor IS 'Who caused it: person:<login>, process:<part>, schedule:<name>, producer:<database role>.';
COMMENT ON COLUMN audit_view.log.intent IS 'Where an effect ends: uid of the entry that announced it.';
COMMENT ON COLUMN audit_view.log.uid IS 'Id of the entry.';
COMMENT ON COLUMN audit_view.log.detail IS 'Counts and short words, as JSON.';
COMMENT ON COLUMN audit_view.log.sealed_at IS 'When the entry got its number, by the database''s clock; not covered by the signature.';

COMMENT ON COLUMN audit_view.request.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit_view.request.case_id IS 'Id; joins with the log.';
COMMENT ON COLUMN audit_view.request.reference IS 'What the person was told, for example DSR-ABCD-2345.';
COMMENT ON COLUMN audit_view.request.kind IS 'What is asked for: access, erasure, opt_out, rectification, restriction, portability, objection, consent_withdrawal, automated_decision, complaint, ccpa_opt_out or other.';
COMMENT ON COLUMN audit_view.request.origin IS 'Subject: a person asked; retention: a retention sweep did; self_test: the daily self-test did, about a contact that is nobody (its entries: self_test.submitted, self_test.ended; channel is self_test, too).';
COMMENT ON COLUMN audit_view.request.channel IS 'How it came in.';
COMMENT ON COLUMN audit_view.request.received_at IS 'When it came in; the clock of the law starts here.';
COMMENT ON COLUMN audit_view.request.due_on IS 'Last day for the answer.';
COMMENT ON COLUMN audit_view.request.state IS 'Received, in_progress, manual (waits for a person) or closed.';
COMMENT ON COLUMN audit_view.request.park_reason IS 'Why it waits for a person.';
COMMENT ON COLUMN audit_view.request.outcome IS 'How it was closed.';
COMMENT ON COLUMN audit_view.request.executed_at IS 'When the effect was done.';
COMMENT ON COLUMN audit_view.request.verified_at IS 'When reading back confirmed it.';
COMMENT ON COLUMN audit_view.request.informed_at IS 'When the person was told.';
COMMENT ON COLUMN audit_view.request.closed_at IS 'When it was closed.';
COMMENT ON COLUMN audit_view.request.erasure_ground IS 'For an erasure: the ground of Art. 17(1) GDPR, as stated or as configured; empty where neither says one.';
COMMENT ON COLUMN audit_view.request.erasure_categories IS 'The categories of data to which that ground applies, by the legal bases that were configured when it came in.';

COMMENT ON COLUMN audit_view.notice.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit_view.notice.case_id IS 'The request.';
COMMENT ON COLUMN audit_view.notice.kind IS 'Which notice.';
COMMENT ON COLUMN audit_view.notice.message_id IS 'The Message-ID of the mail: it finds the mail in the log of the mail server.';
COMMENT ON COLUMN audit_view.notice.language IS 'Language of the text.';
COMMENT ON COLUMN audit_view.notice.state IS 'Whether it was sent.';
COMMENT ON COLUMN audit_view.notice.attempts IS 'How many times it was tried.';
COMMENT ON COLUMN audit_view.notice.last_code IS 'Last answer of the mail server.';
COMMENT ON COLUMN audit_view.notice.template IS 'Name and version of the text.';
COMMENT ON COLUMN audit_view.notice.text_sha256 IS 'Hash of what was sent.';
COMMENT ON COLUMN audit_view.notice.enqueued_at IS 'When it was put into the outbox.';
COMMENT ON COLUMN audit_view.notice.attempted_at IS 'When it was tried last.';
COMMENT ON COLUMN audit_view.notice.sent_at IS 'When the mail server took it.';

COMMENT ON COLUMN audit_view.decision.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit_view.decision.case_id IS 'The request.';
COMMENT ON COLUMN audit_view.decision.decision_id IS 'The decision.';
COMMENT ON COLUMN audit_view.decision.kind IS 'Choice: which of several contacts is meant; refusal: the request, or what is left of it, is not followed; answer: how a person carried it out; acceptance: whoever asks for the person may do so; extension: more time; clarification, fee: what the person was asked; partial_answer, breach_notice, restriction_end: what they were told.';
COMMENT ON COLUMN audit_view.decision.reason IS 'Of a choice: how the person was recognised; of a refusal or fee: the ground, RF-01 to RF-17; of an answer: the outcome; otherwise why.';
COMMENT ON COLUMN audit_view.decision.has_facts IS 'Whether the controller gave facts in support, which the person was told.';
COMMENT ON COLUMN audit_view.decision.decided_by IS 'Who decided: person: and the login.';
COMMENT ON COLUMN audit_view.decision.decided_at IS 'When.';

COMMENT ON COLUMN audit_view.recipient_task.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit_view.recipient_task.case_id IS 'The request.';
COMMENT ON COLUMN audit_view.recipient_task.task_id IS 'The task, which the recipient got, too.';
COMMENT ON COLUMN audit_view.recipient_task.recipient IS 'Short name of the recipient in the settings.';
COMMENT ON COLUMN audit_view.recipient_task.action IS 'Erase, rectify, restrict, or release: a restriction has ended.';
COMMENT ON COLUMN audit_view.recipient_task.categories IS 'The sections of data that it holds.';
COMMENT ON COLUMN audit_view.recipient_task.channel IS 'Mail, webhook, or person: by hand.';
COMMENT ON COLUMN audit_view.recipient_task.state IS 'Queued, sent, confirmed, impossible or disproportionate.';
COMMENT ON COLUMN audit_view.recipient_task.reason IS 'Why it was given up.';
COMMENT ON COLUMN audit_view.recipient_task.answer_by IS 'From the day after it the open task is an alert to staff.';
COMMENT ON COLUMN audit_view.recipient_task.attempts IS 'How often it was sent or tried.';
COMMENT ON COLUMN audit_view.recipient_task.last_code IS 'What the recipient''s server last answered, or why there was no answer.';
COMMENT ON COLUMN audit_view.recipient_task.template IS 'Of a mail: name, language and version of its text.';
COMMENT ON COLUMN audit_view.recipient_task.text_sha256 IS 'Of a mail: hash of its text without the object.';
COMMENT ON COLUMN audit_view.recipient_task.created_at IS 'When it was written, in the transaction of the proof or record of what was done.';
COMMENT ON COLUMN audit_view.recipient_task.sent_at IS 'When the recipient''s server took it.';
COMMENT ON COLUMN audit_view.recipient_task.ended_at IS 'When it was confirmed or given up.';
COMMENT ON COLUMN audit_view.recipient_task.alerted_at IS 'When the log first said that it is overdue.';

COMMENT ON COLUMN audit_view.open_intent.seq IS 'Number of the announcement.';
COMMENT ON COLUMN audit_view.open_intent.at IS 'When it was announced.';
COMMENT ON COLUMN audit_view.open_intent.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit_view.open_intent.case_id IS 'The request.';
COMMENT ON COLUMN audit_view.open_intent.action IS 'Which effect, for example deletion.began.';
COMMENT ON COLUMN audit_view.open_intent.actor IS 'Who caused it.';
COMMENT ON COLUMN audit_view.open_intent.uid IS 'Id of the announcement.';

COMMENT ON COLUMN audit_view.sweep.organisation_id IS 'For which organisation.';
COMMENT ON COLUMN audit_view.sweep.sweep_id IS 'Id.';
COMMENT ON COLUMN audit_view.sweep.scheduled_for IS 'For which instant it was due.';
COMMENT ON COLUMN audit_view.sweep.started_at IS 'When it began.';
COMMENT ON COLUMN audit_view.sweep.created_before IS 'Contacts created before this instant were candidates; where the period runs from the last activity, those of them that were not active since.';
COMMENT ON COLUMN audit_view.sweep.state IS 'How far it got.';
COMMENT ON COLUMN audit_view.sweep.reason IS 'Why it stopped, if it did.';
COMMENT ON COLUMN audit_view.sweep.contacts IS 'How many contacts were listed.';
COMMENT ON COLUMN audit_view.sweep.candidates IS 'How many were past their time.';
COMMENT ON COLUMN audit_view.sweep.unreadable IS 'How many had no readable date.';
COMMENT ON COLUMN audit_view.sweep.submitted IS 'For how many an erasure was handed in.';
COMMENT ON COLUMN audit_view.sweep.finished_at IS 'When it ended.';

COMMENT ON COLUMN audit_view.hold.hold_id IS 'The hold, as the entries log.hold_set and log.hold_lifted name it.';
COMMENT ON COLUMN audit_view.hold.reason IS 'Supervisory_authority, court_or_claim, internal_investigation or security_incident.';
COMMENT ON COLUMN audit_view.hold.set_at IS 'When it was set.';
COMMENT ON COLUMN audit_view.hold.set_by IS 'Who set it.';
COMMENT ON COLUMN audit_view.hold.review_on IS 'When somebody is to ask whether it is still needed.';
COMMENT ON COLUMN audit_view.hold.until_on IS 'Its last day (UTC); empty: until it is lifted.';
COMMENT ON COLUMN audit_view.hold.lifted_at IS 'When it was lifted; empty as long as it was not.';
COMMENT ON COLUMN audit_view.hold.lifted_by IS 'Who lifted it.';
COMMENT ON COLUMN audit_view.hold.in_force IS 'Whether it forbids pruning and erasing now.';

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
