"""The order of steps and the rules of one component run (spec/communication.md 5, 6, 11 to 13, 15, 18, 29)."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from runtime.communication import Kind, Limits
from runtime.effects import Parked
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError, RateLimitError, ServiceConnectionError
from runtime.values import UNDEFINED
from tests.paths import ROOT
from tests.unit.communication.harness import Ran, reply, run

PAGED = {"url": "/p", "qs": {"p": "{{pagination.page}}"}, "response": {"iterate": "{{body}}"}, "pagination": {}}


def test_temp_of_two_requests_is_shared_and_merged():
    """Vector 17: temp and response.temp of both requests, later values win."""
    ran = run(
        [
            {"url": "/a", "temp": {"foo": "bar"}, "response": {"temp": {"foo": "baz", "hello": "world"}}},
            {
                "url": "/b",
                "temp": {"param1": "bar-{{temp.foo}}"},
                "response": {"temp": {"last": 1}, "output": "{{temp}}"},
            },
        ],
        [reply({}), reply({})],
    )

    assert ran.output == {"foo": "baz", "hello": "world", "param1": "bar-baz", "last": 1}


def test_temp_of_base_comes_first():
    """Base temp is evaluated before the module's, which sees it."""
    base = {"baseUrl": "http://s.test", "temp": {"a": "1"}, "response": {"temp": {"c": "{{body.n}}"}}}

    ran = run(
        {"url": "/", "temp": {"b": "{{temp.a}}2"}, "response": {"temp": {"d": "{{temp.c}}"}}},
        [reply({"n": 3})],
        base=base,
    )

    assert ran.result is not None
    assert ran.result.temp == {"a": "1", "b": "12", "c": 3, "d": 3}


@pytest.mark.parametrize("first", [True, False])
def test_two_requests_with_opposite_conditions(first):
    """Vector 18: the output of the one that ran."""
    ran = run([{"url": "/a", "condition": first}, {"url": "/b", "condition": not first}], [reply({"n": 1})])

    assert ran.output == {"n": 1}
    assert ran.targets == ["v1/a" if first else "v1/b"]


@pytest.mark.parametrize(
    ("condition", "output"),
    [
        pytest.param({"condition": False, "default": {"a": 1}}, {"a": 1}, id="default"),
        pytest.param("", UNDEFINED, id="an empty text is false"),
        pytest.param(False, UNDEFINED, id="no default"),
    ],
)
def test_a_skipped_request_gives_its_default(condition, output):
    """Vector 19: nothing is sent; the default is final, wrapper is not applied."""
    ran = run({"url": "/", "condition": condition, "response": {"wrapper": {"w": "{{output}}"}}})

    assert (ran.output, ran.requests) == (output, [])


def test_outputs_of_earlier_requests_are_not_evaluated():
    """An error in the output of a request that is not the last one does no harm."""
    ran = run(
        [{"url": "/a", "response": {"output": "{{noSuchFunction()}}"}}, {"url": "/b"}],
        [reply({"a": 1}), reply({"b": 1})],
    )

    assert ran.output == {"b": 1}


def test_the_output_of_the_last_executed_request_sees_its_own_answer():
    """A later request that is skipped leaves body and items of the earlier one."""
    ran = run(
        [{"url": "/a", "response": {"output": "{{body.n}}"}}, {"url": "/b", "condition": False}], [reply({"n": 5})]
    )

    assert ran.output == 5


@pytest.mark.parametrize(
    ("response", "status", "headers", "error", "message"),
    [
        pytest.param({}, 404, (), ModuleRuntimeError, "[404] Not Found", id="20"),
        pytest.param({"error": {"message": "later"}}, 429, (("Retry-After", "7"),), RateLimitError, "later", id="21"),
        pytest.param({}, 503, (), ServiceConnectionError, "[503] Service Unavailable", id="22"),
        pytest.param({"valid": {"condition": "{{!body.error}}"}, "error": {"200": {"message": "m"}}}, 200, (),
                     ModuleRuntimeError, "m", id="23"),
        pytest.param({"valid": False}, 200, (), ModuleRuntimeError, "Response marked as invalid.", id="24"),
    ],
)  # fmt: skip
def test_answers_that_are_errors(response, status, headers, error, message):
    """Vectors 20 to 24."""
    with pytest.raises(error) as caught:
        run({"url": "/", "response": response}, [reply({"error": 1}, status, headers)])

    assert caught.value.message == message
    assert caught.value.status_code == status
    assert caught.value.delay_ms == (7000 if headers else None)


