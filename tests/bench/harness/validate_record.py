"""Holds a record against the schema: validate_record.py SCHEMA RECORD; exit 1 and the errors where it is not valid."""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as schema_file, open(sys.argv[2], encoding="utf-8") as record_file:
    schema = json.load(schema_file)
    record = json.load(record_file)
jsonschema.Draft202012Validator.check_schema(schema)
errors = list(jsonschema.Draft202012Validator(schema).iter_errors(record))
for error in errors[:5]:
    print("/".join(str(part) for part in error.absolute_path), error.message[:200])
sys.exit(1 if errors else 0)
