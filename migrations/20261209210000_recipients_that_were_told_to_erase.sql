-- Who was told to erase a contact is not asked to use it again when a restriction of it ends later, however late: the case names the
-- contact for some weeks only (R-42, R-57).

ALTER TABLE dsrd.recipient_task
  ADD COLUMN object_ref bytea,
  ADD CONSTRAINT recipient_task_object_ref_is_one CHECK (length(object_ref) = 16) NOT VALID;
ALTER TABLE dsrd.recipient_task VALIDATE CONSTRAINT recipient_task_object_ref_is_one;
COMMENT ON COLUMN dsrd.recipient_task.object_ref IS
  'For erase: the keyed pseudonym of the platform''s id of the contact, as in dsrd.hold_subject. Stays as long as the row. Empty for one of an earlier program.';