def test_retry_after_may_be_a_date():
    """The delay counts from now."""
    with pytest.raises(RateLimitError) as caught:
        run({"url": "/"}, [reply({}, 429, (("Retry-After", "Wed, 01 May 2024 12:00:30 GMT"),))])

    assert caught.value.delay_ms == 30_000


def test_an_error_entry_for_200_needs_valid():
    """Vector 25: without valid the answer is a success."""
    assert run({"url": "/", "response": {"error": {"200": {"message": "m"}}}}, [reply({"a": 1})]).output == {"a": 1}


def test_response_temp_does_not_hide_the_error_of_the_answer():
    """Vector of section 5.8: an exception in response.temp of an error answer is swallowed; on success it is raised."""
    document = {"url": "/", "response": {"temp": {"a": "{{noSuchFunction()}}"}}}

    with pytest.raises(ModuleRuntimeError, match=r"\[400\]"):
        run(document, [reply({}, 400)])
    with pytest.raises(ModuleRuntimeError, match=r"response.temp: Function 'noSuchFunction' not found!"):
        run(document, [reply({})])


def test_errors_of_expressions_name_the_directive():
    """`<directive path>: <reason>`; in an array with the number of the request."""
    with pytest.raises(ModuleRuntimeError, match=r"^qs: Function 'nope' not found!"):
        run({"url": "/", "qs": {"a": "{{nope()}}"}})
    with pytest.raises(ModuleRuntimeError, match=r"^\[2\]\.headers: Function 'nope' not found!"):
        run([{"condition": False}, {"url": "/", "headers": {"a": "{{nope()}}"}}])


@pytest.mark.parametrize(
    ("condition", "targets"),
    [
        pytest.param("{{body.pages >= pagination.page}}", ["v1/p?p=1", "v1/p?p=2", "v1/p?p=3"], id="30"),
        pytest.param("{{body.pages > pagination.page}}", ["v1/p?p=1", "v1/p?p=2"], id="31"),
    ],
)
def test_the_condition_sees_the_next_page_number(condition, targets):
    """Vectors 30 and 31, the documented trap."""
    document = {**PAGED, "response": {"iterate": "{{body.i}}"}, "pagination": {"condition": condition}}

    ran = run(document, [reply({"pages": 3, "i": [n, n + 10]}) for n in range(1, len(targets) + 1)], kind=Kind.SEARCH)

    assert ran.targets == targets
    assert len(ran.output) == 2 * len(targets)


def test_endless_pages_end_after_51_requests():
    """Vector 32: a warning, no error."""
    ran = run(PAGED, [reply([{"n": n}]) for n in range(60)], kind=Kind.SEARCH)

    assert len(ran.requests) == 51
    assert any("50 further pages" in warning for warning in ran.warnings)


def test_the_cap_on_requests_counts_all_requests_of_the_run():
    """Two requests with pages share the 100; the cap stops quietly."""
    answers = [reply([{"n": n}]) for n in range(200)]

    ran = run([PAGED, PAGED], answers, kind=Kind.SEARCH, common={"maxRequestCount": 60})

    assert len(ran.requests) == 60
    assert len(ran.output) == 9


def test_limit_stops_paging():
    """Vector 33: two requests, three items."""
    document = {**PAGED, "response": {"iterate": "{{body}}", "limit": 3}}

    ran = run(document, [reply([1, 2]), reply([3, 4])], kind=Kind.SEARCH)

    assert ran.output == [1, 2, 3]


def test_the_limit_of_the_last_request_counts():
    """Vector 34: a limit on the first of two requests has no effect."""
    item = {"url": "/", "response": {"iterate": "{{body}}"}}
    first = {"url": "/", "response": {"iterate": "{{body}}", "limit": 1}}

    assert run([first, item], [reply([1, 2]), reply([3, 4])], kind=Kind.SEARCH).output == [3, 4]


