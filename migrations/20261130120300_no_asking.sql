-- The day before which nobody may ask a person who opted out to change their mind (R-55; California Civil Code 1798.135(c)(4)).

ALTER TABLE dsrd.suppression
  ADD COLUMN do_not_ask_before date;
COMMENT ON COLUMN dsrd.suppression.do_not_ask_before IS 'Before this day nobody may ask the person to opt in again; empty where the law sets no such time, and for other purposes than marketing.';
GRANT UPDATE (do_not_ask_before) ON dsrd.suppression TO dsrd_service;
