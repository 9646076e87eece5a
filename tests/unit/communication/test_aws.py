"""AWS signing against the vendor's published examples (spec/communication.md 16)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from runtime.communication import Kind
from runtime.communication.aws import (
    AwsSigner,
    authorization_v4,
    signer_of,
    signing_key_v4,
    string_to_sign_v2,
)
from runtime.effects import HttpRequest
from runtime.errors import InvalidConfigurationError
from runtime.http.redirects import next_request
from tests.unit.communication.harness import reply, run

S3_KEY, S3_SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SUITE = AwsSigner("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", version="4")
S3_SIGNER = AwsSigner(S3_KEY, S3_SECRET, version="4")
EMPTY = hashlib.sha256(b"").hexdigest()
BUCKET = "https://examplebucket.s3.amazonaws.com"


def signature(authorization: str) -> str:
    """The part after `Signature=`."""
    return authorization.rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("method", "query", "headers", "body", "expected"),
    [
        pytest.param(
            "GET", "", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", id="get-vanilla"
        ),
        pytest.param(
            "GET", "?Param2=value2&Param1=value1", {}, b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", id="query-order-key-case",
        ),
        pytest.param(
            "POST", "", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", id="post-vanilla"
        ),
        pytest.param(
            "POST", "", {"Content-Type": "application/x-www-form-urlencoded"}, b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", id="post-x-www-form-urlencoded",
        ),
    ],
)  # fmt: skip
def test_version_4_signs_like_the_test_suite(
    method: str, query: str, headers: dict[str, str], body: bytes, expected: str
) -> None:
    """The signatures are those of the vendor's test suite."""
    given = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z", **headers}
    found = authorization_v4(
        SUITE, method, f"https://example.amazonaws.com/{query}", given.items(), sorted(map(str.lower, given)),
        hashlib.sha256(body).hexdigest(), "20150830T123600Z", service="service", region="us-east-1",
    )  # fmt: skip

    assert signature(found) == expected
    assert "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " in found


@pytest.mark.parametrize(
    ("path", "headers", "method", "body", "expected"),
    [
        pytest.param(
            "/test.txt", {"range": "bytes=0-9"}, "GET", b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", id="get object",
        ),
        pytest.param(
            "/test$file.text",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            "PUT", b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", id="put object",
        ),
        pytest.param(
            "/?lifecycle", {}, "GET", b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="lifecycle",
        ),
        pytest.param(
            "/?max-keys=2&prefix=J", {}, "GET", b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", id="list objects",
        ),
    ],
)  # fmt: skip
def test_version_4_signs_like_the_s3_examples(
    path: str, headers: dict[str, str], method: str, body: bytes, expected: str
) -> None:
    """The signatures are those of the vendor's storage service documentation."""
    payload = hashlib.sha256(body).hexdigest()
    given = {
        "host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z", "x-amz-content-sha256": payload,
        **headers,
    }  # fmt: skip
    found = authorization_v4(
        S3_SIGNER, method, BUCKET + path.replace("$", "%24"), given.items(), sorted(given), payload,
        "20130524T000000Z", service="s3", region="us-east-1",
    )  # fmt: skip

    assert signature(found) == expected


def test_signing_key_is_the_documented_one() -> None:
    """The key that the vendor's guide derives step by step."""
    key = signing_key_v4("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")

    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_a_request_is_signed_as_a_whole() -> None:
    """Date, hash of the body and token are added, and signed with everything whose name begins with `x-amz-`."""
    request = HttpRequest("GET", f"{BUCKET}/?lifecycle", (("Accept", "*/*"),))
    moment = datetime(2013, 5, 24, tzinfo=UTC)
    signed = dict(S3_SIGNER.sign(request, moment).headers)

    assert signature(signed["Authorization"]) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    assert (signed["X-Amz-Date"], signed["X-Amz-Content-Sha256"]) == ("20130524T000000Z", EMPTY)
    with_token = dict(AwsSigner(S3_KEY, S3_SECRET, "tok", version="4").sign(request, moment).headers)
    assert with_token["X-Amz-Security-Token"] == "tok"
    assert ";x-amz-security-token," in with_token["Authorization"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sqs.eu-west-1.amazonaws.com", "/eu-west-1/sqs/"),
        ("bucket.s3.eu-central-1.amazonaws.com", "/eu-central-1/s3/"),
        ("my.bucket.s3.amazonaws.com", "/us-east-1/s3/"),
        ("s3-eu-west-1.amazonaws.com", "/eu-west-1/s3/"),
        ("iam.amazonaws.com", "/us-east-1/iam/"),
        ("ec2.cn-north-1.amazonaws.com.cn", "/cn-north-1/ec2/"),
    ],
)
def test_service_and_region_come_from_the_host(host: str, expected: str) -> None:
    """What the directive does not say is in the host's name."""
    request = HttpRequest("GET", f"https://{host}/")

    assert expected in dict(SUITE.sign(request, datetime(2020, 1, 2, tzinfo=UTC)).headers)["Authorization"]


