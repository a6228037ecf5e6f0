"""Holds records against the schema: validate_record.py SCHEMA RECORD...; prints a line for each, empty where it is valid."""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as schema_file:
    schema = json.load(schema_file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as record_file:
        errors = list(validator.iter_errors(json.load(record_file)))
    print("; ".join(f"{'/'.join(map(str, error.absolute_path))} {error.message[:200]!r}" for error in errors[:5]))
