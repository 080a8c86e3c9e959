"""Whether an entry is about somebody: python3 opening.py ENTRY.json ENTRY.tlog-proof < identifier, one line"""
import base64, hashlib, json, sys

entry = json.load(open(sys.argv[1]))
lines = [line for line in open(sys.argv[2]) if line.startswith("extra ")]
assert lines, "the receipt has no opening: the salts were erased before it was taken"
opening = json.loads(base64.b64decode(lines[0].split()[1]))["subject"]
identifier = sys.stdin.readline().strip().encode()
sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
all_of_them = sha(b"dsr-audit/subjects/v1\0", *sorted(bytes.fromhex(each["commitment"]) for each in opening))
assert all_of_them.hex() == entry["subject_c"], "the opening belongs to another entry"
mine = [each["kind"] for each in opening
        if sha(b"dsr-audit/subject/v1\0", bytes.fromhex(each["salt"]), identifier).hex() == each["commitment"]]
assert mine, "the request did not give this identifier (write it in its normal form)"
print(f"request {entry['case']} gave this {mine[0]}")
