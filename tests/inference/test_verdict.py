"""What came of an inference, in plain words."""

import numpy as np

from hpcpinn.inference.verdict import inference_verdict
from hpcpinn.io.estimates import Estimates


def estimates(*determined: bool, truth: tuple[float, float] = (np.nan, np.nan)) -> Estimates:
    """Of D, 0.9 to 1.1, and k, 1.8 to 2.2."""
    one = np.array([1.0, 2.0])
    return Estimates(
        names=("D", "k"), units=("um2/ms", "1/ms"), start=one, estimate=one, low=0.9 * one, high=1.1 * one,
        sd_log=0.05 * one, data_sd_log=0.05 * one, determined=np.array(determined), measure=np.zeros(2),
        covariance=np.eye(2), path=one[None], config="{}", truth=np.array(truth),
    )  # fmt: skip


def test_all_is_well():
    verdict = inference_verdict(estimates(True, True, truth=(1.05, 2.0)), 0.98)
    assert (verdict.holds_truth, verdict.misses_truth, verdict.fits) == (("D", "k"), (), True)
    assert verdict.lines == [
        ("known", "the data determine 2 of 2 constants"),
        ("truth", "2 of 2 intervals (95 %) hold what the data were made with"),
        ("fit", "pass: the model misses the data as far as noise goes (mean square over that of the noise 0.98)"),
        ("unsolved", "nothing"),
    ]


def test_what_the_data_leave_open_is_named_and_its_interval_is_not_judged():
    verdict = inference_verdict(estimates(True, False, truth=(1.5, 99.0)), 0.98)
    assert (verdict.determined, verdict.undetermined) == (("D",), ("k",))
    assert (verdict.holds_truth, verdict.misses_truth) == ((), ("D",))
    assert verdict.lines[-1] == ("unsolved", "not determined by the data: k")
    assert verdict.lines[1] == ("truth", "0 of 1 interval (95 %) hold what the data were made with; not that of D")


def test_intervals_of_draws_count_where_there_are_draws():
    of_draws = [(1.4, 1.6), (50.0, 100.0)]
    verdict = inference_verdict(estimates(True, False, truth=(1.5, 99.0)), 1.0, intervals=of_draws)
    assert verdict.holds_truth == ("D", "k")


def test_a_model_that_does_not_fit_is_a_warning():
    verdict = inference_verdict(
        estimates(True, True), 4.0, model_is_wrong=True, probability=0.0012, left=("3 draws could not be solved",)
    )
    lines = dict(verdict.lines)
    assert "truth" not in lines
    assert lines["fit"].startswith("warn: ") and "4.00" in lines["fit"]
    assert lines["model"] == "warn: it could hardly have made these data (probability 0.0012)"
    assert lines["unsolved"] == "3 draws could not be solved"
