"""
IML, Make's expression language: `{{ ... }}` inside the strings of JSON documents.

Text -> tokens (`lexer`) -> tree (`parser`, `nodes`) -> one generated Python function a document (`compiler`). Generated
code names its own locals, guarded helpers and constants passed in; strings of the app never become code.
Source: spec/iml.md.
"""

from runtime.iml.environment import Environment, Place
from runtime.iml.lexer import caret
from runtime.iml.template import Call, Reference, Template, compile_document, compile_path

__all__ = [
    "Call",
    "Environment",
    "Place",
    "Reference",
    "Template",
    "caret",
    "compile_document",
    "compile_path",
]