@pytest.mark.parametrize(
    ("limit", "output"), [("2", [1, 2]), ("", [1, 2, 3]), (0, UNDEFINED), (-1, UNDEFINED), (2.9, [1, 2])]
)
def test_limit_values(limit, output):
    """Numbers, numbers as text, nothing, zero and less."""
    ran = run({"url": "/", "response": {"iterate": "{{body}}", "limit": limit}}, [reply([1, 2, 3])], kind=Kind.SEARCH)

    assert ran.output == output


def test_a_limit_that_is_no_number_is_an_error():
    """Nothing is sent."""
    with pytest.raises(ModuleRuntimeError, match=r"response\.limit: not a number"):
        run({"url": "/", "response": {"limit": "many"}}, kind=Kind.SEARCH)


def test_a_repeated_last_page_ends_paging():
    """The same request with the same answer again: its items are dropped."""
    document = {"url": "/p", "response": {"iterate": "{{body}}"}, "pagination": {}}

    ran = run(document, [reply([1]), reply([1])], kind=Kind.SEARCH)

    assert ran.output == [1]
    assert "the service repeated the previous page; paging stopped" in ran.warnings


def test_pages_go_out_as_they_come():
    """With an emitter nothing is kept; wrapper or repeat keep everything."""
    answers = [reply([{"n": 1}, {"n": 2}]), reply([{"n": 3}]), reply([])]

    streamed = run(PAGED, answers, kind=Kind.SEARCH, streaming=True)
    wrapped = run(
        {**PAGED, "response": {"iterate": "{{body}}", "wrapper": "{{output}}"}},
        answers,
        kind=Kind.SEARCH,
        streaming=True,
    )

    assert streamed.emitted == [[{"n": 1}, {"n": 2}], [{"n": 3}]]
    assert (streamed.output, streamed.result.emitted) == ([], 3)
    assert (wrapped.emitted, wrapped.output) == ([], [{"n": 1}, {"n": 2}, {"n": 3}])


def test_pages_without_iterate_are_a_list():
    """Outputs of pages are collected."""
    document = {"url": "/p", "qs": {"p": "{{pagination.page}}"}, "pagination": {"condition": "{{body.more}}"}}

    ran = run(document, [reply({"n": 1, "more": True}), reply({"n": 2})], kind=Kind.SEARCH)

    assert ran.output == [{"n": 1, "more": True}, {"n": 2}]


def test_repeat_polls_until_its_condition_is_false():
    """Vector 35: three requests, two delays."""
    document = {"url": "/j", "repeat": {"condition": "{{body.status !== 'completed'}}", "delay": 500, "limit": 10}}

    ran = run(document, [reply({"status": "run"}), reply({"status": "run"}), reply({"status": "completed"})])

    assert ran.delays == [500, 500]
    assert ran.output == {"status": "completed"}


def test_repeat_ends_at_its_limit_with_the_last_answer():
    """At most 1 + limit requests; running out is no error."""
    ran = run({"url": "/j", "repeat": {"condition": True, "delay": 1, "limit": 2}}, [reply({"n": n}) for n in range(5)])

    assert (len(ran.requests), ran.output) == (3, {"n": 2})


def test_repeat_is_capped_by_the_operator():
    """A missing or larger limit ends at repeat_max, with a warning."""
    answers = [reply({"n": n}) for n in range(9)]

    ran = run({"url": "/j", "repeat": {"condition": True, "limit": 8}}, answers, limits=Limits(repeat_max=3))

    assert len(ran.requests) == 4
    assert ran.warnings == ["repeat stopped after 3 repetitions, the most that are allowed"]


def test_a_parked_repeat_goes_on_where_it_was():
    """What the sleep carries is enough: request, iteration, temp; the first request is not sent again."""
    document = [
        {"url": "/start", "response": {"temp": {"id": "{{body.id}}", "at": "{{now}}"}}},
        {"url": "/job/{{temp.id}}", "repeat": {"condition": "{{body.run}}", "delay": 60000, "limit": 5}},
    ]
    ran = Ran()
    with pytest.raises(Parked) as parked:
        run(document, [reply({"id": 7}), reply({"run": True})], park_after=0, ran=ran)

    resumed = run(document, [reply({"run": False, "n": 1})], resume=parked.value.sleep.resume)

    assert ran.targets == ["v1/start", "v1/job/7"]
    assert (resumed.targets, resumed.output) == (["v1/job/7"], {"run": False, "n": 1})
    assert resumed.requests[0].number == 3
    assert resumed.requests[0].log.repeat == 1


