-- Which ground of Art. 17(1) GDPR an erasure has, and to which categories of data it applies (R-38). The rules of a request are
-- the former ones with those of the new columns.

ALTER TABLE dsrd.intake ADD COLUMN ground text;
COMMENT ON COLUMN dsrd.intake.ground IS 'For erasure, optional: no_longer_needed, consent_withdrawn, objection, unlawful, legal_obligation or child (Art. 17(1)(a) to (f) GDPR).';
GRANT INSERT (ground) ON dsrd.intake TO dsrd_producer;

ALTER TABLE dsrd.request
  ADD COLUMN erasure_ground text,
  ADD COLUMN erasure_categories text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN dsrd.request.erasure_ground IS 'For an erasure: the ground of Art. 17(1) GDPR, as stated at its receipt or as the controller''s configuration says; none where neither does.';
COMMENT ON COLUMN dsrd.request.erasure_categories IS 'The categories of data to which that ground applies, by the legal bases that were configured at its receipt.';

CREATE OR REPLACE FUNCTION dsrd.request_is_sound(r dsrd.request) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  broken CONSTANT text := CASE
    -- Words, as in src/domain.
    WHEN NOT r.kind = ANY ('{access,erasure,opt_out,rectification,restriction,portability,objection,consent_withdrawal,automated_decision,complaint,ccpa_opt_out,other}')
      THEN 'request_kind_check'
    WHEN NOT r.origin = ANY ('{subject,retention}') THEN 'request_origin_check'
    WHEN NOT r.channel = ANY ('{web,email,letter,phone,in_person,api,retention}') THEN 'request_channel_check'
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
    WHEN NOT (r.origin = 'subject' OR r.contact_forgotten_at IS NOT NULL
              OR (r.contact_id IS NOT NULL AND r.created_before IS NOT NULL))
      THEN 'retention_names_its_contact'
  END;
BEGIN
  RETURN broken IS NULL OR dsrd.broken_rule('request', broken);
END
$$;

CREATE OR REPLACE VIEW audit_view.request AS
  SELECT organisation_id, request_id AS case_id, reference, kind, origin, channel, received_at, due_on, state,
         park_reason, outcome, executed_at, verified_at, informed_at, closed_at, erasure_ground, erasure_categories
  FROM dsrd.request;
