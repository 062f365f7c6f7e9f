"""Record headers: written so that the CloudEvents project's own reader reads them, read without ever raising."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.examples import MINIMAL
from schemas.headers import EventHeaders, ce_headers, read_headers
from schemas.response import GenerationResponse
from tests.contracts.cases import EXAMPLES

TIME = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("channel", "event", "path"), EXAMPLES)
def test_the_cloudevents_reader_finds_the_event(channel, event, path) -> None:
    headers = dict(ce_headers(event, "an-id", "/sluicegate", TIME, TRACE))
    read = from_binary_event(KafkaMessage(headers=headers, key=b"conv-42", value=encode(event)))
    assert read.get_specversion() == "1.0"
    assert (read.get_id(), read.get_type(), read.get_source()) == ("an-id", channel.ce_type, "/sluicegate")
    assert read.get_time() == TIME
    assert read.get_datacontenttype() == "application/json"
    assert read.get_data() == json.loads(path.read_bytes())
    assert read.get_attributes()["partitionkey"] == "conv-42"


def test_what_was_written_is_read_back() -> None:
    headers = ce_headers(MINIMAL[GenerationResponse], "an-id", "/sluicegate", TIME, TRACE)
    assert read_headers(headers) == EventHeaders("an-id", "sluicegate.response.v1", TRACE)


def test_a_time_in_another_zone_keeps_its_offset() -> None:
    time = TIME.astimezone(timezone(timedelta(hours=2)))
    headers = dict(ce_headers(MINIMAL[GenerationResponse], "i", "/s", time))
    assert headers["ce_time"] == b"2026-01-02T05:04:05.678900+02:00"
    assert "traceparent" not in headers


def test_a_time_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="zone"):
        ce_headers(MINIMAL[GenerationResponse], "i", "/s", TIME.replace(tzinfo=None))


@pytest.mark.parametrize(
    "bad",
    [
        TRACE + "\n",
        TRACE.upper(),
        TRACE[:-3],
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
        "",
    ],
)
def test_a_traceparent_that_w3c_forbids_is_left_aside(bad) -> None:
    assert read_headers([("traceparent", bad.encode())]).traceparent is None


def test_empty_absent_and_unreadable_headers_are_none() -> None:
    headers = [("ce_id", b"\xff"), ("ce_type", b""), ("traceparent", None)]
    assert read_headers(headers) == read_headers([]) == read_headers(None) == EventHeaders()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_type", "traceparent"]) | st.text(),
            st.none() | st.binary() | st.text(max_size=9).map(str.encode),
        )
    )
)
def test_no_headers_at_all_can_raise(headers) -> None:
    read = read_headers(headers)
    assert all(value is None or value for value in (read.id, read.type, read.traceparent))
