"""The app `http`, versions 3 and 4 (spec/scenarios.md 4.5)."""

from __future__ import annotations

import json
from typing import Any, Final

from modules.builtin.http_request import (
    MAX_BODY,
    Draft,
    basic,
    content,
    exchange,
    failure,
    file_bundle,
    form_body,
    header_collection,
    header_list,
    pairs,
    query_pairs,
    switch,
    text,
    timeout,
)
from modules.builtin.job import Builtin, BuiltinJob, field
from modules.builtin.structures import declared, plain, structured
from runtime.communication.body import Body, encode_body
from runtime.effects import ClientCertificate, Emit, HttpResponse, RenewConnection, Steps
from runtime.errors import BundleValidationError, InvalidConfigurationError
from runtime.values import UNDEFINED, Buffer, compact_json, to_text

_V4_KINDS: Final = {"json": "application/json", "custom": ""}


# -- version 3 ---------------------------------------------------------------------------------------------------------


def send_data(job: BuiltinJob) -> Steps[None]:
    """Make a request, version 3: `{statusCode, headers: [...], cookieHeaders, data, fileSize}`."""
    draft = yield from _draft(job)
    draft.body = _raw_or_form(job)
    _authorize(job, draft)
    response = yield from _exchange(job, draft)
    error = failure(response, job) if switch(job, "handleErrors") else None
    if error is not None:
        raise error
    data = yield from content(response, parse=switch(job, "parseResponse"))
    yield Emit([{"statusCode": response.status, **header_list(response), "data": data, "fileSize": len(response.body)}])


def get_file(job: BuiltinJob) -> Steps[None]:
    """Get a file, version 3: its bytes are never parsed."""
    draft = yield from _draft(job)
    draft.method = "GET"
    response = yield from exchange(draft)
    error = failure(response, job) if switch(job, "handleErrors") else None
    if error is not None:
        raise error
    yield Emit([file_bundle(response, header_list(response))])


def retrieve_headers(job: BuiltinJob) -> Steps[None]:
    """The headers of an answer to HEAD."""
    draft = yield from _draft(job)
    draft.method = "HEAD"
    response = yield from exchange(draft)
    yield Emit([{"statusCode": response.status, **header_list(response)}])


def resolve_url(job: BuiltinJob) -> Steps[None]:
    """The address that redirects lead to."""
    draft = yield from _draft(job)
    draft.method, draft.follow = "HEAD", True
    response = yield from exchange(draft)
    yield Emit([{"url": response.url}])


def _draft(job: BuiltinJob) -> Steps[Draft]:
    if text(job, "proxyKeychain"):
        raise InvalidConfigurationError("A proxy of the http app cannot be used yet; the installation may set one.")
    wait = yield from timeout(job)
    draft = Draft(
        text(job, "url"),
        text(job, "method") or "get",
        headers=pairs(job, "headers"),
        query=query_pairs(
            [*pairs(job, "qs"), *pairs(job, "queryParameters")], brackets=not switch(job, "useQuerystring", True)
        ),
        encode_url=switch(job, "serializeUrl"),
        timeout=wait,
        follow=switch(job, "followRedirect", True) and switch(job, "allowRedirects", True),
        follow_all=switch(job, "followAllRedirects"),
        compressed=switch(job, "gzip", True) and switch(job, "requestCompressedContent", True),
        share_cookies=switch(job, "shareCookies"),
        ca=text(job, "ca") or None,
        verify=switch(job, "rejectUnauthorized", True),
        client=_certificate(job),
    )
    return draft


def _certificate(job: BuiltinJob) -> ClientCertificate | None:
    found = job.credentials.get("clientcertauth")
    if found is None:
        if switch(job, "useMtls") or text(job, "tlsType") == "mTls":
            raise InvalidConfigurationError("The module has no connection of the kind clientcertauth. Bind one.")
        return None
    certificate, key, passphrase = (to_text(found.get(name, "")) for name in ("certificate", "key", "passphrase"))
    return ClientCertificate(certificate, key, passphrase)


def _raw_or_form(job: BuiltinJob) -> Body | None:
    kind = text(job, "bodyType")
    if kind == "x_www_form_urlencoded":
        return form_body(job, "urlencoded")
    if kind == "multipart_form_data":
        return form_body(job, "multipart/form-data")
    value = job.config.get("data", UNDEFINED)
    if kind != "raw" or value is UNDEFINED:
        return None
    content_type = text(job, "contentType")
    if content_type == "custom":
        content_type = text(job, "customContentType")
    return _raw(value, content_type)


def _raw(value: Any, content_type: str) -> Body | None:
    body = encode_body(value, "binary" if isinstance(value, Buffer) else "text", MAX_BODY)
    return None if body is None else Body(body.data, content_type or None)


