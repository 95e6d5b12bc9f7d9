"""Pictures of what is known of a field over a cell."""

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from hpcpinn.report.inference import draw_inference
from tests.io.test_inference_file import full


def test_a_cell_is_shown_when_its_field_is_highest(tmp_path, monkeypatch: pytest.MonkeyPatch):
    figures = {}
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda figure, path, **_: figures.update({path.stem: figure})
    )
    result = full()
    drawn, _ = draw_inference(result, tmp_path)
    assert {"bands", "cell"} <= {path.stem for path in drawn} == figures.keys()
    bands = result.field_bands
    assert bands is not None
    highest = int(bands.mean.mean(axis=1).argmax())
    mean, width = (
        next(one for one in axes.collections if isinstance(one, LineCollection)) for axes in figures["cell"].axes[:2]
    )
    np.testing.assert_array_equal(mean.get_array(), bands.mean[highest])
    np.testing.assert_allclose(width.get_array(), 196.0 * bands.sd[highest] / bands.mean[highest])
