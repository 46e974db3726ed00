"""Ratios point the same way for rates and times, and aims are judged by them."""

from bench import figures


def test_a_rate_twice_the_peers_is_a_ratio_of_two():
    assert figures.pair("x", "/s", ([100, 200, 300], [100])).ratio == 2


def test_a_time_half_the_peers_is_a_ratio_of_two():
    assert figures.pair("x", "s", ([1.0], [2.0])).ratio == 2


def test_the_median_decides_not_the_best():
    figure = figures.pair("x", "/s", ([1000, 10, 11], [10]), least_ratio=2)
    assert figure.reached is False


def test_without_a_peer_there_is_no_ratio_and_no_verdict():
    figure = figures.pair("x", "/s", ([10], []), least_ratio=2)
    assert figure.ratio is None
    assert figure.reached is None


def test_an_absolute_aim_needs_no_peer():
    assert figures.pair("x", "s", ([0.004], []), most=0.005).reached is True
    assert figures.pair("x", "s", ([0.006], []), most=0.005).reached is False


def test_the_table_shows_both_figures_and_what_was_skipped():
    part = figures.Part("mail", "Peer", ["a rule"], [figures.pair("speed", "/s", ([300], [100]), least_ratio=3)], ["no peer here"])
    text = figures.table(part)
    assert "300/s" in text
    assert "100/s" in text
    assert "3.00x" in text
    assert "reached" in text
    assert "no peer here" in text


def test_samples_travel_into_the_document():
    part = figures.Part("mail", "Peer", figures=[figures.pair("speed", "/s", ([3, 1, 2], [1]))])
    found = figures.document([part], {"cpus": "2"})["parts"][0]["figures"][0]
    assert found["postroom"] == 2
    assert list(found["samples"]["postroom"]) == [3, 1, 2]
