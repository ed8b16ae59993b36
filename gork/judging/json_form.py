"""Whether an answer has the JSON form that was asked for: free and certain, so it comes before every other judgement.

Engines keep to a form by a grammar, and not always: a grammar that an engine cannot make is passed over, an answer may be cut, a pattern
may let through what is no JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from gork.engines.call import Completion
from gork.engines.model import Model
from gork.errors import ModelError, WrongForm
from gork.turn import AnswerFormat, Question

_LONGEST = 200


def check_form(completion: Completion, question: Question, model: Model) -> None:
    """See that a candidate's answer counts. Raises a `ModelError` if there is none, or not in the form that was asked for."""
    if not completion.text.strip():
        raise ModelError("it answered nothing", member=model.name, where=model.where)
    cut_as_asked = completion.stop == "length" and "num_predict" in question.options
    if not cut_as_asked and (why := misfit(completion.text, question.answer_format)) is not None:
        raise WrongForm(f"its answer does not count: {why}", member=model.name, where=model.where)


def misfit(text: str, wanted: AnswerFormat | None) -> str | None:
    """What is wrong with the form of an answer; None if nothing is, or if no form was asked for.

    >>> misfit('{"a": 1}', "json"), misfit("It is 1.", None), misfit('{"a": 1', "json")
    (None, None, 'it is not JSON')
    >>> misfit('{"a": "x"}', {"properties": {"a": {"type": "integer"}}})
    'it does not have the form: "x" is not of type "integer" (at a)'
    """
    if wanted is None:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "it is not JSON"
    import jsonschema_rs  # noqa: PLC0415 - most questions ask for no form, and it takes a while to import

    schema: Mapping[str, object] = {"type": "object"} if wanted == "json" else wanted
    try:
        # Formats are what a grammar may know and what nobody promises; patterns are matched in linear time.
        validator = jsonschema_rs.Draft202012Validator(
            dict(schema), validate_formats=False, pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20)
        )
        error = next(iter(validator.iter_errors(value)), None)
    except (ValueError, RecursionError):  # a schema that says nothing, or an answer too deep to be looked at: JSON is what is left
        return None
    if error is None:
        return None
    place = ".".join(map(str, error.instance_path))
    return f"it does not have the form: {error.message[:_LONGEST]}{f' (at {place[:_LONGEST]})' if place else ''}"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