def test_repetitions_do_not_count_as_requests():
    """The cap of 100 is for requests; a job may be polled more often."""
    document = {"url": "/j", "repeat": {"condition": "{{body.n < 150}}", "limit": 1000}}

    ran = run(document, [reply({"n": n}) for n in range(151)])

    assert len(ran.requests) == 151


def test_a_request_less_item_may_fail_the_component():
    """Vector 36: valid on temp, with its message."""
    with pytest.raises(ModuleRuntimeError, match="took too long"):
        run(
            [
                {"url": "/j", "response": {"temp": {"status": "{{body.status}}"}}},
                {"response": {"valid": {"condition": "{{temp.status = 'done'}}", "message": "took too long"}}},
            ],
            [reply({"status": "run"})],
        )


def test_a_request_less_item_keeps_the_previous_answer():
    """body and statusCode of the request before."""
    ran = run(
        [{"url": "/a"}, {"response": {"output": {"n": "{{body.n}}", "s": "{{statusCode}}"}}}], [reply({"n": 4}, 201)]
    )

    assert ran.output == {"n": 4, "s": 201}


def test_iterate_with_condition_and_wrapper():
    """Vector 37."""
    document = {
        "url": "/",
        "response": {
            "iterate": {"container": "{{body.items}}", "condition": "{{item.on}}"},
            "output": {"i": "{{iterate.index}}", "f": "{{iterate.container.first.id}}", "l": "{{items.id}}"},
            "wrapper": {"data": "{{output}}", "n": "{{body.n}}", "last": "{{iterate.container.last.id}}"},
        },
    }
    items = [{"id": 1, "on": True}, {"id": 2}, {"id": 3, "on": True}]

    ran = run(document, [reply({"n": 9, "items": items})])

    assert ran.output == {"data": [{"i": 1, "f": 1, "l": 1}, {"i": 3, "f": 1, "l": 3}], "n": 9, "last": 3}


@pytest.mark.parametrize("iterate", ["body.items", {"container": "body.items"}])
def test_a_bare_path_is_an_expression_in_iterate(iterate):
    """As the older documentation writes it."""
    ran = run({"url": "/", "response": {"iterate": iterate}}, [reply({"items": [1, 2]})], kind=Kind.SEARCH)

    assert ran.output == [1, 2]


@pytest.mark.parametrize(
    ("output", "expected"), [(None, UNDEFINED), (False, UNDEFINED), ("{{body.x}}", UNDEFINED), (0, 0), ("", "")]
)
def test_outputs_that_mean_nothing(output, expected):
    """null, false and undefined; 0 and empty text are values."""
    assert run({"url": "/", "response": {"output": output}}, [reply({})]).output == expected


def test_base_pagination_and_limit_do_nothing_in_an_action():
    """Directives of another kind are ignored, with a warning when they are the component's own."""
    document = {"url": "/", "pagination": {"condition": True}, "response": {"limit": 0}}

    ran = run(document, [reply({"a": 1})])

    assert ran.output == {"a": 1}
    assert len(ran.warnings) == 2


@pytest.mark.parametrize(
    ("kind", "document", "text"),
    [
        pytest.param(Kind.CONNECTION, [{"url": "/"}, {"url": "/"}], "only a single request \\(found 2\\)"),
        pytest.param(Kind.CONNECTION, {"url": "http://s.test", "aws": {}}, "aws is not available in a connection"),
        pytest.param(Kind.TRIGGER, {"url": "/"}, "needs response.trigger"),
        pytest.param(Kind.ACTION, {"endpoint": "x"}, "Endpoints are not supported yet."),
        pytest.param(Kind.CONNECTION, {"url": "/t"}, "url is relative, no baseUrl"),
    ],
)
def test_components_that_may_not_be_used(kind, document, text):
    """Refused when used, with the checker's text; nothing is sent."""
    with pytest.raises(InvalidConfigurationError, match=text):
        run(document, kind=kind)


