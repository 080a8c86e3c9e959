-- One message may ask for several rights (R-10): one request each, with one key and one date of receipt. A reminder of an
-- open request (R-12) is a request of its own that ends at once; the first goes on with its first date.

ALTER TABLE dsrd.intake ADD COLUMN kinds text[];
COMMENT ON COLUMN dsrd.intake.kinds IS 'Instead of kind, or beside it: several rights asked for in one message, for example {access,erasure}.';
GRANT INSERT (kinds) ON dsrd.intake TO dsrd_producer;

ALTER TABLE dsrd.request
  ADD COLUMN sibling_no smallint NOT NULL DEFAULT 0 CHECK (sibling_no BETWEEN 0 AND 20),
  ADD COLUMN reminds_of uuid,
  DROP CONSTRAINT request_organisation_id_producer_idempotency_key_key,
  ADD CONSTRAINT request_once_per_key UNIQUE (organisation_id, producer, idempotency_key, sibling_no),
  ADD CONSTRAINT a_reminder_is_superseded CHECK ((outcome IS NOT DISTINCT FROM 'superseded') = (reminds_of IS NOT NULL));
CREATE INDEX request_reminders ON dsrd.request (organisation_id, reminds_of) WHERE reminds_of IS NOT NULL;
COMMENT ON COLUMN dsrd.request.idempotency_key IS 'The producer''s own id of the message; requests of one message share it.';
COMMENT ON COLUMN dsrd.request.sibling_no IS 'Which of the requests of one message this is, in the order in which they are carried out, from 0.';
COMMENT ON COLUMN dsrd.request.reminds_of IS 'The open request of the same person and kind of which this one is a reminder.';

-- A reminder never becomes a case of its own later, and no case becomes a reminder.
CREATE FUNCTION dsrd.keep_reminder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a request is a reminder from its receipt on, or never' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER request_reminder_stays BEFORE UPDATE ON dsrd.request
  FOR EACH ROW WHEN (OLD.reminds_of IS DISTINCT FROM NEW.reminds_of) EXECUTE FUNCTION dsrd.keep_reminder();
