"""Validates JSON documents: schemas.py SCHEMAS NAME=FILE...

Each FILE must be valid under SCHEMAS/NAME.json. The schemas must be closed: a key or an element that a schema does not
describe makes a document invalid. Every schema must be used, but for the one with what the others have in common.
"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource


def is_closed(schema):
    """Whether each object and array in a schema allows only what the schema describes."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, dict):
        return True
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    needed = {"object": "additionalProperties", "array": "items"}
    for name in types:
        # A description may be the name of a property too, so only a schema that is an object or an array counts.
        if name in needed and schema.get(needed[name], True) is True:
            return False
    return all(map(is_closed, schema.values()))


schemas = {path.stem: json.loads(path.read_text()) for path in pathlib.Path(sys.argv[1]).glob("*.json")}
registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()])
for name, schema in schemas.items():
    Draft202012Validator.check_schema(schema)
    assert is_closed(schema), f"{name}.json allows what it does not describe"

used = {"common"}
for argument in sys.argv[2:]:
    name, file = argument.split("=", 1)
    used.add(name)
    document = json.loads(pathlib.Path(file).read_text())
    validator = Draft202012Validator(schemas[name], registry=registry)
    errors = [f"{file}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
    assert not errors, "\n".join(errors[:5])
    # The test itself: one more key is an error.
    sample = document if isinstance(document, dict) else document[0]
    sample["unheard-of"] = 0
    assert not validator.is_valid(document), f"{name}.json accepts a key that it does not describe"

assert used == schemas.keys(), f"not used: {schemas.keys() - used}"