def test_a_connection_keeps_what_response_says():
    """Vector 42: data, uid, metadata; pagination, iterate and output are ignored with a warning each."""
    document = {
        "url": "http://s.test/me",
        "pagination": {},
        "response": {
            "data": {"token": "{{body.t}}"}, "uid": "{{body.id}}", "metadata": {"type": "text", "value": "{{body.n}}"},
            "output": "{{body}}", "iterate": "{{body}}",
        },
    }  # fmt: skip

    ran = run(document, [reply({"t": "T", "id": 5, "n": "N"})], kind=Kind.CONNECTION)

    assert ran.result is not None
    assert (ran.result.data, ran.result.uid) == ({"token": "T"}, 5)
    assert ran.result.metadata == {"type": "text", "value": "N"}
    assert ran.output is UNDEFINED
    assert len(ran.warnings) == 3


def test_variables_of_a_run():
    """environment, timestamp and now are there; oauth is not."""
    ran = run(
        {
            "response": {
                "output": {"z": "{{environment.timezone}}", "t": "{{timestamp}}", "o": "{{oauth}}", "p": "{{p}}"}
            }
        },
        p=1,
    )

    assert ran.output == {"z": "UTC", "t": 1714564800, "p": 1}


def test_the_timeout_of_the_request_wins():
    """Request, then Base, then common; at most five minutes."""
    base = {"baseUrl": "http://s.test", "timeout": 2000}

    def seconds(document: Any, base: Any = base, **variables: Any) -> float:
        return run(document, [reply({})], base=base, **variables).requests[0].timeout.total_seconds()

    assert seconds({"url": "/", "timeout": 1000}) == 1
    assert seconds({"url": "/"}) == 2
    assert seconds({"url": "/"}, {"baseUrl": "http://s.test"}, common={"timeout": "3000"}) == 3
    assert seconds({"url": "/", "timeout": 10**9}) == 300
    assert seconds({"url": "/"}, {"baseUrl": "http://s.test"}) == 40


def test_what_the_log_needs_travels_with_the_request():
    """Union of paths, merged query, evaluated `body<path>` forms; headers named there do not follow redirects."""
    base = {"baseUrl": "http://s.test", "log": {"sanitize": ["request.headers.`X-Key`"]}}
    document = {
        "url": "/?a=1", "qs": {"b": "2"}, "method": "POST", "type": "text", "body": "has {{parameters.s}}",
        "log": {"sanitize": ["request.body<parameters.s>"]},
    }  # fmt: skip

    request = run(document, [reply({})], base=base, parameters={"s": "secret"}).requests[0]

    assert request.log.sanitize == ("request.headers.`X-Key`",)
    assert request.log.within == (("request.body", "secret"),)
    assert request.log.qs == (("a", "1"), ("b", "2"))
    assert request.sensitive_headers == {"x-key"}


def test_cookies_are_shared_within_a_run():
    """shareCookies keeps what an answer sets for later requests of the same host."""
    document = [{"url": "/1", "shareCookies": True}, {"url": "/2", "shareCookies": True}, {"url": "/3"}]

    ran = run(document, [reply({}, 200, [("Set-Cookie", "sid=1; Path=/")]), reply({}), reply({})])

    cookies = [dict(request.headers).get("Cookie") for request in ran.requests]
    assert cookies == [None, "sid=1", None]


def test_gzip_asks_for_compression():
    """gzip true, false, and an author's own header."""

    def encoding(document: Any) -> str:
        return dict(run(document, [reply({})]).requests[0].headers)["Accept-Encoding"]

    assert encoding({"url": "/", "gzip": True}) == "gzip, deflate"
    assert encoding({"url": "/"}) == "identity"
    assert encoding({"url": "/", "gzip": True, "headers": {"accept-encoding": "br"}}) == "br"


def test_a_universal_url_to_another_host_warns():
    """It is sent, as Make does; a setting forbids it."""
    document = {"url": "{{parameters.url}}"}

    ran = run(document, [reply({})], kind=Kind.UNIVERSAL, parameters={"url": "http://other.test/x"})

    assert any("another host" in warning for warning in ran.warnings)
    with pytest.raises(InvalidConfigurationError):
        run(document, kind=Kind.UNIVERSAL, parameters={"url": "http://other.test/x"},
            limits=Limits(universal_same_host_only=True))  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "get", "HEAD"])
def test_get_and_head_send_no_body(method):
    """Vector 14: no body, no Content-Type."""
    request = run({"url": "/", "method": method, "body": {"a": 1}}, [reply({})]).requests[0]

    assert request.body is None
    assert "Content-Type" not in dict(request.headers)


