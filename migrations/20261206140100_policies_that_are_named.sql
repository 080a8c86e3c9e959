-- An opt-out that names no policies is carried out with those of the configuration as it is when the work goes on, so that one
-- that waits because of a misspelt name can be mended. Whether it named them is known from here on; of an older one that holds
-- any it is taken for granted, and it keeps them.

ALTER TABLE dsrd.request ADD COLUMN policies_named boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN dsrd.request.policies_named IS 'For an opt-out: whether the request itself names its policies; otherwise they are those of the configuration, read anew until the effect was read back.';
