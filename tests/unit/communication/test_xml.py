"""XML answers as values (spec/communication.md 14)."""

from __future__ import annotations

import pytest

from runtime.communication.reading import decode
from runtime.communication.xml import XmlError, parse_xml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            '<data><text foo="bar">Hi</text></data>',
            {"data": {"text": [{"_attributes": {"foo": "bar"}, "_value": "Hi"}]}},
            id="documented sample",
        ),
        pytest.param("<d><i>1</i><i>2</i><j/></d>", {"d": {"i": ["1", "2"], "j": [""]}}, id="children are arrays"),
        pytest.param("<d/>", {"d": ""}, id="empty root"),
        pytest.param("<d> text </d>", {"d": " text "}, id="text only"),
        pytest.param('<d a="1"/>', {"d": {"_attributes": {"a": "1"}}}, id="attributes without text"),
        pytest.param("<d>\n <i>1</i>\n</d>", {"d": {"i": ["1"]}}, id="white space between children"),
        pytest.param("<d> x <i>1</i> y </d>", {"d": {"i": ["1"], "_value": "x  y"}}, id="text beside children"),
        pytest.param(
            "<n:d xmlns:n='u'><n:i>1</n:i></n:d>",
            {"n:d": {"_attributes": {"xmlns:n": "u"}, "n:i": ["1"]}},
            id="prefixes",
        ),
        pytest.param("<d><!-- c --><![CDATA[<x>]]></d>", {"d": "<x>"}, id="comments and CDATA"),
        pytest.param(
            "<?xml version='1.0' encoding='iso-8859-2'?><d>&#382;&amp;</d>", {"d": "ž&"}, id="prolog and entities"
        ),
    ],
)
def test_elements_become_values(text, expected):
    """Root object, children as arrays, `_attributes` and `_value`."""
    assert parse_xml(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<d>", id="not closed"),
        pytest.param("", id="empty"),
        pytest.param('<!DOCTYPE d [<!ENTITY a "b">]><d>&a;</d>', id="entity"),
        pytest.param('<!DOCTYPE d SYSTEM "file:///etc/passwd"><d/>', id="external document type"),
        pytest.param("<a>" * 201 + "</a>" * 201, id="too deep"),
    ],
)
def test_bad_xml_is_refused(text):
    """Malformed, with a document type, or nested too deep."""
    with pytest.raises(XmlError):
        parse_xml(text)


def test_the_prolog_gives_the_charset():
    """Without a charset in the Content-Type the prolog of XML decides."""
    data = b"<?xml version='1.0' encoding='iso-8859-2'?><d>\xbe</d>"

    assert parse_xml(decode(data, "text/xml", xml=True)) == {"d": "ž"}