def test_a_plan_can_be_used_again_and_again():
    """A plan holds no state of a run."""
    document = {"url": "/", "temp": {"n": "{{ifempty(temp.n, 0) + 1}}"}, "response": {"output": "{{temp}}"}}

    assert run(document, [reply({})]).output == run(document, [reply({})]).output == {"n": 1}


def test_the_user_agent_names_the_version():
    """Services see which version asks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert dict(run({"url": "/"}, [reply({})]).requests[0].headers)["User-Agent"] == f"scenarist/{project['version']}"


def test_a_search_without_iterate_is_cut_at_its_limit():
    """The cap is on the bundles, whatever they come from."""
    ran = run({"url": "/", "response": {"limit": 2}}, [reply([{"a": 1}, {"a": 2}, {"a": 3}])], kind=Kind.SEARCH)

    assert ran.output == [{"a": 1}, {"a": 2}]


def test_the_cap_on_records_counts_for_every_listing():
    """More items than `maxPastRecords` are not handed out, with a warning."""
    ran = run(
        {"url": "/", "response": {"iterate": "{{body}}"}},
        [reply([1, 2, 3])],
        kind=Kind.SEARCH,
        common={"maxPastRecords": 2},
    )

    assert ran.output == [1, 2]
    assert ran.warnings == ["stopped after 2 records, the most that are allowed"]


def test_several_requests_of_an_attach_add_to_one_collection():
    """Vector 45: Base is inherited; data of all requests is kept."""
    document = [
        {"url": "/hooks", "method": "POST", "response": {"data": {"id": "{{body.id}}"}}},
        {"url": "/hooks/{{body.id}}", "response": {"data": {"secret": "{{body.s}}"}}},
    ]
    base = {"baseUrl": "http://s.test", "headers": {"authorization": "a"}}

    ran = run(document, [reply({"id": 5}), reply({"s": "x"})], kind=Kind.ATTACH, base=base)

    assert ran.result is not None
    assert ran.result.data == {"id": 5, "secret": "x"}
    assert [dict(request.headers)["Authorization"] for request in ran.requests] == ["a", "a"]


def test_a_base_without_a_spread_keeps_its_headers_beside_a_spread_of_the_module():
    """Vector 4: the entries of the spread are added."""
    base = {"baseUrl": "http://s.test", "headers": {"authorization": "a"}}

    headers = (
        run({"url": "/", "headers": {"{{...}}": "{{h}}"}}, [reply({})], base=base, h={"x-y": 1}).requests[0].headers
    )

    assert headers[:2] == (("Authorization", "a"), ("X-Y", "1"))


def test_requests_are_numbered_in_the_operation():
    """The number identifies a request after a crash."""
    ran = run([{"url": "/a"}, {"condition": False, "url": "/x"}, {"url": "/b"}], [reply({}), reply({})])

    assert [request.number for request in ran.requests] == [1, 2]


def test_page_links_of_the_service():
    """A link keeps its own query; mergeWithParent false drops the original one but not that of Base."""
    base = {"baseUrl": "http://s.test", "qs": {"key": "k"}}
    document = {
        "url": "/p", "qs": {"a": 1, "c": 1}, "response": {"iterate": "{{body.i}}"},
        "pagination": {"mergeWithParent": False, "url": "{{body.next}}", "condition": "{{body.next}}", "qs": {"z": 9}},
    }  # fmt: skip

    ran = run(
        document, [reply({"i": [1], "next": "http://s.test/n?c=2"}), reply({"i": [2]})], kind=Kind.SEARCH, base=base
    )

    assert ran.targets == ["p?key=k&a=1&c=1", "n?c=2&key=k&z=9"]


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        pytest.param({"followRedirect": False}, {}, False, id="Base"),
        pytest.param({"followRedirect": False}, {"followRedirects": True}, True, id="the other spelling of the module"),
        pytest.param({}, {"followRedirects": False}, False, id="module"),
        pytest.param({}, {"followRedirect": "{{false}}"}, True, id="no expressions here"),
    ],
)
def test_switches_of_the_module_win_in_any_spelling(base, own, expected):
    """Both spellings mean the same switch."""
    ran = run({"url": "/", **own}, [reply({})], base={"baseUrl": "http://s.test", **base})

    assert ran.requests[0].follow_redirects is expected
