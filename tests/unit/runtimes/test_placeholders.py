from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.runtimes import placeholders

VALUES = {
    "Name": "iris",
    "Namespace": "demo",
    "Labels": {"team": "a&b'"},
    "Annotations": {"a.b/c": "d", "modelFormat": "sklearn"},
}


@pytest.mark.weakness("C13")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("--name={{.Name}}", "--name=iris", id="go"),
        pytest.param("{{ .Name }}.{{- .Namespace -}}", "iris.demo", id="go-with-blanks"),
        pytest.param("{{ Name }}", "iris", id="jinja"),
        pytest.param("{{.Annotations.modelFormat}}", "sklearn", id="annotation"),
        pytest.param('{{ index .Annotations "a.b/c" }}', "d", id="go-index"),
        pytest.param('{{ Annotations["a.b/c"] }}', "d", id="jinja-index"),
        pytest.param("{{.Labels.team}}", "a&b'", id="nothing-is-escaped"),
        pytest.param("[{{.Labels.none}}]", "[]", id="a-label-that-is-not-there-is-empty"),
        pytest.param('[{{ index .Labels "a/b" }}]', "[]", id="also-by-index"),
    ],
)
def test_values_are_filled_in(text: str, expected: str) -> None:
    assert placeholders.fill(text, VALUES) == expected


@pytest.mark.weakness("C13")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "{{ bos_token }}{% for m in messages %}{{ m['content'] }}", id="chat-template"
        ),
        pytest.param("{{ if .System }}{{ .System }}{{ end }}", id="go-template"),
        pytest.param('{"a": {"b": 1}}', id="json"),
        pytest.param("{{", id="open"),
        pytest.param("{{ .Name", id="unclosed"),
        pytest.param("{{ .Name.__class__ }}", id="inside-of-a-value"),
        pytest.param("{{ Name * 1000000000 }}", id="arithmetic"),
        pytest.param("{{ self.__init__.__globals__ }}", id="out-of-the-sandbox"),
        pytest.param("{# a #}{% raw %}", id="jinja-statements"),
        pytest.param("$(VAR) ${VAR}", id="kubernetes-variables"),
    ],
)
def test_text_that_merely_contains_braces_stays(text: str) -> None:
    assert placeholders.fill(text, VALUES) == text


def test_a_tree_is_filled_at_every_depth() -> None:
    tree: Any = {"args": ["{{.Name}}", 1, None], "env": [{"value": "{{.Namespace}}"}], "on": True}
    assert placeholders.fill(tree, VALUES) == {
        "args": ["iris", 1, None],
        "env": [{"value": "demo"}],
        "on": True,
    }


@given(st.text(alphabet="{}.% Nameabc\"'#\n", max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    filled = placeholders.fill(text, VALUES)
    assert filled.count("{") <= text.count("{")


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        ({"args": ["{{.Name}}", "{{ .Nonsense }}"]}, ".Nonsense"),
        ({"args": ["{{.Spec.Predictor}}"]}, ".Spec.Predictor"),
        ({"args": ["{{.Labels.none}}", "{{ messages }}", 1]}, ""),
    ],
    ids=["unknown", "deeper", "none"],
)
def test_a_field_that_stands_for_nothing_is_found(tree: Any, field: str) -> None:
    assert placeholders.unknown(tree) == field


def test_a_whole_template_is_strict() -> None:
    assert placeholders.render("{{ .Name }}-x", VALUES) == "iris-x"
    with pytest.raises(jinja2.UndefinedError):
        placeholders.render("{{ .Nonsense }}", VALUES)
