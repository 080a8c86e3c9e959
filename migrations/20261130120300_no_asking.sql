-- The day before which nobody may ask a person who opted out to change their mind (R-55; California Civil Code 1798.135(c)(4)).

ALTER TABLE dsrd.suppression
  ADD COLUMN do_not_ask_before date,
  ADD CONSTRAINT only_marketing_is_asked_for CHECK (purpose = 'marketing' OR do_not_ask_before IS NULL);
COMMENT ON COLUMN dsrd.suppression.do_not_ask_before IS 'Before this day nobody may ask the person to opt in again; empty where the law sets no such time.';
GRANT UPDATE (do_not_ask_before) ON dsrd.suppression TO dsrd_service;
