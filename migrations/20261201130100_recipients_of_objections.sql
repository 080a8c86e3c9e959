-- Recipients are told of the restriction that stands while an objection is weighed (Art. 18(1)(d), 19 GDPR; R-57, R-42).

ALTER TABLE dsrd.hold
  ADD COLUMN recipients_noted_at timestamptz,
  ADD CONSTRAINT recipients_hear_of_restrictions CHECK (recipients_noted_at IS NULL OR kind = 'restriction');
COMMENT ON COLUMN dsrd.hold.recipients_noted_at IS 'For the restriction of an objection: when the tasks of telling recipients were written (dsrd.recipient_task).';
CREATE INDEX hold_recipients_to_be_told ON dsrd.hold (organisation_id)
  WHERE kind = 'restriction' AND ended_at IS NULL AND recipients_noted_at IS NULL;
GRANT UPDATE (recipients_noted_at) ON dsrd.hold TO dsrd_service;
