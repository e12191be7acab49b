"""check-report.py SCHEMA REPORT...: exit status: how many of the reports do not keep the schema (their first faults are printed),
77 where python3-jsonschema (Debian) is not installed."""
import json
import sys

try:
    import jsonschema
    Validator = jsonschema.Draft202012Validator
except (ImportError, AttributeError) as error:
    print(f"python3-jsonschema: {error}")
    sys.exit(77)

with open(sys.argv[1], encoding="utf-8") as f:
    schema = json.load(f)
Validator.check_schema(schema)
faulty = 0
for name in sys.argv[2:]:
    with open(name, encoding="utf-8") as f:
        report = json.load(f)
    faults = list(Validator(schema).iter_errors(report))
    faulty += bool(faults)
    for fault in faults[:5]:
        print(f"{name}: {'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}")
sys.exit(faulty)
