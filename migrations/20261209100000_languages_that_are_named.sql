-- Who names no language is written to in the one that their profile shows, once that was read. Whether a request named one is known
-- from here on; of an older one it is taken for granted, and it keeps its language.

ALTER TABLE dsrd.request ADD COLUMN language_named boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN dsrd.request.language_named IS 'Whether the request itself names its language; otherwise it is the controller''s, and what goes to the address in the profile is in the language that the profile shows, where there are texts in it.';
