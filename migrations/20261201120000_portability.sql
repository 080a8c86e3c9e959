-- A request for portability ends by the package that the daemon built, as one for access does, or by what a person recorded
-- who carried it out. Its package is told of by a notice of its own.

CREATE OR REPLACE FUNCTION dsrd.notice_is_sound(r dsrd.notice) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  broken CONSTANT text := CASE
    WHEN NOT r.kind = ANY ('{acknowledgement,identity_request,clarification_request,extension,partial_answer,fee,not_identified,refused,access_ready,portability_ready,no_data,erasure_done,erasure_partly_done,restriction_set,restriction_lifting,opt_out_done,rectification_done,withdrawn,recipient_notice,breach_notice,complaint_received,answered}')
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

DROP TRIGGER request_answered_by_a_person ON dsrd.request;
CREATE TRIGGER request_answered_by_a_person BEFORE INSERT OR UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN (NEW.outcome IN ('fulfilled', 'partly_fulfilled', 'fulfilled_no_data')
        AND NEW.kind NOT IN ('access', 'erasure', 'opt_out', 'consent_withdrawal', 'ccpa_opt_out')
        -- Its package was built and its records counted, or nobody was found.
        AND NOT (NEW.kind = 'portability' AND NEW.verified_at IS NOT NULL))
  EXECUTE FUNCTION dsrd.answered_by_a_person();
