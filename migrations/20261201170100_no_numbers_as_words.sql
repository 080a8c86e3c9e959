-- A word of an entry's detail may no longer be a telephone number in its normal form (+ and digits) or a hardware address. Mail
-- addresses never could be: the alphabet has no @. The rest of the function is as it was; entries from before are not looked at
-- again. Detail::word of src/audit/event.rs blanks such words, and long numbers, so that no entry of the service's own is refused.
DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

CREATE OR REPLACE FUNCTION audit.is_entry(entry bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  form CONSTANT text := convert_from(entry, 'UTF8');
  doc CONSTANT jsonb := form::jsonb;
  -- The spelling made of the parts. What is missing and needed makes all of it NULL.
  head CONSTANT text :=
    '{"action":"' || (doc ->> 'action') || '","actor":"' || (doc ->> 'actor')
    || '","at_us":' || (doc ->> 'at_us')::bigint
    || coalesce(',"build":"' || (doc ->> 'build') || '"', '')
    || coalesce(',"case":"' || (doc ->> 'case')::uuid || '"', '')
    || ',"detail":';
  tail CONSTANT text :=
    ',"id":"' || (doc ->> 'id')::uuid || '"'
    || coalesce(',"intent":"' || (doc ->> 'intent')::uuid || '"', '')
    || coalesce(',"n":' || (doc ->> 'n')::bigint, '')
    || coalesce(',"outcome":"' || (doc ->> 'outcome') || '"', '')
    || coalesce(',"policy":"' || (doc ->> 'policy') || '"', '')
    || coalesce(',"sealed_us":' || (doc ->> 'sealed_us')::bigint, '')
    || coalesce(',"subject_c":"' || (doc ->> 'subject_c') || '"', '')
    || coalesce(',"tenant":"' || (doc ->> 'tenant') || '"', '')
    || ',"v":' || (doc ->> 'v')::smallint
    || coalesce(',"w":"' || (doc ->> 'w') || '"', '')
    || '}';
  detail CONSTANT text := substr(form, length(head) + 1, greatest(0, length(form) - length(head) - length(tail)));
BEGIN
  RETURN (
    -- Nothing twice, nothing unknown, no white space.
    starts_with(form, head) AND right(form, length(tail)) = tail
    AND (doc ->> 'at_us')::bigint BETWEEN 0 AND 9007199254740991
    AND doc -> 'v' IN ('0', '1')
    AND length(doc ->> 'action') <= 122 AND (doc ->> 'action') ~ '^[a-z_]+(\.[a-z_]+)+$'
    AND length(doc ->> 'actor') <= 73
    AND ((doc ->> 'actor') ~ '^(process|schedule|producer):[A-Za-z0-9_.-]+$' OR (doc ->> 'actor') ~ '^person:[0-9a-f]{32}$')
    AND coalesce(length(doc ->> 'tenant') BETWEEN 1 AND 40
                 AND translate(doc ->> 'tenant', 'abcdefghijklmnopqrstuvwxyz0123456789-', '') = '', true)
    AND coalesce(length(doc ->> 'outcome') BETWEEN 1 AND 40
                 AND translate(doc ->> 'outcome', 'abcdefghijklmnopqrstuvwxyz_', '') = '', true)
    AND coalesce(length(doc ->> 'build') BETWEEN 1 AND 64 AND (doc ->> 'build') ~ '^[A-Za-z0-9.+-]+$', true)
    AND coalesce(length(doc ->> 'w') = 16 AND translate(doc ->> 'w', '0123456789abcdef', '') = '', true)
    AND coalesce((doc ->> 'n')::bigint BETWEEN 0 AND 9007199254740991, true)
    AND coalesce((doc ->> 'sealed_us')::bigint BETWEEN 0 AND 9007199254740991, true)
    AND coalesce((doc ->> 'policy') ~ '^[0-9a-f]{64}$', true)
    AND coalesce((doc ->> 'subject_c') ~ '^[0-9a-f]{64}$', true)
    AND (
      detail = '{}'
      OR (
        length(detail) <= 1000
        AND detail ~ '^\{("[a-z][a-z0-9_]*":("[A-Za-z0-9_.:/ +-]*"|-?[0-9]+|true|false),?)*\}$'
        -- Numbers that every reader of JSON can hold: fifteen digits.
        AND detail !~ '":-?[0-9]{16}'
        -- No word that is a hardware address or a telephone number in its normal form, and nothing else. Compared without a
        -- regular expression where that is possible: one more would cost a fifth of all this. Base64 may begin with +, too.
        AND detail NOT LIKE '%":"__:__:__:__:__:__"%' AND detail NOT LIKE '%":"__-__-__-__-__-__"%'
        AND (strpos(detail, '":"+') = 0 OR detail !~ '":"\+[0-9][0-9 ./-]{6,}"')
        -- No key twice, no second spelling of a number: those would make the parsed form shorter. It has a space after
        -- each colon and each comma, and words hold no comma.
        AND length((doc -> 'detail')::text)
          = length(detail) + 2 * (length(detail) - length(replace(detail, ',', ''))) + 1
      )
    )
  ) IS TRUE;
END
$$;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
