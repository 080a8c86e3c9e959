-- An extension counts when the person was told of it before the end of the first term. A notice that came back told them nothing (R-83):
-- one that is known to have come back, or was refused, counts by what was told by other means, if that was in time. What counted before its
-- notice came back stays: events are never changed, and staff is alerted until the person was told.

CREATE OR REPLACE FUNCTION dsrd.extension_was_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.decision
                 WHERE decision.organisation_id = NEW.organisation_id AND decision.decision_id = NEW.decision_id
                   AND decision.request_id = NEW.request_id AND decision.kind = 'extension'
                   AND decision.base_due_at = NEW.base_due_at)
     OR NOT EXISTS (SELECT FROM dsrd.notice
                    WHERE notice.organisation_id = NEW.organisation_id AND notice.notice_id = NEW.notice_id
                      AND notice.request_id = NEW.request_id AND notice.kind = 'extension'
                      AND CASE WHEN notice.state = 'sent' AND notice.bounced_at IS NULL
                               THEN notice.sent_at ELSE notice.made_good_at END = NEW.notified_at) THEN
    RAISE EXCEPTION 'an extension counts by the decision of a person and its notice in time only'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON COLUMN dsrd.extension.notified_at IS 'When the mail server took the notice of the extension; where that was refused or came back first, when it was recorded that the person was told by other means.';