def test_an_unknown_host_needs_a_service() -> None:
    """Nothing is guessed for a host of somebody else."""
    with pytest.raises(InvalidConfigurationError, match=r"aws\.service"):
        SUITE.sign(HttpRequest("GET", "https://storage.example.com/"), datetime(2020, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        pytest.param(
            "GET", "/photos/puppy.jpg", {"Date": "Tue, 27 Mar 2007 19:36:42 +0000"}, "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
            id="get",
        ),
        pytest.param(
            "PUT", "/photos/puppy.jpg",
            {"Content-Type": "image/jpeg", "Content-Length": "94328", "Date": "Tue, 27 Mar 2007 21:15:45 +0000"},
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=", id="put",
        ),
        pytest.param(
            "GET", "/?prefix=photos&max-keys=50&marker=puppy", {"Date": "Tue, 27 Mar 2007 19:42:41 +0000"},
            "htDYFYduRNen8P9ZfE/s9SuKy0U=", id="list",
        ),
        pytest.param(
            "GET", "/?acl", {"Date": "Tue, 27 Mar 2007 19:44:46 +0000"}, "c2WLPFtWHVgbEmeEG93a4cG37dM=", id="acl"
        ),
    ],
)  # fmt: skip
def test_version_2_signs_like_the_examples(method: str, path: str, headers: dict[str, str], expected: str) -> None:
    """The signatures are those of the vendor's documentation of the older scheme."""
    signer = AwsSigner(S3_KEY, S3_SECRET, bucket="johnsmith")
    request = HttpRequest(method, f"https://johnsmith.s3.amazonaws.com{path}", tuple(headers.items()))

    signed = dict(signer.sign(request, datetime(2007, 3, 27, tzinfo=UTC)).headers)
    assert signed["Authorization"] == f"AWS {S3_KEY}:{expected}"


def test_version_2_adds_date_and_token() -> None:
    """A request without a date gets one; a session's token is signed with it; a date of Amazon's own counts instead."""
    signer = AwsSigner(S3_KEY, S3_SECRET, "tok", "b")
    signed = dict(signer.sign(HttpRequest("GET", "https://h/p"), datetime(2007, 3, 27, 9, tzinfo=UTC)).headers)

    assert (signed["Date"], signed["x-amz-security-token"]) == ("Tue, 27 Mar 2007 09:00:00 GMT", "tok")
    text = string_to_sign_v2("DELETE", "https://h/p?x=1&uploadId=a%2Bb", [("Date", "d"), ("X-Amz-Date", "now ")], "b")
    assert text == "DELETE\n\n\n\nx-amz-date:now\n/b/p?uploadId=a+b"


@pytest.mark.parametrize("value", [{"key": "k"}, {"key": "k", "secret": "s", "sign_version": 3}, "k"])
def test_an_unusable_directive_is_refused(value: object) -> None:
    """A key without a secret, another version, or no object."""
    with pytest.raises(InvalidConfigurationError, match="aws"):
        signer_of(value)


def test_the_directive_reaches_the_request() -> None:
    """Base and module add to one directive; a number is a version; a redirect to another host is not signed."""
    base = {"aws": {"key": "{{connection.key}}", "secret": "{{connection.secret}}"}}
    seen = run(
        {"url": "http://s.test/x", "aws": {"sign_version": 4, "service": "s3"}},
        [reply({})], base=base, kind=Kind.ACTION, connection={"key": "k", "secret": "sss"},
    )  # fmt: skip
    (request,) = seen.requests

    assert request.signer == AwsSigner("k", "sss", version="4", service="s3")
    assert "sss" not in repr(request)
    moved = next_request(request, 307, [("location", "https://other.test/")])
    assert moved is not None
    assert moved.signer is None
