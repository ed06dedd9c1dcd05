"""Placeholders in the text of runtimes and of the configuration, in Go's spelling or Jinja's.

`{{ .Name }}` and `{{ Name }}` are the same, and so are `{{ index .Annotations "a/b" }}` and
`{{ Annotations["a/b"] }}`. Rendered by Jinja, sandboxed. Used by `servers` and `desired.urls`.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

import jinja2
from jinja2 import sandbox

_ACTION: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_INDEX: Final = re.compile(r'\bindex\s+\.(\w+)\s+"([^"]*)"')
_FIELD: Final = re.compile(r"(?<![\w)\].\"'])\.(?=[A-Za-z])")
# What stands for a value in a container (contract §3.5). Anything else in braces is the
# user's own text, such as a chat template, and stays as it is.
_PLACEHOLDER: Final = re.compile(
    r"""\{\{-?\s*(?:
        \.?(?:Name|Namespace)
      | \.?(?:Labels|Annotations)\.[A-Za-z_]\w*
      | index\s+\.(?:Labels|Annotations)\s+"[^"]*"
      | (?:Labels|Annotations)\["[^"]*"\]
    )\s*-?\}\}""",
    re.VERBOSE,
)
_GO_FIELD: Final = re.compile(r"\{\{-?\s*(\.[A-Za-z_][\w.]*)\s*-?\}\}")
_STRICT: Final = sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # the result is no HTML
)
_LENIENT: Final = sandbox.ImmutableSandboxedEnvironment(autoescape=False)  # as above


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render a whole template; a value that is not there is an error.

    Raises:
        jinja2.TemplateError, ArithmeticError, TypeError, ValueError: the template is wrong.
    """
    return _compiled(_STRICT, template).render(values)


def fill(tree: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Put the values into every text of a JSON tree; a label that is not there is empty."""
    if isinstance(tree, str):
        return _PLACEHOLDER.sub(
            lambda found: _compiled(_LENIENT, found.group()).render(values), tree
        )
    if isinstance(tree, Mapping):
        return {key: fill(value, values) for key, value in tree.items()}
    if isinstance(tree, list):
        return [fill(value, values) for value in tree]
    return tree


def unknown(tree: Any) -> str:  # noqa: ANN401 - any JSON
    """Find a field in Go's spelling that stands for nothing here; "" where there is none."""
    if isinstance(tree, str):
        found = (match for match in _GO_FIELD.finditer(tree) if not _is_known(match.group()))
        return next((match.group(1) for match in found), "")
    parts = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ()
    return next(filter(None, map(unknown, parts)), "")


def _is_known(action: str) -> bool:
    return _PLACEHOLDER.fullmatch(action) is not None


@functools.lru_cache(maxsize=64)
def _compiled(environment: jinja2.Environment, template: str) -> jinja2.Template:
    """Compile once what every service renders."""
    return environment.from_string(_jinja(template))


def _jinja(template: str) -> str:
    """Turn Go's spelling into Jinja's, inside of {{ }} only."""
    return _ACTION.sub(
        lambda action: _FIELD.sub("", _INDEX.sub(r'\1["\2"]', action.group())), template
    )
