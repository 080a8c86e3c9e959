-- The last lawful day beside the date to keep (R-4, R-15). Both follow from events (src/domain/deadline) and are never
-- edited by hand.
ALTER TABLE dsrd.request ADD COLUMN statutory_due_on date;
ALTER TABLE dsrd.request
  ADD CONSTRAINT conservative_is_never_later CHECK (statutory_due_on IS NULL OR due_on <= statutory_due_on);
COMMENT ON COLUMN dsrd.request.due_on IS 'Conservative due date in the controller''s time zone: the end of the term, not moved to a working day. Computed from events, never edited.';
COMMENT ON COLUMN dsrd.request.statutory_due_on IS 'The last lawful day, moved to a working day where the law does that; of several calendars the earliest. Nothing where no calendar is configured, or where it does not know the year.';
