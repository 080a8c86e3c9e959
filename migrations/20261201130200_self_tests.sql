-- The daily self-test: an invented contact taken through its rights (R-85). Its requests have an origin and a channel of their
-- own; the rules of a request are the former ones with those words.

CREATE TABLE dsrd.self_test (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  run_on date NOT NULL,
  request_ids uuid[] NOT NULL,
  erases boolean NOT NULL,
  begun_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  settled_at timestamptz,
  passed boolean,
  findings text[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (organisation_id, run_on),
  CONSTRAINT judged_once CHECK ((settled_at IS NULL) = (passed IS NULL)),
  CONSTRAINT time_to_end CHECK (due_at > begun_at),
  CONSTRAINT findings_are_words CHECK (
    array_to_string(findings, ' ') ~ '^((access|erasure|opt_out):(passed|not_in_time|nobody_found|ended_otherwise|not_read_back|not_told|earlier_open)( |$))*$')
);
CREATE INDEX self_test_open ON dsrd.self_test (organisation_id) WHERE settled_at IS NULL;
COMMENT ON TABLE dsrd.self_test IS 'Runs of the daily self-test, one a day: an invented contact of the organisation taken through its rights.';
COMMENT ON COLUMN dsrd.self_test.run_on IS 'The day, in the controller''s time zone.';
COMMENT ON COLUMN dsrd.self_test.request_ids IS 'Its requests; empty where one of an earlier run was open still. Without a foreign key: they go on their own term.';
COMMENT ON COLUMN dsrd.self_test.erases IS 'Whether the settings let it delete the invented contact.';
COMMENT ON COLUMN dsrd.self_test.due_at IS 'By when every right must have been carried out, read back and told.';
COMMENT ON COLUMN dsrd.self_test.findings IS 'What became of each right: kind:finding (domain::SelfTestFinding).';
GRANT SELECT, INSERT, UPDATE (settled_at, passed, findings), DELETE ON dsrd.self_test TO dsrd_service;

CREATE OR REPLACE FUNCTION dsrd.request_is_sound(r dsrd.request) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  broken CONSTANT text := CASE
    -- Words, as in src/domain.
    WHEN NOT r.kind = ANY ('{access,erasure,opt_out,rectification,restriction,portability,objection,consent_withdrawal,automated_decision,complaint,ccpa_opt_out,other}')
      THEN 'request_kind_check'
    WHEN NOT r.origin = ANY ('{subject,retention,self_test}') THEN 'request_origin_check'
    WHEN NOT r.channel = ANY ('{web,email,letter,phone,in_person,api,retention,self_test}') THEN 'request_channel_check'
    WHEN NOT r.language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$' THEN 'request_language_check'
    WHEN NOT r.requester_role = ANY ('{self,agent,parent,heir,other}') THEN 'request_requester_role_check'
    WHEN NOT r.state = ANY ('{received,in_progress,needs_identity,needs_clarification,manual,closed}')
      THEN 'request_state_check'
    WHEN NOT r.outcome = ANY ('{fulfilled,fulfilled_no_data,partly_fulfilled,refused,not_identified,withdrawn,out_of_scope,superseded}')
      THEN 'request_outcome_check'
    WHEN NOT r.assurance = ANY ('{none,matched_data,agent_proof,verified_channel_loop,authenticated_session}')
      THEN 'request_assurance_check'
    WHEN NOT r.identity_doubt = ANY ('{no_proof,not_enough,too_old}') THEN 'request_identity_doubt_check'
    WHEN NOT r.erasure_ground = ANY ('{no_longer_needed,consent_withdrawn,objection,unlawful,legal_obligation,child}')
      THEN 'request_erasure_ground_check'
    WHEN NOT r.erasure_categories <@ '{profile,events,devices,accountings}' THEN 'request_erasure_categories_check'
    WHEN NOT (r.sibling_no >= 0 AND r.sibling_no <= 20) THEN 'request_sibling_no_check'
    -- How a request ends.
    WHEN NOT ((r.state = 'closed') = (r.outcome IS NOT NULL) AND (r.state = 'closed') = (r.closed_at IS NOT NULL))
      THEN 'closed_with_an_outcome'
    WHEN NOT (r.outcome IS NULL OR r.outcome = ANY ('{withdrawn,superseded}') OR r.origin = 'retention'
              OR r.informed_at IS NOT NULL)
      THEN 'closed_was_told'
    WHEN NOT (r.outcome IS NULL
              OR r.outcome = ANY ('{refused,not_identified,withdrawn,out_of_scope,superseded}')
              OR r.verified_at IS NOT NULL
              OR r.kind <> ALL ('{access,erasure,opt_out,consent_withdrawal,ccpa_opt_out}'))
      THEN 'fulfilled_was_read_back'
    WHEN NOT (r.kind <> ALL ('{opt_out,consent_withdrawal,ccpa_opt_out}') OR r.outcome IS DISTINCT FROM 'refused')
      THEN 'opt_out_is_never_refused'
    WHEN NOT ((NOT r.outcome IS DISTINCT FROM 'superseded') = (r.reminds_of IS NOT NULL))
      THEN 'a_reminder_is_superseded'
    -- Who waits for whom.
    WHEN NOT ((r.state = 'manual') = (r.park_reason IS NOT NULL)) THEN 'parked_with_a_reason'
    WHEN NOT ((r.assurance = 'none') = (r.assured_at IS NULL)) THEN 'proven_at_an_instant'
    WHEN NOT (r.kind <> ALL ('{opt_out,consent_withdrawal,ccpa_opt_out}')
              OR (r.state <> 'needs_identity' AND r.outcome IS DISTINCT FROM 'not_identified'))
      THEN 'an_opt_out_needs_no_identity'
    WHEN NOT ((r.state <> 'needs_identity' AND r.outcome IS DISTINCT FROM 'not_identified')
              OR (r.identity_doubt IS NOT NULL AND r.identity_wanted_at IS NOT NULL AND r.identity_until IS NOT NULL))
      THEN 'identity_is_wanted_with_an_end'
    WHEN NOT (r.statutory_due_on IS NULL OR r.due_on <= r.statutory_due_on) THEN 'conservative_is_never_later'
    -- Why it is erased.
    WHEN NOT (r.kind = 'erasure' OR r.erasure_ground IS NULL) THEN 'only_an_erasure_has_a_ground'
    WHEN NOT (r.erasure_ground IS NOT NULL OR r.erasure_categories = '{}') THEN 'categories_have_a_ground'
    -- What is forgotten, and what a sweep names.
    WHEN NOT (r.contact_forgotten_at IS NULL OR r.contact_id IS NULL) THEN 'a_forgotten_contact_is_not_named'
    WHEN NOT (r.state = 'closed' OR (r.identifiers_forgotten_at IS NULL AND r.contact_forgotten_at IS NULL))
      THEN 'only_closed_requests_are_forgotten'
    WHEN NOT (r.origin <> 'retention' OR r.contact_forgotten_at IS NOT NULL
              OR (r.contact_id IS NOT NULL AND r.created_before IS NOT NULL))
      THEN 'retention_names_its_contact'
    -- The one is known by the other, in the table as in the log.
    WHEN NOT ((r.origin = 'self_test') = (r.channel = 'self_test')) THEN 'a_self_test_has_its_channel'
  END;
BEGIN
  RETURN broken IS NULL OR dsrd.broken_rule('request', broken);
END
$$;

-- I-3, for an invented contact: who asks is known from the settings, and the run says whether it may be deleted.
CREATE OR REPLACE FUNCTION dsrd.deleted_for_somebody_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM dsrd.request
             WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
               AND origin <> 'retention' AND assurance = 'none'
               AND NOT (origin = 'self_test'
                        AND EXISTS (SELECT FROM dsrd.self_test AS run
                                    WHERE run.organisation_id = NEW.organisation_id AND run.erases
                                      AND NEW.request_id = ANY (run.request_ids))))
     -- One that had begun before there were proofs is brought to its end.
     AND NOT EXISTS (SELECT FROM dsrd.checkpoint
                     WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id AND step = NEW.step) THEN
    RAISE EXCEPTION 'a contact is deleted only when it is known who asks' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'recipient_overdue', 'came_back', 'flood',
             'sweep_missed', 'past_term', 'self_test_failed')) NOT VALID,
  DROP CONSTRAINT about_a_request,
  ADD CONSTRAINT about_a_request CHECK (
    (request_id IS NULL)
    = (rule IN ('platform_down', 'hold_review', 'came_back', 'flood', 'sweep_missed', 'past_term', 'self_test_failed'))) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