def _authorize(job: BuiltinJob, draft: Draft) -> None:
    """Put the module's credential where it belongs: a stored connection, or user and password of the mapper."""
    key, login = job.credentials.get("apikeyauth"), job.credentials.get("basicauth")
    if key is not None:
        name, value = to_text(key.get("name", "")) or "Authorization", to_text(key.get("key", ""))
        if to_text(key.get("placement", "")) in ("qs", "query"):
            draft.query.append((name, value))
        else:
            draft.headers.append((name, value))
            draft.secret_headers.add(name.lower())
    user = text(job, "authUser")
    token = _token(job.credentials)
    if token is not None:
        _bear(draft, token)
        return
    if login is not None:
        draft.headers.append(
            ("Authorization", basic(to_text(login.get("username", "")), to_text(login.get("password", ""))))
        )
    elif user and not any(name.lower() == "authorization" for name, _ in draft.headers):
        draft.headers.append(("Authorization", basic(user, text(job, "authPass"))))


def _token(credentials: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    return credentials.get("oauth2") or credentials.get("oauth2client")


def _bear(draft: Draft, token: dict[str, Any]) -> None:
    """Put an access token into the request, in place of one that may be there."""
    value = to_text(token.get("accessToken", ""))
    if to_text(token.get("placement", "")) == "qs":
        draft.query = [*[pair for pair in draft.query if pair[0] != "access_token"], ("access_token", value)]
        return
    draft.headers = [pair for pair in draft.headers if pair[0].lower() != "authorization"]
    word = to_text(token.get("headerName", "")) or "Bearer"
    draft.headers.append(("Authorization", f"{word} {value}"))


def _exchange(job: BuiltinJob, draft: Draft) -> Steps[HttpResponse]:
    """Send it; a token that the service refuses is renewed once (spec/connections.md 7.8)."""
    response = yield from exchange(draft)
    if response.status != 401 or _token(job.credentials) is None:
        return response
    token: dict[str, Any] = yield RenewConnection("401", 0)
    _bear(draft, token)
    draft.number = 2
    return (yield from exchange(draft))


# -- version 4 ---------------------------------------------------------------------------------------------------------


def make_request(job: BuiltinJob) -> Steps[None]:
    """Make a request, version 4: `{data, statusCode, headers: {...}}`."""
    draft = yield from _draft(job)
    _login(job, draft)
    draft.follow_all = draft.follow
    draft.body = _body(job)
    response = yield from _exchange(job, draft)
    error = failure(response, job) if switch(job, "stopOnHttpError") else None
    if error is not None:
        raise error
    data = yield from content(response, parse=switch(job, "parseResponse"))
    yield Emit([{"data": data, "statusCode": response.status, **header_collection(response)}])


def download_file(job: BuiltinJob) -> Steps[None]:
    """Download a file, version 4."""
    draft = yield from _draft(job)
    _login(job, draft)
    draft.method, draft.follow_all = "GET", draft.follow
    response = yield from _exchange(job, draft)
    error = failure(response, job) if switch(job, "stopOnHttpError") else None
    if error is not None:
        raise error
    yield Emit([file_bundle(response, header_collection(response))])


def _login(job: BuiltinJob, draft: Draft) -> None:
    kind = text(job, "authenticationType")
    if text(job, "paginationType") not in ("", "none"):
        raise InvalidConfigurationError("Pagination of the http app cannot be used yet; repeat the request instead.")
    wanted = {"apiKey": ("apikeyauth",), "basicAuth": ("basicauth",), "oAuth": ("oauth2", "oauth2client")}.get(kind)
    if wanted is None:
        return
    if not any(component in job.credentials for component in wanted):
        raise InvalidConfigurationError(f"The module has no connection of the kind {' or '.join(wanted)}. Bind one.")
    _authorize(job, draft)


def _body(job: BuiltinJob) -> Body | None:
    kind = text(job, "contentType")
    if kind == "urlEncoded":
        return form_body(job, "urlencoded")
    if kind == "multipart":
        return form_body(job, "multipart/form-data")
    if kind == "json" and text(job, "inputMethod") == "dataStructure":
        return _structure(job)
    if kind == "json":
        source = text(job, "jsonStringBodyContent")
        if not source:
            return None
        try:
            json.loads(source)
        except (ValueError, RecursionError):
            suberror = "Invalid JSON in parameter 'jsonStringBodyContent'."
            raise BundleValidationError("Validation failed for 1 parameter(s).", suberrors=(suberror,)) from None
        return Body(source.encode("utf-8", "replace"), "application/json")
    for name in ("rawBodyContent", "customBodyContent", "bodyContent", "data"):
        value = job.config.get(name, UNDEFINED)
        if kind == "custom" and value is not UNDEFINED:
            return _raw(value, text(job, "contentTypeValue"))
    return None


def _structure(job: BuiltinJob) -> Body:
    value = job.mapped.get("bodyDataStructure", {})
    fields = [item for item in declared(job) if item.get("name") == "bodyDataStructure"]
    spec = fields[0].get("spec") if fields else None
    if isinstance(value, dict):
        names = [item for item in spec if isinstance(item, dict)] if isinstance(spec, list) else []
        value = structured(names, value, job.environment.timezone, others=not names, complete=True)
    return Body(compact_json(plain(value)).encode("utf-8", "replace"), "application/json")


# -- fields ------------------------------------------------------------------------------------------------------------

_URL: Final = field("url", required=True)
_PAIR: Final = [field("name"), field("value", "any")]
_SWITCHES: Final = [
    field(name, "boolean")
    for name in (
        "serializeUrl", "parseResponse", "shareCookies", "rejectUnauthorized", "followRedirect", "followAllRedirects",
        "useQuerystring", "gzip", "useMtls", "allowRedirects", "requestCompressedContent",
    )
]  # fmt: skip
_TIMEOUT: Final = field("timeout", "number")
_FORM: Final = field("formDataFields", "any")
_COMMON: Final = [_URL, field("method"), field("headers", "array", spec=_PAIR), *_SWITCHES, _TIMEOUT, field("ca")]
_V3: Final = [
    *_COMMON,
    field("qs", "array", spec=_PAIR),
    field("bodyType"),
    field("contentType"),
    field("customContentType"),
    field("data", "any"),
    _FORM,
    field("authUser"),
    field("authPass"),
]
_HANDLE: Final = [field("handleErrors", "boolean"), field("useNewZLibDeCompress", "any")]
#: Version 3 says `useMtls` and names no certificate: the vendor has one for everybody, here one is bound by its kind.
_MUTUAL: Final = (("clientCertKeychain", "clientcertauth"),)
_V4_STATIC: Final = [
    field("authenticationType"),
    field("tlsType"),
    *(
        field(name, "any")
        for name in (
            "proxyKeychain", "apiKeyKeychain", "basicAuthKeychain", "oAuthAccount", "tlsKeychain", "mTlsKeychain",
            "clientCertKeychain",
        )
    ),
]  # fmt: skip
_V4_KEYCHAINS: Final = (
    ("apiKeyKeychain", "apikeyauth"),
    ("basicAuthKeychain", "basicauth"),
    ("oAuthAccount", "oauth2"),
    ("oAuthAccount", "oauth2client"),
    ("tlsKeychain", "clientcertauth"),
    ("mTlsKeychain", "clientcertauth"),
    *_MUTUAL,
)
_V4: Final = [
    *_COMMON,
    field("queryParameters", "array", spec=_PAIR),
    field("stopOnHttpError", "boolean"),
    field("contentType"),
    field("inputMethod"),
    field("jsonStringBodyContent"),
    field("bodyDataStructure", "any"),
    field("contentTypeValue"),
    *(field(name, "any") for name in ("rawBodyContent", "customBodyContent", "bodyContent", "data", "bodyFields")),
    _FORM,
    field("paginationType"),
]

ENTRIES: Final = (
    Builtin("http:ActionSendData", versions=(3,), run=send_data, static=_HANDLE, mappable=_V3, keychains=_MUTUAL),
    Builtin(
        "http:ActionSendDataBasicAuth",
        versions=(3,),
        run=send_data,
        static=[*_HANDLE, field("key", "any", required=True)],
        mappable=_V3,
        keychains=(("key", "basicauth"), *_MUTUAL),
    ),
    Builtin(
        "http:ActionSendDataAPIKeyAuth",
        versions=(3,),
        run=send_data,
        static=[*_HANDLE, field("auth", "any", required=True)],
        mappable=_V3,
        keychains=(("auth", "apikeyauth"), *_MUTUAL),
    ),
    Builtin(
        "http:ActionSendDataOAuth",
        versions=(3,),
        run=send_data,
        static=[*_HANDLE, field("account", "any", required=True)],
        mappable=_V3,
        keychains=(("account", "oauth2"), ("account", "oauth2client"), *_MUTUAL),
    ),
    Builtin(
        "http:ActionSendDataClientCertAuth",
        versions=(3,),
        run=send_data,
        static=[*_HANDLE, *(field(name, "any") for name in ("key", "auth", "cert"))],
        mappable=_V3,
        keychains=tuple((name, "clientcertauth") for name in ("key", "auth", "cert")),
    ),
    *(
        Builtin(name, versions=versions, run=run, static=_HANDLE, mappable=_V3, keychains=_MUTUAL)
        for name, versions, run in (
            ("http:ActionGetFile", (2, 3), get_file),
            ("http:ActionRetrieveHeaders", (3,), retrieve_headers),
            ("http:ActionResolveUrl", (3,), resolve_url),
        )
    ),
    Builtin(
        "http:MakeRequest",
        versions=(4,),
        run=make_request,
        static=_V4_STATIC,
        mappable=_V4,
        keychains=_V4_KEYCHAINS,
    ),
    Builtin(
        "http:DownloadFile",
        versions=(4,),
        run=download_file,
        static=_V4_STATIC,
        mappable=_V4,
        keychains=_V4_KEYCHAINS,
    ),
)
