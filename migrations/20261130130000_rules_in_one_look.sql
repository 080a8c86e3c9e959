-- The rules of the tables that every request writes several times, each table's in one function.
--
-- PostgreSQL reads the stored text of every CHECK constraint anew in every statement that writes a row. The rules of
-- `dsrd.request` alone are 20 kB of that text, and reading them took four times as long as the update itself. A
-- constraint that hands the whole row to one function is a few hundred bytes, and the function is prepared once a session.
-- The rules are the same, word for word, and a row that breaks one is refused under the same name as before.
--
-- A rule that follows from a new migration is added by replacing the function; a rule that is NULL is kept, as with CHECK.
-- Constraints of tables that are written seldom stay where they are.

-- Refuses a row, in the way of a CHECK constraint.
CREATE FUNCTION dsrd.broken_rule(relation text, rule text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  RAISE EXCEPTION 'new row for relation "%" violates check constraint "%"', relation, rule
    USING ERRCODE = 'check_violation', SCHEMA = 'dsrd', TABLE = relation, CONSTRAINT = rule;
END
$$;

CREATE FUNCTION dsrd.request_is_sound(r dsrd.request) RETURNS boolean
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

ALTER TABLE dsrd.request
  DROP CONSTRAINT a_forgotten_contact_is_not_named,
  DROP CONSTRAINT a_reminder_is_superseded,
  DROP CONSTRAINT an_opt_out_needs_no_identity,
  DROP CONSTRAINT closed_was_told,
  DROP CONSTRAINT closed_with_an_outcome,
  DROP CONSTRAINT conservative_is_never_later,
  DROP CONSTRAINT fulfilled_was_read_back,
  DROP CONSTRAINT identity_is_wanted_with_an_end,
  DROP CONSTRAINT only_closed_requests_are_forgotten,
  DROP CONSTRAINT opt_out_is_never_refused,
  DROP CONSTRAINT parked_with_a_reason,
  DROP CONSTRAINT proven_at_an_instant,
  DROP CONSTRAINT request_assurance_check,
  DROP CONSTRAINT request_channel_check,
  DROP CONSTRAINT request_identity_doubt_check,
  DROP CONSTRAINT request_kind_check,
  DROP CONSTRAINT request_language_check,
  DROP CONSTRAINT request_origin_check,
  DROP CONSTRAINT request_outcome_check,
  DROP CONSTRAINT request_requester_role_check,
  DROP CONSTRAINT request_sibling_no_check,
  DROP CONSTRAINT request_state_check,
  DROP CONSTRAINT retention_names_its_contact,
  ADD CONSTRAINT request_is_sound CHECK (dsrd.request_is_sound(request));

CREATE FUNCTION dsrd.notice_is_sound(r dsrd.notice) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  broken CONSTANT text := CASE
    WHEN NOT r.kind = ANY ('{acknowledgement,identity_request,clarification_request,extension,partial_answer,fee,not_identified,refused,access_ready,no_data,erasure_done,erasure_partly_done,restriction_set,restriction_lifting,opt_out_done,rectification_done,withdrawn,recipient_notice,breach_notice,complaint_received,answered}')
      THEN 'notice_kind_check'
    WHEN NOT r.sender = ANY ('{pump,procedure}') THEN 'notice_sender_check'
    WHEN NOT r.state = ANY ('{pending,sent,refused}') THEN 'notice_state_check'
    WHEN NOT (r.round >= 1 AND r.round <= 20) THEN 'notice_round_check'
    WHEN NOT ((r.state = 'sent') = (r.sent_at IS NOT NULL)) THEN 'sent_at_an_instant'
    WHEN NOT (r.bounced_at IS NULL OR r.state = 'sent') THEN 'only_sent_notices_bounce'
    WHEN NOT (r.made_good_at IS NULL OR r.bounced_at IS NOT NULL OR r.state = 'refused')
      THEN 'only_failures_are_made_good'
  END;
BEGIN
  RETURN broken IS NULL OR dsrd.broken_rule('notice', broken);
END
$$;

ALTER TABLE dsrd.notice
  DROP CONSTRAINT notice_kind_check,
  DROP CONSTRAINT notice_round_check,
  DROP CONSTRAINT notice_sender_check,
  DROP CONSTRAINT notice_state_check,
  DROP CONSTRAINT only_failures_are_made_good,
  DROP CONSTRAINT only_sent_notices_bounce,
  DROP CONSTRAINT sent_at_an_instant,
  ADD CONSTRAINT notice_is_sound CHECK (dsrd.notice_is_sound(notice));

CREATE FUNCTION dsrd.identifier_is_sound(r dsrd.identifier) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  broken CONSTANT text := CASE
    WHEN NOT r.kind = ANY ('{email,phone,username,external_id,external_property_1,external_property_2}')
      THEN 'identifier_kind_check'
    WHEN NOT r.role = ANY ('{given,found,contact_point}') THEN 'identifier_role_check'
    WHEN NOT length(r.subject_ref) = 16 THEN 'identifier_subject_ref_check'
  END;
BEGIN
  RETURN broken IS NULL OR dsrd.broken_rule('identifier', broken);
END
$$;

ALTER TABLE dsrd.identifier
  DROP CONSTRAINT identifier_kind_check,
  DROP CONSTRAINT identifier_role_check,
  DROP CONSTRAINT identifier_subject_ref_check,
  ADD CONSTRAINT identifier_is_sound CHECK (dsrd.identifier_is_sound(identifier));

CREATE FUNCTION dsrd.suppression_is_sound(r dsrd.suppression) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  broken CONSTANT text := CASE
    WHEN NOT r.purpose = ANY ('{re_creation,marketing}') THEN 'suppression_purpose_check'
    WHEN NOT r.kind = ANY ('{email,phone,username,external_id,external_property_1,external_property_2,contact}')
      THEN 'suppression_kind_check'
    WHEN NOT length(r.hash) = 32 THEN 'suppression_hash_check'
    WHEN NOT r.source = ANY ('{erasure,opt_out,replay,person}') THEN 'suppression_source_check'
    WHEN NOT r.jurisdiction ~ '^[A-Za-z-]{2,20}$' THEN 'suppression_jurisdiction_check'
  END;
BEGIN
  RETURN broken IS NULL OR dsrd.broken_rule('suppression', broken);
END
$$;

ALTER TABLE dsrd.suppression
  DROP CONSTRAINT suppression_hash_check,
  DROP CONSTRAINT suppression_jurisdiction_check,
  DROP CONSTRAINT suppression_kind_check,
  DROP CONSTRAINT suppression_purpose_check,
  DROP CONSTRAINT suppression_source_check,
  ADD CONSTRAINT suppression_is_sound CHECK (dsrd.suppression_is_sound(suppression));
