"""What is read from h2load and made of samples; no time is asserted."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import scene  # noqa: E402, F401  makes the harness importable
from cases import Case, LoadFailed, parse_h2load  # noqa: E402
from report import ratio, summarize, table  # noqa: E402

H2LOAD = """finished in 1.05s, 4771.82 req/s, 1.31MB/s
requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 5.31MB (5567890) total, 100.00KB (102400) headers (space savings 90.00%), 4.88MB (5120000) data
                     min         max         mean         sd        +/- sd
time for request:      141us     12.30ms       500us       200us    87.00%
time for connect:     1.02ms      1.02ms      1.02ms         0us   100.00%
"""
GET = Case("get", "GET", "/get", "json", 5000)
LIST = Case("list", "LIST", "/list", "json", 2, by_time=True)


def test_h2load_report_becomes_a_sample():
    assert parse_h2load(H2LOAD, 5000) == {"requests": 5000, "rps": 4771.82, "seconds": pytest.approx(500e-6),
                                          "bytes": 1024}


@pytest.mark.parametrize("text", ["", H2LOAD.replace("5000 2xx, 0 3xx, 0 4xx, 0 5xx", "4999 2xx, 0 3xx, 0 4xx, 1 5xx")],
                         ids=["nothing", "a 503"])
def test_refused_requests_are_no_figure(text):
    with pytest.raises(LoadFailed):
        parse_h2load(text, 5000)


def sample(rps, seconds, **more):
    return {"requests": 1, "rps": rps, "seconds": seconds, "bytes": None, **more}


def test_medians_ratios_and_gaps():
    samples = {"get": {"direct": [sample(100, 1), sample(300, 1), sample(200, 1)], "online": [sample(100, 1, agent_cpu_us=7)],
                       "offline": [], "limit": [sample(400, 1)]},
               "list": {"direct": [sample(1, 2)], "online": [sample(1, 3)], "offline": [], "limit": []}}
    summary = summarize(samples)
    assert ratio(GET, summary["get"], "online", "direct") == 0.5, "of throughput"
    assert ratio(LIST, summary["list"], "online", "direct") == 1.5, "of duration"
    assert ratio(GET, summary["get"], "offline", "direct") is None
    lines = table([GET, LIST], summary).splitlines()
    assert lines[2].split()[:6] == ["GET", "req/s", "200", "100", "-", "400"]
    assert "7 µs" in lines[2]
