-- A mail that the server took may come back later. Then the person was not told, whatever the case says (R-83).

ALTER TABLE dsrd.notice
  ADD COLUMN bounced_at timestamptz,
  ADD COLUMN made_good_at timestamptz,
  ADD CONSTRAINT only_sent_notices_bounce CHECK (bounced_at IS NULL OR state = 'sent') NOT VALID,
  ADD CONSTRAINT only_failures_are_made_good CHECK (
    made_good_at IS NULL OR bounced_at IS NOT NULL OR state = 'refused') NOT VALID;
ALTER TABLE dsrd.notice VALIDATE CONSTRAINT only_sent_notices_bounce;
ALTER TABLE dsrd.notice VALIDATE CONSTRAINT only_failures_are_made_good;
CREATE INDEX notice_bounced ON dsrd.notice (organisation_id, request_id)
  WHERE bounced_at IS NOT NULL AND made_good_at IS NULL;
CREATE INDEX notice_refused ON dsrd.notice (organisation_id, request_id)
  WHERE state = 'refused' AND made_good_at IS NULL;
COMMENT ON COLUMN dsrd.notice.bounced_at IS 'When it was reported that the mail came back after the server had taken it; the person was not told by it.';
COMMENT ON COLUMN dsrd.notice.made_good_at IS 'When it was recorded that the person was told by other means.';
COMMENT ON COLUMN dsrd.notice.language IS 'The language wished for; the one written in stands in the name of the template.';
COMMENT ON COLUMN dsrd.notice.text_sha256 IS 'SHA-256 of the text sent, without the secret of the link and without the controller''s own words.';
COMMENT ON COLUMN dsrd.notice.sealed_words IS 'What the controller says itself (a question, the facts of a refusal, what was done), encrypted for its row.';
